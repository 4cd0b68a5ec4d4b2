/*
 * zmtp.h - one connection that speaks ZMTP 3.1 (rfc.zeromq.org/spec/37), the bytes of ZeroMQ, over
 * a socket of our own
 *
 * The peer may be libzmq or this same code.  Knows frames and messages of frames; who is at the
 * other end, and when to read and write, is its owner's business (zdoor.c, zdial.c).  Nothing here
 * blocks.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <faas/transport.h>

#include "wire/msg.h"

/* One more than a message may have: who has too many is seen to have them. */
#define FA_ZMTP_FRAMES (FAAS_FRAMES_MAX + 1)

/* Memory that was used, for the next connection that has something to read or to write.  All 0 is
 * empty. */
struct fa_zmtp_pool {
        uint8_t *v[8]; /* to read into */
        size_t n;
        struct fa_blob *chunks[16]; /* to write from */
        size_t n_chunks;
};
void fa_zmtp_pool_deinit(struct fa_zmtp_pool *p);

enum fa_zmtp_state {
        FA_ZMTP_GREETING, /* nothing is known of the peer */
        FA_ZMTP_READY,    /* it speaks ZMTP, and has to say what it is */
        FA_ZMTP_OPEN      /* messages may go both ways */
};

/* A frame of the message that is being read. */
struct fa_zmtp_part {
        uint8_t *own; /* its bytes; NULL: they stand in the buffer */
        size_t at;    /* there: behind the message's begin */
        size_t len;
};

/* Bytes that wait to be written: len of a blob, from at on. */
struct fa_zmtp_seg {
        struct fa_blob *b;
        size_t at, len;
};

struct fa_zmtp {
        int fd;
        bool listens;
        bool named; /* the peer set a routing id */
        enum fa_zmtp_state state;
        struct fa_zmtp_pool *pool;
        /* What was read: in[begin, at) are frames of the present message, [at, end) comes next. */
        uint8_t *in;
        size_t cap, begin, at, end;
        struct fa_zmtp_part *parts;
        size_t n_parts, cap_parts, message_len;
        bool shown; /* the present message was given out */
        /* A large frame is read to where it stays. */
        uint8_t *big;
        size_t big_len, big_have;
        bool big_more;
        /* What is to be written: seg[head, n_seg), small frames gathered in chunks. */
        struct fa_zmtp_seg *seg;
        size_t head, n_seg, cap_seg, out_bytes;
        struct fa_blob *chunk;
        size_t chunk_len; /* of it are used */
};

/* Takes the connected, non-blocking socket over.  0 or -ENOMEM, the socket then stays. */
int fa_zmtp_init(struct fa_zmtp *z, int fd, bool listens, struct fa_zmtp_pool *pool);
/* Closes the socket.  Legal on what is all 0 but for an fd of -1. */
void fa_zmtp_deinit(struct fa_zmtp *z);

/*
 * Reads what has come, once.  0, *ret_all whether that was all; FAAS_E_AGAIN nothing; FAAS_E_GONE
 * its end, or an error; -ENOMEM.
 */
int fa_zmtp_read(struct fa_zmtp *z, bool *ret_all);

/* Goes on with the opening, by what was read.  0 it is open; FAAS_E_AGAIN; FAAS_E_PROTO; -ENOMEM.
 */
int fa_zmtp_shake(struct fa_zmtp *z);

/*
 * The next message of what was read: up to FA_ZMTP_FRAMES frames, valid until the next call for
 * this connection but for those with a release().  0; FAAS_E_AGAIN it is not complete; FAAS_E_PROTO
 * the peer breaks the protocol and must go; -ENOMEM.
 */
int fa_zmtp_next(struct fa_zmtp *z, struct faas_frame *frames, size_t *ret_n);

/* Queues a message.  0; FAAS_E_AGAIN too much is waiting; -ENOMEM: nothing of it is queued. */
int fa_zmtp_put(struct fa_zmtp *z, const struct fa_frames *f);

/* Writes what is queued.  0 all; FAAS_E_AGAIN the socket is full; FAAS_E_GONE it is broken. */
int fa_zmtp_flush(struct fa_zmtp *z);

/* Drops what is queued. */
void fa_zmtp_drop(struct fa_zmtp *z);
