/* pool.h - a pool under test: open it, give it tasks, wait for its events */
#pragma once

#include <criterion/criterion.h>

#include <faas/error.h>

#include "base/clock.h"
#include "base/macros.h"
#include "exec/slots.h"

/* All that can go wrong in a function, one name each; see functions.c. */
extern const struct faas_function bad_functions[];

/* What function "mark" writes, in shared memory that was there before the pool. */
struct pool_mark {
        _Atomic unsigned starts, ends;
};
extern struct pool_mark *pool_marks;

#define WAIT_MS 20000

struct pool {
        struct fa_slots *s;
        unsigned n;
};

/* A pool of bad_functions, all slots up. */
void pool_open(struct pool *p, unsigned n_slots);
void pool_open_cfg(struct pool *p, const struct fa_slots_cfg *cfg);
void pool_wait_up(struct pool *p, unsigned n);

/* Queues without writing; text is the payload. */
uint32_t pool_queue(struct pool *p, unsigned slot, const char *function, const char *text);
uint32_t pool_queue_timed(struct pool *p, unsigned slot, const char *function, uint32_t timeout_ms);
/* The same and writes. */
uint32_t pool_give(struct pool *p, unsigned slot, const char *function, const char *text);

/* The next event, which must come. */
struct fa_slot_event pool_next(struct pool *p);
/* The next event, which must be of this kind. */
struct fa_slot_event pool_expect(struct pool *p, enum fa_slot_event_kind kind);
/* The next event is the death of a slot that was running seq. */
struct fa_slot_event pool_expect_down(struct pool *p, uint32_t seq, enum faas_failure failure);
/* The pool still works: slot 0 comes up again and echoes. */
void pool_expect_alive(struct pool *p);

/* A text that lives until the next call. */
const char *outcome_text(const struct fa_slot_event *ev);

/* Waits for a file to have a line; its first number. */
long read_number(const char *path);
bool file_exists(const char *path);
