/* test-limits.c - the window and the queue: when they are full, and how room comes back */
#undef NDEBUG
#include <string.h>

#include <criterion/criterion.h>

#include "fn.h"

static struct fn_gate gate;

static void setup(void) {
        fn_gate_make(&gate, "gate");
}

TestSuite(limits, .init = setup);

static int submit(struct faas_client *c, const char *function, size_t len) {
        static const char bytes[65536];
        const struct faas_task t = {.function = function, .payload = bytes, .payload_len = len};

        return faas_submit(c, &t, NULL);
}

Test(limits, a_window_full_of_tasks_is_again_until_one_is_collected) {
        struct faas_client_cfg cfg = FAAS_CLIENT_CFG_INIT;
        struct faas_result r = FAAS_RESULT_INIT;
        struct faas_client *c;

        cfg.window_tasks = 3;
        c = fn_open(1, &cfg);
        for (int i = 0; i < 3; i++)
                fn_submit(c, "upper", "x");
        cr_assert_eq(submit(c, "upper", 1), FAAS_E_AGAIN);
        cr_assert(strstr(faas_error_text(), "window"));
        cr_assert_eq(faas_wait_any(c, -1, &r), 0);
        cr_assert_eq(submit(c, "upper", 1), 0);
        cr_assert_eq(submit(c, "upper", 1), FAAS_E_AGAIN);
        for (int i = 0; i < 3; i++)
                cr_assert_eq(faas_wait_any(c, -1, &r), 0);
        cr_assert_eq(faas_wait_any(c, -1, &r), FAAS_E_NOENT);
        faas_result_clear(&r);
        faas_client_close(c);
}

Test(limits, a_window_full_of_bytes_is_waited_for_while_tasks_run) {
        struct faas_client_cfg cfg = FAAS_CLIENT_CFG_INIT;
        struct faas_result r = FAAS_RESULT_INIT;
        struct faas_client *c;

        cfg.window_bytes = 60000;
        cfg.submit_timeout_ms = 60000;
        c = fn_open(1, &cfg);
        /* "fails" gives back less than it got, so its end makes room. */
        for (int i = 0; i < 20; i++)
                cr_assert_eq(submit(c, "fails", 40000), 0, "%s", faas_error_text());
        for (int i = 0; i < 20; i++)
                cr_assert_eq(faas_wait_any(c, -1, &r), 0);
        faas_result_clear(&r);
        faas_client_close(c);
}

Test(limits, the_wait_for_room_ends_with_the_timeout) {
        struct faas_client_cfg cfg = FAAS_CLIENT_CFG_INIT;
        struct faas_result r = FAAS_RESULT_INIT;
        struct faas_client *c;

        cfg.window_bytes = 1000;
        cfg.submit_timeout_ms = 5;
        c = fn_open(1, &cfg);
        fn_submit(c, "gate", gate.path);
        fn_gate_reached(&gate, c);
        cr_assert_eq(submit(c, "upper", 1000), FAAS_E_AGAIN);
        fn_gate_open(&gate, c);
        cr_assert_eq(faas_wait_any(c, -1, &r), 0);
        cr_assert_eq(submit(c, "upper", 1000), 0);
        cr_assert_eq(faas_wait_any(c, -1, &r), 0);
        cr_assert_eq(submit(c, "upper", 60000), 0, "one task always fits");
        faas_result_clear(&r);
        faas_client_close(c);
}

Test(limits, many_stop_where_the_window_is_full) {
        struct faas_client_cfg cfg = FAAS_CLIENT_CFG_INIT;
        struct faas_result r = FAAS_RESULT_INIT;
        struct faas_task tasks[8];
        struct faas_client *c;
        size_t n = 0;

        for (int i = 0; i < 8; i++)
                tasks[i] = (struct faas_task){.function = "upper"};
        cfg.window_tasks = 5;
        c = fn_open(1, &cfg);
        cr_assert_eq(faas_submit_many(c, tasks, 8, NULL, &n), FAAS_E_AGAIN);
        cr_assert_eq(n, 5);
        for (int i = 0; i < 5; i++)
                cr_assert_eq(faas_wait_any(c, -1, &r), 0);
        cr_assert_eq(faas_submit_many(c, tasks + 5, 3, NULL, &n), 0);
        cr_assert_eq(n, 3);
        faas_result_clear(&r);
        faas_client_close(c);
}

Test(limits, a_full_queue_is_said_and_what_came_after_was_not_looked_at) {
        struct faas_client_cfg cfg = FAAS_CLIENT_CFG_INIT;
        struct faas_result r = FAAS_RESULT_INIT;
        struct faas_task tasks[6];
        struct faas_client *c;
        size_t n = 0;

        for (int i = 0; i < 6; i++)
                tasks[i] = (struct faas_task){
                        .function = "gate", .payload = gate.path, .payload_len = strlen(gate.path)};
        cfg.queue_tasks = 4;
        c = fn_open(1, &cfg);
        cr_assert_eq(faas_submit_many(c, tasks, 6, NULL, &n), FAAS_E_LIMIT);
        cr_assert_eq(n, 4);
        cr_assert(strstr(faas_error_text(), "queue is full"));
        for (int i = 0; i < 4; i++) {
                fn_gate_open(&gate, c);
                cr_assert_eq(faas_wait_any(c, -1, &r), 0);
                cr_assert_eq(r.status, FAAS_COMPLETED);
        }
        cr_assert_eq(faas_wait_any(c, 0, &r), FAAS_E_NOENT);
        fn_works(c);
        faas_result_clear(&r);
        faas_client_close(c);
}

Test(limits, a_queue_full_of_bytes_refuses_the_large_and_nothing_behind_it_slips_in) {
        static const char bytes[65536];
        struct faas_client_cfg cfg = FAAS_CLIENT_CFG_INIT;
        const struct faas_task tasks[] = {
                {.function = "upper", .payload = bytes, .payload_len = 30000},
                {.function = "upper", .payload = bytes, .payload_len = 60000},
                {.function = "upper", .payload = bytes, .payload_len = 1},
        };
        struct faas_result r = FAAS_RESULT_INIT;
        struct faas_client *c;
        size_t n = 0;

        cfg.queue_bytes = 65536;
        c = fn_open(1, &cfg);
        fn_submit(c, "gate", gate.path); /* nothing else ends meanwhile */
        fn_gate_reached(&gate, c);
        cr_assert_eq(faas_submit_many(c, tasks, 3, NULL, &n), FAAS_E_LIMIT);
        cr_assert_eq(n, 1);
        fn_gate_open(&gate, c);
        for (int i = 0; i < 2; i++)
                cr_assert_eq(faas_wait_any(c, -1, &r), 0);
        cr_assert_eq(faas_wait_any(c, -1, &r), FAAS_E_NOENT);
        faas_result_clear(&r);
        faas_client_close(c);
}
