/*
 * shelf.h - finished results between the slot that gathers them and the host that may come for them
 *
 * The end of the control page is a ring of whole RESULT frames, and two counts of bytes that only
 * grow: .filled, the slot's alone, and .sent, moved by compare-and-swap only.  Byte n is at n %
 * FA_SHELF_LEN.  Whoever moves .sent from a to b owns the bytes between, and nobody else has them
 * or gets them: the slot moves it before it writes them to its socket, the host after it has copied
 * them.  As the counts never come back, a host that was stopped between the two finds another .sent
 * and throws its copy away.
 *
 * So the slot may gather without a system call, and may even be wrong about how long the next
 * function takes: the host gets what is ready without asking it, also when it is dead.
 */
#pragma once

#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

/* A batch of results of 1,000 bytes; from there on a system call more is no longer the most of it.
 */
#define FA_SHELF_LEN 65472u

struct fa_shelf {
        _Atomic uint64_t filled;
        _Atomic uint64_t sent;
        uint8_t bytes[FA_SHELF_LEN];
};

/* Slot: what lies on the shelf, of which it has filled so much; nonsense if the page is broken. */
static inline uint64_t fa_shelf_held(const struct fa_shelf *f, uint64_t filled) {
        return filled - atomic_load_explicit(&f->sent, memory_order_acquire);
}

/* Slot: adds a frame, for which there is room; *filled grows. */
void fa_shelf_put(struct fa_shelf *f,
                  uint64_t *filled,
                  const void *head,
                  size_t head_len,
                  const void *body,
                  size_t len);

/*
 * Slot: takes all that is still there, to be written before the next fa_shelf_put(); *ret_n pieces
 * in iov, 0 to 2.  0; FAAS_E_PROTO the page is broken.
 */
int fa_shelf_claim(struct fa_shelf *f, uint64_t filled, struct iovec iov[2], size_t *ret_n);

/*
 * Host: takes all that is there; *ret_len bytes in to, FA_SHELF_LEN at most.  They are anybody's:
 * the page is not believed beyond that.  0; FAAS_E_PROTO the page is broken.
 */
int fa_shelf_take(struct fa_shelf *f, uint8_t to[FA_SHELF_LEN], size_t *ret_len);
