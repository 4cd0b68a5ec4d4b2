/* test-soak.c - a million tasks through one client: host and zygote stay as large as they were */
#undef NDEBUG
#include <string.h>

#include <unistd.h>

#include "pids.h"
#include "soak.h"
#include "th.h"

#define BOUND_KB 1024 /* what malloc's arenas may differ by; a leak of 2 bytes a task is more */

static int same(struct faas_call *call) {
        size_t len;
        const void *in = faas_call_payload(call, &len);
        void *out = faas_call_reserve(call, len);

        if (!out)
                return 1;
        memcpy(out, in, len);
        return 0;
}

static const struct faas_function functions[] = {{"same", same}, {NULL, NULL}};

Test(soak, a_million_tasks_leave_host_and_zygote_as_they_were) {
        struct faas_client *c = NULL;
        long host, zygote;

        cr_assert_eq(faas_client_open(&c, "local:4", functions, NULL), 0, "%s", faas_error_text());
        soak_run(c, 100000);
        host = th_status_kb(getpid(), "VmRSS:");
        zygote = th_status_kb(pids_zygote(c), "VmRSS:");
        soak_run(c, SOAK_TASKS - 100000);
        long host_end = th_status_kb(getpid(), "VmRSS:");
        long zygote_end = th_status_kb(pids_zygote(c), "VmRSS:");
        cr_log_info("host %ld kB, then %ld kB; zygote %ld kB, then %ld kB", host, host_end, zygote,
                    zygote_end);
#ifndef __SANITIZE_ADDRESS__ /* which keeps freed memory, to find late uses of it */
        cr_assert_leq(host_end, host + BOUND_KB, "%ld kB, then %ld kB", host, host_end);
#endif
        cr_assert_leq(zygote_end, zygote + BOUND_KB, "%ld kB, then %ld kB", zygote, zygote_end);
        faas_client_close(c);
}
