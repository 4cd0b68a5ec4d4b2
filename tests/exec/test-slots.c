/* test-slots.c - what a task sees and what becomes of it when all goes well, or the function fails
 */
#undef NDEBUG
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "pool.h"
#include "th.h"

static void expect_failure(const char *function,
                           const char *payload,
                           enum faas_failure failure,
                           int code,
                           const char *text) {
        struct pool p;
        int fds = th_count_fds();

        pool_open(&p, 1);
        uint32_t seq = pool_give(&p, 0, function, payload);
        struct fa_slot_event ev = pool_expect(&p, FA_SLOT_RESULT);
        cr_assert_eq(ev.seq, seq);
        cr_assert_eq(ev.outcome.status, FAAS_FAILED);
        cr_assert_eq(ev.outcome.failure, failure);
        cr_assert_eq(ev.outcome.code, code);
        cr_assert_not_null(strstr(outcome_text(&ev), text), "text: %s", outcome_text(&ev));
        cr_assert_null(ev.outcome.payload);
        fa_outcome_deinit(&ev.outcome);
        fa_slots_close(p.s);
        cr_assert_eq(th_count_fds(), fds);
}

Test(slots, function_sees_aligned_terminated_payload_and_its_id) {
        struct pool p;

        pool_open(&p, 1);
        /* Different lengths, so that a wrong padding moves the frames behind it. */
        const char *payloads[] = {"", "a", "fifteen bytes..", "sixteen bytes...",
                                  "seventeen bytes.."};
        for (size_t i = 0; i < FA_ARRAY_SIZE(payloads); i++)
                pool_queue(&p, 0, "look", payloads[i]);
        fa_slots_flush(p.s);
        for (size_t i = 0; i < FA_ARRAY_SIZE(payloads); i++) {
                struct fa_slot_event ev = pool_expect(&p, FA_SLOT_RESULT);
                cr_assert_eq(ev.seq, i + 1);
                cr_assert_str_eq((const char *)fa_blob_ptr(ev.outcome.payload), "0 0 16");
                fa_outcome_deinit(&ev.outcome);
        }
        fa_slots_close(p.s);
}

Test(slots, function_that_fails_gives_its_code_and_text) {
        expect_failure("fail-7", "seven", FAAS_FAILURE_FUNCTION, 7, "no luck with seven");
}

Test(slots, function_that_fails_silently_gives_its_code_and_a_text) {
        expect_failure("silent-3", "", FAAS_FAILURE_FUNCTION, 3, "returned 3");
}

Test(slots, unknown_function_is_named) {
        expect_failure("nonesuch", "", FAAS_FAILURE_NO_FUNCTION, 0, "nonesuch");
}

Test(slots, result_over_the_limit_fails) {
        expect_failure("too-big", "", FAAS_FAILURE_LIMIT, 0, "4194305");
}

Test(slots, slot_has_only_its_own_fds) {
        struct pool p;

        /* 0, 1, 2, the channel and the eventfd. */
        pool_open(&p, 3);
        pool_give(&p, 2, "count-fds", "");
        struct fa_slot_event ev = pool_expect(&p, FA_SLOT_RESULT);
        cr_assert_str_eq((const char *)fa_blob_ptr(ev.outcome.payload), "5");
        fa_outcome_deinit(&ev.outcome);
        fa_slots_close(p.s);
}

Test(slots, numbers_wrap) {
        struct fa_slots_cfg cfg = {
                .n_slots = 1, .functions = bad_functions, .first_seq = UINT32_MAX - 49};
        struct pool p;

        pool_open_cfg(&p, &cfg);
        for (uint32_t i = 0; i < 100; i++) {
                cr_assert_eq(pool_give(&p, 0, "noop", ""), UINT32_MAX - 49 + i);
                struct fa_slot_event ev = pool_expect(&p, FA_SLOT_RESULT);
                cr_assert_eq(ev.seq, UINT32_MAX - 49 + i);
                cr_assert_eq(ev.outcome.status, FAAS_COMPLETED);
        }
        pool_give(&p, 0, "exit-3", "");
        struct fa_slot_event ev = pool_expect_down(&p, 50, FAAS_FAILURE_EXITED);
        fa_outcome_deinit(&ev.outcome);
        fa_slots_close(p.s);
}

/* Many large ones at once: far more than the socket takes, both ways, and small ones between. */
Test(slots, largest_payloads_come_back_whole_while_other_slots_go_on) {
        const size_t len = FAAS_PAYLOAD_MAX;
        char *big = malloc(len);
        struct fa_blob *blob = NULL;
        struct faas_id id = {{0}};
        struct pool p;

        cr_assert_not_null(big);
        for (size_t i = 0; i < len; i++)
                big[i] = (char)(i * 2654435761u >> 13);
        cr_assert_eq(fa_blob_new(&blob, big, len), 0);
        pool_open(&p, 2);
        for (uint32_t i = 0; i < 8; i++) {
                struct fa_slot_task t = {.id = &id, .function = "echo", .payload = blob};
                uint32_t seq;

                cr_assert_eq(fa_slots_run(p.s, 0, &t, &seq), 0);
                pool_queue(&p, 0, "echo", "small");
        }
        fa_slots_flush(p.s);
        pool_give(&p, 1, "echo", "other");
        unsigned n_big = 0, n_small = 0, n_other = 0;
        while (n_big + n_small + n_other < 17) {
                struct fa_slot_event ev = pool_expect(&p, FA_SLOT_RESULT);

                cr_assert_eq(ev.outcome.status, FAAS_COMPLETED);
                if (ev.slot == 1) {
                        n_other++;
                } else if (fa_blob_len(ev.outcome.payload) == 5) {
                        n_small++;
                } else {
                        cr_assert_eq(fa_blob_len(ev.outcome.payload), len);
                        cr_assert(memcmp(fa_blob_ptr(ev.outcome.payload), big, len) == 0);
                        n_big++;
                }
                fa_outcome_deinit(&ev.outcome);
        }
        cr_assert(n_big == 8 && n_small == 8 && n_other == 1);
        cr_assert_eq(blob->refs, 1);
        fa_blob_unref(blob);
        free(big);
        fa_slots_close(p.s);
}

