#!/bin/sh
# check-bench.sh FAAS-BENCH DISPATCHER WORKER - the scaling study: rows, table, report, what goes wrong
set -eu
here=$(realpath "$(dirname "$0")") bench=$(realpath "$1") dispatcher=$(realpath "$2") worker=$(realpath "$3")
. "$(dirname "$0")/lib.sh"

rows() {
        [ "$(wc -l <performance_test.csv)" -eq "$1" ] || die "not $1 lines in the file"
}

# Every mode, and the origin's columns first.
expect 0 "$bench" weak --workers 1,2 --sleep 0.01,0.001 --repeat 2
[ ! -s err ] || die "said something"
rows 25
head -1 performance_test.csv | grep -q '^Mode,OpType,nWorkers,nTasks,TotalTime,' || die "the header"
[ "$(grep -c '^| weak ' out)" -eq 12 ] || die "not a line for each point"
for mode in local push pull; do
        [ "$(grep -c "^$mode,sleep,2,10,0\.0" performance_test.csv)" -ge 2 ] || die "no rows of $mode"
done
awk -F, 'NR > 1 && !($5 > 0 && $10 > 0 && $11 <= $12 && $13 <= $14 && $14 <= $5 && $16 >= 0 && $17 > 1) \
        { exit 1 }' performance_test.csv || die "a row that cannot be"
# No run is faster than its tasks, and local is its own measure.
awk -F, 'NR > 1 && $5 < $7 * $4 / $3 { exit 1 }' performance_test.csv || die "faster than it can be"
grep -q '^| weak   | local .*| *100\.0 |' out || die "local is not 100 % of itself"

# More rows are added to those that are there.
expect 0 "$bench" strong --workers 2 --repeat 1
rows 28
expect 0 "$bench" weak --mode push --workers 1 --sleep 0.001 --heartbeat 0.01,off --repeat 1
rows 30
grep -q '^| weak   | push .*| *off |' out || die "no row without heartbeats"
expect 0 "$bench" weak --mode pool --workers 2 --sleep 0.001 --repeat 1
rows 31

# gearmand, which need not be there.
mkdir gearman
ln -s "$here/fake-gearmand.py" gearman/gearmand
expect 0 env PATH="$scratch/gearman:$PATH" "$bench" weak --mode gearman,push --workers 3 --sleep 0.01 --repeat 1
grep -q '^gearman,sleep,3,15,' performance_test.csv || die "no row of gearman"
rows 33
expect 0 env PATH="$scratch/nowhere" "$bench" weak --mode gearman,push --workers 1 --sleep 0.001 --repeat 1
said 'gearmand is not there (package gearman-job-server): gearman is skipped'
rows 34

# A running system, measured as it is.
start "$dispatcher" --mode push --listen "ipc://$scratch/door" --log-level error
start "$worker" --slots 2 --log-level error "ipc://$scratch/door"
expect 0 "$bench" weak --url "ipc://$scratch/door" --optype noop --repeat 1
grep -q '^url,noop,1,5,' performance_test.csv || die "no row of the running system"
rows 35

# The report, with the plots and without gnuplot.
expect 0 "$bench" report
for plot in load-overhead load-latency load-throughput load-efficiency strong-latency task-length heartbeat; do
        [ -s "faas-bench-report/$plot.svg" ] && [ -s "faas-bench-report/$plot.png" ] || die "no $plot"
        grep -q "id=\"$plot\"" faas-bench-report/report.html || die "the page has no $plot"
done
[ "$(grep -c '<svg' faas-bench-report/report.html)" -eq 7 ] || die "the pictures are not in the page"
[ "$(grep -c '^| weak ' faas-bench-report/report.md)" -eq 18 ] || die "the table of the report"
mkdir bin
for tool in sh command; do
        [ ! -x "/bin/$tool" ] || ln -s "/bin/$tool" bin/
done
expect 0 env PATH="$scratch/bin" "$bench" report --output bare
said 'gnuplot is not there'
[ -s bare/report.md ] && [ ! -e bare/task-length.svg ] || die "the report without gnuplot"

