#!/usr/bin/env python3
"""count-tests.py DIR[:SUITE]... - adds up what meson test wrote in these build directories

The last line is "N passed, N failed".  Each case of a TAP test counts, every other test is one.
A run that did not happen must not look green, so these count as failures, too: a lane without a
log, a registered test that is not in the log, a skipped test, a TAP test without any case, a file
tests/*/test-*.c that no target is built from.  The exit status is 0 if nothing failed and something passed.
"""

import glob
import json
import os
import re
import subprocess
import sys


def introspect(build, what):
    return json.loads(subprocess.check_output(['meson', 'introspect', '--' + what, build]))


def results(build):
    """The entries of the log; none if the lane got no further than its compiler."""
    try:
        with open(os.path.join(build, 'meson-logs', 'testlog.json'), encoding='utf-8') as log:
            return [json.loads(line) for line in log]
    except OSError:
        return []


def what_was_said(entry, limit=30):
    """The lines that tell why a test failed: from the first failed case on, or the last ones."""
    lines = (entry.get('stdout', '') + entry.get('stderr', '')).splitlines()
    first = next((i for i, line in enumerate(lines) if line.startswith('not ok')), None)
    lines = lines[-limit:] if first is None else lines[first:first + limit]
    return ''.join('\n    ' + line for line in lines)


def count_one(entry, tap):
    """(passed, failed) of one entry of the log."""
    cases = re.findall(r'^(ok|not ok)\b(.*)$', entry.get('stdout', ''), re.M) if tap else []
    passed = sum(1 for word, rest in cases if word == 'ok' and '# SKIP' not in rest.upper())
    failed = len(cases) - passed
    if not tap:
        passed = int(entry['result'] == 'OK')
    if entry['result'] != 'OK' or passed == 0:
        failed = max(failed, 1)
    return passed, failed


def count_lane(build, suite):
    """(passed, failures): a number, and a list of names."""
    try:
        expected = introspect(build, 'tests')
    except (OSError, subprocess.CalledProcessError, ValueError):
        return 0, ['the build directory cannot be read']
    if suite:
        expected = [t for t in expected if any(s.split(':')[-1] == suite for s in t['suite'])]
    log = {}
    for entry in results(build):
        log.setdefault(entry['name'].split(' / ')[-1], []).append(entry)
    passed, failures = 0, []
    if not expected:
        failures.append('there are no tests')
    for test in expected:
        name = test['name']
        if not log.get(name):
            failures.append(name + ' did not run')
            continue
        entry = log[name].pop(0)
        good, bad = count_one(entry, test['protocol'] == 'tap')
        passed += good
        failures += [f"{name}: {entry['result']}{what_was_said(entry)}"] * bad
    return passed, failures


def forgotten_files(build):
    """Files that look like tests and are in no target."""
    try:
        targets = introspect(build, 'targets')
    except (OSError, subprocess.CalledProcessError, ValueError):
        return []
    built = {os.path.realpath(path) for target in targets for part in target['target_sources']
             for path in part.get('sources', [])}
    return [path + ' is built by nothing' for path in sorted(glob.glob('tests/*/test-*.c'))
            if os.path.realpath(path) not in built]


def main(lanes):
    passed, failures = 0, []
    for lane in lanes:
        build, _, suite = lane.partition(':')
        good, bad = count_lane(build, suite)
        passed += good
        failures += [f'{build}: {text}' for text in bad]
    failures += forgotten_files(lanes[0])
    for text in failures:
        print('FAILED', text)
    print(f'{passed} passed, {len(failures)} failed')
    return 0 if passed and not failures else 1


if __name__ == '__main__':
    sys.exit(main(sys.argv[1:]))
