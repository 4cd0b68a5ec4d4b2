/*
 * test-tasks.c - what tasks see of a transport: the same, whichever it is
 *
 * Compiled once for each, with its name as TRANSPORT.  Dispatcher and worker are processes of their
 * own, forked from the test; the client comes by the door.
 */
#undef NDEBUG
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <criterion/criterion.h>
#include <faas/faas.h>

#include "th.h"

#ifdef CUSTOM
#include "../../examples/custom-transport.h"
#endif

#define LONG_MS 60000

static int echo(struct faas_call *call) {
        size_t len;
        const void *in = faas_call_payload(call, &len);
        void *out = faas_call_reserve(call, len);

        if (len && out)
                memcpy(out, in, len);
        return out ? 0 : 1;
}

static int refuse(struct faas_call *call) {
        (void)faas_call_fail(call, "no, %s", (const char *)faas_call_payload(call, NULL));
        return 7;
}

static int die(struct faas_call *call) {
        fprintf(stderr, "last words\n");
        return raise(SIGSEGV);
}

static int hang(struct faas_call *call) {
        return pause();
}

static const struct faas_function functions[] = {{"echo", echo},
                                                 {"refuse", refuse},
                                                 {"die", die},
                                                 {"hang", hang},
                                                 {NULL, NULL}};

struct bed {
        struct faas_client *client;
        char door[128], workers[128];
        int stop[2]; /* a byte is one request to stop, its end a last one */
        pid_t dispatcher, worker;
};

static bool local(void) {
        return strcmp(TRANSPORT, "local") == 0;
}

static pid_t fork_one(struct bed *b, int (*run)(const struct bed *b)) {
        pid_t pid = fork();

        cr_assert_geq(pid, 0);
        if (pid == 0) {
                close(b->stop[1]);
                _exit(run(b) ? 1 : 0);
        }
        return pid;
}

static int run_dispatcher(const struct bed *b) {
        struct faas_dispatcher_cfg cfg = FAAS_DISPATCHER_CFG_INIT;

        cfg.transport = TRANSPORT;
        cfg.listen = b->door;
        cfg.workers = b->workers;
        cfg.stop_fd = b->stop[0];
        if (local()) {
                cfg.functions = functions;
                cfg.n_slots = 2;
        }
        return faas_dispatcher_run(&cfg);
}

static int run_worker(const struct bed *b) {
        struct faas_worker_cfg cfg = FAAS_WORKER_CFG_INIT;
        bool at_door = strcmp(TRANSPORT, "push") == 0 || strcmp(TRANSPORT, "pull") == 0;

        cfg.url = at_door ? b->door : b->workers;
        cfg.n_slots = 2;
        cfg.functions = functions;
        cfg.stop_fd = b->stop[0];
        return faas_worker_run(&cfg);
}

static void bed_open(struct bed *b) {
        const char *dir = th_temp_dir();

#ifdef CUSTOM
        cr_assert_eq(faas_transport_register(&pipes_ops, NULL), 0, "%s", faas_error_text());
#endif
        (void)snprintf(b->door, sizeof(b->door), "ipc://%s/door", dir);
        (void)snprintf(b->workers, sizeof(b->workers), "unix://%s/workers", dir);
        cr_assert_eq(pipe(b->stop), 0);
        b->dispatcher = fork_one(b, run_dispatcher);
        b->worker = local() ? 0 : fork_one(b, run_worker);
        cr_assert_eq(faas_client_open(&b->client, b->door, NULL, NULL), 0, "%s", faas_error_text());
}

static void reap(pid_t pid) {
        int status;

        if (!pid)
                return;
        cr_assert_eq(waitpid(pid, &status, 0), pid);
        cr_assert(WIFEXITED(status) && WEXITSTATUS(status) == 0, "status %x", (unsigned)status);
}

static void bed_close(struct bed *b) {
        faas_client_close(b->client);
        close(b->stop[1]);
        reap(b->worker);
        reap(b->dispatcher);
        close(b->stop[0]);
}

static void submit(struct bed *b, const struct faas_task *t, struct faas_id *ret_id) {
        cr_assert_eq(faas_submit(b->client, t, ret_id), 0, "%s", faas_error_text());
}

static void run(struct bed *b, const struct faas_task *t, struct faas_result *ret) {
        struct faas_id id;

        submit(b, t, &id);
        cr_assert_eq(faas_wait(b->client, &id, LONG_MS, ret), 0, "%s", faas_error_text());
}

Test(tasks, payloads_of_every_size_come_back) {
        static const size_t sizes[] = {0, 1, 8191, 8192, 8193, 65536, 1 << 20, FAAS_PAYLOAD_MAX};
        char *bytes = malloc(FAAS_PAYLOAD_MAX);
        struct faas_result r = FAAS_RESULT_INIT;
        struct bed b;

        for (size_t i = 0; i < FAAS_PAYLOAD_MAX; i++)
                bytes[i] = (char)(i * 7);
        bed_open(&b);
        for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
                const struct faas_task t = {
                        .function = "echo", .payload = bytes, .payload_len = sizes[i]};
                run(&b, &t, &r);
                cr_assert_eq(r.status, FAAS_COMPLETED, "%zu: %s", sizes[i], r.text);
                cr_assert_eq(r.payload_len, sizes[i]);
                cr_assert_eq(memcmp(r.payload, bytes, sizes[i]), 0);
        }
        faas_result_clear(&r);
        free(bytes);
        bed_close(&b);
}

