/* test-slots-held.c - results that a slot gathers come, whatever the task behind them does */
#undef NDEBUG
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <faas/error.h>

#include "pool.h"
#include "th.h"

#define N_SHORT 40 /* enough for the slot to know the function as short */
#define N_HELD 5

struct held {
        struct pool p;
        char gate[256], in[300];
        uint32_t stuck; /* the number of the task that blocks */
};

/* One function that was short as often as one looked, and then blocks; what it held back is ready.
 */
static void open_held(struct held *h) {
        snprintf(h->gate, sizeof(h->gate), "%s/gate", th_temp_dir());
        snprintf(h->in, sizeof(h->in), "%s.in", h->gate);
        pool_open(&h->p, 1);
        for (int i = 0; i < N_SHORT; i++)
                pool_give(&h->p, 0, "gate-or-not", "");
        for (uint32_t i = 1; i <= N_SHORT; i++)
                cr_assert_eq(pool_expect(&h->p, FA_SLOT_RESULT).seq, i);
        for (int i = 0; i < N_HELD; i++)
                pool_queue(&h->p, 0, "gate-or-not", "");
        h->stuck = pool_queue(&h->p, 0, "gate-or-not", h->gate);
        pool_queue(&h->p, 0, "noop", "");
        fa_slots_flush(h->p.s);
        (void)read_number(h->in);
}

static void expect_held(struct held *h) {
        for (uint32_t i = 1; i <= N_HELD; i++) {
                struct fa_slot_event ev = pool_expect(&h->p, FA_SLOT_RESULT);

                cr_assert_eq(ev.seq, N_SHORT + i);
                cr_assert_eq(ev.outcome.status, FAAS_COMPLETED);
                fa_outcome_deinit(&ev.outcome);
        }
}

static void open_gate(const struct held *h) {
        FILE *f = fopen(h->gate, "w");

        cr_assert_not_null(f);
        fclose(f);
}

Test(held, results_come_with_the_recall_while_the_next_task_blocks) {
        struct held h;

        open_held(&h);
        cr_assert_eq(fa_slots_recall(h.p.s, 0), 0);
        expect_held(&h);
        cr_assert_eq(pool_expect(&h.p, FA_SLOT_RETURNED).seq, h.stuck);
        cr_assert_not(file_exists(h.gate));
        /* None comes again, and those behind come in their turn. */
        open_gate(&h);
        uint32_t last = pool_give(&h.p, 0, "echo", "last");
        cr_assert_eq(pool_expect(&h.p, FA_SLOT_RESULT).seq, h.stuck);
        struct fa_slot_event ev = pool_expect(&h.p, FA_SLOT_RESULT);
        cr_assert_eq(ev.seq, last);
        cr_assert_str_eq((const char *)fa_blob_ptr(ev.outcome.payload), "last");
        fa_outcome_deinit(&ev.outcome);
        fa_slots_close(h.p.s);
}

Test(held, results_of_a_killed_slot_come_before_its_end) {
        struct held h;

        open_held(&h);
        fa_slots_kill(h.p.s, 0);
        expect_held(&h);
        struct fa_slot_event ev = pool_expect_down(&h.p, h.stuck, FAAS_FAILURE_CRASHED);
        fa_outcome_deinit(&ev.outcome);
        pool_expect_alive(&h.p);
        fa_slots_close(h.p.s);
}

/* Recalled, and dead before anybody has taken what was fetched. */
Test(held, results_that_were_fetched_outlive_the_slot) {
        struct held h;

        open_held(&h);
        pid_t pid = fa_slots_pid(h.p.s, 0);
        cr_assert_eq(fa_slots_recall(h.p.s, 0), 0);
        kill(pid, SIGKILL);
        cr_assert(th_gone(pid, WAIT_MS));
        expect_held(&h);
        cr_assert_eq(pool_expect(&h.p, FA_SLOT_RETURNED).seq, h.stuck);
        struct fa_slot_event ev = pool_expect_down(&h.p, h.stuck, FAAS_FAILURE_CRASHED);
        fa_outcome_deinit(&ev.outcome);
        pool_expect_alive(&h.p);
        fa_slots_close(h.p.s);
}

Test(held, results_outlive_the_zygote) {
        struct held h;

        open_held(&h);
        kill(fa_slots_zygote_pid(h.p.s), SIGKILL);
        expect_held(&h);
        struct fa_slot_event ev = pool_expect_down(&h.p, h.stuck, FAAS_FAILURE_CRASHED);
        fa_outcome_deinit(&ev.outcome);
        pool_expect_alive(&h.p);
        fa_slots_close(h.p.s);
}

/*
 * The host recalls over and over while the slot is at full speed, so that both want the same
 * results all the time: each comes once and in order, and what was taken back does not come.
 */
