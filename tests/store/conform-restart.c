/*
 * conform-restart.c - every store: binding again after a restart, and what comes late
 */
#undef NDEBUG
#include "conformance.h"

#include <stdlib.h>
#include <string.h>

Test(store, after_a_restart_an_epoch_binds_again_before_it_writes) {
        struct bed b;

        bed_open(&b, NULL);
        struct ep e = ep_start(&b, "a");
        cr_assert_eq(do_accept(&e, 1, "x"), 0);
        b.ops->restart(&b);
        cr_assert_eq(do_accept(&e, 2, "x"), FAAS_E_UNAVAILABLE);
        e.seq--; /* it has not run */
        bind_own(&e);
        cr_assert_eq(do_accept(&e, 2, "x"), FAAS_E_AGAIN, "not before all is RESTOREd");
        e.seq--;
        bind_done(&e);
        cr_assert_eq(do_accept(&e, 2, "x"), 0, "the sequence goes on");
        expect_open(&b, 1);
        bed_close(&b);
}

/* An ACCEPT of its own; takes its number back if it has not run. */
static int try_accept(struct ep *e, unsigned id) {
        int r = do_accept(e, id, "x");

        if (r == FAAS_E_AGAIN || r == FAAS_E_UNAVAILABLE)
                e->seq--;
        return r;
}

Test(store, ordinary_groups_wait_for_a_living_owner_and_not_for_a_dead_one) {
        unsigned waited = 0;
        struct bed b;
        int r;

        bed_open(&b, NULL);
        struct ep e = ep_start(&b, "a"), other = ep_start(&b, "b");
        b.ops->restart(&b);
        bind_own(&e);
        bind_done(&e);
        /* The other one never comes back.  The tick passes while the group waits. */
        while ((r = try_accept(&e, 1)) && waited++ < 100) {
                cr_assert_eq(r, FAAS_E_AGAIN);
                cr_assert_eq(do_get(&b, 1, NULL), FAAS_E_NOENT);
                b.ops->advance(&b, TICK_NS);
                cr_assert_eq(do_tick(&e), 0);
        }
        cr_assert_eq(r, 0);
        cr_assert(waited >= LEASE_TICKS && waited <= LEASE_TICKS + 2, "%u ticks", waited);
        expect_open(&b, 1);
        cr_assert_eq(do_take(&e, other.epoch, other.epoch, NULL), 0);
        bed_close(&b);
}

Test(store, after_a_restart_nobody_waits_for_an_epoch_that_owns_nothing) {
        struct bed b;

        bed_open(&b, NULL);
        struct ep e = ep_start(&b, "a"), dead = ep_start(&b, "b");
        live(&e, LEASE_TICKS);
        cr_assert_eq(do_take(&e, dead.epoch, dead.epoch, NULL), 0);
        b.ops->restart(&b);
        bind_own(&e);
        bind_done(&e);
        struct fa_group *g = ep_control(&e);
        put_tick(g, (uint64_t[]){e.epoch, dead.epoch}, 2);
        cr_assert_eq(ep_run(&e, g), 0);
        cr_assert_eq(g->ops[0].more->n_leases, 1);
        cr_assert_eq(g->ops[0].more->leases[0].epoch, e.epoch);
        fa_group_free(g);
        cr_assert_eq(do_accept(&e, 1, "x"), 0);
        cr_assert_eq(do_tick(&dead), FAAS_E_FENCED);
        bed_close(&b);
}

Test(store, a_tick_passes_before_its_epoch_has_bound_again) {
        struct bed b;

        bed_open(&b, NULL);
        struct ep e = ep_start(&b, "a"), late = ep_start(&b, "b");
        b.ops->restart(&b);
        bind_own(&e);
        bind_done(&e);
        for (unsigned i = 0; i < 3 * LEASE_TICKS; i++) {
                b.ops->advance(&b, TICK_NS);
                cr_assert_eq(do_tick(&e), 0);
                cr_assert_eq(do_tick(&late), 0);
                cr_assert_eq(try_accept(&late, 1), FAAS_E_UNAVAILABLE);
                cr_assert_eq(try_accept(&e, 1), FAAS_E_AGAIN, "it lives, so it is waited for");
        }
        cr_assert_eq(do_take(&e, late.epoch, late.epoch, NULL), FAAS_E_STALE);
        bed_close(&b);
}

