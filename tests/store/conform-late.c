/*
 * conform-late.c - every store: control groups that come late, or once more
 *
 * A connection that broke may still deliver what was sent over it; only what is in the sequence is
 * told by its number.
 */
#undef NDEBUG
#include "conformance.h"

/* RESTORE, and what its answer tells of the record; NULL: nothing. */
static int restore(struct ep *e, unsigned id, uint8_t state, struct fa_record **ret) {
        struct fa_group *g = ep_control(e);
        struct fa_op *op = put(g, FA_OP_RESTORE, e->epoch, id);
        int r;

        op->spec = spec_of("late");
        op->state = state;
        op->strikes = op->retries = 9;
        op->fence = (struct fa_fence){e->epoch, 1, 9};
        if (fa_state_final(state))
                op->outcome = (struct fa_outcome){.status = state, .payload = blob_of("late")};
        cr_assert_eq(ep_run(e, g), 0);
        r = op->r;
        cr_assert_eq(r == FAAS_E_EXISTS, op->rec != NULL);
        *ret = fa_steal(op->rec);
        fa_group_free(g);
        return r;
}

/* Tasks as the late copies find them. */
enum { ABSENT = 1, OPEN, FINAL, FOREIGN, COLLECTED };

static void prepare(struct ep *e, struct ep *other) {
        cr_assert_eq(do_accept(e, OPEN, "x"), 0);
        cr_assert_eq(do_requeue(e, OPEN, 3, 1), 0);
        cr_assert_eq(do_accept(e, FINAL, "x"), 0);
        cr_assert_eq(do_finish(e, FINAL, "result"), 0);
        cr_assert_eq(do_accept(other, FOREIGN, "x"), 0);
        cr_assert_eq(do_accept(e, COLLECTED, "x"), 0);
        cr_assert_eq(do_finish(e, COLLECTED, "x"), 0);
        cr_assert_eq(do_forget(e, COLLECTED), 0);
}

/* Of each task, as open and as final: nothing is written, and what is there is told. */
static void restore_late(struct ep *e, struct ep *other) {
        struct fa_record *rec = NULL;

        for (unsigned state = FAAS_QUEUED; state <= FAAS_COMPLETED; state += FAAS_COMPLETED) {
                cr_assert_eq(restore(e, ABSENT, (uint8_t)state, &rec), 0);
                cr_assert_eq(do_get(e->bed, ABSENT, NULL), FAAS_E_NOENT);

                cr_assert_eq(restore(e, OPEN, (uint8_t)state, &rec), 0);
                cr_assert_eq(do_get(e->bed, OPEN, &rec), 0);
                cr_assert_eq(rec->state, FAAS_QUEUED);
                cr_assert_eq(rec->strikes, 3);
                cr_assert_eq(rec->retries, 1);
                cr_assert_eq(rec->strike_fence.n, 3);
                record_free(rec);

                cr_assert_eq(restore(e, FINAL, (uint8_t)state, &rec), FAAS_E_EXISTS);
                cr_assert_eq(rec->state, FAAS_COMPLETED);
                cr_assert(blob_is(rec->outcome.payload, "result"));
                record_free(rec);
                expect_final(e->bed, FINAL, "result");

                cr_assert_eq(restore(e, FOREIGN, (uint8_t)state, &rec), FAAS_E_EXISTS);
                cr_assert_eq(rec->partition, other->epoch);
                cr_assert_eq(rec->state, FAAS_QUEUED);
                record_free(rec);
                expect_open(e->bed, FOREIGN);

                cr_assert_eq(restore(e, COLLECTED, (uint8_t)state, &rec), 0);
                cr_assert_eq(do_get(e->bed, COLLECTED, NULL), FAAS_E_GONE);
        }
}

Test(store, a_restore_without_a_restart_writes_nothing) {
        struct bed b;

        bed_open(&b, NULL);
        struct ep e = ep_start(&b, "a"), other = ep_start(&b, "b");
        prepare(&e, &other);
        restore_late(&e, &other);
        bind_own(&e); /* a late copy too: it does not open the door */
        restore_late(&e, &other);
        bed_close(&b);
}

Test(store, a_restore_after_the_bind_is_done_writes_nothing) {
        struct bed b;

        bed_open(&b, NULL);
        struct ep e = ep_start(&b, "a"), other = ep_start(&b, "b");
        prepare(&e, &other);
        for (unsigned i = 0; i < 2; i++) {
                b.ops->restart(&b);
                bind_own(&e);
                bind_done(&e); /* the other one is still to come: that is not asked */
                restore_late(&e, &other);
                bind_own(&e);
                restore_late(&e, &other);
        }
        bed_close(&b);
}

