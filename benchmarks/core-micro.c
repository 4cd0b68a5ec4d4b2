/*
 * core-micro.c - the small parts alone: codec, tables, heap, payloads' hash
 *
 *   core-micro [--smoke] [--rounds N]
 *
 * One JSON line a part: nanoseconds an operation, the median of the rounds.  Tables are measured
 * with as many elements as a busy dispatcher has (100,000), in an order that caches do not like.
 */
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/heap.h"
#include "base/map.h"
#include "base/set.h"
#include "limit.h"
#include "model/spec.h"
#include "wire/msg.h"

enum { BATCH = FA_BATCH_MAX, ELEMENTS = 100000, ROUNDS_MAX = 101 };

struct element {
        struct fa_map_node node;
        char rest[104 - sizeof(struct fa_map_node)]; /* as large as a task */
};

struct bench {
        unsigned rounds;
        size_t n; /* elements of tables */
        struct faas_id *ids;
        uint32_t *order;
};

static void must(bool ok, const char *what) {
        if (ok)
                return;
        fprintf(stderr, "core-micro: %s\n", what);
        exit(1);
}

static void say(const char *what, double *seconds, unsigned rounds, size_t operations) {
        printf("{\"benchmark\":\"core-micro\",\"what\":\"%s\",\"rounds\":%u,\"operations\":%zu,"
               "\"ns\":%.1f}\n",
               what, rounds, operations,
               limit_rank(seconds, rounds, 50) * 1e9 / (double)operations);
        (void)fflush(stdout);
}

static uint64_t next_random(uint64_t *x) {
        *x ^= *x << 13, *x ^= *x >> 7, *x ^= *x << 17;
        return *x;
}

static void prepare(struct bench *b) {
        uint64_t x = 88172645463325252u;

        b->ids = calloc(b->n, sizeof(*b->ids));
        b->order = calloc(b->n, sizeof(*b->order));
        must(b->ids && b->order, "memory");
        for (size_t i = 0; i < b->n; i++) {
                const uint64_t words[2] = {next_random(&x), next_random(&x)};
                memcpy(b->ids[i].b, words, sizeof(words));
                b->order[i] = (uint32_t)i;
        }
        for (size_t i = b->n - 1; i > 0; i--) {
                size_t k = next_random(&x) % (i + 1);
                uint32_t was = b->order[i];
                b->order[i] = b->order[k];
                b->order[k] = was;
        }
}

/* ---- codec ---- */

/* A full batch of hand-outs, the items of which are cleared and filled as the dispatcher does; row:
 * their ids count on. */
static struct fa_msg *make_batch(struct fa_msg_pool *pool, struct fa_blob *payload, bool row) {
        struct fa_msg *m = NULL;

        must(fa_msg_take(&m, pool, FA_MSG_TASK) == 0, "message");
        m->epoch = m->session = 1;
        for (uint32_t i = 0; i < BATCH; i++) {
                struct fa_item *it = fa_msg_add(m);
                must(it != NULL, "item");
                it->id.b[row ? sizeof(it->id.b) - 1 : 0] = (uint8_t)i;
                it->fence = (struct fa_fence){1, 1, i + 1};
                it->function = (struct fa_slice){(const uint8_t *)"echo", 4};
                it->max_strikes = 3;
                it->payload = fa_blob_ref(payload);
        }
        m->seq = BATCH;
        return m;
}

static void codec(const struct bench *b, bool row) {
        double build[ROUNDS_MAX], encode[ROUNDS_MAX], decode[ROUNDS_MAX];
        struct fa_frames frames = FA_FRAMES_NULL;
        struct fa_blob *payload = NULL;
        struct fa_msg_pool *pool = NULL;
        const unsigned repeat = 50;

        must(fa_blob_new(&payload, "0123456789abcdef", 16) == 0 && fa_msg_pool_new(&pool) == 0,
             "memory");
        for (unsigned i = 0; i < b->rounds; i++) {
                build[i] = encode[i] = decode[i] = 0;
                for (unsigned k = 0; k < repeat; k++) {
                        double t = limit_now();
                        struct fa_msg *m = make_batch(pool, payload, row), *got = NULL;
                        build[i] += limit_now() - t;
                        t = limit_now();
                        must(fa_msg_encode(m, &frames) == 0, "encode");
                        encode[i] += limit_now() - t;
                        t = limit_now();
                        must(fa_msg_decode_into(&got, pool, &frames, FA_ROLE_DISPATCHER, NULL) == 0,
                             "decode");
                        must(got->n_items == BATCH, "items");
                        fa_msg_free(got);
                        decode[i] += limit_now() - t;
                        fa_msg_free(m);
                        fa_frames_clear(&frames);
                }
        }
        if (!row)
                say("message of 256 hand-outs: made, an item", build, b->rounds,
                    (size_t)repeat * BATCH);
        say(row ? "256 hand-outs in a row: encoded, an item"
                : "message of 256 hand-outs: encoded, an item",
            encode, b->rounds, (size_t)repeat * BATCH);
        say(row ? "256 hand-outs in a row: decoded and freed, an item"
                : "message of 256 hand-outs: decoded and freed, an item",
            decode, b->rounds, (size_t)repeat * BATCH);
        fa_frames_deinit(&frames);
        fa_msg_pool_close(pool);
        fa_blob_unref(payload);
}

