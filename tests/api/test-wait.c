/* test-wait.c - faas_wait(), faas_wait_any(), faas_status(), faas_result(): every return */
#undef NDEBUG
#include <errno.h>
#include <string.h>

#include <criterion/criterion.h>

#include "fn.h"
#include "th.h"

static struct faas_client *client;
static struct faas_result result = FAAS_RESULT_INIT;
static struct fn_gate gate;

static void setup(void) {
        client = fn_open(2, NULL);
        fn_gate_make(&gate, "gate");
}

static void teardown(void) {
        faas_result_clear(&result);
        client = faas_client_close(client);
}

TestSuite(wait, .init = setup, .fini = teardown);

static const struct faas_id nobody = {{0xee}};

Test(wait, a_result_is_collected_once) {
        struct faas_id id = fn_submit(client, "upper", "one");
        enum faas_status status;

        cr_assert_eq(faas_wait(client, &id, -1, &result), 0);
        cr_assert_eq(memcmp(&result.id, &id, sizeof(id)), 0);
        cr_assert_eq(result.status, FAAS_COMPLETED);
        cr_assert_eq(result.failure, FAAS_FAILURE_NONE);
        cr_assert_eq(result.payload_len, 3);
        cr_assert_str_eq(result.payload, "ONE");
        cr_assert_str_eq(result.text, "");
        cr_assert_str_eq(result.log, "");
        cr_assert_eq(faas_wait(client, &id, -1, &result), FAAS_E_GONE);
        cr_assert(strstr(faas_error_text(), "collected"));
        cr_assert_str_eq(result.payload, "ONE", "untouched by a failure");
        cr_assert_eq(faas_status(client, &id, &status), FAAS_E_GONE);
        cr_assert_eq(faas_result(client, &id, &result), FAAS_E_GONE);
        cr_assert_eq(faas_cancel(client, &id), FAAS_E_GONE);
}

Test(wait, an_unknown_id_is_not_found) {
        enum faas_status status;

        cr_assert_eq(faas_wait(client, &nobody, -1, &result), FAAS_E_NOENT);
        cr_assert_eq(faas_status(client, &nobody, &status), FAAS_E_NOENT);
        cr_assert_eq(faas_result(client, &nobody, &result), FAAS_E_NOENT);
        cr_assert_eq(faas_cancel(client, &nobody), FAAS_E_NOENT);
        cr_assert_eq(faas_wait_any(client, -1, &result), FAAS_E_NOENT);
}

Test(wait, missing_arguments_are_refused) {
        struct faas_id id = {{0}};
        enum faas_status status;

        cr_assert_eq(faas_wait(NULL, &id, 0, &result), -EINVAL);
        cr_assert_eq(faas_wait(client, NULL, 0, &result), -EINVAL);
        cr_assert_eq(faas_wait(client, &id, 0, NULL), -EINVAL);
        cr_assert_eq(faas_wait_any(NULL, 0, &result), -EINVAL);
        cr_assert_eq(faas_wait_any(client, 0, NULL), -EINVAL);
        cr_assert_eq(faas_status(NULL, &id, &status), -EINVAL);
        cr_assert_eq(faas_status(client, NULL, &status), -EINVAL);
        cr_assert_eq(faas_status(client, &id, NULL), -EINVAL);
        cr_assert_eq(faas_result(client, &id, NULL), -EINVAL);
        cr_assert_eq(faas_cancel(client, NULL), -EINVAL);
        cr_assert_eq(faas_cancel(NULL, &id), -EINVAL);
        cr_assert_eq(faas_client_fd(NULL), -EINVAL);
        cr_assert_eq(faas_client_process(NULL), -EINVAL);
        faas_client_on_done(NULL, NULL, NULL);
        faas_result_clear(NULL);
}

