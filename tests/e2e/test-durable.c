/*
 * test-durable.c - dispatchers that share a Redis: they die, stop, come back, and take over
 *
 * Real programs, a real server with appendfsync always.  The lease is short where a takeover is
 * waited for, and so long that a busy machine does not outlast it where there must be none.
 */
#undef NDEBUG
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>

#include "cluster.h"
#include "th.h"

#define LONG_MS 60000
#define SHORT_LEASE_MS 1000
#define LONG_LEASE_MS 30000
#define HEARTBEAT_MS 300
#define SILENCE_MS (3 * HEARTBEAT_MS) /* by the default liveness */
#define D_N 2

struct durable {
        struct cluster c; /* its own dispatcher is number 0 */
        struct th_redis redis;
        char store[160], lease[16];
        char doors[D_N][128];
        pid_t d[D_N]; /* 0: none */
};

static const char *const names[D_N] = {"d0", "d1"};

static void start_dispatcher(struct durable *t, unsigned i) {
        const char *const more[] = {"--store", t->store,       "--name", names[i],       "--lease",
                                    t->lease,  "--wait-store", "30",     "--result-ttl", "3600",
                                    NULL};

        t->d[i] = cluster_spawn(&t->c, t->doors[i], more);
}

static void kill_dispatcher(struct durable *t, unsigned i) {
        th_kill(t->d[i]);
        t->d[i] = 0;
}

/* n dispatchers, workers of one slot each that know all of them, and a client that does. */
static void start(struct durable *t, const char *mode, unsigned n_d, unsigned n_w, int lease_ms) {
        static const char *const always[] = {"--appendfsync", "always", NULL};

        memset(t, 0, sizeof(*t));
        cluster_init(&t->c, mode, HEARTBEAT_MS);
        th_redis_start_with(&t->redis, true, always);
        (void)snprintf(t->store, sizeof(t->store), "redis+unix://%s?prefix=e2e", t->redis.socket);
        (void)snprintf(t->lease, sizeof(t->lease), "%d", lease_ms);
        t->c.url[0] = 0;
        for (unsigned i = 0; i < n_d; i++) {
                (void)snprintf(t->doors[i], sizeof(t->doors[i]), "ipc://%s/d%u", t->c.dir, i);
                (void)snprintf(t->c.url + strlen(t->c.url), sizeof(t->c.url) - strlen(t->c.url),
                               "%s%s", i ? "," : "", t->doors[i]);
                start_dispatcher(t, i);
        }
        cluster_client(&t->c);
        for (unsigned i = 0; i < n_w; i++)
                cluster_worker(&t->c, i, 1);
        cluster_await(&t->c, n_w);
}

static void end(struct durable *t) {
        cluster_end(&t->c);
        for (unsigned i = 0; i < D_N; i++)
                if (t->d[i])
                        kill_dispatcher(t, i);
        th_redis_kill(&t->redis);
}

static void sleep_ms(long ms) {
        nanosleep(&(struct timespec){ms / 1000, ms % 1000 * 1000000}, NULL);
}

/* The statistics of one dispatcher, asked by a client of its own. */
static void stats_of(struct durable *t, unsigned i, struct faas_stats *ret) {
        struct faas_client *c = NULL;

        cr_assert_eq(faas_client_open(&c, t->doors[i], NULL, NULL), 0, "%s", faas_error_text());
        cr_assert_eq(faas_client_stats(c, ret), 0, "%s", faas_error_text());
        faas_client_close(c);
}

/* Which of the two has accepted what the client submitted: the one that answered first. */
static unsigned owner(struct durable *t) {
        struct faas_stats stats;

        stats_of(t, 0, &stats);
        return stats.accepted ? 0 : 1;
}

/* What a worker holds is written down a moment after it was given; a task that runs is there. */
static void let_hints_settle(void) {
        sleep_ms(100);
}

static void restarted_with_a_running_task(const char *mode) {
        struct faas_stats stats;
        struct durable t;
        struct faas_id held, queued[20];

        start(&t, mode, 1, 1, LONG_LEASE_MS);
        cluster_submit(&t.c, "hold", "", &held);
        cluster_begun(&t.c, 1);
        for (int i = 0; i < 20; i++)
                cluster_submit(&t.c, "same", "x", &queued[i]);
        let_hints_settle();
        kill_dispatcher(&t, 0);
        start_dispatcher(&t, 0);
        cluster_await(&t.c, 1);
        t.c.board->go = 1;
        cluster_completed(&t.c, &held);
        for (int i = 0; i < 20; i++)
                cluster_completed(&t.c, &queued[i]);
        cr_assert_eq(t.c.board->begun, 1, "it ran %u times", t.c.board->begun);
        stats_of(&t, 0, &stats);
        cr_assert_eq(stats.strikes, 0);
        end(&t);
}

