/*
 * op.h - what a dispatcher asks of its store: operations in groups
 *
 * A group runs as a whole or not at all, after one check of its head.  There are three kinds:
 *
 * An ordinary group has a number in its epoch's sequence.  In this order: the epoch has a lease and
 * owns every partition that the group touches, else FAAS_E_FENCED; it has bound again since the
 * store was last restarted, else FAAS_E_UNAVAILABLE; no living owner, the epoch itself included,
 * has still to RESTORE, else FAAS_E_AGAIN (only LOAD, ACCEPT, FINISH, REQUEUE and HINT wait for
 * that); and the group before it has run, else FAAS_E_UNAVAILABLE.  A group that was run before is
 * not run again: its answers are derived from the records (a broken connection may leave it unknown
 * whether a group ran; the dispatcher hands in the identical group again).
 *
 * A control group has an epoch and the number 0: TICKs and RESTOREs, which come in no ordinary
 * group.  It is checked for the lease and for ownership as above, and for nothing else: it waits
 * for nobody.  So time goes on while ordinary groups wait, and only TICK (and FA_REBIND_OWN) renews
 * a lease: a group that is told FAAS_E_AGAIN does not.  A control group may be late, or come twice;
 * the ops say what follows then.
 *
 * A group with the number 0 of nothing but START, REBIND or GET needs no lease; the first two are
 * what makes one, and check for themselves.
 *
 * The design was measured and model-checked; tests/sim simulates it.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <faas/error.h>

#include "model/outcome.h"
#include "model/spec.h"
#include "wire/msg.h"

enum fa_op_kind {
        FA_OP_START,   /* a new epoch for a name; the older epochs of that name are fenced: their
                          leases go, their partitions are mine, in the next generation */
        FA_OP_REBIND,  /* the store lost its tail: I am still here, I own these partitions */
        FA_OP_TICK,    /* my lease is renewed; what leases are there? are my partitions mine?  The
                          first one after a restart renews all leases, and drops those of epochs
                          that own nothing */
        FA_OP_TAKE,    /* the partition of a dispatcher whose lease has run out becomes mine */
        FA_OP_LOAD,    /* the next records of a partition in the order of their acceptance */
        FA_OP_ACCEPT,  /* a new task */
        FA_OP_FINISH,  /* a task's end: the first one stays */
        FA_OP_REQUEUE, /* a task's strikes and retries, absolute */
        FA_OP_HINT,    /* a task was handed out: not awaited, only a help for a later owner */
        FA_OP_RESTORE, /* after a lost tail: write this task again as I know it.  Only before my
                          FA_REBIND_DONE that follows a restart; else it is a late copy, which
                          writes nothing */
        FA_OP_GET,     /* read a record */
        FA_OP_FORGET,  /* its submitter has the result */
        FA_OP_DROP, /* a partition of mine, not that of my own number, is forgotten: nothing in it
                       is open */
        _FA_OP_N
};

/* A record as the store has it. Blobs and spec carry references of their own. */
struct fa_record {
        struct faas_id id;
        uint64_t partition;
        uint64_t client; /* incarnation of the client that submitted it, as its dispatcher knew it;
                            0: not known */
        uint8_t state; /* FAAS_QUEUED or a final enum faas_status; FA_STATE_NOT_FOUND, FA_STATE_GONE
                          in answers */
        uint8_t hinted;               /* HINT came */
        uint32_t strikes;             /* absolute */
        uint32_t retries;             /* absolute */
        struct fa_fence strike_fence; /* of the hand-out that earned the last strike */
        struct fa_fence fence;        /* final: of the hand-out whose result it is */
        struct fa_spec *spec;
        struct fa_outcome outcome; /* final */
};

/* One lease, as TICK tells it. */
struct fa_lease {
        uint64_t epoch;
        uint64_t tick; /* when it was last renewed */
        char endpoint[FA_ENDPOINT_MAX];
};

/* One partition and its owner, as START and TICK tell it. */
struct fa_owned {
        uint64_t partition;
        uint64_t owner;
        uint32_t gen;
};

/* What the rare operations need and bring beside the common fields; allocated only for them. */
struct fa_op_more {
        const char *name,
                *endpoint;      /* START: borrowed from the dispatcher, which outlives its groups */
        struct fa_record *recs; /* LOAD answers */
        size_t n_recs;
        struct fa_lease *leases; /* TICK answers: all of them */
        size_t n_leases;
        struct fa_owned *owned; /* START answers: mine. TICK, REBIND: in: what I believe to be mine;
                                   TICK answers all, REBIND mine */
        size_t n_owned;
        uint64_t tick;     /* START, TICK answer: the store's count of ticks */
        uint64_t process;  /* START: a random number of the process that asks; 0: none */
        uint64_t last_seq; /* FA_REBIND_OWN answers: the last of my groups that the store remembers
                              from before; 0: it has forgotten me.  If it is not older than .cursor,
                              nothing of mine was lost.  What a REBIND_OWN itself set does not count
                              until my FA_REBIND_DONE: a second one, also after another restart,
                              answers as the first */
};

