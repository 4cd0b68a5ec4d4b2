/* test-away.c - a client whose dispatcher is not there, comes late, dies, or does not want it */
#undef NDEBUG
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <criterion/criterion.h>

#include "far.h"
#include "fn.h"
#include "th.h"

static struct faas_client *impatient(const char *url) {
        struct faas_client_cfg cfg = FAAS_CLIENT_CFG_INIT;

        cfg.submit_timeout_ms = 50;
        return far_open(url, &cfg);
}

/* The text names where the dispatcher should be, and how long it was waited for. */
static void names_what_was_tried(const char *url) {
        cr_assert(strstr(faas_error_text(), url), "%s", faas_error_text());
        cr_assert(strstr(faas_error_text(), "50 ms"), "%s", faas_error_text());
}

static void nobody_there(const char *url) {
        struct faas_client *c = impatient(url);
        const struct faas_task tasks[3] = {
                {.function = "upper"}, {.function = "upper"}, {.function = "upper"}};
        struct faas_worker_info *workers = NULL;
        struct faas_result r = FAAS_RESULT_INIT;
        struct faas_id ids[3], id = {{1}}, none = {{0}};
        struct faas_stats stats;
        enum faas_status status;
        size_t n = 7;

        cr_assert_eq(faas_submit(c, tasks, &id), FAAS_E_UNAVAILABLE, "%s", faas_error_text());
        names_what_was_tried(url);
        cr_assert_eq(id.b[0], 1, "untouched");
        cr_assert_eq(faas_submit_many(c, tasks, 3, ids, &n), FAAS_E_UNAVAILABLE);
        cr_assert_eq(n, 0);
        for (int i = 0; i < 3; i++)
                cr_assert_eq(memcmp(&ids[i], &none, sizeof(none)), 0);
        cr_assert_eq(faas_wait_any(c, -1, &r), FAAS_E_NOENT, "nothing is open");
        cr_assert_eq(faas_status(c, &id, &status), FAAS_E_TIMEOUT);
        names_what_was_tried(url);
        cr_assert_eq(faas_result(c, &id, &r), FAAS_E_TIMEOUT);
        cr_assert_eq(faas_wait(c, &id, -1, &r), FAAS_E_TIMEOUT, "not mine: asked for");
        cr_assert_eq(faas_cancel(c, &id), FAAS_E_TIMEOUT);
        names_what_was_tried(url);
        cr_assert_eq(faas_client_stats(c, &stats), FAAS_E_TIMEOUT);
        cr_assert_eq(faas_client_workers(c, &workers, &n), FAAS_E_TIMEOUT);
        names_what_was_tried(url);
        cr_assert_eq(faas_client_process(c), 0);
        faas_client_close(c);
}

Test(away, without_a_dispatcher_every_call_ends_and_says_so) {
        struct far f;

        for (size_t i = 0; far_schemes[i]; i++) {
                if (strcmp(far_schemes[i], "tcp") == 0) {
                        nobody_there("tcp://127.0.0.1:1");
                        continue;
                }
                far_place(&f, far_schemes[i]);
                nobody_there(f.url);
        }
}

/* ---- one that comes ---- */

struct late {
        struct far far;
        int end_fd;
};

/* Stays until the end: its children would die with it. */
static void *late(void *arg) {
        struct late *l = arg;
        char byte;

        far_dispatcher(&l->far, NULL, NULL);
        far_worker(&l->far, 1);
        (void)!read(l->end_fd, &byte, 1);
        far_end(&l->far);
        return NULL;
}

static void comes_later(const char *scheme, bool cancel_first) {
        struct late l;
        struct faas_client *c;
        struct faas_id id = {{1}};
        pthread_t t;
        int fds[2];

        cr_assert_eq(pipe(fds), 0);
        l.end_fd = fds[0];
        far_place(&l.far, scheme);
        c = far_open(l.far.url, NULL);
        cr_assert_eq(pthread_create(&t, NULL, late, &l), 0);
        if (cancel_first)
                cr_assert_eq(faas_cancel(c, &id), FAAS_E_NOENT, "%s", faas_error_text());
        fn_works(c);
        faas_client_close(c);
        /* The children have this end too: end of file would not come. */
        cr_assert_eq(write(fds[1], "x", 1), 1);
        cr_assert_eq(pthread_join(t, NULL), 0);
        close(fds[0]);
        close(fds[1]);
}

Test(away, a_submit_waits_for_a_dispatcher_that_comes_later) {
        comes_later("inproc", false);
        comes_later("ipc", false);
}

Test(away, a_cancel_waits_for_a_dispatcher_that_comes_later) {
        comes_later("inproc", true);
        comes_later("ipc", true);
}

/* ---- one that stands still ---- */

