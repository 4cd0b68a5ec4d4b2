/*
 * test-workers.c - workers die, stop, come back and leave: no task is lost, none is told twice
 *
 * Each test runs in push and in pull.  Where a dead worker has to be found at once the heartbeat is
 * a minute: what is found by silence only would come too late for the test.
 */
#undef NDEBUG
#include <signal.h>
#include <string.h>
#include <sys/wait.h>

#include "cluster.h"
#include "th.h"

#define LONG_MS 60000

static const char *const modes[] = {"push", "pull"};
#define BOTH(suite, name)                                                                          \
        static void suite##_##name(const char *mode);                                              \
        Test(suite, name##_push) {                                                                 \
                suite##_##name(modes[0]);                                                          \
        }                                                                                          \
        Test(suite, name##_pull) {                                                                 \
                suite##_##name(modes[1]);                                                          \
        }                                                                                          \
        static void suite##_##name(const char *mode)

enum { CHUNK = 250, WORKERS = 4, KILLS = 64 };

static void submit_work(struct cluster *c, uint32_t from) {
        struct faas_task tasks[CHUNK];
        uint32_t numbers[CHUNK];

        for (uint32_t i = 0; i < CHUNK; i++) {
                numbers[i] = from + i;
                tasks[i] = (struct faas_task){.function = "work",
                                              .payload = &numbers[i],
                                              .payload_len = sizeof(numbers[i])};
        }
        cr_assert_eq(faas_submit_many(c->client, tasks, CHUNK, NULL, NULL), 0, "%s",
                     faas_error_text());
}

/* Right, and for a task that had no result yet. */
static void check_work(const struct faas_result *r) {
        static bool seen[BOARD_N];
        struct answer a;

        cr_assert_eq(r->status, FAAS_COMPLETED, "failure %d: %s", r->failure, r->text);
        cr_assert_eq(r->payload_len, sizeof(a));
        memcpy(&a, r->payload, sizeof(a));
        cr_assert_lt(a.i, BOARD_N);
        cr_assert_eq(a.value, right((uint32_t)a.i));
        cr_assert_not(seen[a.i], "twice");
        seen[a.i] = true;
}

BOTH(workers, killed_at_random_and_replaced_cost_no_task) {
        struct faas_result r = FAAS_RESULT_INIT;
        struct faas_stats stats;
        struct cluster c;
        uint32_t sent = 0;
        unsigned kills = 0;
        unsigned seed = 1;

        cluster_start(&c, mode, FAR);
        for (unsigned i = 0; i < WORKERS; i++)
                cluster_worker(&c, i, 2);
        for (uint32_t got = 0; got < BOARD_N; got++) {
                for (; sent < BOARD_N && sent - got < 4000; sent += CHUNK)
                        submit_work(&c, sent);
                cr_assert_eq(faas_wait_any(c.client, LONG_MS, &r), 0, "%s after %u, %u kills",
                             faas_error_text(), got, kills);
                check_work(&r);
                if (got / (BOARD_N / (KILLS + 1)) > kills) {
                        unsigned victim = (unsigned)rand_r(&seed) % WORKERS;
                        cluster_kill_worker(&c, victim);
                        cluster_worker(&c, victim, 2);
                        kills++;
                }
        }
        cr_assert_eq(faas_wait_any(c.client, 0, &r), FAAS_E_NOENT);
        cluster_stats(&c, &stats);
        cr_assert_geq(kills, 60);
        cr_assert_eq(stats.completed, BOARD_N);
        cr_assert_eq(stats.failed, 0);
        cr_assert_gt(stats.requeued, 0, "the kills hit nothing");
        cr_log_info("%u kills, %llu hand-outs more than tasks, %llu strikes", kills,
                    (unsigned long long)(stats.handed_out - BOARD_N),
                    (unsigned long long)stats.strikes);
        faas_result_clear(&r);
        cluster_end(&c);
}

BOTH(workers, one_killed_is_found_at_once_and_its_task_runs_elsewhere) {
        struct faas_stats stats;
        struct cluster c;
        struct faas_id id;

        cluster_start(&c, mode, FAR);
        cluster_worker(&c, 0, 1);
        cluster_await(&c, 1);
        cluster_submit(&c, "first", "", &id);
        cluster_begun(&c, 1);
        cluster_worker(&c, 1, 1);
        cluster_await(&c, 2);
        cluster_kill_worker(&c, 0);
        cluster_completed(&c, &id);
        cluster_stats(&c, &stats);
        cr_assert_eq(stats.lost_workers, 1);
        cr_assert_eq(stats.workers, 1);
        cluster_end(&c);
}

static bool has_stale(void *arg) {
        struct faas_stats stats;

        cluster_stats(arg, &stats);
        return stats.stale_results > 0;
}

