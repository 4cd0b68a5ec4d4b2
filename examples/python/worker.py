#!/usr/bin/python3
"""worker.py URL... - a worker of libfaas in Python, written from docs/PROTOCOL.md alone

    apt-get install python3-zmq python3-msgpack
    faas-dispatcher --listen tcp://127.0.0.1:5555 &
    ./worker.py tcp://127.0.0.1:5555 &
    echo hello | faas map --url tcp://127.0.0.1:5555 upper

The URLs are those of all dispatchers of one store.  The functions run one at a time in one child
process, this program again with --slot, so the worker hears and answers while one of them computes,
and can end it.  SIGTERM and SIGINT give back what has not started and finish what has.
"""
import os
import random
import signal
import socket
import subprocess
import sys
import time

import msgpack
import zmq
from zmq.utils.monitor import recv_monitor_message

import wire

GRANT = 64  # hand-outs to hold, of each dispatcher
PULL, WAITING, STARTED, ENDED = 2, 0, 1, 2
COMPLETED, FAILED = 2, 3
FUNCTION, CRASHED, EXITED, TIMEOUT, NO_FUNCTION = 1, 2, 3, 4, 7


def fail(payload):
    raise ValueError("this function always fails")


def sleep(payload):
    time.sleep(float(payload))
    return b""


FUNCTIONS = {"echo": bytes, "upper": bytes.upper, "fail": fail, "sleep": sleep}


def slot():
    """The child: [function, payload] comes in, [failure, text, payload] goes out, until end of file"""
    tasks, results = open(0, "rb", 0), os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a function prints is no result
    for name, payload in msgpack.Unpacker(tasks):
        try:
            answer = [0, "", FUNCTIONS[name](payload)]
        except Exception as error:
            answer = [FUNCTION, str(error), b""]
        try:
            results.write(msgpack.packb(answer))
            results.flush()
        except BrokenPipeError:  # the worker died
            os._exit(0)


class Handout:
    def __init__(self, door, item):
        self.key = item["id"], tuple(item["fence"])
        self.item, self.door, self.state = item, door, WAITING
        self.result = self.lost_at = self.offer_at = None

    def names(self):
        return self.key[0], list(self.key[1])


