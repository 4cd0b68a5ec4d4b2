/* test-fd.c - the client in somebody else's event loop */
#undef NDEBUG
#include <poll.h>
#include <string.h>

#include <criterion/criterion.h>

#include "fn.h"

static bool readable(struct faas_client *c, int timeout_ms) {
        struct pollfd p = {.fd = faas_client_fd(c), .events = POLLIN};

        cr_assert_geq(p.fd, 0);
        return poll(&p, 1, timeout_ms) == 1;
}

static int n_done;

static void on_done(struct faas_client *c, struct faas_result *r, void *userdata) {
        cr_assert_eq(r->status, FAAS_COMPLETED);
        n_done++;
}

Test(fd, poll_and_process_are_all_that_a_loop_needs) {
        struct faas_client *c = fn_open(2, NULL);
        int fd = faas_client_fd(c);

        faas_client_on_done(c, on_done, NULL);
        for (int i = 0; i < 3000; i++)
                fn_submit(c, "upper", "x");
        while (n_done < 3000) {
                cr_assert(readable(c, 20000), "the fd never slept so long: %d done", n_done);
                cr_assert_eq(faas_client_process(c), 0);
        }
        cr_assert_eq(faas_client_fd(c), fd);
        faas_client_close(c);
}

/* Processes until nothing is left to do. */
static void settle(struct faas_client *c) {
        while (readable(c, 0))
                cr_assert_eq(faas_client_process(c), 0);
}

Test(fd, it_stays_readable_while_a_result_waits) {
        struct faas_client *c = fn_open(1, NULL);
        struct faas_result r = FAAS_RESULT_INIT;
        enum faas_status status = FAAS_QUEUED;
        struct faas_id a = fn_submit(c, "upper", "a"), b = fn_submit(c, "upper", "b");

        while (status != FAAS_COMPLETED) {
                cr_assert(readable(c, 20000));
                cr_assert_eq(faas_client_process(c), 0);
                cr_assert_eq(faas_status(c, &b, &status), 0);
        }
        for (int i = 0; i < 10; i++) {
                cr_assert_eq(faas_client_process(c), 0);
                cr_assert(readable(c, 0), "level, not edge");
        }
        cr_assert_eq(faas_wait(c, &a, 0, &r), 0);
        cr_assert(readable(c, 0), "one is left");
        cr_assert_eq(faas_wait(c, &b, 0, &r), 0);
        settle(c);
        cr_assert_not(readable(c, 0), "all is done");
        faas_result_clear(&r);
        faas_client_close(c);
}

/* Nothing is kept ready for a poll before the first call: what is there by then must show in it. */
Test(fd, who_asks_for_it_late_sees_the_results_that_wait) {
        struct faas_client *c = fn_open(1, NULL);
        struct faas_result r = FAAS_RESULT_INIT;
        struct faas_id a = fn_submit(c, "upper", "a"), b = fn_submit(c, "upper", "b");

        cr_assert_eq(faas_wait(c, &b, -1, &r), 0, "%s", faas_error_text());
        cr_assert(readable(c, 0), "a waits");
        cr_assert_eq(faas_wait(c, &a, 0, &r), 0, "%s", faas_error_text());
        settle(c);
        cr_assert_not(readable(c, 0), "all is done");
        faas_result_clear(&r);
        faas_client_close(c);
}

Test(fd, it_is_silent_while_tasks_only_run) {
        struct faas_client *c = fn_open(1, NULL);
        struct faas_result r = FAAS_RESULT_INIT;
        struct fn_gate g;
        int n = 0;

        fn_gate_make(&g, "gate");
        struct faas_id id = fn_submit(c, "gate", g.path);
        fn_gate_reached(&g, c);
        /* A few deadlines pass (the task is seen to be a long one), then nothing. */
        while (readable(c, 100)) {
                cr_assert_lt(++n, 20, "it does not come to rest");
                cr_assert_eq(faas_client_process(c), 0);
        }
        fn_gate_open(&g, c);
        cr_assert(readable(c, 20000));
        cr_assert_eq(faas_wait(c, &id, -1, &r), 0);
        faas_result_clear(&r);
        faas_client_close(c);
}

/* The time-out of a task is kept while the program sleeps in its own poll(). */
Test(fd, a_timeout_makes_it_readable) {
        struct faas_client *c = fn_open(1, NULL);
        const struct faas_task t = {.function = "loop", .timeout_ms = 20, .max_strikes = 1};

        n_done = 0;
        cr_assert_eq(faas_submit(c, &t, NULL), 0);
        struct faas_result r = FAAS_RESULT_INIT;
        while (faas_wait_any(c, 0, &r) == FAAS_E_AGAIN)
                cr_assert(readable(c, 20000));
        cr_assert_eq(r.status, FAAS_FAILED);
        cr_assert_eq(r.failure, FAAS_FAILURE_TIMEOUT);
        faas_result_clear(&r);
        faas_client_close(c);
}
