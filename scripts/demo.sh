#!/bin/sh
# demo.sh - shows what libfaas does: one task; thousands, with slots, workers and a dispatcher killed
# on the way; how fast
#
# Needs a built tree in build/ (./dev demo).  Leaves no process and no file behind.
set -eu
cd "$(dirname "$0")/.."
build=${1:-build}
tree=/usr/include
slots=4

scratch=$(mktemp -d "${TMPDIR:-/tmp}/faas-demo-XXXXXX")
started= # processes of ours, to be ended whatever happens
cleanup() {
        for pid in $started; do kill "$pid" 2>/dev/null || :; done
        rm -rf "$scratch"
}
trap cleanup EXIT
trap 'exit 130' INT TERM
# The programs find the helper that forks slots where it was built.
export FAAS_SLOTS_HELPER="$PWD/$build/libfaas/faas-slots"

say() { printf '\n== %s\n' "$*"; }
# Clears the progress bar's line if there is one; the bar comes again below.
clear_bar() { [ ! -t 2 ] || printf '\r\033[K' >&2; }
compare() {
        cmp "$scratch/expected" "$1"
        echo "$(wc -l <"$1") digests, all equal to those of sha256sum"
}

say "hello: one task, in another process"
"$build/examples/hello"

find "$tree" -type f | sort >"$scratch/names"
xargs -d '\n' sha256sum <"$scratch/names" >"$scratch/expected"

say "hash-files: SHA-256 of every file under $tree, in $slots slots of one program"
# A copy of its own, so that its slots can be told from everybody else's.
cp "$build/examples/hash-files" "$scratch/"
LD_LIBRARY_PATH=$(realpath "$build/libfaas")${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH} \
        "$scratch/hash-files" $slots <"$scratch/names" >"$scratch/digests" &
hasher=$!
started=$hasher

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
clear_bar
echo "kill -9 $victim: one of the slots is dead"
wait "$hasher"
started=
compare "$scratch/digests"

# A dispatcher, four workers, and a client, each a process of its own.
distributed() {
        mode=$1
        url=ipc://$scratch/$mode.sock
        workers=
        "$build/tools/faas-dispatcher" --mode "$mode" --listen "$url" --log-level error &
        dispatcher=$!
        started=$dispatcher
        for i in 1 2 3 4; do
                "$build/tools/faas-worker" --slots 1 --load "$build/examples/sha256-module.so" \
                        --log-level error "$url" &
                workers="$workers $!"
                started="$started $!"
        done
        "$build/tools/faas" --url "$url" map sha256 <"$scratch/names" >"$scratch/$mode" &
        client=$!
        started="$started $client"
        # In the middle: some digests are there.
        until [ -s "$scratch/$mode" ] || ! kill -0 "$client" 2>/dev/null; do :; done
        victim=${workers##* }
        kill -9 "$victim"
        clear_bar
        echo "kill -9 $victim: one of the workers is dead"
        wait "$client"
        compare "$scratch/$mode"
        "$build/tools/faas" --url "$url" workers
        for pid in $started; do kill "$pid" 2>/dev/null || :; done
        wait 2>/dev/null || :
        started=
}
for mode in push pull; do
        say "$mode: find $tree -type f | faas map sha256, with a dispatcher and 4 workers"
        distributed $mode
done

# A Redis, two dispatchers that share it, four workers and a client that know both.
over_redis() {
        store=redis+unix://$scratch/redis.sock
        redis-server --port 0 --unixsocket "$scratch/redis.sock" --dir "$scratch" --save '' --appendonly yes \
                --appendfsync always >"$scratch/redis.log" &
        started=$!
        url=
        for i in 1 2; do
                "$build/tools/faas-dispatcher" --listen "ipc://$scratch/d$i" --store "$store" --wait-store 20 \
                        --lease 600 --log-level error &
                eval "d$i=$!"
                started="$started $!"
                url=$url${url:+,}ipc://$scratch/d$i
        done
        for i in 1 2 3 4; do
                "$build/tools/faas-worker" --slots 1 --load "$build/examples/sha256-module.so" \
                        --log-level error "$url" &
                started="$started $!"
        done
        "$build/tools/faas" --url "$url" map sha256 <"$scratch/names" >"$scratch/redis" &
        client=$!
        started="$started $client"
        until [ -s "$scratch/redis" ] || ! kill -0 "$client" 2>/dev/null; do :; done
        # The one that has accepted the tasks.
        victim=$d1 other=2
        "$build/tools/faas" --url "ipc://$scratch/d2" stats | grep -q '^accepted  *0$' || victim=$d2 other=1
        kill -9 "$victim"
        clear_bar
        echo "kill -9 $victim: the dispatcher that had accepted the tasks is dead"
        wait "$client"
        compare "$scratch/redis"
        "$build/tools/faas" --url "ipc://$scratch/d$other" workers
        for pid in $started; do kill "$pid" 2>/dev/null || :; done
        wait 2>/dev/null || :
        started=
}
if "$build/tools/faas-dispatcher" --store redis: 2>&1 | grep -q 'without Redis'; then
        say "redis: this build is without it (no hiredis)"
else
        say "redis: the same with two dispatchers over one Redis (appendfsync always) and 4 workers"
        over_redis
fi

say "no-op tasks, 16 bytes in and out"
printf '%-22s %9s %9s %10s %14s\n' mode tasks seconds tasks/s 'one alone, us'
row() {
        python3 - "$scratch/line" "$1" <<'END'
import json, sys
r = json.load(open(sys.argv[1]))
print("%-22s %9d %9.2f %10d %14.1f" % (sys.argv[2], r["tasks"], r["seconds"], r["tasks_per_s"], r["single_p50_us"]))
END
}
for n in 1 2 4; do
        "$build/benchmarks/e2e-local" --slots "$n" --tasks 500000 --single 2000 >"$scratch/line"
        row "in the program, $n slot$([ "$n" = 1 ] || echo s)"
done
for mode in local push pull; do
        "$build/benchmarks/e2e-remote" --mode $mode --workers 4 --tasks 200000 --single 2000 >"$scratch/line"
        row "$mode, 4 $([ $mode = local ] && echo slots || echo workers)"
done
# Only if it was built with Redis.
if "$build/benchmarks/e2e-remote" --mode push --store redis --fsync everysec --workers 4 --tasks 200000 --single 2000 \
        >"$scratch/line" 2>"$scratch/why"; then
        row "push, redis everysec"
fi
