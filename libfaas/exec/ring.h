/*
 * ring.h - a stream of bytes from one process to another, in memory that both have mapped
 *
 * A ring of FA_RING_SIZE bytes and two counts that only grow (and wrap): .head, bytes ever written,
 * the writer's alone, and .tail, bytes ever read, the reader's alone.  Byte n is at n %
 * FA_RING_SIZE, and the ring is mapped twice in a row: whatever is written or read in one piece is
 * contiguous.  Nobody trusts the other's count: one that cannot be makes the ring broken.
 *
 * Who finds nothing to do sets its mark (.reader_waits, .writer_waits), looks once more, and
 * sleeps; who has made something to do takes the mark away and wakes the other.  Between writing a
 * count and reading the mark stands a full barrier on both sides, so one of them sees the other.
 * How one is woken is the caller's business: a slot sleeps on its mark (a futex: channel.h), the
 * host in its epoll.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/*
 * Room for sixteen hundred small tasks.  A longer payload goes through in pieces: with 64 KiB those
 * of a MiB took a quarter longer than through a socket, with 256 no less than with 128, and a busy
 * slot costs twice this (docs/PERFORMANCE.md).
 */
#define FA_RING_SIZE 131072u

/* The shared counts; each side's words have a cache line of their own. */
struct fa_ring_counts {
        _Alignas(64) _Atomic uint32_t head; /* writer's */
        _Atomic uint32_t writer_waits;      /* for room */
        _Alignas(64) _Atomic uint32_t tail; /* reader's */
        _Atomic uint32_t reader_waits;      /* for bytes */
};

/* One side's own view. */
struct fa_ring {
        struct fa_ring_counts *counts;
        uint8_t *bytes; /* 2 * FA_RING_SIZE, the second half being the first again */
        uint32_t pos;   /* writer: bytes written, reader: bytes read, told or not */
        uint32_t seen;  /* the other's count when it was last looked at */
};

void fa_ring_init(struct fa_ring *r, struct fa_ring_counts *counts, uint8_t *bytes);

static inline uint8_t *fa_ring_at(const struct fa_ring *r) {
        return r->bytes + r->pos % FA_RING_SIZE;
}

/* ---- the writer ---- */

/* Free bytes, at least want if there are so many; above FA_RING_SIZE: the ring is broken. */
uint32_t fa_ring_room(struct fa_ring *r, uint32_t want);

/* Copies n bytes in, for which there is room; the reader sees them after fa_ring_tell(). */
void fa_ring_put(struct fa_ring *r, const void *p, size_t n);

static inline void fa_ring_tell(struct fa_ring *r) {
        atomic_store_explicit(&r->counts->head, r->pos, memory_order_release);
}

/* After fa_ring_tell(): has the reader to be woken?  Takes its mark away. */
bool fa_ring_wake_reader(struct fa_ring *r);

/* ---- the reader ---- */

/* Bytes to read, at least want if there are so many; above FA_RING_SIZE: the ring is broken. */
uint32_t fa_ring_ready(struct fa_ring *r, uint32_t want);

/* Copies n bytes out, which are there. */
void fa_ring_get(struct fa_ring *r, void *p, size_t n);

/* Gives what was read back to the writer. */
static inline void fa_ring_release(struct fa_ring *r) {
        atomic_store_explicit(&r->counts->tail, r->pos, memory_order_release);
}

/* After fa_ring_release(): has the writer to be woken?  Takes its mark away. */
bool fa_ring_wake_writer(struct fa_ring *r);
