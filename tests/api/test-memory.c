/*
 * test-memory.c - a client without memory: the k-th allocation fails, for every k until none does
 *
 * An error of one call at most: what was accepted ends, soon, and the next call works.
 */
#undef NDEBUG
#include <errno.h>
#include <stdlib.h>

#include <criterion/criterion.h>

#include "base/clock.h"
#include "core/work.h"
#include "fn.h"
#include "th-alloc.h"

/* Submits one task while the k-th allocation from now on fails; false: there were fewer. */
static bool submit_and_wait(struct faas_client *c, uint64_t k) {
        static const char payload[20000];
        const struct faas_task t = {
                .function = "upper", .payload = payload, .payload_len = sizeof(payload)};
        struct faas_result r = FAAS_RESULT_INIT;
        struct faas_id id;
        bool failed;

        th_alloc_fail_at(k);
        int submitted = faas_submit(c, &t, &id);
        /* Far below every time-out of the client, and the second that a worker waits for an ACK
         * over a network. */
        int waited = submitted ? 0 : faas_wait(c, &id, 900, &r);
        failed = th_alloc_failed();
        th_alloc_fail_at(0);
        cr_assert(submitted == 0 || submitted == -ENOMEM, "allocation %llu: %d, %s",
                  (unsigned long long)k, submitted, faas_error_text());
        cr_assert_eq(waited, 0, "allocation %llu: %s", (unsigned long long)k, faas_error_text());
        cr_assert(submitted || r.status == FAAS_COMPLETED || r.failure == FAAS_FAILURE_CRASHED);
        faas_result_clear(&r);
        cr_assert_eq(faas_wait_any(c, 0, &r), FAAS_E_NOENT, "nothing is left over");
        fn_works(c);
        return failed;
}

Test(memory, no_failed_allocation_loses_or_delays_a_task, .timeout = 60) {
        struct faas_client_cfg cfg = FAAS_CLIENT_CFG_INIT;
        bool failed = true;

        cfg.submit_timeout_ms = 900;
        for (uint64_t k = 1; failed; k++) {
                /* A new one each time: memory that it keeps would hide allocations. */
                struct faas_client *c = fn_open(2, &cfg);
                failed = submit_and_wait(c, k);
                faas_client_close(c);
                cr_assert_lt(k, 200);
        }
}

/* Also what is said again after a loss may be lost. */
Test(memory, failures_at_random_delay_tasks_only_while_they_last, .timeout = 60) {
        struct faas_client_cfg cfg = FAAS_CLIENT_CFG_INIT;
        struct faas_result r = FAAS_RESULT_INIT;
        unsigned seed = 1, accepted = 0, done = 0;

        cfg.submit_timeout_ms = 20;
        struct faas_client *c = fn_open(2, &cfg);
        for (unsigned i = 0; i < 2000; i++) {
                const struct faas_task t = {.function = "upper"};

                th_alloc_fail_at(1 + (unsigned)rand_r(&seed) % 16);
                int s = accepted - done < 20 ? faas_submit(c, &t, NULL) : FAAS_E_AGAIN;
                accepted += s == 0 || s == FAAS_E_UNKNOWN; /* that one may still be accepted */
                th_alloc_fail_at(1 + (unsigned)rand_r(&seed) % 16);
                done += faas_wait_any(c, 0, &r) == 0;
        }
        th_alloc_fail_at(0);
        for (int w; (w = faas_wait_any(c, 1000, &r)) != FAAS_E_NOENT; done++)
                cr_assert_eq(w, 0, "%u of %u done: %s", done, accepted, faas_error_text());
        cr_assert_eq(done, accepted);
        fn_works(c);
        faas_result_clear(&r);
        faas_client_close(c);
}

/* In one process there are no beats that would find it out. */
Test(memory, a_worker_that_could_not_register_says_hello_again) {
        const struct fa_work_cfg cfg = {
                .incarnation = 7, .n_slots = 1, .retry_ns = 10 * FA_NS_PER_MS, .seed = 1};
        struct fa_msg welcome = {.type = FA_MSG_WELCOME, .epoch = 7, .from = 5};
        const struct fa_event ev = {.kind = FA_EV_MSG, .peer = 1, .msg = &welcome};
        struct fa_work *w = NULL;
        struct fa_msg *m;
        uint64_t to;

        cr_assert_eq(fa_work_new(&w, &cfg), 0);
        cr_assert_eq(fa_work_connect(w, 1, 1000), 0);
        struct fa_msg *hello; /* is kept: its memory would be used again */
        cr_assert(fa_outbox_pop(fa_work_outbox(w), &to, &hello));
        th_alloc_fail_at(1);
        (void)fa_work_input(w, &ev, 2000);
        cr_assert(th_alloc_failed());
        cr_assert_not(fa_outbox_pop(fa_work_outbox(w), &to, &m));
        fa_msg_free(hello);
        cr_assert_leq(fa_work_deadline(w), 2000 + 10 * FA_NS_PER_MS);
        fa_work_tick(w, fa_work_deadline(w));
        cr_assert(fa_outbox_pop(fa_work_outbox(w), &to, &m));
        cr_assert_eq(m->type, FA_MSG_HELLO);
        fa_msg_free(m);
        fa_work_free(w);
}

/* Nothing else would give it to a slot later. */
Test(memory, a_task_that_was_taken_in_reaches_a_slot_that_is_up) {
        static const char *const functions[] = {"f"};
        const struct fa_work_cfg cfg = {
                .incarnation = 7, .n_slots = 1, .functions = functions, .n_functions = 1};
        struct fa_msg welcome = {.type = FA_MSG_WELCOME, .epoch = 7, .from = 5};
        struct fa_item it = {.id = {{1}}, .function = {(const uint8_t *)"f", 1}};
        const struct fa_event up = {.kind = FA_EV_SLOT_UP};
        const struct fa_event hello = {.kind = FA_EV_MSG, .peer = 1, .msg = &welcome};
        bool failed = true;

        for (uint64_t k = 1; failed; k++) {
                struct fa_work *w = NULL;
                struct fa_work_op op;
                struct fa_msg *m;
                uint64_t to, session = 0;

                cr_assert_eq(fa_work_new(&w, &cfg), 0);
                cr_assert_eq(fa_work_connect(w, 1, 1000), 0);
                cr_assert_eq(fa_work_input(w, &up, 1000), 0);
                cr_assert_eq(fa_work_input(w, &hello, 1000), 0);
                for (; fa_outbox_pop(fa_work_outbox(w), &to, &m); fa_msg_free(m))
                        session = m->session;
                struct fa_msg task = {.type = FA_MSG_TASK,
                                      .session = session,
                                      .seq = 1,
                                      .items = &it,
                                      .n_items = 1};
                const struct fa_event given = {.kind = FA_EV_MSG, .peer = 1, .msg = &task};
                th_alloc_fail_at(k);
                (void)fa_work_input(w, &given, 1000);
                failed = th_alloc_failed();
                th_alloc_fail_at(0);
                cr_assert(failed || fa_work_held(w) == 1);
                cr_assert_eq(fa_work_pop(w, &op), fa_work_held(w) == 1, "allocation %u",
                             (unsigned)k);
                fa_work_free(w);
        }
}
