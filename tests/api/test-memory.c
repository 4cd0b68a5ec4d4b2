/* test-memory.c - the host runs out of memory at every single allocation, and nothing is lost */
#undef NDEBUG
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <criterion/criterion.h>
#include <faas/faas.h>

#include "th-alloc.h"

enum { TASKS = 8 };

static int twice(struct faas_call *call) {
        size_t len;
        const char *in = faas_call_payload(call, &len);
        char *out = faas_call_reserve(call, 2 * len);

        if (!out)
                return faas_call_fail(call, "no memory");
        memcpy(out, in, len);
        memcpy(out + len, in, len);
        return 0;
}

static const struct faas_function functions[] = {{"twice", twice}, {NULL, NULL}};

/* Submits until it is accepted; a refusal for lack of memory must leave nothing behind. */
static void submit(struct faas_client *c, const char *text, struct faas_id *ret_id) {
        const struct faas_task t = {
                .function = "twice", .payload = text, .payload_len = strlen(text)};
        int r;

        while ((r = faas_submit(c, &t, ret_id)) == -ENOMEM || r == FAAS_E_UNAVAILABLE ||
               r == FAAS_E_LIMIT)
                ;
        cr_assert_eq(r, 0, "%d: %s", r, faas_error_text());
}

static void wait_for(struct faas_client *c, const struct faas_id *id, const char *expected) {
        struct faas_result res = FAAS_RESULT_INIT;
        int r;

        while ((r = faas_wait(c, id, -1, &res)) == -ENOMEM)
                ;
        cr_assert_eq(r, 0, "%d: %s", r, faas_error_text());
        cr_assert_eq(res.status, FAAS_COMPLETED, "%s", res.text);
        cr_assert_str_eq(res.payload, expected);
        faas_result_clear(&res);
}

static void session(struct faas_client *c) {
        struct faas_id ids[TASKS];
        char text[TASKS][24];
        char expected[2 * sizeof(text[0])];

        for (int i = 0; i < TASKS; i++) {
                snprintf(text[i], sizeof(text[i]), "task %d.", i);
                submit(c, text[i], &ids[i]);
        }
        for (int i = 0; i < TASKS; i++) {
                snprintf(expected, sizeof(expected), "task %d.task %d.", i, i);
                wait_for(c, &ids[i], expected);
        }
}

Test(memory, whichever_allocation_fails_every_accepted_task_completes) {
        struct faas_client *c = NULL;
        uint64_t most = 1; /* the last one that was seen to fail */

        cr_assert_eq(faas_client_open(&c, "local:2", functions, NULL), 0, "%s", faas_error_text());
        session(c);
        /* How many there are differs from run to run, with what the slots do meanwhile. */
        for (uint64_t k = 1; k < most + 20 && k < 2000; k++) {
                th_alloc_fail_at(k);
                session(c);
                if (th_alloc_failed())
                        most = k;
                th_alloc_fail_at(0);
        }
        cr_assert_gt(most, 50);
        faas_client_close(c);
}
