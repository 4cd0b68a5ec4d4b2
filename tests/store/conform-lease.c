/*
 * conform-lease.c - every store: ticks, takeovers, and what follows a restart of the store
 */
#undef NDEBUG
#include "conformance.h"

/* TICK, believing to own these; on 0 the answer is left in *ret_group. */
static int tick(struct ep *e, const uint64_t *mine, size_t n, struct fa_group **ret_group) {
        struct fa_group *g = ep_group(e);

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

/* So many intervals pass, and this one lives. */
static void live(struct ep *e, unsigned ticks) {
        for (unsigned i = 0; i < ticks; i++) {
                e->bed->ops->advance(e->bed, TICK_NS);
                cr_assert_eq(do_tick(e), 0);
        }
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

Test(store, after_a_restart_an_epoch_binds_again_before_it_writes) {
        struct bed b;

        bed_open(&b, NULL);
        struct ep e = ep_start(&b, "a");
        const struct fa_owned mine = {e.epoch, e.epoch, 1};
        cr_assert_eq(do_accept(&e, 1, "x"), 0);
        b.ops->restart(&b);
        cr_assert_eq(do_accept(&e, 2, "x"), FAAS_E_UNAVAILABLE);
        e.seq--; /* it has not run */
        cr_assert_eq(do_rebind(&e, FA_REBIND_OWN, &mine, 1), 0);
        cr_assert_eq(do_accept(&e, 2, "x"), FAAS_E_AGAIN, "not before all is RESTOREd");
        e.seq--;
        cr_assert_eq(do_rebind(&e, FA_REBIND_DONE, NULL, 0), 0);
        cr_assert_eq(do_accept(&e, 2, "x"), 0, "the sequence goes on");
        expect_open(&b, 1);
        bed_close(&b);
}

Test(store, ordinary_groups_wait_for_a_living_owner_and_not_for_a_dead_one) {
        unsigned waited = 0;
        struct bed b;
        int r;

        bed_open(&b, NULL);
        struct ep e = ep_start(&b, "a"), other = ep_start(&b, "b");
        const struct fa_owned mine = {e.epoch, e.epoch, 1};
        b.ops->restart(&b);
        cr_assert_eq(do_rebind(&e, FA_REBIND_OWN, &mine, 1), 0);
        cr_assert_eq(do_rebind(&e, FA_REBIND_DONE, NULL, 0), 0);
        /* The other one never comes back.  A tick is in the very group that waits. */
        do {
                struct fa_group *g = ep_group(&e);
                put_tick(g, &e.epoch, 1);
                put_accept(g, e.epoch, 1, "x");
                r = ep_run(&e, g);
                fa_group_free(g);
                if (r) {
                        cr_assert_eq(r, FAAS_E_AGAIN);
                        e.seq--;
                        cr_assert_eq(do_get(&b, 1, NULL), FAAS_E_NOENT);
                        b.ops->advance(&b, TICK_NS);
                }
        } while (r && ++waited < 100);
        cr_assert_eq(r, 0);
        cr_assert(waited >= LEASE_TICKS && waited <= LEASE_TICKS + 2, "%u ticks", waited);
        cr_assert_eq(do_take(&e, other.epoch, other.epoch, NULL), 0);
        bed_close(&b);
}

Test(store, the_first_tick_after_a_restart_renews_every_lease) {
        struct bed b;

        bed_open(&b, NULL);
        struct ep e = ep_start(&b, "a"), slow = ep_start(&b, "b");
        const struct fa_owned mine = {e.epoch, e.epoch, 1}, its = {slow.epoch, slow.epoch, 1};
        live(&e, LEASE_TICKS - 1); /* one tick more and the slow one would be dead */
        b.ops->restart(&b);
        cr_assert_eq(do_rebind(&e, FA_REBIND_OWN, &mine, 1), 0);
        cr_assert_eq(do_rebind(&e, FA_REBIND_DONE, NULL, 0), 0);
        live(&e, LEASE_TICKS);
        cr_assert_eq(do_take(&e, slow.epoch, slow.epoch, NULL), FAAS_E_STALE);
        cr_assert_eq(do_rebind(&slow, FA_REBIND_OWN, &its, 1), 0);
        cr_assert_eq(do_rebind(&slow, FA_REBIND_DONE, NULL, 0), 0);
        cr_assert_eq(do_accept(&slow, 1, "x"), 0);
        bed_close(&b);
}

Test(store, a_fenced_epoch_does_not_bind_again) {
        struct bed b;

        bed_open(&b, NULL);
        struct ep other = ep_start(&b, "b"), old = ep_start(&b, "a");
        struct ep new = ep_start(&b, "a");
        const struct fa_owned owned[] = {{other.epoch, old.epoch, 1}, {old.epoch, old.epoch, 1}};
        b.ops->restart(&b);
        cr_assert_eq(do_rebind(&old, FA_REBIND_OWN, owned, 2), FAAS_E_FENCED);
        cr_assert_eq(do_rebind(&old, FA_REBIND_OWN, NULL, 0), FAAS_E_FENCED);
        cr_assert_eq(do_rebind(&old, FA_REBIND_DONE, NULL, 0), FAAS_E_FENCED);
        cr_assert_eq(do_tick(&old), FAAS_E_FENCED);
        /* Refused as a whole: the partition named first is still the other's. */
        const struct fa_owned its = {other.epoch, other.epoch, 1}, mine = {new.epoch, new.epoch, 1};
        cr_assert_eq(do_rebind(&other, FA_REBIND_OWN, &its, 1), 0);
        cr_assert_eq(do_rebind(&other, FA_REBIND_DONE, NULL, 0), 0);
        cr_assert_eq(do_rebind(&new, FA_REBIND_OWN, &mine, 1), 0);
        cr_assert_eq(do_rebind(&new, FA_REBIND_DONE, NULL, 0), 0);
        cr_assert_eq(do_accept(&other, 1, "x"), 0);
        bed_close(&b);
}

Test(store, an_owner_that_the_store_forgot_binds_again_and_epochs_still_grow) {
        struct bed b;

        bed_open(&b, NULL);
        /* As if the tail with its START were lost: an epoch ahead of all that the store knows. */
        struct ep e = {.bed = &b, .epoch = b.now_ns / FA_NS_PER_US + 1000000000, .name = "a"};
        const struct fa_owned mine[] = {{e.epoch, e.epoch, 1}, {e.epoch - 5, e.epoch, 4}};
        e.seq = 41;
        cr_assert_eq(do_rebind(&e, FA_REBIND_OWN, mine, 2), 0);
        cr_assert_eq(do_restore(&e, 1, FAAS_QUEUED, "x"), 0);
        cr_assert_eq(do_rebind(&e, FA_REBIND_DONE, NULL, 0), 0);
        cr_assert_eq(do_accept(&e, 2, "x"), 0, "the sequence goes on where it stood");
        expect_open(&b, 1);
        struct ep next = ep_start(&b, "b");
        cr_assert_gt(next.epoch, e.epoch);
        bed_close(&b);
}

Test(store, restore_writes_absent_and_fallen_records_and_no_others) {
        struct fa_record *rec = NULL;
        struct bed b;

        bed_open(&b, NULL);
        struct ep e = ep_start(&b, "a"), other = ep_start(&b, "b");
        cr_assert_eq(do_restore(&e, 1, FAAS_QUEUED, "x"), 0);
        cr_assert_eq(do_get(&b, 1, &rec), 0);
        cr_assert_eq(rec->state, FAAS_QUEUED);
        cr_assert_eq(rec->strikes, 2);
        cr_assert_eq(rec->strike_fence.n, 7);
        record_free(rec);
        cr_assert_eq(do_restore(&e, 1, FAAS_COMPLETED, "x"), 0, "it fell back");
        expect_final(&b, 1, "x");
        cr_assert_eq(do_restore(&e, 1, FAAS_QUEUED, "x"), FAAS_E_EXISTS, "final stays");
        expect_final(&b, 1, "x");
        cr_assert_eq(do_restore(&e, 2, FAAS_COMPLETED, "y"), 0);
        expect_final(&b, 2, "y");
        cr_assert_eq(do_accept(&e, 2, "y"), FAAS_E_EXISTS);
        cr_assert_eq(do_accept(&other, 3, "x"), 0);
        cr_assert_eq(do_restore(&e, 3, FAAS_COMPLETED, "x"), FAAS_E_EXISTS, "accepted elsewhere");
        expect_open(&b, 3);
        bed_close(&b);
}

Test(store, a_restore_that_comes_after_a_takeover_is_fenced) {
        struct bed b;

        bed_open(&b, NULL);
        struct ep e = ep_start(&b, "a"), paused = ep_start(&b, "b");
        live(&e, LEASE_TICKS);
        cr_assert_eq(do_take(&e, paused.epoch, paused.epoch, NULL), 0);
        cr_assert_eq(do_restore(&paused, 1, FAAS_QUEUED, "x"), FAAS_E_FENCED);
        cr_assert_eq(do_get(&b, 1, NULL), FAAS_E_NOENT);
        bed_close(&b);
}
