#!/bin/sh
# sanitized.sh PROGRAM [ARG...] - runs a test of the sanitizer lane; fails if any of its processes got
# a report.
#
# The exit status alone does not tell: Criterion runs each test in a process of its own and does not
# look at what becomes of it after the test's end, which is when leaks are found; and a test may not
# look at its children's.  So every process writes its report to a file, and no file may be there.
# tests/meta/check-leak.sh proves that this works.
#
# Undefined behaviour is compiled as a trap, SIGILL, which AddressSanitizer reports: gcc's two runtimes
# in one process do not share the file for reports, and a message on standard error gets lost.  Other
# signals are left alone: that a slot died of SIGSEGV must be seen by whoever waits for it.
set -u

dir=$(mktemp -d "${TMPDIR:-/tmp}/faas-sanitized-XXXXXX") || exit 1
trap 'rm -rf "$dir"' EXIT
ASAN_OPTIONS=detect_leaks=1:detect_stack_use_after_return=1:strict_string_checks=1
ASAN_OPTIONS=$ASAN_OPTIONS:handle_segv=0:handle_abort=0:handle_sigbus=0:handle_sigfpe=0:handle_sigill=1
export ASAN_OPTIONS="$ASAN_OPTIONS:log_path=$dir/report"

"$@"
status=$?
for report in "$dir"/*; do
        [ -e "$report" ] || break
        cat "$report" >&2
        # Forked while another thread ran: a remark, and what is found is found all the same.
        if grep -qv 'was not suspended. False leaks are possible' "$report"; then status=1; fi
done
exit $status
