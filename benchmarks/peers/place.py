"""place.py - a temporary folder with the programs that run in it, all of which end with it

Every program is a session of its own, so that its children end with it, too; it also dies by itself
when this process does (PDEATHSIG), however that dies.
"""
import ctypes
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time

LIBC = ctypes.CDLL(None)
PR_SET_PDEATHSIG = 1
PR_SET_CHILD_SUBREAPER = 36
PATIENCE = 30


class Failed(Exception):
    """A program that did not do what it should; the text says which, and what it wrote last."""


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def reach(address):
    """Does something listen there: a path, or a port of the loopback?"""
    family = socket.AF_UNIX if isinstance(address, str) else socket.AF_INET
    with socket.socket(family) as s:
        return s.connect_ex(address if isinstance(address, str) else ("127.0.0.1", address)) == 0


def die_with_parent():
    LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def adopt():
    """From now on a program whose parent ends is a child of this process."""
    LIBC.prctl(PR_SET_CHILD_SUBREAPER, 1)


def end_children():
    """Kills and reaps all children, and theirs, which become ours when those end."""
    for _ in range(1000):
        try:
            with open(f"/proc/self/task/{os.getpid()}/children", encoding="ascii") as f:
                for pid in f.read().split():
                    os.kill(int(pid), signal.SIGKILL)
                    os.waitpid(int(pid), 0)
            os.waitpid(-1, os.WNOHANG)
        except FileNotFoundError:
            return
        except ChildProcessError:
            return


class Place:
    """One at a time: what is left when it ends is ended with it."""

    def __init__(self):
        self.programs = []
        self.dir = None

    def __enter__(self):
        self.dir = tempfile.mkdtemp(prefix="faas-peers-")
        return self

    def __exit__(self, *_):
        for p in self.programs:
            self.kill(p)
        end_children()
        shutil.rmtree(self.dir, ignore_errors=True)

    @staticmethod
    def kill(p):
        try:
            os.killpg(p.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        # Not p.wait(): a signal that ended p.poll() between two of its lines has left its lock taken.
        try:
            os.waitpid(p.pid, 0)
        except ChildProcessError:
            pass

    def path(self, name):
        return os.path.join(self.dir, name)

    def run(self, argv, env=None, stdout=subprocess.DEVNULL):
        """Starts a program; what it writes to standard error is kept for the message of a failure."""
        log = self.path(f"{len(self.programs)}.err")
        # The signals wait until it is on the list: nothing that was started is ever forgotten.
        old = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM, signal.SIGHUP})
        try:
            with open(log, "wb") as err:
                p = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=stdout, stderr=err,
                                     env={**os.environ, **(env or {})}, cwd=self.dir,
                                     preexec_fn=lambda: (signal.pthread_sigmask(signal.SIG_SETMASK, old),
                                                         die_with_parent()),
                                     start_new_session=True)
            p.log = log
            self.programs.append(p)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, old)
        return p

    def fail(self, p, what):
        with open(p.log, encoding="utf-8", errors="replace") as f:
            said = f.read().strip().splitlines()
        raise Failed(f"{os.path.basename(p.args[0])}: {what}" + (f": {said[-1][:200]}" if said else ""))

    def serve(self, argv, address, env=None):
        """Starts a program and waits until it listens."""
        p = self.run(argv, env)
        end = time.monotonic() + PATIENCE
        while not reach(address):
            if p.poll() is not None:
                self.fail(p, f"ended with {p.returncode}")
            if time.monotonic() > end:
                self.fail(p, "does not listen")
            time.sleep(0.005)
        return p

    def ask(self, argv, env=None, timeout=120):
        """Runs a program to its end and returns what it printed."""
        p = self.run(argv, env, subprocess.PIPE)
        try:
            out = p.communicate(timeout=timeout)[0].decode()
        except subprocess.TimeoutExpired:
            self.kill(p)
            self.fail(p, f"took more than {timeout} s")
        self.kill(p)  # it may have left children
        self.programs.remove(p)
        if p.returncode:
            self.fail(p, f"ended with {p.returncode}")
        return out

    def redis(self):
        """A redis-server with an append-only file, synced every second. Returns its socket."""
        path = self.path("redis")
        self.serve(["redis-server", "--port", "0", "--unixsocket", path, "--dir", self.dir, "--save", "",
                    "--appendonly", "yes", "--appendfsync", "everysec", "--maxmemory", "6gb",
                    "--maxmemory-policy", "noeviction", "--daemonize", "no"], path)
        return path
