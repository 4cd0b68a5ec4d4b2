/* test-submit.c - faas_submit() and faas_submit_many(): every return, and what they promise */
#undef NDEBUG
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <criterion/criterion.h>

#include "fn.h"

static struct faas_client *client;

static void setup(void) {
        client = fn_open(2, NULL);
}

static void teardown(void) {
        client = faas_client_close(client);
}

TestSuite(submit, .init = setup, .fini = teardown);

static void refused(const struct faas_task *t, int expected, const char *words) {
        struct faas_id id = {{7}};
        int r = faas_submit(client, t, &id);

        cr_assert_eq(r, expected, "%d, not %d: %s", r, expected, faas_error_text());
        cr_assert(strstr(faas_error_text(), words), "\"%s\" in: %s", words, faas_error_text());
        cr_assert_eq(id.b[0], 7, "touched");
        fn_works(client);
}

Test(submit, a_task_that_is_wrong_is_refused_and_the_next_call_works) {
        char name[80];

        memset(name, 'a', sizeof(name));
        name[79] = '\0';
        refused(&(struct faas_task){.function = NULL}, -EINVAL, "function");
        refused(&(struct faas_task){.function = "upper", .id = &(struct faas_id){{0}}}, -EINVAL,
                "task.id");
        refused(&(struct faas_task){.function = "Upper"}, -EINVAL, "Upper");
        refused(&(struct faas_task){.function = ""}, -EINVAL, "name");
        refused(&(struct faas_task){.function = name}, -EINVAL, "name");
        refused(&(struct faas_task){.function = "uper"}, FAAS_E_NOENT,
                "no function \"uper\"; there are: upper, fails, crashes, leave, loop, ...");
        refused(&(struct faas_task){.function = "upper", .payload_len = 1}, -EINVAL, "payload");
        refused(&(struct faas_task){.function = "upper", .flags = 1}, -EINVAL, "flags");
        refused(&(struct faas_task){.function = "upper", .reserved = {0, 0, 0, 1}}, -EINVAL,
                "reserved");
        refused(&(struct faas_task){.function = "upper", .timeout_ms = 0x80000000u}, -EINVAL,
                "timeout_ms");
        refused(&(struct faas_task){.function = "upper",
                                    .payload = "",
                                    .payload_len = FAAS_PAYLOAD_MAX + 1u},
                FAAS_E_LIMIT, "4194305 bytes; at most 4194304");
        cr_assert_eq(faas_submit(client, NULL, NULL), -EINVAL);
        cr_assert_eq(faas_submit(NULL, &(struct faas_task){.function = "upper"}, NULL), -EINVAL);
        cr_assert_eq(faas_submit_many(client, NULL, 1, NULL, NULL), -EINVAL);
        cr_assert_eq(faas_submit_many(client, NULL, 0, NULL, NULL), 0);
}

Test(submit, the_largest_payload_and_result_arrive_whole) {
        struct faas_result r = FAAS_RESULT_INIT;
        char *big = malloc(FAAS_PAYLOAD_MAX);
        struct faas_id id;

        memset(big, 'q', FAAS_PAYLOAD_MAX);
        const struct faas_task t = {
                .function = "upper", .payload = big, .payload_len = FAAS_PAYLOAD_MAX};
        cr_assert_eq(faas_submit(client, &t, &id), 0);
        cr_assert_eq(faas_wait(client, &id, -1, &r), 0);
        cr_assert_eq(r.payload_len, FAAS_PAYLOAD_MAX);
        for (size_t i = 0; i < r.payload_len; i++)
                cr_assert_eq(((const char *)r.payload)[i], 'Q');
        faas_result_clear(&r);
        free(big);
}

Test(submit, ids_are_version_7_and_grow) {
        struct faas_id a = fn_submit(client, "upper", "a"), b = fn_submit(client, "upper", "b");

        cr_assert_eq(a.b[6] >> 4, 7);
        cr_assert_eq(a.b[8] >> 6, 2);
        cr_assert_lt(memcmp(&a, &b, sizeof(a)), 0);
}

