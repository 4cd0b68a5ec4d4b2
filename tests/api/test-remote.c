/* test-remote.c - every call of a client whose dispatcher is elsewhere, over each built-in scheme
 */
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

#define MANY 10000

/* Runs it over each scheme, with a dispatcher and a worker of two slots. */
static void everywhere(void (*check)(struct far *f, struct faas_client *c)) {
        for (size_t i = 0; far_schemes[i]; i++) {
                struct far f;
                struct faas_client *c;

                far_start(&f, far_schemes[i]);
                c = far_open(f.url, NULL);
                check(&f, c);
                c = faas_client_close(c);
                cr_assert_null(c);
                far_end(&f);
        }
}

static void check_submit_wait(struct far *f, struct faas_client *c) {
        struct faas_result r = FAAS_RESULT_INIT;
        struct faas_id id;

        fn_works(c);
        fn_run(c, "fails", "here", &r);
        cr_assert_eq(r.status, FAAS_FAILED);
        cr_assert_eq(r.failure, FAAS_FAILURE_FUNCTION);
        cr_assert_str_eq(r.text, "no such luck: here");
        fn_run(c, "largest", "", &r);
        cr_assert_eq(r.status, FAAS_COMPLETED);
        cr_assert_eq(r.payload_len, FAAS_PAYLOAD_MAX);
        id = r.id;
        cr_assert_eq(faas_wait(c, &id, -1, &r), FAAS_E_GONE, "%s", faas_error_text());
        id.b[0] ^= 0x80;
        cr_assert_eq(faas_wait(c, &id, -1, &r), FAAS_E_NOENT);
        faas_result_clear(&r);
}

Test(remote, what_is_submitted_is_run_and_waited_for) {
        everywhere(check_submit_wait);
}

static void check_many(struct far *f, struct faas_client *c) {
        static struct faas_task tasks[MANY];
        static struct faas_id ids[MANY];
        static bool seen[MANY];
        static char text[MANY][8];
        struct faas_result r = FAAS_RESULT_INIT;
        size_t n = 0;

        memset(seen, 0, sizeof(seen));
        for (int i = 0; i < MANY; i++) {
                (void)snprintf(text[i], sizeof(text[i]), "a%d", i);
                tasks[i] = (struct faas_task){
                        .function = "upper", .payload = text[i], .payload_len = strlen(text[i])};
        }
        cr_assert_eq(faas_submit_many(c, tasks, MANY, ids, &n), 0, "%s", faas_error_text());
        cr_assert_eq(n, MANY);
        for (int i = 0; i < MANY; i++) {
                char *end;
                long k;

                cr_assert_eq(faas_wait_any(c, 60000, &r), 0, "%s", faas_error_text());
                cr_assert_eq(r.status, FAAS_COMPLETED, "%s", r.text);
                cr_assert_eq(((const char *)r.payload)[0], 'A');
                k = strtol((const char *)r.payload + 1, &end, 10);
                cr_assert(*end == '\0' && k >= 0 && k < MANY && !seen[k]);
                cr_assert_eq(memcmp(&ids[k], &r.id, sizeof(r.id)), 0);
                seen[k] = true;
        }
        cr_assert_eq(faas_wait_any(c, 0, &r), FAAS_E_NOENT);
        faas_result_clear(&r);
}

Test(remote, ten_thousand_in_one_call_come_back_once_each) {
        everywhere(check_many);
}

