/*
 * channel.h - what host and slot say to each other: the frames, the rings, and the control page
 *
 * A slot claims each task on the control page before it begins it.  A host that finds no claim
 * where there is a result takes the page for broken: it ends the slot at the next recall, and
 * blames the oldest task without a result for the slot's death.
 *
 * Frames.  Each direction is a ring (ring.h) of frames: a header of 16 bytes, little-endian,
 *
 *      u32 len     bytes that follow the header, without padding
 *      u8  type    enum fa_frame_type
 *      u8  flags   RESULT: enum faas_failure, one of NONE FUNCTION LIMIT NO_FUNCTION
 *      u16 aux     TASK: bytes of the name; RESULT: bytes of the text
 *      u32 seq     the task's number in this slot; HELLO: FA_CHANNEL_VERSION
 *      u32 arg     TASK: timeout_ms, 0 none; RESULT: the function's code; HELLO: the slot's pid
 *
 * HELLO   slot to host, once, first.  len 0.
 * TASK    host to slot.  16 bytes of id; the name, filled up with NULs to the next multiple of 16
 *         but at least one; the payload.  Behind the frame stand 1 to 16 NULs so that the next one
 *         begins at a multiple of 16 again: the slot finds name and payload NUL-terminated, and the
 *         payload aligned, where they lie.
 * RESULT  slot to host, in the order of the tasks; none for a task whose claim was refused, because
 *         the host has taken it back.  The text (only of a failure), then the payload
 *         (only of a success).  No padding: the host copies it anyway.
 * PROGRESS is reserved.
 *
 * A frame that fits a ring is told as a whole; a longer one in pieces, as room comes.
 *
 * Wake-ups.  A slot sleeps on its mark: the host takes it away and wakes it.  The host sleeps in
 * its epoll: a slot that finds the host's mark sends a byte to its bell, a socket of its own.  What
 * the bytes are says nothing, and their loss costs only the slot that broke it.
 *
 * Control page.  Shared by host, zygote and slot, and written by all, so nobody trusts what it
 * reads there.  Numbers of tasks are compared as serial numbers (RFC 1982): they wrap.
 */
#pragma once

#include <endian.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/clock.h"
#include "base/limits.h"
#include "exec/ring.h"

#define FA_CHANNEL_VERSION 3u
#define FA_FRAME_LEN 16u

/*
 * Who waits for the other looks for this long, giving way to whoever else wants to run, before it
 * sleeps, if its last sleep was no longer than twice that.  With one CPU alone to give way is what
 * helps, and the more often the more it takes from who has work: FA_SPINS_ONE looks.
 */
#define FA_SPIN_NS (50 * FA_NS_PER_US)
#define FA_SPINS_ONE 2u

enum fa_frame_type {
        FA_FRAME_HELLO = 1,
        FA_FRAME_TASK,
        FA_FRAME_RESULT,
        FA_FRAME_PROGRESS,
};

struct fa_frame {
        uint32_t len;
        uint8_t type;
        uint8_t flags;
        uint16_t aux;
        uint32_t seq;
        uint32_t arg;
};

/* Status with which a slot ends itself when it cannot go on; fa_control.ended has it as well. */
#define FA_SLOT_EXIT_CHANNEL 125
#define FA_SLOT_EXIT_MEMORY 124

#define FA_TASK_NAME_ROOM(name_len) (((name_len) + 16u) & ~15u)
#define FA_TASK_PAD(len) (16u - ((len)&15u))
/* The longest TASK with its header and its padding. */
#define FA_TASK_MAX (FA_FRAME_LEN + 16u + FA_TASK_NAME_ROOM(FA_NAME_MAX) + FA_PAYLOAD_MAX + 16u)

static inline void fa_frame_put(uint8_t to[FA_FRAME_LEN], const struct fa_frame *f) {
        struct fa_frame le = {.len = htole32(f->len),
                              .type = f->type,
                              .flags = f->flags,
                              .aux = htole16(f->aux),
                              .seq = htole32(f->seq),
                              .arg = htole32(f->arg)};
        memcpy(to, &le, FA_FRAME_LEN);
}

static inline void fa_frame_get(struct fa_frame *f, const uint8_t from[FA_FRAME_LEN]) {
        memcpy(f, from, FA_FRAME_LEN);
        f->len = le32toh(f->len);
        f->aux = le16toh(f->aux);
        f->seq = le32toh(f->seq);
        f->arg = le32toh(f->arg);
}

