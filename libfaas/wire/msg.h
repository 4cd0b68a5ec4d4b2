/*
 * msg.h - the messages between clients, dispatchers and workers, and their bytes
 *
 * A message is an envelope (msgpack, headers of 0..FA_BATCH_MAX items) and payload frames.  The
 * machines of core/ produce and consume struct fa_msg; in one process it is passed as it is, over a
 * socket it is encoded.  One descriptor table (table.c) says for each type who may send it and
 * which fields it has, with kind and bound; it drives encoding, decoding, validation, and
 * docs/PROTOCOL.md has the same table.
 */
#pragma once

#include <assert.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <faas/task.h>

#include "base/blob.h"
#include "base/buf.h"
#include "base/limits.h"
#include "base/macros.h"

#define FA_PROTOCOL_VERSION 2

enum fa_role { FA_ROLE_CLIENT, FA_ROLE_WORKER, FA_ROLE_DISPATCHER, _FA_ROLE_N };

/* Numbers on the wire: never re-used, new ones at the end. */
enum fa_msg_type {
        FA_MSG_HELLO = 1,       /* peer: who I am; the first message of a connection */
        FA_MSG_WELCOME = 2,     /* dispatcher: who I am, how to beat; also: register again */
        FA_MSG_REGISTER = 3,    /* worker: opens a session; lists all hand-outs it holds */
        FA_MSG_REQUEST = 4,     /* worker, pull: asks for work */
        FA_MSG_TASK = 5,        /* dispatcher: hand-outs */
        FA_MSG_STARTED = 6,     /* worker: these hand-outs have started */
        FA_MSG_RESULT = 7,      /* worker: these hand-outs ended */
        FA_MSG_ACK = 8,         /* dispatcher: result committed, drop it */
        FA_MSG_STALE = 9,       /* dispatcher: result or hand-out is void, drop it */
        FA_MSG_NOT_MINE = 10,   /* dispatcher: keep it, offer it to the other dispatchers */
        FA_MSG_RETURN = 11,     /* worker: these hand-outs were not started, take them back */
        FA_MSG_BEAT = 12,       /* both: I live; and how many hand-outs or tasks I think are open */
        FA_MSG_DISCONNECT = 13, /* both: I go, or go away, with the reason */
        FA_MSG_SUBMIT = 14,     /* client: new tasks */
        FA_MSG_ACCEPTED = 15,   /* dispatcher: accepted, or why not */
        FA_MSG_WAIT = 16,       /* client: tell me when these are done */
        FA_MSG_DONE = 17,       /* dispatcher: the state of tasks, with the result if final */
        FA_MSG_STATUS = 18,     /* client: the state of these now */
        FA_MSG_CANCEL = 19,     /* client: cancel tasks; dispatcher: stop these hand-outs */
        FA_MSG_COLLECTED = 20,  /* client: I have these results */
        FA_MSG_PROGRESS = 21,   /* reserved */
        FA_MSG_ADOPT = 22,      /* dispatcher: these listed hand-outs go on, and I count them */
        FA_MSG_QUERY = 23,      /* client: what are your numbers, who are your workers? */
        FA_MSG_REPORT = 24,     /* dispatcher: its numbers, and its workers if asked for them */
        _FA_MSG_N
};

/* Names one hand-out of one task; ordered by (gen, n) within a partition. */
struct fa_fence {
        uint64_t partition; /* epoch of the dispatcher that accepted the task */
        uint32_t gen;       /* how often the partition changed its owner */
        uint64_t n;         /* running number of hand-outs in this generation; 0: no fence */
};

/* Who decides how much a worker is given (WELCOME). */
enum { FA_MODE_LOCAL, FA_MODE_PUSH, FA_MODE_PULL };

/* States that DONE can tell beside enum faas_status. */
enum { FA_STATE_NOT_FOUND = 16, FA_STATE_GONE = 17, FA_STATE_LOST = 18 };

/* What a client asks with QUERY. */
enum { FA_QUERY_STATS, FA_QUERY_WORKERS, _FA_QUERY_N };

/* What a worker says of a hand-out that it lists in REGISTER. */
enum fa_held { FA_HELD_WAITING, FA_HELD_STARTED, FA_HELD_RESULT, _FA_HELD_N };

/* Where a payload is. */
enum fa_payload_kind {
        FA_PAYLOAD_INLINE,   /* in the frame that all small payloads of the message share */
        FA_PAYLOAD_FRAME,    /* in a frame of its own */
        FA_PAYLOAD_EXTERNAL, /* reserved: a reference to another place; refused today */
        _FA_PAYLOAD_N
};

/*
 * One item of a message; a type uses those fields that its row in the table names.  Slices are
 * borrowed: from the message's envelope after decoding, from the sender's machine otherwise, or
 * from an owner that the message keeps alive.  Blobs carry one reference each, which belongs to the
 * message.
 */
