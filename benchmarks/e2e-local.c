/*
 * e2e-local.c - no-op tasks through "local:": how many a second, and how long one takes alone
 *
 * Uses the public headers only.  One JSON line per run on standard output, prose on standard error.
 *
 *   e2e-local [--smoke] [--slots N] [--tasks N] [--single N] [--chunk N]
 *
 * --smoke: few tasks, for tests; --single: tasks one at a time for the median, 0: none; --chunk:
 * the tasks are inputs of one faas_map() with chunks of so many.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <faas/faas.h>

#include "alone.h"
#include "limit.h"

#define CHUNK 256
#define IN_FLIGHT 4096 /* enough to keep all slots busy, little enough to stay in the caches */

static int same(struct faas_call *call) {
        size_t len;
        const void *in = faas_call_payload(call, &len);
        void *out = faas_call_reserve(call, len);

        if (!out)
                return 1;
        memcpy(out, in, len);
        return 0;
}

static const struct faas_function functions[] = {{"same", same}, {NULL, NULL}};

static int fail(const char *what) {
        fprintf(stderr, "e2e-local: %s: %s\n", what, faas_error_text());
        return 1;
}

/* All n tasks, at most IN_FLIGHT at a time. */
static int run_many(struct faas_client *c, unsigned n) {
        static struct faas_task tasks[CHUNK];
        static const char payload[16] = "0123456789abcde";
        struct faas_result r = FAAS_RESULT_INIT;
        unsigned sent = 0, got = 0;

        for (int i = 0; i < CHUNK; i++)
                tasks[i] = (struct faas_task){
                        .function = "same", .payload = payload, .payload_len = sizeof(payload)};
        while (got < n) {
                while (sent < n && sent - got + CHUNK <= IN_FLIGHT) {
                        unsigned k = n - sent < CHUNK ? n - sent : CHUNK;
                        if (faas_submit_many(c, tasks, k, NULL, NULL))
                                return fail("submit");
                        sent += k;
                }
                if (faas_wait_any(c, -1, &r))
                        return fail("wait");
                if (r.status != FAAS_COMPLETED || r.payload_len != sizeof(payload) ||
                    memcmp(r.payload, payload, sizeof(payload)) != 0)
                        return fail("a wrong result");
                got++;
        }
        faas_result_clear(&r);
        return 0;
}

static int check_result(void *userdata, size_t index, const struct faas_result *r) {
        unsigned *n = userdata;

        (*n)++;
        return r->status != FAAS_COMPLETED || r->payload_len != 16 ||
               memcmp(r->payload, "0123456789abcde", 16) != 0;
}

/* All n as inputs of one faas_map(). */
static int run_map(struct faas_client *c, unsigned n, unsigned chunk) {
        static const char payload[16] = "0123456789abcde";
        const struct faas_task task = {.function = "same"};
        struct faas_input *inputs = calloc(n, sizeof(*inputs));
        unsigned got = 0;

        for (unsigned i = 0; inputs && i < n; i++)
                inputs[i] = (struct faas_input){payload, sizeof(payload)};
        if (!inputs || faas_map(c, &task, inputs, n, chunk, check_result, &got) || got != n)
                return fail("map");
        free(inputs);
        return 0;
}

static int run(struct faas_client *c, unsigned n, unsigned chunk) {
        return chunk ? run_map(c, n, chunk) : run_many(c, n);
}

int main(int argc, char **argv) {
        unsigned slots = 4, n = 1000000, single = 10000, chunk = 0;
        struct faas_client *c = NULL;
        const struct faas_task task = {
                .function = "same", .payload = "0123456789abcde", .payload_len = 16};
        struct alone alone;
        double start, seconds, cpu;
        char url[32]; /* "local:" and a number */

        for (int i = 1; i < argc; i++) {
                if (strcmp(argv[i], "--smoke") == 0) {
                        n = 2000;
                        single = 20;
                } else if (i + 1 < argc && strcmp(argv[i], "--slots") == 0) {
                        slots = (unsigned)strtoul(argv[++i], NULL, 10);
                } else if (i + 1 < argc && strcmp(argv[i], "--tasks") == 0) {
                        n = (unsigned)strtoul(argv[++i], NULL, 10);
                } else if (i + 1 < argc && strcmp(argv[i], "--single") == 0) {
                        single = (unsigned)strtoul(argv[++i], NULL, 10);
                } else if (i + 1 < argc && strcmp(argv[i], "--chunk") == 0) {
                        chunk = (unsigned)strtoul(argv[++i], NULL, 10);
                } else {
                        fprintf(stderr, "usage: e2e-local [--smoke] [--slots N] [--tasks N] "
                                        "[--single N] [--chunk N]\n");
                        return 2;
                }
        }
        (void)snprintf(url, sizeof(url), "local:%u", slots);
        if (faas_client_open(&c, url, functions, NULL))
                return fail(url);
        if (run(c, n / 10 + 1, chunk)) /* warm */
                return 1;
        cpu = alone_machine_cpu();
        start = limit_now();
        if (run(c, n, chunk))
                return 1;
        seconds = limit_now() - start;
        cpu = alone_machine_cpu() - cpu;
        if (alone_run(c, &task, single, &alone))
                return 1;
        faas_client_close(c);
        printf("{\"bench\": \"e2e-local\", \"version\": \"%s\", \"slots\": %u, \"tasks\": %u, "
               "\"chunk\": %u, \"bytes\": 16, \"seconds\": %.4f, \"tasks_per_s\": %.0f, "
               "\"cpu_us\": %.2f, ",
               faas_version(), slots, n, chunk, seconds, n / seconds, cpu * 1e6 / n);
        alone_print(&alone);
        printf("}\n");
        return 0;
}
