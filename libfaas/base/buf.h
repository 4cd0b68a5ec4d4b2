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
        bool failed; /* an allocation failed; all later writes are ignored, the caller checks once */
};

#define FA_BUF_NULL { NULL, 0, 0, false }

void fa_buf_deinit(struct fa_buf *b); /* legal on FA_BUF_NULL */
void fa_buf_clear(struct fa_buf *b);  /* empty, no error, memory kept */
void fa_buf_put(struct fa_buf *b, const void *p, size_t len);

/* Makes room for len more bytes at b->p + b->len and returns that place, or NULL (b->failed set). */
uint8_t *fa_buf_room(struct fa_buf *b, size_t len);

/* Drops the first len bytes. */
void fa_buf_drop(struct fa_buf *b, size_t len);

static inline bool fa_slice_eq(struct fa_slice a, struct fa_slice b) {
        return a.len == b.len && (a.len == 0 || __builtin_memcmp(a.p, b.p, a.len) == 0);
}
