#!/bin/sh
# run-tests.sh - all lanes, and one line at the end: N passed, N failed
#
#   test    debug build, warnings are errors: everything
#   asan    address and undefined behaviour sanitizers: everything
#   ndebug  -O3, link-time optimisation, no asserts: the unit tests; finds code that lives in asserts
set -u
cd "$(dirname "$0")/.."

# lane NAME [SUITE] -- SETUP-OPTION...: builds build/NAME and runs its tests, or those of the suite.
# What went wrong is in the log, or the log is not there: scripts/count-tests.py sees both.
lane() {
        dir=build/$1 suite=
        [ "$2" = -- ] || { suite=$2 && shift; }
        shift 2
        rm -f "$dir/meson-logs/testlog.json"
        echo "== $dir"
        # Once more when it is there: a new folder of tests is not noticed otherwise.
        again=
        [ ! -f "$dir/build.ninja" ] || again=--reconfigure
        meson setup $again "$dir" "$@" || return
        ninja -C "$dir" || return
        meson test -C "$dir" --no-rebuild --print-errorlogs ${suite:+--suite "$suite"}
}

lane test -- -Dwerror=true
lane asan -- -Db_sanitize=address,undefined -Db_lundef=false
lane ndebug unit -- -Doptimization=3 -Db_ndebug=true -Db_lto=true

exec python3 scripts/count-tests.py build/test build/asan build/ndebug:unit
