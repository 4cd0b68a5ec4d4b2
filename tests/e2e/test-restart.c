/*
 * test-restart.c - the dispatcher dies, comes back, or leaves in good order
 *
 * With a store in memory its tasks are gone with it: their client is told so, and everybody else
 * goes on by itself.
 */
#undef NDEBUG
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>

#include "cluster.h"
#include "th.h"

#define LONG_MS 60000

static void goes_on(const char *mode) {
        struct faas_result r = FAAS_RESULT_INIT;
        struct cluster c;
        struct faas_id id, lost;

        cluster_start(&c, mode, 100);
        cluster_worker(&c, 0, 1);
        cluster_worker(&c, 1, 1);
        cluster_await(&c, 2);
        cluster_submit(&c, "hold", "", &id);
        cluster_submit(&c, "hold", "", &lost);
        cluster_begun(&c, 2);
        th_kill(c.dispatcher);
        cluster_dispatcher(&c);
        cluster_await(&c, 2);
        cr_assert_eq(faas_wait(c.client, &lost, LONG_MS, &r), 0, "%s", faas_error_text());
        cr_assert_eq(r.status, FAAS_FAILED);
        cr_assert_eq(r.failure, FAAS_FAILURE_LOST, "%s", r.text);
        /* Every slot was at such a task, which would not have ended. */
        cluster_submit(&c, "same", "x", &id);
        cluster_completed(&c, &id);
        c.board->go = 1;
        faas_result_clear(&r);
        cluster_end(&c);
}

Test(restart, workers_register_again_and_lost_tasks_are_told_push) {
        goes_on("push");
}

Test(restart, workers_register_again_and_lost_tasks_are_told_pull) {
        goes_on("pull");
}

Test(restart, what_was_not_acknowledged_is_submitted_to_the_next_dispatcher) {
        struct cluster c;
        struct faas_id id;

        cluster_start(&c, "push", 100);
        th_kill(c.dispatcher);
        cluster_dispatcher(&c); /* on its way while the submit waits */
        cluster_submit(&c, "same", "x", &id);
        cluster_worker(&c, 0, 1);
        cluster_completed(&c, &id);
        cluster_end(&c);
}

Test(restart, a_worker_that_drains_does_not_wait_for_a_dead_dispatcher) {
        struct cluster c;
        struct faas_id id;
        int status;

        cluster_start(&c, "push", 100);
        cluster_worker(&c, 0, 1);
        cluster_await(&c, 1);
        cluster_submit(&c, "hold", "", &id);
        cluster_begun(&c, 1);
        th_kill(c.dispatcher);
        c.dispatcher = 0;
        cr_assert_eq(kill(c.workers[0], SIGTERM), 0);
        c.board->go = 1;
        status = th_wait(c.workers[0], LONG_MS);
        c.workers[0] = 0;
        cr_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0, "status %x", (unsigned)status);
        cluster_end(&c);
}

/* It reads what waits before it judges; that it stood still itself is nobody's death. */
static void stands_still(const char *mode) {
        struct faas_stats stats;
        struct cluster c;
        struct faas_id id;

        cluster_start(&c, mode, 100);
        cluster_worker(&c, 0, 1);
        cluster_worker(&c, 1, 1);
        cluster_await(&c, 2);
        cluster_submit(&c, "hold", "", &id);
        cluster_begun(&c, 1);
        for (int i = 0; i < 3; i++) {
                cr_assert_eq(kill(c.dispatcher, SIGSTOP), 0);
                /* Time must pass: twice as long as a worker may be silent. */
                nanosleep(&(struct timespec){.tv_nsec = 600000000}, NULL);
                cr_assert_eq(kill(c.dispatcher, SIGCONT), 0);
                cluster_await(&c, 2);
        }
        c.board->go = 1;
        cluster_completed(&c, &id);
        cluster_stats(&c, &stats);
        cr_assert_eq(stats.lost_workers, 0);
        cr_assert_eq(stats.requeued, 0);
        cr_assert_eq(c.board->begun, 1, "it ran once");
        cluster_end(&c);
}

Test(restart, a_dispatcher_that_stood_still_buries_nobody_push) {
        stands_still("push");
}

Test(restart, a_dispatcher_that_stood_still_buries_nobody_pull) {
        stands_still("pull");
}