/*
 * claim     low half: the last task that the slot has begun; high half: the host took back all up
 *           to this one.  Both sides change it by compare-and-swap only.  A slot that begins task n
 *           leaves {n, n - 1}: what was taken back before n is history, and must not look like
 *           future when the numbers have wrapped.
 * deadline  when the running task's time is over, CLOCK_MONOTONIC in ns; 0: none.  Stored before
 *           the function is called; whoever takes it away decides: the slot (swap with 0) when the
 *           function returned in time, the zygote (compare-and-swap with FA_DEADLINE_EXPIRED) when
 *           it did not.  So a time-out always hits the task that earned it.
 * watch_at  when the zygote looks again by itself.  A slot with an earlier deadline wakes it
 * through an eventfd; all others cost no system call.
 * ended     FA_SLOT_EXIT_...: the slot ends itself with this status; 0: with any other it is the
 * function's own.
 * tasks, results   the counts of the two rings.
 */
struct fa_control {
        _Atomic uint64_t claim;
        _Atomic uint64_t deadline_ns;
        _Atomic uint64_t watch_at;
        _Atomic uint64_t ended;
        struct fa_ring_counts tasks;
        struct fa_ring_counts results;
};

#define FA_CONTROL_SIZE 4096u
_Static_assert(sizeof(struct fa_control) <= FA_CONTROL_SIZE, "docs/PROTOCOL.md says 4,096");

/* The file: the control page, the ring of tasks, the ring of results. */
#define FA_CHANNEL_SIZE (FA_CONTROL_SIZE + 2u * FA_RING_SIZE)

/* One side's view of it all. */
struct fa_channel {
        struct fa_control *control; /* NULL: not mapped */
        struct fa_ring tasks;
        struct fa_ring results;
};

/* The memory itself, all zeros, of a size that nobody can change. 0 or a negated errno. */
int fa_channel_new(int *ret_fd);

/*
 * Control page and rings.  Neither a zygote nor any other child of the host inherits them; what a
 * function forks does, because its payload is there.  0 or a negated errno.
 */
int fa_channel_map(struct fa_channel *c, int fd, bool inherited);
void fa_channel_unmap(struct fa_channel *c);

/* How many looks at most, on the CPUs that this process may use. */
unsigned fa_channel_spins(void);

/*
 * Sleeps until a count of a ring is another than was seen; mark: the one that tells the other side
 * that it has to wake us.  It is slept on too: who moved the count may be slow to look at the mark,
 * and take one that was set for the next count.  Whoever then slept on the count would not be woken
 * for that any more.
 */
void fa_channel_wait(_Atomic uint32_t *count, uint32_t seen, _Atomic uint32_t *mark);

/* Wakes who sleeps, after his mark was taken away. */
void fa_channel_wake(_Atomic uint32_t *mark);

#define FA_DEADLINE_EXPIRED UINT64_C(1)

static inline uint64_t fa_claim(uint32_t claimed, uint32_t revoked) {
        return (uint64_t)revoked << 32 | claimed;
}

static inline uint32_t fa_claim_claimed(uint64_t claim) {
        return (uint32_t)claim;
}

static inline uint32_t fa_claim_revoked(uint64_t claim) {
        return (uint32_t)(claim >> 32);
}

/* Is task number a later than b? */
static inline bool fa_seq_after(uint32_t a, uint32_t b) {
        return (int32_t)(a - b) > 0;
}

/* Slot: begin task seq, unless the host has taken it back. */
static inline bool fa_control_claim(struct fa_control *c, uint32_t seq) {
        uint64_t was = atomic_load(&c->claim);

        do {
                if (!fa_seq_after(seq, fa_claim_revoked(was)))
                        return false;
        } while (!atomic_compare_exchange_weak(&c->claim, &was, fa_claim(seq, seq - 1)));
        return true;
}

/* Host: take back all tasks up to last that are not begun; returns the last one that is. */
static inline uint32_t fa_control_revoke(struct fa_control *c, uint32_t last) {
        uint64_t was = atomic_load(&c->claim);

        while (!atomic_compare_exchange_weak(&c->claim, &was,
                                             fa_claim(fa_claim_claimed(was), last)))
                ;
        return fa_claim_claimed(was);
}
