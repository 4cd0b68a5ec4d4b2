/*
 * gearman.c - gearmand's part, by libgearman: foreground jobs, whose results come to the client
 *
 * With many in flight a task that is complete adds the next one, so that no worker waits for the
 * end of a batch.
 */
#include <libgearman/gearman.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "peer.h"

static gearman_client_st *client;
static struct {
        const struct peer_task *task;
        unsigned left, got; /* tasks to add; complete ones */
        int wrong;
} run;

static int parse_address(const char *address, char host[64]) {
        const char *colon = strrchr(address, ':');

        (void)snprintf(host, 64, "%.*s", (int)(colon - address), address);
        return atoi(colon + 1);
}

static int open_client(const char *address) {
        char host[64];
        int port = parse_address(address, host);

        client = gearman_client_create(NULL);
        if (!client || gearman_failed(gearman_client_add_server(client, host, (in_port_t)port)))
                return peer_fail(address, client ? gearman_client_error(client) : "no memory");
        gearman_client_add_options(client, GEARMAN_CLIENT_FREE_TASKS);
        return 0;
}

static void close_client(void) {
        if (client)
                gearman_client_free(client);
}

static int one(const struct peer_task *task) {
        gearman_return_t ret;
        size_t len;
        void *result = gearman_client_do(client, task->function, NULL, task->payload, task->len,
                                         &len, &ret);
        int right = gearman_success(ret) && peer_right(task, result, len);

        free(result);
        return right ? 0 : peer_fail("task", gearman_client_error(client));
}

static int add(void) {
        gearman_return_t ret;

        run.left--;
        (void)gearman_client_add_task(client, NULL, NULL, run.task->function, NULL,
                                      run.task->payload, run.task->len, &ret);
        return gearman_success(ret) ? 0 : peer_fail("add", gearman_client_error(client));
}

static gearman_return_t on_complete(gearman_task_st *t) {
        run.got++;
        run.wrong |= !peer_right(run.task, gearman_task_data(t), gearman_task_data_size(t));
        if (run.left && add())
                run.wrong = 1;
        return GEARMAN_SUCCESS;
}

static gearman_return_t on_fail(gearman_task_st *t) {
        (void)t;
        run.wrong = 1;
        return GEARMAN_SUCCESS;
}

static int many(const struct peer_task *task, unsigned n, unsigned in_flight) {
        run.task = task;
        run.left = n;
        run.got = 0;
        gearman_client_set_complete_fn(client, on_complete);
        gearman_client_set_fail_fn(client, on_fail);
        while (run.left && n - run.left < in_flight)
                if (add())
                        return 1;
        if (gearman_failed(gearman_client_run_tasks(client)))
                return peer_fail("run", gearman_client_error(client));
        return !run.wrong && run.got == n ? 0 : peer_fail("result", "lost, or not what was sent");
}

/* The result is returned: that is one packet less than sending it as data. */
static void *echo(gearman_job_st *job, void *context, size_t *len, gearman_return_t *ret) {
        void *copy;

        (void)context;
        *len = gearman_job_workload_size(job);
        copy = malloc(*len);
        *ret = copy ? GEARMAN_SUCCESS : GEARMAN_MEMORY_ALLOCATION_FAILURE;
        if (copy)
                memcpy(copy, gearman_job_workload(job), *len);
        return copy;
}

static void *doze(gearman_job_st *job, void *context, size_t *len, gearman_return_t *ret) {
        (void)context;
        peer_sleep(gearman_job_workload(job), gearman_job_workload_size(job));
        *len = 0;
        *ret = GEARMAN_SUCCESS;
        return NULL;
}

static int work(const char *address) {
        gearman_worker_st *w = gearman_worker_create(NULL);
        gearman_return_t ret = GEARMAN_SUCCESS;
        char host[64];
        int port = parse_address(address, host);

        if (!w || gearman_failed(gearman_worker_add_server(w, host, (in_port_t)port)) ||
            gearman_failed(gearman_worker_add_function(w, "echo", 0, echo, NULL)) ||
            gearman_failed(gearman_worker_add_function(w, "sleep", 0, doze, NULL)))
                return peer_fail(address, w ? gearman_worker_error(w) : "no memory");
        while (gearman_success(ret))
                ret = gearman_worker_work(w);
        return peer_fail("work", gearman_worker_error(w));
}

int main(int argc, char **argv) {
        static const struct peer gearman = {.name = "gearmand",
                                            .open = open_client,
                                            .one = one,
                                            .many = many,
                                            .close = close_client,
                                            .work = work,
                                            .sleeps = 1};

        return peer_main(argc, argv, &gearman);
}