static void check_questions(struct far *f, struct faas_client *c) {
        struct faas_client *other = far_open(f->url, NULL);
        struct faas_result r = FAAS_RESULT_INIT;
        enum faas_status status;
        struct faas_id id, no_id = {{1}};
        struct fn_gate g;

        fn_gate_make(&g, f->threads ? "inproc" : f->url[0] == 'i' ? "ipc" : "tcp");
        id = fn_submit(c, "gate", g.path);
        cr_assert_eq(faas_wait(c, &id, 0, &r), FAAS_E_AGAIN);
        fn_gate_reached(&g, c);
        cr_assert_eq(faas_status(c, &id, &status), 0);
        cr_assert_eq(status, FAAS_RUNNING);
        cr_assert_eq(faas_status(other, &id, &status), 0, "anybody may ask");
        cr_assert_eq(status, FAAS_RUNNING);
        cr_assert_eq(faas_result(other, &id, &r), FAAS_E_AGAIN);
        cr_assert_eq(faas_status(c, &no_id, &status), FAAS_E_NOENT);
        cr_assert_eq(faas_result(c, &no_id, &r), FAAS_E_NOENT);
        cr_assert_eq(faas_cancel(c, &no_id), FAAS_E_NOENT);
        fn_gate_open(&g, c);
        while (faas_result(c, &id, &r) == FAAS_E_AGAIN)
                ;
        cr_assert_eq(r.status, FAAS_COMPLETED);
        cr_assert_eq(faas_cancel(c, &id), FAAS_E_EXISTS);
        cr_assert_eq(faas_wait(c, &id, -1, &r), 0);
        faas_result_clear(&r);
        faas_client_close(other);
}

Test(remote, status_and_result_are_asked_for) {
        everywhere(check_questions);
}

static void check_cancel(struct far *f, struct faas_client *c) {
        struct faas_result r = FAAS_RESULT_INIT;
        struct faas_id running[2], queued;
        struct fn_gate g[2];

        for (int i = 0; i < 2; i++) {
                char name[32];
                (void)snprintf(name, sizeof(name), "%d-%s", i,
                               f->threads         ? "inproc"
                               : f->url[0] == 'i' ? "ipc"
                                                  : "tcp");
                fn_gate_make(&g[i], name);
                running[i] = fn_submit(c, "gate", g[i].path);
                fn_gate_reached(&g[i], c);
        }
        queued = fn_submit(c, "upper", "never");
        cr_assert_eq(faas_cancel(c, &queued), 0, "%s", faas_error_text());
        cr_assert_eq(faas_wait(c, &queued, -1, &r), 0);
        cr_assert_eq(r.status, FAAS_CANCELLED);
        cr_assert_eq(faas_cancel(c, &running[0]), 0, "%s", faas_error_text());
        cr_assert_eq(faas_cancel(c, &running[0]), FAAS_E_EXISTS);
        cr_assert_eq(faas_wait(c, &running[0], -1, &r), 0);
        cr_assert_eq(r.status, FAAS_CANCELLED);
        fn_works(c); /* its slot is free again, though the other one is busy */
        fn_gate_open(&g[1], c);
        cr_assert_eq(faas_wait(c, &running[1], -1, &r), 0);
        cr_assert_eq(r.status, FAAS_COMPLETED);
        faas_result_clear(&r);
}

Test(remote, cancelling_ends_a_queued_and_a_running_one) {
        everywhere(check_cancel);
}

static unsigned n_done;

static void on_done(struct faas_client *c, struct faas_result *r, void *userdata) {
        unsigned *more = userdata;

        cr_assert_eq(r->status, FAAS_COMPLETED, "%s", r->text);
        n_done++;
        if (*more) {
                --*more;
                fn_submit(c, "upper", "again");
        }
}

static void check_loop(struct far *f, struct faas_client *c) {
        struct pollfd p = {.fd = faas_client_fd(c), .events = POLLIN};
        unsigned more = 100;

        n_done = 0;
        faas_client_on_done(c, on_done, &more);
        for (int i = 0; i < 500; i++)
                fn_submit(c, "upper", "x");
        while (n_done < 600) {
                cr_assert_eq(poll(&p, 1, 30000), 1, "silent with %u done", n_done);
                cr_assert_eq(faas_client_process(c), 0);
        }
        cr_assert_eq(faas_client_fd(c), p.fd);
}

Test(remote, poll_and_process_are_all_that_a_loop_needs) {
        everywhere(check_loop);
}