Test(tasks, thousands_come_back_once_each) {
        enum { N = 20000 };
        static struct faas_task tasks[N];
        static uint32_t numbers[N];
        static bool seen[N];
        struct faas_result r = FAAS_RESULT_INIT;
        struct bed b;
        uint32_t i;

        bed_open(&b);
        for (i = 0; i < N; i++) {
                numbers[i] = i;
                tasks[i] = (struct faas_task){
                        .function = "echo", .payload = &numbers[i], .payload_len = sizeof(i)};
        }
        cr_assert_eq(faas_submit_many(b.client, tasks, N, NULL, NULL), 0, "%s", faas_error_text());
        for (unsigned got = 0; got < N; got++) {
                cr_assert_eq(faas_wait_any(b.client, LONG_MS, &r), 0, "%s", faas_error_text());
                cr_assert_eq(r.status, FAAS_COMPLETED, "%s", r.text);
                memcpy(&i, r.payload, sizeof(i));
                cr_assert_lt(i, N);
                cr_assert_not(seen[i], "twice");
                seen[i] = true;
        }
        cr_assert_eq(faas_wait_any(b.client, 0, &r), FAAS_E_NOENT);
        faas_result_clear(&r);
        bed_close(&b);
}

Test(tasks, failures_say_whose_they_are) {
        struct faas_task t = {.function = "refuse", .payload = "Sir", .payload_len = 3};
        struct faas_result r = FAAS_RESULT_INIT;
        struct bed b;

        bed_open(&b);
        run(&b, &t, &r);
        cr_assert_eq(r.status, FAAS_FAILED);
        cr_assert_eq(r.failure, FAAS_FAILURE_FUNCTION);
        cr_assert_eq(r.code, 7);
        cr_assert_str_eq(r.text, "no, Sir");
        t = (struct faas_task){.function = "die", .max_strikes = 2};
        run(&b, &t, &r);
        cr_assert_eq(r.failure, FAAS_FAILURE_CRASHED);
        cr_assert_eq(r.code, SIGSEGV);
        cr_assert_eq(r.strikes, 2);
        cr_assert_not_null(strstr(r.log, "last words"));
        t = (struct faas_task){.function = "hang", .max_strikes = 1, .timeout_ms = 50};
        run(&b, &t, &r);
        cr_assert_eq(r.failure, FAAS_FAILURE_TIMEOUT);
        faas_result_clear(&r);
        bed_close(&b);
}

static bool running(void *arg) {
        struct faas_stats s;
        struct bed *b = arg;

        cr_assert_eq(faas_client_stats(b->client, &s), 0, "%s", faas_error_text());
        return s.running == 2;
}

Test(tasks, queued_and_running_ones_can_be_cancelled) {
        const struct faas_task hang_task = {.function = "hang"};
        const struct faas_task after = {.function = "echo", .payload = "x", .payload_len = 1};
        struct faas_result r = FAAS_RESULT_INIT;
        enum faas_status status;
        struct faas_id ids[3];
        struct bed b;

        bed_open(&b);
        for (int i = 0; i < 3; i++)
                submit(&b, &hang_task, &ids[i]); /* two slots: the last one waits */
        cr_assert(th_until(running, &b, LONG_MS));
        for (int i = 2; i >= 0; i--) {
                cr_assert_eq(faas_cancel(b.client, &ids[i]), 0, "%s", faas_error_text());
                cr_assert_eq(faas_status(b.client, &ids[i], &status), 0);
                cr_assert_eq(status, FAAS_CANCELLED);
                cr_assert_eq(faas_wait(b.client, &ids[i], LONG_MS, &r), 0);
                cr_assert_eq(r.status, FAAS_CANCELLED);
        }
        run(&b, &after, &r); /* the slots are free again */
        cr_assert_eq(r.status, FAAS_COMPLETED);
        faas_result_clear(&r);
        bed_close(&b);
}

Test(tasks, one_that_nobody_can_run_waits) {
        const struct faas_task t = {.function = "nobody-has-it"};
        const struct faas_task other = {.function = "echo"};
        struct faas_result r = FAAS_RESULT_INIT;
        enum faas_status status;
        struct faas_id id;
        struct bed b;

        bed_open(&b);
        submit(&b, &t, &id);
        run(&b, &other, &r);
        cr_assert_eq(r.status, FAAS_COMPLETED);
        cr_assert_eq(faas_status(b.client, &id, &status), 0);
        cr_assert_eq(status, FAAS_QUEUED);
        cr_assert_eq(faas_cancel(b.client, &id), 0, "%s", faas_error_text());
        faas_result_clear(&r);
        bed_close(&b);
}

Test(tasks, a_killed_worker_costs_nothing_once_another_comes) {
        const struct faas_task t = {.function = "hang", .timeout_ms = 100, .max_strikes = 3};
        struct faas_result r = FAAS_RESULT_INIT;
        struct faas_id id;
        struct bed b;
        int status;

        if (local())
                return; /* its worker is the dispatcher's own */
        bed_open(&b);
        submit(&b, &t, &id);
        kill(b.worker, SIGKILL);
        cr_assert_eq(waitpid(b.worker, &status, 0), b.worker);
        b.worker = fork_one(&b, run_worker);
        cr_assert_eq(faas_wait(b.client, &id, LONG_MS, &r), 0, "%s", faas_error_text());
        cr_assert_eq(r.status, FAAS_FAILED);
        faas_result_clear(&r);
        bed_close(&b);
}
