/*
 * conform-epoch.c - every store: epochs, the guard of a group, and its sequence
 */
#undef NDEBUG
#include "conformance.h"

Test(store, epochs_grow_and_are_at_least_the_time_in_us) {
        struct bed b;

        bed_open(&b, NULL);
        struct ep first = ep_start(&b, "a");
        cr_assert_geq(first.epoch, b.now_ns / FA_NS_PER_US);
        struct ep second = ep_start(&b, "b"); /* at the same time: the number grows all the same */
        cr_assert_gt(second.epoch, first.epoch);
        b.ops->advance(&b, 5 * FA_NS_PER_S);
        struct ep third = ep_start(&b, "c");
        cr_assert_geq(third.epoch, first.epoch + 4000000);
        bed_close(&b);
}

/* START, and the partitions that it answers: how many, and whether this one is among them. */
static struct ep start_owning(struct bed *b, const char *name, size_t n, struct fa_owned o) {
        struct ep e = {.bed = b, .name = name};
        struct fa_group *g = NULL;
        bool found = false;

        cr_assert_eq(fa_group_new(&g), 0);
        struct fa_op *op = put(g, FA_OP_START, 0, 0);
        op->more->name = name;
        op->more->endpoint = "";
        bed_run(b, g);
        e.epoch = op->owner;
        cr_assert_eq(op->more->n_owned, n);
        for (size_t i = 0; i < n; i++) {
                const struct fa_owned *v = &op->more->owned[i];
                cr_assert_eq(v->owner, e.epoch);
                found |= v->partition == (o.partition ? o.partition : e.epoch) && v->gen == o.gen;
        }
        cr_assert(found);
        fa_group_free(g);
        return e;
}

Test(store, a_new_epoch_has_a_partition_of_its_own_number_in_generation_1) {
        struct bed b;

        bed_open(&b, NULL);
        start_owning(&b, "a", 1, (struct fa_owned){.gen = 1});
        bed_close(&b);
}

Test(store, a_start_fences_the_older_epoch_of_its_name_and_takes_its_partitions) {
        struct bed b;

        bed_open(&b, NULL);
        struct ep old = ep_start(&b, "a"), other = ep_start(&b, "b");
        cr_assert_eq(do_accept(&old, 1, "x"), 0);
        struct ep new = start_owning(&b, "a", 2, (struct fa_owned){old.epoch, .gen = 2});

        cr_assert_eq(do_accept(&old, 2, "x"), FAAS_E_FENCED);
        cr_assert_eq(do_tick(&old), FAAS_E_FENCED);
        cr_assert_eq(do_forget(&old, 1), FAAS_E_FENCED);
        cr_assert_eq(do_get(&b, 2, NULL), FAAS_E_NOENT);

        struct fa_group *g = ep_group(&new);
        put_finish(g, old.epoch, 1, "y");
        cr_assert_eq(ep_run(&new, g), 0);
        cr_assert_eq(g->ops[0].r, 0);
        fa_group_free(g);
        expect_final(&b, 1, "y");
        cr_assert_eq(do_accept(&other, 3, "x"), 0, "another name is left alone");

        /* The generation goes on from owner to owner. */
        start_owning(&b, "a", 3, (struct fa_owned){old.epoch, .gen = 3});
        bed_close(&b);
}

Test(store, an_unknown_epoch_is_fenced) {
        struct bed b;

        bed_open(&b, NULL);
        struct ep e = ep_start(&b, "a"), nobody = {.bed = &b, .epoch = e.epoch + 1};
        cr_assert_eq(do_accept(&nobody, 1, "x"), FAAS_E_FENCED);
        cr_assert_eq(do_tick(&nobody), FAAS_E_FENCED);
        cr_assert_eq(do_take(&nobody, e.epoch, e.epoch, NULL), FAAS_E_FENCED);
        nobody.epoch = 0;
        cr_assert_eq(do_accept(&nobody, 1, "x"), FAAS_E_FENCED);
        bed_close(&b);
}

/* A group with an ACCEPT, and with one op of this kind, in this partition, last. */
static struct fa_group *accept_then(struct ep *e, enum fa_op_kind kind, uint64_t partition) {
        struct fa_group *g = ep_group(e);

        put_accept(g, e->epoch, 1, "x");
        if (kind == FA_OP_ACCEPT)
                put_accept(g, partition, 2, "x");
        else if (kind == FA_OP_FINISH)
                put_finish(g, partition, 2, "x");
        else
                put(g, kind, partition, 2);
        return g;
}

