#!/bin/sh
# check-subproject.sh ROOT - another project uses libfaas: as a subproject, linked statically and
# without Redis, and as the installed shared library that pkg-config finds
set -eux
root=$1
scratch=$(mktemp -d "${TMPDIR:-/tmp}/faas-subproject-XXXXXX")
trap 'rm -rf "$scratch"' EXIT
cd "$scratch"

project() {
        mkdir "$1"
        cp "$root/tests/subproject/$1/meson.build" "$root/tests/subproject/main.c" "$1"
}

project embedded
mkdir embedded/subprojects
ln -s "$root" embedded/subprojects/libfaas
meson setup embedded/build embedded -Dlibfaas:redis=disabled -Dlibfaas:werror=true
meson test -C embedded/build
# Nothing of the library is left to be found at run time.
! ldd embedded/build/main | grep -E 'libfaas|hiredis'
embedded/build/main redis://127.0.0.1 | grep 'built without Redis'
# A subproject installs nothing of its own.
DESTDIR=$scratch/none meson install -C embedded/build
[ ! -e "$scratch/none" ] || [ -z "$(find "$scratch/none" -type f)" ]

meson setup lib "$root" --prefix="$scratch/prefix" --libdir=lib \
        -Dtests=false -Dexamples=false -Dbenchmarks=false
meson install -C lib
for header in "$root"/include/faas/*.h; do
        [ -e "prefix/include/faas/${header##*/}" ]
done

project installed
export PKG_CONFIG_PATH="$scratch/prefix/lib/pkgconfig" LD_LIBRARY_PATH="$scratch/prefix/lib"
meson setup installed/build installed
meson test -C installed/build
ldd installed/build/main | grep "$scratch/prefix/lib/libfaas.so"
! pkg-config --exists hiredis || installed/build/main redis://nobody:7x | grep 'bad port'
