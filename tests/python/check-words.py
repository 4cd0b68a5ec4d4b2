#!/usr/bin/python3
"""check-words.py - examples/python/worker.py and a dispatcher that says what a real one seldom says"""
import os
import pathlib
import re
import signal
import subprocess
import sys
import tempfile
import time

import zmq

root = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(root / "examples" / "python"))
import wire  # noqa: E402

workers = []
scratch = tempfile.TemporaryDirectory(prefix="faas-python-")
PUSH, PULL = 1, 2


def vector(path):
    """The frames of a vector, and what a writer makes of the same message"""
    read = [[b""]]
    for line in path.read_text().splitlines():
        line = line.split("#")[0].strip()
        if line == "==":
            read.append([b""])
        elif line == "--":
            read[-1].append(b"")
        for byte, times in re.findall(r"\b([0-9a-f]{2})(?:\*(\d+))?(?!\S)", line):
            read[-1][-1] += bytes.fromhex(byte) * int(times or 1)
    return read[0], read[-1]


def vectors():
    n = 0
    for path in (root / "tests" / "vectors").glob("y_*.hex"):
        frames, written = vector(path)
        if re.search(r"type: (STATUS|QUERY|REPORT)", path.read_text()) or "more-elements" in path.name:
            continue  # neither of the two examples has these; nor does one write what is not defined
        name, epoch, header, items = wire.decode(frames)
        encoded = wire.encode(name, epoch, header.values(), [i.values() for i in items])
        if "row" in path.name:  # it reads rows, and writes each item whole
            assert wire.decode(encoded) == (name, epoch, header, items) and items, path.name
        else:
            assert encoded == written, path.name
        n += 1
    assert n > 40, n


class Bed:
    """The worker, and I am its dispatcher"""

    def __init__(self, mode=PUSH, welcome=True):
        url = f"ipc://{tempfile.mkdtemp(dir=scratch.name)}/door"
        self.socket = zmq.Context.instance().socket(zmq.ROUTER)
        self.socket.linger = 0
        self.socket.bind(url)
        self.worker = subprocess.Popen([sys.executable, root / "examples/python/worker.py", url])
        workers.append(self.worker)
        self.until = time.monotonic() + 60  # for all that is waited for
        self.epoch, self.mode, self.session, self.seq = 1000, mode, 0, 0
        header = self.get("HELLO")
        assert header["role"] == 1 and header["from"], header
        self.incarnation = header["from"]
        if welcome:
            self.welcome()

    def send(self, name, *header, items=(), epoch=None):
        epoch = self.incarnation if epoch is None else epoch
        self.socket.send_multipart([self.peer] + wire.encode(name, epoch, header, items))

    def get(self, wanted, but=("BEAT",)):
        """The header of the next message that is none of those; it is a `wanted`. Its items: self.items"""
        while self.socket.poll(max(0, self.until - time.monotonic()) * 1000):
            self.peer, *frames = self.socket.recv_multipart()
            name, epoch, header, self.items = wire.decode(frames)
            if name not in but or name == wanted:
                assert name == wanted, f"{name} {header} {self.items}, expected {wanted}"
                return header
        raise AssertionError(f"no {wanted}")

    def welcome(self):
        self.send("WELCOME", self.epoch, self.mode, 100, 1000, 10, 1, 1, [])
        header = self.get("REGISTER")
        assert header["session"] == self.session + 1 and header["from"] == self.incarnation, header
        self.session, self.seq = header["session"], 0
        return header

    def task(self, *tasks, session=None, seq=None):
        """(n, function, payload, timeout): a hand-out each"""
        self.seq += len(tasks)
        self.send("TASK", session or self.session, seq or self.seq, items=[
            (b"%016d" % n, [7, 1, n], function, "", 0, b"", ms, payload) for n, function, payload, ms in tasks])

    def word(self, name, *ns):
        self.send(name, self.session, items=[(b"%016d" % n, [7, 1, n]) for n in ns])

    def results(self, *ns):
        """Of exactly these; n: (state, failure, code, payload)"""
        got = {}
        while set(got) != set(ns):
            self.get("RESULT", ("BEAT", "STARTED", "REQUEST"))
            for i in self.items:
                assert i["id"] == b"%016d" % i["fence"][2] and i["fence"][2] in ns, i
                got[i["fence"][2]] = i["state"], i["failure"], i["code"], i["payload"]
        return got

    def beat(self, **wanted):
        """A beat that says so comes"""
        while True:
            header = self.get("BEAT", ("BEAT", "STARTED", "REQUEST"))
            if all(header[k] == v for k, v in wanted.items()):
                return

    def end(self):
        self.worker.terminate()
        self.get("DISCONNECT", ("BEAT", "STARTED", "REQUEST"))
        assert self.worker.wait(20) == 0
        self.socket.close()


def opens():
    """Who is not known says HELLO; a probe says nothing; DISCONNECT is the end until the next HELLO"""
    bed = Bed(welcome=False)
    bed.send("WELCOME", 0, PUSH, 100, 1000, 0, 1, 1, [], epoch=0)
    assert bed.get("HELLO")["from"] == bed.incarnation
    header = bed.welcome()
    assert header["grant"] == 64 and not header["more"] and not bed.items, header
    assert set(header["names"]) >= {"echo", "upper", "fail"}, header
    bed.socket.send_multipart([bed.peer, b""])
    bed.socket.send_multipart([bed.peer, b"\xc1"])
    bed.socket.send_multipart([bed.peer, b"\x93\x02\x05\x00"])  # of version 2
    bed.beat(seq=0, grant=64, held=0)
    bed.send("DISCONNECT", 0, "")
    assert bed.get("HELLO")["from"] == bed.incarnation
    bed.welcome()
    bed.end()


