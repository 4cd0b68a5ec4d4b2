"""systems.py - what is compared: how each system is had, started and asked, and the settings that are tried

A system has variants (settings of its servers and workers) and, for each, numbers of tasks in flight
(for Pool: chunk sizes).  The tuning tries all of them, the rounds use the best.  Without tuning the
first ones count.
"""
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import place

HERE = Path(__file__).resolve().parent
WORKERS = 4
# The distribution's own Python: it has the distribution's modules.
PYTHON = "/usr/bin/python3" if os.access("/usr/bin/python3", os.X_OK) else sys.executable


class System:
    name = ""
    ours = None          # which of ours it is compared with; None: it is one of ours
    variants = [{}]
    in_flight = [1024, 4096, 256, 64]
    steady = 64          # the second measure; None: not for this one
    packages = ()        # of Debian, for the message
    programs = ()        # that must be there
    weak = ()            # tasks in flight for each worker that the weak scaling tries, None: all; (): it takes no part
    wanted = {}          # how many times as fast ours is meant to be, by measure

    def __init__(self, build):
        self.build = Path(build)

    def title(self):
        return self.name

    def missing(self):
        """Why it cannot be had, or None."""
        for program in self.programs:
            if not shutil.which(program):
                return f"{program} is not there (packages: {', '.join(self.packages)})"
        return None

    def measure(self, what, in_flight, seconds):
        """Further arguments of the client's command: what is "one", "steady" or "many"."""
        if what == "one":
            return ["--one", str(seconds)]
        return ["--many", str(seconds), "--in-flight", str(in_flight)]

    def version(self):
        """Of its first package."""
        found = subprocess.run(["dpkg-query", "-W", "-f", "${Version}", *self.packages[:1]], check=False,
                               capture_output=True, text=True) if shutil.which("dpkg-query") else None
        return found.stdout if found and self.packages else ""

    def start(self, at, variant, workers):
        """Starts servers and workers in a place. Returns the command of the client, and its environment."""
        raise NotImplementedError


class Ours(System):
    weak = (None, 16)
    store = None

    def missing(self):
        if not self.client().exists():
            return f"{self.client()} is not built"
        return super().missing()

    def client(self):
        return self.build / "benchmarks" / "peers-ours"

    def start(self, at, variant, workers):
        if self.store == "local":
            return [str(self.client()), "--connect", f"local:{workers}"], {}
        store = f"redis+unix://{at.redis()}" if self.store == "redis" else "memory:"
        door = at.path("door")
        tools = self.build / "tools"
        at.serve([str(tools / "faas-dispatcher"), "--mode", "push", "--listen", f"ipc://{door}", "--store",
                  store, "--name", "bench", "--log-level", "error"], door)
        for _ in range(workers):
            at.run([str(tools / "faas-worker"), "--slots", "1", "--log-level", "error", f"ipc://{door}"])
        return [str(self.client()), "--connect", f"ipc://{door}#{workers}"], {}


class Local(Ours):
    name, store = "local", "local"

    def title(self):
        return "libfaas local, 4 slots"


class LocalMap(Local):
    name, weak = "local-map", ()
    in_flight = [64, 256, 1024]

    def title(self):
        return "libfaas local, 4 slots, faas_map()"

    def measure(self, what, in_flight, seconds):
        # The chunk is of that size, in what has many tasks; else these are ordinary tasks.
        more = ["--connect", f"map:local:{WORKERS}"] if what == "many" else []
        return super().measure(what, in_flight, seconds) + more


class Push(Ours):
    name, store = "push", "memory"
    in_flight = [1024, 8192, 4096, 256, 64]

    def title(self):
        return "libfaas push, memory, 4 workers"


class PushRedis(Ours):
    name, store, weak = "push-redis", "redis", ()
    in_flight = [8192, 16384, 4096, 1024, 64]
    programs, packages = ("redis-server",), ("redis-server",)

    def title(self):
        return "libfaas push, Redis everysec, 4 workers"


