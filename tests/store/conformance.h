/*
 * conformance.h - the suite that every store passes unchanged
 *
 * A back-end names itself in one file that defines bed_under_test (test-memory.c); linked with the
 * conform-*.c files, which know nothing of it, that is its test.  The tests speak in groups and
 * answers only; what they may ask of a back-end beyond struct fa_store_ops is struct bed_ops.
 */
#pragma once

#include <criterion/criterion.h>

#include "base/clock.h"
#include "store/store.h"

struct bed;

struct bed_ops {
        /* Opens an empty store of its own into b->store. */
        void (*open)(struct bed *b, const struct fa_store_cfg *cfg);
        void (*close)(struct bed *b);

        /* Waits until the oldest group is answered, and takes it out. */
        struct fa_group *(*drive)(struct bed *b);

        /* The store's clock goes on by so much, b->now_ns too; what is due is done. */
        void (*advance)(struct bed *b, uint64_t ns);

        /* The store's process is started again and has lost nothing. */
        void (*restart)(struct bed *b);
};

struct bed {
        const struct bed_ops *ops;
        struct fa_store *store;
        uint64_t now_ns;
        int64_t live; /* allocations when it was opened */
};

extern const struct bed_ops bed_under_test;

#define TICK_NS FA_NS_PER_S /* of every bed that is opened without a cfg of its own */
#define LEASE_TICKS 3

/* cfg NULL: the defaults, with the tick and the lease above. */
void bed_open(struct bed *b, const struct fa_store_cfg *cfg);
void bed_close(struct bed *b); /* and asserts that nothing leaked */

/* Runs a group; it comes back answered and is the caller's again. */
void bed_run(struct bed *b, struct fa_group *g);

/* One epoch of a dispatcher, with the number of its last group. */
struct ep {
        struct bed *bed;
        uint64_t epoch, seq;
        const char *name;
};

struct ep ep_start(struct bed *b, const char *name);

/* A new group, the next of the epoch's sequence. */
struct fa_group *ep_group(struct ep *e);

/* A new control group: of the epoch, and out of its sequence. */
struct fa_group *ep_control(const struct ep *e);

/* Runs it as the epoch's; returns its .r. */
int ep_run(struct ep *e, struct fa_group *g);

/* A copy of what a group asks; made before it runs, for answers take the place of questions. */
struct fa_group *group_again(const struct fa_group *g);

/* Ids are small numbers here; the bytes of a task, and of a result, a string. */
#define ID_LATER 1000000u /* with so much more an id is 64 ms younger */
struct faas_id id_of(unsigned n);
struct fa_spec *spec_of(const char *bytes);
struct fa_blob *blob_of(const char *bytes);
bool blob_is(const struct fa_blob *b, const char *bytes);

/* Adds an op; the group is never full and memory never lacks. */
struct fa_op *put(struct fa_group *g, enum fa_op_kind kind, uint64_t partition, unsigned id);
struct fa_op *put_accept(struct fa_group *g, uint64_t partition, unsigned id, const char *bytes);
struct fa_op *put_finish(struct fa_group *g, uint64_t partition, unsigned id, const char *result);
struct fa_op *put_tick(struct fa_group *g, const uint64_t *mine, size_t n);

/* Groups of one op in the epoch's own partition: the op's answer, or the group's unless it is 0. */
int do_accept(struct ep *e, unsigned id, const char *bytes);
int do_finish(struct ep *e, unsigned id, const char *result);
int do_requeue(struct ep *e, unsigned id, uint32_t strikes, uint32_t retries);
int do_hint(struct ep *e, unsigned id);
int do_forget(struct ep *e, unsigned id);
int do_tick(struct ep *e); /* a control group, as are the next ones; believes to own its own */
int do_rebind(struct ep *e, uint8_t state, const struct fa_owned *owned, size_t n);
int do_restore(struct ep *e, unsigned id, uint8_t state, const char *bytes);
int do_take(struct ep *e, uint64_t partition, uint64_t owner, uint32_t *ret_gen);

/* So many intervals pass, and this one lives. */
void live(struct ep *e, unsigned ticks);

/* FA_REBIND_OWN of its own partition alone, and FA_REBIND_DONE; assert that they are done. */
void bind_own(struct ep *e);
void bind_done(struct ep *e);

/* What GET says: 0 with *ret, to be freed with record_free(), or its answer. */
int do_get(struct bed *b, unsigned id, struct fa_record **ret);
struct fa_record *record_free(struct fa_record *r);

/* Asserts that the record is open, or final with this result. */
void expect_open(struct bed *b, unsigned id);
void expect_final(struct bed *b, unsigned id, const char *result);

/* Reads a partition from the beginning to its end: how many, and their ids in *ret (cap of them).
 */
size_t load_all(struct ep *e, uint64_t partition, unsigned *ret, size_t cap);
