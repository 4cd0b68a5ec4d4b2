"""cluster.py - the processes of a run of the fault tests, started and ended here, by their pids

All die with this process.  Sockets and files are in one short directory of the run.
"""

import ctypes
import os
import resource
import signal
import socket
import struct
import subprocess
import time

RECORD = struct.Struct('16sQIiBBBBi')  # record.h
BEGUN = 5
PR_SET_PDEATHSIG = 1
libc = ctypes.CDLL(None)


def until(condition, seconds, what):
    """Waits for a condition; its value."""
    end = time.monotonic() + seconds
    while not (value := condition()):
        if time.monotonic() > end:
            raise TimeoutError(what)
        time.sleep(0.02)
    return value


def open_before(pid, ns):
    """A descriptor for the process that had this pid then: pids are used again."""
    try:
        fd = os.pidfd_open(pid)
        with open(f'/proc/{pid}/stat', encoding='ascii', errors='replace') as f:
            ticks = int(f.read().rpartition(')')[2].split()[19])
        if ticks * 1e9 / os.sysconf('SC_CLK_TCK') <= ns:
            return fd
        os.close(fd)
    except OSError:
        pass
    return None


class Process:
    """One that is expected to live until it is killed here."""

    def __init__(self, run, name, argv, env=None, preexec=None, **pipes):
        parent = os.getpid()

        def child():
            libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
            if os.getppid() != parent:
                os._exit(127)
            if preexec:
                preexec()

        self.name = name
        self.busy = False  # a fault has it
        pipes.setdefault('stdin', subprocess.DEVNULL)
        pipes.setdefault('stdout', subprocess.DEVNULL)
        with open(f'{run.dir}/{name}.err', 'ab') as err:
            self.popen = subprocess.Popen(argv, stderr=err, env={**run.env, **(env or {})},
                                          start_new_session=True, preexec_fn=child, **pipes)
        self.pid = self.popen.pid

    def signal(self, number):
        if self.popen.poll() is None:
            self.popen.send_signal(number)

    def kill(self):
        self.popen.kill()
        self.popen.wait()

    def ended(self):
        return self.popen.poll() is not None


class Proxy(Process):
    """proxy.c between a new socket and another one, both as it names them."""

    def __init__(self, run, name, target):
        listen = 'tcp:0' if target.startswith('tcp:') else f'{run.dir}/{name}.sock'
        super().__init__(run, name, [run.program('tests/chaos/chaos-proxy'), listen, target],
                         stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1)
        self.path = self.popen.stdout.readline().strip()
        self.url = (f'ipc://{self.path}' if self.path[0] == '/'
                    else f'tcp://127.0.0.1:{self.path[4:]}')

    def tell(self, command):
        self.popen.stdin.write(command + '\n')
        return self.popen.stdout.readline()


class Redis:
    """With an append-only file that is on disk before an answer is given."""

    def __init__(self, run):
        self.run, self.busy, self.full, self.starts = run, False, False, 0
        self.name = 'redis'
        self.path = f'{run.dir}/redis.sock'
        self.data = f'{run.dir}/redis'
        os.mkdir(self.data)
        self.start()
        until(lambda: self.ask('PING') == 'PONG', 20, 'redis-server does not answer')

    def start(self):
        def child():
            # A write over the limit shall fail as one on a full disk, not kill.
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            if self.full:
                self.limit(0)

        self.starts += 1
        self.process = Process(self.run, 'redis', [
            'redis-server', '--port', '0', '--unixsocket', self.path, '--dir', self.data,
            '--save', '', '--appendonly', 'yes', '--appendfsync', 'always',
            '--logfile', f'{self.run.dir}/redis.txt'], preexec=child)

    def limit(self, pid):
        """No file may grow beyond what the greatest has now and a bit: the disk is full."""
        size = 0
        for folder, _, names in os.walk(self.data):
            size = max([size] + [os.path.getsize(f'{folder}/{name}') for name in names])
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (size + 20000, resource.RLIM_INFINITY))

    def set_full(self, full):
        self.full = full
        if self.process.ended():
            return
        if full:
            self.limit(self.process.pid)
        else:
            resource.prlimit(self.process.pid, resource.RLIMIT_FSIZE,
                             (resource.RLIM_INFINITY, resource.RLIM_INFINITY))

    def ask(self, *words):
        """A command's answer; None: no answer."""
        try:
            with socket.socket(socket.AF_UNIX) as s:
                s.settimeout(5)
                s.connect(self.path)
                text = ''.join(f'${len(w)}\r\n{w}\r\n' for w in words)
                s.sendall(f'*{len(words)}\r\n{text}'.encode())
                with s.makefile('rb') as f:
                    return self.parse(f)
        except OSError:
            return None

    def parse(self, f):
        line = f.readline().rstrip(b'\r\n').decode(errors='replace')
        if line[:1] == '$' and line != '$-1':
            return f.read(int(line[1:]) + 2)[:-2].decode(errors='replace')
        if line[:1] == '*':
            return [self.parse(f) for _ in range(int(line[1:]))]
        return line[1:] if line else None


