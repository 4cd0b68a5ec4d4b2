/* soak.h - many tasks of function "same" through a client, each result looked at */
#pragma once

#include <string.h>

#include <criterion/criterion.h>
#include <faas/faas.h>

#define CHUNK 250

static inline void soak_run(struct faas_client *c, unsigned n) {
        struct faas_result r = FAAS_RESULT_INIT;
        struct faas_task tasks[CHUNK];
        unsigned sent = 0;

        for (unsigned i = 0; i < CHUNK; i++)
                tasks[i] = (struct faas_task){
                        .function = "same", .payload = "sixteen bytes...", .payload_len = 16};
        for (unsigned got = 0; got < n; got++) {
                for (; sent < n && sent - got < 20 * CHUNK; sent += CHUNK)
                        cr_assert_eq(faas_submit_many(c, tasks, CHUNK, NULL, NULL), 0);
                cr_assert_eq(faas_wait_any(c, -1, &r), 0);
                cr_assert_eq(r.status, FAAS_COMPLETED, "%s", r.text);
                cr_assert_eq(memcmp(r.payload, "sixteen bytes...", 16), 0);
        }
        cr_assert_eq(faas_wait_any(c, 0, &r), FAAS_E_NOENT);
        faas_result_clear(&r);
}
