/*
 * e2e-memory.c - what tasks cost in memory, of the dispatcher and of Redis, and how long it takes
 * to read them again
 *
 * No-op tasks of 16 bytes.  One JSON line for each:
 *
 *   queued    so many wait, and no worker is there: bytes for each
 *   restart   so many wait, and the dispatcher is killed and started again
 *   takeover  the same, and another one takes over: from the end of the lease
 *   through   so many go through, none waits: what is left then
 *
 *   e2e-memory [--smoke] [--how queued|restart|takeover|through] [--tasks N]
 *              [--store memory|redis] [--backlog BYTES] [--ttl SECONDS] [--workers N]
 *
 * --backlog: the dispatcher's --backlog-bytes; --ttl: its --result-ttl; --workers 0: restart and
 * takeover end when all is read.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "load.h"
#include "programs.h"

#define LEASE_S 3.0
#define OF_ONE_CLIENT 500000u
#define PATIENCE_S 120.0
#define TOMBS_S 75 /* ids of collected tasks are remembered for a minute */
#define POLL_S 0.002

struct options {
        const char *how, *store, *backlog, *ttl;
        unsigned long tasks, workers;
        int settle; /* seconds that Redis has to become as small as it was */
};

static struct load load;

static unsigned long long redis_memory(const struct programs *p) {
        unsigned long long n = 0;

        if (p->redis.pid && redis_server_info(&p->redis, "used_memory", &n))
                fprintf(stderr, "e2e-memory: no INFO of redis\n");
        return n;
}

static int begin(struct programs *p, unsigned n_dispatchers, const struct options *o) {
        static const char *extra[12];
        size_t n = 0;

        extra[n++] = "--queue-tasks";
        extra[n++] = "100000000";
        extra[n++] = "--queue-bytes";
        extra[n++] = "64G";
        if (o->backlog) {
                extra[n++] = "--backlog-bytes";
                extra[n++] = o->backlog;
        }
        if (o->ttl) {
                extra[n++] = "--result-ttl";
                extra[n++] = o->ttl;
        }
        const struct programs_cfg cfg = {.mode = "push",
                                         .heartbeat_ms = 1000,
                                         .n_dispatchers = n_dispatchers,
                                         .store = o->store,
                                         .extra = extra};
        return programs_start(p, &cfg);
}

/* From several clients, which do not wait for the results. */
static int fill(const struct programs *p, unsigned long n) {
        for (unsigned long done = 0; done < n;) {
                unsigned k = n - done < OF_ONE_CLIENT ? (unsigned)(n - done) : OF_ONE_CLIENT;
                if (load_open(&load, p->door[0], 0))
                        return -1;
                load_submit(&load, k);
                load_close(&load);
                if (load.errors)
                        return -1;
                done += k;
        }
        return 0;
}

static int queued(const struct options *o) {
        struct programs p;
        unsigned long long rss, redis;
        double start = 0, seconds;
        int r = begin(&p, 1, o) || fill(&p, o->tasks / 100 + 1); /* warm */

        rss = programs_rss(p.dispatchers[0]);
        redis = redis_memory(&p);
        start = programs_now();
        r = r || fill(&p, o->tasks);
        seconds = programs_now() - start;
        if (!r)
                printf("{\"bench\": \"e2e-memory\", \"how\": \"queued\", \"store\": \"%s\", "
                       "\"tasks\": %lu, \"seconds\": %.2f, \"dispatcher_rss\": %llu, "
                       "\"dispatcher_bytes\": %.1f, \"dispatcher_allowed\": 192, "
                       "\"redis_bytes\": %.1f, \"redis_allowed\": 300}\n",
                       o->store, o->tasks, seconds, programs_rss(p.dispatchers[0]),
                       ((double)programs_rss(p.dispatchers[0]) - (double)rss) / (double)o->tasks,
                       ((double)redis_memory(&p) - (double)redis) / (double)o->tasks);
        programs_end(&p);
        return r;
}

static int ask(struct faas_client *c, struct faas_stats *ret) {
        if (faas_client_stats(c, ret) == 0)
                return 0;
        fprintf(stderr, "e2e-memory: stats: %s\n", faas_error_text());
        return -1;
}

/* Until the first one is handed out, until all that waited are known there or done, and done. */
static int watch(const struct options *o,
                 const struct programs *p,
                 unsigned which,
                 double start,
                 double lease) {
        double first = 0, read = 0, done = 0, now = start, redis = programs_cpu(p->redis.pid);
        double self = programs_cpu(p->dispatchers[which]);
        unsigned long long queued_then = 0;
        struct faas_client *c = NULL;
        struct faas_stats s = {.queued = 0};
        int r = faas_client_open(&c, p->door[which], NULL, NULL);

        while (!r && done == 0 && now - start < PATIENCE_S) {
                r = ask(c, &s);
                now = programs_now();
                if (first == 0 && s.handed_out) {
                        first = now - start;
                        queued_then = s.queued + s.running + s.completed;
                }
                if (read == 0 && s.queued + s.running + s.completed >= o->tasks)
                        read = now - start;
                if (s.completed >= o->tasks || (read > 0 && !o->workers))
                        done = now - start;
                programs_sleep(POLL_S);
        }
        if (!r)
                printf("{\"bench\": \"e2e-memory\", \"how\": \"%s\", \"tasks\": %lu, \"workers\": "
                       "%lu, \"lease_s\": "
                       "%.1f, \"first_s\": %.3f, \"known_then\": %llu, \"read_s\": %.3f, "
                       "\"done_s\": %.2f, \"allowed_s\": %.1f, \"dispatcher_rss\": %llu, "
                       "\"dispatcher_us\": %.2f, \"redis_us\": %.2f}\n",
                       o->how, o->tasks, o->workers, lease, first, queued_then, read, done,
                       lease + 5, programs_rss(p->dispatchers[which]),
                       (programs_cpu(p->dispatchers[which]) - self) / (double)o->tasks * 1e6,
                       (programs_cpu(p->redis.pid) - redis) / (double)o->tasks * 1e6);
        faas_client_close(c);
        return r || done == 0;
}

