/*
 * disp.h - the dispatcher machine: takes tasks in, keeps their order, hands them out, ends them
 * once
 *
 * Pure: no clock, no fd, no randomness.  The shell gives it events and the time, and carries away
 * groups for the store and messages for peers.  It never tells anybody of a change before the group
 * that makes it durable was answered (commit, then send).
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "model/event.h"
#include "model/outbox.h"

struct fa_disp;

/* A member left 0 takes the default in brackets. */
struct fa_disp_cfg {
        char name[FA_NAME_MAX + 1]; /* of this dispatcher; a restart under it takes over at once */
        char endpoint[FA_ENDPOINT_MAX]; /* where peers reach it */
        uint64_t was_epoch;    /* this process was this one before, and was fenced; [0] it is new */
        uint8_t mode;          /* FA_MODE_ */
        uint64_t heartbeat_ns; /* [1 s] beat when silent for so long; FA_NEVER: no beats, no
                                  judgement */
        uint32_t liveness;     /* [3] dead after so many of these */
        uint32_t window_tasks; /* [1,048,576] of each client */
        uint64_t window_bytes; /* [512 MiB] */
        uint64_t tick_ns;      /* [1 s] lease renewals; FA_NEVER: the store is mine alone */
        uint32_t lease_ticks;  /* [3] */
        uint32_t max_strikes;  /* [3] for tasks that do not say */
        uint64_t retain_ns; /* [0] a final task is kept so long, because the store may lose its tail
                             */
        uint32_t max_groups;    /* [4] groups unanswered at a time */
        uint32_t unstarted_max; /* [16] hand-outs of a task that may be lost before they start */
        uint64_t hint_after_ns; /* HINT is written for hand-outs that are out for so long; 0: for
                                   each at once; FA_NEVER: for none, as nobody can take over */
        bool keeps;             /* the store outlives me: a drain leaves there what waits */
        uint64_t backlog_bytes; /* memory for tasks that wait; what is accepted beyond it stays in
                                   the store, and what was taken over is read while there is room.
                                   [0] no bound */
        uint32_t load_max;      /* records read at a time; [0] as many as the store tells */
        uint64_t seed;          /* random: hash tables */
};

/* Counters, all since the machine was made. */
struct fa_disp_stats {
        uint64_t accepted, completed, failed, cancelled;
        uint64_t handed_out, requeued, strikes, stale_results, refused;
        uint64_t taken_over, lost_workers;
        uint64_t n_tasks, n_queued, n_running, n_workers, n_slots, n_clients; /* now */
};

int fa_disp_new(struct fa_disp **ret, const struct fa_disp_cfg *cfg);
struct fa_disp *fa_disp_free(struct fa_disp *d); /* NULL is fine; returns NULL */

/*
 * Something happened.  0; FAAS_E_FENCED: another dispatcher has taken over: send nothing more, free
 * this machine, start a new one with its epoch as .was_epoch; FAAS_E_EXISTS at the start only:
 * another process has this name and lives, so this one must end; -ENOMEM at the start only (later
 * lack of memory acts as a lost message and is counted).
 */
int fa_disp_input(struct fa_disp *d, const struct fa_event *ev, uint64_t now_ns);

/* Does what is due.  All waiting input should have been read before. */
void fa_disp_tick(struct fa_disp *d, uint64_t now_ns);
uint64_t fa_disp_deadline(const struct fa_disp *d); /* FA_NEVER: nothing pending */

/* The next group for the store, owned by the caller; NULL: none, or enough are unanswered. */
struct fa_group *fa_disp_group(struct fa_disp *d);

/* An answered group that was an input is done with: it is freed, or kept to be filled again. */
void fa_disp_group_done(struct fa_disp *d, struct fa_group *g);

struct fa_outbox *fa_disp_outbox(struct fa_disp *d);
uint64_t fa_disp_epoch(const struct fa_disp *d); /* 0 until START is answered */
void fa_disp_stats(const struct fa_disp *d, struct fa_disp_stats *ret);

/* All numbers, by enum fa_stat (model/report.h), those of fa_disp_note() among them. */
void fa_disp_values(const struct fa_disp *d, uint64_t *ret, uint64_t now_ns);

/* Takes no new tasks from now on (FAAS_E_UNAVAILABLE); what was accepted goes on, or with cfg.keeps
 * what was handed out: the rest stays in the store. */
void fa_disp_drain(struct fa_disp *d);
/* Is no such task left, and no group unanswered? */
bool fa_disp_idle(const struct fa_disp *d);
/* Tells every peer goodbye: DISCONNECT 0. */
void fa_disp_goodbye(struct fa_disp *d);
/* What only the shell knows, for REPORT. */
void fa_disp_note(struct fa_disp *d, uint64_t bad_messages, uint64_t dropped);
