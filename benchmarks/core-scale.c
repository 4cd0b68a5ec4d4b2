/*
 * core-scale.c - the dispatcher machine and the memory store alone, with 1 to 100,000 workers
 *
 *   core-scale [--smoke] [--workers LIST] [--tasks N] [--queued N]
 *
 * No socket and no process: peers are arrays, and answer at once.  For each number of workers one
 * JSON line: CPU time per task from its SUBMIT until it is collected (what plays the peers
 * included), CPU time per beat of an idle worker, and memory per worker.  --queued: so many more
 * tasks wait all the time, of a function that nobody offers.
 */
#include <malloc.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "core/disp.h"
#include "store/store.h"

#define BATCH 64
#define WORKERS_AT 16 /* number of the first worker as a peer; the client is 1 */

struct worker {
        uint64_t epoch, session, seq; /* of the last TASK */
        uint32_t n_held;
        bool known;
};

struct bench {
        struct fa_disp *d;
        struct fa_store *store;
        struct worker *workers;
        unsigned n_workers;
        uint32_t grant;
        uint64_t now_ns, client_epoch;
        uint64_t next, done; /* tasks */
};

static void must(bool ok, const char *what) {
        if (ok)
                return;
        fprintf(stderr, "core-scale: %s\n", what);
        exit(1);
}