class Cluster:
    """Dispatchers, workers and clients, each behind or before proxies."""

    def __init__(self, run, n_dispatchers, n_workers, n_clients):
        self.run = run
        self.n_workers = self.n_clients = 0  # ever started: each has a number of its own
        self.ends = []  # what ended by itself
        self.redis = Redis(run) if run.store == 'redis' else None
        self.stores, self.nets, self.dispatchers, self.doors, self.askers = [], [], [], [], []
        for i in range(n_dispatchers):
            if self.redis:
                self.stores.append(Proxy(run, f'store-{i}', self.redis.path))
            self.doors.append(f'ipc://{run.dir}/d{i}.sock' if run.net == 'ipc'
                              else 'tcp://127.0.0.1:*')
            d = self.dispatcher(i, stdout=subprocess.PIPE, text=True)
            self.dispatchers.append(d)
            self.doors[i] = d.popen.stdout.readline().strip()
            d.popen.stdout.close()
            self.nets.append(Proxy(run, f'net-{i}', self.doors[i].removeprefix('ipc://')
                                   .replace('tcp://127.0.0.1', 'tcp')))
        self.workers = [self.worker() for _ in range(n_workers)]
        self.clients = [self.client() for _ in range(n_clients)]

    def urls(self, first):
        """All dispatchers, each peer another one first: clients stay at the first that answers."""
        n = len(self.nets)
        return ','.join(self.nets[(first + i) % n].url for i in range(n))

    def dispatcher(self, i, **pipes):
        argv = [self.run.program('tools/faas-dispatcher'), '--name', f'd{i}', '--listen',
                self.doors[i], '--print-url', '--heartbeat', str(self.run.beat_ms),
                '--result-ttl', str(self.run.ttl), '--mode', self.run.mode]
        if self.redis:
            url = f'redis+unix://{self.stores[i].path}?prefix={self.run.prefix}'
            argv += ['--store', url, '--wait-store', '3600', '--lease', str(self.run.beat_ms * 3)]
        return Process(self.run, f'd{i}', argv, **pipes)

    def worker(self):
        number = self.n_workers
        self.n_workers += 1
        argv = [self.run.program('tools/faas-worker'), '--slots', '2', '--load',
                self.run.program('tests/chaos/libchaos-functions.so'), '--log-level', 'error',
                self.urls(number)]
        p = Process(self.run, f'worker-{number}', argv,
                    {'CHAOS_EXECUTIONS': f'{self.run.dir}/executions.log',
                     'CHAOS_WORKER': str(number)})
        p.number = number
        return p

    def client(self):
        number = self.n_clients
        self.n_clients += 1
        argv = [self.run.program('tests/chaos/chaos-load'), 'run', self.urls(number),
                f'{self.run.dir}/client-{number}.log', str(number),
                str(self.run.rate // self.run.clients), '2000']
        p = Process(self.run, f'client-{number}', argv)
        p.number = number
        return p

    def ask(self, number):
        """One that reads what a dead client was promised."""
        argv = [self.run.program('tests/chaos/chaos-load'), 'ask', self.urls(number),
                f'{self.run.dir}/asked-{number}.log', str(number),
                f'{self.run.dir}/client-{number}.log']
        self.askers.append(Process(self.run, f'asked-{number}', argv))

    def slot(self):
        """The pid of a slot that runs something, and a descriptor for it."""
        begun = {}
        with open(f'{self.run.dir}/executions.log', 'rb') as f:
            records = os.path.getsize(f.name) // RECORD.size
            last = min(records, 10000)
            f.seek((records - last) * RECORD.size)
            for task, ns, _, pid, what, *_ in RECORD.iter_unpack(f.read(last * RECORD.size)):
                if what == BEGUN:
                    begun[task] = pid, ns
                else:
                    begun.pop(task, None)
        for pid, ns in begun.values():
            if (fd := open_before(pid, ns)) is not None:
                return pid, fd
        return None

    def watch(self):
        """What ended by itself: noted, and started again, as who runs it would."""
        for i, d in enumerate(self.dispatchers):
            if d.ended() and not d.busy:
                self.ends.append(f'{d.name} ended by itself: {d.popen.returncode}')
                self.dispatchers[i] = self.dispatcher(i)
        for i, w in enumerate(self.workers):
            if w.ended() and not w.busy:
                self.ends.append(f'{w.name} ended by itself: {w.popen.returncode}')
                self.workers[i] = self.worker()
        if self.redis and self.redis.process.ended() and (self.redis.full or not self.redis.busy):
            if not self.redis.full:
                self.ends.append(f'redis ended by itself: {self.redis.process.popen.returncode}')
            self.redis.start()

    def end(self):
        for p in self.clients + self.askers + self.workers + self.dispatchers + self.nets + \
                self.stores + ([self.redis.process] if self.redis else []):
            p.kill()
