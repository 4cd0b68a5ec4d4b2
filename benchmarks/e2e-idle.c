/*
 * e2e-idle.c - what many idle workers cost a dispatcher, over real connections
 *
 *   e2e-idle [--smoke] [--workers N] [--seconds N] [--heartbeat MS] [--mode push|pull] [--tcp]
 *
 * The workers are the machines of real ones with a port each, all in this process; their slots are
 * up and never get anything.  One JSON line: the processor time of the dispatcher in per cent of a
 * core, its memory a worker, and what the workers themselves take.
 */
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>

#include <faas/client.h>
#include <faas/error.h>

#include "base/clock.h"
#include "core/work.h"
#include "programs.h"
#include "run/port.h"

#define KEY (UINT64_C(1) << 56) /* of the only dispatcher: number 0 of port 0 */
#define WORKERS_LIMIT 60000u
#define JOIN_WAIT_NS (60 * FA_NS_PER_S)

struct options {
        unsigned workers, seconds, heartbeat_ms;
        const char *mode;
        int tcp;
};

struct idler {
        struct fa_port *port;
        struct fa_work *work;
};

struct bench {
        struct idler *v;
        unsigned n;
        int epoll;
};

static void must(bool ok, const char *what) {
        if (ok)
                return;
        fprintf(stderr, "e2e-idle: %s: %s\n", what, faas_error_text());
        exit(1);
}

static void open_idler(struct bench *b, unsigned i, const char *url, uint64_t now_ns) {
        static const char *const functions[] = {"noop"};
        const struct faas_transport_cfg cfg = {.end = FAAS_TRANSPORT_CONNECT, .url = url};
        const struct fa_work_cfg work = {.incarnation = i + 1,
                                         .n_slots = 1,
                                         .functions = functions,
                                         .n_functions = 1,
                                         .seed = i};
        const struct fa_event up = {.kind = FA_EV_SLOT_UP};
        struct epoll_event ev = {.events = EPOLLIN, .data.u32 = i};
        struct idler *w = &b->v[i];
        struct fa_transport_row row;

        must(fa_transport_by_url(&row, url) == 0, "transport");
        must(fa_port_open(&w->port, &row, &cfg, 0) == 0, "port");
        must(fa_work_new(&w->work, &work) == 0 && fa_work_connect(w->work, KEY, now_ns) == 0,
             "worker");
        (void)fa_work_input(w->work, &up, now_ns);
        must(epoll_ctl(b->epoll, EPOLL_CTL_ADD, fa_port_fd(w->port), &ev) == 0, "epoll");
}

static void turn(struct idler *w, uint64_t now_ns) {
        struct fa_event ev;
        struct fa_msg *m;
        uint64_t to;
        int r;

        while ((r = fa_port_recv(w->port, &ev, now_ns)) == 0) {
                (void)fa_work_input(w->work, &ev, now_ns);
                if (ev.kind == FA_EV_MSG)
                        fa_msg_free(ev.msg);
        }
        must(r == FAAS_E_AGAIN, "the dispatcher sent something strange");
        if (fa_work_deadline(w->work) <= now_ns)
                fa_work_tick(w->work, now_ns);
        while (fa_outbox_pop(fa_work_outbox(w->work), &to, &m))
                fa_port_send(w->port, to, m, now_ns);
        fa_port_flush(w->port, now_ns);
}

/* Those that hear something, and those whose time has come. */
static void run_until(struct bench *b, uint64_t until_ns) {
        struct epoll_event ready[64];
        uint64_t now_ns;

        while ((now_ns = fa_now()) < until_ns) {
                uint64_t at = until_ns;
                for (unsigned i = 0; i < b->n; i++) {
                        const uint64_t port = fa_port_deadline(b->v[i].port);
                        uint64_t due = fa_work_deadline(b->v[i].work);
                        due = due < port ? due : port;
                        if (due <= now_ns)
                                turn(&b->v[i], now_ns);
                        else if (due < at)
                                at = due;
                }
                int n = epoll_wait(b->epoll, ready, 64, fa_poll_ms(at, now_ns));
                now_ns = fa_now();
                for (int i = 0; i < n; i++)
                        turn(&b->v[ready[i].data.u32], now_ns);
        }
}

static unsigned count_open(const struct bench *b) {
        unsigned n = 0;

        for (unsigned i = 0; i < b->n; i++) {
                struct fa_work_stats s;
                fa_work_stats(b->v[i].work, &s);
                n += s.n_open == 1;
        }
        return n;
}

