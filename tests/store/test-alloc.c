/*
 * test-alloc.c - a dispatcher's session without memory: the k-th allocation fails, for every k
 *
 * Only the store's allocations are made to fail, not those of the test that asks it.  Whatever was
 * not answered for lack of memory is asked once more, and then all must be as if nothing had been.
 */
#undef NDEBUG
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "conformance.h"
#include "th-alloc.h"

/* Runs a group while memory may lack; the countdown stands still in between. */
struct session {
        struct bed b;
        uint64_t k;
        bool failed;
};

static void run(struct session *s, struct fa_group *g) {
        if (s->failed) {
                bed_run(&s->b, g);
                return;
        }
        uint64_t before = th_alloc_count();
        th_alloc_fail_at(s->k);
        bed_run(&s->b, g);
        s->failed = th_alloc_failed();
        th_alloc_fail_at(0);
        s->k -= s->failed ? s->k : th_alloc_count() - before;
}

/* Runs it; if an op of it had no memory, once more as the next group. Returns the answered one. */
static struct fa_group *ask(struct session *s, struct ep *e, struct fa_group *g) {
        struct fa_group *again = group_again(g);
        bool short_of_memory = false;

        run(s, g);
        cr_assert_eq(g->r, 0);
        for (size_t i = 0; i < g->n; i++) {
                short_of_memory |= g->ops[i].r == -ENOMEM;
                cr_assert(g->ops[i].r >= 0 || g->ops[i].r == -ENOMEM);
        }
        if (!short_of_memory) {
                fa_group_free(again);
                return g;
        }
        cr_assert(s->failed);
        fa_group_free(g);
        if (again->seq)
                again->seq = ++e->seq;
        run(s, again);
        cr_assert_eq(again->r, 0);
        return again;
}

static struct ep start(struct session *s, const char *name) {
        struct ep e = {.bed = &s->b, .name = name};
        struct fa_group *g = NULL;

        cr_assert_eq(fa_group_new(&g), 0);
        struct fa_op *op = put(g, FA_OP_START, 0, 0);
        op->more->name = name;
        op->more->endpoint = "";
        g = ask(s, &e, g);
        cr_assert_eq(g->ops[0].r, 0);
        cr_assert_geq(g->ops[0].more->n_owned, 1);
        e.epoch = g->ops[0].owner;
        fa_group_free(g);
        return e;
}

/* The answers of a group of MANY ops: 0, or what the operation said when it ran the first time. */
static void expect_all(struct fa_group *g, int or_else) {
        for (size_t i = 0; i < g->n; i++)
                cr_assert(g->ops[i].r == 0 || g->ops[i].r == or_else, "op %zu: %d", i, g->ops[i].r);
        fa_group_free(g);
}

#define MANY 20

static void work(struct session *s, struct ep *e) {
        struct fa_group *g = ep_group(e);

        for (unsigned i = 0; i < MANY; i++)
                put_accept(g, e->epoch, i, "x");
        expect_all(ask(s, e, g), FAAS_E_EXISTS);
        g = ep_group(e);
        put(g, FA_OP_LOAD, e->epoch, 0);
        g = ask(s, e, g);
        cr_assert_eq(g->ops[0].more->n_recs, MANY);
        fa_group_free(g);
        g = ep_group(e);
        for (unsigned i = 0; i < MANY; i += 2) {
                put_finish(g, e->epoch, i, "y");
                put_finish(g, e->epoch, i, "z"); /* the second one's answer takes memory */
        }
        expect_all(ask(s, e, g), FAAS_E_EXISTS);
        g = ep_group(e);
        put(g, FA_OP_FORGET, e->epoch, 0);
        put_tick(g, &e->epoch, 1);
        put(g, FA_OP_GET, 0, 1);
        put(g, FA_OP_GET, 0, 2);
        g = ask(s, e, g);
        cr_assert_geq(g->ops[1].more->n_owned, 2); /* a START that was repeated left one more */
        cr_assert_eq(g->ops[1].more->n_leases, 2);
        cr_assert_not_null(g->ops[2].rec);
        cr_assert_not_null(g->ops[3].rec);
        expect_all(g, FAAS_E_NOENT);
}

static void rebind(struct session *s, struct ep *e) {
        struct fa_group *g = NULL;

        s->b.ops->restart(&s->b);
        cr_assert_eq(fa_group_new(&g), 0);
        g->epoch = e->epoch;
        struct fa_op *op = put(g, FA_OP_REBIND, 0, 0);
        op->more->name = e->name;
        op->more->endpoint = "";
        op->cursor = e->seq;
        op->more->owned = calloc(2, sizeof(struct fa_owned));
        op->more->owned[op->more->n_owned++] = (struct fa_owned){e->epoch, e->epoch, 1};
        /* One that the store has forgotten. */
        op->more->owned[op->more->n_owned++] = (struct fa_owned){e->epoch - 7, e->epoch, 1};
        expect_all(ask(s, e, g), 0);
        cr_assert_eq(fa_group_new(&g), 0);
        g->epoch = e->epoch;
        op = put(g, FA_OP_RESTORE, e->epoch - 7, 100);
        op->spec = spec_of("x");
        expect_all(ask(s, e, g), 0);
        cr_assert_eq(do_rebind(e, FA_REBIND_DONE, NULL, 0), 0);
}

/* A whole session in which the k-th allocation of the store fails; false: there was no k-th. */
static bool session(uint64_t k) {
        struct session s = {.k = k};

        bed_open(&s.b, NULL);
        struct ep other = start(&s, "other"), e = start(&s, "e");
        const struct fa_owned its = {other.epoch, other.epoch, 1};
        work(&s, &e);
        rebind(&s, &e);
        cr_assert_eq(do_rebind(&other, FA_REBIND_OWN, &its, 1), 0);
        cr_assert_eq(do_rebind(&other, FA_REBIND_DONE, NULL, 0), 0);
        for (unsigned i = 1; i < MANY; i++)
                if (i % 2)
                        expect_open(&s.b, i);
                else
                        expect_final(&s.b, i, "y");
        expect_open(&s.b, 100);
        e = start(&s, "e"); /* takes over what its name had */
        cr_assert_eq(do_tick(&e), 0);
        bed_close(&s.b);
        return s.failed;
}

Test(store_alloc, a_session_survives_the_failure_of_each_of_its_allocations) {
        uint64_t k = 0;

        while (session(++k))
                continue;
        cr_assert_gt(k, 25, "%llu allocations", (unsigned long long)k);
}

Test(store_alloc, a_store_opens_whole_or_leaves_nothing) {
        int64_t live = th_alloc_live();
        struct fa_store *s = NULL;
        uint64_t k = 0;
        int r;

        do {
                th_alloc_fail_at(++k);
                r = fa_store_open(&s, "memory:", NULL);
                th_alloc_fail_at(0);
                cr_assert(r == 0 || (r == -ENOMEM && !s && th_alloc_live() == live));
                cr_assert(r == 0 || strstr(faas_error_text(), "memory:"));
        } while (r);
        cr_assert_gt(k, 1);
        fa_store_close(s);
        cr_assert_eq(th_alloc_live(), live);
}
