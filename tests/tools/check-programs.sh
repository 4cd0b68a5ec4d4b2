#!/bin/sh
# check-programs.sh FAAS DISPATCHER WORKER MODULE - a dispatcher, two workers, every command; by mode
set -eu
faas=$(realpath "$1") dispatcher=$(realpath "$2") worker=$(realpath "$3") module=$(realpath "$4")
. "$(dirname "$0")/lib.sh"

# Nobody is there: the exit code says so, for every command that asks.
export FAAS_URL="ipc://$scratch/nobody"
id=018f3c2e-0000-7000-8000-000000000001
for command in 'submit noop' 'run noop' "status $id" "result $id" "wait $id" "cancel $id" workers stats; do
        # shellcheck disable=SC2086
        expect 6 "$faas" --timeout 0.1 $command
        [ ! -s out ] && [ -s err ] || die "$command: nobody is there"
done
echo x >lines
expect 6 "$faas" --timeout 0.1 map echo <lines

# start_dispatcher OPTION...: it is at $FAAS_URL and its pid in $dispatcher_pid.
start_dispatcher() {
        : >url
        start "$dispatcher" --listen 'tcp://127.0.0.1:*' --print-url "$@" >url 2>dispatcher.log
        dispatcher_pid=$started
        until_true 20 grep -q . url
        FAAS_URL=$(cat url)
        case $FAAS_URL in
        tcp://127.0.0.1:[1-9]*) ;;
        *) die "not a real URL: $FAAS_URL" ;;
        esac
        until_true 20 grep -qF "listening on $FAAS_URL, " dispatcher.log
}

# ended PID STATUS: it ends by itself, with this exit code.
ended() {
        status=0
        wait "$1" || status=$?
        [ "$status" -eq "$2" ] || die "exit code $status, not $2"
}

has_workers() { [ "$("$faas" workers | wc -l)" -eq $((1 + $1)) ]; }
is() { [ "$("$faas" status "$1")" = "$2" ]; }

all_commands() {
        expect 0 "$faas" run echo 'a b'
        [ "$(cat out)" = 'a b' ] || die "run"
        expect 3 "$faas" run fail 'no luck'
        said 'no luck'

        # What one process submits another one finds.
        expect 0 "$faas" submit echo hello
        id=$(cat out)
        expect 0 "$faas" wait "$id"
        [ "$(cat out)" = hello ] || die "wait"
        expect 0 "$faas" result "$id"
        [ "$(cat out)" = hello ] || die "result: reading does not delete"
        expect 0 "$faas" status "$id"
        [ "$(cat out)" = COMPLETED ] || die "status"
        expect 1 "$faas" cancel "$id"
        said 'ended before'
        expect 0 "$faas" --json result "$id"
        json out 'o["result"] == "hello"'

        # One that is not done, and is cancelled.
        expect 0 "$faas" submit sleep 600
        id=$(cat out)
        until_true 20 is "$id" RUNNING
        expect 5 "$faas" result "$id"
        said 'not done yet'
        expect 0 "$faas" cancel "$id"
        [ "$(cat out)" = CANCELLED ] || die "cancel"
        expect 3 "$faas" wait "$id"
        said 'was cancelled'
        expect 0 "$faas" --json status "$id"
        json out 'o["status"] == "CANCELLED"'
        expect 4 "$faas" status 018f3c2e-0000-7000-8000-000000000001
        said 'no such task'

        seq 20000 >lines
        expect 0 "$faas" map echo <lines
        cmp lines out
        printf '0\nx\n0\n' >lines
        expect 3 "$faas" map sleep <lines
        [ "$(wc -l <out)" -eq 3 ] || die "map: three lines"
        said 'line 2: '
        find "$(dirname "$faas")" -maxdepth 1 -type f >names
        xargs -d '\n' sha256sum <names >expected
        expect 0 "$faas" map sha256 <names
        cmp expected out

        expect 0 "$faas" stats
        grep -qE '^accepted +2[0-9]{4}$' out && grep -qE '^cancelled +1$' out || die "stats"
        expect 0 "$faas" --json stats
        json out 'o["cancelled"] == 1 and o["lost_workers"] == 0'
        expect 0 "$faas" --json workers
        python3 -m json.tool out >/dev/null
}