struct fa_item {
        struct faas_id id;
        union {
                struct fa_fence fence;
                struct {
                        uint64_t from; /* REPORT: a worker's incarnation */
                        uint64_t done; /* REPORT: results of it that counted */
                };
        };
        struct fa_slice function; /* name */
        struct fa_slice queue;    /* reserved: "" */
        struct fa_slice digest;   /* reserved: empty, or FA_DIGEST_LEN bytes */
        /* The second ones: REPORT, of a worker. */
        union {
                uint32_t timeout_ms;
                uint32_t n_slots;
        };
        union {
                uint32_t max_strikes;
                uint32_t held;
        };
        union {
                uint32_t max_retries;
                uint32_t grant;
        };
        union {
                uint32_t strikes;
                uint32_t silent_ms;
        };
        int32_t code;
        uint8_t priority; /* reserved: 0 */
        /* REGISTER: enum fa_held; RESULT: COMPLETED or FAILED; ACCEPTED: 0 or FAAS_E_;
         * DONE: enum faas_status or FA_STATE_. */
        uint8_t state;
        uint8_t failure; /* enum faas_failure; not NONE if FAILED, NONE if COMPLETED */
        uint8_t final;   /* RESULT: 1; reserved and refused today: 0 for a partial result */
        struct fa_blob *payload;
        struct fa_blob *text;
        struct fa_blob *log;
        /* NULL, or what the slices point into: one reference.  A message waits for a busy peer
         * longer than the sender's machine may know of the task. */
        void *owner;
        void (*drop_owner)(void *owner);
};

/* A message.  Header fields are used as the table says. */
struct fa_msg {
        uint8_t type;
        uint8_t role;   /* HELLO: enum fa_role, client or worker */
        uint8_t mode;   /* WELCOME: FA_MODE_ */
        uint8_t more;   /* REGISTER, REPORT: 1 if the list goes on; STATUS: 1 to get results too */
        uint8_t what;   /* QUERY, REPORT: FA_QUERY_ */
        uint8_t reason; /* DISCONNECT: FAAS_E_ value, 0 for an ordinary goodbye */
        /* From a dispatcher: the incarnation of the peer that it believes to talk to; 0, with
         * WELCOME: I do not know you, say HELLO.  To it: its epoch as last heard, only to be read
         * by people; HELLO: 0. */
        uint64_t epoch;
        uint64_t from;    /* HELLO, REGISTER: the sender's incarnation; WELCOME: its epoch */
        uint64_t session; /* worker's messages and those to it */
        /* TASK: hand-outs sent in this session, these included; BEAT: the last TASK.seq seen. */
        uint64_t seq;
        uint32_t grant;            /* how many hand-outs the worker wants to hold in all */
        uint32_t held;             /* BEAT: hand-outs without a result; for clients: tasks open */
        uint32_t n_slots;          /* REGISTER */
        uint32_t interval_ms;      /* WELCOME: beat when silent for so long */
        uint32_t liveness;         /* WELCOME: dead after so many intervals */
        uint32_t phase_ms;         /* WELCOME: delay of this peer's first beat */
        uint32_t window_tasks;     /* WELCOME, ACCEPTED: tasks that the client may have open */
        uint64_t window_bytes;     /* WELCOME, ACCEPTED: payload bytes of these */
        struct fa_slice principal; /* HELLO: reserved, "" */
        struct fa_slice text;      /* HELLO: program and version; DISCONNECT: reason in words */
        /* REGISTER: function names; WELCOME: endpoints of all dispatchers. */
        const struct fa_slice *names;
        uint32_t n_names;
        uint32_t n_items, cap_items;
        struct fa_item *items;
        /* owned by the message: */
        struct fa_blob *envelope;   /* decoded from; the slices point into it */
        struct fa_slice *names_own; /* NULL, or where names points */
        uint64_t *values;           /* REPORT: n_values numbers, by enum fa_stat */
        uint32_t n_values;
        struct fa_msg *next;      /* for whoever keeps messages in a queue */
        struct fa_msg_pool *pool; /* NULL, or where its memory goes */
};

/*
 * Messages that are done with, for the next ones: a full batch is 35 KiB, which else would be made
 * and freed each time.  It lives until its owner and all its messages are gone.
 */
struct fa_msg_pool;
int fa_msg_pool_new(struct fa_msg_pool **ret);
void fa_msg_pool_close(struct fa_msg_pool *p); /* NULL is fine */

/* Empty message of a type; 0 items. 0 or -ENOMEM. */
int fa_msg_new(struct fa_msg **ret, enum fa_msg_type type);

/* As fa_msg_new(), in the memory of a message that is done with, if there is one; pool may be NULL.
 */
int fa_msg_take(struct fa_msg **ret, struct fa_msg_pool *pool, enum fa_msg_type type);

/* Frees the message or gives it to its pool; its items' blobs, its envelope; NULL is fine; returns
 * NULL. */