Test(held, recalls_at_any_moment_lose_and_repeat_nothing) {
        uint32_t n_results = 0, n_returned = 0, n_given = 0;
        uint32_t expected = 1, last = 0;
        struct pool p;

        pool_open(&p, 1);
        for (int round = 0; round < 3000; round++) {
                static const char *const texts[] = {"", "a short one", "a somewhat longer text"};
                const uint32_t before = last;
                bool answered = false;

                for (int i = 0; i < 40; i++, n_given++)
                        last = pool_queue(&p, 0, "echo", texts[i % 3]);
                fa_slots_flush(p.s);
                /* Somewhere in the middle: after so many of the results. */
                for (int i = 0; i < round % 40; i++) {
                        struct fa_slot_event ev = pool_expect(&p, FA_SLOT_RESULT);
                        cr_assert_eq(ev.seq, expected);
                        expected++;
                        n_results++;
                        fa_outcome_deinit(&ev.outcome);
                }
                cr_assert_eq(fa_slots_recall(p.s, 0), 0);
                uint32_t until = last;
                while (!answered || expected <= until) {
                        struct fa_slot_event ev = pool_next(&p);

                        if (ev.kind == FA_SLOT_RETURNED) {
                                answered = true;
                                until = ev.seq;
                                /* Of this round; it may not have begun any of them. */
                                n_returned += last - (until < before ? before : until);
                                continue;
                        }
                        cr_assert_eq(ev.kind, FA_SLOT_RESULT);
                        cr_assert_eq(ev.seq, expected);
                        expected++;
                        n_results++;
                        fa_outcome_deinit(&ev.outcome);
                }
                expected = last + 1;
        }
        cr_assert_eq(n_results + n_returned, n_given, "%u results, %u returned, %u given",
                     n_results, n_returned, n_given);
        fa_slots_close(p.s);
}

/* It rang for a result that is taken with a recall: it has to be told to ring again. */
Test(held, slot_rings_again_after_a_recall_has_taken_what_it_rang_for) {
        struct fa_slot_event ev;
        struct pool p;

        pool_open(&p, 1);
        for (int i = 0; i < 20; i++) {
                cr_assert_eq(fa_slots_next(p.s, &ev), FAAS_E_AGAIN);
                uint32_t seq = pool_give(&p, 0, "echo", "one");
                struct pollfd fd = {fa_slots_fd(p.s), POLLIN, 0};
                cr_assert_eq(poll(&fd, 1, WAIT_MS), 1, "round %d", i);
                cr_assert_eq(fa_slots_recall(p.s, 0), 0);
                ev = pool_expect(&p, FA_SLOT_RESULT);
                cr_assert_eq(ev.seq, seq);
                fa_outcome_deinit(&ev.outcome);
                cr_assert_eq(pool_expect(&p, FA_SLOT_RETURNED).seq, seq);
        }
        fa_slots_close(p.s);
}

/* Half of it lies in the ring when it is taken back: the rest has to follow, or the ring is
 * blocked. */
Test(held, long_task_that_is_taken_back_half_way_leaves_the_ring_whole) {
        enum { LEN = 1 << 20 };
        char gate[256], in[300];
        struct fa_slot_event ev;
        struct fa_blob *payload = NULL;
        uint8_t *bytes;
        struct pool p;

        snprintf(gate, sizeof(gate), "%s/gate", th_temp_dir());
        snprintf(in, sizeof(in), "%s.in", gate);
        cr_assert_eq(fa_blob_new_uninit(&payload, &bytes, LEN), 0);
        memset(bytes, 7, LEN);
        pool_open(&p, 1);
        uint32_t blocked = pool_queue(&p, 0, "gate", gate);
        const struct faas_id id = {{1}};
        const struct fa_slot_task t = {&id, "echo", payload, 0};
        uint32_t seq;
        cr_assert_eq(fa_slots_run(p.s, 0, &t, &seq), 0);
        fa_slots_flush(p.s);
        (void)read_number(in);
        cr_assert_eq(fa_slots_recall(p.s, 0), 0);
        cr_assert_eq(pool_expect(&p, FA_SLOT_RETURNED).seq, blocked);
        FILE *f = fopen(gate, "w");
        cr_assert_not_null(f);
        fclose(f);
        cr_assert_eq(pool_expect(&p, FA_SLOT_RESULT).seq, blocked);
        uint32_t last = pool_give(&p, 0, "echo", "last");
        ev = pool_expect(&p, FA_SLOT_RESULT);
        cr_assert_eq(ev.seq, last);
        cr_assert_str_eq((const char *)fa_blob_ptr(ev.outcome.payload), "last");
        fa_outcome_deinit(&ev.outcome);
        fa_slots_close(p.s);
        fa_blob_unref(payload);
}