class Door:
    """One dispatcher, as this worker knows it"""

    def __init__(self, worker, url):
        self.worker, self.socket = worker, worker.context.socket(zmq.DEALER)
        self.socket.setsockopt(zmq.IMMEDIATE, 1)  # while there is no connection, messages are lost
        self.socket.setsockopt(zmq.LINGER, 1000)
        self.monitor = self.socket.get_monitor_socket(zmq.EVENT_HANDSHAKE_SUCCEEDED)
        self.socket.connect(url)
        self.epoch = self.session = self.seq = self.asked = 0
        self.interval, self.liveness, self.mode = 1.0, 3, 0
        self.heard = self.beat_at = 0.0
        self.hello_at = worker.now + self.interval  # at once when there is a connection, see turn()

    def send(self, name, *header, items=()):
        try:
            self.socket.send_multipart(wire.encode(name, self.epoch, header, items), zmq.DONTWAIT)
        except zmq.Again:
            pass  # lost, as every message may be
        self.beat_at = self.worker.now + self.interval

    def hello(self):
        self.send("HELLO", 1, self.worker.incarnation, "", f"worker.py {os.getpid()}")
        self.hello_at = self.worker.now + self.interval

    def held(self):
        return [h for h in self.worker.handouts.values() if h.door is self and h.state != ENDED]

    def register(self):
        """Say everything again: what is held, whoever gave it, and each result that was not answered"""
        w = self.worker
        w.session += 1
        self.session, self.seq, self.asked = w.session, 0, w.grant
        todo = list(w.handouts.values())
        while True:
            part, todo = todo[:128], todo[128:]
            self.send("REGISTER", w.incarnation, self.session, 1, w.grant, int(bool(todo)), list(FUNCTIONS),
                      items=[(*h.names(), h.state) for h in part])
            if not todo:
                break
        for h in w.handouts.values():
            if h.state == ENDED:
                self.offer(h)

    def offer(self, h):
        self.send("RESULT", self.session, self.worker.grant, items=[(*h.names(), 1, *h.result)])

    def tick(self):
        w = self.worker
        if not self.session or w.now >= self.heard + self.interval * self.liveness:
            if w.due(self.hello_at):
                self.hello()
            w.due(self.hello_at)
        if not self.session:
            return
        w.due(self.heard + self.interval * self.liveness)
        if self.mode == PULL and not self.asked and w.grant and len(self.held()) <= GRANT // 2:
            self.asked = w.grant
            self.send("REQUEST", self.session, w.grant)
        if w.due(self.beat_at):
            self.send("BEAT", self.session, self.seq, self.asked if self.mode == PULL else w.grant,
                      len(self.held()))
            w.due(self.beat_at)

    def receive(self):
        frames = self.socket.recv_multipart(zmq.DONTWAIT)
        if frames == [b""]:
            return  # a probe
        self.heard = self.worker.now
        try:
            name, epoch, header, items = wire.decode(frames)
        except wire.Refused as refused:
            return self.send("DISCONNECT", refused.reason, str(refused))
        if name == "WELCOME":
            self.on_welcome(epoch, header)
        elif name == "DISCONNECT":
            self.session, self.hello_at = 0, self.worker.now + self.interval
        elif name in ("TASK", "ADOPT", "CANCEL") and header["session"] != self.session:
            pass
        elif name == "TASK":
            if header["seq"] > self.seq:
                self.seq, self.asked = header["seq"], 0
                for item in items:
                    self.worker.on_task(Handout(self, item))
        elif name != "BEAT":
            for item in items:
                h = self.worker.handouts.get((item["id"], tuple(item["fence"])))
                if h:
                    self.worker.on_word(self, name, h)

    def on_welcome(self, epoch, header):
        if epoch == 0:  # it does not know us
            return self.hello()
        if header["from"] != self.epoch:  # what its predecessor gave is nobody's until ADOPT
            for h in self.held():
                h.door = None
        self.epoch, self.mode = header["from"], header["mode"]
        self.interval, self.liveness = header["interval_ms"] / 1000, header["liveness"]
        self.register()
        self.beat_at = self.worker.now + header["phase_ms"] / 1000