Test(submit, the_same_id_with_the_same_bytes_is_harmless) {
        struct faas_id id = {{1, 2, 3}};
        const struct faas_task t = {
                .function = "upper", .payload = "once", .payload_len = 4, .id = &id};
        struct faas_result r = FAAS_RESULT_INIT;

        cr_assert_eq(faas_submit(client, &t, NULL), 0);
        cr_assert_eq(faas_submit(client, &t, NULL), 0);
        cr_assert_eq(faas_wait(client, &id, -1, &r), 0);
        cr_assert_str_eq(r.payload, "ONCE");
        faas_result_clear(&r);
        cr_assert_eq(faas_wait_any(client, 0, &r), FAAS_E_NOENT, "it was one task");
        cr_assert_eq(faas_submit(client, &t, NULL), FAAS_E_GONE);
        cr_assert(strstr(faas_error_text(), "collected"));
}

Test(submit, the_same_id_with_other_bytes_is_refused) {
        struct faas_id id = {{1, 2, 3}};
        struct fn_gate g;
        struct faas_result r = FAAS_RESULT_INIT;

        fn_gate_make(&g, "gate");
        const struct faas_task t = {
                .function = "gate", .payload = g.path, .payload_len = strlen(g.path), .id = &id};
        const struct faas_task other = {
                .function = "upper", .payload = "other", .payload_len = 5, .id = &id};
        cr_assert_eq(faas_submit(client, &t, NULL), 0);
        refused(&other, FAAS_E_EXISTS, "task.id");
        fn_gate_open(&g, client);
        cr_assert_eq(faas_wait(client, &id, -1, &r), 0);
        cr_assert_eq(r.status, FAAS_COMPLETED);
        faas_result_clear(&r);
}

Test(submit, many_go_in_one_call_and_each_gets_its_own_result) {
        enum { N = 1000 };
        static char text[N][8];
        static struct faas_task tasks[N];
        static struct faas_id ids[N];
        struct faas_result r = FAAS_RESULT_INIT;
        size_t n = 0;

        for (int i = 0; i < N; i++) {
                (void)snprintf(text[i], sizeof(text[i]), "t%d", i);
                tasks[i] = (struct faas_task){
                        .function = "upper", .payload = text[i], .payload_len = strlen(text[i])};
        }
        cr_assert_eq(faas_submit_many(client, tasks, N, ids, &n), 0);
        cr_assert_eq(n, N);
        for (int i = N - 1; i >= 0; i--) {
                text[i][0] = 'T';
                cr_assert_eq(faas_wait(client, &ids[i], -1, &r), 0);
                cr_assert_str_eq(r.payload, text[i]);
        }
        faas_result_clear(&r);
}

Test(submit, many_stop_at_the_first_that_is_refused) {
        const struct faas_task tasks[] = {
                {.function = "upper", .payload = "a", .payload_len = 1},
                {.function = "upper", .payload = "b", .payload_len = 1},
                {.function = "nobody"},
                {.function = "upper", .payload = "c", .payload_len = 1},
        };
        struct faas_result r = FAAS_RESULT_INIT;
        size_t n = 99;

        cr_assert_eq(faas_submit_many(client, tasks, 4, NULL, &n), FAAS_E_NOENT);
        cr_assert_eq(n, 2);
        cr_assert_eq(faas_wait_any(client, -1, &r), 0);
        cr_assert_eq(faas_wait_any(client, -1, &r), 0);
        cr_assert_eq(faas_wait_any(client, -1, &r), FAAS_E_NOENT);
        faas_result_clear(&r);
}

Test(submit, a_refused_id_in_the_middle_stops_the_rest) {
        struct faas_id used = {{9}}, fresh = {{10}};
        const struct faas_task first = {
                .function = "upper", .payload = "x", .payload_len = 1, .id = &used};
        const struct faas_task tasks[] = {
                {.function = "upper", .payload = "a", .payload_len = 1},
                {.function = "upper", .payload = "x", .payload_len = 1, .id = &used},
                {.function = "upper", .payload = "c", .payload_len = 1, .id = &fresh},
                {.function = "upper", .payload = "c", .payload_len = 1},
        };
        struct faas_result r = FAAS_RESULT_INIT;
        enum faas_status status;
        size_t n = 99;

        cr_assert_eq(faas_submit(client, &first, NULL), 0);
        cr_assert_eq(faas_wait(client, &used, -1, &r), 0);
        cr_assert_eq(faas_submit_many(client, tasks, 4, NULL, &n), FAAS_E_GONE);
        cr_assert_eq(n, 1);
        cr_assert_eq(faas_status(client, &fresh, &status), FAAS_E_NOENT);
        faas_result_clear(&r);
}