static void measure(struct bench *b, const struct options *o, const struct programs *p) {
        const unsigned long long before = programs_rss(p->dispatchers[0]);
        uint64_t now_ns = fa_now(), until_ns = now_ns + JOIN_WAIT_NS;
        double cpu, own;

        for (unsigned i = 0; i < o->workers; i++) {
                open_idler(b, i, p->url, now_ns);
                b->n++;
                if (i % 16 == 0) /* a backlog of connections is finite */
                        run_until(b, fa_now() + FA_NS_PER_MS);
        }
        while (count_open(b) < b->n) {
                must(fa_now() < until_ns, "not all could register within a minute");
                run_until(b, fa_now() + 10 * FA_NS_PER_MS);
        }
        const double joined_s = (double)(fa_now() - now_ns) / 1e9;
        run_until(b, fa_now() + o->heartbeat_ms * FA_NS_PER_MS); /* each has beaten */
        cpu = programs_cpu(p->dispatchers[0]);
        own = programs_cpu(0);
        run_until(b, fa_now() + o->seconds * FA_NS_PER_S);
        cpu = programs_cpu(p->dispatchers[0]) - cpu;
        own = programs_cpu(0) - own;
        must(count_open(b) == b->n, "a worker was lost");
        printf("{\"bench\": \"e2e-idle\", \"mode\": \"%s\", \"over\": \"%s\", \"workers\": %u, "
               "\"heartbeat_ms\": %u, \"seconds\": %u, \"join_s\": %.3f, "
               "\"dispatcher_percent\": %.2f, \"bytes_per_worker\": %.0f, "
               "\"workers_percent\": %.2f}\n",
               o->mode, o->tcp ? "tcp" : "ipc", b->n, o->heartbeat_ms, o->seconds, joined_s,
               cpu / o->seconds * 100, (double)(programs_rss(p->dispatchers[0]) - before) / b->n,
               own / o->seconds * 100);
}

static void parse(struct options *o, int argc, char **argv) {
        for (int i = 1; i < argc; i++) {
                const char *next = i + 1 < argc ? argv[i + 1] : "";

                if (strcmp(argv[i], "--smoke") == 0) {
                        o->workers = 20;
                        o->seconds = 1;
                        o->heartbeat_ms = 100;
                        continue;
                }
                if (strcmp(argv[i], "--tcp") == 0) {
                        o->tcp = 1;
                        continue;
                }
                i++;
                if (strcmp(argv[i - 1], "--workers") == 0)
                        o->workers = (unsigned)strtoul(next, NULL, 10);
                else if (strcmp(argv[i - 1], "--seconds") == 0)
                        o->seconds = (unsigned)strtoul(next, NULL, 10);
                else if (strcmp(argv[i - 1], "--heartbeat") == 0)
                        o->heartbeat_ms = (unsigned)strtoul(next, NULL, 10);
                else if (strcmp(argv[i - 1], "--mode") == 0)
                        o->mode = next;
                else
                        o->workers = 0;
        }
        if (o->workers >= 1 && o->workers <= WORKERS_LIMIT && o->seconds && o->heartbeat_ms)
                return;
        fprintf(stderr, "usage: e2e-idle [--smoke] [--workers N] [--seconds N] [--heartbeat MS] "
                        "[--mode push|pull] [--tcp]\n");
        exit(2);
}

int main(int argc, char **argv) {
        struct options o = {.workers = 1000, .seconds = 10, .heartbeat_ms = 1000, .mode = "push"};
        struct bench b = {.epoll = epoll_create1(EPOLL_CLOEXEC)};
        struct rlimit files;
        struct programs p;

        parse(&o, argc, argv);
        const struct programs_cfg cfg = {
                .mode = o.mode, .tcp = o.tcp, .heartbeat_ms = o.heartbeat_ms};
        if (getrlimit(RLIMIT_NOFILE, &files) == 0) { /* some descriptors a worker */
                files.rlim_cur = files.rlim_max;
                (void)setrlimit(RLIMIT_NOFILE, &files);
        }
        b.v = calloc(o.workers, sizeof(*b.v));
        must(b.v && b.epoll >= 0, "memory");
        int r = programs_start(&p, &cfg);
        if (r == 0)
                measure(&b, &o, &p);
        for (unsigned i = 0; i < b.n; i++) {
                fa_port_close(b.v[i].port);
                fa_work_free(b.v[i].work);
        }
        programs_end(&p);
        free(b.v);
        return r ? 1 : 0;
}
