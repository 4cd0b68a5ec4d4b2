/* test-faults.c - functions that fail, and functions that harm: the slot pays, the program lives */
#undef NDEBUG
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include <criterion/criterion.h>

#include "fn.h"
#include "th.h"

static struct faas_client *client;
static struct faas_result result = FAAS_RESULT_INIT;

static void setup(void) {
        client = fn_open(2, NULL);
}

/* Whatever it was, the next call works. */
static void teardown(void) {
        fn_works(client);
        faas_result_clear(&result);
        client = faas_client_close(client);
}

TestSuite(faults, .init = setup, .fini = teardown);

static void run(const struct faas_task *t) {
        struct faas_id id;

        cr_assert_eq(faas_submit(client, t, &id), 0, "%s", faas_error_text());
        cr_assert_eq(faas_wait(client, &id, -1, &result), 0, "%s", faas_error_text());
        cr_assert_eq(result.text_len, strlen(result.text));
        cr_assert_eq(result.log_len, strlen(result.log));
}

Test(faults, an_error_of_the_function_is_data) {
        run(&(struct faas_task){.function = "fails", .payload = "today", .payload_len = 5});
        cr_assert_eq(result.status, FAAS_FAILED);
        cr_assert_eq(result.failure, FAAS_FAILURE_FUNCTION);
        cr_assert_eq(result.code, 7);
        cr_assert_str_eq(result.text, "no such luck: today");
        cr_assert_eq(result.strikes, 0);
}

Test(faults, a_failed_function_is_run_again_only_if_asked_for) {
        char file[160];

        (void)snprintf(file, sizeof(file), "%s/times", th_temp_dir());
        run(&(struct faas_task){.function = "second",
                                .payload = file,
                                .payload_len = strlen(file),
                                .max_retries = 1});
        cr_assert_eq(result.status, FAAS_COMPLETED, "%s", result.text);
}

Test(faults, a_crash_is_struck_three_times_and_told_with_its_last_words) {
        run(&(struct faas_task){.function = "crashes"});
        cr_assert_eq(result.status, FAAS_FAILED);
        cr_assert_eq(result.failure, FAAS_FAILURE_CRASHED);
        cr_assert_eq(result.code, SIGSEGV);
        cr_assert_eq(result.strikes, 3);
        cr_assert(strstr(result.text, "signal 11"), "%s", result.text);
        cr_assert_str_eq(result.log, "last words\n");
}

Test(faults, an_exit_is_told_with_its_status) {
        run(&(struct faas_task){.function = "leave", .max_strikes = 1});
        cr_assert_eq(result.failure, FAAS_FAILURE_EXITED);
        cr_assert_eq(result.code, 5);
        cr_assert_eq(result.strikes, 1);
}

Test(faults, a_loop_ends_at_its_timeout) {
        run(&(struct faas_task){.function = "loop", .timeout_ms = 30, .max_strikes = 2});
        cr_assert_eq(result.failure, FAAS_FAILURE_TIMEOUT);
        cr_assert_eq(result.strikes, 2);
}

Test(faults, a_function_that_closes_everything_costs_its_slot) {
        for (int i = 0; i < 3; i++) {
                run(&(struct faas_task){.function = "close", .max_strikes = 1});
                cr_assert_eq(result.status, FAAS_COMPLETED);
        }
}

Test(faults, a_process_left_behind_by_a_function_ends_with_the_slots) {
        pid_t pid;

        run(&(struct faas_task){.function = "forks"});
        cr_assert_eq(result.status, FAAS_COMPLETED);
        memcpy(&pid, result.payload, sizeof(pid));
        faas_client_close(client);
        cr_assert(th_gone(pid, 20000), "it lives on");
        client = fn_open(1, NULL);
}

Test(faults, rubbish_in_the_shared_memory_costs_the_slot) {
        run(&(struct faas_task){.function = "rubbish", .max_strikes = 1});
        cr_assert_eq(result.status, FAAS_FAILED);
        cr_assert_eq(result.failure, FAAS_FAILURE_CRASHED);
        cr_assert(strstr(result.text, "rubbish"), "%s", result.text);
}

Test(faults, a_result_over_the_limit_is_told) {
        run(&(struct faas_task){.function = "too-much"});
        cr_assert_eq(result.failure, FAAS_FAILURE_LIMIT);
        cr_assert_neq(result.text_len, 0);
        run(&(struct faas_task){.function = "largest"});
        cr_assert_eq(result.status, FAAS_COMPLETED);
        cr_assert_eq(result.payload_len, FAAS_PAYLOAD_MAX);
}

Test(faults, one_evil_task_among_many_harms_no_other) {
        enum { N = 300 };
        int failed = 0, completed = 0;

        for (int i = 0; i < N; i++)
                fn_submit(client, i % 50 == 7 ? "crashes" : "upper", "x");
        for (int i = 0; i < N; i++) {
                cr_assert_eq(faas_wait_any(client, -1, &result), 0);
                failed += result.failure == FAAS_FAILURE_CRASHED;
                completed += result.status == FAAS_COMPLETED;
        }
        cr_assert_eq(failed, 6);
        cr_assert_eq(completed, N - 6);
}
