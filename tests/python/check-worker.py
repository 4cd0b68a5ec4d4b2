#!/usr/bin/python3
"""check-worker.py FAAS DISPATCHER WORKER - examples/python with the real programs, in push and in pull mode"""
import json
import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import time

faas, dispatcher, c_worker = map(os.path.realpath, sys.argv[1:4])
examples = pathlib.Path(__file__).resolve().parents[2] / "examples" / "python"
scratch = tempfile.TemporaryDirectory(prefix="faas-python-")
started = []


def start(*command):
    p = subprocess.Popen(command)
    started.append(p)
    return p


def py_worker(url):
    return start(sys.executable, examples / "worker.py", url)


def until(what, condition):
    end = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < end, f"never true: {what}"
        time.sleep(0.02)


def children(p):
    return pathlib.Path(f"/proc/{p.pid}/task/{p.pid}/children").read_text().split()


class Bed:
    """A dispatcher at a place of its own"""

    def __init__(self, mode, *options):
        self.url = f"ipc://{tempfile.mkdtemp(dir=scratch.name)}/door"
        self.dispatcher = start(dispatcher, "--mode", mode, "--listen", self.url, "--log-level", "warning",
                                *options)

    def faas(self, *arguments, stdin=b"", status=0):
        p = subprocess.run([faas, "--url", self.url, *arguments], input=stdin, capture_output=True, timeout=60)
        assert p.returncode == status, (arguments, p.returncode, p.stderr)
        return p.stdout

    def workers(self):
        """pid: results, of the workers in Python; 0: those of the one in C"""
        found = json.loads(self.faas("--json", "workers"))
        return {int(w["name"][10:]) if w["name"].startswith("worker.py ") else 0: w["done"] for w in found}

    def stats(self):
        return json.loads(self.faas("--json", "stats"))

    def is_there(self, *workers):
        until("the workers are there", lambda: set(self.workers()) == {w.pid for w in workers})

    def status(self, task):
        return self.faas("status", task).decode().strip()

    def submit(self, *arguments):
        return self.faas("submit", *arguments).decode().strip()

    def end(self, *workers):
        """In good order, with status 0"""
        for p in (*workers, self.dispatcher):
            p.terminate()
            assert p.wait(30) == 0, p.args


def runs(mode):
    bed = Bed(mode)
    w = py_worker(bed.url)
    lines = b"".join(b"line %d\n" % i for i in range(1000))
    assert bed.faas("map", "echo", stdin=lines) == lines
    assert bed.faas("run", "upper", "abc") == b"ABC"
    large = bytes(range(97, 113)) * 6400
    assert bed.faas("run", "upper", "-", stdin=large) == large.upper()
    p = subprocess.run([faas, "--url", bed.url, "run", "fail", "x"], capture_output=True, timeout=60)
    assert p.returncode == 3 and b"this function always fails" in p.stderr, p
    p = subprocess.run([sys.executable, examples / "client.py", bed.url, "upper", "a", "b"],
                       capture_output=True, timeout=60)
    assert p.returncode == 0 and p.stdout == b"A\nB\n", p
    # Nothing was lost, done twice, or needed a second look.
    s = bed.stats()
    assert s["handed_out"] == s["completed"] + s["failed"] == 1005, s
    assert not (s["requeued"] or s["stale_results"] or s["bad_messages"] or s["lost_workers"]), s
    bed.end(w)


def cancels(mode):
    bed = Bed(mode)
    w = py_worker(bed.url)
    first, second = bed.submit("sleep", "60"), bed.submit("sleep", "60")
    until("it has a slot, which gets the first at once", lambda: children(w))
    for task in second, first:
        bed.faas("cancel", task)
        until("it is cancelled", lambda: bed.status(task) == "CANCELLED")
    assert bed.faas("run", "echo", "on") == b"on"
    bed.end(w)


def gives_back(mode):
    """SIGTERM: what runs is finished, what waits goes to another one without a strike"""
    bed = Bed(mode)
    first = py_worker(bed.url)
    bed.is_there(first)
    tasks = [bed.submit("sleep", "0.7") for _ in range(3)]
    until("the first runs", lambda: first.pid in bed.workers() and bed.stats()["running"] == 3)
    second = py_worker(bed.url)
    first.terminate()
    for task in tasks:
        assert bed.faas("wait", task) == b""
    assert first.wait(30) == 0
    s = bed.stats()
    assert s["strikes"] == s["lost_workers"] == 0 and s["handed_out"] == 3 + s["requeued"] > 3, s
    bed.end(second)


def dies(mode):
    bed = Bed(mode, "--heartbeat", "100")
    workers = [py_worker(bed.url) for _ in range(2)]
    bed.is_there(*workers)
    lines = b"0.01\n" * 300
    p = subprocess.Popen([faas, "--url", bed.url, "map", "sleep"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    started.append(p)
    p.stdin.write(lines)
    p.stdin.close()
    until("the first works", lambda: bed.workers().get(workers[0].pid, 0) > 5)
    workers[0].kill()
    assert p.stdout.read() == b"\n" * 300 and p.wait(30) == 0
    until("the loss is noticed", lambda: bed.stats()["lost_workers"] == 1)
    s = bed.stats()
    assert s["requeued"] > 0 and s["completed"] == 300, s
    bed.end(workers[1])


def stands_still(mode):
    bed = Bed(mode, "--heartbeat", "100")
    w = py_worker(bed.url)
    bed.is_there(w)
    task = bed.submit("sleep", "0.1")
    w.send_signal(signal.SIGSTOP)
    until("it is lost", lambda: bed.stats()["lost_workers"] == 1)
    assert not bed.workers()
    w.send_signal(signal.SIGCONT)
    bed.is_there(w)
    assert bed.faas("wait", task) == b""
    assert bed.faas("run", "echo", "again") == b"again"
    bed.end(w)


def beside_c(mode):
    bed = Bed(mode)
    workers = [py_worker(bed.url), start(c_worker, "--slots", "1", "--log-level", "warning", bed.url)]
    until("both are there", lambda: set(bed.workers()) == {workers[0].pid, 0})
    lines = b"0.005\n" * 400
    assert bed.faas("map", "sleep", stdin=lines) == b"\n" * 400
    done = bed.workers()
    assert min(done.values()) > 20 and sum(done.values()) == 400, done
    assert bed.faas("map", "upper", stdin=b"a\nb\n") == b"A\nB\n"  # only one of them has it
    bed.end(*workers)


def restarts(mode):
    """The dispatcher is another one, at the same place: the worker is there again"""
    bed = Bed(mode, "--heartbeat", "100")
    w = py_worker(bed.url)
    bed.is_there(w)
    bed.dispatcher.kill()
    bed.dispatcher.wait()
    bed.dispatcher = start(dispatcher, "--mode", mode, "--listen", bed.url, "--log-level", "warning")
    bed.is_there(w)
    assert bed.faas("run", "upper", "abc") == b"ABC"
    bed.end(w)


signal.signal(signal.SIGTERM, lambda *_: sys.exit("interrupted"))  # and clean up
try:
    for check in runs, cancels, gives_back, dies, stands_still, beside_c, restarts:
        for mode in "push", "pull":
            began = time.monotonic()
            check(mode)
            print(f"{check.__name__}, {mode}: {time.monotonic() - began:.1f} s", flush=True)
finally:
    for p in started:
        if p.poll() is None:
            p.kill()
            p.wait()
