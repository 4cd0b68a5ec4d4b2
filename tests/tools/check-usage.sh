#!/bin/sh
# check-usage.sh FAAS DISPATCHER WORKER - wrong command lines: one clear line, exit code 2
set -eu
faas=$(realpath "$1") dispatcher=$(realpath "$2") worker=$(realpath "$3")
. "$(dirname "$0")/lib.sh"

# wrong TEXT COMMAND...
wrong() {
        text=$1
        shift
        expect 2 "$@" </dev/null
        said "$text"
        [ ! -s out ] || die "printed something: $*"
}

wrong 'no command' "$faas"
wrong 'unknown command "fly"' "$faas" fly
wrong 'unknown or ambiguous option "--fly"' "$faas" --fly
wrong 'unknown option -x' "$faas" -x
wrong '--url: its argument is missing; expected --url URL' "$faas" stats --url
wrong '--json takes no argument' "$faas" --json=1 stats
wrong '--timeout: "soon" is not a number' "$faas" --timeout soon stats
wrong '--timeout: "-1" is not a number' "$faas" --timeout=-1 stats
wrong '--timeout: "0" is not a number' "$faas" --timeout 0 stats
wrong 'submit: an argument is missing; expected faas submit FUNCTION' "$faas" submit
wrong 'submit: "c" is one argument too many' "$faas" submit a b c
wrong 'map: "b" is one argument too many' "$faas" map a b
wrong 'stats: "x" is one argument too many; expected faas stats' "$faas" stats x
wrong '"Echo" is no function name' "$faas" run Echo
wrong '"" is no function name' "$faas" run ''
wrong "is no function name" "$faas" run "$(printf '%065d' 0)"
wrong '"12" is no task id; expected 36 characters' "$faas" status 12
for command in result wait cancel; do
        wrong 'is no task id' "$faas" "$command" 018f3c2e-0000-7000-8000-00000000000g
done
wrong '"http' "$faas" --url http://x stats
wrong 'local:0' "$faas" --url local:0 stats

wrong 'unknown command "a?[2Jb"' "$faas" "$(printf 'a\033[2Jb')"

wrong 'unknown option -z' "$dispatcher" -z
wrong '"x" is one argument too many' "$dispatcher" x
wrong '--port: "99999" is not a number from 0 to 65535' "$dispatcher" -p 99999
wrong '--port: "+1" is not a number' "$dispatcher" -p +1
wrong '--port: "1e3" is not a number' "$dispatcher" -p 1e3
wrong '--port: "" is not a number' "$dispatcher" -p ''
wrong '--queue-tasks: "18446744073709551617" is not a number' \
        "$dispatcher" --queue-tasks 18446744073709551617
wrong '--queue-bytes: "1T" is not a number of bytes' "$dispatcher" --queue-bytes 1T
wrong '--queue-bytes: "20000000000G" is not a number of bytes' "$dispatcher" --queue-bytes 20000000000G
wrong 'there is a place to listen already' "$dispatcher" -p 1 --listen tcp://127.0.0.1:2
wrong '--slots is for --mode local' "$dispatcher" -w 2
wrong '--load is for --mode local' "$dispatcher" -m pull --load x.so
wrong '--heartbeat: "9" is not a number from 10' "$dispatcher" --heartbeat 9
wrong '--log-level: "loud" is no level; expected error, warning, info or debug' \
        "$dispatcher" --log-level loud
wrong '--mode: its argument is missing; expected --mode MODE' "$dispatcher" -m

wrong '"b" is one argument too many' "$worker" a b
wrong '--slots: "0" is not a number from 1 to 1024' "$worker" -w 0
wrong '--slots: "1025" is not a number' "$worker" --slots=1025

for program in "$faas" "$dispatcher" "$worker"; do
        expect 0 "$program" --help
        [ ! -s err ] && head -n 1 out | grep -q '^usage: ' || die "$program --help"
        expect 0 "$program" --version
        grep -qE '^libfaas [0-9]+\.[0-9]+\.[0-9]+$' out || die "$program --version"
        status=0
        "$program" --help >/dev/full 2>err || status=$?
        [ "$status" -eq 1 ] || die "$program --help into a full disk: $status"
        said 'No space left on device'
done
