#!/bin/sh
# run-checks.sh - what is checked without running: formatting, clang-tidy, the rules of the house
set -u
cd "$(dirname "$0")/.."
bad=0
check() {
        echo "== $1"
        shift
        "$@" || bad=1
}

# Of what git knows or would add: no build directories.
sources() { git ls-files -z --cached --others --exclude-standard -- '*.c' '*.h' '*.cpp'; }
format() { sources | xargs -0 clang-format --dry-run -Werror; }

# clang's own build directory, since clang-tidy does not know all of gcc's options.
tidy() {
        [ -f build/check/build.ninja ] || CC=clang meson setup build/check -Dwerror=true || return
        ninja -C build/check || return
        find libfaas -name '*.c' -print0 | sort -z |
                xargs -0 -n 1 -P 2 clang-tidy -p build/check --quiet >build/check/tidy.log 2>&1
        status=$?
        # How many warnings system headers have is nobody's business.
        grep -v '^[0-9]* warnings* generated' build/check/tidy.log
        return $status
}

check clang-format format
check clang-tidy tidy
for name in floors size headers; do
        check "$name" "tests/meta/check-$name.sh" "$PWD"
done
check symbols tests/meta/check-symbols.sh declared "$PWD"
exit $bad
