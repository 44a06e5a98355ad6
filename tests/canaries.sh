#!/usr/bin/env bash
# Plants one bug after the other and demands that a test fails: `make canaries`.
#
# The suite is built once with the feature `canaries`; without SYNADB_CANARY all of it must pass.
# Then, for each bug, the unit tests and the integration tests run until one fails: those that
# ought to catch the bug first, then all others. Prints which test caught it (a hang or a crash
# of the test program counts, too), and at the end `uncaught: N`; fails if N > 0.
#
#   SYNADB_CANARIES="skip_sync ignore_commit"   only these bugs
#   SYNADB_CANARY_SECONDS=600                   how long one test program may take
set -euo pipefail
cd "$(dirname "$0")/.."
unset SYNADB_CANARY

cargo=${CARGO:-cargo}
seconds=${SYNADB_CANARY_SECONDS:-600}
all_bugs="skip_sync skip_folder_sync ack_before_sync false_after_sync ignore_commit
    cut_at_first_crc_error unlock_in_child skip_folder_check_after_lock"
read -r -d '' -a bugs <<<"${SYNADB_CANARIES:-$all_bugs}" || true
log=$(mktemp)
trap 'rm -f "$log"' EXIT

# Test programs that ought to catch a bug, most likely first; "lib" is the unit tests.
likely() {
    case $1 in
        skip_sync | ack_before_sync | skip_folder_sync) echo "crash lib recovery" ;;
        false_after_sync | ignore_commit) echo "recovery corruption crash lib" ;;
        cut_at_first_crc_error) echo "recovery corruption bit_flips lib" ;;
        unlock_in_child | skip_folder_check_after_lock) echo "processes concurrency lib" ;;
        *) echo "unknown canary $1" >&2 && return 1 ;;
    esac
}

# Every test program there is.
programs() {
    local file
    echo lib
    for file in tests/*.rs; do
        if [[ -e $file ]]; then basename "$file" .rs; fi
    done
}

# The likely ones first, each program once, none that does not exist.
in_order() {
    local name
    { for name in $(likely "$1"); do echo "$name"; done; programs; } |
        awk 'NR == FNR { exists[$0]; next } $0 in exists && !seen[$0]++' <(programs) -
}

run() {
    local target=(--test "$1")
    if [[ $1 == lib ]]; then target=(--lib); fi
    timeout --kill-after=10 "$seconds" "$cargo" test --quiet --features cli,canaries \
        "${target[@]}" </dev/null >"$log" 2>&1
}

# Name of the first test that failed, or what became of the program instead.
culprit() {
    local name
    name=$(sed -n 's/^---- \(.*\) stdout ----$/\1/p' "$log" | head -n 1)
    if [[ -n $name ]]; then
        echo "$name"
    elif (($1 == 124 || $1 == 137)); then
        echo "(no end within $seconds s)"
    else
        echo "(ended with status $1)"
    fi
}

# False if the bug was not caught.
try() {
    local bug=$1 program status
    for program in $(in_order "$bug"); do
        status=0
        SYNADB_CANARY=$bug run "$program" || status=$?
        if grep -q "unknown canary" "$log"; then
            echo "$bug: the library does not know this canary" >&2
            exit 2
        fi
        if ((status != 0)); then
            echo "$bug: caught by $program: $(culprit "$status")"
            return 0
        fi
    done
    echo "$bug: UNCAUGHT"
    return 1
}

for bug in "${bugs[@]}"; do likely "$bug" >/dev/null; done

"$cargo" test --features cli,canaries --lib --tests --no-run </dev/null
for program in $(programs); do
    status=0
    run "$program" || status=$?
    if ((status != 0)); then
        cat "$log" >&2
        echo "without a planted bug $program fails: $(culprit "$status")" >&2
        exit 2
    fi
done
echo "without a planted bug: all green"

uncaught=0
for bug in "${bugs[@]}"; do
    try "$bug" || uncaught=$((uncaught + 1))
done
echo "uncaught: $uncaught"
((uncaught == 0))
