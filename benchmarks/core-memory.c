/*
 * core-memory.c - what a queued task costs in the dispatcher machine
 *
 * Prints one JSON line: the growth of the heap for each of 1,000,000 tasks of 16 bytes that one
 * client submits and that wait, map included, and the CPU time that each took.  The store answers
 * and keeps nothing.
 */
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "base/clock.h"
#include "core/disp.h"

static struct fa_disp *d;

static void answer(uint64_t now_ns) {
        struct fa_group *g;
        struct fa_msg *m;
        uint64_t to;

        while ((g = fa_disp_group(d))) {
                struct fa_event ev = {.kind = FA_EV_GROUP, .group = g};
                struct fa_op *op = &g->ops[0];
                if (op->kind == FA_OP_START) {
                        op->owner = 1;
                        op->more->owned = calloc(1, sizeof(*op->more->owned));
                        op->more->n_owned = 1;
                        op->more->owned[0] = (struct fa_owned){1, 1, 1};
                }
                (void)fa_disp_input(d, &ev, now_ns);
                fa_group_free(g);
        }
        while (fa_outbox_pop(fa_disp_outbox(d), &to, &m))
                fa_msg_free(m);
}

static void say(struct fa_msg *m) {
        struct fa_event ev = {.kind = FA_EV_MSG, .peer = 1, .msg = m};

        (void)fa_disp_input(d, &ev, 1);
        answer(1);
}

static double now(void) {
        struct timespec ts;

        clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
        return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

static size_t used(void) {
        struct mallinfo2 m = mallinfo2();

        return m.uordblks + m.hblkhd;
}

static void submit(uint64_t n) {
        struct fa_item items[64];
        struct fa_msg m = {.type = FA_MSG_SUBMIT, .items = items};

        memset(items, 0, sizeof(items));
        for (; m.n_items < 64; m.n_items++) {
                struct fa_item *it = &items[m.n_items];
                uint64_t v[2] = {n * UINT64_C(0x9e3779b97f4a7c15), n};
                memcpy(it->id.b, v, sizeof(v));
                it->function = (struct fa_slice){(const uint8_t *)"function", 8};
                if (fa_blob_new(&it->payload, v, sizeof(v)))
                        abort();
                n++;
        }
        say(&m);
        for (uint32_t i = 0; i < m.n_items; i++)
                fa_blob_unref(items[i].payload);
}

int main(int argc, char **argv) {
        uint64_t n = argc > 1 && strcmp(argv[1], "--smoke") == 0 ? 1024 : 1000000;
        const struct fa_disp_cfg cfg = {.name = "a",
                                        .heartbeat_ns = FA_NEVER,
                                        .tick_ns = FA_NEVER,
                                        .hint_after_ns = FA_NEVER,
                                        .window_tasks = UINT32_MAX,
                                        .window_bytes = UINT64_MAX / 4,
                                        .seed = 1};
        struct fa_msg hello = {.type = FA_MSG_HELLO, .role = FA_ROLE_CLIENT, .from = 7};
        struct fa_disp_stats s;
        size_t before;
        double t;

        if (fa_disp_new(&d, &cfg))
                abort();
        answer(1);
        say(&hello);
        submit(n * 2); /* what is made once */
        before = used();
        t = now();
        for (uint64_t i = 0; i < n; i += 64)
                submit(i);
        t = now() - t;
        fa_disp_stats(d, &s);
        printf("{\"benchmark\":\"core-memory\",\"queued\":%llu,\"bytes_per_task\":%.1f,"
               "\"submit_ns\":%.0f}\n",
               (unsigned long long)s.n_queued, (double)(used() - before) / (double)n,
               t * 1e9 / (double)n);
        fa_disp_free(d);
        return 0;
}
