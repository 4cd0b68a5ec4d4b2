#!/usr/bin/python3
"""client.py URL FUNCTION PAYLOAD... - runs FUNCTION on each payload by way of the dispatcher at URL and
prints the results in their order.  Written from docs/PROTOCOL.md alone, and needs what worker.py needs.

    ./client.py tcp://127.0.0.1:5555 upper hello world
"""
import random
import sys
import time
import uuid

import zmq

import wire

ENDS = {2: "completed", 3: "failed", 4: "cancelled", 16: "not found", 17: "gone"}
FULL, UNAVAILABLE = 6, 10


class Client:
    def __init__(self, url):
        self.socket = zmq.Context.instance().socket(zmq.DEALER)
        self.socket.setsockopt(zmq.LINGER, 1000)
        self.socket.setsockopt(zmq.IMMEDIATE, 1)  # no heap of messages for a dispatcher that is away
        self.socket.connect(url)
        self.incarnation, self.epoch = random.getrandbits(63) | 1, 0
        self.welcome, self.interval, self.liveness = False, 1.0, 3
        self.heard = self.hello_at = self.beat_at = 0.0
        self.open = {}  # id: [the item of its SUBMIT, whether it was accepted]
        self.done = {}  # id: the item of its DONE

    def send(self, name, *header, items=()):
        self.beat_at = time.monotonic() + self.interval
        try:
            self.socket.send_multipart(wire.encode(name, self.epoch, header, items), zmq.DONTWAIT)
        except zmq.Again:
            return False  # no connection, or it is full: lost, as every message may be
        return True

    def submit(self, function, payload, timeout_ms=0, retries=0):
        item = [uuid.uuid4().bytes, function, "", 0, b"", timeout_ms, 0, retries, payload]
        self.open[item[0]] = [item, False]
        if self.welcome:
            self.send("SUBMIT", items=[item])
        return item[0]

    def say_again(self):
        for item, accepted in list(self.open.values()):
            if accepted:
                self.send("WAIT", items=[[item[0]]])
            else:
                self.send("SUBMIT", items=[item])

    def turn(self):
        now = time.monotonic()
        if (not self.welcome or now > self.heard + self.interval * self.liveness) and now > self.hello_at:
            if self.send("HELLO", 0, self.incarnation, "", "client.py"):
                self.hello_at = now + self.interval
        elif self.welcome and self.open and now > self.beat_at:
            self.send("BEAT", 0, 0, 0, len(self.open))
        if self.socket.poll(50):
            frames = self.socket.recv_multipart()
            if frames != [b""]:  # a probe
                self.receive(*wire.decode(frames))

    def receive(self, name, epoch, header, items):
        self.heard = time.monotonic()
        if name == "WELCOME" and epoch == 0:
            self.welcome, self.hello_at = False, 0
        elif name == "WELCOME":
            self.welcome, self.epoch = True, header["from"]
            self.interval, self.liveness = header["interval_ms"] / 1000, header["liveness"]
            self.say_again()
        elif name == "DISCONNECT":
            self.welcome, self.hello_at = False, self.heard + self.interval
        elif name == "BEAT" and header["held"] != len(self.open):
            self.say_again()
        elif name == "ACCEPTED":
            for item in items:
                self.on_accepted(item["id"], item["state"])
        elif name == "DONE":
            for item in items:
                if item["state"] in ENDS and self.open.pop(item["id"], None):
                    self.done[item["id"]] = item
                    self.send("COLLECTED", items=[[item["id"]]])

    def on_accepted(self, task_id, state):
        if task_id in self.open and state == 0:
            self.open[task_id][1] = True
        elif task_id in self.open and state not in (FULL, UNAVAILABLE):  # those: again, after a beat
            del self.open[task_id]
            self.done[task_id] = {"state": 3, "text": f"refused with {state}", "payload": b""}

    def result(self, task_id):
        while task_id not in self.done:
            self.turn()
        return self.done.pop(task_id)


if __name__ == "__main__":
    if len(sys.argv) < 4:
        sys.exit(__doc__)
    client, failed = Client(sys.argv[1]), False
    for task in [client.submit(sys.argv[2], payload.encode()) for payload in sys.argv[3:]]:
        result = client.result(task)
        failed |= result["state"] != 2
        print(result["payload"].decode() if result["state"] == 2 else
              f"{ENDS[result['state']]}: {result['text']}")
    client.socket.close()
    sys.exit(3 if failed else 0)
