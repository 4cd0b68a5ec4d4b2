/* test-slots-broken.c - functions that break their process: the slot is replaced, the pool lives */
#undef NDEBUG
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "pool.h"
#include "th.h"

static struct fa_slot_event
expect_end(struct pool *p, const char *function, const char *payload, enum faas_failure failure) {
        pool_open(p, 1);
        uint32_t seq = pool_queue(p, 0, function, payload);
        pool_queue(p, 0, "noop", ""); /* this one has not begun, and gets no blame */
        fa_slots_flush(p->s);
        return pool_expect_down(p, seq, failure);
}

static void finish(struct pool *p, struct fa_slot_event *ev, int fds) {
        fa_outcome_deinit(&ev->outcome);
        pool_expect_alive(p);
        fa_slots_close(p->s);
        cr_assert_eq(th_count_fds(), fds);
}

static void
expect_plain(const char *function, enum faas_failure failure, int code, const char *text) {
        struct pool p;
        int fds = th_count_fds();
        char path[256];

        snprintf(path, sizeof(path), "%s/file", th_temp_dir());
        struct fa_slot_event ev = expect_end(&p, function, path, failure);
        cr_assert_eq(ev.outcome.code, code, "code %d: %s", ev.outcome.code, outcome_text(&ev));
        cr_assert_not_null(strstr(outcome_text(&ev), text), "text: %s", outcome_text(&ev));
        finish(&p, &ev, fds);
}

Test(broken, crash_names_the_signal_and_keeps_standard_error) {
        struct pool p;
        int fds = th_count_fds();
        struct fa_slot_event ev = expect_end(&p, "segv", "", FAAS_FAILURE_CRASHED);

        cr_assert_eq(ev.outcome.code, SIGSEGV);
        cr_assert_not_null(strstr(outcome_text(&ev), "Segmentation fault"));
        cr_assert_str_eq((const char *)fa_blob_ptr(ev.outcome.log), "about to crash\n");
        finish(&p, &ev, fds);
}

Test(broken, last_bytes_of_standard_error_are_kept) {
        struct pool p;
        int fds = th_count_fds();
        struct fa_slot_event ev = expect_end(&p, "chatty", "", FAAS_FAILURE_CRASHED);
        const char *log = (const char *)fa_blob_ptr(ev.outcome.log);

        cr_assert_eq(ev.outcome.code, SIGABRT);
        cr_assert_eq(fa_blob_len(ev.outcome.log), FAAS_LOG_MAX);
        cr_assert_str_eq(log + FAAS_LOG_MAX - 10, "line 4999\n");
        finish(&p, &ev, fds);
}

Test(broken, exit_is_reported_with_its_status) {
        expect_plain("exit-3", FAAS_FAILURE_EXITED, 3, "status 3");
}

/* A slot ends itself with these two, but this was not the slot. */
Test(broken, exit_with_a_status_of_ours_is_still_the_functions_own) {
        static const char *const functions[] = {"exit-124", "exit-125"};

        for (int i = 0; i < 2; i++) {
                struct pool p;
                int fds = th_count_fds();
                struct fa_slot_event ev = expect_end(&p, functions[i], "", FAAS_FAILURE_EXITED);
                char text[64];

                snprintf(text, sizeof(text), "its process ended itself with status %d", 124 + i);
                cr_assert_str_eq(outcome_text(&ev), text);
                finish(&p, &ev, fds);
        }
}

Test(broken, exit_with_success_is_no_success) {
        expect_plain("exit-0", FAAS_FAILURE_EXITED, 0, "status 0");
}

/* Its result is there, but it cannot wake anybody any more: the next task needs a new slot. */
Test(broken, closing_all_fds_ends_the_slot_and_no_file_gets_its_bytes) {
        char path[256];
        struct pool p;
        int fds = th_count_fds();

        snprintf(path, sizeof(path), "%s/file", th_temp_dir());
        pool_open(&p, 1);
        uint32_t seq = pool_queue(&p, 0, "close-fds", path);
        pool_queue(&p, 0, "noop", "");
        fa_slots_flush(p.s);
        struct fa_slot_event ev = pool_expect(&p, FA_SLOT_RESULT);
        cr_assert_eq(ev.seq, seq);
        cr_assert_eq(ev.outcome.status, FAAS_COMPLETED);
        fa_outcome_deinit(&ev.outcome);
        /* It ends when it has to ring: not yet, if we were awake. */
        const struct faas_id id = {{1}};
        const struct fa_slot_task noop = {.id = &id, .function = "noop"};
        while ((ev = pool_next(&p)).kind == FA_SLOT_RESULT) {
                fa_outcome_deinit(&ev.outcome);
                if (fa_slots_run(p.s, 0, &noop, &seq) == 0)
                        fa_slots_flush(p.s);
        }
        cr_assert_eq(ev.kind, FA_SLOT_DOWN);
        cr_assert_not(ev.started);
        FILE *f = fopen(path, "r");
        cr_assert_not_null(f);
        cr_assert_eq(fgetc(f), EOF);
        fclose(f);
        finish(&p, &ev, fds);
}