Test(store, a_group_that_touches_a_foreign_partition_writes_nothing_at_all) {
        static const enum fa_op_kind kinds[] = {FA_OP_ACCEPT, FA_OP_FINISH, FA_OP_REQUEUE,
                                                FA_OP_HINT, FA_OP_LOAD};
        struct bed b;

        bed_open(&b, NULL);
        struct ep e = ep_start(&b, "a"), other = ep_start(&b, "b");
        /* Of somebody else, of nobody, and the number that no epoch has. */
        const uint64_t foreign[] = {other.epoch, other.epoch + 1, 0};
        for (size_t k = 0; k < FA_ARRAY_SIZE(kinds); k++)
                for (size_t i = 0; i < FA_ARRAY_SIZE(foreign); i++) {
                        struct fa_group *g = accept_then(&e, kinds[k], foreign[i]);
                        cr_assert_eq(ep_run(&e, g), FAAS_E_FENCED, "kind %d, %zu", kinds[k], i);
                        fa_group_free(g);
                        e.seq--; /* it has not run, so its number is free */
                        cr_assert_eq(do_get(&b, 1, NULL), FAAS_E_NOENT);
                }
        cr_assert_eq(do_accept(&e, 1, "x"), 0, "the sequence has not moved");
        bed_close(&b);
}

/* A RESTORE that would write, and then a TICK or a RESTORE that this epoch has no right to. */
static int restore_then(struct ep *e, enum fa_op_kind kind, uint64_t partition) {
        struct fa_group *g = ep_control(e);
        const uint64_t mine[] = {e->epoch, partition};
        int r;

        put(g, FA_OP_RESTORE, e->epoch, 1)->spec = spec_of("x");
        if (kind == FA_OP_TICK)
                put_tick(g, mine, 2);
        else
                put(g, kind, partition, 2)->spec = spec_of("x");
        r = ep_run(e, g);
        fa_group_free(g);
        return r;
}

Test(store, a_control_group_that_touches_a_foreign_partition_does_nothing_at_all) {
        struct bed b;

        bed_open(&b, NULL);
        struct ep e = ep_start(&b, "a"), other = ep_start(&b, "b");
        const uint64_t foreign[] = {other.epoch, other.epoch + 1, 0};
        b.ops->restart(&b);
        bind_own(&e);
        for (size_t i = 0; i < FA_ARRAY_SIZE(foreign); i++) {
                cr_assert_eq(restore_then(&e, FA_OP_TICK, foreign[i]), FAAS_E_FENCED);
                cr_assert_eq(restore_then(&e, FA_OP_RESTORE, foreign[i]), FAAS_E_FENCED);
                cr_assert_eq(do_get(&b, 1, NULL), FAAS_E_NOENT);
                cr_assert_eq(do_get(&b, 2, NULL), FAAS_E_NOENT);
        }
        cr_assert_eq(restore_then(&e, FA_OP_RESTORE, e.epoch), 0);
        expect_open(&b, 1);
        expect_open(&b, 2);
        bed_close(&b);
}

Test(store, a_control_group_is_outside_the_sequence) {
        struct bed b;

        bed_open(&b, NULL);
        struct ep e = ep_start(&b, "a");
        struct fa_group *lost = ep_group(&e), *g = ep_group(&e);
        put_accept(lost, e.epoch, 1, "x");
        put_accept(g, e.epoch, 2, "x");
        cr_assert_eq(ep_run(&e, g), FAAS_E_UNAVAILABLE);
        for (unsigned i = 0; i < 3; i++)
                cr_assert_eq(do_tick(&e), 0, "it overtakes what waits, as often as it likes");
        cr_assert_eq(ep_run(&e, lost), 0);
        cr_assert_eq(do_tick(&e), 0);
        cr_assert_eq(ep_run(&e, g), 0, "and fills no gap");
        expect_open(&b, 1);
        expect_open(&b, 2);
        fa_group_free(g);
        fa_group_free(lost);
        bed_close(&b);
}

Test(store, a_repeated_group_is_answered_as_before_and_writes_nothing) {
        struct bed b;

        bed_open(&b, NULL);
        struct ep e = ep_start(&b, "a"), other = ep_start(&b, "b");
        cr_assert_eq(do_accept(&other, 9, "x"), 0);
        cr_assert_eq(do_accept(&e, 1, "x"), 0);
        cr_assert_eq(do_accept(&e, 2, "x"), 0);
        cr_assert_eq(do_finish(&e, 2, "first"), 0);

        struct fa_group *g = ep_group(&e);
        put_accept(g, e.epoch, 3, "x"); /* 0 */
        put_accept(g, e.epoch, 2, "x"); /* EXISTS, final */
        put_accept(g, e.epoch, 1, "y"); /* EXISTS, other bytes */
        put_accept(g, e.epoch, 9, "x"); /* EXISTS, elsewhere */
        put_finish(g, e.epoch, 1, "r"); /* 0 */
        put_finish(g, e.epoch, 7, "r"); /* NOENT */
        put_finish(g, e.epoch, 9, "r"); /* STALE */
        struct fa_group *again = group_again(g);
        cr_assert_eq(ep_run(&e, g), 0);
        cr_assert_eq(do_requeue(&e, 3, 1, 0), 0); /* groups overlap: a later one has run */
        cr_assert_eq(do_accept(&e, 7, "x"), 0);
        cr_assert_eq(ep_run(&e, again), 0);
        for (size_t i = 0; i < g->n; i++) {
                cr_assert_eq(g->ops[i].r, again->ops[i].r, "op %zu: %d, then %d", i, g->ops[i].r,
                             again->ops[i].r);
                cr_assert_eq(g->ops[i].differs, again->ops[i].differs, "op %zu", i);
                cr_assert_eq(!g->ops[i].rec, !again->ops[i].rec, "op %zu", i);
        }
        fa_group_free(g);
        fa_group_free(again);
        expect_open(&b, 7);
        bed_close(&b);
}

