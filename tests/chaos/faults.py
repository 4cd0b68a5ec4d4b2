"""faults.py - what can go wrong, one generator each, and the seeded order in which it does

A generator hurts something, yields a Hit, and mends it when it is resumed.  One that finds nothing
to hurt ends at once, and another fault takes its turn; one that returns False has missed.
"""

import heapq
import os
import signal
import time
from dataclasses import dataclass


@dataclass
class Hit:
    """What check.c reads: whose second executions it explains, and for how long it goes on."""
    scope: str
    target: int = 0
    seconds: float = 0.0


def pick(rng, things):
    things = [t for t in things if not t.busy]
    return rng.choice(things) if things else None


def long(c, rng):
    """Longer than the lease of a dispatcher, and than a worker may be silent."""
    return c.run.beat_ms / 1000 * rng.uniform(3.5, 6)


def short(c, rng):
    return c.run.beat_ms / 1000 * rng.uniform(0.1, 1.5)


def kill_dispatcher(c, rng, pause):
    d = pick(rng, c.dispatchers)
    if d:
        d.busy = True
        d.kill()
        yield Hit('all', 0, pause)
        i = c.dispatchers.index(d)
        c.dispatchers[i] = c.dispatcher(i)


def stop_dispatcher(c, rng, seconds):
    if d := pick(rng, c.dispatchers):
        yield from stop(d, Hit('all', 0, seconds))


def stop(process, hit):
    process.busy = True
    process.signal(signal.SIGSTOP)
    yield hit
    process.signal(signal.SIGCONT)
    process.busy = False


def kill_worker(c, rng):
    w = pick(rng, c.workers)
    if w:
        w.kill()
        yield Hit('worker', w.number)
        c.workers[c.workers.index(w)] = c.worker()


def stop_worker(c, rng, seconds):
    if w := pick(rng, c.workers):
        yield from stop(w, Hit('worker', w.number, seconds))


def kill_slot(c, rng):
    found = c.slot()
    if found:
        pid, fd = found
        signal.pidfd_send_signal(fd, signal.SIGKILL)
        os.close(fd)
        yield Hit('slot', pid)


def kill_client(c, rng):
    victim = pick(rng, c.clients)
    victim.kill()
    yield Hit('client', victim.number)
    c.clients[c.clients.index(victim)] = c.client()
    c.ask(victim.number)


def kill_redis(c, rng, pause):
    if not c.redis.busy:
        c.redis.busy = True
        c.redis.process.kill()
        yield Hit('store', 0, pause)
        c.redis.start()
        c.redis.busy = False


def stop_redis(c, rng, seconds):
    if not c.redis.busy:
        c.redis.busy = True
        yield from stop(c.redis.process, Hit('store', 0, seconds))
        c.redis.busy = False


def fill_disk(c, rng):
    if not c.redis.busy:
        before = c.redis.starts
        c.redis.busy = True
        c.redis.set_full(True)
        yield Hit('store', 0, rng.uniform(2, 5))
        c.redis.set_full(False)
        if c.redis.process.ended():
            c.redis.start()
        c.redis.busy = False
        return c.redis.starts > before


def cut(rng):
    return f'cut {rng.randint(1, 5000)}'


def delay(rng):
    return f'delay {rng.randint(5, 300)}'


def rate(rng):
    return f'rate {rng.randint(10, 100)}000'


def link(c, rng, links, command, seconds=0.0, scope='all'):
    """What one proxy is told."""
    if p := pick(rng, links):
        p.busy = True
        p.tell(command)
        yield Hit(scope, 0, seconds)
        hit = p.tell('left') == 'ok -1\n'
        p.tell('clear')
        p.busy = False
        return hit


FAULTS = {
    'dispatcher-kill': lambda c, r: kill_dispatcher(c, r, 0),
    'dispatcher-kill-late': lambda c, r: kill_dispatcher(c, r, long(c, r)),
    'dispatcher-stop': lambda c, r: stop_dispatcher(c, r, long(c, r)),
    'dispatcher-stop-short': lambda c, r: stop_dispatcher(c, r, short(c, r)),
    'worker-kill': kill_worker,
    'worker-stop': lambda c, r: stop_worker(c, r, long(c, r)),
    'worker-stop-short': lambda c, r: stop_worker(c, r, short(c, r)),
    'slot-kill': kill_slot,
    'client-kill': kill_client,
    'redis-kill': lambda c, r: kill_redis(c, r, r.choice([0, 0.3, 3])),
    'redis-stop': lambda c, r: stop_redis(c, r, c.run.redis_stop),
    'redis-stop-short': lambda c, r: stop_redis(c, r, short(c, r)),
    'disk-full': fill_disk,
    'store-cut': lambda c, r: link(c, r, c.stores, 'cut', 0, 'store'),
    'store-cut-in-reply': lambda c, r: link(c, r, c.stores, cut(r), 1, 'store'),
    'store-delay': lambda c, r: link(c, r, c.stores, delay(r), long(c, r), 'store'),
    'store-throttle': lambda c, r: link(c, r, c.stores, rate(r), long(c, r)),
    'store-hole': lambda c, r: link(c, r, c.stores, 'hole', long(c, r)),
    'net-cut': lambda c, r: link(c, r, c.nets, 'cut'),
    'net-cut-in-message': lambda c, r: link(c, r, c.nets, cut(r), 1),
    'net-delay': lambda c, r: link(c, r, c.nets, delay(r), long(c, r)),
    'net-throttle': lambda c, r: link(c, r, c.nets, rate(r), long(c, r)),
    'net-hole': lambda c, r: link(c, r, c.nets, f'hole {r.choice(["", "up", "down"])}', long(c, r)),
}


def possible(store):
    """Without Redis a dispatcher's death is its tasks' death, which is no fault to be survived."""
    needs_redis = ('dispatcher-kill', 'redis', 'store', 'disk')
    return [f for f in FAULTS if store == 'redis' or not f.startswith(needs_redis)]


class Storm:
    """Draws faults like cards, so that each comes up, and mends them when their time is over."""

    def __init__(self, cluster, rng, names, log, say):
        self.cluster, self.rng, self.names, self.log, self.say = cluster, rng, names, log, say
        self.deck, self.going, self.count = [], [], 0

    def strike(self):
        for _ in range(len(self.names)):
            if not self.deck:
                self.deck = list(self.names)
                self.rng.shuffle(self.deck)
            if self.begin(self.deck.pop()):
                return

    def begin(self, name):
        fault = FAULTS[name](self.cluster, self.rng)
        began = time.monotonic_ns()
        hit = next(fault, None)
        if not hit:
            return False
        self.count += 1
        self.say(name, hit)
        entry = (began / 1e9 + hit.seconds, self.count, name, hit, began, fault)
        heapq.heappush(self.going, entry)
        self.mend()
        return True

    def mend(self, everything=False):
        while self.going and (everything or self.going[0][0] <= time.monotonic()):
            _, _, name, hit, began, fault = heapq.heappop(self.going)
            try:
                next(fault)
            except StopIteration as end:
                name += '-missed' if end.value is False else ''
            self.log.write(f'{name} {hit.scope} {hit.target} {began} {time.monotonic_ns()}\n')
            self.log.flush()