struct fa_msg *fa_msg_free(struct fa_msg *m);
void fa_msg_freep(struct fa_msg **m);

/* Room for n items in all, so that the array moves once only. 0 or -ENOMEM. */
int fa_msg_reserve(struct fa_msg *m, uint32_t n);

/* Room for one more. 0 or -ENOMEM. */
int fa_msg_grow(struct fa_msg *m);

/*
 * A new zeroed item at the end; NULL when there is no memory.  The caller keeps to FA_BATCH_MAX.
 * The array may move: pointers to earlier items are void.  Here, as seven are made for each task.
 */
static inline struct fa_item *fa_msg_add(struct fa_msg *m) {
        struct fa_item *it;

        assert(m->n_items < FA_BATCH_MAX);
        if (fa_unlikely(m->n_items == m->cap_items) && fa_msg_grow(m))
                return NULL;
        it = &m->items[m->n_items++];
        *it = (struct fa_item){0};
        return it;
}

/*
 * Who builds a batch counts three things: items (FA_BATCH_MAX), payload bytes (FA_BATCH_BYTES, one
 * item always fits), and fa_item_size() of each item, the bytes that it takes in the envelope at
 * most, its payload not included: their sum stays within FA_ENVELOPE_ROOM.  Without texts and logs
 * FA_BATCH_MAX items always fit.
 */
#define FA_HEADER_SIZE 64 /* of any message, at most, less its texts, names and values */
#define FA_ITEM_FIXED 64  /* of an item, at most, less its slices and blobs */
#define FA_PLACE_FIELDS 2 /* of a payload: kind and length */
#define FA_PLACE_SIZE 8   /* of these in the envelope, at most */
#define FA_ENVELOPE_ROOM (FA_ENVELOPE_MAX - FA_HEADER_SIZE)

static inline size_t fa_item_size(const struct fa_item *it) {
        return FA_ITEM_FIXED + it->function.len + it->queue.len + it->digest.len +
               fa_blob_len(it->text) + fa_blob_len(it->log);
}

/* May this role send this type?  The one place where rights are decided. */
bool fa_msg_authorise(enum fa_role role, enum fa_msg_type type);

/* "TASK", or "?" for an unknown type; "worker", or "?". */
const char *fa_msg_name(unsigned type);
const char *fa_role_name(unsigned role);

/* The frames of a message: frame[0] is the envelope. */
struct fa_frames {
        struct fa_blob **v;
        size_t n, cap;
        /* Envelope and inline frame of the last message, if nobody else has them: written again. */
        struct {
                struct fa_blob *b;
                size_t cap;
        } used[2];
};
#define FA_FRAMES_NULL                                                                             \
        {                                                                                          \
                NULL, 0, 0, {                                                                      \
                        {NULL, 0}, {                                                               \
                                NULL, 0                                                            \
                        }                                                                          \
                }                                                                                  \
        }
int fa_frames_push(struct fa_frames *f, struct fa_blob *frame); /* takes it on 0; or -ENOMEM */
void fa_frames_clear(struct fa_frames *f);  /* drops the references, keeps the array for the next */
void fa_frames_deinit(struct fa_frames *f); /* drops all; legal on FA_FRAMES_NULL */

/*
 * Payloads up to FA_INLINE_MAX share the frame after the envelope; larger ones follow, each in a
 * frame of its own, not copied.  ret: without frames; its array is used again.  Fields outside the
 * table's bounds are a bug of the caller's and asserted.
 *
 * 0; FAAS_E_LIMIT if the envelope would pass FA_ENVELOPE_MAX, the items FA_BATCH_MAX, or a payload,
 * text or log its own limit; -ENOMEM.  On failure ret has no frames.
 */
int fa_msg_encode(const struct fa_msg *m, struct fa_frames *ret);

/*
 * Checks everything that can be checked without state: version, type, every bound, every name, the
 * frames' number and lengths.  No memory in proportion to a number in the bytes.
 *
 * role: who sent it.  HELLO reads the same from client and worker, so the first message of an
 * unknown peer is decoded as a client's and must be a HELLO, which says the role.
 *
 * 0: *ret is owned by the caller and holds references to the frames it needs;
 * FAAS_E_VERSION: another version or an unknown type (*ret_version, if not NULL, is the peer's);
 * FAAS_E_PROTO: damaged, or not allowed from this role; -ENOMEM.  fa_error() names what was wrong.
 */
int fa_msg_decode(struct fa_msg **ret,
                  const struct fa_frames *frames,
                  enum fa_role role,
                  unsigned *ret_version);

/* The same, into the memory of the pool's. */
int fa_msg_decode_into(struct fa_msg **ret,
                       struct fa_msg_pool *pool,
                       const struct fa_frames *frames,
                       enum fa_role role,
                       unsigned *ret_version);

/* [a-z0-9._-]{1,FA_NAME_MAX} */
bool fa_name_valid(struct fa_slice name);
