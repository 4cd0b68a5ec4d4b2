/*
 * ring.c - bytes between two processes
 *
 * Each side keeps what it has seen of the other's count and looks again only when that is not
 * enough: a look costs a cache line that the other side is writing to.
 */
#include "exec/ring.h"

#include <string.h>

#include "base/macros.h"

void fa_ring_init(struct fa_ring *r, struct fa_ring_counts *counts, uint8_t *bytes) {
        *r = (struct fa_ring){.counts = counts};
        r->bytes = bytes;
}

uint32_t fa_ring_room(struct fa_ring *r, uint32_t want) {
        if (FA_RING_SIZE - (r->pos - r->seen) < want)
                r->seen = atomic_load_explicit(&r->counts->tail, memory_order_acquire);
        return FA_RING_SIZE - (r->pos - r->seen); /* wraps if .tail is beyond .head */
}

void fa_ring_put(struct fa_ring *r, const void *p, size_t n) {
        if (n > 0)
                memcpy(fa_ring_at(r), p, n);
        r->pos += (uint32_t)n;
}

uint32_t fa_ring_ready(struct fa_ring *r, uint32_t want) {
        if (r->seen - r->pos < want)
                r->seen = atomic_load_explicit(&r->counts->head, memory_order_acquire);
        return r->seen - r->pos;
}

void fa_ring_get(struct fa_ring *r, void *p, size_t n) {
        if (n > 0)
                memcpy(p, fa_ring_at(r), n);
        r->pos += (uint32_t)n;
}

static bool take(_Atomic uint32_t *mark) {
        atomic_thread_fence(memory_order_seq_cst);
        return atomic_load_explicit(mark, memory_order_relaxed) && atomic_exchange(mark, 0);
}

bool fa_ring_wake_reader(struct fa_ring *r) {
        return take(&r->counts->reader_waits);
}

bool fa_ring_wake_writer(struct fa_ring *r) {
        return take(&r->counts->writer_waits);
}
