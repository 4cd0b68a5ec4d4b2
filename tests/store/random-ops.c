#undef NDEBUG
#include "random-ops.h"

#include <stdlib.h>
#include <string.h>

#include "conformance.h"

#define EPOCHS 5 /* remembered at a time, fenced ones too */
#define KEPT 4   /* groups of each that may come again */
#define STEP_NS (50 * FA_NS_PER_MS)

/* All in all a run takes less than the minute for which collected ids are surely remembered. */
const struct fa_store_cfg random_cfg = {
        .max_tasks = 24,
        .tick_ns = 2 * STEP_NS,
        .lease_ticks = 3,
        .result_ttl_ns = 40 * STEP_NS,
};

static const char *const kind_name[_FA_OP_N] = {
        [FA_OP_START] = "START",     [FA_OP_REBIND] = "REBIND",   [FA_OP_TICK] = "TICK",
        [FA_OP_TAKE] = "TAKE",       [FA_OP_LOAD] = "LOAD",       [FA_OP_ACCEPT] = "ACCEPT",
        [FA_OP_FINISH] = "FINISH",   [FA_OP_REQUEUE] = "REQUEUE", [FA_OP_HINT] = "HINT",
        [FA_OP_RESTORE] = "RESTORE", [FA_OP_GET] = "GET",         [FA_OP_FORGET] = "FORGET",
        [FA_OP_DROP] = "DROP",
};

struct gen_epoch {
        struct ep ep;
        struct fa_group *kept[KEPT]; /* those that ran, as asked */
        struct fa_group *late[KEPT]; /* control groups, as asked, whether they ran or not */
        unsigned n_kept, n_late;
};

struct gen {
        uint64_t seed, rnd, now_ns;
        unsigned step, n_ops;
        const struct random_target *target;
        struct random_seen *seen;
        struct gen_epoch epoch[EPOCHS];
};

static unsigned rnd(struct gen *g, unsigned below) {
        g->rnd ^= g->rnd << 13;
        g->rnd ^= g->rnd >> 7;
        g->rnd ^= g->rnd << 17;
        return (unsigned)(g->rnd >> 33) % below;
}

static bool chance(struct gen *g, unsigned percent) {
        return rnd(g, 100) < percent;
}

/* Both give answers, and these agree; or the test ends here. */
#define AGREE(g, what, a, b)                                                                       \
        do {                                                                                       \
                unsigned long long a_ = (unsigned long long)(a), b_ = (unsigned long long)(b);     \
                if (a_ != b_)                                                                      \
                        cr_assert_fail("seed %llu, step %u: %s: %s says %llu, %s %llu",            \
                                       (unsigned long long)(g)->seed, (g)->step, what,             \
                                       (g)->target[0].name, a_, (g)->target[1].name, b_);          \
        } while (0)

static void agree_fence(struct gen *g, const struct fa_fence *a, const struct fa_fence *b) {
        AGREE(g, "fence: partition", a->partition, b->partition);
        AGREE(g, "fence: gen", a->gen, b->gen);
        AGREE(g, "fence: n", a->n, b->n);
}

static bool blob_eq(const struct fa_blob *a, const struct fa_blob *b) {
        return fa_blob_len(a) == fa_blob_len(b) &&
               memcmp(fa_blob_ptr(a), fa_blob_ptr(b), fa_blob_len(a)) == 0;
}

static void agree_record(struct gen *g, const struct fa_record *a, const struct fa_record *b) {
        AGREE(g, "record is there", !!a, !!b);
        if (!a)
                return;
        AGREE(g, "record: id", memcmp(&a->id, &b->id, sizeof(a->id)), 0);
        AGREE(g, "record: partition", a->partition, b->partition);
        AGREE(g, "record: state", a->state, b->state);
        AGREE(g, "record: hinted", a->hinted, b->hinted);
        AGREE(g, "record: strikes", a->strikes, b->strikes);
        AGREE(g, "record: retries", a->retries, b->retries);
        agree_fence(g, &a->strike_fence, &b->strike_fence);
        agree_fence(g, &a->fence, &b->fence);
        AGREE(g, "record: has spec", !!a->spec, !!b->spec);
        AGREE(g, "record: spec", !a->spec || fa_spec_equal(a->spec, b->spec), 1);
        AGREE(g, "record: status", a->outcome.status, b->outcome.status);
        AGREE(g, "record: result", blob_eq(a->outcome.payload, b->outcome.payload), 1);
}

