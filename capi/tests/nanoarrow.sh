#!/bin/sh
# Puts the C sources of nanoarrow (Apache-2.0) into a folder: `make nanoarrow`.
#
#   sh capi/tests/nanoarrow.sh PYTHON FOLDER
#
# Afterwards -I FOLDER finds <nanoarrow/nanoarrow.h>, and FOLDER/nanoarrow/common/*.c are the library. They are
# fetched and not kept here, so that no other project's code stands in this repository. pip asks a source
# package for its metadata, which takes it a minute; nothing is compiled.
set -eu
cd "$(dirname "$0")"
python=$1 folder=$2
package=$(mktemp -d)
trap 'rm -rf "$package"' EXIT

"$python" -m pip download -q --disable-pip-version-check --no-deps --require-hashes -r nanoarrow.txt -d "$package"
tar -xzf "$package"/nanoarrow-*.tar.gz -C "$package"
rm -rf "$folder"
mkdir -p "$folder"
cp -R "$package"/nanoarrow-*/subprojects/arrow-nanoarrow/src/nanoarrow "$folder"

# What their own build fills in.
version=$(sed -n 's/^nanoarrow==\([0-9.]*\).*/\1/p' nanoarrow.txt)
major=${version%%.*} rest=${version#*.}
sed -e "s/@NANOARROW_VERSION_MAJOR@/$major/" -e "s/@NANOARROW_VERSION_MINOR@/${rest%%.*}/" \
    -e "s/@NANOARROW_VERSION_PATCH@/${rest#*.}/" -e "s/@NANOARROW_VERSION@/$version/" \
    -e "s/@NANOARROW_NAMESPACE_DEFINE@//" \
    "$folder/nanoarrow/nanoarrow_config.h.in" >"$folder/nanoarrow/nanoarrow_config.h"