for mode in push pull; do
        start_dispatcher --mode $mode
        start "$worker" -w 2 --name one --load "$module" 2>one.log
        one=$started
        start "$worker" -w 1 --name two --load "$module" --json "$FAAS_URL" 2>two.log
        two=$started
        until_true 20 has_workers 2
        grep -qF "registered with $FAAS_URL" one.log || die "one.log"
        json two.log 'o["level"] and o["text"]'
        "$faas" workers >out
        head -n 1 out | grep -qE '^NAME +SLOTS' && grep -qE '^one +2 ' out && grep -qE '^two +1 ' out ||
                die "the table of workers"
        all_commands

        # The first signal drains: what runs ends, and is delivered.
        expect 0 "$faas" submit sleep 1
        id=$(cat out)
        until_true 20 is "$id" RUNNING
        kill "$one" "$two"
        ended "$one" 0
        ended "$two" 0
        expect 0 "$faas" wait "$id"
        # The second ends at once.
        expect 0 "$faas" submit sleep 600
        kill "$dispatcher_pid"
        until_true 20 grep -q draining dispatcher.log
        expect 6 "$faas" --timeout 5 submit noop
        kill -INT "$dispatcher_pid"
        ended "$dispatcher_pid" 0
done

# Local mode: no workers, the dispatcher has the slots.
start_dispatcher --mode local --slots 3 --load "$module"
all_commands
expect 0 "$faas" stats

# Its port is taken.
expect 1 "$dispatcher" --listen "$FAAS_URL"
[ -s err ] || die "why not"
kill "$dispatcher_pid"
ended "$dispatcher_pid" 0

# A long task is no silence of the dispatcher; the dispatcher's death is.
start_dispatcher --mode local --slots 3
expect 0 "$faas" --timeout 0.2 run sleep 1
echo 1 >lines
expect 0 "$faas" --timeout 0.2 map sleep <lines
n_running() { "$faas" stats | grep -qE "^running +$1\$"; }
for command in run map; do
        echo 600 >lines
        "$faas" --timeout 0.2 $command sleep $([ $command = map ] || echo 600) <lines >$command.out 2>$command.err &
        pids="$pids $!"
        eval "$command=$!"
done
until_true 20 n_running 2
kill -9 "$dispatcher_pid"
ended "$run" 6
ended "$map" 6
[ -s run.err ] && [ -s map.err ] || die "why they gave up"

# A line without room, and shorter ones behind it that have some: still one line out for each in.
start "$dispatcher" -p 0 --print-url --queue-bytes 64K >narrow.url 2>/dev/null
narrow=$started
until_true 20 [ -s narrow.url ]
python3 -c 'for i in range(20): print("a%d" % i)
print("b" * 62500)
for i in range(20): print("c%d" % i)' >narrow.lines
"$faas" --url "$(cat narrow.url)" map echo <narrow.lines >narrow.out 2>narrow.err &
map=$!
pids="$pids $map"
n_queued() { "$faas" --url "$(cat narrow.url)" stats | grep -qE "^queued +$1\$"; }
until_true 20 n_queued 40
start "$worker" -w 1 "$(cat narrow.url)" 2>/dev/null
ended "$map" 0
cmp narrow.lines narrow.out || die "map: a line that came late"
[ ! -s narrow.err ] || die "map: a complaint about a line that came late"
kill -9 "$started" "$narrow"

# It takes all the descriptors that it may have.
: >url
(exec prlimit --nofile=64: "$dispatcher" -p 0 --print-url >url 2>dispatcher.log) &
pids="$pids $!"
until_true 20 grep -q . url
limits=$(awk '/^Max open files/ { print $4, $5 }' "/proc/$!/limits")
[ "${limits% *}" = "${limits#* }" ] || die "descriptors: $limits"
kill "$!"
ended "$!" 0

# As JSON, and what goes wrong at the start.
start "$dispatcher" -p 0 --json 2>dispatcher.log
until_true 20 grep -q '"url":"tcp://127.0.0.1:[1-9]' dispatcher.log
json dispatcher.log 'o["time"] and o["level"] == "info" and "listening on " in o["text"]'
kill "$started"
ended "$started" 0
expect 1 "$dispatcher" -p 0 --mode local --load ./nowhere.so
grep -q nowhere.so err || die "the module's name"
expect 1 "$worker" --load ./nowhere.so
grep -q nowhere.so err || die "the module's name"
status=0
"$dispatcher" -p 0 --print-url >/dev/full 2>err || status=$?
[ "$status" -eq 1 ] || die "the URL cannot be written: $status"
