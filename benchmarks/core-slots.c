/*
 * core-slots.c - what the pool of slots alone can do: no core, no store, no network
 *
 * Prints one JSON line: no-ops per second with 16 bytes of payload through 4 slots, up to 64 tasks
 * outstanding per slot, and the time from submit to result with one task in flight.
 */
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <faas/error.h>

#include "base/clock.h"
#include "base/macros.h"
#include "exec/slots.h"

#define N_SLOTS 4

struct bench {
        struct fa_slots *slots;
        struct fa_blob *payload;
        struct faas_id id;
        unsigned busy[N_SLOTS]; /* tasks outstanding */
        unsigned n_up;
};

static int noop(struct faas_call *call) {
        return 0;
}

static int echo16(struct faas_call *call) {
        size_t len;
        const void *in = faas_call_payload(call, &len);
        void *out = faas_call_reserve(call, len);

        if (!out)
                return 1;
        memcpy(out, in, len);
        return 0;
}

static const struct faas_function functions[] = {{"noop", noop}, {"echo", echo16}, {NULL, NULL}};

static void die(const char *what, int r) {
        fprintf(stderr, "core-slots: %s: %s (%s)\n", what, faas_strerror(r), faas_error_text());
        exit(1);
}

static void give(struct bench *b, unsigned slot, const char *function) {
        struct fa_slot_task t = {.id = &b->id, .function = function, .payload = b->payload};
        uint32_t seq;
        int r = fa_slots_run(b->slots, slot, &t, &seq);

        if (r != 0)
                die("run", r);
        b->busy[slot]++;
}

/* Takes all events that are there; returns how many results came. */
static unsigned take(struct bench *b) {
        struct fa_slot_event ev;
        unsigned n = 0;
        int r;

        while ((r = fa_slots_next(b->slots, &ev)) == 0) {
                if (ev.kind == FA_SLOT_UP)
                        b->n_up++;
                if (ev.kind == FA_SLOT_DOWN || ev.outcome.status == FAAS_FAILED)
                        die("a slot went down or a task failed", 0);
                if (ev.kind == FA_SLOT_RESULT) {
                        b->busy[ev.slot]--;
                        n++;
                }
                fa_outcome_deinit(&ev.outcome);
        }
        if (r != FAAS_E_AGAIN)
                die("next", r);
        return n;
}

static void wait_input(struct bench *b) {
        struct pollfd p = {fa_slots_fd(b->slots), POLLIN, 0};

        (void)poll(&p, 1, fa_poll_ms(fa_slots_deadline(b->slots), fa_now()));
}

static double throughput(struct bench *b, const char *function, unsigned n_tasks, unsigned window) {
        unsigned given = 0;
        unsigned done = 0;
        uint64_t start_ns = fa_now();

        while (done < n_tasks) {
                for (unsigned i = 0; i < N_SLOTS; i++)
                        for (; b->busy[i] < window && given < n_tasks; given++)
                                give(b, i, function);
                fa_slots_flush(b->slots);
                unsigned n = take(b);
                if (n == 0)
                        wait_input(b);
                done += n;
        }
        return n_tasks * 1e9 / (double)(fa_now() - start_ns);
}

static int compare(const void *a, const void *b) {
        uint64_t x = *(const uint64_t *)a;
        uint64_t y = *(const uint64_t *)b;

        return (x > y) - (x < y);
}

static void latency(struct bench *b, unsigned n, double *ret_p50_us, double *ret_p99_us) {
        uint64_t *v = calloc(n, sizeof(*v));

        if (!v)
                die("calloc", 0);
        for (unsigned i = 0; i < n; i++) {
                uint64_t start_ns = fa_now();

                give(b, 0, "echo");
                fa_slots_flush(b->slots);
                while (take(b) == 0)
                        wait_input(b);
                v[i] = fa_now() - start_ns;
        }
        qsort(v, n, sizeof(*v), compare);
        *ret_p50_us = (double)v[n / 2] / 1e3;
        *ret_p99_us = (double)v[n - 1 - n / 100] / 1e3;
        free(v);
}

int main(int argc, char **argv) {
        bool smoke = argc > 1 && strcmp(argv[1], "--smoke") == 0;
        unsigned n = smoke ? 2000 : 3000000;
        struct fa_slots_cfg cfg = {.n_slots = N_SLOTS, .functions = functions};
        struct bench b = {.n_up = 0};
        double p50_us;
        double p99_us;

        int r = fa_slots_open(&b.slots, &cfg);
        if (r != 0)
                die("open", r);
        if (fa_blob_new(&b.payload, "0123456789abcdef", 16) < 0)
                die("blob", 0);
        while (b.n_up < N_SLOTS) {
                (void)take(&b);
                if (b.n_up < N_SLOTS)
                        wait_input(&b);
        }
        (void)throughput(&b, "noop", n / 10, 64); /* warm-up */
        double noop_64 = throughput(&b, "noop", n, 64);
        double echo_64 = throughput(&b, "echo", n, 64);
        double noop_256 = throughput(&b, "noop", n, 256);
        latency(&b, smoke ? 100 : 20000, &p50_us, &p99_us);
        printf("{\"bench\":\"core-slots\",\"slots\":%d,\"payload\":16,\"tasks\":%u,"
               "\"noop_per_s_window_64\":%.0f,\"echo_per_s_window_64\":%.0f,"
               "\"noop_per_s_window_256\":%.0f,\"one_in_flight_p50_us\":%.2f,"
               "\"one_in_flight_p99_us\":%.2f}\n",
               N_SLOTS, n, noop_64, echo_64, noop_256, p50_us, p99_us);
        fa_blob_unref(b.payload);
        fa_slots_close(b.slots);
        return 0;
}