static void check_numbers(struct far *f, struct faas_client *c) {
        struct faas_worker_info *workers;
        struct faas_stats stats;
        size_t n;

        fn_works(c);
        fn_works(c);
        cr_assert_eq(faas_client_stats(c, &stats), 0, "%s", faas_error_text());
        cr_assert_eq(stats.accepted, 2);
        cr_assert_eq(stats.completed, 2);
        cr_assert_eq(stats.workers, 1);
        cr_assert_eq(stats.slots, 2);
        cr_assert_eq(stats.clients, 1);
        cr_assert_neq(stats.epoch, 0);
        cr_assert_eq(faas_client_workers(c, &workers, &n), 0, "%s", faas_error_text());
        cr_assert_eq(n, 1);
        cr_assert_eq(workers[0].n_slots, 2);
        cr_assert_eq(workers[0].done, 2);
        cr_assert_str_eq(workers[0].name, "far");
        free(workers);
}

Test(remote, the_dispatcher_tells_its_numbers_and_its_workers) {
        everywhere(check_numbers);
}

static void check_no_workers(const char *url) {
        struct faas_client *c = far_open(url, NULL);
        struct faas_worker_info *workers;
        size_t n;

        cr_assert_eq(faas_client_workers(c, &workers, &n), 0, "%s", faas_error_text());
        cr_assert_eq(n, 0);
        cr_assert_null(workers);
        faas_client_close(c);
}

Test(remote, a_dispatcher_without_workers_has_an_empty_list) {
        struct far f = {.url = ""};

        far_dispatcher(&f, "ipc", NULL);
        check_no_workers(f.url);
        far_end(&f);
}

Test(remote, a_window_full_of_tasks_is_again_until_one_is_collected) {
        struct faas_client_cfg cfg = FAAS_CLIENT_CFG_INIT;
        struct faas_task tasks[8];
        struct faas_id ids[8], none = {{0}};
        struct faas_result r = FAAS_RESULT_INIT;
        struct faas_client *c;
        struct far f;
        size_t n;

        far_start(&f, "ipc");
        cfg.window_tasks = 5;
        c = far_open(f.url, &cfg);
        for (int i = 0; i < 8; i++)
                tasks[i] = (struct faas_task){.function = "upper"};
        cr_assert_eq(faas_submit_many(c, tasks, 8, ids, &n), FAAS_E_AGAIN);
        cr_assert(strstr(faas_error_text(), "window"), "%s", faas_error_text());
        cr_assert_eq(n, 5);
        for (int i = 0; i < 8; i++)
                cr_assert_eq(memcmp(&ids[i], &none, sizeof(none)) == 0, i >= 5);
        cr_assert_eq(faas_submit(c, tasks, NULL), FAAS_E_AGAIN);
        cr_assert_eq(faas_wait_any(c, -1, &r), 0);
        cr_assert_eq(faas_submit(c, tasks, NULL), 0);
        faas_result_clear(&r);
        faas_client_close(c);
        far_end(&f);
}

Test(remote, a_full_queue_refuses_and_the_ids_tell_which_are_accepted) {
        static struct faas_task tasks[600];
        static struct faas_id ids[600];
        struct faas_dispatcher_cfg cfg = FAAS_DISPATCHER_CFG_INIT;
        struct far f = {.url = ""};
        struct faas_result r = FAAS_RESULT_INIT;
        struct faas_id none = {{0}};
        struct faas_client *c;
        size_t n, m = 0;

        cfg.queue_tasks = 100;
        far_dispatcher(&f, "ipc", &cfg);
        c = far_open(f.url, NULL);
        for (int i = 0; i < 600; i++)
                tasks[i] = (struct faas_task){.function = "upper"};
        cr_assert_eq(faas_submit_many(c, tasks, 600, ids, &n), FAAS_E_LIMIT);
        cr_assert(strstr(faas_error_text(), "queue") && strstr(faas_error_text(), f.url), "%s",
                  faas_error_text());
        cr_assert_eq(n, 100);
        far_worker(&f, 2);
        for (int i = 0; i < 600; i++) {
                if (memcmp(&ids[i], &none, sizeof(none)) == 0)
                        continue;
                m++;
                cr_assert_eq(faas_wait(c, &ids[i], -1, &r), 0, "%s", faas_error_text());
        }
        cr_assert_eq(m, n);
        cr_assert_eq(faas_wait_any(c, 0, &r), FAAS_E_NOENT, "the others are nowhere");
        fn_works(c);
        faas_result_clear(&r);
        faas_client_close(c);
        far_end(&f);
}