/* The host sees the end of the socket long before the end of the process, and must not spin. */
Test(broken, slot_without_its_channel_can_be_killed) {
        struct pool p;

        pool_open(&p, 1);
        uint32_t seq = pool_queue_timed(&p, 0, "close-channel", 300);
        fa_slots_flush(p.s);
        struct fa_slot_event ev = pool_expect_down(&p, seq, FAAS_FAILURE_TIMEOUT);
        fa_outcome_deinit(&ev.outcome);
        pool_expect_alive(&p);
        fa_slots_close(p.s);
}

Test(broken, rubbish_on_the_channel_ends_the_slot) {
        expect_plain("rubbish", FAAS_FAILURE_CRASHED, SIGKILL, "rubbish");
}

Test(broken, scribbled_page_ends_the_slot) {
        expect_plain("scribble", FAAS_FAILURE_EXITED, 124, "control page");
}

Test(broken, scribbled_page_does_not_confuse_the_blame) {
        expect_plain("scribble-and-die", FAAS_FAILURE_EXITED, 9, "status 9");
}

/* Where it may open it at all (as root), host and zygote would end by SIGBUS. */
Test(broken, control_page_cannot_be_cut_short) {
        expect_plain("cut-page", FAAS_FAILURE_CRASHED, SIGKILL, "signal 9");
}

Test(broken, scribbled_page_is_seen_by_recall) {
        struct pool p;
        char path[256];

        snprintf(path, sizeof(path), "%s/pid", th_temp_dir());
        pool_open(&p, 1);
        uint32_t seq = pool_give(&p, 0, "scribble-and-wait", path);
        (void)read_number(path);
        cr_assert_eq(fa_slots_recall(p.s, 0), FAAS_E_GONE);
        struct fa_slot_event ev = pool_expect_down(&p, seq, FAAS_FAILURE_CRASHED);
        cr_assert_not_null(strstr(outcome_text(&ev), "control page"));
        fa_outcome_deinit(&ev.outcome);
        pool_expect_alive(&p);
        fa_slots_close(p.s);
}

/* Seen at the next look, which a recall is. */
static void expect_broken_results(const char *how) {
        struct pool p;
        char path[256];

        snprintf(path, sizeof(path), "%s/%s", th_temp_dir(), how);
        pool_open(&p, 1);
        uint32_t seq = pool_queue(&p, 0, "scribble-results", path);
        pool_queue(&p, 0, "noop", "");
        fa_slots_flush(p.s);
        (void)read_number(path);
        cr_assert_eq(fa_slots_recall(p.s, 0), 0, "%s", how);
        cr_assert_eq(pool_expect(&p, FA_SLOT_RETURNED).seq, seq);
        struct fa_slot_event ev = pool_expect_down(&p, seq, FAAS_FAILURE_CRASHED);
        cr_assert_not_null(strstr(outcome_text(&ev), "rubbish"));
        fa_outcome_deinit(&ev.outcome);
        pool_expect_alive(&p);
        fa_slots_close(p.s);
}

Test(broken, results_that_make_no_sense_end_the_slot) {
        expect_broken_results("l");
        expect_broken_results("s");
        expect_broken_results("b");
        expect_broken_results("m");
}

/* And at its death they are just not believed. */
Test(broken, senseless_results_of_a_dead_slot_are_ignored) {
        static const char *const how[] = {"l", "s", "b", "m"};

        for (int i = 0; i < 4; i++) {
                struct pool p;
                char path[256];

                snprintf(path, sizeof(path), "%s/%s", th_temp_dir(), how[i]);
                pool_open(&p, 1);
                uint32_t seq = pool_give(&p, 0, "scribble-results", path);
                (void)read_number(path);
                fa_slots_kill(p.s, 0);
                struct fa_slot_event ev = pool_expect_down(&p, seq, FAAS_FAILURE_CRASHED);
                cr_assert_eq(ev.outcome.code, SIGKILL);
                fa_outcome_deinit(&ev.outcome);
                pool_expect_alive(&p);
                fa_slots_close(p.s);
        }
}