Test(durable, a_restarted_dispatcher_goes_on_and_adopts_what_runs_push) {
        restarted_with_a_running_task("push");
}

Test(durable, a_restarted_dispatcher_goes_on_and_adopts_what_runs_pull) {
        restarted_with_a_running_task("pull");
}

Test(durable, another_dispatcher_takes_over_and_adopts_what_runs) {
        struct durable t;
        struct faas_id held, queued[20];

        start(&t, "push", 2, 2, SHORT_LEASE_MS);
        cluster_submit(&t.c, "hold", "", &held);
        cluster_begun(&t.c, 1);
        for (int i = 0; i < 20; i++)
                cluster_submit(&t.c, "same", "x", &queued[i]);
        let_hints_settle();
        kill_dispatcher(&t, owner(&t));
        for (int i = 0; i < 20; i++)
                cluster_completed(&t.c, &queued[i]);
        sleep_ms(2 * SHORT_LEASE_MS); /* it is not taken for lost either */
        t.c.board->go = 1;
        cluster_completed(&t.c, &held);
        cr_assert_eq(t.c.board->begun, 1, "it ran %u times", t.c.board->begun);
        end(&t);
}

struct sleeper {
        struct durable *t;
        unsigned i;
        uint64_t epoch;
};

static bool has_begun_anew(void *arg) {
        const struct sleeper *s = arg;
        struct faas_stats stats;

        stats_of(s->t, s->i, &stats);
        cr_assert(!th_gone(s->t->d[s->i], 0), "it ended");
        return stats.epoch != s->epoch;
}

Test(durable, a_dispatcher_that_slept_past_its_lease_begins_anew_and_changes_nothing) {
        struct faas_stats stats;
        struct durable t;
        struct sleeper s = {.t = &t};
        struct faas_id held, again;

        start(&t, "push", 2, 1, SHORT_LEASE_MS);
        cluster_submit(&t.c, "hold", "", &held);
        cluster_begun(&t.c, 1);
        let_hints_settle();
        s.i = owner(&t);
        stats_of(&t, s.i, &stats);
        s.epoch = stats.epoch;
        cr_assert_eq(kill(t.d[s.i], SIGSTOP), 0);
        t.c.board->go = 1;
        cluster_completed(&t.c, &held); /* at the other one */
        cr_assert_eq(kill(t.d[s.i], SIGCONT), 0);
        cr_assert(th_until(has_begun_anew, &s, LONG_MS));
        stats_of(&t, s.i, &stats);
        cr_assert_eq(stats.completed, 0);
        cluster_submit(&t.c, "same", "x", &again);
        cluster_completed(&t.c, &again);
        cr_assert_eq(t.c.board->begun, 1, "it ran %u times", t.c.board->begun);
        end(&t);
}

struct question {
        struct faas_client *client;
        const struct faas_id *id;
        enum faas_status status;
};

static bool answered(void *arg) {
        struct question *q = arg;
        enum faas_status status;

        cr_assert_eq(faas_status(q->client, q->id, &status), 0, "%s", faas_error_text());
        return status == q->status;
}

Test(durable, a_task_is_known_at_the_other_dispatcher_too) {
        struct faas_result r = FAAS_RESULT_INIT;
        struct question q = {.status = FAAS_COMPLETED};
        struct durable t;
        struct faas_id id;

        start(&t, "push", 2, 1, LONG_LEASE_MS);
        cluster_submit(&t.c, "hold", "", &id);
        cluster_begun(&t.c, 1);
        cr_assert_eq(faas_client_open(&q.client, t.doors[1], NULL, NULL), 0);
        q.id = &id;
        cr_assert(!answered(&q));
        t.c.board->go = 1;
        cr_assert(th_until(answered, &q, LONG_MS));
        cr_assert_eq(faas_result(q.client, &id, &r), 0, "%s", faas_error_text());
        cr_assert_eq(r.status, FAAS_COMPLETED);
        faas_result_clear(&r);
        faas_client_close(q.client);
        end(&t);
}

/* Its dispatcher hangs, so it goes on with the other one, which does not own what it waits for: the
 * lease has not run out when that ends. */