Test(remote, a_repeat_of_an_id_is_harmless_and_other_bytes_are_not_taken) {
        struct faas_id id = {{1, 2, 3}};
        struct faas_task t = {.function = "upper", .payload = "a", .payload_len = 1, .id = &id};
        struct faas_client *c, *other;
        struct far f = {.url = ""};

        far_dispatcher(&f, "ipc", NULL);
        c = far_open(f.url, NULL);
        other = far_open(f.url, NULL);
        cr_assert_eq(faas_submit(c, &t, NULL), 0);
        cr_assert_eq(faas_submit(c, &t, NULL), 0);
        cr_assert_eq(faas_submit(other, &t, NULL), 0);
        t.payload = "b";
        cr_assert_eq(faas_submit(c, &t, NULL), FAAS_E_EXISTS);
        faas_client_close(other);
        other = far_open(f.url, NULL);
        cr_assert_eq(faas_submit(other, &t, NULL), FAAS_E_EXISTS);
        faas_client_close(other);
        faas_client_close(c);
        far_end(&f);
}

Test(remote, functions_and_names_are_checked_for_what_can_be_known_here) {
        static const struct faas_function table[] = {{"x", NULL}, {NULL, NULL}};
        struct faas_client_cfg cfg = FAAS_CLIENT_CFG_INIT;
        struct faas_task t = {.function = "Bad Name"};
        struct faas_client *c = NULL;

        cr_assert_eq(faas_client_open(&c, "tcp://127.0.0.1:1", table, NULL), -EINVAL);
        cr_assert(strstr(faas_error_text(), "workers"), "%s", faas_error_text());
        cfg.flags = FAAS_CLIENT_BUILTINS;
        cr_assert_eq(faas_client_open(&c, "tcp://127.0.0.1:1", NULL, &cfg), -EINVAL);
        cr_assert_null(c);
        c = far_open("tcp://127.0.0.1:1", NULL);
        cr_assert_eq(faas_submit(c, &t, NULL), -EINVAL);
        cr_assert(strstr(faas_error_text(), "Bad Name"));
        faas_client_close(c);
}

Test(remote, a_task_waits_for_a_worker_that_has_its_function) {
        struct faas_result r = FAAS_RESULT_INIT;
        struct far f = {.url = ""};
        struct faas_client *c;
        struct faas_id id;

        far_dispatcher(&f, "ipc", NULL);
        c = far_open(f.url, NULL);
        id = fn_submit(c, "upper", "late");
        cr_assert_eq(faas_wait(c, &id, 0, &r), FAAS_E_AGAIN);
        far_worker(&f, 1);
        cr_assert_eq(faas_wait(c, &id, -1, &r), 0);
        cr_assert_str_eq(r.payload, "LATE");
        faas_result_clear(&r);
        faas_client_close(c);
        far_end(&f);
}

Test(remote, clients_with_open_tasks_close_without_leaving_descriptors) {
        struct far f;
        int before;

        far_start(&f, "ipc");
        faas_client_close(far_open(f.url, NULL));
        before = th_count_fds();
        for (int i = 0; i < 5; i++) {
                struct faas_client *c = far_open(f.url, NULL);
                fn_works(c);
                fn_submit(c, "upper", "left behind");
                faas_client_close(c);
        }
        cr_assert_eq(th_count_fds(), before);
        far_end(&f);
}