def runs():
    bed = Bed()
    large = os.urandom(9000)
    bed.task((1, "echo", large, 0), (2, "upper", b"two", 0), (3, "echo", b"", 0), (4, "fail", b"", 0),
             (5, "sleep", b"60", 50), (6, "nosuch", b"", 0))
    got = bed.results(1, 2, 3, 4, 5, 6)
    assert [got[n] for n in (1, 2, 3)] == [(2, 0, 0, p) for p in (large, b"TWO", b"")], got
    assert [got[n][:2] for n in (4, 5, 6)] == [(3, 1), (3, 4), (3, 7)], got
    # What is not answered, or by NOT_MINE, comes again.
    bed.word("ACK", 1, 2, 3)
    bed.word("STALE", 4)
    bed.word("NOT_MINE", 5)
    bed.results(5, 6)
    bed.word("ACK", 5, 6)
    # A repeat and one of another session are dropped, and the count goes on.
    bed.task((7, "echo", b"x", 0), session=bed.session + 1)
    bed.seq = 6
    bed.task((8, "echo", b"x", 0), seq=6)
    bed.seq = 6
    bed.task((9, "echo", b"x", 0))
    bed.results(9)
    bed.word("ACK", 9)
    bed.beat(seq=7, held=0)
    bed.end()


def is_taken_from():
    """CANCEL and STALE, of what runs and of what waits; a slot that dies"""
    bed = Bed()
    for word in "CANCEL", "STALE":
        n = bed.seq
        bed.task((n + 1, "sleep", b"60", 0), (n + 2, "echo", b"", 0), (n + 3, "echo", b"", 0))
        bed.get("STARTED")
        assert [i["fence"][2] for i in bed.items] == [n + 1]
        bed.word(word, n + 2, n + 1)
        bed.results(n + 3)
        bed.word("ACK", n + 3)
        bed.beat(held=0)
    bed.task((10, "sleep", b"60", 0))
    bed.get("STARTED")
    pid = bed.worker.pid
    child, = pathlib.Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    os.kill(int(child), signal.SIGKILL)
    assert bed.results(10)[10][:3] == (3, 2, 9)
    bed.word("ACK", 10)
    bed.end()


def is_adopted():
    """Another dispatcher: everything is listed, and counted once it is adopted"""
    bed = Bed()
    bed.task((1, "echo", b"", 0), (2, "sleep", b"60", 0), *((n, "echo", b"", 0) for n in range(3, 203)))
    bed.results(1)
    bed.get("STARTED", ("BEAT", "RESULT"))
    bed.epoch += 1
    header = bed.welcome()
    states = {i["fence"][2]: i["state"] for i in bed.items}
    assert header["more"] == 1 and len(states) == 128, (header, states)
    last = bed.get("REGISTER", ("BEAT", "RESULT"))
    states.update({i["fence"][2]: i["state"] for i in bed.items})
    assert not last["more"] and last["session"] == bed.session, last
    assert states == {1: 2, 2: 1, **{n: 0 for n in range(3, 203)}}, states
    assert bed.results(1)[1][0] == 2
    bed.word("ACK", 1)
    bed.beat(held=0, seq=0)
    bed.word("ADOPT", 1, 2, 3, 999)
    bed.word("ADOPT", 3)
    bed.beat(held=2)
    bed.word("STALE", *range(2, 203))
    bed.beat(held=0)
    bed.end()


def drains():
    bed = Bed()
    bed.task((1, "sleep", b"0.5", 0), (2, "echo", b"", 0))
    bed.get("STARTED")
    bed.worker.terminate()
    assert bed.get("RETURN")["grant"] == 0
    assert [i["fence"][2] for i in bed.items] == [2]
    bed.task((3, "echo", b"", 0))  # it was on the way
    assert bed.get("RETURN")["grant"] == 0
    assert [i["fence"][2] for i in bed.items] == [3]
    bed.results(1)
    bed.word("ACK", 1)
    assert bed.get("DISCONNECT")["reason"] == 0
    assert bed.worker.wait(20) == 0
    # Nobody answers: the second signal ends it.
    bed = Bed()
    bed.task((1, "echo", b"", 0))
    bed.results(1)
    bed.worker.terminate()
    bed.results(1)
    bed.worker.terminate()
    assert bed.worker.wait(20) == -signal.SIGTERM


def asks():
    """Pull: one request at a time, and the beats say it until it is answered"""
    bed = Bed(PULL, welcome=False)
    assert bed.welcome()["grant"] == 64
    bed.beat(grant=64)
    bed.task(*((n, "sleep", b"60", 0) for n in range(1, 41)))
    bed.beat(grant=0, seq=40, held=40)
    bed.word("STALE", *range(1, 9))
    assert bed.get("REQUEST", ("BEAT", "STARTED"))["grant"] == 64
    bed.beat(grant=64, held=32)
    bed.word("STALE", *range(9, 41))
    bed.beat(grant=64, held=0)
    bed.end()


signal.signal(signal.SIGTERM, lambda *_: sys.exit("interrupted"))  # and clean up
vectors()
try:
    for check in opens, runs, is_taken_from, is_adopted, drains, asks:
        began = time.monotonic()
        check()
        print(f"{check.__name__}: {time.monotonic() - began:.1f} s", flush=True)
finally:
    for worker in workers:
        if worker.poll() is None:
            worker.kill()
            worker.wait()
