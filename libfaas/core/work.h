/*
 * work.h - the worker machine: holds hand-outs, feeds slots, keeps results until they are answered
 *
 * Pure, as disp.h.  It talks with one dispatcher or several (a link each) and with n slots; the
 * shell carries messages and slot operations.  It never runs user code and never waits for it, so
 * it beats while its functions run for an hour.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "model/event.h"
#include "model/outbox.h"

struct fa_work;

struct fa_work_cfg {
        uint64_t incarnation; /* random, never 0: this process among all */
        unsigned n_slots;
        const char *const *functions; /* names, valid as long as the machine */
        size_t n_functions;
        const char *name;  /* told in HELLO, for people; copied; NULL: "" */
        uint64_t retry_ns; /* HELLO and unanswered results are sent again after so long; 0: 1 s */
        uint64_t seed;     /* random: hash table */
};

enum fa_work_op_kind { FA_WORK_RUN, FA_WORK_RECALL, FA_WORK_KILL };

/* What the shell shall do with a slot; pointers are valid until the next input. */
struct fa_work_op {
        enum fa_work_op_kind kind;
        unsigned slot;
        const struct faas_id *id;
        const char *function;
        struct fa_blob *payload;
        uint32_t timeout_ms;
};

int fa_work_new(struct fa_work **ret, const struct fa_work_cfg *cfg);
struct fa_work *fa_work_free(struct fa_work *w); /* NULL is fine; returns NULL */

/* A connection to a dispatcher, which the shell calls key, is there: HELLO goes out. 0, -ENOMEM,
 * FAAS_E_LIMIT. */
int fa_work_connect(struct fa_work *w, uint64_t key, uint64_t now_ns);

/* 0 or -EINVAL; lack of memory acts as a lost message. */
int fa_work_input(struct fa_work *w, const struct fa_event *ev, uint64_t now_ns);
void fa_work_tick(struct fa_work *w, uint64_t now_ns);
uint64_t fa_work_deadline(const struct fa_work *w);

/* The next operation for a slot, in order; false: none.  Take all of them before the next input. */
bool fa_work_pop(struct fa_work *w, struct fa_work_op *ret);

struct fa_outbox *fa_work_outbox(struct fa_work *w);

/*
 * Takes no more tasks and gives back what has not started.  true once nothing is held any more, or
 * only results, and no dispatcher was there for interval x liveness, or a second if that is longer.
 */
bool fa_work_drain(struct fa_work *w, uint64_t now_ns);

/* Tells every dispatcher goodbye: DISCONNECT 0. */
void fa_work_goodbye(struct fa_work *w);

struct fa_work_stats {
        uint64_t completed, failed; /* results made */
        uint64_t stale;             /* results refused: they came too late */
        uint64_t n_open;            /* dispatchers that I am registered with */
};
void fa_work_stats(const struct fa_work *w, struct fa_work_stats *ret);

/* Hand-outs held: waiting, in slots, results not answered. */
size_t fa_work_held(const struct fa_work *w);
