/*
 * custom-main.c - a dispatcher, a worker and a client over the transport of custom-transport.c
 *
 *   custom-transport PATH      the worker comes by unix://PATH; prints HELLO
 *
 * Each process that uses the transport registers it: the dispatcher names it, the worker finds it
 * by the scheme of its URL.  The client needs none of it, and comes by the dispatcher's door.
 */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <faas/faas.h>

#include "custom-transport.h"

static int shout(struct faas_call *call) {
        size_t len;
        const char *in = faas_call_payload(call, &len);
        char *out = faas_call_reserve(call, len);

        for (size_t i = 0; out && i < len; i++)
                out[i] = (char)toupper((unsigned char)in[i]);
        return out ? 0 : faas_call_fail(call, "no memory for %zu bytes", len);
}

static const struct faas_function functions[] = {{"shout", shout}, {NULL, NULL}};

static int fail(const char *what) {
        fprintf(stderr, "custom-transport: %s: %s\n", what, faas_error_text());
        return 1;
}

/* Both run until the pipe's other end is closed. */
static int dispatcher(const char *door, const char *workers, int stop_fd) {
        struct faas_dispatcher_cfg cfg = FAAS_DISPATCHER_CFG_INIT;

        cfg.transport = "pipes";
        cfg.listen = door;
        cfg.workers = workers;
        cfg.stop_fd = stop_fd;
        return faas_dispatcher_run(&cfg) ? fail("dispatcher") : 0;
}

static int worker(const char *url, int stop_fd) {
        struct faas_worker_cfg cfg = FAAS_WORKER_CFG_INIT;

        cfg.url = url;
        cfg.n_slots = 1;
        cfg.functions = functions;
        cfg.stop_fd = stop_fd;
        return faas_worker_run(&cfg) ? fail("worker") : 0;
}

static int client(const char *door) {
        struct faas_task t = {.function = "shout", .payload = "hello", .payload_len = 5};
        struct faas_result r = FAAS_RESULT_INIT;
        struct faas_client *c = NULL;
        struct faas_id id;

        if (faas_client_open(&c, door, NULL, NULL) || faas_submit(c, &t, &id) ||
            faas_wait(c, &id, 10000, &r)) {
                faas_client_close(c);
                return fail("client");
        }
        printf("%.*s\n", (int)r.payload_len, (const char *)r.payload);
        faas_result_clear(&r);
        faas_client_close(c);
        return 0;
}

int main(int argc, char **argv) {
        char workers[128], door[128];
        int stop[2], status, r;

        if (argc != 2) {
                fprintf(stderr, "usage: custom-transport PATH\n");
                return 2;
        }
        snprintf(workers, sizeof(workers), "unix://%s", argv[1]);
        snprintf(door, sizeof(door), "ipc://%s.door", argv[1]);
        if (faas_transport_register(&pipes_ops, NULL) || pipe(stop))
                return fail("start");
        for (int i = 0; i < 2; i++) {
                pid_t pid = fork();
                if (pid < 0)
                        return fail("fork");
                if (pid == 0) {
                        close(stop[1]);
                        _exit(i ? worker(workers, stop[0]) : dispatcher(door, workers, stop[0]));
                }
        }
        r = client(door);
        fflush(stdout);
        close(stop[1]); /* both end now */
        while (wait(&status) > 0)
                if (status)
                        r = 1;
        return r;
}
