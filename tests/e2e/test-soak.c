/* test-soak.c - a million tasks through one client: host and zygote stay as large as they were */
#undef NDEBUG
#include <string.h>

#include <unistd.h>

#include "pids.h"

#define CHUNK 250
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

/* A number of /proc/PID/status, in kB. */
static long status_kb(pid_t pid, const char *key) {
        char path[32], line[256]; /* a number of at most 10 digits; the lines are short */
        long kb = -1;
        FILE *f;

        (void)snprintf(path, sizeof(path), "/proc/%d/status", pid);
        f = fopen(path, "re");
        cr_assert_not_null(f);
        while (kb < 0 && fgets(line, sizeof(line), f))
                if (strncmp(line, key, strlen(key)) == 0)
                        kb = strtol(line + strlen(key), NULL, 10);
        fclose(f);
        return kb;
}

static void run(struct faas_client *c, unsigned n) {
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

Test(soak, a_million_tasks_leave_host_and_zygote_as_they_were) {
        struct faas_client *c = NULL;
        long host, zygote;

        cr_assert_eq(faas_client_open(&c, "local:4", functions, NULL), 0, "%s", faas_error_text());
        run(c, 100000);
        host = status_kb(getpid(), "VmRSS:");
        zygote = status_kb(pids_zygote(c), "VmRSS:");
        run(c, SOAK_TASKS - 100000);
        long host_end = status_kb(getpid(), "VmRSS:");
        long zygote_end = status_kb(pids_zygote(c), "VmRSS:");
        cr_log_info("host %ld kB, then %ld kB; zygote %ld kB, then %ld kB", host, host_end, zygote,
                    zygote_end);
#ifndef __SANITIZE_ADDRESS__ /* which keeps freed memory, to find late uses of it */
        cr_assert_leq(host_end, host + BOUND_KB, "%ld kB, then %ld kB", host, host_end);
#endif
        cr_assert_leq(zygote_end, zygote + BOUND_KB, "%ld kB, then %ld kB", zygote, zygote_end);
        faas_client_close(c);
}