class Compiled(System):
    """A peer whose client, and mostly worker, is a C program beside this file."""
    source = ""
    library = None       # for pkg-config
    flags = ()
    ours = "push"

    def missing(self):
        why = super().missing()
        if why:
            return why
        self.exe = self.build / "peers" / Path(self.source).stem
        self.exe.parent.mkdir(exist_ok=True)
        flags = list(self.flags)
        try:
            if self.library:
                flags += subprocess.run(["pkg-config", "--cflags", "--libs", self.library], check=True,
                                        capture_output=True, text=True).stdout.split()
            subprocess.run([os.environ.get("CC", "cc"), "-std=c11", "-O2", "-D_GNU_SOURCE", "-o", self.exe,
                            HERE / self.source, HERE / "peer.c", *flags], check=True, capture_output=True)
        except FileNotFoundError as e:
            return f"{e.filename} is not there"
        except subprocess.CalledProcessError:
            return f"{self.source} does not build (packages: {', '.join(self.packages)})"
        return None

    def work(self, at, address, workers):
        for _ in range(workers):
            at.run([str(self.exe), "--work", address])
        return [str(self.exe), "--connect", address], {}


class Gearmand(Compiled):
    name, source, library = "gearmand", "gearman.c", "gearmand"
    programs, packages = ("gearmand",), ("gearman-job-server", "libgearman-dev")
    variants = [{"threads": 0}, {"threads": 1}, {"threads": 4}]
    in_flight = [64, 16, 256, 1024]
    weak = (16, None)
    wanted = {"many": 20}

    def start(self, at, variant, workers):
        port = place.free_port()
        at.serve(["gearmand", "-L", "127.0.0.1", "-p", str(port), "-t", str(variant["threads"]), "-l",
                  at.path("gearmand.log"), "-P", at.path("gearmand.pid")], port)
        return self.work(at, f"127.0.0.1:{port}", workers)


class Beanstalkd(Compiled):
    name, source, prefix = "beanstalkd", "beanstalk.c", ""
    programs, packages = ("beanstalkd",), ("beanstalkd",)
    in_flight = [256, 64, 1024, 16]
    wanted = {"many": 40}

    def title(self):
        return "beanstalkd, pipelined"

    def start(self, at, variant, workers):
        path = at.path("beanstalkd")
        at.serve(["beanstalkd", "-l", f"unix:{path}"], path)
        return self.work(at, f"{self.prefix}unix:{path}", workers)


class BeanstalkdPlain(Beanstalkd):
    name, prefix = "beanstalkd-plain", "plain:"

    def title(self):
        return "beanstalkd, one command at a time"


class Nats(Compiled):
    name, source, library = "nats", "nats.c", "libnats"
    programs, packages = ("nats-server",), ("nats-server", "libnats-dev")
    wanted = {"steady": 1, "many": 1.8}
    variants = [{"send": "flusher"}, {"send": "asap"}]

    def title(self):
        return "NATS request/reply"

    def start(self, at, variant, workers):
        port = place.free_port()
        at.serve(["nats-server", "-a", "127.0.0.1", "-p", str(port)], port)
        prefix = "asap:" if variant["send"] == "asap" else ""
        return self.work(at, f"{prefix}127.0.0.1:{port}", workers)


class WorkQueue(Compiled):
    name, source = "workqueue", "workqueue.c"
    flags = ("-lwork_queue", "-ldttools", "-lz", "-lm", "-lpthread")
    programs = ("work_queue_worker",)
    packages = ("coop-computing-tools", "coop-computing-tools-dev", "zlib1g-dev")
    in_flight = [64, 16, 256]

    def title(self):
        return "Work Queue"

    def start(self, at, variant, workers):
        # It makes its files in the temporary folder, and its manager starts the workers.
        return [str(self.exe), "--connect", f"{place.free_port()}:{workers}"], {"TMPDIR": at.dir, "HOME": at.dir}


class WithRedis(System):
    """A peer that keeps tasks and results in a Redis of its own."""
    ours = "push-redis"
    programs = ("redis-server", PYTHON)
    module = None        # of Python

    def missing(self):
        why = super().missing()
        if why or not self.module:
            return why
        found = subprocess.run([PYTHON, "-c", f"import redis, {self.module}"], check=False, capture_output=True)
        return f"Python's module {self.module} is not there (package: {self.packages[0]})" if found.returncode else None

    @staticmethod
    def python_env(**more):
        return {"PYTHONPATH": str(HERE), "PYTHONDONTWRITEBYTECODE": "1", **more}