static void drains(const char *mode) {
        struct faas_task late = {.function = "same"};
        struct faas_result r = FAAS_RESULT_INIT;
        struct cluster c;
        struct faas_id id;
        int status;

        cluster_start(&c, mode, FAR);
        if (strcmp(mode, "local") != 0)
                cluster_worker(&c, 0, 1);
        cluster_submit(&c, "hold", "", &id);
        cluster_begun(&c, 1);
        cr_assert_eq(kill(c.dispatcher, SIGTERM), 0);
        /* It is read by the dispatcher at some time: until then tasks are taken. */
        while ((status = faas_submit(c.client, &late, NULL)) == 0)
                ;
        cr_assert_eq(status, FAAS_E_UNAVAILABLE, "%d: %s", status, faas_error_text());
        c.board->go = 1;
        cr_assert_eq(faas_wait(c.client, &id, LONG_MS, &r), 0, "%s", faas_error_text());
        cr_assert_eq(r.status, FAAS_COMPLETED, "%s", r.text);
        status = th_wait(c.dispatcher, LONG_MS);
        c.dispatcher = 0;
        cr_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0, "status %x", (unsigned)status);
        faas_result_clear(&r);
        cluster_end(&c);
}

Test(restart, a_dispatcher_that_is_told_to_stop_ends_what_it_has_first_push) {
        drains("push");
}

Test(restart, a_dispatcher_that_is_told_to_stop_ends_what_it_has_first_pull) {
        drains("pull");
}

Test(restart, a_dispatcher_that_is_told_to_stop_ends_what_it_has_first_local) {
        drains("local");
}

Test(restart, a_second_signal_ends_a_dispatcher_at_once) {
        struct cluster c;
        struct faas_id id;
        int status;

        cluster_start(&c, "local", FAR);
        cluster_submit(&c, "hold", "", &id);
        cluster_begun(&c, 1);
        cr_assert_eq(kill(c.dispatcher, SIGTERM), 0);
        cr_assert_eq(kill(c.dispatcher, SIGINT), 0);
        status = th_wait(c.dispatcher, LONG_MS);
        c.dispatcher = 0;
        cr_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0, "status %x", (unsigned)status);
        cluster_end(&c);
}

static bool is_done(void *arg) {
        struct cluster *c = arg;
        struct faas_stats stats;

        cr_assert_eq(faas_client_process(c->client),
                     0); /* it has the result, and nobody takes it */
        cluster_stats(c, &stats);
        return stats.completed == 1;
}

Test(results, who_submits_and_goes_leaves_the_result_to_others) {
        struct faas_result r = FAAS_RESULT_INIT;
        struct cluster c;
        struct faas_id id;

        cluster_start(&c, "local", FAR);
        cluster_submit(&c, "same", "x", &id);
        cr_assert(th_until(is_done, &c, LONG_MS));
        c.client = faas_client_close(c.client);
        cr_assert_eq(faas_client_open(&c.client, c.url, NULL, NULL), 0, "%s", faas_error_text());
        cr_assert_eq(faas_result(c.client, &id, &r), 0, "%s", faas_error_text());
        cr_assert_eq(r.status, FAAS_COMPLETED);
        cr_assert_str_eq(r.payload, "x");
        faas_result_clear(&r);
        cluster_end(&c);
}

struct forgotten {
        struct cluster *c;
        struct faas_client *other;
        struct faas_id id;
};

/* As an event loop does: it is called when its fd says so, and not otherwise. */
static bool is_forgotten(void *arg) {
        struct forgotten *f = arg;
        struct pollfd p = {.fd = faas_client_fd(f->c->client), .events = POLLIN};
        enum faas_status status;

        if (poll(&p, 1, 0) == 1)
                cr_assert_eq(faas_client_process(f->c->client), 0);
        return faas_status(f->other, &f->id, &status) == FAAS_E_GONE;
}

Test(results, who_has_taken_one_tells_without_being_asked) {
        struct cluster c;
        struct forgotten f = {.c = &c};

        cluster_start(&c, "local", FAR);
        cr_assert_eq(faas_client_open(&f.other, c.url, NULL, NULL), 0, "%s", faas_error_text());
        cluster_submit(&c, "same", "x", &f.id);
        cluster_completed(&c, &f.id);
        cr_assert(th_until(is_forgotten, &f, LONG_MS / 6), "the dispatcher keeps the result");
        faas_client_close(f.other);
        cluster_end(&c);
}
