#!/usr/bin/env python3
"""check-harness.py BUILD - the fault tests' own tools

The checker is shown planted violations, the proxy stands before an echo, a redis has no disk.
"""

import os
import select
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time

from cluster import RECORD, Proxy, Redis, until

SUBMITTED, ACKNOWLEDGED, RESULT, ASKED, ERROR, BEGUN, ENDED = range(7)
COMPLETED = 2


class Run:
    def __init__(self, build, folder):
        self.build, self.dir, self.env = build, folder, os.environ

    def program(self, path):
        return f'{self.build}/{path}'


def judge(run, history, faults=''):
    """The checker's words about a task: (what, second, who, pid, its result is right)."""
    with tempfile.TemporaryDirectory() as folder:
        with open(f'{folder}/a.log', 'wb') as log:
            for entry in history:
                what, second, who, pid, right = entry + (0, 0, 1)[len(entry) - 2:]
                log.write(RECORD.pack(b'i' * 16, int(second * 1e9), who, pid, what, 0, right, 0,
                                      COMPLETED))
        with open(f'{folder}/faults.txt', 'w', encoding='ascii') as f:
            f.write(faults)
        p = subprocess.run([run.program('tests/chaos/chaos-check'), folder, '3000'], check=False,
                           capture_output=True, text=True)
        wrong = [line for line in p.stdout.splitlines() if line.startswith('WRONG')]
        assert p.returncode == (1 if wrong else 0), p
        return wrong[0].rpartition(': ')[2] if wrong else 'well'


def check_judge(run):
    told = [(SUBMITTED, 1), (ACKNOWLEDGED, 1.1)]
    ran = [(BEGUN, 2, 7, 70), (ENDED, 3, 7, 70)]
    twice = told + ran + [(BEGUN, 5, 8, 80), (ENDED, 6, 8, 80), (RESULT, 7)]
    unexplained = 'executed again, and no fault explains it'
    for expected, history, faults in [
            ('well', told + ran + [(RESULT, 4)], ''),
            ('well', told + ran + [(ASKED, 4)], ''),
            ('acknowledged, and no result', told + ran, ''),
            ('submitted, and never heard of', told[:1], ''),
            ('well', told[:1], 'client-kill client 0 2 2\n'),
            ('acknowledged, and no result', told, 'client-kill client 0 2 2\n'),
            ('its result was told twice', told + ran + [(RESULT, 4), (RESULT, 5)], ''),
            ('its result was told twice', told + ran + [(RESULT, 4), (ASKED, 5)], ''),
            ('it did not complete with its result', told + ran + [(RESULT, 4, 0, 0, 0)], ''),
            ('a result before any execution had ended', told + [(RESULT, 4)], ''),
            ('a result before any execution had ended', told + ran + [(RESULT, 2.5)], ''),
            ('nobody submitted it', ran, ''),
            ('a call failed', told + ran + [(RESULT, 4), (ERROR, 5)], ''),
            (unexplained, twice, ''),
            ('well', twice, 'worker-kill worker 7 2500000000 2500000000\n'),
            ('well', twice, 'worker-stop worker 8 1000000000 4000000000\n'),
            (unexplained, twice, 'worker-kill worker 6 2500000000 2500000000\n'),
            ('well', twice, 'slot-kill slot 70 2500000000 2500000000\n'),
            (unexplained, twice, 'slot-kill slot 71 2500000000 2500000000\n'),
            ('well', twice, 'dispatcher-stop all 0 1 2\n'),
            (unexplained, twice, 'redis-stop store 0 2000000000 4000000000\n'),
            (unexplained, [(w, s + 20, *r) for w, s, *r in twice], 'dispatcher-stop all 0 1 2\n'),
            ('well', [(w, s + 20, *r) for w, s, *r in twice],
             'dispatcher-stop all 0 1 2\nredis-stop store 0 1 19000000000\n'),
            (unexplained, twice, 'x all 0 5500000000 5500000000\n')]:
        words = judge(run, history, faults)
        assert words == expected, f'"{words}", expected "{expected}": {history}, {faults}'


def echo(server):
    while True:
        end, _ = server.accept()

        def serve(s=end):
            while data := s.recv(65536):
                s.sendall(data)
            s.close()
        threading.Thread(target=serve, daemon=True).start()


def receive(s, n):
    data = b''
    while len(data) < n and (more := s.recv(n - len(data))):
        data += more
    return data


