#!/usr/bin/env bash
# Reads results after what they came from is gone, under a tool that sees reads of freed memory:
# `make alive`. Runs tests/alive.rs under AddressSanitizer, if a nightly Rust toolchain is installed
# for rustup, or else under valgrind. Prints `findings: N` and fails if N > 0. Where neither tool is
# there it says so, prints no number, and fails.
#
#   SYNADB_ALIVE_TOOL=asan|valgrind   this tool and no other
#   SYNADB_ALIVE_IF_POSSIBLE=1        a missing tool is told and no failure
set -euo pipefail
cd "$(dirname "$0")/.."

cargo=${CARGO:-cargo}
log=$(mktemp)
trap 'rm -f "$log"' EXIT

host=$(rustc -vV | sed -n 's/^host: //p')

# The sanitizer's part of the standard library comes with the toolchain, on the platforms that have one.
has_asan() {
    local libraries
    command -v rustup >/dev/null || return 1
    libraries=$(rustup run nightly rustc --print target-libdir 2>/dev/null) || return 1
    compgen -G "$libraries/*rt.asan.a" >/dev/null
}

choose() {
    case ${SYNADB_ALIVE_TOOL:-} in
        asan) if has_asan; then echo asan; fi ;;
        valgrind) command -v valgrind >/dev/null && echo valgrind || true ;;
        "") if has_asan; then echo asan; elif command -v valgrind >/dev/null; then echo valgrind; fi ;;
        *) echo "SYNADB_ALIVE_TOOL is asan or valgrind" >&2 && exit 2 ;;
    esac
}

tool=$(choose)
test=(test --test alive)
status=0
case $tool in
    asan)
        # A target folder of its own, because everything is built with the sanitizer; and a target
        # that is named, because the macros of the compiler are not.
        echo "under AddressSanitizer of $(rustup run nightly rustc --version)"
        ASAN_OPTIONS="detect_leaks=1${ASAN_OPTIONS:+:$ASAN_OPTIONS}" RUSTFLAGS="-Zsanitizer=address" \
            rustup run nightly cargo "${test[@]}" --target "$host" --target-dir target/asan \
            -- --nocapture </dev/null 2>&1 | tee "$log" || status=$?
        findings=$(grep -c 'ERROR: \(Address\|Leak\)Sanitizer' "$log" || true)
        ;;
    valgrind)
        echo "under $(valgrind --version)"
        runner=CARGO_TARGET_$(tr 'a-z-' 'A-Z_' <<<"$host")_RUNNER
        # Threads take turns there, so that none waits for ever.
        env "$runner=valgrind --fair-sched=try --error-exitcode=99" \
            "$cargo" "${test[@]}" -- --nocapture </dev/null 2>&1 | tee "$log" || status=$?
        findings=$(sed -n 's/.*ERROR SUMMARY: \([0-9]*\) errors.*/\1/p' "$log" | tail -n 1)
        ;;
    *)
        echo "skipped: AddressSanitizer (rustup toolchain install nightly) or valgrind (apt-get install valgrind)"
        if [[ ${SYNADB_ALIVE_IF_POSSIBLE:-0} == 1 ]]; then exit 0; fi
        exit 1
        ;;
esac

# A result with other bytes than before is a finding that needs no tool.
changed=$(grep -c '^thread .* panicked at' "$log" || true)
findings=$((${findings:-0} + changed))
if ! grep -q '^results: [1-9]' "$log" && ((findings == 0)); then
    echo "tests/alive.rs did not come to its end" >&2
    exit 1
fi
echo "findings: $findings"
((findings == 0 && status == 0))
