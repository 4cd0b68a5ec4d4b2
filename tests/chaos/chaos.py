#!/usr/bin/env python3
"""chaos.py - the durable system under faults, and whether it kept its promises

Dispatchers share a Redis; workers and clients come, are killed and stopped; networks break.
Clients and functions write down what happens (record.h); chaos-check reads it at the end.
Exit status 0: all promises held.
"""

import argparse
import os
import random
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time

from cluster import Cluster, until
from faults import FAULTS, Storm, possible

MAIN = ['dispatcher-kill', 'dispatcher-stop', 'worker-kill', 'redis-kill', 'redis-stop',
        'store-cut-in-reply']
SETTLE = 120  # seconds: what has not come by then does not come
# What may be left of a store's keys when all tasks are over: its table, and the part that is still
# written of each log and journal, which live counts.
KEPT = re.compile(r'meta|live|[tx]:\d+|j:\d+:\d+')


class Run:
    """The settings."""

    def __init__(self, args):
        self.build = os.path.abspath(args.build)
        self.dir = tempfile.mkdtemp(prefix='faas-chaos-', dir='/tmp')
        self.env = {**os.environ, 'FAAS_SLOTS_HELPER': self.program('libfaas/faas-slots')}
        self.store, self.mode, self.rate, self.seconds = (
            args.store, args.mode, args.rate, args.minutes * 60)
        self.net, self.prefix = args.net, 'chaos'
        self.beat_ms = 1000
        self.ttl = 60  # seconds that a result is kept
        self.redis_stop = 10
        self.pause = (1.5, 3.0)  # between faults
        self.dispatchers, self.workers, self.clients = 3, 8, 4
        if args.short:
            self.rate, self.seconds, self.ttl, self.redis_stop, self.pause = 1500, 15, 10, 2, (2, 2)
            self.dispatchers, self.workers, self.clients, self.beat_ms = 2, 3, 2, 300
        if self.store == 'memory':
            self.dispatchers = 1

    def program(self, path):
        return f'{self.build}/{path}'


def options():
    p = argparse.ArgumentParser(prog='./dev chaos', description=__doc__.split('\n', 1)[0])
    p.add_argument('--build', required=True, help=argparse.SUPPRESS)
    p.add_argument('--minutes', type=float, default=3)
    p.add_argument('--short', action='store_true', help='seconds, few processes, the main faults')
    p.add_argument('--seed', type=int, default=None)
    p.add_argument('--faults', default='', help='some of: ' + ' '.join(FAULTS) + '; none')
    p.add_argument('--no-expiry', action='store_true', help='do not wait until results expire')
    p.add_argument('--keep', metavar='DIR', help='where the files go, also of a good run')
    p.add_argument('--store', choices=['redis', 'memory'], default='redis')
    p.add_argument('--mode', choices=['push', 'pull'], default='push')
    p.add_argument('--net', choices=['tcp', 'ipc'], default='tcp')
    p.add_argument('--rate', type=int, default=6000, help='tasks a second, of all clients')
    args = p.parse_args()
    if args.seed is None:
        args.seed = int(time.time())
    can = possible(args.store)
    args.faults = [f for f in args.faults.split(',') if f]
    if not args.faults:
        args.faults = [f for f in MAIN if f in can] if args.short else can
    args.no_expiry |= args.short
    if args.faults == ['none']:
        args.faults = []
    for f in args.faults:
        if f not in can:
            p.error(f'no such fault: {f}; there are {" ".join(can)}')
    return args


def storm(run, cluster, args, log):
    """Faults until the time is over; then everything is mended."""
    began = time.monotonic()

    def say(name, hit):
        print(f'{time.monotonic() - began:8.1f} s  {name}' +
              (f', {hit.seconds:.1f} s' if hit.seconds else ''), flush=True)

    s = Storm(cluster, random.Random(args.seed), args.faults, log, say)
    strike = began + 3
    while (now := time.monotonic()) < began + run.seconds:
        if args.faults and now >= strike:
            s.strike()
            strike = now + s.rng.uniform(*run.pause)
        s.mend()
        cluster.watch()
        time.sleep(0.02)
    s.mend(everything=True)


def settle(cluster):
    """Clients take what is open and end, and so do those who ask for dead clients' tasks."""
    wrong = []
    for c in cluster.clients:
        c.signal(signal.SIGTERM)

    def done():
        cluster.watch()
        return all(p.ended() for p in cluster.clients + cluster.askers)

    try:
        until(done, SETTLE, 'settling')
    except TimeoutError:
        pass
    for p in cluster.clients + cluster.askers:
        if not p.ended():
            wrong.append(f'{p.name} still waits for results')
        elif p.popen.returncode:
            wrong.append(f'{p.name} ended with {p.popen.returncode}')
    return wrong + cluster.ends


def left_over(cluster):
    """Keys that are there though all tasks have ended and expired."""
    def others():
        keys = cluster.redis.ask('KEYS', '*')
        if keys is None:
            return ['no answer']
        names = [k.removeprefix('{%s}:' % cluster.run.prefix) for k in keys]
        logs = [k.rpartition(':')[0] for k in names]
        return [k for k, log in zip(names, logs)
                if not KEPT.fullmatch(k) or (log and logs.count(log) > 1)]

    try:
        until(lambda: not others(), cluster.run.ttl + 100, 'keys')
    except TimeoutError:
        pass
    return [f'left in Redis: {key}' for key in others()[:20]]


def check(run):
    reach = run.beat_ms * 8  # lease and liveness of 3 beats, and 2 until it is noticed
    return subprocess.run([run.program('tests/chaos/chaos-check'), run.dir, str(reach)],
                          check=False).returncode


def main():
    args = options()
    run = Run(args)
    wrong, cluster = ['interrupted'], None
    print(f'seed {args.seed}, {run.dir}', flush=True)
    try:
        with open(f'{run.dir}/faults.txt', 'w', encoding='ascii') as log:
            cluster = Cluster(run, run.dispatchers, run.workers, run.clients)
            storm(run, cluster, args, log)
        wrong = settle(cluster)
        if cluster.redis and args.no_expiry:
            print('not checked: what is left in Redis')
        elif cluster.redis:
            wrong += left_over(cluster)
        cluster.end()
        if check(run):
            wrong.append('see above')
    except KeyboardInterrupt:
        pass
    finally:
        if cluster:
            cluster.end()
        if args.keep:
            shutil.move(run.dir, args.keep)
        elif not wrong:
            shutil.rmtree(run.dir)
    for line in wrong:
        print(f'WRONG: {line}')
    print(f'seed {args.seed}: ' + (f'failed, see {args.keep or run.dir}' if wrong else 'all well'))
    return 1 if wrong else 0


if __name__ == '__main__':
    sys.exit(main())