Test(away, a_submit_without_an_answer_is_unknown_and_goes_on_by_itself) {
        struct faas_task t = {.function = "upper", .payload = "once", .payload_len = 4};
        struct faas_result r = FAAS_RESULT_INIT;
        struct faas_client *c;
        struct faas_stats stats;
        enum faas_status status;
        struct faas_id id;
        struct far f;

        far_start(&f, "ipc");
        c = impatient(f.url);
        while (faas_client_stats(c, &stats))
                ; /* until it is known to this client */
        far_pause(&f.disp);
        cr_assert_eq(faas_submit(c, &t, &id), FAAS_E_UNKNOWN, "%s", faas_error_text());
        names_what_was_tried(f.url);
        t.id = &id;
        cr_assert_eq(faas_submit(c, &t, NULL), FAAS_E_UNKNOWN, "a repeat is harmless");
        cr_assert_eq(faas_status(c, &id, &status), FAAS_E_TIMEOUT);
        cr_assert_eq(faas_wait(c, &id, 20, &r), FAAS_E_AGAIN);
        cr_assert_eq(faas_wait_any(c, 20, &r), FAAS_E_AGAIN);
        far_resume(&f.disp);
        cr_assert_eq(faas_wait(c, &id, 60000, &r), 0, "%s", faas_error_text());
        cr_assert_str_eq(r.payload, "ONCE");
        while (faas_client_stats(c, &stats))
                ;
        cr_assert_eq(stats.accepted, 1);
        faas_result_clear(&r);
        faas_client_close(c);
        far_end(&f);
}

Test(away, many_without_an_answer_keep_their_ids) {
        static struct faas_task tasks[3000];
        static struct faas_id ids[3000];
        struct faas_result r = FAAS_RESULT_INIT;
        struct faas_id none = {{0}};
        struct faas_client *c;
        struct faas_stats stats;
        size_t n = 7, m = 0;
        struct far f;

        far_start(&f, "ipc");
        c = impatient(f.url);
        while (faas_client_stats(c, &stats))
                ;
        far_pause(&f.disp);
        for (int i = 0; i < 3000; i++)
                tasks[i] = (struct faas_task){.function = "upper"};
        cr_assert_eq(faas_submit_many(c, tasks, 3000, ids, &n), FAAS_E_UNKNOWN);
        cr_assert_eq(n, 0);
        far_resume(&f.disp);
        for (int i = 0; i < 3000; i++)
                m += memcmp(&ids[i], &none, sizeof(none)) != 0;
        cr_assert_gt(m, 0);
        for (size_t i = 0; i < m; i++)
                cr_assert_eq(faas_wait_any(c, 60000, &r), 0, "%s", faas_error_text());
        cr_assert_eq(faas_wait_any(c, 0, &r), FAAS_E_NOENT);
        faas_result_clear(&r);
        faas_client_close(c);
        far_end(&f);
}

/* ---- one that dies ---- */

Test(away, after_a_restart_accepted_tasks_are_lost_and_others_are_submitted_again) {
        struct faas_client_cfg cfg = FAAS_CLIENT_CFG_INIT;
        struct faas_task t = {.function = "upper", .payload = "b", .payload_len = 1};
        struct faas_result r = FAAS_RESULT_INIT;
        struct faas_id accepted, unknown;
        struct faas_client *c;
        struct far f = {.url = ""};

        cfg.submit_timeout_ms = 200;
        far_dispatcher(&f, "ipc", NULL);
        c = far_open(f.url, &cfg);
        accepted = fn_submit(c, "upper", "a");
        far_pause(&f.disp);
        cr_assert_eq(faas_submit(c, &t, &unknown), FAAS_E_UNKNOWN);
        far_kill(&f.disp);
        far_dispatcher(&f, NULL, NULL);
        far_worker(&f, 1);
        cr_assert_eq(faas_wait(c, &unknown, 60000, &r), 0, "%s", faas_error_text());
        cr_assert_eq(r.status, FAAS_COMPLETED);
        cr_assert_str_eq(r.payload, "B");
        cr_assert_eq(faas_wait(c, &accepted, 60000, &r), 0, "%s", faas_error_text());
        cr_assert_eq(r.status, FAAS_FAILED);
        cr_assert_eq(r.failure, FAAS_FAILURE_LOST);
        fn_works(c);
        faas_result_clear(&r);
        faas_client_close(c);
        far_end(&f);
}