Test(wait, what_is_not_done_in_time_can_be_waited_for_again) {
        struct faas_id id = fn_submit(client, "gate", gate.path);
        enum faas_status status;

        fn_gate_reached(&gate, client);
        cr_assert_eq(faas_wait(client, &id, 0, &result), FAAS_E_AGAIN);
        cr_assert_eq(faas_wait(client, &id, 1, &result), FAAS_E_AGAIN);
        cr_assert_eq(faas_wait_any(client, 1, &result), FAAS_E_AGAIN);
        cr_assert_eq(faas_status(client, &id, &status), 0);
        cr_assert_eq(status, FAAS_RUNNING);
        cr_assert_eq(faas_result(client, &id, &result), FAAS_E_AGAIN);
        fn_gate_open(&gate, client);
        cr_assert_eq(faas_wait(client, &id, -1, &result), 0);
        cr_assert_eq(result.status, FAAS_COMPLETED);
}

Test(wait, a_task_behind_a_long_one_is_queued) {
        struct faas_client *c = fn_open(1, NULL);
        struct faas_id first = fn_submit(c, "gate", gate.path), second;
        enum faas_status status;

        fn_gate_reached(&gate, c);
        second = fn_submit(c, "upper", "x");
        cr_assert_eq(faas_status(c, &second, &status), 0);
        cr_assert_eq(status, FAAS_QUEUED);
        fn_gate_open(&gate, c);
        cr_assert_eq(faas_wait(c, &second, -1, &result), 0);
        cr_assert_eq(faas_wait(c, &first, -1, &result), 0);
        faas_client_close(c);
}

Test(wait, reading_a_result_does_not_collect_it) {
        struct faas_id id = fn_submit(client, "upper", "look");
        enum faas_status status = FAAS_QUEUED;
        struct faas_result again = FAAS_RESULT_INIT;

        while (faas_result(client, &id, &result) == FAAS_E_AGAIN)
                ;
        cr_assert_str_eq(result.payload, "LOOK");
        cr_assert_eq(faas_result(client, &id, &again), 0);
        cr_assert_eq(faas_status(client, &id, &status), 0);
        cr_assert_eq(status, FAAS_COMPLETED);
        cr_assert_eq(faas_wait_any(client, 0, &again), 0);
        cr_assert_str_eq(again.payload, "LOOK");
        cr_assert_str_eq(result.payload, "LOOK", "each has its own");
        faas_result_clear(&again);
}

Test(wait, any_gives_each_once_in_the_order_of_their_ends) {
        struct faas_id slow = fn_submit(client, "gate", gate.path);
        struct faas_id quick = fn_submit(client, "upper", "q");

        cr_assert_eq(faas_wait_any(client, -1, &result), 0);
        cr_assert_eq(memcmp(&result.id, &quick, sizeof(quick)), 0);
        fn_gate_open(&gate, client);
        cr_assert_eq(faas_wait_any(client, -1, &result), 0);
        cr_assert_eq(memcmp(&result.id, &slow, sizeof(slow)), 0);
        cr_assert_eq(faas_wait_any(client, -1, &result), FAAS_E_NOENT);
}

Test(wait, a_result_may_be_waited_for_by_the_id_inside_it) {
        result.id = fn_submit(client, "upper", "self");
        cr_assert_eq(faas_wait(client, &result.id, -1, &result), 0);
        cr_assert_str_eq(result.payload, "SELF");
}

Test(wait, results_outlive_the_client) {
        fn_run(client, "upper", "kept", &result);
        client = faas_client_close(client);
        cr_assert_str_eq(result.payload, "KEPT");
}

struct expiry {
        struct faas_client *c;
        struct faas_id id;
};

static bool expired(void *arg) {
        const struct expiry *e = arg;
        enum faas_status status;

        cr_assert_eq(faas_client_process(e->c), 0);
        return faas_status(e->c, &e->id, &status) == FAAS_E_GONE;
}

Test(wait, what_nobody_collects_expires) {
        struct faas_client_cfg cfg = FAAS_CLIENT_CFG_INIT;
        struct expiry e;

        cfg.result_ttl_ms = 20;
        e.c = fn_open(1, &cfg);
        e.id = fn_submit(e.c, "upper", "late");
        cr_assert(th_until(expired, &e, 20000));
        cr_assert_eq(faas_wait(e.c, &e.id, -1, &result), FAAS_E_GONE);
        cr_assert_eq(faas_wait_any(e.c, -1, &result), FAAS_E_NOENT);
        fn_works(e.c);
        faas_client_close(e.c);
}