static int by_epoch(const void *a, const void *b) {
        const struct fa_lease *x = a, *y = b;

        return x->epoch < y->epoch ? -1 : x->epoch > y->epoch;
}

static int by_partition(const void *a, const void *b) {
        const struct fa_owned *x = a, *y = b;

        return x->partition < y->partition ? -1 : x->partition > y->partition;
}

static void agree_more(struct gen *g, struct fa_op_more *a, struct fa_op_more *b) {
        AGREE(g, "tick", a->tick, b->tick);
        AGREE(g, "records loaded", a->n_recs, b->n_recs);
        AGREE(g, "leases", a->n_leases, b->n_leases);
        AGREE(g, "partitions", a->n_owned, b->n_owned);
        for (size_t i = 0; i < a->n_recs; i++)
                agree_record(g, &a->recs[i], &b->recs[i]);
        for (int k = 0; k < 2 && a->n_leases; k++)
                qsort(k ? a->leases : b->leases, a->n_leases, sizeof(*a->leases), by_epoch);
        for (size_t i = 0; i < a->n_leases; i++) {
                AGREE(g, "lease: epoch", a->leases[i].epoch, b->leases[i].epoch);
                AGREE(g, "lease: tick", a->leases[i].tick, b->leases[i].tick);
        }
        for (int k = 0; k < 2 && a->n_owned; k++)
                qsort(k ? a->owned : b->owned, a->n_owned, sizeof(*a->owned), by_partition);
        for (size_t i = 0; i < a->n_owned; i++) {
                AGREE(g, "partition: number", a->owned[i].partition, b->owned[i].partition);
                AGREE(g, "partition: owner", a->owned[i].owner, b->owned[i].owner);
                AGREE(g, "partition: gen", a->owned[i].gen, b->owned[i].gen);
        }
}

static void agree(struct gen *g, const struct fa_group *a, const struct fa_group *b) {
        AGREE(g, "group", a->r, b->r);
        g->seen->n[_FA_OP_N][a->r]++;
        for (size_t i = 0; i < a->n; i++) {
                const struct fa_op *x = &a->ops[i], *y = &b->ops[i];
                AGREE(g, kind_name[x->kind], x->r, y->r);
                AGREE(g, "differs", x->differs, y->differs);
                AGREE(g, "gen", x->gen, y->gen);
                AGREE(g, "owner", x->owner, y->owner);
                AGREE(g, "cursor", x->cursor, y->cursor);
                agree_record(g, x->rec, y->rec);
                if (x->more)
                        agree_more(g, x->more, y->more);
                if (a->r == 0 && x->r >= 0)
                        g->seen->n[x->kind][x->r]++;
                AGREE(g, "refused, and not answered", a->r && (x->r || x->rec), 0);
        }
}

/* Both run it; frees it.  Its first op's number and the group's r are all that is left of it. */
static int run(struct gen *g, struct fa_group *q, uint64_t *ret_owner) {
        struct fa_group *b = group_again(q);
        int r;

        g->target[0].run(g->target[0].store, q, g->now_ns);
        g->target[1].run(g->target[1].store, b, g->now_ns);
        agree(g, q, b);
        r = q->r;
        if (ret_owner)
                *ret_owner = q->ops[0].owner;
        fa_group_free(q);
        fa_group_free(b);
        return r;
}

static struct gen_epoch *any_epoch(struct gen *g) {
        return &g->epoch[rnd(g, EPOCHS)];
}

/* Mostly its own. */
static uint64_t any_partition(struct gen *g, const struct ep *e) {
        return chance(g, 85) ? e->epoch : any_epoch(g)->ep.epoch + chance(g, 2);
}

/* Of a window that moves, so that most are young and some are collected. */
static unsigned any_id(struct gen *g) {
        return 1 + g->n_ops / 40 + rnd(g, 16);
}

static const char *any_bytes(struct gen *g) {
        static const char *const bytes[] = {"", "some bytes", "other bytes, a few more than eight"};

        return bytes[chance(g, 90) ? 1 : rnd(g, 3)];
}

