/*
 * buf.h - growable bytes with a sticky error; struct fa_slice, bytes that belong to somebody else
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct fa_slice {
        const uint8_t *p;
        size_t len;
};

struct fa_buf {
        uint8_t *p;
        size_t len, cap;
        bool failed; /* no memory: all later writes are ignored, and the caller asks once */
};

#define FA_BUF_NULL                                                                                \
        { NULL, 0, 0, false }

void fa_buf_deinit(struct fa_buf *b); /* legal on FA_BUF_NULL */
void fa_buf_clear(struct fa_buf *b);  /* empty, no error, memory kept */

/* p is not inside the buffer; NULL is fine when len is 0. */
void fa_buf_put(struct fa_buf *b, const void *p, size_t len);

/*
 * Makes room for len more bytes and returns their place, b->p + b->len, or NULL with b->failed set.
 * b->len stays: who writes there adds what was written.
 */
uint8_t *fa_buf_room(struct fa_buf *b, size_t len);

/* Drops the first len bytes, of those that are there. */
void fa_buf_drop(struct fa_buf *b, size_t len);

static inline bool fa_slice_eq(struct fa_slice a, struct fa_slice b) {
        return a.len == b.len && (a.len == 0 || __builtin_memcmp(a.p, b.p, a.len) == 0);
}