Test(broken, children_of_a_dead_slot_are_ended) {
        struct pool p;
        char path[256];
        int fds = th_count_fds();

        snprintf(path, sizeof(path), "%s/pid", th_temp_dir());
        struct fa_slot_event ev = expect_end(&p, "leave-children", path, FAAS_FAILURE_CRASHED);
        cr_assert(th_gone((pid_t)read_number(path), WAIT_MS));
        finish(&p, &ev, fds);
}

Test(broken, child_that_returns_from_the_function_is_no_second_slot) {
        struct pool p;

        pool_open(&p, 1);
        for (uint32_t i = 1; i <= 50; i++) {
                pool_give(&p, 0, "two-returns", "one");
                struct fa_slot_event ev = pool_expect(&p, FA_SLOT_RESULT);
                cr_assert_eq(ev.seq, i);
                fa_outcome_deinit(&ev.outcome);
        }
        fa_slots_close(p.s);
}

Test(broken, endless_loop_is_ended_in_time) {
        struct pool p;

        pool_open(&p, 2);
        uint64_t start_ns = fa_now();
        uint32_t seq = pool_queue_timed(&p, 0, "loop", 50);
        fa_slots_flush(p.s);
        struct fa_slot_event ev = pool_expect_down(&p, seq, FAAS_FAILURE_TIMEOUT);
        cr_assert_geq(fa_now() - start_ns, 50 * FA_NS_PER_MS);
        fa_outcome_deinit(&ev.outcome);
        pool_expect_alive(&p);
        fa_slots_close(p.s);
}

/* A shorter time-out than the one that the zygote sleeps for, and tasks that end in time. */
Test(broken, only_the_late_one_of_many_timed_tasks_is_ended) {
        struct pool p;

        pool_open(&p, 2);
        uint32_t late = pool_queue_timed(&p, 1, "loop", 3600 * 1000);
        for (uint32_t i = 0; i < 500; i++)
                pool_queue_timed(&p, 0, "noop", 10000 - i);
        uint32_t seq = pool_queue_timed(&p, 0, "loop", 20);
        fa_slots_flush(p.s);
        for (uint32_t i = 1; i <= 500; i++)
                cr_assert_eq(pool_expect(&p, FA_SLOT_RESULT).seq, i);
        struct fa_slot_event ev = pool_expect_down(&p, seq, FAAS_FAILURE_TIMEOUT);
        cr_assert_eq(ev.slot, 0);
        fa_outcome_deinit(&ev.outcome);
        pool_expect_alive(&p);
        cr_assert_eq(late, 1);
        cr_assert_neq(fa_slots_pid(p.s, 1), 0);
        fa_slots_close(p.s);
}

Test(broken, killed_zygote_takes_its_slots_along_and_is_replaced) {
        struct pool p;
        char path[256];

        snprintf(path, sizeof(path), "%s/pid", th_temp_dir());
        pool_open(&p, 3);
        int fds = th_count_fds();
        pid_t zygote = fa_slots_zygote_pid(p.s);
        uint32_t seq = pool_give(&p, 0, "announce-loop", path);
        pid_t pids[3];
        for (unsigned i = 0; i < 3; i++)
                pids[i] = fa_slots_pid(p.s, i);
        (void)read_number(path);
        kill(zygote, SIGKILL);
        for (unsigned i = 0; i < 3; i++) {
                struct fa_slot_event ev = pool_expect(&p, FA_SLOT_DOWN);
                cr_assert_eq(ev.started, ev.slot == 0);
                if (ev.slot == 0)
                        cr_assert_eq(ev.seq, seq);
                fa_outcome_deinit(&ev.outcome);
        }
        for (unsigned i = 0; i < 3; i++)
                cr_assert(th_gone(pids[i], WAIT_MS));
        pool_wait_up(&p, 2);
        pool_expect_alive(&p);
        cr_assert_neq(fa_slots_zygote_pid(p.s), zygote);
        cr_assert_eq(th_count_fds(), fds);
        fa_slots_close(p.s);
}

Test(broken, function_that_kills_the_zygote_gets_the_blame) {
        struct pool p;

        pool_open(&p, 1);
        uint32_t seq = pool_give(&p, 0, "kill-parent", "");
        struct fa_slot_event ev = pool_expect_down(&p, seq, FAAS_FAILURE_CRASHED);
        fa_outcome_deinit(&ev.outcome);
        pool_expect_alive(&p);
        fa_slots_close(p.s);
}
