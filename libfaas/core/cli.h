/*
 * cli.h - the client machine: submits until accepted, waits until told, survives its dispatcher
 *
 * Pure, as disp.h.  It knows one dispatcher or several, talks with one at a time, and goes on with
 * another when that one falls silent: what was not acknowledged is submitted again with the same id
 * and bytes, what was acknowledged is asked for.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "model/event.h"
#include "model/outbox.h"
#include "model/report.h"
#include "model/spec.h"

struct fa_cli;

struct fa_cli_cfg {
        uint64_t incarnation;  /* random, never 0 */
        uint32_t window_tasks; /* open or not taken yet */
        uint64_t window_bytes; /* of their payloads and results */
        uint64_t lost_ns; /* an acknowledged task that stays unknown for so long is LOST; 0: 1 s */
        uint64_t
                done_ttl_ns; /* a finished task that nobody takes is forgotten after it; 0: never */
        uint64_t seed;
};

/* A finished task, taken out of the machine. */
struct fa_cli_done {
        struct faas_id id;
        struct fa_outcome outcome; /* the taker owns it */
        uint32_t strikes;
};

int fa_cli_new(struct fa_cli **ret, const struct fa_cli_cfg *cfg);
struct fa_cli *fa_cli_free(struct fa_cli *c); /* NULL is fine; returns NULL */

/* A way to a dispatcher, which the shell calls key.  The first one is tried first. */
int fa_cli_connect(struct fa_cli *c, uint64_t key, uint64_t now_ns);

int fa_cli_input(struct fa_cli *c, const struct fa_event *ev, uint64_t now_ns);
void fa_cli_tick(struct fa_cli *c, uint64_t now_ns);
uint64_t fa_cli_deadline(const struct fa_cli *c);
struct fa_outbox *fa_cli_outbox(struct fa_cli *c);

/*
 * Queues a task; it (a valid SUBMIT item) is copied but for its payload, which is referenced.  0,
 * also for a task that is mine already; FAAS_E_AGAIN the window is full; FAAS_E_EXISTS the id is
 * one of mine, for other bytes (known until it is done); -ENOMEM.
 */
int fa_cli_submit(struct fa_cli *c, const struct fa_item *it, uint64_t now_ns);

/* As many tasks as the window takes: only fa_cli_take() makes room. */
bool fa_cli_full(const struct fa_cli *c);

/* Bytes that count against the window. */
uint64_t fa_cli_bytes(const struct fa_cli *c);

/* 0 accepted (or done already); FAAS_E_AGAIN not answered yet; FAAS_E_NOENT not mine; else why it
 * was refused, and it is forgotten. */
int fa_cli_accepted(struct fa_cli *c, const struct faas_id *id);
size_t fa_cli_unanswered(const struct fa_cli *c); /* submits without an answer, and refused ones */
size_t fa_cli_refused(const struct fa_cli *c);

/* Takes a finished task out: the one named, or with NULL the one that ended first. 0; FAAS_E_AGAIN
 * not done; FAAS_E_NOENT not mine (with NULL: nothing open, nothing done). */
int fa_cli_take(struct fa_cli *c, const struct faas_id *id, struct fa_cli_done *ret);
bool fa_cli_has_done(const struct fa_cli *c);

/* What I know of a task without asking: enum faas_status, or FA_STATE_NOT_FOUND: not mine. */
uint8_t fa_cli_peek(const struct fa_cli *c, const struct faas_id *id, struct fa_cli_done *ret_ref);

/*
 * Asks the dispatcher: the state of any task, its result too if with_result, after cancelling it if
 * cancel.  One question at a time.  fa_cli_answer(): FAAS_E_AGAIN not answered yet; 0: *ret_state,
 * and *ret (may be NULL) owned by the caller.
 */
int fa_cli_ask(struct fa_cli *c,
               const struct faas_id *id,
               bool with_result,
               bool cancel,
               uint64_t now_ns);
int fa_cli_answer(struct fa_cli *c, uint8_t *ret_state, struct fa_cli_done *ret);

/*
 * Forgets a submit that has not been answered, because its caller stops waiting.  0: it never left,
 * and is not queued anywhere; FAAS_E_UNKNOWN: it was sent, so it stays and goes on, and if it is
 * refused then it is forgotten a second later; FAAS_E_NOENT.
 */
int fa_cli_withdraw(struct fa_cli *c, const struct faas_id *id);

/* Is a dispatcher there that knows me? */
bool fa_cli_ready(const struct fa_cli *c);

/* Why the dispatcher sent me away (DISCONNECT with a reason) since the last WELCOME: FAAS_E_, and
 * its text, valid until the next input; 0: it did not. */
int fa_cli_refusal(const struct fa_cli *c, const char **ret_text);

/* Tells the dispatcher goodbye. */
void fa_cli_goodbye(struct fa_cli *c);

/*
 * Asks the dispatcher for its numbers (what: FA_QUERY_STATS) or its workers (FA_QUERY_WORKERS), as
 * fa_cli_ask().  fa_cli_report(): FAAS_E_AGAIN not (fully) answered yet; 0: *ret, owned by the
 * caller (fa_report_deinit()).
 */
int fa_cli_query(struct fa_cli *c, uint8_t what, uint64_t now_ns);
int fa_cli_report(struct fa_cli *c, struct fa_report *ret);

/* Tasks submitted and not done. */
size_t fa_cli_open_count(const struct fa_cli *c);
