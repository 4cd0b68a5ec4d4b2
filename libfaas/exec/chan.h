/*
 * chan.h - the host's end of one slot's channel: tasks written, results read and checked
 *
 * Knows frames and rings, not processes.  Whatever comes in is a stranger's: the first byte or
 * count that does not fit ends the channel (FAAS_E_PROTO), never the host.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "exec/channel.h"
#include "exec/slots.h"

/* Header, id and name of a TASK, before its payload. */
#define FA_CHAN_HEAD_MAX (FA_FRAME_LEN + 16u + FA_TASK_NAME_ROOM(FA_NAME_MAX))

/* A task for which the ring had no room yet. */
struct fa_chan_pending {
        struct fa_blob *payload;
        uint32_t seq;
        uint32_t head_len;
        uint32_t done; /* bytes of the frame that are in the ring */
        uint8_t head[FA_CHAN_HEAD_MAX];
};

struct fa_chan {
        struct fa_channel channel; /* not mapped: closed */
        uint32_t last_seq;         /* of the last task queued */
        uint32_t answered_seq;     /* of the last one with a result */
        uint32_t released;         /* results read up to here are given back */

        /* Numbers of the tasks without a result, oldest first: a ring. */
        uint32_t *tasks;
        size_t tasks_cap, tasks_head, n_tasks;

        /* Those of them, the youngest, that are not in the ring. */
        struct fa_chan_pending *pending;
        size_t pending_cap, pending_head, n_pending;

        /* A result that comes in pieces. */
        struct fa_blob *big;
        uint8_t *big_p;
        size_t big_have;
        uint32_t big_seq; /* whose it is */
        bool hello;       /* came */
        bool armed;       /* the slot may ring the bell once */
};

void fa_chan_init(struct fa_chan *c); /* closed, nothing queued */

/* Maps the memory behind fd, which stays the caller's. 0 or a negated errno. */
int fa_chan_open(struct fa_chan *c, int fd, uint32_t first_seq);
void fa_chan_close(struct fa_chan *c);
void fa_chan_deinit(struct fa_chan *c);

/* In a fork of the host, which has never had the memory: forgets it. */
void fa_chan_forget(struct fa_chan *c);

/* 0 or -ENOMEM (then nothing is queued).  The slot sees it after fa_chan_flush(). */
int fa_chan_queue(struct fa_chan *c, const struct fa_slot_task *t);

/*
 * Tells the slot what is queued, and wakes it.  0 all is told; FAAS_E_AGAIN the ring is full, the
 * slot rings the bell when there is room again; FAAS_E_PROTO the page is broken.
 */
int fa_chan_flush(struct fa_chan *c);

/* Before the host sleeps: the slot is to ring the bell.  Then, behind a full barrier: has it
 * something already? */
void fa_chan_arm(struct fa_chan *c);
bool fa_chan_is_ready(struct fa_chan *c);

/* Has the slot made room for what is still to be told? */
bool fa_chan_has_room(const struct fa_chan *c);

/* The host is awake. */
static inline void fa_chan_disarm(struct fa_chan *c) {
        if (!c->armed)
                return;
        c->armed = false;
        atomic_store_explicit(&c->channel.results.counts->reader_waits, 0, memory_order_relaxed);
}

/*
 * Takes back what is not begun; *ret_seq: the last task that is.  0; FAAS_E_PROTO the page is
 * broken.
 */
int fa_chan_recall(struct fa_chan *c, uint32_t *ret_seq);

/*
 * For a dead slot: the last task begun, if it has no result; false: none.  broken: it was ended for
 * what it wrote.
 */
bool fa_chan_culprit(struct fa_chan *c, bool broken, uint32_t *ret_seq);

/*
 * The next event: 0 ev is UP or RESULT (slot is not set); FAAS_E_AGAIN nothing, and the slot has
 * its room back; FAAS_E_PROTO rubbish; -ENOMEM.
 */
int fa_chan_next(struct fa_chan *c, struct fa_slot_event *ev);
