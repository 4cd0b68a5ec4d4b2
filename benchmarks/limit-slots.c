/*
 * limit-slots.c - the raw limits of slots: shared-memory rings, or socket pairs, to child processes
 *
 *   limit-slots [--smoke] [--one-core] [--sockets] [--children N] [--tasks N] [--single N]
 *
 * Each child takes 16 bytes and gives them back.  Rings: one entry for each task, a futex to sleep
 * on after a brief spin (none on one core, where it would only keep the other from running).
 * Sockets: whatever has gathered is written and read in one call.  One JSON line: tasks a second,
 * and the time of one alone.
 */
#include <linux/futex.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "limit.h"

enum { ENTRIES = 256, CHILDREN_MAX = 16, ENTRY = 16, SPINS = 2000 };

/* One direction.  Each index has one writer and a cache line of its own. */
struct ring {
        _Alignas(64) _Atomic uint32_t head;   /* written so far */
        _Alignas(64) _Atomic uint32_t tail;   /* read so far */
        _Alignas(64) _Atomic uint32_t sleeps; /* the reader sleeps, or is about to */
        _Alignas(64) char v[ENTRIES][ENTRY];
};

struct pair {
        struct ring in, out; /* as the child sees it */
};

struct options {
        unsigned children, tasks, single;
        int one_core, sockets;
};

static int spins = SPINS;

static void must(int ok, const char *what) {
        if (ok)
                return;
        perror(what);
        exit(1);
}

static void wake(struct ring *r) {
        atomic_thread_fence(memory_order_seq_cst);
        if (atomic_load_explicit(&r->sleeps, memory_order_relaxed)) {
                atomic_store(&r->sleeps, 0);
                (void)syscall(SYS_futex, &r->sleeps, FUTEX_WAKE, 1, NULL, NULL, 0);
        }
}

static int ring_put(struct ring *r, const char *entry) {
        uint32_t head = atomic_load_explicit(&r->head, memory_order_relaxed);

        if (head - atomic_load_explicit(&r->tail, memory_order_acquire) == ENTRIES)
                return 0;
        memcpy(r->v[head % ENTRIES], entry, ENTRY);
        atomic_store_explicit(&r->head, head + 1, memory_order_release);
        return 1;
}

static int ring_get(struct ring *r, char *entry) {
        uint32_t tail = atomic_load_explicit(&r->tail, memory_order_relaxed);

        if (tail == atomic_load_explicit(&r->head, memory_order_acquire))
                return 0;
        memcpy(entry, r->v[tail % ENTRIES], ENTRY);
        atomic_store_explicit(&r->tail, tail + 1, memory_order_release);
        return 1;
}

/* Until something is there. */
static void ring_wait(struct ring *r) {
        uint32_t tail = atomic_load_explicit(&r->tail, memory_order_relaxed);

        for (int i = 0; i < spins; i++) {
                if (atomic_load_explicit(&r->head, memory_order_acquire) != tail)
                        return;
                __builtin_ia32_pause();
        }
        while (atomic_load(&r->head) == tail) {
                atomic_store(&r->sleeps, 1);
                if (atomic_load(&r->head) != tail)
                        break;
                /* Not on .head: wake() may be late, and take a mark that was set since. */
                (void)syscall(SYS_futex, &r->sleeps, FUTEX_WAIT, 1, NULL, NULL, 0);
        }
        atomic_store_explicit(&r->sleeps, 0, memory_order_relaxed);
}

static void ring_child(struct pair *p) {
        char entry[ENTRY];

        for (;;) {
                while (ring_get(&p->in, entry)) {
                        while (!ring_put(&p->out, entry))
                                (void)sched_yield();
                        wake(&p->out);
                }
                ring_wait(&p->in);
        }
}

static void socket_child(int fd) {
        static char buf[ENTRIES * ENTRY];
        ssize_t n;

        while ((n = recv(fd, buf, sizeof(buf), 0)) > 0)
                must(send(fd, buf, (size_t)n, 0) == n, "send");
}

struct bench {
        struct options o;
        struct pair *pairs;
        int fds[CHILDREN_MAX];
        pid_t pids[CHILDREN_MAX];
};