BOTH(workers, one_that_slept_too_long_is_refused_its_late_result) {
        struct faas_stats stats;
        struct cluster c;
        struct faas_id id;

        cluster_start(&c, mode, 100);
        cluster_worker(&c, 0, 1);
        cluster_await(&c, 1);
        cluster_submit(&c, "hold", "", &id);
        cluster_begun(&c, 1);
        cluster_worker(&c, 1, 1);
        cluster_await(&c, 2);
        cr_assert_eq(kill(c.workers[0], SIGSTOP), 0);
        cluster_begun(&c, 2); /* the other one was given it */
        c.board->go = 1;
        cluster_completed(&c, &id);
        cluster_stats(&c, &stats);
        cr_assert_eq(stats.stale_results, 0);
        cr_assert_eq(kill(c.workers[0], SIGCONT), 0);
        cr_assert(th_until(has_stale, &c, LONG_MS), "its result was not refused");
        cluster_await(&c, 2); /* it is welcome again */
        cluster_stats(&c, &stats);
        cr_assert_eq(stats.completed, 1);
        cr_assert_eq(stats.lost_workers, 1);
        cluster_end(&c);
}

BOTH(workers, one_that_drains_gives_back_what_it_has_not_started) {
        struct faas_result r = FAAS_RESULT_INIT;
        struct faas_task tasks[300];
        struct faas_stats stats;
        struct cluster c;
        int status;

        cluster_start(&c, mode, FAR);
        cluster_worker(&c, 0, 2);
        cluster_worker(&c, 1, 2);
        cluster_await(&c, 2);
        for (unsigned i = 0; i < 300; i++)
                tasks[i] = (struct faas_task){.function = "nap", .payload = "2", .payload_len = 1};
        cr_assert_eq(faas_submit_many(c.client, tasks, 300, NULL, NULL), 0);
        for (unsigned got = 0; got < 300; got++) {
                if (got == 30)
                        cr_assert_eq(kill(c.workers[0], SIGTERM), 0);
                cr_assert_eq(faas_wait_any(c.client, LONG_MS, &r), 0, "%s", faas_error_text());
                cr_assert_eq(r.status, FAAS_COMPLETED, "%s", r.text);
        }
        status = th_wait(c.workers[0], LONG_MS);
        c.workers[0] = 0;
        cr_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0, "status %x", (unsigned)status);
        cluster_stats(&c, &stats);
        cr_assert_eq(stats.strikes, 0);
        cr_assert_eq(stats.lost_workers, 0, "it said goodbye");
        cr_assert_eq(stats.workers, 1);
        faas_result_clear(&r);
        cluster_end(&c);
}

BOTH(workers, a_second_signal_ends_one_at_once_and_its_task_runs_elsewhere) {
        struct cluster c;
        struct faas_id id;
        int status;

        cluster_start(&c, mode, FAR);
        cluster_worker(&c, 0, 1);
        cluster_await(&c, 1);
        cluster_submit(&c, "first", "", &id);
        cluster_begun(&c, 1);
        cluster_worker(&c, 1, 1);
        cluster_await(&c, 2);
        cr_assert_eq(kill(c.workers[0], SIGTERM), 0);
        cr_assert_eq(kill(c.workers[0], SIGINT), 0); /* not merged with the first */
        status = th_wait(c.workers[0], LONG_MS);
        c.workers[0] = 0;
        cr_assert(WIFEXITED(status), "status %x", (unsigned)status);
        cluster_completed(&c, &id);
        cluster_end(&c);
}

BOTH(workers, a_task_that_kills_every_worker_it_meets_ends) {
        struct faas_result r = FAAS_RESULT_INIT;
        struct cluster c;
        struct faas_id id;

        cluster_start(&c, mode, FAR);
        cluster_submit(&c, "murder", "", &id);
        for (unsigned i = 0; faas_wait(c.client, &id, 0, &r) == FAAS_E_AGAIN; i++) {
                cr_assert_lt(i, 50, "it does not end");
                cluster_worker(&c, 0, 1);
                c.board->victims[0] = c.workers[0];
                cr_assert(th_gone(c.workers[0], LONG_MS));
                c.board->victims[0] = 0;    /* its number may be another's soon */
                cluster_kill_worker(&c, 0); /* reaps it */
                cluster_await(&c, 0);
        }
        cr_assert_eq(r.status, FAAS_FAILED);
        cr_assert_eq(r.failure, FAAS_FAILURE_WORKER_LOST, "failure %d: %s", r.failure, r.text);
        faas_result_clear(&r);
        cluster_end(&c);
}

/* No-ops behind a long task go elsewhere; they are done long before it. */
BOTH(workers, short_tasks_do_not_wait_behind_a_long_one) {
        static struct faas_task tasks[1003];
        struct faas_result r = FAAS_RESULT_INIT;
        struct faas_id ids[1003];
        struct cluster c;

        cluster_start(&c, mode, FAR);
        for (unsigned i = 0; i < WORKERS; i++)
                cluster_worker(&c, i, 1);
        cluster_await(&c, WORKERS);
        for (unsigned i = 0; i < 1003; i++)
                tasks[i] = (struct faas_task){.function = "same", .payload = "x", .payload_len = 1};
        for (unsigned i = 0; i < 3; i++)
                tasks[i * 100].function = "hold";
        cr_assert_eq(faas_submit_many(c.client, tasks, 1003, ids, NULL), 0);
        for (unsigned i = 0; i < 1003; i++)
                if (i % 100 || i >= 300)
                        cluster_completed(&c, &ids[i]);
        c.board->go = 1;
        for (unsigned i = 0; i < 3; i++)
                cluster_completed(&c, &ids[i * 100]);
        faas_result_clear(&r);
        cluster_end(&c);
}
