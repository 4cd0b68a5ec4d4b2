#!/usr/bin/python3
"""worker.py URL - a worker of libfaas in Python, written from docs/PROTOCOL.md alone

    apt-get install python3-zmq python3-msgpack
    faas-dispatcher --listen tcp://127.0.0.1:5555 &
    ./worker.py tcp://127.0.0.1:5555 &
    echo hello | faas map --url tcp://127.0.0.1:5555 upper

The functions run one at a time in a child process, this program again with --slot, so that the worker
hears and answers while one of them computes, and can end it.  SIGTERM gives back what has not started,
and waits for what runs and for the answers; a second one ends it at once.
"""
import os
import random
import signal
import subprocess
import sys
import time

import msgpack
import zmq

import wire

GRANT = 64  # hand-outs to hold
PULL = 2  # a mode
WAITING, STARTED, ENDED = range(3)  # states of a hand-out
COMPLETED, FAILED = 2, 3  # states of a task, and what failed:
FUNCTION, CRASHED, EXITED, TIMEOUT, NO_FUNCTION = 1, 2, 3, 4, 7


def fail(payload):
    raise ValueError("this function always fails")


def sleep(payload):
    time.sleep(float(payload))
    return b""


FUNCTIONS = {"echo": bytes, "upper": bytes.upper, "fail": fail, "sleep": sleep}


def slot():
    """The child: [function, payload] comes in, [failure, text, payload] goes out, until end of file"""
    results = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a function prints is no result
    for name, payload in msgpack.Unpacker(open(0, "rb", 0)):
        try:
            answer = [0, "", FUNCTIONS[name](payload)]
        except Exception as error:
            answer = [FUNCTION, str(error)[:250], b""]
        try:
            results.write(msgpack.packb(answer))
            results.flush()
        except BrokenPipeError:
            os._exit(0)  # the worker died