Test(store, a_group_that_waits_renews_no_lease_and_lets_no_time_go_by) {
        struct bed b;

        bed_open(&b, NULL);
        struct ep e = ep_start(&b, "a"), other = ep_start(&b, "b"), dead = ep_start(&b, "c");
        b.ops->restart(&b);
        bind_own(&e);
        bind_done(&e);
        bind_own(&other);
        bind_done(&other);
        for (unsigned i = 0; i < 3 * LEASE_TICKS; i++) {
                cr_assert_eq(try_accept(&e, 1), FAAS_E_AGAIN);
                b.ops->advance(&b, TICK_NS);
        }
        cr_assert_eq(do_take(&other, dead.epoch, dead.epoch, NULL), FAAS_E_STALE, "nobody ticked");
        /* The first tick after the restart renews all leases; then they age. */
        for (unsigned i = 0; i < LEASE_TICKS; i++) {
                live(&other, 1);
                cr_assert_eq(try_accept(&e, 1), FAAS_E_AGAIN);
                cr_assert_eq(do_take(&other, e.epoch, e.epoch, NULL), FAAS_E_STALE);
        }
        live(&other, 1);
        cr_assert_eq(do_take(&other, e.epoch, e.epoch, NULL), 0, "its groups kept it not alive");
        cr_assert_eq(try_accept(&e, 1), FAAS_E_FENCED);
        bed_close(&b);
}

