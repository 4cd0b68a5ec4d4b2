/*
 * chan.h - the host's end of one slot's channel: tasks queued and written, results read and checked
 *
 * Knows frames and numbers, not processes.  Whatever comes in is a stranger's: the first byte that
 * does not fit ends the channel (FAAS_E_PROTO), never the host.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "exec/channel.h"
#include "exec/slots.h"

#define FA_CHAN_SCRATCH ((size_t)256 * 1024)

/* A task without a result. */
struct fa_chan_task {
        uint32_t seq;
        uint32_t splice; /* number of blobs queued before it */
        uint64_t at;     /* copied bytes queued before it */
};

/* A payload that is written from where it is, behind copied byte number at. */
struct fa_chan_splice {
        struct fa_blob *blob;
        uint64_t at;
};

struct fa_chan {
        int fd; /* -1: closed */
        struct fa_control *control;
        uint32_t last_seq;     /* of the last task queued */
        uint32_t answered_seq; /* of the last one with a result */

        /* Tasks without a result, oldest first: a ring. */
        struct fa_chan_task *tasks;
        size_t tasks_cap, tasks_head, n_tasks;

        /* Way out: copied bytes, and between them the blobs that were too large to copy. */
        struct fa_buf out;
        size_t out_done;   /* bytes of out.p that are written */
        uint64_t out_base; /* number of the byte at out.p */
        struct fa_chan_splice *splices;
        size_t splices_cap, splices_done, n_splices;
        uint32_t splice_base; /* number of the blob at splices[0] */
        size_t splice_sent;   /* bytes of splices[splices_done] that are written */

        /* Way in: what a read left of an unfinished frame, or a large result on its way. */
        struct fa_buf in;
        struct fa_blob *big;
        uint8_t *big_p;
        size_t big_have;
        bool hello; /* came */

        /* Results that were fetched from the shelf: checked, each due when its task is the oldest.
         */
        struct fa_buf rescued;
        size_t rescued_done;
};

/* What one read brought: frames of one channel at a time, in memory that all channels share. */
struct fa_chan_input {
        uint8_t *p;
        size_t pos, len;
};

void fa_chan_init(struct fa_chan *c); /* closed, nothing queued */
void fa_chan_open(struct fa_chan *c, int fd, struct fa_control *control, uint32_t first_seq);
void fa_chan_hang_up(struct fa_chan *c); /* closes the socket, knows the tasks still */
void fa_chan_close(struct fa_chan *c);   /* the control page is the caller's */
void fa_chan_deinit(struct fa_chan *c);

/* 0 or -ENOMEM (then nothing is queued). */
int fa_chan_queue(struct fa_chan *c, const struct fa_slot_task *t);

/* 0 all is written; FAAS_E_AGAIN the socket is full; FAAS_E_GONE nobody reads any more. */
int fa_chan_write(struct fa_chan *c);

/*
 * Takes back what is not begun; *ret_seq: the last task that is.  Fetches what is finished, which
 * comes with fa_chan_next() in its turn.  0; FAAS_E_PROTO the page is broken; -ENOMEM nothing done.
 */
int fa_chan_recall(struct fa_chan *c, uint32_t *ret_seq);

/* For a dead slot, after the last read: fetches what was finished and not written, if it is sound.
 */
void fa_chan_rescue(struct fa_chan *c);

/* Has fa_chan_next() a fetched result to give, without a read? */
bool fa_chan_has_rescued(const struct fa_chan *c);

/*
 * For a dead slot: the last task begun, if it has no result; false: none.  broken: it was ended for
 * what it wrote.
 */
bool fa_chan_culprit(struct fa_chan *c, bool broken, uint32_t *ret_seq);

/* Reads once.  0 in->p has bytes or a large result grew; FAAS_E_AGAIN nothing; FAAS_E_GONE end. */
int fa_chan_read(struct fa_chan *c, struct fa_chan_input *in);

/*
 * The next event from what was read: 0 ev is UP or RESULT (slot is not set); FAAS_E_AGAIN read
 * more; FAAS_E_PROTO rubbish; -ENOMEM.
 */
int fa_chan_next(struct fa_chan *c, struct fa_chan_input *in, struct fa_slot_event *ev);