/* While the first runs, the results of those before it have to arrive. */
Test(slots, results_do_not_wait_for_a_long_function_behind_them) {
        struct pool p;
        char path[256];

        snprintf(path, sizeof(path), "%s/gate", th_temp_dir());
        pool_open(&p, 1);
        for (int i = 0; i < 20; i++)
                pool_queue(&p, 0, "noop", "");
        pool_queue(&p, 0, "gate", path);
        fa_slots_flush(p.s);
        for (uint32_t i = 1; i <= 20; i++)
                cr_assert_eq(pool_expect(&p, FA_SLOT_RESULT).seq, i);
        cr_assert_not(file_exists(path));
        FILE *f = fopen(path, "w");
        cr_assert_not_null(f);
        fclose(f);
        cr_assert_eq(pool_expect(&p, FA_SLOT_RESULT).seq, 21);
        fa_slots_close(p.s);
}

Test(slots, recall_returns_exactly_what_was_not_begun) {
        struct pool p;
        char gate[256], log[256], in[300];

        snprintf(gate, sizeof(gate), "%s/gate", th_temp_dir());
        snprintf(log, sizeof(log), "%s/log", th_temp_dir());
        snprintf(in, sizeof(in), "%s.in", gate);
        pool_open(&p, 1);
        cr_assert_eq(pool_give(&p, 0, "gate", gate), 1);
        for (int i = 0; i < 5; i++)
                pool_give(&p, 0, "append", log); /* these are in its socket */
        for (int i = 0; i < 5; i++)
                pool_queue(&p, 0, "append", log); /* and these not yet */
        (void)read_number(in);
        cr_assert_eq(fa_slots_recall(p.s, 0), 0);
        cr_assert_eq(fa_slots_deadline(p.s), 0);
        struct fa_slot_event ev = pool_expect(&p, FA_SLOT_RETURNED);
        cr_assert_eq(ev.seq, 1);
        /* The numbers go on, and what comes now is run. */
        cr_assert_eq(pool_give(&p, 0, "noop", ""), 12);
        FILE *f = fopen(gate, "w");
        cr_assert_not_null(f);
        fclose(f);
        cr_assert_eq(pool_expect(&p, FA_SLOT_RESULT).seq, 1);
        cr_assert_eq(pool_expect(&p, FA_SLOT_RESULT).seq, 12);
        cr_assert_not(file_exists(log));
        /* A recall of nothing, and a death with nothing begun. */
        cr_assert_eq(fa_slots_recall(p.s, 0), 0);
        cr_assert_eq(pool_expect(&p, FA_SLOT_RETURNED).seq, 12);
        fa_slots_kill(p.s, 0);
        cr_assert_not(pool_expect(&p, FA_SLOT_DOWN).started);
        fa_slots_close(p.s);
}

Test(slots, killed_slot_is_reported_with_signal_9) {
        struct pool p;
        char path[256];

        snprintf(path, sizeof(path), "%s/pid", th_temp_dir());
        pool_open(&p, 1);
        uint32_t seq = pool_give(&p, 0, "announce-loop", path);
        cr_assert_eq(read_number(path), fa_slots_pid(p.s, 0));
        fa_slots_kill(p.s, 0);
        struct fa_slot_event ev = pool_expect_down(&p, seq, FAAS_FAILURE_CRASHED);
        cr_assert_eq(ev.outcome.code, 9);
        fa_outcome_deinit(&ev.outcome);
        pool_expect_alive(&p);
        fa_slots_close(p.s);
}

/* Each goes and comes in many pieces, and each piece wakes somebody: none may be missed. */
Test(slots, long_payloads_go_through_rings_that_are_shorter) {
        enum { N = 60, LEN = 3 << 20 };
        struct fa_blob *payload = NULL;
        uint8_t *bytes;
        struct pool p;

        cr_assert_eq(fa_blob_new_uninit(&payload, &bytes, LEN), 0);
        for (size_t i = 0; i < LEN; i++)
                bytes[i] = (uint8_t)(i * 31 + i / 4099);
        pool_open(&p, 2);
        for (unsigned i = 0; i < N; i++) {
                const struct faas_id id = {{1}};
                const struct fa_slot_task t = {&id, "echo", payload, 0};
                uint32_t seq;
                cr_assert_eq(fa_slots_run(p.s, i % 2, &t, &seq), 0);
        }
        fa_slots_flush(p.s);
        for (unsigned i = 0; i < N; i++) {
                struct fa_slot_event ev = pool_expect(&p, FA_SLOT_RESULT);
                cr_assert_eq(fa_blob_len(ev.outcome.payload), LEN);
                cr_assert(memcmp(fa_blob_ptr(ev.outcome.payload), fa_blob_ptr(payload), LEN) == 0);
                fa_outcome_deinit(&ev.outcome);
        }
        fa_slots_close(p.s);
        fa_blob_unref(payload);
}
