#!/bin/sh
# sanitized.sh PROGRAM [ARG...] - runs a test of the sanitizer lane; fails if any of its processes got
# a report.
#
# The exit status alone does not tell: Criterion runs each test in a process of its own and does not
# look at what becomes of it after the test's end, which is when leaks are found; and a test may not
# look at its children's.  So every process writes its report to a file, and no file may be there.
# tests/meta/check-leak.sh proves that this works.
#
# Signals are left alone: that a slot died of SIGSEGV must be seen by whoever waits for it.
set -u

dir=$(mktemp -d "${TMPDIR:-/tmp}/faas-sanitized-XXXXXX") || exit 1
trap 'rm -rf "$dir"' EXIT
signals=handle_segv=0:handle_abort=0:handle_sigbus=0:handle_sigfpe=0:handle_sigill=0
export ASAN_OPTIONS="detect_leaks=1:detect_stack_use_after_return=1:strict_string_checks=1:$signals:log_path=$dir/report"
export UBSAN_OPTIONS="print_stacktrace=1:$signals:log_path=$dir/report"

"$@"
status=$?
for report in "$dir"/*; do
        [ -e "$report" ] || break
        cat "$report" >&2
        status=1
done
exit $status
