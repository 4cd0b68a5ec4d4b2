/*
 * ours.c - libfaas's part of the comparison: the public headers alone
 *
 * "local:4" brings its slots along; a dispatcher's workers have the same two functions built in.
 * "map:" before an address: many tasks are inputs of faas_map(), in flight is the chunk's size.
 */
#include <errno.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <faas/faas.h>

#include "peer.h"

#define CHUNK 4096 /* at most: a quarter of what is in flight, as with the other systems */
#define PATIENCE_MS 60000

static struct faas_client *client;
static int mapped;
static struct faas_result result = FAAS_RESULT_INIT;

static int fail(const char *what) {
        return peer_fail(what, faas_error_text());
}

static int echo(struct faas_call *call) {
        size_t len;
        const void *in = faas_call_payload(call, &len);
        void *out = faas_call_reserve(call, len);

        if (!out)
                return 1;
        memcpy(out, in, len);
        return 0;
}

static int doze(struct faas_call *call) {
        size_t len;
        const void *in = faas_call_payload(call, &len);

        peer_sleep(in, len);
        return 0;
}

static const struct faas_function functions[] = {{"echo", echo}, {"sleep", doze}, {NULL, NULL}};

/* Slots of a dispatcher's workers that are to be there: "URL#4". */
static int await(const char *hash) {
        struct faas_stats s = {0};
        unsigned n = 1;

        if (hash)
                (void)sscanf(hash, "#%u", &n);
        while (s.slots < n)
                if (faas_client_stats(client, &s))
                        return fail("stats");
        return 0;
}

static int open_client(const char *address) {
        const char *hash = strchr(address, '#');
        char url[256];

        mapped = strncmp(address, "map:", 4) == 0;
        address += 4 * mapped;
        int local = strncmp(address, "local:", 6) == 0;
        (void)snprintf(url, sizeof(url), "%.*s", (int)strcspn(address, "#"), address);
        if (faas_client_open(&client, url, local ? functions : NULL, NULL))
                return fail(url);
        return local ? 0 : await(hash);
}

static void close_client(void) {
        faas_result_clear(&result);
        client = faas_client_close(client);
}

static int check(const struct peer_task *task) {
        if (result.status == FAAS_COMPLETED && peer_right(task, result.payload, result.payload_len))
                return 0;
        return peer_fail("result", "not what was sent");
}

static int one(const struct peer_task *task) {
        const struct faas_task t = {
                .function = task->function, .payload = task->payload, .payload_len = task->len};
        struct faas_id id;

        if (faas_submit(client, &t, &id) || faas_wait(client, &id, PATIENCE_MS, &result))
                return fail("one task");
        return check(task);
}

/* Takes one result, and all that are there with it. */
static int take(const struct peer_task *task, unsigned *got) {
        int r = faas_wait_any(client, PATIENCE_MS, &result);

        if (r)
                return fail("wait");
        for (; r == 0; r = faas_wait_any(client, 0, &result)) {
                if (check(task))
                        return 1;
                ++*got;
        }
        return r == FAAS_E_AGAIN || r == FAAS_E_NOENT ? 0 : fail("wait");
}

static int check_input(void *userdata, size_t index, const struct faas_result *r) {
        const struct peer_task *task = userdata;

        return r->status != FAAS_COMPLETED || !peer_right(task, r->payload, r->payload_len);
}

static int map(const struct peer_task *task, unsigned n, unsigned chunk) {
        const struct faas_task t = {.function = task->function};
        struct faas_input *inputs = calloc(n, sizeof(*inputs));
        int r = inputs ? 0 : -ENOMEM;

        for (unsigned i = 0; inputs && i < n; i++)
                inputs[i] = (struct faas_input){task->payload, task->len};
        if (r == 0)
                r = faas_map(client, &t, inputs, n, chunk, check_input, (void *)(uintptr_t)task);
        free(inputs);
        return r ? fail("map") : 0;
}

static int many(const struct peer_task *task, unsigned n, unsigned in_flight) {
        static struct faas_task tasks[CHUNK];
        unsigned chunk = in_flight / 4 ? in_flight / 4 : 1, sent = 0, got = 0;

        if (mapped)
                return map(task, n, in_flight);
        chunk = chunk < CHUNK ? chunk : CHUNK;
        for (int i = 0; i < CHUNK; i++)
                tasks[i] = (struct faas_task){.function = task->function,
                                              .payload = task->payload,
                                              .payload_len = task->len};
        while (got < n) {
                while (sent < n && sent - got + chunk <= in_flight) {
                        unsigned k = n - sent < chunk ? n - sent : chunk;
                        if (faas_submit_many(client, tasks, k, NULL, NULL))
                                return fail("submit");
                        sent += k;
                }
                if (take(task, &got))
                        return 1;
        }
        return 0;
}

int main(int argc, char **argv) {
        static const struct peer ours = {.name = "libfaas",
                                         .open = open_client,
                                         .one = one,
                                         .many = many,
                                         .close = close_client,
                                         .sleeps = 1};

        return peer_main(argc, argv, &ours);
}