# A file of the origin's, and one with a damaged line.
printf 'Mode,OpType,nWorkers,nTasks,TotalTime\nlocal,sleep,1,5,5.02\npush,sleep,1,5,10.04\nx,y\n' >origin.csv
expect 0 "$bench" report --csv origin.csv --output 'a folder'"'"'s name'
said 'line 4 is no run'
grep -q '^| weak   | push .*| *50\.0 |' 'a folder'"'"'s name/report.md' || die "push is at 50 %"
[ -s 'a folder'"'"'s name/load-latency.png' ] || die "a quote in a name"

# What goes wrong.
expect 1 "$bench" report --csv nowhere.csv
said 'cannot read nowhere.csv: No such file'
expect 1 "$bench" weak --csv /nowhere/x.csv
said 'cannot write /nowhere/x.csv: No such file'
echo 'something else' >other.csv
expect 1 "$bench" weak --csv other.csv
said 'its first line is "something else"'
wrong() {
        text=$1
        shift
        expect 2 "$bench" "$@"
        said "$text"
}
wrong 'what to do is missing; expected weak, strong or report'
wrong '"fast" is none of weak, strong, report' fast
wrong '--mode: "fly" is none of local, push, pull, pool, gearman' weak --mode local,fly
wrong '--optype: "nop" is none of noop, sleep, heavy, xheavy' weak --optype nop
wrong '--workers: "0" is not a number from 1 to 256' weak --workers 1,0
wrong '--workers: 1.5 is not a whole number' weak --workers 1.5
wrong '--sleep: "long" is not a number' weak --sleep long
wrong '--heartbeat: "never" is not a number from 0.01 to 3600' weak --heartbeat never
wrong '--repeat: "0" is not a number' weak --repeat 0

# A mode that cannot be had: the others are kept.
mkdir half
cp "$bench" "$dispatcher" half/
rm -f performance_test.csv
LD_LIBRARY_PATH=$(dirname "$bench")/../libfaas expect 1 half/faas-bench weak --workers 1 --sleep 0.001 --repeat 1 \
        --mode local,push
grep -q 'faas-worker is not there' err || die "did not say that the worker is missing"
grep -q 'push with 1 workers failed; the other runs go on' err || die "did not say which run failed"
grep -q '^local,sleep,1,5,' performance_test.csv || die "the good row is not kept"
rows 2

# More workers of gearmand than it starts.
PATH="$scratch/gearman:$PATH" expect 1 "$bench" weak --mode gearman --workers 16 --slots 17 --sleep 0.01 --repeat 1
grep -q 'gearman: 272 workers; expected at most 256 in all' err || die "did not say that 272 workers are too many"

# A gearmand that never says how many workers it has is given up.
FAKE_GEARMAND_MUTE=1 PATH="$scratch/gearman:$PATH" expect 1 timeout 60 "$bench" weak --mode gearman --workers 1 \
        --sleep 0.01 --repeat 1
grep -q 'gearman: gearmand or one of its workers failed' err || die "did not say that gearmand failed"

# Ctrl-C: nothing is left, and the shell sees the signal.
children() {
        cat "/proc/$1/task/$1/children" 2>/dev/null
}
has_children() {
        [ "$(children "$1" | wc -w)" -ge "$2" ]
}
gone() {
        for pid in $1; do [ ! -e "/proc/$pid" ] || return 1; done
}
start "$bench" weak --mode push --workers 3 --sleep 100 --repeat 1
until_true 30 has_children "$started" 4
family=$(children "$started")
folder=$(tr '\0' '\n' <"/proc/${family%% *}/cmdline" | sed -n 's,^ipc://\(.*\)/door$,\1,p')
[ -d "$folder" ] || die "no folder \"$folder\""
until_true 30 [ -S "$folder/door" ]
kill -INT "$started"
got=0
wait "$started" || got=$?
[ "$got" -eq 130 ] || die "exit code $got after SIGINT"
until_true 10 gone "$family"
[ ! -e "$folder" ] || die "left $folder"

# The same with gearmand and its workers.
PATH="$scratch/gearman:$PATH" start "$bench" weak --mode gearman --workers 3 --sleep 100 --repeat 1
until_true 30 has_children "$started" 4
family=$(children "$started")
kill -INT "$started"
got=0
wait "$started" || got=$?
[ "$got" -eq 130 ] || die "exit code $got after SIGINT"
until_true 10 gone "$family"
