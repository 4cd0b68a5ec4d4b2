#!/bin/sh
# check-local.sh FAAS DISPATCHER WORKER MODULE - faas with slots of its own: results, order, codes
set -eu
faas=$(realpath "$1") module=$(realpath "$4")
. "$(dirname "$0")/lib.sh"
export FAAS_URL=local:2

# One task.
expect 0 "$faas" run echo 'a  b'
[ "$(cat out)" = 'a  b' ] && [ ! -s err ] || die "echo"
head -c 100000 /dev/urandom >bytes
expect 0 "$faas" run echo - <bytes
cmp bytes out
expect 0 "$faas" run echo
[ ! -s out ] || die "an empty result"
expect 0 "$faas" run echo -- --json
[ "$(cat out)" = --json ] || die "a payload behind --"
expect 3 "$faas" run fail 'no luck'
said 'no luck'
[ ! -s out ] || die "a failed task has no result"
expect 3 "$faas" run crash
said 'signal 11'
expect 1 "$faas" run nosuch
said 'nosuch'
head -c 4194304 /dev/zero >large
expect 0 "$faas" run echo - <large
cmp large out
echo >>large
expect 1 "$faas" run echo - <large
said 4194304
expect 0 "$faas" submit noop
grep -qxE '[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}' out || die "an id"
none=018f3c2e-0000-7000-8000-000000000001
for command in status result wait cancel; do
        expect 4 "$faas" "$command" $none
        said "no such task: $none"
done

# A text of a function is no way to the terminal.
expect 3 "$faas" run fail "$(printf 'a\033[2Jb')"
! grep -q "$(printf '\033')" err || die "an escape sequence"

# map: all of them, in order, more than are ever in flight.
seq 20000 >lines
expect 0 "$faas" map echo <lines
cmp lines out
[ ! -s err ] || die "map says nothing without need"
printf 'one\n\nthree' >lines
expect 0 "$faas" map echo <lines
printf 'one\n\nthree\n' | cmp - out
expect 0 "$faas" map echo </dev/null
[ ! -s out ] || die "nothing in, nothing out"
printf 'a\0b\n' >lines
expect 0 "$faas" map echo <lines
cmp lines out
# The later ones end first.
printf '0.3\n0\n0\n' >lines
expect 0 "$faas" map sleep <lines
[ "$(wc -l <out)" -eq 3 ] || die "three lines"
# Failures: an empty line, a message, the others go on.
printf '0\nx\n0\ny\n' >lines
expect 3 "$faas" map sleep <lines
[ "$(wc -l <out)" -eq 4 ] && [ "$(wc -l <err)" -eq 2 ] || die "four lines, two messages"
grep -q '^faas: line 2: "x"' err && grep -q '^faas: line 4: "y"' err || die "the lines' numbers"
{ echo a; head -c 4194305 /dev/zero; echo; echo b; head -c 9000000 /dev/zero; } >lines
expect 3 "$faas" map echo <lines
printf 'a\n\nb\n\n' | cmp - out
grep -q '^faas: line 2: ' err && grep -q '^faas: line 4: ' err || die "lines that are too long"
{ head -c 4194304 /dev/zero | tr '\0' x; echo; } >lines
expect 0 "$faas" map echo <lines
cmp lines out
expect 1 "$faas" map nosuch <lines
said 'nosuch'

# A result is there before the input ends, and memory does not grow with the input.
mkfifo in results
"$faas" map echo <in >results &
pids="$pids $!"
exec 8>in 9<results
echo hello >&8
read -r line <&9
[ "$line" = hello ] || die "first result: $line"
echo again >&8
read -r line <&9
[ "$line" = again ] || die "second result: $line"
exec 8>&- 9<&-
wait $!
# 601 lines of 1 MB, all of which must pass; the sanitizers have a memory of their own.
python3 - "$faas" <<'END' || die "much through little memory"
import hashlib, resource, subprocess, sys
p = subprocess.Popen([sys.argv[1], "map", "echo"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
feeder = subprocess.Popen(["sh", "-c", "head -c 600600000 /dev/zero | tr '\\0' x | fold -w 1000000"],
                          stdout=p.stdin)
p.stdin.close()
line = b"x" * 1000000 + b"\n"
for i in range(600):
    assert p.stdout.read(len(line)) == line, i
assert p.stdout.read() == b"x" * 600000 + b"\n" and p.wait() == 0 and feeder.wait() == 0
used = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
sanitized = b"asan" in subprocess.run(["ldd", sys.argv[1]], stdout=subprocess.PIPE).stdout
assert used < 150000 or sanitized, "%d KiB" % used
print("%d KiB" % used)
END

# What cannot be written is an error.
for command in 'run echo x' 'submit noop' 'stats' '--json workers'; do
        status=0
        # shellcheck disable=SC2086
        "$faas" $command >/dev/full 2>err || status=$?
        [ "$status" -eq 1 ] || die "$command into a full disk: $status"
        said 'No space left on device'
done
status=0
seq 100000 | "$faas" map echo 2>err >/dev/full || status=$?
[ "$status" -eq 1 ] || die "map into a full disk: $status"
said 'No space left on device'
{ seq 1000000 | "$faas" map echo 2>err || echo $? >status; } | head -n 1 >out
[ "$(cat status)" -eq 1 ] || die "map into a closed pipe"
said 'Broken pipe'
status=0
"$faas" run echo x >&- 2>err || status=$?
[ "$status" -eq 1 ] || die "no standard output: $status"
status=0
"$faas" map echo <&- 2>err >out || status=$?
[ "$status" -eq 1 ] || die "no standard input: $status"
said 'standard input'

# JSON.
expect 0 "$faas" --json run echo 'quo"te\ ä'
json out 'o["status"] == "COMPLETED" and o["result"] == "quo\"te\\ ä" and len(o["id"]) == 36'
printf '\377\0\001' >bytes
expect 0 "$faas" --json run echo - <bytes
json out 'o["result_base64"] == "/wAB" and "result" not in o'
expect 3 "$faas" --json run crash
json out 'o["failure"] == "CRASHED" and o["code"] == 11 and o["strikes"] == 3 and o["text"]'
printf '0\nx\n\300\200\n' >lines
expect 3 "$faas" --json map sleep <lines
[ "$(wc -l <out)" -eq 3 ] && [ ! -s err ] || die "three objects, no messages"
json out '1 <= o["line"] <= 3 and (o["line"] == 1) == (o["status"] == "COMPLETED")'
expect 0 "$faas" --json submit noop
json out 'list(o) == ["id"]'
expect 0 "$faas" --json stats
json out 'o["accepted"] == 0 and "clients" in o'
expect 0 "$faas" --json workers
python3 -m json.tool out >/dev/null

# The module of the examples.
mkdir files
echo 1 >'files/a b'
echo 2 >'files/back\slash'
head -c 200000 /dev/zero >files/large
find files -type f >names
xargs -d '\n' sha256sum <names >expected
expect 0 "$faas" --url "local:2?load=$module" map sha256 <names
cmp expected out
expect 3 "$faas" --url "local:2?load=$module" run sha256 files/nowhere
said 'files/nowhere: No such file or directory'
