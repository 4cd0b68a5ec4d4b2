/*
 * conform-random.c - every store: random groups, answered as the naive model answers them
 */
#undef NDEBUG
#include "conformance.h"

#include "naive.h"
#include "random-ops.h"

#define SEEDS 200
#define OPS 2000

static void bed_run_at(void *store, struct fa_group *g, uint64_t now_ns) {
        bed_run(store, g);
}

static void bed_advance_to(void *store, uint64_t now_ns) {
        struct bed *b = store;

        b->ops->advance(b, now_ns - b->now_ns);
}

static void bed_restart(void *store) {
        struct bed *b = store;

        b->ops->restart(b);
}

static void run_naive(void *store, struct fa_group *g, uint64_t now_ns) {
        naive_run(store, g, now_ns);
}

static void advance_naive(void *store, uint64_t now_ns) {
        naive_advance(store, now_ns);
}

static void restart_naive(void *store) {
        naive_restart(store);
}

/* Which answers an op can have, a bit each; all must have come, or the generator is asleep. */
static void expect_seen(const struct random_seen *seen) {
#define BIT(e) (1u << (e))
        static const unsigned all[_FA_OP_N + 1] = {
                [FA_OP_START] = BIT(0),
                [FA_OP_REBIND] = BIT(0),
                [FA_OP_TICK] = BIT(0),
                [FA_OP_TAKE] = BIT(0) | BIT(FAAS_E_STALE),
                [FA_OP_LOAD] = BIT(0),
                [FA_OP_ACCEPT] = BIT(0) | BIT(FAAS_E_EXISTS) | BIT(FAAS_E_GONE) | BIT(FAAS_E_LIMIT),
                [FA_OP_FINISH] = BIT(0) | BIT(FAAS_E_EXISTS) | BIT(FAAS_E_GONE) |
                                 BIT(FAAS_E_NOENT) | BIT(FAAS_E_STALE),
                [FA_OP_REQUEUE] = BIT(0) | BIT(FAAS_E_EXISTS) | BIT(FAAS_E_NOENT),
                [FA_OP_HINT] = BIT(0),
                [FA_OP_RESTORE] = BIT(0) | BIT(FAAS_E_EXISTS) | BIT(FAAS_E_GONE),
                [FA_OP_GET] = BIT(0) | BIT(FAAS_E_GONE) | BIT(FAAS_E_NOENT),
                [FA_OP_FORGET] = BIT(0) | BIT(FAAS_E_NOENT),
                [FA_OP_DROP] = BIT(0) | BIT(FAAS_E_STALE),
                [_FA_OP_N] =
                        BIT(0) | BIT(FAAS_E_FENCED) | BIT(FAAS_E_UNAVAILABLE) | BIT(FAAS_E_AGAIN),
        };
#undef BIT
        for (unsigned kind = 0; kind <= _FA_OP_N; kind++)
                for (unsigned r = 0; r < _FAAS_E_N; r++)
                        cr_expect_eq(all[kind] >> r & 1, seen->n[kind][r] > 0,
                                     "op kind %u answered %s %llu times", kind,
                                     faas_strerror((int)r), (unsigned long long)seen->n[kind][r]);
}

Test(store, random_groups_are_answered_as_the_naive_model_answers_them) {
        struct random_seen seen = {.n = {{0}}};

        for (uint64_t seed = 0; seed < SEEDS; seed++) {
                struct fa_store_cfg cfg = random_cfg;
                struct bed b;

                cfg.seed = seed;
                bed_open(&b, &cfg);
                struct naive *n = naive_new(&cfg);
                const struct random_target target[2] = {
                        {"the store", &b, bed_run_at, bed_advance_to, bed_restart},
                        {"the model", n, run_naive, advance_naive, restart_naive},
                };
                random_ops(seed, OPS, b.now_ns, target, &seen);
                naive_free(n);
                bed_close(&b);
        }
        expect_seen(&seen);
}