class Celery(WithRedis):
    name, module, packages = "celery", "celery", ("python3-celery", "python3-redis")
    variants = [{"prefetch": 4}, {"prefetch": 64}, {"prefetch": 1}]
    in_flight = [64, 256, 1024, 4096]
    wanted = {"many": 100}

    def title(self):
        return "Celery, Redis everysec"

    def start(self, at, variant, workers):
        env = self.python_env(PEERS_REDIS=at.redis(), PEERS_PREFETCH=str(variant["prefetch"]))
        at.run([PYTHON, "-m", "celery", "-A", "peer_celery", "worker", "--pool", "prefork", "--concurrency",
                str(workers), "--loglevel", "ERROR", "--without-gossip", "--without-mingle",
                "--without-heartbeat"], {**env, "C_FORCE_ROOT": "1"})
        return [PYTHON, str(HERE / "peer_celery.py"), "--connect", env["PEERS_REDIS"]], env


class Rq(WithRedis):
    name, module, packages = "rq", "rq", ("python3-rq", "python3-redis")
    in_flight = [64, 256, 1024, 4096]

    def title(self):
        return "RQ (SimpleWorker), Redis everysec"

    def start(self, at, variant, workers):
        path, env = at.redis(), self.python_env()
        for _ in range(workers):
            at.run([PYTHON, "-c", "from rq.cli import main; main()", "worker", "--url", f"unix://{path}",
                    "--worker-class", "rq.SimpleWorker", "--quiet", "work"], env)
        return [PYTHON, str(HERE / "peer_rq.py"), "--connect", path], env


class BullMq(WithRedis):
    name = "bullmq"
    programs, packages = ("redis-server", "node"), ("nodejs", "npm", "bullmq by npm")
    variants = [{"concurrency": 16}, {"concurrency": 64}, {"concurrency": 1}]
    in_flight = [256, 64, 1024, 4096]
    wanted = {"many": 25}

    def title(self):
        return "BullMQ, Redis everysec"

    def manifest(self):
        return self.build / "peers" / "node_modules" / "bullmq" / "package.json"

    def missing(self):
        return super().missing() or (None if self.manifest().exists() else "bullmq is not installed (by npm)")

    def version(self):
        return json.loads(self.manifest().read_text(encoding="utf-8"))["version"]

    def start(self, at, variant, workers):
        path, env = at.redis(), {"PEERS_MODULES": str(self.build / "peers")}
        command = ["node", str(HERE / "bullmq.js")]
        for _ in range(workers):
            at.run([*command, "--work", path, "--concurrency", str(variant["concurrency"])], env)
        return [*command, "--connect", path], env


class Pool(System):
    name, ours, weak = "pool", "local-map", (None,)
    in_flight = [1024, 256, 4096, 64]
    wanted = {"many": 1}
    programs = (PYTHON,)

    def title(self):
        return "multiprocessing.Pool, best chunk"

    def version(self):
        return subprocess.run([PYTHON, "-V"], check=True, capture_output=True, text=True).stdout.split()[-1]

    def measure(self, what, in_flight, seconds):
        # A chunk of 64 would be something else than 64 tasks in flight.
        return super().measure(what, in_flight, seconds) + (["--window"] if what == "steady" else [])

    def start(self, at, variant, workers):
        return [PYTHON, str(HERE / "peer_pool.py"), "--connect", str(workers)], {}


class PoolOne(Pool):
    name, ours, steady, weak = "pool-1", "local", None, ()
    in_flight = [1]
    wanted = {"many": 40}

    def title(self):
        return "multiprocessing.Pool, chunk 1"


ALL = [Local, LocalMap, Push, PushRedis, Gearmand, Beanstalkd, BeanstalkdPlain, Nats, WorkQueue, Celery, Rq,
       BullMq, Pool, PoolOne]
