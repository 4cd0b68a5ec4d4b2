#!/bin/sh
# install-packages.sh [PACKAGE...] - installs what the build and the tests need, and the named ones,
# as far as it is missing.  On anything but Debian and Ubuntu it only says what would be needed.
set -eu

packages="gcc g++ libc6-dev binutils meson ninja-build pkg-config libmsgpack-dev libzmq3-dev libhiredis-dev
        libcriterion-dev libsodium-dev redis-server python3 python3-zmq python3-msgpack scdoc gnuplot-nox $*"

if ! command -v dpkg-query >/dev/null || ! command -v apt-get >/dev/null; then
        # Without a package database the tools themselves are the only witnesses.
        for tool in cc c++ meson ninja pkg-config redis-server python3 scdoc; do
                command -v "$tool" >/dev/null || missing="${missing:-} $tool"
        done
        for library in libzmq hiredis criterion libsodium; do
                pkg-config --exists "$library" 2>/dev/null || missing="${missing:-} $library"
        done
        for module in zmq msgpack; do
                /usr/bin/python3 -c "import $module" 2>/dev/null || missing="${missing:-} python-$module"
        done
        [ -n "${missing:-}" ] || exit 0
        echo "Missing:$missing" >&2
        echo "Please install what these Debian packages are called here:" $packages >&2
        exit 1
fi

missing=
for package in $packages; do
        state=$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null || true)
        [ "$state" = installed ] || missing="$missing $package"
done
[ -n "$missing" ] || exit 0

root=
if [ "$(id -u)" -ne 0 ]; then
        if ! command -v sudo >/dev/null; then
                echo "Please install, as root:$missing" >&2
                exit 1
        fi
        root=sudo
fi

install() {
        $root env DEBIAN_FRONTEND=noninteractive \
                apt-get install -y --no-install-recommends $missing
}

echo "Installing:$missing"
# The lists may be missing or too old: then once more with new ones.
install || { $root apt-get update && install; }
