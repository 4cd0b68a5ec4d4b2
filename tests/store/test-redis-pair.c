/*
 * test-redis-pair.c - the Redis store answers random groups as the memory store does, and keeps its
 * books
 */
#undef NDEBUG
#include "redis-bed.h"

#include "base/macros.h"
#include "random-ops.h"
#include "store/memory.h"

#define SEEDS 40
#define OPS 2000

const struct bed_ops bed_under_test = RB_VIRTUAL;

static void run_redis(void *store, struct fa_group *g, uint64_t now_ns) {
        bed_run(store, g);
}

static void advance_redis(void *store, uint64_t now_ns) {
        struct bed *b = store;

        b->ops->advance(b, now_ns - b->now_ns);
}

static void restart_redis(void *store) {
        rb_virtual_restart(store);
}

static uint64_t memory_ns;

static void run_memory(void *store, struct fa_group *g, uint64_t now_ns) {
        fa_memory_run(store, g, now_ns);
}

static void advance_memory(void *store, uint64_t now_ns) {
        for (uint64_t at; (at = fa_memory_deadline(store)) <= now_ns;) {
                memory_ns = FA_MAX(at, memory_ns);
                fa_memory_tick(store, memory_ns);
        }
        memory_ns = now_ns;
}

static void restart_memory(void *store) {
        fa_memory_restarted(store);
}

Test(redis_pair, random_groups_are_answered_as_the_memory_store_answers_them) {
        struct random_seen seen = {.n = {{0}}};

        for (uint64_t seed = 0; seed < SEEDS; seed++) {
                struct fa_store_cfg cfg = random_cfg;
                struct fa_memory *m = NULL;
                struct bed b;

                cfg.seed = 1000 + seed;
                bed_open(&b, &cfg);
                /* What fa_store_open() fills in. */
                cfg.max_bytes = UINT64_C(1) << 30;
                cfg.result_bytes = UINT64_C(256) << 20;
                cr_assert_eq(fa_memory_new(&m, &cfg), 0);
                memory_ns = b.now_ns;
                const struct random_target target[2] = {
                        {"redis", &b, run_redis, advance_redis, restart_redis},
                        {"memory", m, run_memory, advance_memory, restart_memory},
                };
                random_ops(1000 + seed, OPS, b.now_ns, target, &seen);
                rb_books(rb_prefix());
                fa_memory_free(m);
                bed_close(&b);
        }
        cr_assert_gt(seen.n[FA_OP_ACCEPT][0], 100);
}