static void own(struct gen *g, struct fa_op *op, const struct ep *e) {
        op->more->owned = calloc(EPOCHS + 1, sizeof(struct fa_owned));
        cr_assert_not_null(op->more->owned);
        if (chance(g, 95))
                op->more->owned[op->more->n_owned++] = (struct fa_owned){e->epoch, e->epoch, 1};
        for (size_t i = 0; i < EPOCHS; i++)
                if (g->epoch[i].ep.epoch && chance(g, 5))
                        op->more->owned[op->more->n_owned++] =
                                (struct fa_owned){g->epoch[i].ep.epoch, e->epoch, 1 + rnd(g, 3)};
}

static void fill_result(struct gen *g, struct fa_op *op, uint8_t status) {
        op->outcome = (struct fa_outcome){.status = status, .payload = blob_of(any_bytes(g))};
        op->fence = (struct fa_fence){op->partition, 1 + rnd(g, 2), 1 + rnd(g, 5)};
}

/* One op of the sequence; weights are out of 100. */
static void put_any(struct gen *g, struct fa_group *q, const struct ep *e) {
        static const uint8_t weight[_FA_OP_N] = {
                [FA_OP_ACCEPT] = 36, [FA_OP_FINISH] = 22, [FA_OP_REQUEUE] = 9,
                [FA_OP_HINT] = 6,    [FA_OP_FORGET] = 10, [FA_OP_GET] = 6,
                [FA_OP_LOAD] = 5,    [FA_OP_TAKE] = 4,    [FA_OP_DROP] = 2,
        };
        unsigned at = rnd(g, 100), kind = 0;

        while (at >= weight[kind])
                at -= weight[kind++];
        struct fa_op *op = put(q, kind, any_partition(g, e), any_id(g));
        g->n_ops++;
        op->strikes = rnd(g, 4);
        op->retries = rnd(g, 4);
        unsigned fence = rnd(g, 5);
        if (kind == FA_OP_FINISH || kind == FA_OP_REQUEUE)
                op->fence = (struct fa_fence){op->partition, 1, fence};
        if (kind == FA_OP_ACCEPT)
                op->spec = spec_of(any_bytes(g));
        else if (kind == FA_OP_FINISH)
                fill_result(g, op, FAAS_COMPLETED + (uint8_t)rnd(g, 3));
        else if (kind == FA_OP_DROP)
                op->partition = any_epoch(g)->ep.epoch;
        else if (kind == FA_OP_TAKE) {
                op->partition = any_epoch(g)->ep.epoch;
                op->owner = chance(g, 80) ? op->partition : any_epoch(g)->ep.epoch;
        }
}

static void keep(struct fa_group **ring, unsigned *n, struct fa_group *q) {
        struct fa_group **at = &ring[(*n)++ % KEPT];

        fa_group_free(*at);
        *at = q;
}

/* The next of the sequence; sometimes one too far. */
static void step_group(struct gen *g) {
        struct gen_epoch *e = any_epoch(g);
        struct fa_group *q = ep_group(&e->ep);
        bool gap = chance(g, 3);

        for (unsigned n = 1 + rnd(g, 5); n; n--)
                put_any(g, q, &e->ep);
        q->seq += gap;
        struct fa_group *again = group_again(q);
        if (run(g, q, NULL)) {
                e->ep.seq--; /* it has not run, and will not come again */
                fa_group_free(again);
        } else {
                keep(e->kept, &e->n_kept, again);
        }
}

static void step_repeat(struct gen *g) {
        struct gen_epoch *e = any_epoch(g);
        struct fa_group *const *ring = chance(g, 60) ? e->kept : e->late;
        const struct fa_group *q = ring[rnd(g, KEPT)];

        if (q)
                run(g, group_again(q), NULL);
}

/* A control group, which may come again. */
static void run_control(struct gen *g, struct gen_epoch *e, struct fa_group *q) {
        if (chance(g, 50))
                keep(e->late, &e->n_late, group_again(q));
        run(g, q, NULL);
}

static void epoch_clear(struct gen_epoch *e) {
        for (size_t i = 0; i < KEPT; i++) {
                e->kept[i] = fa_group_free(e->kept[i]);
                e->late[i] = fa_group_free(e->late[i]);
        }
        *e = (struct gen_epoch){.ep = {.epoch = 0}};
}

