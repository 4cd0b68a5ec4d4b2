/*
 * test-memory.c - a client without memory: the k-th allocation fails, for every k until none does
 *
 * An error of one call at most: what was accepted ends, soon, and the next call works.
 */
#undef NDEBUG
#include <errno.h>

#include <criterion/criterion.h>

#include "fn.h"
#include "th-alloc.h"

/* Submits one task while the k-th allocation from now on fails; false: there were fewer. */
static bool submit_and_wait(struct faas_client *c, uint64_t k) {
        static const char payload[20000];
        const struct faas_task t = {
                .function = "upper", .payload = payload, .payload_len = sizeof(payload)};
        struct faas_result r = FAAS_RESULT_INIT;
        struct faas_id id;
        bool failed;

        th_alloc_fail_at(k);
        int submitted = faas_submit(c, &t, &id);
        /* Far below every time-out of the client, and the second that a worker waits for an ACK
         * over a network. */
        int waited = submitted ? 0 : faas_wait(c, &id, 900, &r);
        failed = th_alloc_failed();
        th_alloc_fail_at(0);
        cr_assert(submitted == 0 || submitted == -ENOMEM, "allocation %llu: %d, %s",
                  (unsigned long long)k, submitted, faas_error_text());
        cr_assert_eq(waited, 0, "allocation %llu: %s", (unsigned long long)k, faas_error_text());
        cr_assert(submitted || r.status == FAAS_COMPLETED || r.failure == FAAS_FAILURE_CRASHED);
        faas_result_clear(&r);
        cr_assert_eq(faas_wait_any(c, 0, &r), FAAS_E_NOENT, "nothing is left over");
        fn_works(c);
        return failed;
}

Test(memory, no_failed_allocation_loses_or_delays_a_task, .timeout = 60) {
        struct faas_client_cfg cfg = FAAS_CLIENT_CFG_INIT;
        bool failed = true;

        cfg.submit_timeout_ms = 900;
        for (uint64_t k = 1; failed; k++) {
                /* A new one each time: memory that it keeps would hide allocations. */
                struct faas_client *c = fn_open(2, &cfg);
                failed = submit_and_wait(c, k);
                faas_client_close(c);
                cr_assert_lt(k, 200);
        }
}