Test(durable, a_client_waits_elsewhere_for_what_its_dispatcher_finishes) {
        struct faas_stats first, stats;
        struct faas_result r = FAAS_RESULT_INIT;
        struct durable t;
        struct faas_id id;

        start(&t, "push", 1, 0, LONG_LEASE_MS);
        (void)snprintf(t.doors[1], sizeof(t.doors[1]), "ipc://%s/d1", t.c.dir);
        start_dispatcher(&t, 1);
        (void)snprintf(t.c.url, sizeof(t.c.url), "%s,%s", t.doors[0], t.doors[1]);
        cluster_worker(&t.c, 0, 1);
        stats_of(&t, 0, &first);
        do { /* the other one may answer first */
                faas_client_close(t.c.client);
                cluster_client(&t.c);
                cr_assert_eq(faas_client_stats(t.c.client, &stats), 0, "%s", faas_error_text());
        } while (stats.epoch != first.epoch);
        cluster_submit(&t.c, "hold", "", &id);
        cluster_begun(&t.c, 1);
        let_hints_settle();
        cr_assert_eq(kill(t.d[0], SIGSTOP), 0);
        cr_assert_eq(faas_wait(t.c.client, &id, 2 * SILENCE_MS, &r), FAAS_E_AGAIN);
        cr_assert_eq(kill(t.d[0], SIGCONT), 0);
        t.c.board->go = 1;
        cluster_completed(&t.c, &id);
        cr_assert_eq(t.c.board->begun, 1, "it ran %u times", t.c.board->begun);
        end(&t);
}

Test(durable, while_redis_stands_still_nobody_is_declared_dead) {
        struct faas_stats stats;
        struct durable t;
        struct faas_id held, before, id;

        start(&t, "push", 2, 2, SHORT_LEASE_MS);
        cluster_submit(&t.c, "hold", "", &held);
        cluster_begun(&t.c, 1);
        cluster_submit(&t.c, "same", "x", &before);
        cluster_completed(&t.c, &before);
        th_redis_stop(&t.redis);
        sleep_ms(5 * SHORT_LEASE_MS); /* and five times as long as a worker may be silent */
        th_redis_cont(&t.redis);
        cluster_submit(&t.c, "same", "x", &id);
        cluster_completed(&t.c, &id);
        t.c.board->go = 1;
        cluster_completed(&t.c, &held);
        for (unsigned i = 0; i < 2; i++) {
                stats_of(&t, i, &stats);
                cr_assert_eq(stats.lost_workers, 0);
                cr_assert_eq(stats.strikes, 0);
                cr_assert_eq(stats.workers, 2);
        }
        cr_assert_eq(t.c.board->begun, 1);
        end(&t);
}

Test(durable, a_killed_redis_loses_nothing_and_all_goes_on_when_it_is_back) {
        static const char *const always[] = {"--appendfsync", "always", NULL};
        struct faas_stats stats;
        struct durable t;
        struct faas_id held, queued[50], id;

        start(&t, "push", 2, 2, SHORT_LEASE_MS);
        cluster_submit(&t.c, "hold", "", &held);
        cluster_submit(&t.c, "hold", "", &id);
        cluster_begun(&t.c, 2);
        for (int i = 0; i < 50; i++)
                cluster_submit(&t.c, "same", "x", &queued[i]);
        for (int k = 0; k < 3; k++) {
                th_redis_kill(&t.redis);
                th_redis_start_with(&t.redis, true, always);
        }
        t.c.board->go = 1;
        cluster_completed(&t.c, &held);
        cluster_completed(&t.c, &id);
        for (int i = 0; i < 50; i++)
                cluster_completed(&t.c, &queued[i]);
        cr_assert_eq(t.c.board->begun, 2);
        for (unsigned i = 0; i < 2; i++) {
                stats_of(&t, i, &stats);
                cr_assert_eq(stats.lost_workers, 0);
                cr_assert_eq(stats.strikes, 0);
        }
        end(&t);
}

Test(durable, queued_tasks_outlive_a_dispatcher_that_is_stopped) {
        struct durable t;
        struct faas_id queued[30];
        int status;

        start(&t, "push", 1, 0, LONG_LEASE_MS);
        for (int i = 0; i < 30; i++)
                cluster_submit(&t.c, "same", "x", &queued[i]);
        cr_assert_eq(kill(t.d[0], SIGTERM), 0);
        status = th_wait(t.d[0], LONG_MS);
        cr_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0, "status %x", (unsigned)status);
        start_dispatcher(&t, 0);
        cluster_worker(&t.c, 0, 1);
        for (int i = 0; i < 30; i++)
                cluster_completed(&t.c, &queued[i]);
        end(&t);
}

Test(durable, of_two_processes_with_one_name_the_first_ends_with_an_error) {
        struct durable t;
        struct faas_id id;
        pid_t first;
        int status;

        start(&t, "push", 1, 0, LONG_LEASE_MS);
        first = t.d[0];
        (void)snprintf(t.doors[0], sizeof(t.doors[0]), "ipc://%s/other", t.c.dir);
        start_dispatcher(&t, 0);
        status = th_wait(first, LONG_MS);
        cr_assert(WIFEXITED(status) && WEXITSTATUS(status) == 1, "status %x", (unsigned)status);
        faas_client_close(t.c.client);
        (void)snprintf(t.c.url, sizeof(t.c.url), "%s", t.doors[0]);
        cluster_client(&t.c);
        cluster_worker(&t.c, 0, 1);
        cluster_submit(&t.c, "same", "x", &id);
        cluster_completed(&t.c, &id);
        end(&t);
}
