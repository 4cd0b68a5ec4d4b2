/*
 * redis-groups.c - what the store in Redis alone can do: the groups that a dispatcher sends, and no
 * dispatcher, client or worker around them
 *
 * An epoch of its own with its lease; each group has so many new tasks of 16 bytes, the results of
 * as many tasks of an earlier group, and the collected ids of as many before them; four groups are
 * under way at a time.  One JSON line for each size of group: tasks/s, and the processor time that
 * Redis and this program take for a task.
 *
 *   redis-groups [--smoke] [--tasks N] [--size N] [--fsync everysec|always|no] [--store URL]
 *
 * --size: of the groups; by default 32, 128 and 512, one after the other.
 */
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <faas/error.h>

#include "base/clock.h"
#include "base/id.h"
#include "base/macros.h"
#include "programs.h"
#include "store/store.h"

#define IN_FLIGHT 4
#define SIZE_MAX_OF_GROUP 4096
#define BYTES 16
#define PATIENCE_NS (60 * FA_NS_PER_S)

struct bench {
        struct fa_store *store;
        struct fa_idgen ids;
        uint64_t epoch, seq, client;
        uint32_t gen;
        struct fa_spec *spec; /* all tasks are alike */
        struct fa_blob *result;
        uint64_t tick_at_ns;
        unsigned size, under_way;
        struct faas_id *id; /* of all tasks, in their order */
        size_t n, finished, forgotten;
};

static void die(const char *what, int r) {
        fprintf(stderr, "redis-groups: %s: %s (%s)\n", what, faas_strerror(r), faas_error_text());
        exit(1);
}

static struct fa_group *new_group(void) {
        struct fa_group *g;

        if (fa_group_new(&g))
                die("group", -ENOMEM);
        return g;
}

static struct fa_op *add(struct fa_group *g, enum fa_op_kind kind) {
        struct fa_op *op = fa_group_add(g, kind);

        if (!op)
                die("operation", -ENOMEM);
        return op;
}

/* The next answered group; it is the caller's. */
static struct fa_group *next(struct bench *b) {
        uint64_t start = fa_now();

        for (;;) {
                uint64_t now = fa_now();
                struct fa_group *g = fa_store_reap(b->store, now);
                const char *why = "";
                if (g && g->r)
                        die("a group was refused", g->r);
                if (g)
                        return g;
                if (now - start > PATIENCE_NS) {
                        (void)fa_store_state(b->store, &why);
                        fprintf(stderr, "redis-groups: no answer: %s\n", why);
                        exit(1);
                }
                struct pollfd p = {.fd = fa_store_fd(b->store), .events = POLLIN};
                (void)poll(&p, 1,
                           fa_poll_ms(FA_MIN(fa_store_deadline(b->store), now + FA_NS_PER_S), now));
        }
}

static void begin(struct bench *b) {
        struct fa_group *g = new_group();
        struct fa_op *op = add(g, FA_OP_START);

        op->more->name = "bench";
        op->more->endpoint = "tcp://127.0.0.1:1";
        fa_store_apply(b->store, g, fa_now());
        g = next(b);
        if (g->ops[0].r)
                die("START", g->ops[0].r);
        b->epoch = g->ops[0].owner;
        b->seq = 0;
        b->gen = g->ops[0].more->owned[0].gen;
        fa_group_free(g);
}

static void tick(struct bench *b, uint64_t now_ns) {
        struct fa_group *g = new_group();
        struct fa_op *op = add(g, FA_OP_TICK);

        g->epoch = b->epoch;
        op->more->owned = calloc(1, sizeof(*op->more->owned));
        if (!op->more->owned)
                die("tick", -ENOMEM);
        op->more->owned[0] = (struct fa_owned){b->epoch, b->epoch, b->gen};
        op->more->n_owned = 1;
        fa_store_apply(b->store, g, now_ns);
        b->tick_at_ns = now_ns + FA_NS_PER_S;
        b->under_way++;
}

/* The groups in which tasks finish and are forgotten come after those in flight. */
static void send_group(struct bench *b, size_t n_new, size_t n_final, size_t n_gone) {
        struct fa_group *g = new_group();
        uint64_t now_ns = fa_now(), wall_ms = fa_wall_ms();

        g->epoch = b->epoch;
        g->seq = ++b->seq;
        for (size_t i = 0; i < n_new; i++) {
                struct fa_op *op = add(g, FA_OP_ACCEPT);
                fa_idgen_next(&b->ids, wall_ms, &b->id[b->n]);
                op->id = b->id[b->n++];
                op->partition = b->epoch;
                op->client = b->client;
                op->spec = fa_spec_ref(b->spec);
        }
        for (size_t i = 0; i < n_final; i++) {
                struct fa_op *op = add(g, FA_OP_FINISH);
                op->id = b->id[b->finished++];
                op->partition = b->epoch;
                op->fence = (struct fa_fence){b->epoch, b->gen, b->finished};
                op->outcome = (struct fa_outcome){.status = FAAS_COMPLETED,
                                                  .payload = fa_blob_ref(b->result)};
        }
        for (size_t i = 0; i < n_gone; i++)
                add(g, FA_OP_FORGET)->id = b->id[b->forgotten++];
        fa_store_apply(b->store, g, now_ns);
        b->under_way++;
}