Test(away, when_the_first_of_two_dies_the_client_goes_on_with_the_second) {
        struct faas_result r = FAAS_RESULT_INIT;
        struct far a, b;
        struct faas_client *c;
        struct faas_stats first, stats;
        struct faas_id id;
        char url[420];

        far_start(&a, "ipc");
        far_start(&b, "tcp");
        (void)snprintf(url, sizeof(url), "%s,%s", a.url, b.url);
        c = far_open(url, NULL);
        fn_works(c);
        cr_assert_eq(faas_client_stats(c, &first), 0);
        cr_assert_eq(first.completed, 1);
        id = fn_submit(c, "gate", "/nonexistent/gate");
        far_kill(&a.disp);
        fn_works(c);
        cr_assert_eq(faas_client_stats(c, &stats), 0, "%s", faas_error_text());
        cr_assert_neq(stats.epoch, first.epoch);
        /* It may have ended before the kill. */
        cr_assert_eq(faas_wait(c, &id, 60000, &r), 0, "%s", faas_error_text());
        cr_assert_eq(r.status, FAAS_FAILED);
        faas_result_clear(&r);
        faas_client_close(c);
        far_end(&a);
        far_end(&b);
}

Test(away, a_dead_first_url_does_not_keep_the_second_from_being_used) {
        struct far a, b;
        struct faas_client *c;
        char url[420];

        far_place(&a, "ipc");
        far_start(&b, "ipc");
        (void)snprintf(url, sizeof(url), "%s,tcp://127.0.0.1:1,%s", a.url, b.url);
        c = far_open(url, NULL);
        fn_works(c);
        faas_client_close(c);
        far_end(&b);
}

Test(away, a_poll_loop_hears_of_the_end_of_its_dispatcher_by_itself) {
        struct pollfd p = {.events = POLLIN};
        struct faas_result r = FAAS_RESULT_INIT;
        struct faas_client *c;
        struct far f = {.url = ""};
        int got;

        far_dispatcher(&f, "ipc", NULL);
        c = far_open(f.url, NULL);
        p.fd = faas_client_fd(c);
        fn_submit(c, "upper", "a");
        far_kill(&f.disp);
        far_dispatcher(&f, NULL, NULL);
        do {
                cr_assert_eq(poll(&p, 1, 30000), 1, "the fd slept");
                cr_assert_eq(faas_client_process(c), 0);
                got = faas_wait_any(c, 0, &r);
        } while (got == FAAS_E_AGAIN);
        cr_assert_eq(got, 0);
        cr_assert_eq(r.failure, FAAS_FAILURE_LOST);
        faas_result_clear(&r);
        faas_client_close(c);
        far_end(&f);
}

/* ---- and the host forks ---- */

/* What a child of the host finds; the exit status is the number of the check that failed. */
static int child(struct faas_client *c, struct faas_id id) {
        const struct faas_task t = {.function = "upper"};
        struct faas_worker_info *workers;
        struct faas_result r = FAAS_RESULT_INIT;
        struct faas_stats stats;
        enum faas_status status;
        size_t n;

        if (faas_submit(c, &t, NULL) != FAAS_E_FORKED)
                return 1;
        if (faas_wait(c, &id, -1, &r) != FAAS_E_FORKED || faas_wait_any(c, -1, &r) != FAAS_E_FORKED)
                return 2;
        if (faas_status(c, &id, &status) != FAAS_E_FORKED ||
            faas_result(c, &id, &r) != FAAS_E_FORKED || faas_cancel(c, &id) != FAAS_E_FORKED)
                return 3;
        if (faas_client_stats(c, &stats) != FAAS_E_FORKED ||
            faas_client_workers(c, &workers, &n) != FAAS_E_FORKED)
                return 4;
        if (faas_client_process(c) != FAAS_E_FORKED || faas_client_fd(c) != -EINVAL)
                return 5;
        return faas_client_close(c) ? 6 : 0;
}

static void forks(const char *scheme) {
        struct faas_result r = FAAS_RESULT_INIT;
        struct faas_client *c;
        struct faas_stats stats;
        struct faas_id id;
        struct far f;
        int status;

        far_start(&f, scheme);
        c = far_open(f.url, NULL);
        id = fn_submit(c, "upper", "parent");
        pid_t pid = fork();
        if (pid == 0)
                _exit(child(c, id));
        cr_assert_eq(waitpid(pid, &status, 0), pid);
        cr_assert(WIFEXITED(status));
        cr_assert_eq(WEXITSTATUS(status), 0, "check %d", WEXITSTATUS(status));
        cr_assert_eq(faas_wait(c, &id, -1, &r), 0);
        cr_assert_str_eq(r.payload, "PARENT");
        for (int i = 0; i < 100; i++)
                fn_works(c);
        cr_assert_eq(faas_client_stats(c, &stats), 0);
        cr_assert_eq(stats.clients, 1, "nobody said goodbye");
        faas_result_clear(&r);
        faas_client_close(c);
        far_end(&f);
}

Test(away, in_a_child_every_call_says_so_and_close_leaves_the_parents_connection_alone) {
        forks("ipc");
        forks("tcp");
        forks("inproc");
}