static const char *any_name(struct gen *g) {
        static const char *const names[] = {"a", "b", "c", "d"};

        return names[rnd(g, 4)];
}

static void step_start(struct gen *g) {
        struct gen_epoch *e = any_epoch(g);

        epoch_clear(e);
        struct fa_group *q = ep_control(&e->ep);
        struct fa_op *op = put(q, FA_OP_START, 0, 0);
        e->ep.name = op->more->name = any_name(g);
        op->more->endpoint = "";
        run(g, q, &e->ep.epoch);
        cr_assert_neq(e->ep.epoch, 0);
}

/* An epoch that the store has never heard of: its START was lost with the tail. */
static void step_forgotten(struct gen *g) {
        struct gen_epoch *e = any_epoch(g);
        uint64_t epoch = any_epoch(g)->ep.epoch;

        epoch_clear(e);
        e->ep.epoch = epoch + rnd(g, 2000) - 500;
        e->ep.seq = rnd(g, 50);
        e->ep.name = any_name(g);
}

static void step_tick(struct gen *g) {
        struct gen_epoch *e = any_epoch(g);
        struct fa_group *q = ep_control(&e->ep);

        own(g, put(q, FA_OP_TICK, 0, 0), &e->ep);
        run_control(g, e, q);
}

static void step_rebind(struct gen *g, uint8_t state) {
        struct gen_epoch *e = any_epoch(g);
        struct fa_group *q = ep_control(&e->ep);
        struct fa_op *op = put(q, FA_OP_REBIND, 0, 0);

        op->state = state;
        op->cursor = e->ep.seq;
        op->more->name = e->ep.name ? e->ep.name : "e";
        op->more->endpoint = "";
        if (state == FA_REBIND_OWN && e->ep.epoch)
                own(g, op, &e->ep);
        run_control(g, e, q);
}

static void step_restore(struct gen *g) {
        struct gen_epoch *e = any_epoch(g);
        struct fa_group *q = ep_control(&e->ep);
        struct fa_op *op = put(q, FA_OP_RESTORE, any_partition(g, &e->ep), any_id(g));

        op->spec = spec_of(any_bytes(g));
        op->strikes = rnd(g, 4);
        op->state = chance(g, 50) ? FAAS_QUEUED : FAAS_COMPLETED;
        fill_result(g, op, op->state);
        run_control(g, e, q);
        g->n_ops++;
}

static void step_time(struct gen *g) {
        g->now_ns += 1 + rnd(g, STEP_NS);
        for (int i = 0; i < 2; i++)
                g->target[i].advance(g->target[i].store, g->now_ns);
}

static void step(struct gen *g) {
        unsigned at = rnd(g, 1000);

        if (at < 8)
                step_start(g);
        else if (at < 14)
                for (int i = 0; i < 2; i++)
                        g->target[i].restart(g->target[i].store);
        else if (at < 18)
                step_forgotten(g);
        else if (at < 60)
                step_rebind(g, FA_REBIND_OWN);
        else if (at < 100)
                step_rebind(g, FA_REBIND_DONE);
        else if (at < 160)
                step_restore(g);
        else if (at < 220)
                step_repeat(g);
        else if (at < 350)
                step_time(g);
        else if (at < 450)
                step_tick(g);
        else
                step_group(g);
}

void random_ops(uint64_t seed,
                unsigned n_ops,
                uint64_t now_ns,
                const struct random_target target[2],
                struct random_seen *seen) {
        struct gen g = {
                .seed = seed,
                .rnd = (seed + 1) * UINT64_C(0x9e3779b97f4a7c15),
                .now_ns = now_ns,
                .target = target,
                .seen = seen,
        };

        for (size_t i = 0; i < EPOCHS; i++)
                step_start(&g);
        for (; g.n_ops < n_ops; g.step++)
                step(&g);
        for (unsigned id = 1; id < n_ops / 40 + 20; id++) {
                struct fa_group *q = ep_control(&(struct ep){.epoch = 0});
                put(q, FA_OP_GET, 0, id);
                run(&g, q, NULL);
        }
        for (size_t i = 0; i < EPOCHS; i++)
                epoch_clear(&g.epoch[i]);
}