static void start(struct bench *b, unsigned i) {
        pid_t parent = getpid();
        int fds[2] = {-1, -1};

        must(!b->o.sockets || socketpair(AF_UNIX, SOCK_STREAM, 0, fds) == 0, "socketpair");
        b->pids[i] = fork();
        if (b->pids[i] == 0) {
                (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
                if (getppid() != parent)
                        _exit(1);
                if (b->o.sockets)
                        socket_child(fds[1]);
                else
                        ring_child(&b->pairs[i]);
                _exit(0);
        }
        must(b->pids[i] > 0, "fork");
        if (b->o.sockets)
                (void)close(fds[1]);
        b->fds[i] = fds[0];
}

/* As many to each child as it takes, as many back as there are. */
static void run_rings(struct bench *b, unsigned n) {
        unsigned sent = 0, got = 0, idle = 0;
        char entry[ENTRY] = "0123456789abcde";

        while (got < n) {
                unsigned before = sent + got;
                for (unsigned i = 0; i < b->o.children; i++) {
                        unsigned k = sent;
                        while (sent < n && sent - k < ENTRIES / 2 &&
                               ring_put(&b->pairs[i].in, entry))
                                sent++;
                        if (sent != k)
                                wake(&b->pairs[i].in);
                        while (ring_get(&b->pairs[i].out, entry))
                                got++;
                }
                if (sent + got != before)
                        idle = 0;
                else if (n == 1)
                        ring_wait(&b->pairs[0].out);
                else if (++idle > 100)
                        (void)sched_yield();
        }
}

static void run_sockets(struct bench *b, unsigned n) {
        static char buf[ENTRIES * ENTRY];
        struct pollfd p[CHILDREN_MAX];
        unsigned sent = 0, got = 0, open[CHILDREN_MAX] = {0};

        for (unsigned i = 0; i < b->o.children; i++)
                p[i] = (struct pollfd){.fd = b->fds[i], .events = POLLIN};
        while (got < n) {
                for (unsigned i = 0; i < b->o.children; i++) {
                        unsigned k = n - sent < ENTRIES - open[i] ? n - sent : ENTRIES - open[i];
                        if (!k)
                                continue;
                        must(send(b->fds[i], buf, (size_t)k * ENTRY, 0) == (ssize_t)k * ENTRY,
                             "send");
                        sent += k;
                        open[i] += k;
                }
                must(poll(p, b->o.children, -1) > 0, "poll");
                for (unsigned i = 0; i < b->o.children; i++) {
                        if (!(p[i].revents & POLLIN))
                                continue;
                        ssize_t len = recv(b->fds[i], buf, sizeof(buf), 0);
                        must(len > 0 && len % ENTRY == 0, "recv");
                        got += (unsigned)len / ENTRY;
                        open[i] -= (unsigned)len / ENTRY;
                }
        }
}

static void run(struct bench *b, unsigned n) {
        if (b->o.sockets)
                run_sockets(b, n);
        else
                run_rings(b, n);
}

static void measure(struct bench *b) {
        double *v = calloc(b->o.single, sizeof(*v)), t, rate;
        unsigned children = b->o.children;

        must(v != NULL, "memory");
        b->o.children = 1;
        for (unsigned i = 0; i < b->o.single; i++) {
                t = limit_now();
                run(b, 1);
                v[i] = limit_now() - t;
        }
        b->o.children = children;
        t = limit_now();
        run(b, b->o.tasks);
        rate = b->o.tasks / (limit_now() - t);
        printf("{\"benchmark\":\"limit-slots\",\"over\":\"%s\",\"one_core\":%s,\"children\":%u,"
               "\"bytes\":%d,\"tasks\":%u,\"tasks_per_s\":%.0f,\"single\":%u,"
               "\"single_p50_us\":%.2f,\"single_p99_us\":%.2f}\n",
               b->o.sockets ? "socketpair" : "ring", b->o.one_core ? "true" : "false", children,
               ENTRY, b->o.tasks, rate, b->o.single, limit_rank(v, b->o.single, 50) * 1e6,
               limit_rank(v, b->o.single, 99) * 1e6);
        free(v);
}

static void parse(struct options *o, int argc, char **argv) {
        for (int i = 1; i < argc; i++) {
                const char *next = i + 1 < argc ? argv[i + 1] : "";

                if (strcmp(argv[i], "--smoke") == 0) {
                        o->tasks = 2000;
                        o->single = 50;
                } else if (strcmp(argv[i], "--one-core") == 0) {
                        o->one_core = 1;
                } else if (strcmp(argv[i], "--sockets") == 0) {
                        o->sockets = 1;
                } else if (strcmp(argv[i], "--children") == 0) {
                        o->children = limit_number(argv[i++], next, CHILDREN_MAX);
                } else if (strcmp(argv[i], "--tasks") == 0) {
                        o->tasks = limit_number(argv[i++], next, 1000000000);
                } else if (strcmp(argv[i], "--single") == 0) {
                        o->single = limit_number(argv[i++], next, 1000000);
                } else {
                        fprintf(stderr, "usage: limit-slots [--smoke] [--one-core] [--sockets] "
                                        "[--children N] [--tasks N] [--single N]\n");
                        exit(2);
                }
        }
}

int main(int argc, char **argv) {
        struct bench b = {.o = {.children = 4, .tasks = 5000000, .single = 10000}};

        parse(&b.o, argc, argv);
        if (b.o.one_core && limit_one_core())
                return 1;
        if (b.o.one_core)
                spins = 0;
        b.pairs = mmap(NULL, sizeof(*b.pairs) * CHILDREN_MAX, PROT_READ | PROT_WRITE,
                       MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        must(b.pairs != MAP_FAILED, "mmap");
        for (unsigned i = 0; i < b.o.children; i++)
                start(&b, i);
        measure(&b);
        for (unsigned i = 0; i < b.o.children; i++) {
                (void)kill(b.pids[i], SIGKILL);
                (void)waitpid(b.pids[i], NULL, 0);
        }
        return 0;
}
