/* test-callback.c - results given to a function: when it runs, what it may do */
#undef NDEBUG
#include <errno.h>
#include <string.h>

#include <criterion/criterion.h>

#include "fn.h"

static struct faas_client *client;
static int n_calls, n_limit;
static struct faas_result taken = FAAS_RESULT_INIT;

static void setup(void) {
        client = fn_open(2, NULL);
}

static void teardown(void) {
        faas_result_clear(&taken);
        client = faas_client_close(client);
}

TestSuite(callback, .init = setup, .fini = teardown);

static void count(struct faas_client *c, struct faas_result *r, void *userdata) {
        cr_assert_eq(userdata, &n_calls);
        cr_assert_eq(r->status, FAAS_COMPLETED);
        n_calls++;
}

Test(callback, it_runs_in_wait_any_and_each_result_counts_as_collected) {
        struct faas_result r = FAAS_RESULT_INIT;
        struct faas_id id;

        faas_client_on_done(client, count, &n_calls);
        for (int i = 0; i < 10; i++)
                id = fn_submit(client, "upper", "x");
        cr_assert_eq(n_calls, 0, "never inside a submit");
        cr_assert_eq(faas_wait_any(client, -1, &r), FAAS_E_NOENT);
        cr_assert_eq(n_calls, 10);
        cr_assert_eq(faas_wait(client, &id, -1, &r), FAAS_E_GONE);
}

Test(callback, a_wait_for_a_task_ends_when_the_callback_has_it) {
        struct faas_result r = FAAS_RESULT_INIT;

        faas_client_on_done(client, count, &n_calls);
        struct faas_id id = fn_submit(client, "upper", "x");
        cr_assert_eq(faas_wait(client, &id, -1, &r), FAAS_E_GONE);
        cr_assert(strstr(faas_error_text(), "callback"));
        cr_assert_eq(n_calls, 1);
}

static void submit_more(struct faas_client *c, struct faas_result *r, void *userdata) {
        enum faas_status status;

        if (++n_calls < n_limit) {
                struct faas_id id = fn_submit(c, "upper", "more");
                cr_assert_eq(faas_status(c, &id, &status), 0);
        }
        cr_assert_eq(faas_status(c, &r->id, &status), FAAS_E_GONE);
}

Test(callback, it_may_submit) {
        struct faas_result r = FAAS_RESULT_INIT;

        n_limit = 500;
        faas_client_on_done(client, submit_more, NULL);
        fn_submit(client, "upper", "first");
        cr_assert_eq(faas_wait_any(client, -1, &r), FAAS_E_NOENT);
        cr_assert_eq(n_calls, 500);
}

static void try_all(struct faas_client *c, struct faas_result *r, void *userdata) {
        struct faas_result other = FAAS_RESULT_INIT;

        n_calls++;
        cr_assert_eq(faas_wait(c, &r->id, 0, &other), -EINVAL);
        cr_assert_eq(faas_wait_any(c, 0, &other), -EINVAL);
        cr_assert_eq(faas_client_process(c), -EINVAL);
        cr_assert_eq(faas_client_close(c), c);
        cr_assert(strstr(faas_error_text(), "callback"));
        taken = *r;
        *r = (struct faas_result)FAAS_RESULT_INIT;
}

Test(callback, it_may_keep_the_result_but_not_wait_process_or_close) {
        struct faas_result r = FAAS_RESULT_INIT;

        faas_client_on_done(client, try_all, NULL);
        fn_submit(client, "upper", "keep");
        cr_assert_eq(faas_wait_any(client, -1, &r), FAAS_E_NOENT);
        cr_assert_eq(n_calls, 1);
        cr_assert_str_eq(taken.payload, "KEEP");
}

static void stop(struct faas_client *c, struct faas_result *r, void *userdata) {
        n_calls++;
        faas_client_on_done(c, NULL, NULL);
}

Test(callback, without_it_results_are_collected_by_hand_again) {
        struct faas_result r = FAAS_RESULT_INIT;

        faas_client_on_done(client, stop, NULL);
        fn_submit(client, "upper", "a");
        fn_submit(client, "upper", "b");
        cr_assert_eq(faas_wait_any(client, -1, &r), 0);
        cr_assert_eq(n_calls, 1);
        faas_result_clear(&r);
}

static void fill(struct faas_client *c, struct faas_result *r, void *userdata) {
        const struct faas_task t = {.function = "upper"};

        if (n_calls++ == 0) {
                while (faas_submit(c, &t, NULL) == 0)
                        ;
                cr_assert(strstr(faas_error_text(), "window"));
        }
}

Test(callback, a_full_window_inside_it_is_again_at_once) {
        struct faas_client_cfg cfg = FAAS_CLIENT_CFG_INIT;
        struct faas_result r = FAAS_RESULT_INIT;

        cfg.window_tasks = 5;
        cfg.submit_timeout_ms = 1000000;
        faas_client_close(client);
        client = fn_open(1, &cfg);
        faas_client_on_done(client, fill, NULL);
        fn_submit(client, "upper", "a");
        cr_assert_eq(faas_wait_any(client, -1, &r), FAAS_E_NOENT);
        cr_assert_eq(n_calls, 6);
}
