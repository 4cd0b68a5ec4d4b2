/*
 * buf.c - growable bytes
 *
 * The error sticks, so that whoever writes a message in twenty steps asks once, at the end.
 */
#include "base/buf.h"

#include <stdlib.h>
#include <string.h>

#include "base/macros.h"

void fa_buf_deinit(struct fa_buf *b) {
        free(b->p);
        *b = (struct fa_buf)FA_BUF_NULL;
}

void fa_buf_clear(struct fa_buf *b) {
        b->len = 0;
        b->failed = false;
}

static bool grow(struct fa_buf *b, size_t len) {
        if (len > SIZE_MAX / 2 - b->len)
                return false;

        size_t cap = FA_MAX(FA_MAX(b->len + len, b->cap * 2), 64);
        uint8_t *p = realloc(b->p, cap);
        if (!p)
                return false;
        b->p = p;
        b->cap = cap;
        return true;
}

uint8_t *fa_buf_room(struct fa_buf *b, size_t len) {
        if (b->failed)
                return NULL;
        if (!b->p || len > b->cap - b->len) {
                b->failed = !grow(b, len);
                if (b->failed)
                        return NULL;
        }
        return b->p + b->len;
}

void fa_buf_put(struct fa_buf *b, const void *p, size_t len) {
        if (len == 0)
                return;

        uint8_t *to = fa_buf_room(b, len);
        if (!to)
                return;
        memcpy(to, p, len);
        b->len += len;
}

void fa_buf_drop(struct fa_buf *b, size_t len) {
        if (len >= b->len) {
                b->len = 0;
                return;
        }
        b->len -= len;
        memmove(b->p, b->p + len, b->len);
}