class Worker:
    def __init__(self, urls):
        self.incarnation, self.session, self.grant = random.getrandbits(63) | 1, 0, GRANT
        self.handouts = {}  # in the order in which they came
        self.context, self.poller = zmq.Context(), zmq.Poller()
        self.running = self.slot = self.drain_at = None
        self.now = time.monotonic()
        self.signals, self.write = socket.socketpair()
        self.write.setblocking(False)
        signal.set_wakeup_fd(self.write.fileno())
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: None)
        self.poller.register(self.signals.fileno(), zmq.POLLIN)
        self.doors = [Door(self, url) for url in urls]
        for door in self.doors:
            self.poller.register(door.socket, zmq.POLLIN)
            self.poller.register(door.monitor, zmq.POLLIN)

    def due(self, at):
        """Whether the time has come; if not, the loop wakes then"""
        if at > self.now:
            self.wake = min(self.wake, at)
        return at <= self.now

    def on_task(self, h):
        if not self.grant:
            h.door.send("RETURN", h.door.session, 0, items=[h.names()])
        elif h.item["function"] not in FUNCTIONS:
            self.handouts[h.key] = h
            self.end(h, NO_FUNCTION, 0, "this worker has no such function")
        else:
            self.handouts.setdefault(h.key, h)

    def on_word(self, door, name, h):
        """What a dispatcher says of a hand-out that is held"""
        if name == "ADOPT":
            h.door = door
        elif name == "NOT_MINE":
            h.lost_at = h.lost_at or self.now + 30
        elif name == "ACK" and h.state != ENDED:
            pass
        else:  # ACK, STALE, CANCEL
            del self.handouts[h.key]
            if h is self.running:
                self.stop_slot()

    def end(self, h, failure, code, text, payload=b""):
        h.state = ENDED
        h.result = FAILED if failure else COMPLETED, failure, code, text[:250], b"", payload
        h.offer_at = self.now + 1
        for door in [h.door] if h.door and h.door.session else self.doors:
            if door.session:
                door.offer(h)

    def start_slot(self):
        self.slot = subprocess.Popen([sys.executable, __file__, "--slot"], stdin=subprocess.PIPE,
                                     stdout=subprocess.PIPE, start_new_session=True)
        self.answers = msgpack.Unpacker(max_buffer_size=2 * wire.PAYLOAD_MAX)
        self.poller.register(self.slot.stdout.fileno(), zmq.POLLIN)

    def stop_slot(self):
        """Kills it; the next one is started when there is a task. Returns what has become of it"""
        self.poller.unregister(self.slot.stdout.fileno())
        self.slot.kill()
        status = self.slot.wait()
        self.slot.stdin.close()
        self.slot.stdout.close()
        self.slot = self.running = None
        return status

    def on_slot(self):
        data, h = os.read(self.slot.stdout.fileno(), 1 << 20), self.running
        self.answers.feed(data)
        for failure, text, payload in self.answers:
            self.running = None
            self.end(h, failure, int(failure != 0), text, payload)
        if not data:
            status = self.stop_slot_of_itself()
            if h:
                self.end(h, *((CRASHED, -status) if status < 0 else (EXITED, status)), "the slot ended")

    def stop_slot_of_itself(self):
        self.slot.wait()  # its status, before kill() could change it
        return self.stop_slot()

    def run_next(self):
        h = next((h for h in self.handouts.values() if h.state == WAITING), None)
        if h and not self.running:
            if not self.slot:
                self.start_slot()
            self.running, h.state, h.began = h, STARTED, self.now
            h.told = False
            try:
                self.slot.stdin.write(msgpack.packb([h.item["function"], h.item["payload"]]))
                self.slot.stdin.flush()
            except BrokenPipeError:
                pass  # on_slot() reads the end of file
        h = self.running
        if h and not h.told and self.due(h.began + 0.01):
            h.told = True
            if h.door and h.door.session:
                h.door.send("STARTED", h.door.session, items=[h.names()])
        if h and h.item["timeout_ms"] and self.due(h.began + h.item["timeout_ms"] / 1000):
            self.stop_slot()
            self.end(h, TIMEOUT, 0, "the function took too long")

    def offer_again(self):
        for h in list(self.handouts.values()):
            if h.lost_at and self.due(h.lost_at):
                del self.handouts[h.key]
            elif h.state == ENDED and self.due(h.offer_at):
                h.offer_at = self.now + 1
                self.due(h.offer_at)
                for door in self.doors:
                    if door.session:
                        door.offer(h)

    def drain(self):
        """Give back what has not started. Once more with a second signal, or too late: give up"""
        if self.drain_at:
            self.handouts.clear()
        self.grant, self.drain_at = 0, self.now + 10
        for door in self.doors:
            back = [h for h in door.held() if h.state == WAITING]
            for i in range(0, len(back), 128):
                door.send("RETURN", door.session, 0, items=[h.names() for h in back[i:i + 128]])
            if door.mode == PULL and door.asked:
                door.asked = 0
                door.send("REQUEST", door.session, 0)
        self.handouts = {k: h for k, h in self.handouts.items() if h.state != WAITING}

    def turn(self):
        self.wake = self.now + 60
        self.run_next()
        self.offer_again()
        for door in self.doors:
            door.tick()
        ready = dict(self.poller.poll(max(0, self.wake - self.now) * 1000 + 1))
        self.now = time.monotonic()
        if self.signals.fileno() in ready and self.signals.recv(64):
            self.drain()
        for door in self.doors:
            if door.monitor in ready and recv_monitor_message(door.monitor):
                door.hello()
            if door.socket in ready:
                door.receive()
        if self.slot and self.slot.stdout.fileno() in ready:
            self.on_slot()

    def run(self):
        while self.grant or self.handouts and not self.due(self.drain_at):
            self.turn()
        for door in self.doors:
            door.send("DISCONNECT", 0, "the worker ends")
            door.monitor.close(0)
            door.socket.close()
        if self.slot:
            self.stop_slot()
        self.context.term()


if __name__ == "__main__":
    if sys.argv[1:] == ["--slot"]:
        slot()
    elif sys.argv[1:]:
        Worker(sys.argv[1:]).run()
    else:
        sys.exit(__doc__)