static void take_answer(struct bench *b) {
        struct fa_group *g = next(b);

        for (size_t i = 0; i < g->n; i++)
                if (g->ops[i].r)
                        die("an operation", g->ops[i].r);
        fa_group_free(g);
        b->under_way--;
}

/* All n tasks, from their acceptance until they are forgotten. */
static void run(struct bench *b, size_t n) {
        size_t lag = (size_t)IN_FLIGHT * b->size; /* until a task ends, and is collected then */

        b->n = b->finished = b->forgotten = 0;
        while (b->forgotten < n) {
                bool last = b->n == n;
                size_t n_new = FA_MIN((size_t)b->size, n - b->n);
                size_t open = b->n - b->finished, final = b->finished - b->forgotten;
                if (fa_now() >= b->tick_at_ns)
                        tick(b, fa_now());
                while (b->under_way >= IN_FLIGHT)
                        take_answer(b);
                send_group(b, n_new, last || open >= lag ? FA_MIN(open, (size_t)b->size) : 0,
                           (last && !open) || final >= lag ? FA_MIN(final, (size_t)b->size) : 0);
        }
        while (b->under_way)
                take_answer(b);
}

static void
measure(struct bench *b, const struct redis_server *redis, size_t n, const char *fsync) {
        double start, seconds, server, self;

        run(b, n / 10 + 1); /* warm */
        server = programs_cpu(redis->pid);
        self = programs_cpu(0);
        start = programs_now();
        run(b, n);
        seconds = programs_now() - start;
        server = programs_cpu(redis->pid) - server;
        self = programs_cpu(0) - self;
        printf("{\"bench\": \"redis-groups\", \"size\": %u, \"fsync\": \"%s\", \"tasks\": %zu, "
               "\"bytes\": %d, \"seconds\": %.4f, \"tasks_per_s\": %.0f, \"redis_us\": %.2f, "
               "\"self_us\": %.2f}\n",
               b->size, fsync, n, BYTES, seconds, (double)n / seconds, server / (double)n * 1e6,
               self / (double)n * 1e6);
        (void)fflush(stdout);
}

static void prepare(struct bench *b, const char *url, size_t n) {
        const struct fa_store_cfg cfg = {.seed = 1};
        const uint8_t bytes[BYTES] = {1};
        struct fa_item it = {.function = {(const uint8_t *)"echo", 4}};
        int r = fa_store_open(&b->store, url, &cfg);

        if (r)
                die(url, r);
        fa_idgen_init(&b->ids, bytes);
        b->client = 1;
        b->id = calloc(n + n / 10 + 1, sizeof(*b->id));
        if (!b->id || fa_blob_new(&it.payload, bytes, BYTES) || fa_spec_new(&b->spec, &it))
                die("tasks", -ENOMEM);
        b->result = it.payload;
        begin(b);
}

static int usage(void) {
        fprintf(stderr,
                "usage: redis-groups [--smoke] [--tasks N] [--size 1..%d] [--fsync "
                "everysec|always|no] [--store URL]\n",
                SIZE_MAX_OF_GROUP);
        return 2;
}

int main(int argc, char **argv) {
        static const unsigned sizes[] = {32, 128, 512};
        const char *fsync = "everysec", *url = NULL;
        struct redis_server redis = {.pid = 0};
        struct bench b = {.size = 0};
        unsigned one = 0;
        size_t n = 500000;

        for (int i = 1; i < argc; i++) {
                const char *value = i + 1 < argc ? argv[i + 1] : NULL;
                if (strcmp(argv[i], "--smoke") == 0) {
                        n = 2000;
                        continue;
                }
                if (!value)
                        return usage();
                if (strcmp(argv[i], "--tasks") == 0)
                        n = strtoul(value, NULL, 10);
                else if (strcmp(argv[i], "--size") == 0)
                        one = (unsigned)strtoul(value, NULL, 10);
                else if (strcmp(argv[i], "--fsync") == 0)
                        fsync = value;
                else if (strcmp(argv[i], "--store") == 0)
                        url = value;
                else
                        return usage();
                i++;
        }
        if (!n || one > SIZE_MAX_OF_GROUP)
                return usage();
        if (!url && redis_server_new(&redis, fsync))
                return 1;
        prepare(&b, url ? url : redis.url, n);
        for (size_t i = 0; i < (one ? 1 : FA_ARRAY_SIZE(sizes)); i++) {
                b.size = one ? one : sizes[i];
                measure(&b, &redis, n, url ? "" : fsync);
        }
        fa_store_close(b.store);
        fa_blob_unref(b.result);
        fa_spec_unref(b.spec);
        free(b.id);
        redis_server_kill(&redis);
        return 0;
}