static int again(const struct options *o, unsigned which) {
        struct programs p;
        double start;
        int r = begin(&p, which + 1, o) || fill(&p, o->tasks);

        if (!r && which)
                r = programs_dispatcher(&p, which);
        if (!r && which)
                programs_sleep(2); /* it shall have its epoch, and see d1's lease */
        for (unsigned i = 0; i < o->workers && !r && which; i++)
                r = programs_worker_at(&p, 1, p.door[which]);
        programs_kill(p.dispatchers[0]);
        p.dispatchers[0] = 0;
        for (unsigned i = 0; i < o->workers && !r && !which; i++)
                r = programs_worker(&p, 1);
        start = programs_now();
        if (!r && !which)
                r = programs_dispatcher(&p, 0);
        r = r || watch(o, &p, which, start, which ? LEASE_S : 0);
        programs_end(&p);
        return r;
}

static int through(const struct options *o) {
        struct programs p;
        unsigned long long base = 0, before = 0, most = 0, end = 0, after = 0;
        double start = 0, seconds = 0;
        int r = begin(&p, 1, o);

        for (unsigned i = 0; i < o->workers && !r; i++)
                r = programs_worker(&p, 1);
        base = redis_memory(&p);
        if (!r)
                r = load_open(&load, p.url, 0);
        for (unsigned i = 0; i < 10 && !r; i++) {
                if (i == 1) {
                        before = programs_rss(p.dispatchers[0]);
                        start = programs_now();
                }
                load_pass(&load, o->tasks / 10);
                unsigned long long redis = redis_memory(&p);
                most = redis > most ? redis : most;
                r = load.errors > 0;
        }
        seconds = programs_now() - start;
        end = programs_rss(p.dispatchers[0]);
        if (!r)
                load_close(&load);
        after = redis_memory(&p);
        for (int i = 0; i < o->settle && !r && p.redis.pid && after > base + base / 4; i++) {
                programs_sleep(1);
                after = redis_memory(&p);
        }
        if (!r)
                printf("{\"bench\": \"e2e-memory\", \"how\": \"through\", \"store\": \"%s\", "
                       "\"tasks\": %lu, \"tasks_per_s\": %.0f, \"rss_at_10_percent\": %llu, "
                       "\"rss_end\": %llu, \"redis_base\": %llu, \"redis_most\": %llu, "
                       "\"redis_after\": %llu}\n",
                       o->store, o->tasks, (double)o->tasks * 0.9 / seconds, before, end, base,
                       most, after);
        programs_end(&p);
        return r;
}

static int usage(void) {
        fprintf(stderr, "usage: e2e-memory [--smoke] [--how queued|restart|takeover|through] "
                        "[--tasks N]\n                  [--store memory|redis] [--backlog BYTES] "
                        "[--ttl SECONDS] [--workers N]\n");
        return 2;
}

static int run(const struct options *o, const char *how) {
        struct options one = *o;
        int r;

        one.how = how;
        if (strcmp(how, "queued") == 0)
                r = queued(&one);
        else if (strcmp(how, "through") == 0)
                r = through(&one);
        else
                r = again(&one, strcmp(how, "takeover") == 0);
        (void)fflush(stdout);
        return r ? 1 : 0;
}

int main(int argc, char **argv) {
        static const char *const hows[] = {"queued", "restart", "takeover", "through"};
        struct options o = {
                .store = "redis", .ttl = "10", .tasks = 1000000, .workers = 4, .settle = TOMBS_S};
        int r = 0;

        for (int i = 1; i < argc; i++) {
                const char *value = i + 1 < argc ? argv[i + 1] : NULL;
                if (strcmp(argv[i], "--smoke") == 0) {
                        o.tasks = 5000;
                        o.settle = 0;
                        continue;
                }
                if (!value)
                        return usage();
                if (strcmp(argv[i], "--tasks") == 0)
                        o.tasks = strtoul(value, NULL, 10);
                else if (strcmp(argv[i], "--workers") == 0)
                        o.workers = strtoul(value, NULL, 10);
                else if (strcmp(argv[i], "--how") == 0)
                        o.how = value;
                else if (strcmp(argv[i], "--store") == 0)
                        o.store = value;
                else if (strcmp(argv[i], "--backlog") == 0)
                        o.backlog = value;
                else if (strcmp(argv[i], "--ttl") == 0)
                        o.ttl = value;
                else
                        return usage();
                i++;
        }
        for (size_t i = 0; i < sizeof(hows) / sizeof(hows[0]); i++)
                if (!o.how || strcmp(o.how, hows[i]) == 0)
                        r |= run(&o, hows[i]);
        return r;
}
