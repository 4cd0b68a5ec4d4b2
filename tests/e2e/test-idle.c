/*
 * test-idle.c - a program that has nothing to do does nothing, and neither do its slots
 *
 * The one test in which time must pass: an absence can only be seen over a while.
 */
#undef NDEBUG
#include <poll.h>
#include <stdint.h>
#include <unistd.h>

#include "base/clock.h"
#include "pids.h"

enum { SLOTS = 16, WATCH_MS = 2000 };

static int nothing(struct faas_call *call) {
        return 0;
}

static const struct faas_function functions[] = {{"nothing", nothing}, {NULL, NULL}};

/* Time on a CPU, in ns: the first number of schedstat. */
static uint64_t cpu_ns(pid_t pid) {
        unsigned long long ns = 0;
        char path[40]; /* a number of at most 10 digits */
        FILE *f;

        (void)snprintf(path, sizeof(path), "/proc/%d/schedstat", pid);
        f = fopen(path, "re");
        cr_assert_not_null(f);
        cr_assert_eq(fscanf(f, "%llu", &ns), 1);
        fclose(f);
        return ns;
}

static uint64_t all_cpu_ns(const struct faas_client *c) {
        pid_t slots[SLOTS];
        uint64_t ns = cpu_ns(getpid()) + cpu_ns(pids_zygote(c));

        cr_assert_eq(pids_children(pids_zygote(c), slots, SLOTS), SLOTS);
        for (int i = 0; i < SLOTS; i++)
                ns += cpu_ns(slots[i]);
        return ns;
}

static int watch(struct faas_client *c) {
        uint64_t until_ns = fa_now() + WATCH_MS * FA_NS_PER_MS;
        struct pollfd p = {.fd = faas_client_fd(c), .events = POLLIN};
        int n = 0;

        for (uint64_t now; (now = fa_now()) < until_ns;) {
                if (poll(&p, 1, fa_poll_ms(until_ns, now)) == 1) {
                        n++;
                        cr_assert_eq(faas_client_process(c), 0);
                }
        }
        return n;
}

Test(idle, an_idle_host_with_sixteen_slots_uses_no_cpu) {
        static struct faas_task tasks[1000];
        struct faas_result r = FAAS_RESULT_INIT;
        struct faas_client *c = NULL;
        uint64_t before, used;
        int wakes;

        cr_assert_eq(faas_client_open(&c, "local:16", functions, NULL), 0, "%s", faas_error_text());
        for (int i = 0; i < 1000; i++)
                tasks[i].function = "nothing";
        cr_assert_eq(faas_submit_many(c, tasks, 1000, NULL, NULL), 0);
        while (faas_wait_any(c, -1, &r) == 0)
                ;
        /* All slots are there, and the last deadlines of the work are over. */
        struct pollfd p = {.fd = faas_client_fd(c), .events = POLLIN};
        while (poll(&p, 1, 200) == 1)
                cr_assert_eq(faas_client_process(c), 0);
        before = all_cpu_ns(c);
        wakes = watch(c);
        used = all_cpu_ns(c) - before;
        cr_log_info("%llu us of CPU in %d ms, %d wake-ups", (unsigned long long)used / 1000,
                    WATCH_MS, wakes);
        cr_assert_lt(used, WATCH_MS * FA_NS_PER_MS / 200, "more than 0.5 %%: %llu us",
                     (unsigned long long)used / 1000);
        faas_client_close(c);
}
