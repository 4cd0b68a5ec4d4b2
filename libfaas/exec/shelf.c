/*
 * shelf.c - the ring of finished results on the control page
 *
 * Written by slot and host at once, and by any function that goes astray: every number is compared
 * with the ring's size before it is used, and no loop is longer than an honest slot makes it.
 */
#include "exec/shelf.h"

#include <string.h>

#include <faas/error.h>

#include "base/macros.h"

/* An honest slot moves .sent twice at most while the host looks: it has nothing left to begin. */
#define TRIES_MAX 16

static void copy_in(struct fa_shelf *f, uint64_t at, const void *p, size_t len) {
        size_t pos = (size_t)(at % FA_SHELF_LEN);
        size_t first = FA_MIN(len, FA_SHELF_LEN - pos);

        if (first > 0)
                memcpy(f->bytes + pos, p, first);
        if (len > first)
                memcpy(f->bytes, (const uint8_t *)p + first, len - first);
}

void fa_shelf_put(struct fa_shelf *f,
                  uint64_t *filled,
                  const void *head,
                  size_t head_len,
                  const void *body,
                  size_t len) {
        copy_in(f, *filled, head, head_len);
        copy_in(f, *filled + head_len, body, len);
        *filled += head_len + len;
        atomic_store_explicit(&f->filled, *filled, memory_order_release);
}

static size_t pieces(struct fa_shelf *f, uint64_t at, size_t len, struct iovec iov[2]) {
        size_t pos = (size_t)(at % FA_SHELF_LEN);
        size_t first = FA_MIN(len, FA_SHELF_LEN - pos);

        iov[0] = (struct iovec){f->bytes + pos, first};
        iov[1] = (struct iovec){f->bytes, len - first};
        return len > first ? 2 : first > 0 ? 1 : 0;
}

int fa_shelf_claim(struct fa_shelf *f, uint64_t filled, struct iovec iov[2], size_t *ret_n) {
        uint64_t sent = atomic_load(&f->sent);

        /* Only the host can be faster, and then there is less. */
        for (int i = 0; i < TRIES_MAX && filled - sent <= FA_SHELF_LEN; i++) {
                if (sent != filled && !atomic_compare_exchange_strong(&f->sent, &sent, filled))
                        continue;
                *ret_n = pieces(f, sent, (size_t)(filled - sent), iov);
                return 0;
        }
        return FAAS_E_PROTO;
}

int fa_shelf_take(struct fa_shelf *f, uint8_t to[FA_SHELF_LEN], size_t *ret_len) {
        for (int i = 0; i < TRIES_MAX; i++) {
                /* In this order: .sent is never beyond a .filled that is read after it. */
                uint64_t sent = atomic_load(&f->sent);
                uint64_t filled = atomic_load(&f->filled);
                struct iovec iov[2];

                /* Between the two reads the slot may have written it all, and filled it anew. */
                if (filled - sent > FA_SHELF_LEN) {
                        if (atomic_load(&f->sent) == sent)
                                return FAAS_E_PROTO;
                        continue;
                }
                size_t len = (size_t)(filled - sent);
                size_t n = pieces(f, sent, len, iov);
                for (size_t k = 0, at = 0; k < n; at += iov[k++].iov_len)
                        memcpy(to + at, iov[k].iov_base, iov[k].iov_len);
                if (len == 0 || atomic_compare_exchange_strong(&f->sent, &sent, filled)) {
                        *ret_len = len;
                        return 0;
                }
        }
        return FAAS_E_PROTO;
}
