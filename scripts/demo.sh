#!/bin/sh
# demo.sh - shows what libfaas does: one task; thousands, with a slot killed on the way; how fast
#
# Needs a built tree in build/ (./dev demo).  Leaves no process and no file behind.
set -eu
cd "$(dirname "$0")/.."
build=${1:-build}
tree=/usr/include
slots=4

scratch=$(mktemp -d "${TMPDIR:-/tmp}/faas-demo-XXXXXX")
hasher=
cleanup() {
        [ -z "$hasher" ] || kill "$hasher" 2>/dev/null || :
        rm -rf "$scratch"
}
trap cleanup EXIT
trap 'exit 130' INT TERM

say() { printf '\n== %s\n' "$*"; }

say "hello: one task, in another process"
"$build/examples/hello"

say "hash-files: SHA-256 of every file under $tree, in $slots slots"
find "$tree" -type f | sort >"$scratch/names"
# A copy of its own, so that its slots can be told from everybody else's.
cp "$build/examples/hash-files" "$scratch/"
LD_LIBRARY_PATH=$(realpath "$build/libfaas")${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH} \
        "$scratch/hash-files" $slots <"$scratch/names" >"$scratch/digests" &
hasher=$!

# The first slot that is seen at work; none if the work was done before.
find_slot() {
        while kill -0 "$hasher" 2>/dev/null; do
                for comm in $(grep -lx faas-slot /proc/[0-9]*/comm 2>/dev/null); do
                        dir=${comm%/comm}
                        [ "$(readlink "$dir/exe" 2>/dev/null)" = "$scratch/hash-files" ] || continue
                        echo "${dir#/proc/}"
                        return
                done
        done
}
victim=$(find_slot)
[ -n "$victim" ] && kill -9 "$victim" || { echo "demo: no slot was there to be killed" >&2; exit 1; }
# Clears the progress bar's line if there is one; the bar comes again below.
[ ! -t 2 ] || printf '\r\033[K' >&2
echo "kill -9 $victim: one of the slots is dead"
wait "$hasher"
hasher=

xargs -d '\n' sha256sum <"$scratch/names" >"$scratch/expected"
cmp "$scratch/expected" "$scratch/digests"
echo "$(wc -l <"$scratch/digests") digests, all equal to those of sha256sum"

say "no-op tasks, 16 bytes in and out"
printf '%6s %9s %9s %10s %14s\n' slots tasks seconds tasks/s 'one alone, us'
for n in 1 2 4; do
        "$build/benchmarks/e2e-local" --slots "$n" --tasks 500000 --single 2000 >"$scratch/line"
        python3 - "$scratch/line" <<'END'
import json, sys
r = json.load(open(sys.argv[1]))
print("%6d %9d %9.2f %10d %14.1f" % (r["slots"], r["tasks"], r["seconds"], r["tasks_per_s"], r["single_p50_us"]))
END
done
