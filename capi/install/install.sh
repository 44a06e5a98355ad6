#!/bin/sh
# Installs what `cargo build --release` made: `make install PREFIX=.. [DESTDIR=..]` calls it.
#
# The library in target/release has no soname, so that a program can be linked with it where it
# lies. Here one is linked of the static library that has: programs remember the number of the
# interface, and go on with any later library of the same one.
set -eu

root=$(cd "$(dirname "$0")/../.." && pwd)
built=${BUILT:-${CARGO_TARGET_DIR:-$root/target}/release}
prefix=${PREFIX:-/usr/local}
# What is installed names the prefix, and is used in any folder.
case $prefix in
/*) ;;
*) prefix=$PWD/$prefix ;;
esac
to=${DESTDIR:-}$prefix
version=$(sed -n '/^\[workspace.package\]/,/^\[/s/^version = "\(.*\)"/\1/p' "$root/Cargo.toml")
abi=$(sed -n 's/^#define SYNA_ABI_VERSION \([0-9]*\).*/\1/p' "$root/include/synadb.h")
# What a program needs that links libsynadb.a: `cargo rustc -p synadb-capi --crate-type staticlib --
# --print native-static-libs`, but for the compiler's own library for unwinding: the compiler knows
# which one it is, also of a program that is linked with -static, which has no -lgcc_s.
system_libs="-lutil -lrt -lpthread -lm -ldl -lc"

mkdir -p "$to/lib/pkgconfig" "$to/lib/cmake/synadb" "$to/include"
cp "$root/include/synadb.h" "$root/include/synadb.hpp" "$to/include/"
cp "$built/libsynadb.a" "$to/lib/"

exports=$(mktemp)
trap 'rm -f "$exports"' EXIT
echo '{ global: syna_*; local: *; };' >"$exports"
# Never unloaded, as the one in target/release (capi/build.rs).
# shellcheck disable=SC2086
${CC:-cc} -shared -o "$to/lib/libsynadb.so.$version" -Wl,-soname,"libsynadb.so.$abi" \
    -Wl,--version-script="$exports" -Wl,--gc-sections -Wl,-z,relro,-z,now,-z,defs,-z,nodelete \
    -Wl,--whole-archive "$built/libsynadb.a" -Wl,--no-whole-archive $system_libs
ln -sf "libsynadb.so.$version" "$to/lib/libsynadb.so.$abi"
ln -sf "libsynadb.so.$abi" "$to/lib/libsynadb.so"

# A path as what sed puts in the place of something, where these mean something.
quoted_prefix=$(printf '%s' "$prefix" | sed 's/[\\&|]/\\&/g')

fill() {
    sed -e "s|@PREFIX@|$quoted_prefix|g" -e "s|@VERSION@|$version|g" -e "s|@ABI@|$abi|g" \
        -e "s|@SYSTEM_LIBS@|$system_libs|g" -e "s|@SYSTEM_LIBS_LIST@|$(echo "$system_libs" | tr ' ' ';')|g" "$1"
}
fill "$root/capi/install/synadb.pc.in" >"$to/lib/pkgconfig/synadb.pc"
fill "$root/capi/install/synadb-config.cmake.in" >"$to/lib/cmake/synadb/synadb-config.cmake"
fill "$root/capi/install/synadb-config-version.cmake.in" >"$to/lib/cmake/synadb/synadb-config-version.cmake"
echo "installed SynaDB $version (interface $abi) in $to"