static double cpu(void) {
        struct timespec t;

        (void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
        return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static size_t used(void) {
        struct mallinfo2 m = mallinfo2();

        return m.uordblks + m.hblkhd;
}

static void input(struct bench *b, uint64_t peer, struct fa_msg *m) {
        struct fa_event ev = {.kind = FA_EV_MSG, .peer = peer, .msg = m};

        (void)fa_disp_input(b->d, &ev, b->now_ns);
}

static bool commit(struct bench *b) {
        struct fa_event ev = {.kind = FA_EV_GROUP};
        bool any = false;

        for (struct fa_group *g; (g = fa_disp_group(b->d));)
                fa_store_apply(b->store, g, b->now_ns);
        while ((ev.group = fa_store_reap(b->store, b->now_ns))) {
                (void)fa_disp_input(b->d, &ev, b->now_ns);
                fa_disp_group_done(b->d, ev.group);
                any = true;
        }
        return any;
}

/* What a worker was given, it has done. */
static void answer_task(struct bench *b, uint64_t peer, struct fa_msg *task) {
        struct worker *w = &b->workers[peer - WORKERS_AT];

        w->seq = task->seq;
        task->type = FA_MSG_RESULT;
        task->epoch = 0;
        task->grant = b->grant;
        for (uint32_t i = 0; i < task->n_items; i++) {
                struct fa_item *it = &task->items[i];
                it->state = FAAS_COMPLETED;
                it->failure = FAAS_FAILURE_NONE;
                it->final = 1;
        }
        input(b, peer, task);
}

static void answer_done(struct bench *b, struct fa_msg *done) {
        b->done += done->n_items;
        done->type = FA_MSG_COLLECTED;
        done->epoch = b->client_epoch;
        input(b, 1, done);
}

static void answer(struct bench *b, uint64_t peer, struct fa_msg *m) {
        if (m->type == FA_MSG_TASK) {
                answer_task(b, peer, m);
        } else if (m->type == FA_MSG_DONE) {
                answer_done(b, m);
        } else if (m->type == FA_MSG_WELCOME && peer >= WORKERS_AT) {
                b->workers[peer - WORKERS_AT].epoch = m->from;
        } else if (m->type == FA_MSG_WELCOME) {
                b->client_epoch = m->from;
        }
}

static void turn(struct bench *b) {
        struct fa_outbox *o = fa_disp_outbox(b->d);
        struct fa_msg *m;
        uint64_t to;
        bool any;

        do {
                any = commit(b);
                while (fa_outbox_pop(o, &to, &m)) {
                        any = true;
                        answer(b, to, m);
                        fa_msg_free(m);
                }
        } while (any);
        fa_disp_tick(b->d, b->now_ns);
}

static void submit(struct bench *b, const char *function, uint32_t n) {
        struct fa_item items[BATCH];
        struct fa_msg m = {.type = FA_MSG_SUBMIT, .items = items, .n_items = n};
        const uint8_t bytes[16] = "0123456789abcde";
        struct fa_blob payload = {.refs = 1, .len = sizeof(bytes), .p = bytes};

        memset(items, 0, n * sizeof(*items));
        for (uint32_t i = 0; i < n; i++) {
                uint64_t v[2] = {__builtin_bswap64(b->next * UINT64_C(0x9e3779b97f4a7c15)),
                                 __builtin_bswap64(++b->next)};
                memcpy(items[i].id.b, v, sizeof(v));
                items[i].function = (struct fa_slice){(const uint8_t *)function, strlen(function)};
                items[i].payload = &payload;
        }
        m.epoch = b->client_epoch;
        input(b, 1, &m);
}

static void hello(struct bench *b, uint64_t peer, uint8_t role) {
        struct fa_msg m = {.type = FA_MSG_HELLO, .role = role, .from = peer};

        input(b, peer, &m);
        turn(b);
}

static void join(struct bench *b, unsigned i) {
        struct fa_slice name = {(const uint8_t *)"f", 1};
        struct worker *w = &b->workers[i];
        struct fa_msg m = {.type = FA_MSG_REGISTER,
                           .from = WORKERS_AT + i,
                           .n_slots = 1,
                           .names = &name,
                           .n_names = 1};

        hello(b, WORKERS_AT + i, FA_ROLE_WORKER);
        m.epoch = w->epoch;
        m.session = w->session = 1;
        m.grant = b->grant;
        input(b, WORKERS_AT + i, &m);
        turn(b);
}

static void open_bench(struct bench *b, unsigned n_workers) {
        const struct fa_store_cfg store_cfg = {.max_tasks = UINT32_MAX,
                                               .max_bytes = UINT64_MAX / 4,
                                               .seed = UINT64_C(0x243f6a8885a308d3)};
        const struct fa_disp_cfg cfg = {.name = "bench",
                                        .mode = FA_MODE_PUSH,
                                        .tick_ns = FA_NEVER,
                                        .hint_after_ns = FA_NEVER,
                                        .window_tasks = UINT32_MAX,
                                        .window_bytes = UINT64_MAX / 4,
                                        .seed = UINT64_C(0x13198a2e03707344)};

        *b = (struct bench){.n_workers = n_workers,
                            .grant = n_workers >= 64 ? 4 : 256 / n_workers,
                            .now_ns = FA_NS_PER_S};
        b->workers = calloc(n_workers, sizeof(*b->workers));
        must(b->workers && fa_store_open(&b->store, "memory:", &store_cfg) == 0 &&
                     fa_disp_new(&b->d, &cfg) == 0,
             "no memory");
        (void)commit(b);
        hello(b, 1, FA_ROLE_CLIENT);
}

/* Until all are done; so many at a time that every worker has some. */
static double run(struct bench *b, uint64_t n) {
        uint64_t in_flight = 4096 > 4 * b->n_workers ? 4096 : 4 * b->n_workers;
        uint64_t sent = 0;
        double start = cpu();

        b->done = 0;
        while (b->done < n) {
                uint64_t before = b->done + sent;
                while (sent < n && sent - b->done + BATCH <= in_flight) {
                        uint32_t k = n - sent < BATCH ? (uint32_t)(n - sent) : BATCH;
                        submit(b, "f", k);
                        sent += k;
                }
                b->now_ns += FA_NS_PER_MS;
                turn(b);
                must(b->done + sent > before, "nothing moves");
        }
        return cpu() - start;
}

/* Each says a beat each second, as an idle one does. */
static double idle(struct bench *b, unsigned seconds) {
        double start = cpu();

        for (unsigned s = 0; s < seconds; s++) {
                for (unsigned i = 0; i < b->n_workers; i++) {
                        struct worker *w = &b->workers[i];
                        struct fa_msg m = {.type = FA_MSG_BEAT,
                                           .epoch = w->epoch,
                                           .session = w->session,
                                           .seq = w->seq};
                        b->now_ns += FA_NS_PER_S / b->n_workers;
                        input(b, WORKERS_AT + i, &m);
                        if (i % 100 == 0)
                                turn(b);
                }
        }
        turn(b);
        return cpu() - start;
}

static void measure(unsigned n_workers, uint64_t tasks, uint64_t queued) {
        const unsigned seconds = 20;
        struct fa_disp_stats stats;
        double per_task, per_beat;
        struct bench b;
        size_t before;

        open_bench(&b, n_workers);
        for (uint64_t i = 0; i < queued; i += BATCH) {
                submit(&b, "nobody", BATCH);
                turn(&b);
        }
        before = used();
        for (unsigned i = 0; i < n_workers; i++)
                join(&b, i);
        before = used() - before;
        (void)run(&b, tasks / 10 + 1); /* what is made once */
        per_task = run(&b, tasks) / (double)tasks;
        per_beat = idle(&b, seconds) / seconds / n_workers;
        fa_disp_stats(b.d, &stats);
        must(stats.lost_workers == 0 && stats.requeued == 0, "a worker was taken for dead");
        printf("{\"benchmark\":\"core-scale\",\"workers\":%u,\"queued\":%llu,\"tasks\":%llu,"
               "\"task_ns\":%.0f,\"beat_ns\":%.0f,\"bytes_per_worker\":%.0f}\n",
               n_workers, (unsigned long long)stats.n_queued, (unsigned long long)tasks,
               per_task * 1e9, per_beat * 1e9, (double)before / n_workers);
        (void)fflush(stdout);
        fa_disp_free(b.d);
        fa_store_close(b.store);
        free(b.workers);
}

int main(int argc, char **argv) {
        char usual[] = "1,10,100,1000,10000,100000", few[] = "1,100";
        uint64_t tasks = 1000000, queued = 0;
        char *list = usual;

        for (int i = 1; i < argc; i++) {
                if (strcmp(argv[i], "--smoke") == 0) {
                        list = few;
                        tasks = 2000;
                } else if (i + 1 < argc && strcmp(argv[i], "--workers") == 0) {
                        list = argv[++i];
                } else if (i + 1 < argc && strcmp(argv[i], "--tasks") == 0) {
                        tasks = strtoull(argv[++i], NULL, 10);
                } else if (i + 1 < argc && strcmp(argv[i], "--queued") == 0) {
                        queued = strtoull(argv[++i], NULL, 10);
                } else {
                        fprintf(stderr, "usage: core-scale [--smoke] [--workers LIST] [--tasks N] "
                                        "[--queued N]\n");
                        return 2;
                }
        }
        for (char *word; (word = strsep(&list, ","));) {
                unsigned n = (unsigned)strtoul(word, NULL, 10);
                must(n >= 1 && n <= 100000 && tasks > 0, "1 to 100000 workers, 1 task at least");
                measure(n, tasks, queued);
        }
        return 0;
}