/* ---- tables ---- */

static void map(const struct bench *b) {
        double add[ROUNDS_MAX], find[ROUNDS_MAX], find_at[ROUNDS_MAX], removed[ROUNDS_MAX];

        for (unsigned i = 0; i < b->rounds; i++) {
                struct fa_map m;
                uint32_t *at = calloc(b->n, sizeof(*at));
                double t = limit_now();

                must(at != NULL, "memory");
                fa_map_init(&m, 4711, sizeof(struct element));
                for (size_t k = 0; k < b->n; k++) {
                        struct element *e = fa_map_add(&m, &b->ids[k]);
                        must(e != NULL, "memory");
                        at[k] = e->node.index;
                }
                add[i] = limit_now() - t;
                t = limit_now();
                for (size_t k = 0; k < b->n; k++)
                        must(fa_map_find(&m, &b->ids[b->order[k]]) != NULL, "find");
                find[i] = limit_now() - t;
                t = limit_now();
                for (size_t k = 0; k < b->n; k++)
                        must(fa_map_find_at(&m, &b->ids[b->order[k]], at[b->order[k]]) != NULL,
                             "find_at");
                find_at[i] = limit_now() - t;
                t = limit_now();
                for (size_t k = 0; k < b->n; k++) {
                        struct element *e = fa_map_at(&m, at[b->order[k]]);
                        fa_map_remove(&m, &e->node);
                }
                removed[i] = limit_now() - t;
                fa_map_deinit(&m);
                free(at);
        }
        say("map: add, growing", add, b->rounds, b->n);
        say("map: find", find, b->rounds, b->n);
        say("map: find at a remembered place", find_at, b->rounds, b->n);
        say("map: remove", removed, b->rounds, b->n);
}

static void set(const struct bench *b) {
        double add[ROUNDS_MAX], has[ROUNDS_MAX];

        for (unsigned i = 0; i < b->rounds; i++) {
                struct fa_set s = {0};
                double t = limit_now();

                for (size_t k = 0; k < b->n; k++)
                        must(fa_set_add(&s, fa_set_key(4711, &b->ids[k])) == 0, "add");
                add[i] = limit_now() - t;
                t = limit_now();
                for (size_t k = 0; k < b->n; k++)
                        must(fa_set_has(&s, fa_set_key(4711, &b->ids[b->order[k]])), "has");
                has[i] = limit_now() - t;
                fa_set_deinit(&s);
        }
        say("set: add, growing", add, b->rounds, b->n);
        say("set: has", has, b->rounds, b->n);
}

/* Deadlines as they come: nearly in order. */
static void heap(const struct bench *b) {
        double in[ROUNDS_MAX], out[ROUNDS_MAX];
        struct fa_heap_node *nodes = calloc(b->n, sizeof(*nodes));

        must(nodes != NULL, "memory");
        for (unsigned i = 0; i < b->rounds; i++) {
                struct fa_heap h = FA_HEAP_NULL;
                double t = limit_now();

                for (size_t k = 0; k < b->n; k++)
                        must(fa_heap_set(&h, &nodes[k], k * 1000 + b->order[k] % 100000) == 0,
                             "set");
                in[i] = limit_now() - t;
                t = limit_now();
                for (struct fa_heap_node *n; (n = fa_heap_peek(&h));)
                        fa_heap_remove(&h, n);
                out[i] = limit_now() - t;
                fa_heap_deinit(&h);
        }
        free(nodes);
        say("heap: insert", in, b->rounds, b->n);
        say("heap: take the first", out, b->rounds, b->n);
}

int main(int argc, char **argv) {
        struct bench b = {.rounds = 11, .n = ELEMENTS};

        for (int i = 1; i < argc; i++) {
                if (strcmp(argv[i], "--smoke") == 0) {
                        b.rounds = 1;
                        b.n = 1000;
                } else if (i + 1 < argc && strcmp(argv[i], "--rounds") == 0) {
                        b.rounds = (unsigned)strtoul(argv[++i], NULL, 10);
                } else {
                        fprintf(stderr, "usage: core-micro [--smoke] [--rounds N]\n");
                        return 2;
                }
        }
        must(b.rounds >= 1 && b.rounds <= ROUNDS_MAX, "1 to 101 rounds");
        prepare(&b);
        codec(&b, false);
        codec(&b, true);
        map(&b);
        set(&b);
        heap(&b);
        free(b.ids);
        free(b.order);
        return 0;
}
