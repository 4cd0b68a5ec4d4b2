# lib.sh - what the tests of the programs share; to be read by sh with set -eu
scratch=$(mktemp -d "${TMPDIR:-/tmp}/faas-tools-XXXXXX")
pids=
# Ends what start() started, and nothing else.
cleanup() {
        for pid in $pids; do kill -9 "$pid" 2>/dev/null || :; done
        rm -rf "$scratch"
}
trap cleanup EXIT
trap 'exit 130' INT TERM
cd "$scratch"

die() {
        echo "FAILED: $*" >&2
        for file in out err; do
                [ ! -s "$scratch/$file" ] || { echo "--- $file" && head -c 2000 "$scratch/$file"; } >&2
        done
        exit 1
}

# expect STATUS COMMAND...: its exit code; what it said is in the files out and err.
expect() {
        want=$1
        shift
        got=0
        "$@" >out 2>err || got=$?
        [ "$got" -eq "$want" ] || die "exit code $got, not $want, of: $*"
}

# said TEXT: one line of standard error has it, and there is no other line.
said() {
        [ "$(wc -l <err)" -eq 1 ] || die "not one line: expected \"$1\""
        grep -qF -e "$1" err || die "did not say \"$1\""
}

# start COMMAND...: in the background, its process id in $started.
start() {
        "$@" &
        started=$!
        pids="$pids $started"
}

# until_true SECONDS COMMAND...: asks again and again.
until_true() {
        tries=$(($1 * 20))
        shift
        while ! "$@" >/dev/null 2>&1; do
                tries=$((tries - 1))
                [ "$tries" -gt 0 ] || die "never true: $*"
                sleep 0.05
        done
}

# json FILE EXPRESSION: every line is an object, o, of which the expression is true.
json() {
        python3 - "$1" "$2" <<'END' || die "json: $2"
import json, sys
lines = open(sys.argv[1]).read().splitlines()
assert lines
for line in lines:
    o = json.loads(line)
    assert eval(sys.argv[2]), line
END
}