def connect(path, seconds=10):
    s = socket.socket(socket.AF_UNIX)
    s.settimeout(seconds)
    s.connect(path)
    return s


def say(s, data):
    """What comes back until all is there or the connection is cut; and how long it took."""
    began = time.monotonic()
    s.sendall(data)
    try:
        back = receive(s, len(data))
    except ConnectionResetError:
        back = b'reset'
    return back, time.monotonic() - began


def check_proxy(run):
    server = socket.socket(socket.AF_UNIX)
    server.bind(f'{run.dir}/echo')
    server.listen()
    threading.Thread(target=echo, args=(server,), daemon=True).start()
    p = Proxy(run, 'proxy', f'{run.dir}/echo')
    data = os.urandom(300000)

    s = connect(p.path)
    assert say(s, data)[0] == data
    assert p.tell('count') == 'ok 1\n'
    p.tell('cut')
    assert s.recv(1) == b''
    assert p.tell('count') == 'ok 0\n'

    s = connect(p.path)
    assert say(s, b'before')[0] == b'before'
    p.tell('cut 1000')
    back, _ = say(s, data[:5000])
    assert back in (data[:1000], b'reset'), len(back)
    s = connect(p.path)
    assert say(s, data)[0] == data, 'only one connection is cut'

    p.tell('delay 100')
    back, seconds = say(s, b'x')
    assert back == b'x' and seconds > 0.19, seconds
    p.tell('clear')
    p.tell('rate 300000')
    back, seconds = say(s, data)
    assert back == data and seconds > 0.6, seconds
    p.tell('clear')

    for command in ('hole', 'hole up', 'hole down'):
        p.tell(command)
        s.settimeout(0.2)
        try:
            say(s, b'y')
            raise AssertionError(f'there is no {command}')
        except TimeoutError:
            pass
        p.tell('clear')
        s.settimeout(10)
        assert receive(s, 1) == b'y'

    os.unlink(f'{run.dir}/echo')
    p.tell('cut')
    s = connect(p.path)
    assert s.recv(1) == b'', 'nobody is there'
    p.kill()


def check_disk(run):
    """As in a run: no room, an end, a start without room, an end; then all is there again."""
    r = Redis(run)
    assert r.ask('SET', 'a', 'x') == 'OK'
    r.set_full(True)
    until(lambda: r.ask('SET', 'b', 'y' * 50000) and False or r.process.ended(), 10, 'no full disk')
    r.start()
    until(lambda: r.ask('GET', 'a') == 'x', 10, 'no redis after a full disk')
    until(lambda: r.ask('SET', 'b', 'y' * 50000) and False or r.process.ended(), 10, 'room again?')
    r.set_full(False)
    r.start()
    until(lambda: r.ask('SET', 'b', 'y' * 50000) == 'OK', 10, 'no room')
    assert r.ask('GET', 'a') == 'x'
    r.process.kill()


def check_end(run, number):
    """A run that is ended in the middle leaves no process."""
    driver = os.path.join(os.path.dirname(__file__), 'chaos.py')
    p = subprocess.Popen([driver, '--short', '--store', 'memory', '--build', run.build],
                         stdout=subprocess.PIPE, text=True)
    folder = p.stdout.readline().split()[-1]
    log = f'{folder}/executions.log'
    try:
        until(lambda: os.path.exists(log) and os.path.getsize(log) > 4000, 60, 'nothing runs')
        with open(f'/proc/{p.pid}/task/{p.pid}/children', encoding='ascii') as f:
            pids = set(map(int, f.read().split()))
        with open(log, 'rb') as f:
            pids |= {r[3] for r in RECORD.iter_unpack(f.read(4000))}
        ends = [os.pidfd_open(pid) for pid in pids]
        assert len(ends) > 5, pids
        p.send_signal(number)
        p.communicate()
        # The descriptor of a process is readable when it has ended.
        until(lambda: len(select.select(ends, [], [], 0)[0]) == len(ends), 10, 'processes stay')
    finally:
        p.kill()
        shutil.rmtree(folder)


def main():
    with tempfile.TemporaryDirectory(prefix='faas-chaos-', dir='/tmp') as folder:
        run = Run(os.path.abspath(sys.argv[1]), folder)
        check_judge(run)
        check_proxy(run)
        check_disk(run)
        check_end(run, signal.SIGINT)
        check_end(run, signal.SIGKILL)
    print('all well')


main()
