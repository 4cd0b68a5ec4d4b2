/*
 * test-soak-remote.c - a million tasks through a dispatcher and a worker: both stay as large as
 * they were, and do nothing when there is nothing to do
 */
#undef NDEBUG
#include <string.h>
#include <time.h>

#include "cluster.h"
#include "soak.h"
#include "th.h"

#define BOUND_KB                                                                                   \
        2048 /* how far the high water of a busy machine may still rise; 3 bytes a task are more   \
              */

static void flat(const char *what, long before, long after) {
        cr_log_info("%s: %ld kB, then %ld kB", what, before, after);
#ifndef __SANITIZE_ADDRESS__ /* which keeps freed memory, to find late uses of it */
        cr_assert_leq(after, before + BOUND_KB, "%s: %ld kB, then %ld kB", what, before, after);
#endif
}

static void soak(const char *mode) {
        struct cluster c;
        long dispatcher, worker;

        cluster_start(&c, mode, 1000);
        cluster_worker(&c, 0, 2);
        cluster_worker(&c, 1, 2);
        cluster_await(&c, 2);
        soak_run(c.client, 100000);
        dispatcher = th_status_kb(c.dispatcher, "VmRSS:");
        worker = th_status_kb(c.workers[0], "VmRSS:");
        soak_run(c.client, SOAK_TASKS - 100000);
        flat("dispatcher", dispatcher, th_status_kb(c.dispatcher, "VmRSS:"));
        flat("worker", worker, th_status_kb(c.workers[0], "VmRSS:"));
        cluster_end(&c);
}

Test(soak, a_million_tasks_leave_dispatcher_and_worker_as_they_were_push) {
        soak("push");
}

Test(soak, a_million_tasks_leave_dispatcher_and_worker_as_they_were_pull) {
        soak("pull");
}

/* The one test in which time must pass: an absence can only be seen over a while. */
static void idle(const char *mode) {
        enum { WATCH_S = 4 };
        uint64_t before[WORKERS_MAX], dispatcher;
        struct cluster c;
        struct faas_id id;

        cluster_start(&c, mode, 1000);
        for (unsigned i = 0; i < WORKERS_MAX; i++)
                cluster_worker(&c, i, 1);
        cluster_await(&c, WORKERS_MAX);
        cluster_submit(&c, "same", "x", &id);
        cluster_completed(&c, &id);
        dispatcher = proc_cpu_ns(c.dispatcher);
        for (unsigned i = 0; i < WORKERS_MAX; i++)
                before[i] = proc_cpu_ns(c.workers[i]);
        nanosleep(&(struct timespec){.tv_sec = WATCH_S}, NULL);
        dispatcher = proc_cpu_ns(c.dispatcher) - dispatcher;
        cr_log_info("dispatcher: %llu ms in %d s", (unsigned long long)dispatcher / 1000000,
                    WATCH_S);
        /* 0.5 %, and one tick of the clock that counts. */
        cr_assert_leq(dispatcher, UINT64_C(5000000) * WATCH_S + 10000000);
        for (unsigned i = 0; i < WORKERS_MAX; i++)
                cr_assert_leq(proc_cpu_ns(c.workers[i]) - before[i],
                              UINT64_C(5000000) * WATCH_S + 10000000);
        cluster_end(&c);
}

Test(idle, a_dispatcher_and_sixteen_workers_beat_and_do_no_more_push) {
        idle("push");
}

Test(idle, a_dispatcher_and_sixteen_workers_beat_and_do_no_more_pull) {
        idle("pull");
}
