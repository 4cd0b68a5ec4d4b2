/*
 * conform-lease.c - every store: ticks and takeovers
 */
#undef NDEBUG
#include "conformance.h"

/* TICK, believing to own these; on 0 the answer is left in *ret_group. */
static int tick(struct ep *e, const uint64_t *mine, size_t n, struct fa_group **ret_group) {
        struct fa_group *g = ep_control(e);

        put_tick(g, mine, n);
        int r = ep_run(e, g);
        cr_assert(r || g->ops[0].r == 0);
        if (r || !ret_group)
                fa_group_free(g);
        else
                *ret_group = g;
        return r;
}

static uint64_t tick_number(struct ep *e) {
        struct fa_group *g = NULL;

        cr_assert_eq(tick(e, &e->epoch, 1, &g), 0);
        uint64_t n = g->ops[0].more->tick;
        fa_group_free(g);
        return n;
}

Test(store, at_most_one_tick_passes_in_an_interval_and_in_any_gap) {
        struct bed b;

        bed_open(&b, NULL);
        struct ep e = ep_start(&b, "a"), other = ep_start(&b, "b");
        uint64_t n = tick_number(&e);
        cr_assert_eq(tick_number(&e), n, "no interval has passed");
        b.ops->advance(&b, TICK_NS);
        cr_assert_eq(tick_number(&e), n + 1);
        cr_assert_eq(tick_number(&other), n + 1, "one for all, not one each");
        b.ops->advance(&b, 1000 * TICK_NS);
        cr_assert_eq(tick_number(&other), n + 2, "however long the store stood still");
        bed_close(&b);
}

Test(store, a_tick_tells_all_leases_and_all_owners_and_renews_mine) {
        struct fa_group *g = NULL;
        struct bed b;

        bed_open(&b, NULL);
        struct ep e = ep_start(&b, "a"), other = ep_start(&b, "b");
        live(&e, 2);
        cr_assert_eq(tick(&e, &e.epoch, 1, &g), 0);
        const struct fa_op_more *m = g->ops[0].more;
        cr_assert_eq(m->n_leases, 2);
        for (size_t i = 0; i < 2; i++) {
                bool mine = m->leases[i].epoch == e.epoch;
                cr_assert(mine || m->leases[i].epoch == other.epoch);
                cr_assert_eq(m->leases[i].tick, mine ? m->tick : m->tick - 2);
                cr_assert_str_eq(m->leases[i].endpoint, "ipc://nowhere");
        }
        cr_assert_eq(m->n_owned, 2);
        for (size_t i = 0; i < 2; i++) {
                cr_assert_eq(m->owned[i].owner, m->owned[i].partition);
                cr_assert_eq(m->owned[i].gen, 1);
        }
        cr_assert_neq(m->owned[0].owner, m->owned[1].owner);
        fa_group_free(g);
        bed_close(&b);
}

Test(store, a_partition_is_taken_only_when_its_owners_lease_has_run_out) {
        uint32_t gen = 0;
        struct bed b;

        bed_open(&b, NULL);
        struct ep e = ep_start(&b, "a"), dead = ep_start(&b, "b");
        cr_assert_eq(do_accept(&dead, 1, "x"), 0);
        cr_assert_eq(do_tick(&dead), 0);
        live(&e, LEASE_TICKS - 1);
        cr_assert_eq(do_take(&e, dead.epoch, dead.epoch, &gen), FAAS_E_STALE, "it may live");
        live(&e, 1);
        cr_assert_eq(do_take(&e, dead.epoch, e.epoch + 9, &gen), FAAS_E_STALE, "another owner");
        cr_assert_eq(do_take(&e, e.epoch + 9, dead.epoch, &gen), FAAS_E_STALE, "no partition");
        cr_assert_eq(do_take(&e, dead.epoch, dead.epoch, &gen), 0);
        cr_assert_eq(gen, 2);
        cr_assert_eq(do_take(&e, dead.epoch, dead.epoch, &gen), 0, "a repeat is harmless");
        cr_assert_eq(gen, 2, "and takes nothing again");

        unsigned id = 0;
        cr_assert_eq(load_all(&e, dead.epoch, &id, 1), 1);
        cr_assert_eq(id, 1);
        cr_assert_eq(do_accept(&dead, 2, "x"), FAAS_E_FENCED);
        bed_close(&b);
}

Test(store, of_two_takers_one_gets_the_partition) {
        struct bed b;

        bed_open(&b, NULL);
        struct ep e = ep_start(&b, "a"), f = ep_start(&b, "b"), dead = ep_start(&b, "c");
        for (unsigned i = 0; i < LEASE_TICKS; i++) {
                live(&e, 1);
                cr_assert_eq(do_tick(&f), 0);
        }
        cr_assert_eq(do_take(&e, dead.epoch, dead.epoch, NULL), 0);
        cr_assert_eq(do_take(&f, dead.epoch, dead.epoch, NULL), FAAS_E_STALE);
        cr_assert_eq(do_take(&f, dead.epoch, e.epoch, NULL), FAAS_E_STALE, "its owner lives");
        bed_close(&b);
}

Test(store, who_lost_one_of_its_partitions_is_fenced_by_its_tick) {
        struct bed b;

        bed_open(&b, NULL);
        struct ep e = ep_start(&b, "a"), paused = ep_start(&b, "b");
        live(&e, LEASE_TICKS);
        cr_assert_eq(do_take(&e, paused.epoch, paused.epoch, NULL), 0);
        cr_assert_eq(do_tick(&paused), FAAS_E_FENCED);
        const uint64_t both[] = {e.epoch, paused.epoch};
        cr_assert_eq(tick(&e, both, 2, NULL), 0);
        bed_close(&b);
}

/* DROP: its answer, or the group's. */
static int do_drop(struct ep *e, uint64_t partition) {
        struct fa_group *g = ep_group(e);

        put(g, FA_OP_DROP, partition, 0);
        int r = ep_run(e, g);
        r = r ? r : g->ops[0].r;
        fa_group_free(g);
        return r;
}

Test(store, a_partition_in_which_nothing_is_open_is_dropped_by_its_owner) {
        struct bed b;

        bed_open(&b, NULL);
        struct ep old = ep_start(&b, "a");
        cr_assert_eq(do_accept(&old, 1, "x"), 0);
        cr_assert_eq(do_accept(&old, 2, "x"), 0);
        cr_assert_eq(do_drop(&old, old.epoch), FAAS_E_STALE, "it is its own");
        struct ep new = ep_start(&b, "a"), other = ep_start(&b, "b");
        cr_assert_eq(do_drop(&other, old.epoch), FAAS_E_STALE, "it is another's");
        cr_assert_eq(do_drop(&new, old.epoch), FAAS_E_STALE, "two tasks are open");
        struct fa_group *g = ep_group(&new);
        put_finish(g, old.epoch, 1, "result");
        put_finish(g, old.epoch, 2, "result");
        cr_assert_eq(ep_run(&new, g), 0);
        fa_group_free(g);
        cr_assert_eq(do_drop(&new, old.epoch), 0);
        cr_assert_eq(do_drop(&new, old.epoch), 0, "once more: a repeat finds it done");
        expect_final(&b, 1, "result");
        const uint64_t mine[] = {new.epoch, old.epoch};
        cr_assert_eq(tick(&new, mine, 2, NULL), FAAS_E_FENCED, "nobody owns it");
        cr_assert_eq(do_tick(&new), 0);
        bed_close(&b);
}
