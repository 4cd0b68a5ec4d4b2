/* test-cancel.c - faas_cancel(): queued, running, done */
#undef NDEBUG
#include <stdio.h>

#include <criterion/criterion.h>

#include "fn.h"
#include "th.h"

static struct fn_gate gate;
static struct faas_client *client;
static struct faas_result result = FAAS_RESULT_INIT;

static void setup(void) {
        fn_gate_make(&gate, "gate");
        client = fn_open(1, NULL);
}

static void teardown(void) {
        faas_result_clear(&result);
        client = faas_client_close(client);
}

TestSuite(cancel, .init = setup, .fini = teardown);

Test(cancel, a_queued_task_never_runs) {
        char file[160];
        struct faas_id first, second;

        (void)snprintf(file, sizeof(file), "%s/ran", th_temp_dir());
        first = fn_submit(client, "gate", gate.path);
        fn_gate_reached(&gate, client);
        second = fn_submit(client, "second", file);
        cr_assert_eq(faas_cancel(client, &second), 0, "%s", faas_error_text());
        cr_assert_eq(faas_cancel(client, &second), FAAS_E_EXISTS);
        fn_gate_open(&gate, client);
        cr_assert_eq(faas_wait(client, &second, -1, &result), 0);
        cr_assert_eq(result.status, FAAS_CANCELLED);
        cr_assert_eq(faas_wait(client, &first, -1, &result), 0);
        cr_assert_eq(result.status, FAAS_COMPLETED);
        fn_works(client);
        FILE *f = fopen(file, "r");
        cr_assert_null(f, "it ran");
}

Test(cancel, a_running_task_is_stopped_and_its_slot_replaced) {
        struct faas_id id = fn_submit(client, "gate", gate.path);

        fn_gate_reached(&gate, client);
        cr_assert_eq(faas_cancel(client, &id), 0, "%s", faas_error_text());
        cr_assert_eq(faas_wait(client, &id, -1, &result), 0);
        cr_assert_eq(result.status, FAAS_CANCELLED);
        fn_works(client); /* the gate was never opened: the slot is another */
}

Test(cancel, tasks_behind_a_cancelled_one_complete_without_a_strike) {
        struct faas_id ids[20], first;

        for (int i = 0; i < 200; i++) /* short tasks: the slot's queue is deep now */
                fn_works(client);
        first = fn_submit(client, "gate", gate.path);
        for (int i = 0; i < 20; i++)
                ids[i] = fn_submit(client, "upper", "behind");
        fn_gate_reached(&gate, client);
        cr_assert_eq(faas_cancel(client, &first), 0);
        for (int i = 0; i < 20; i++) {
                cr_assert_eq(faas_wait(client, &ids[i], -1, &result), 0);
                cr_assert_eq(result.status, FAAS_COMPLETED);
                cr_assert_eq(result.strikes, 0);
        }
        cr_assert_eq(faas_wait(client, &first, -1, &result), 0);
        cr_assert_eq(result.status, FAAS_CANCELLED);
}

Test(cancel, a_task_that_is_done_stays_what_it_is) {
        struct faas_id id = fn_submit(client, "upper", "x");
        enum faas_status status = FAAS_QUEUED;

        while (status != FAAS_COMPLETED)
                cr_assert_eq(faas_status(client, &id, &status), 0);
        cr_assert_eq(faas_cancel(client, &id), FAAS_E_EXISTS);
        cr_assert_eq(faas_wait(client, &id, -1, &result), 0);
        cr_assert_eq(result.status, FAAS_COMPLETED);
        cr_assert_eq(faas_cancel(client, &id), FAAS_E_GONE);
}

Test(cancel, cancelling_at_random_loses_nothing) {
        enum { N = 400 };
        static struct faas_id ids[N];
        int cancelled = 0, completed = 0;

        for (int i = 0; i < N; i++)
                ids[i] = fn_submit(client, "upper", "x");
        for (int i = 0; i < N; i += 3) {
                int r = faas_cancel(client, &ids[i]);
                cr_assert(r == 0 || r == FAAS_E_EXISTS, "%d %s", r, faas_error_text());
                cancelled += r == 0;
        }
        for (int i = 0; i < N; i++) {
                cr_assert_eq(faas_wait(client, &ids[i], -1, &result), 0);
                completed += result.status == FAAS_COMPLETED;
                cancelled -= result.status == FAAS_CANCELLED;
        }
        cr_assert_eq(cancelled, 0);
        cr_assert_gt(completed, 0);
        fn_works(client);
}