Test(store, an_epoch_that_starts_after_a_restart_has_nothing_to_restore) {
        struct fa_record *rec = NULL;
        struct bed b;

        bed_open(&b, NULL);
        b.ops->restart(&b);
        struct ep e = ep_start(&b, "a");
        cr_assert_eq(restore(&e, ABSENT, FAAS_QUEUED, &rec), 0);
        cr_assert_eq(do_get(&b, ABSENT, NULL), FAAS_E_NOENT);
        cr_assert_eq(do_accept(&e, OPEN, "x"), 0, "nor to bind");
        bed_close(&b);
}

/* A group that can be told to have run twice. */
static struct fa_group *strike(struct ep *e, unsigned id, uint32_t strikes) {
        struct fa_group *g = ep_group(e);

        put(g, FA_OP_REQUEUE, e->epoch, id)->strikes = strikes;
        return g;
}

static void expect_strikes(struct bed *b, unsigned id, uint32_t strikes) {
        struct fa_record *rec = NULL;

        cr_assert_eq(do_get(b, id, &rec), 0);
        cr_assert_eq(rec->strikes, strikes);
        record_free(rec);
}

/* FA_REBIND_OWN as it was sent when the answer of group `seq` was the last to be known. */
static void bind_late(struct ep *e, uint64_t seq) {
        struct ep then = *e;

        then.seq = seq;
        bind_own(&then);
}

/* The sequence was not set back: a group that ran is not run again, and the next one is the next.
 */
static void late_bind_changes_nothing(struct ep *e, struct ep *other) {
        struct fa_group *g = strike(e, OPEN, 1), *again = group_again(g);
        uint64_t seq = e->seq - 1;

        cr_assert_eq(ep_run(e, g), 0);
        cr_assert_eq(do_requeue(e, OPEN, 2, 0), 0);
        bind_late(e, seq);
        cr_assert_eq(ep_run(e, again), 0);
        expect_strikes(e->bed, OPEN, 2);
        cr_assert_eq(do_requeue(e, OPEN, 3, 0), 0, "nor is the next one too far ahead");
        bind_late(e, seq + 100);
        cr_assert_eq(do_requeue(e, OPEN, 4, 0), 0);
        expect_strikes(e->bed, OPEN, 4);
        cr_assert_eq(do_hint(other, FOREIGN), 0, "nobody waits for another DONE");
        fa_group_free(g);
        fa_group_free(again);
}

Test(store, a_second_bind_after_a_restart_sets_nothing_back) {
        struct bed b;

        bed_open(&b, NULL);
        struct ep e = ep_start(&b, "a"), other = ep_start(&b, "b");
        prepare(&e, &other);
        for (unsigned i = 0; i < 2; i++) {
                b.ops->restart(&b);
                bind_own(&e);
                bind_done(&e);
                bind_own(&other);
                bind_done(&other);
                late_bind_changes_nothing(&e, &other);
        }
        bed_close(&b);
}

Test(store, a_bind_without_a_restart_sets_nothing_back) {
        struct bed b;

        bed_open(&b, NULL);
        struct ep e = ep_start(&b, "a"), other = ep_start(&b, "b");
        prepare(&e, &other);
        late_bind_changes_nothing(&e, &other);
        bed_close(&b);
}

Test(store, a_second_bind_among_the_restores_does_not_end_the_waiting) {
        struct bed b;

        bed_open(&b, NULL);
        struct ep e = ep_start(&b, "a"), other = ep_start(&b, "b");
        b.ops->restart(&b);
        bind_own(&other);
        bind_done(&other);
        bind_own(&e);
        cr_assert_eq(do_restore(&e, 1, FAAS_QUEUED, "x"), 0);
        bind_own(&e);
        cr_assert_eq(do_accept(&other, 9, "x"), FAAS_E_AGAIN);
        other.seq--;
        cr_assert_eq(do_restore(&e, 2, FAAS_QUEUED, "x"), 0);
        bind_done(&e);
        cr_assert_eq(do_accept(&other, 9, "x"), 0);
        expect_open(&b, 1);
        expect_open(&b, 2);
        bed_close(&b);
}

Test(store, the_first_bind_after_a_restart_sets_the_sequence) {
        struct bed b;

        bed_open(&b, NULL);
        struct ep e = ep_start(&b, "a"), other = ep_start(&b, "b");
        prepare(&e, &other);
        bind_own(&other);
        struct fa_group *g = strike(&e, OPEN, 1), *again = group_again(g);
        uint64_t seq = e.seq - 1;
        cr_assert_eq(ep_run(&e, g), 0);
        cr_assert_eq(do_requeue(&e, OPEN, 2, 0), 0);
        b.ops->restart(&b);
        bind_own(&other);
        bind_done(&other);
        bind_late(&e, seq); /* in time: the store may have lost both groups */
        bind_done(&e);
        cr_assert_eq(ep_run(&e, again), 0);
        expect_strikes(&b, OPEN, 1);
        e.seq = seq + 1;
        cr_assert_eq(do_requeue(&e, OPEN, 2, 0), 0);
        expect_strikes(&b, OPEN, 2);
        fa_group_free(g);
        fa_group_free(again);
        bed_close(&b);
}