Test(store, a_repeated_requeue_and_accept_leave_what_came_after_them) {
        struct fa_record *rec = NULL;
        struct bed b;

        bed_open(&b, NULL);
        struct ep e = ep_start(&b, "a");
        struct fa_group *g = ep_group(&e);
        put_accept(g, e.epoch, 1, "x");
        put(g, FA_OP_REQUEUE, e.epoch, 1)->strikes = 1;
        struct fa_group *again = group_again(g);
        cr_assert_eq(ep_run(&e, g), 0);
        cr_assert_eq(do_requeue(&e, 1, 2, 0), 0);
        cr_assert_eq(ep_run(&e, again), 0);
        cr_assert_eq(do_get(&b, 1, &rec), 0);
        cr_assert_eq(rec->strikes, 2);
        record_free(rec);
        fa_group_free(g);
        fa_group_free(again);
        bed_close(&b);
}

Test(store, a_gap_in_the_sequence_runs_nothing_until_it_is_filled) {
        struct bed b;

        bed_open(&b, NULL);
        struct ep e = ep_start(&b, "a");
        struct fa_group *lost = ep_group(&e), *g = ep_group(&e);
        put_accept(lost, e.epoch, 1, "x");
        put_accept(g, e.epoch, 2, "x");
        cr_assert_eq(ep_run(&e, g), FAAS_E_UNAVAILABLE);
        cr_assert_eq(do_get(&b, 2, NULL), FAAS_E_NOENT);
        cr_assert_eq(ep_run(&e, lost), 0);
        cr_assert_eq(ep_run(&e, g), 0, "not answered yet, so it may be handed in as it is");
        expect_open(&b, 1);
        expect_open(&b, 2);
        fa_group_free(g);
        fa_group_free(lost);
        bed_close(&b);
}

Test(store, answers_come_in_the_order_of_the_groups) {
        enum { MANY = 10 };
        struct fa_group *g[MANY];
        struct bed b;

        bed_open(&b, NULL);
        struct ep e = ep_start(&b, "a");
        for (unsigned i = 0; i < MANY; i++) {
                g[i] = ep_group(&e);
                put_accept(g[i], e.epoch, i, "x");
                fa_store_apply(b.store, g[i], b.now_ns);
        }
        for (unsigned i = 0; i < MANY; i++) {
                cr_assert_eq(b.ops->drive(&b), g[i]);
                cr_assert_eq(g[i]->ops[0].r, 0);
                fa_group_free(g[i]);
        }
        bed_close(&b);
}

Test(store, closing_frees_groups_that_nobody_took_out) {
        struct bed b;

        bed_open(&b, NULL);
        struct ep e = ep_start(&b, "a");
        for (unsigned i = 0; i < 3; i++) {
                struct fa_group *g = ep_group(&e);
                put_accept(g, e.epoch, i, "x");
                put_accept(g, e.epoch, i, "y"); /* its answer holds a record */
                fa_store_apply(b.store, g, b.now_ns);
        }
        bed_close(&b);
}

Test(store, two_stores_in_one_process_know_nothing_of_each_other) {
        struct bed one, two;

        bed_open(&one, NULL);
        bed_open(&two, NULL);
        struct ep a = ep_start(&one, "a"), same_name = ep_start(&two, "a");
        cr_assert_eq(do_accept(&a, 1, "x"), 0);
        cr_assert_eq(do_get(&two, 1, NULL), FAAS_E_NOENT);
        cr_assert_eq(do_accept(&same_name, 1, "y"), 0);
        cr_assert_eq(do_finish(&same_name, 1, "z"), 0);
        expect_open(&one, 1);
        cr_assert_eq(do_tick(&a), 0, "the same name elsewhere fences nobody");
        two.ops->close(&two); /* which of them leaks does not matter: the other one tells */
        expect_open(&one, 1);
        bed_close(&one);
}
