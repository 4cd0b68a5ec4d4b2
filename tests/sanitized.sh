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
#
# Criterion itself leaks 48 bytes once in a few thousand runs.  A suppression would take away every leak
# of a test, which Criterion calls: so what is passed over is a report of leaks in which it is always
# Criterion that asked for the memory.
set -u
EXIT=77 # of a process with a report

dir=$(mktemp -d "${TMPDIR:-/tmp}/faas-sanitized-XXXXXX") || exit 1
trap 'rm -rf "$dir"' EXIT
out=$dir/out
ASAN_OPTIONS=detect_leaks=1:detect_stack_use_after_return=1:strict_string_checks=1
ASAN_OPTIONS=$ASAN_OPTIONS:handle_segv=0:handle_abort=0:handle_sigbus=0:handle_sigfpe=0:handle_sigill=1
export ASAN_OPTIONS="$ASAN_OPTIONS:exitcode=$EXIT:log_path=$dir/report"

is_criterions() {
        grep -q 'ERROR: LeakSanitizer' "$1" && ! grep -q 'ERROR: AddressSanitizer' "$1" &&
                ! grep '^    #1 ' "$1" | grep -qv '/libcriterion\.so'
}

# A process that ends for a report loses what it had not written yet: all that Criterion says, if it is
# Criterion's own.  Then it is run again.
for try in 1 2 3; do
        "$@" >"$out"
        status=$?
        bad=0 passed=0
        for report in "$dir"/report*; do
                [ -e "$report" ] || break
                cat "$report" >&2
                # Forked while another thread ran: a remark, and what is found is found all the same.
                grep -qv 'was not suspended. False leaks are possible' "$report" || continue
                if is_criterions "$report"; then passed=1; else bad=1; fi
        done
        rm -f "$dir"/report*
        [ $bad -eq 0 ] && [ $status -eq $EXIT ] && [ $passed -eq 1 ] || break
done
cat "$out"
[ $bad -eq 0 ] || exit 1
exit $status
