/*
 * bench.h - one dispatcher machine with a memory store, on a clock that the test moves
 *
 * The test plays clients and workers: it says messages, and looks at those that come back.  Nothing
 * waits, nothing is lost.
 */
#pragma once

#include "base/clock.h"
#include "core/disp.h"
#include "store/memory.h"

struct bench {
        struct fa_disp *d;
        struct fa_memory *store;
        uint64_t now_ns;
        struct heard { /* all that the dispatcher said, oldest first */
                uint64_t to;
                struct fa_msg *m;
        } v[4096];
        size_t n, at; /* at: what the test has not taken yet */
        bool store_stands;
};

void bench_start(struct bench *b, const struct fa_disp_cfg *cfg);
void bench_end(struct bench *b);

/* Says it as this peer; the message is the caller's.  All that follows from it happens. */
void bench_say(struct bench *b, uint64_t peer, struct fa_msg *m);
void bench_event(struct bench *b, const struct fa_event *ev);
void bench_settle(struct bench *b);

/* The next message of this type to this peer, skipping others; NULL: none.  The bench's. */
const struct fa_msg *bench_take(struct bench *b, uint64_t peer, enum fa_msg_type type);
/* How many items messages of this type to this peer had since the last call. */
size_t bench_count(struct bench *b, uint64_t peer, enum fa_msg_type type);

void bench_hello(struct bench *b, uint64_t peer, enum fa_role role, const char *name);
/* A worker of the function "f"; the session is 1. */
void bench_register(struct bench *b, uint64_t peer, uint32_t n_slots, uint32_t grant);
void bench_request(struct bench *b, uint64_t peer, uint32_t grant);
/* Submits task number id with so many bytes. */
void bench_submit(struct bench *b, uint64_t peer, uint8_t id, size_t len);
/* Its end: the item of TASK. */
void bench_result(struct bench *b, uint64_t peer, const struct fa_item *task, uint32_t grant);