struct fa_op {
        uint8_t kind;
        uint8_t state; /* RESTORE: the record's state; REBIND: FA_REBIND_OWN, FA_REBIND_DONE */
        bool differs;  /* answer of ACCEPT with FAAS_E_EXISTS: other bytes under the same id */
        /*
         * The answer.  0: done.  FAAS_E_EXISTS: a record is there already (ACCEPT), is final
         * (FINISH, REQUEUE), or is final or belongs to another partition (RESTORE, a late copy of
         * it too), and *rec tells what it says, but not to REQUEUE.  FAAS_E_NOENT: no such record.
         * FAAS_E_GONE: it was collected (a late copy of RESTORE answers 0).  FAAS_E_STALE: the
         * record belongs to another partition (FINISH), or the partition to somebody else than
         * believed (TAKE), or not mine, or
         * has open tasks (DROP).  Of one that is not there, DROP answers 0.  FAAS_E_LIMIT: the
         * store is full (ACCEPT).  -ENOMEM: this op was not done, or its answer is missing; the
         * others of the group have run, and a new group may ask again.
         */
        int r;
        uint32_t mark; /* the asker's own; stores leave it as it is */
        struct faas_id id;
        uint64_t partition;            /* whose record it is; TAKE, LOAD: which */
        union {                        /* what no kind of op has both of */
                struct fa_fence fence; /* REQUEUE: of the strike; FINISH, RESTORE: of the result */
                struct {
                        uint64_t owner;  /* TAKE: whom I believe to own it.  START: the epoch that
                                            this process was before, 0: none; answers the new one.
                                            With it FAAS_E_EXISTS, and nothing has changed: a
                                            younger epoch of this name lives, so two processes have
                                            one name */
                        uint64_t cursor; /* LOAD: where to go on; answers where the next goes on, or
                                            FA_CURSOR_END.  FA_REBIND_OWN: the last group whose
                                            answer I have */
                        uint32_t gen;    /* TAKE answers: the partition's new generation */
                        uint32_t n;      /* LOAD: at most so many records; 0: 256.  The store may
                                            tell fewer, so that their payloads stay about 1 MiB,
                                            but one at least */
                };
        };
        uint32_t strikes, retries;
        uint64_t client;           /* ACCEPT, RESTORE: as in struct fa_record */
        struct fa_spec *spec;      /* ACCEPT, RESTORE: one reference.  FINISH, FORGET: one, or NULL.
                                      With it the asker knows that the record is there as the ACCEPT,
                                      or the FINISH, with this very spec wrote it, but for HINTs, and
                                      the store need not look: where it is not so it may answer 0, and
                                      write */
        struct fa_outcome outcome; /* FINISH, RESTORE of a final, FORGET with a spec: references */
        struct fa_record *rec;     /* answers of ACCEPT, FINISH, RESTORE with FAAS_E_EXISTS; FINISH
                                      with FAAS_E_STALE; GET; else NULL */
        struct fa_op_more *more;   /* START, TICK, REBIND, LOAD; else NULL */
};

#define FA_CURSOR_END UINT64_MAX

/*
 * REBIND, after a restart of the store and in this order, my RESTOREs between the two.
 *
 * FA_REBIND_OWN: my partitions are mine still, each in the generation that I name or the store's if
 * that is later; my lease is renewed, and if the store has forgotten it, there again.  The older
 * epochs of my name are fenced as by START, and the answer lists what I own now.  My sequence goes
 * on behind .cursor, and ordinary groups wait for my FA_REBIND_DONE.  FAAS_E_FENCED, and nothing
 * has changed: one of the partitions has an owner that came after me, or I have no lease and name
 * no partition.  A second one after the same restart, or one after my START when there was no
 * restart since, is a late copy: it does not set the sequence back, and nobody waits.
 *
 * FA_REBIND_DONE: all is written.  FAAS_E_FENCED: I have no lease.
 */
enum { FA_REBIND_OWN, FA_REBIND_DONE };

struct fa_group {
        struct fa_group *next;
        uint64_t epoch; /* 0 for START */
        uint64_t seq;   /* 1, 2, 3 ... per epoch; 0: out of the sequence (START, REBIND, TICK,
                           RESTORE, GET) */
        /*
         * 0: it ran.  FAAS_E_FENCED: the epoch is over.  To be handed in again, unchanged:
         * FAAS_E_UNAVAILABLE, the store was not there, a group before it is missing, or REBIND
         * must come first; FAAS_E_AGAIN, an owner whose lease has not run out has yet to RESTORE
         * its state.  Nothing was written and no op was answered, unless r is 0.  An answered group
         * is not handed in again: .cursor and .more->owned are answers by then.
         */
        int r;
        size_t bytes;  /* payload bytes in it */
        uint64_t mark; /* the store's own, while it has the group */
        size_t n, cap;
        struct fa_op *ops;
};

/* 0 or -ENOMEM. */
int fa_group_new(struct fa_group **ret);

/* Frees it with all that its ops hold; NULL is fine; returns NULL. */
struct fa_group *fa_group_free(struct fa_group *g);
void fa_group_reset(struct fa_group *g); /* as new, but for its room */

/*
 * A new zeroed op at the end, with .more for those kinds that need it; NULL when there is no
 * memory. The pointer is good until the next one is added.
 */
struct fa_op *fa_group_add(struct fa_group *g, enum fa_op_kind kind);

/* Takes the last op out again, with what it holds. */
void fa_group_drop_last(struct fa_group *g);

void fa_record_deinit(struct fa_record *r);
void fa_record_copy(struct fa_record *dst, const struct fa_record *src); /* with references */

static inline bool fa_state_final(uint8_t state) {
        return state >= FAAS_COMPLETED && state < _FAAS_STATUS_N;
}

/* -1, 0, 1: order of two fences of one partition. */
static inline int fa_fence_cmp(const struct fa_fence *a, const struct fa_fence *b) {
        if (a->gen != b->gen)
                return a->gen < b->gen ? -1 : 1;
        return a->n < b->n ? -1 : a->n > b->n;
}

static inline bool fa_fence_eq(const struct fa_fence *a, const struct fa_fence *b) {
        return a->partition == b->partition && a->gen == b->gen && a->n == b->n;
}