class Worker:
    def __init__(self, url):
        self.socket = zmq.Context.instance().socket(zmq.DEALER)
        self.socket.setsockopt(zmq.LINGER, 1000)
        self.socket.setsockopt(zmq.IMMEDIATE, 1)  # no heap of HELLOs for a dispatcher that is away
        self.socket.connect(url)
        self.poller = zmq.Poller()
        self.poller.register(self.socket, zmq.POLLIN)
        self.incarnation, self.epoch, self.session, self.registered = random.getrandbits(63) | 1, 0, 0, False
        self.mode, self.interval, self.liveness = 0, 1.0, 3
        self.seq = self.asked = 0  # the last TASK; pull: what was asked for and not answered
        self.heard = self.hello_at = self.beat_at = 0.0
        self.held = {}  # (id, fence): the hand-out, in the order in which they came
        self.running = self.slot = None
        self.grant = GRANT
        signal.signal(signal.SIGTERM, self.drain)

    def send(self, name, *header, items=()):
        self.beat_at = time.monotonic() + self.interval
        try:
            self.socket.send_multipart(wire.encode(name, self.epoch, header, items), zmq.DONTWAIT)
        except zmq.Again:
            return False  # no connection, or it is full: lost, as every message may be
        return True

    def open(self):  # hand-outs without a result that this dispatcher counts
        return sum(h["state"] != ENDED and h["counted"] for h in self.held.values())

    def offered(self):
        return self.asked if self.mode == PULL else self.grant

    def on_welcome(self, welcome):
        """Say everything again: what is held, whoever gave it, and each result that was not answered"""
        if welcome["from"] != self.epoch:
            for h in self.held.values():
                h["counted"] = False  # until ADOPT
        self.epoch, self.mode = welcome["from"], welcome["mode"]
        self.interval, self.liveness = welcome["interval_ms"] / 1000, welcome["liveness"]
        self.session, self.registered, self.seq, self.asked = self.session + 1, True, 0, self.grant
        lines = [(*key(h), h["state"]) for h in self.held.values()]
        parts = [lines[i:i + 128] for i in range(0, len(lines), 128)] or [[]]
        for part in parts:
            self.send("REGISTER", self.incarnation, self.session, 1, self.grant, int(part is not parts[-1]),
                      list(FUNCTIONS), items=part)
        for h in self.held.values():
            h["again"] = 0.0
        self.beat_at = time.monotonic() + welcome["phase_ms"] / 1000

    def on_task(self, item):
        h = self.held.setdefault(key_of(item), {**item, "state": WAITING, "counted": True})
        if item["function"] not in FUNCTIONS:
            self.end(h, NO_FUNCTION, 0, "this worker has no such function")

    def end(self, h, failure, code=0, text="", payload=b""):
        if h is self.running:
            self.running = None
        h.update(state=ENDED, again=0.0, result=(FAILED if failure else COMPLETED, failure, code, text, b"", payload))

    def receive(self):
        frames = self.socket.recv_multipart()
        if frames == [b""]:
            return  # a probe
        try:
            name, epoch, header, items = wire.decode(frames)
        except (ValueError, TypeError, LookupError) as error:
            print(f"worker.py: not a message: {error}", file=sys.stderr)
            return
        self.heard = time.monotonic()
        if name == "WELCOME" and epoch == 0:
            self.hello_at, self.registered = 0.0, False  # it does not know us: HELLO
        elif name == "WELCOME":
            self.on_welcome(header)
        elif name == "DISCONNECT":
            self.hello_at, self.registered = self.heard + self.interval, False
        elif name in ("TASK", "ADOPT", "CANCEL") and header["session"] != self.session:
            pass  # of a session that is over
        elif name == "TASK" and header["seq"] > self.seq:
            self.seq, self.asked = header["seq"], 0
            for item in items:
                self.on_task(item)
        else:
            for h in filter(None, (self.held.get(key_of(item)) for item in items)):
                if name == "ADOPT":
                    h["counted"] = True
                elif name == "NOT_MINE":
                    h.setdefault("lost", self.heard + 30)
                elif name in ("STALE", "CANCEL") or name == "ACK" and h["state"] == ENDED:
                    del self.held[key_of(h)]
                    if h is self.running:
                        self.stop_slot()

    def stop_slot(self):
        self.poller.unregister(self.slot.stdout.fileno())
        self.slot.kill()
        self.slot.wait()
        self.slot.stdout.close()
        try:
            self.slot.stdin.close()
        except BrokenPipeError:
            pass
        self.slot = self.running = None

    def on_slot(self):
        data, h = os.read(self.slot.stdout.fileno(), 1 << 20), self.running
        self.answers.feed(data)
        for failure, text, payload in self.answers:
            self.end(h, failure, int(failure != 0), text, payload)
        if not data:
            status = self.slot.wait()
            self.stop_slot()
            if h:
                self.end(h, CRASHED if status < 0 else EXITED, abs(status), "the slot ended")

    def run_next(self, now):
        h = next((h for h in self.held.values() if h["state"] == WAITING), None)
        if h and not self.running:
            if not self.slot:
                self.slot = subprocess.Popen([sys.executable, __file__, "--slot"], stdin=subprocess.PIPE,
                                             stdout=subprocess.PIPE, start_new_session=True)
                self.answers = msgpack.Unpacker(max_buffer_size=16 << 20)
                self.poller.register(self.slot.stdout.fileno(), zmq.POLLIN)
            self.running = h
            h.update(state=STARTED, began=now, told=False)
            try:
                self.slot.stdin.write(msgpack.packb([h["function"], h["payload"]]))
                self.slot.stdin.flush()
            except BrokenPipeError:
                pass  # on_slot() reads the end of file
        h = self.running
        if h and not h["told"] and now > h["began"] + 0.01:
            h["told"] = True
            self.send("STARTED", self.session, items=[key(h)])
        if h and h["timeout_ms"] and now > h["began"] + h["timeout_ms"] / 1000:
            self.stop_slot()
            self.end(h, TIMEOUT, 0, "the function took too long")

    def say(self, now):
        """What is due"""
        if not self.registered or now > self.heard + self.interval * self.liveness:
            if now > self.hello_at:
                if self.send("HELLO", 1, self.incarnation, "", f"worker.py {os.getpid()}"):
                    self.hello_at = now + self.interval
            return
        if self.grant == 0:  # draining
            back = [key(h) for h in self.held.values() if h["state"] == WAITING]
            for i in range(0, len(back), 128):
                self.send("RETURN", self.session, 0, items=back[i:i + 128])
            self.held = {k: h for k, h in self.held.items() if h["state"] != WAITING}
        for h in list(self.held.values()):
            if now > h.get("lost", now):  # for half a minute its partition has been nobody's
                del self.held[key_of(h)]
            elif h["state"] == ENDED and now > h["again"]:
                h["again"] = now + 1
                self.send("RESULT", self.session, self.offered(), items=[(*key(h), 1, *h["result"])])
        if self.mode == PULL and not self.asked and self.grant and self.open() <= GRANT // 2:
            self.asked = self.grant
            self.send("REQUEST", self.session, self.asked)
        if now > self.beat_at:
            self.send("BEAT", self.session, self.seq, self.offered(), self.open())

    def drain(self, *_):
        self.grant = self.asked = 0
        signal.signal(signal.SIGTERM, signal.SIG_DFL)

    def run(self):
        while self.grant or self.held:
            now = time.monotonic()
            self.run_next(now)
            self.say(now)
            busy = self.running or any(h["state"] == ENDED for h in self.held.values())
            ready = dict(self.poller.poll(10 if busy else 50))
            if self.socket in ready:
                self.receive()
            if self.slot and self.slot.stdout.fileno() in ready:
                self.on_slot()
        self.send("DISCONNECT", 0, "the worker ends")
        if self.slot:
            self.stop_slot()


def key(h):  # as messages carry it
    return h["id"], h["fence"]


def key_of(item):  # as a dictionary wants it
    return item["id"], tuple(item["fence"][:3])


if __name__ == "__main__":
    if sys.argv[1:] == ["--slot"]:
        slot()
    elif len(sys.argv) == 2:
        Worker(sys.argv[1]).run()
    else:
        sys.exit(__doc__)