Test(store, the_first_tick_after_a_restart_renews_every_lease) {
        struct bed b;

        bed_open(&b, NULL);
        struct ep e = ep_start(&b, "a"), slow = ep_start(&b, "b");
        live(&e, LEASE_TICKS - 1); /* one tick more and the slow one would be dead */
        b.ops->restart(&b);
        bind_own(&e);
        bind_done(&e);
        live(&e, LEASE_TICKS);
        cr_assert_eq(do_take(&e, slow.epoch, slow.epoch, NULL), FAAS_E_STALE);
        bind_own(&slow);
        bind_done(&slow);
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
        bind_own(&other);
        bind_done(&other);
        bind_own(&new);
        bind_done(&new);
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

/* FA_REBIND_OWN of these, which answers those. */
static void
bind(struct ep *e, const struct fa_owned *mine, size_t n, const struct fa_owned *want, size_t m) {
        struct fa_group *g = ep_control(e);
        struct fa_op *op = put(g, FA_OP_REBIND, 0, 0);

        op->state = FA_REBIND_OWN;
        op->more->name = e->name;
        op->more->endpoint = "";
        op->cursor = e->seq;
        op->more->owned = calloc(n, sizeof(*mine));
        cr_assert_not_null(op->more->owned);
        memcpy(op->more->owned, mine, n * sizeof(*mine));
        op->more->n_owned = n;
        cr_assert_eq(ep_run(e, g), 0);
        cr_assert_eq(op->r, 0);
        cr_assert_eq(op->more->n_owned, m);
        for (size_t i = 0; i < m; i++) {
                const struct fa_owned *got = op->more->owned;
                while (got < &op->more->owned[m] && got->partition != want[i].partition)
                        got++;
                cr_assert(got < &op->more->owned[m], "partition %zu", i);
                cr_assert_eq(got->owner, e->epoch, "partition %zu", i);
                cr_assert_eq(got->gen, want[i].gen, "partition %zu: gen %u", i, got->gen);
        }
        fa_group_free(g);
}

Test(store, a_bind_fences_the_older_epochs_of_its_name_and_takes_their_partitions) {
        struct bed b;

        bed_open(&b, NULL);
        struct ep old = ep_start(&b, "a"), other = ep_start(&b, "b");
        cr_assert_eq(do_accept(&old, 1, "x"), 0);
        b.ops->restart(&b);
        /* The store fell back to before this one's START, which had fenced the old one. */
        struct ep new = {.bed = &b, .epoch = other.epoch + 1000, .name = "a"};
        const struct fa_owned mine = {new.epoch, new.epoch, 1};
        const struct fa_owned both[] = {mine, {old.epoch, new.epoch, 2}};
        bind(&new, &mine, 1, both, 2);
        cr_assert_eq(do_tick(&old), FAAS_E_FENCED);
        cr_assert_eq(do_accept(&old, 2, "x"), FAAS_E_FENCED);
        cr_assert_eq(do_restore(&old, 2, FAAS_QUEUED, "x"), FAAS_E_FENCED);
        cr_assert_eq(do_rebind(&old, FA_REBIND_DONE, NULL, 0), FAAS_E_FENCED);
        const struct fa_owned its = {old.epoch, old.epoch, 1};
        cr_assert_eq(do_rebind(&old, FA_REBIND_OWN, &its, 1), FAAS_E_FENCED, "never again");
        bind_done(&new);
        bind_own(&other);
        bind_done(&other);

        unsigned id = 0;
        cr_assert_eq(load_all(&new, old.epoch, &id, 1), 1, "nobody waits for the old one");
        cr_assert_eq(id, 1);
        cr_assert_eq(do_accept(&other, 3, "x"), 0, "another name is left alone");
        cr_assert_eq(do_tick(&other), 0);
        bed_close(&b);
}

Test(store, a_partition_that_a_bind_names_keeps_its_generation) {
        struct bed b;

        bed_open(&b, NULL);
        struct ep old = ep_start(&b, "a");
        struct ep new = {.bed = &b, .epoch = old.epoch + 1000, .name = "a"};
        const struct fa_owned both[] = {{new.epoch, new.epoch, 1}, {old.epoch, new.epoch, 2}};
        b.ops->restart(&b);
        bind(&new, both, 2, both, 2);
        bind(&new, both, 2, both, 2); /* a late copy */
        bind(&new, both, 1, both, 2);
        cr_assert_eq(do_tick(&old), FAAS_E_FENCED);
        bed_close(&b);
}

Test(store, a_bind_leaves_the_younger_epochs_of_its_name_alone) {
        struct bed b;

        bed_open(&b, NULL);
        struct ep new = ep_start(&b, "a");
        struct ep old = {.bed = &b, .epoch = new.epoch - 1000, .name = "a"};
        const struct fa_owned its[] = {{old.epoch, old.epoch, 1}, {new.epoch, old.epoch, 9}};
        cr_assert_eq(do_rebind(&old, FA_REBIND_OWN, its, 2), FAAS_E_FENCED,
                     "not even if it says so");
        (void)do_rebind(&old, FA_REBIND_OWN, its, 1);
        cr_assert_eq(do_tick(&new), 0);
        bind_own(&new);
        cr_assert_eq(do_tick(&old), FAAS_E_FENCED);
        cr_assert_eq(do_accept(&new, 1, "x"), 0);
        bed_close(&b);
}

Test(store, restore_writes_absent_and_fallen_records_and_no_others) {
        struct fa_record *rec = NULL;
        struct bed b;

        bed_open(&b, NULL);
        struct ep e = ep_start(&b, "a"), other = ep_start(&b, "b");
        cr_assert_eq(do_accept(&other, 3, "x"), 0);
        cr_assert_eq(do_accept(&e, 4, "x"), 0);
        b.ops->restart(&b);
        bind_own(&e);
        bind_own(&other);
        bind_done(&other);
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
        cr_assert_eq(do_restore(&e, 3, FAAS_COMPLETED, "x"), FAAS_E_EXISTS, "accepted elsewhere");
        expect_open(&b, 3);
        cr_assert_eq(do_restore(&e, 4, FAAS_QUEUED, "x"), 0, "its strikes fell back");
        cr_assert_eq(do_get(&b, 4, &rec), 0);
        cr_assert_eq(rec->strikes, 2);
        cr_assert_eq(rec->strike_fence.n, 7);
        record_free(rec);
        bind_done(&e);
        cr_assert_eq(do_accept(&e, 2, "y"), FAAS_E_EXISTS);
        bed_close(&b);
}

Test(store, a_restore_that_comes_after_a_takeover_is_fenced) {
        struct bed b;

        bed_open(&b, NULL);
        struct ep e = ep_start(&b, "a"), paused = ep_start(&b, "b");
        b.ops->restart(&b);
        bind_own(&paused);
        bind_own(&e);
        bind_done(&e);
        live(&e, 1 + LEASE_TICKS);
        cr_assert_eq(do_take(&e, paused.epoch, paused.epoch, NULL), 0);
        cr_assert_eq(do_restore(&paused, 1, FAAS_QUEUED, "x"), FAAS_E_FENCED);
        cr_assert_eq(do_get(&b, 1, NULL), FAAS_E_NOENT);
        bed_close(&b);
}
