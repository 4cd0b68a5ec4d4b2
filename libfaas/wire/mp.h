/*
 * mp.h - the subset of msgpack that the wire uses: a bounded reader, and a writer
 *
 * The subset is nil, bool, integers, str, bin and array.  Maps, ext and floats are refused, also
 * where an element is only skipped.
 *
 * The reader never allocates and never believes a length: an array of n elements needs at least n
 * more bytes, a string of n bytes needs them all, and arrays nest at most FA_NESTING_MAX deep.
 * (msgpack-c's own unpacker allocates n objects before it has seen them: some 100 GB for a frame
 * of five bytes.)  It keeps count of what is left in each open array, so reading more elements
 * than there are is an error, and closing an array skips those that this version does not know.
 *
 * Errors stick: after the first one every read gives 0 or the empty slice, so a caller may read
 * some fields in a row and look at .what once.
 */
#pragma once

#include <endian.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/buf.h"
#include "base/limits.h"
#include "base/macros.h"

struct fa_mp_reader {
        const uint8_t *p, *end; /* the bytes not yet read */
        const char *what;       /* NULL, or what was wrong first: a static text */
        uint32_t depth;         /* open arrays */
        uint32_t left[FA_NESTING_MAX +
                      1]; /* elements not yet read of each; [0]: the one top value */
};

enum fa_mp_kind {
        FA_MP_NIL,
        FA_MP_BOOL,
        FA_MP_UINT, /* any integer >= 0, in whichever form it was written */
        FA_MP_INT,  /* any integer < 0 */
        FA_MP_STR,
        FA_MP_BIN,
        FA_MP_ARRAY,
};

struct fa_mp_value {
        enum fa_mp_kind kind;
        union {
                uint64_t u; /* BOOL, UINT; ARRAY: number of elements */
                int64_t i;  /* INT */
        };
        struct fa_slice s; /* STR, BIN: borrowed from the reader's bytes */
};

void fa_mp_read(struct fa_mp_reader *r, const void *p, size_t len);

/* The next value; an array is opened, its elements follow. False: see .what, *ret is untouched. */
bool fa_mp_next(struct fa_mp_reader *r, struct fa_mp_value *ret);

/* The next value, which must be of this kind; in any form, and wrong ones too. */
uint64_t fa_mp_any_uint(struct fa_mp_reader *r);
int64_t fa_mp_int(struct fa_mp_reader *r); /* fits int64_t, whatever its sign */
struct fa_slice fa_mp_any_str(struct fa_mp_reader *r);
struct fa_slice fa_mp_any_bin(struct fa_mp_reader *r);
uint32_t fa_mp_any_open(struct fa_mp_reader *r);
void fa_mp_close_rest(struct fa_mp_reader *r);

void fa_mp_skip(struct fa_mp_reader *r); /* the next value, whole */

/*
 * The same, with what is usual done at once: the shortest forms.  n bytes are left, and the array
 * has an element: after an error it has not, because nothing is left to read.
 */
static inline bool fa_mp_has(const struct fa_mp_reader *r, size_t n) {
        return fa_likely((size_t)(r->end - r->p) >= n && r->left[r->depth] > 0);
}

/* Is the next value an integer, in whichever form? */
static inline bool fa_mp_at_int(const struct fa_mp_reader *r) {
        return r->p < r->end &&
               (*r->p <= 0x7f || *r->p >= 0xe0 || (*r->p >= 0xcc && *r->p <= 0xd3));
}

static inline uint64_t fa_mp_uint(struct fa_mp_reader *r) {
        uint64_t v;

        if (fa_likely(fa_mp_has(r, 1) && *r->p <= 0x7f)) {
                r->left[r->depth]--;
                return *r->p++;
        }
        if (fa_mp_has(r, 9) && *r->p >= 0xcc && *r->p <= 0xcf) {
                const unsigned width = 1u << (*r->p - 0xcc);

                memcpy(&v, r->p + 1, sizeof(v));
                r->left[r->depth]--;
                r->p += 1 + width;
                return be64toh(v) >> (64 - 8 * width);
        }
        return fa_mp_any_uint(r);
}

static inline struct fa_slice fa_mp_str(struct fa_mp_reader *r) {
        if (fa_mp_has(r, 1) && (*r->p & 0xe0) == 0xa0) {
                const size_t len = *r->p & 0x1f;

                if (fa_mp_has(r, 1 + len)) {
                        const uint8_t *p = r->p + 1;

                        r->left[r->depth]--;
                        r->p = p + len;
                        return (struct fa_slice){p, len};
                }
        }
        return fa_mp_any_str(r);
}

static inline struct fa_slice fa_mp_bin(struct fa_mp_reader *r) {
        if (fa_mp_has(r, 2) && *r->p == 0xc4 && fa_mp_has(r, 2u + r->p[1])) {
                const uint8_t *p = r->p + 2;
                const size_t len = p[-1];

                r->left[r->depth]--;
                r->p = p + len;
                return (struct fa_slice){p, len};
        }
        return fa_mp_any_bin(r);
}

/* An array: opens it, returns its length. */
static inline uint32_t fa_mp_open(struct fa_mp_reader *r) {
        if (fa_mp_has(r, 1) && (*r->p & 0xf0) == 0x90 && r->depth < FA_NESTING_MAX) {
                const uint32_t n = *r->p & 0x0f;

                if (fa_mp_has(r, 1 + n)) {
                        r->p++;
                        r->left[r->depth]--;
                        r->left[++r->depth] = n;
                        return n;
                }
        }
        return fa_mp_any_open(r);
}

/* Skips what is left of the innermost open array. */
static inline void fa_mp_close(struct fa_mp_reader *r) {
        if (fa_likely(!r->what && r->depth > 0 && r->left[r->depth] == 0))
                r->depth--;
        else
                fa_mp_close_rest(r);
}

/* True if nothing went wrong and no byte is left over. */
bool fa_mp_done(struct fa_mp_reader *r);

/* Writes the shortest form of each value to memory of the caller's; .full sticks. */
struct fa_mp_writer {
        uint8_t *p, *end;
        bool full; /* something did not fit */
};

/* Room for n bytes; NULL and .full if there is not. */
static inline uint8_t *fa_mp_room(struct fa_mp_writer *w, size_t n) {
        uint8_t *p = w->p;

        if (fa_unlikely(w->full || n > (size_t)(w->end - p))) {
                w->full = true;
                return NULL;
        }
        w->p += n;
        return p;
}

/* A tag and a number of 1, 2, 4 or 8 bytes. */
static inline void fa_mp_put_tagged(struct fa_mp_writer *w, uint8_t tag, uint64_t v, size_t width) {
        uint8_t *p = fa_mp_room(w, 1 + width);
        const uint64_t big = htobe64(v << (64 - 8 * width));

        if (fa_unlikely(!p))
                return;
        p[0] = tag;
        memcpy(p + 1, &big, width);
}

static inline void fa_mp_put_byte(struct fa_mp_writer *w, uint8_t byte) {
        uint8_t *p = fa_mp_room(w, 1);

        if (fa_likely(p != NULL))
                *p = byte;
}

static inline void fa_mp_put_uint(struct fa_mp_writer *w, uint64_t v) {
        if (fa_likely(v <= 0x7f))
                fa_mp_put_byte(w, (uint8_t)v);
        else if (v <= UINT8_MAX)
                fa_mp_put_tagged(w, 0xcc, v, 1);
        else if (v <= UINT16_MAX)
                fa_mp_put_tagged(w, 0xcd, v, 2);
        else if (v <= UINT32_MAX)
                fa_mp_put_tagged(w, 0xce, v, 4);
        else
                fa_mp_put_tagged(w, 0xcf, v, 8);
}

static inline void fa_mp_put_int(struct fa_mp_writer *w, int64_t v) {
        if (fa_likely(v >= 0))
                fa_mp_put_uint(w, (uint64_t)v);
        else if (v >= -32)
                fa_mp_put_byte(w, (uint8_t)v);
        else if (v >= INT8_MIN)
                fa_mp_put_tagged(w, 0xd0, (uint8_t)v, 1);
        else if (v >= INT16_MIN)
                fa_mp_put_tagged(w, 0xd1, (uint16_t)v, 2);
        else if (v >= INT32_MIN)
                fa_mp_put_tagged(w, 0xd2, (uint32_t)v, 4);
        else
                fa_mp_put_tagged(w, 0xd3, (uint64_t)v, 8);
}

static inline void fa_mp_put_bytes(struct fa_mp_writer *w, const void *from, size_t len) {
        uint8_t *p = fa_mp_room(w, len);

        if (p && len > 0) /* an empty slice may be NULL, which memcpy() must not see */
                memcpy(p, from, len);
}

static inline void fa_mp_put_str(struct fa_mp_writer *w, const void *p, size_t len) {
        if (fa_likely(len < 32))
                fa_mp_put_byte(w, (uint8_t)(0xa0 | len));
        else if (len <= UINT8_MAX)
                fa_mp_put_tagged(w, 0xd9, len, 1);
        else if (len <= UINT16_MAX)
                fa_mp_put_tagged(w, 0xda, len, 2);
        else
                fa_mp_put_tagged(w, 0xdb, len, 4);
        fa_mp_put_bytes(w, p, len);
}

static inline void fa_mp_put_bin(struct fa_mp_writer *w, const void *p, size_t len) {
        if (fa_likely(len <= UINT8_MAX))
                fa_mp_put_tagged(w, 0xc4, len, 1);
        else if (len <= UINT16_MAX)
                fa_mp_put_tagged(w, 0xc5, len, 2);
        else
                fa_mp_put_tagged(w, 0xc6, len, 4);
        fa_mp_put_bytes(w, p, len);
}

static inline void fa_mp_put_array(struct fa_mp_writer *w, size_t n) {
        if (fa_likely(n < 16))
                fa_mp_put_byte(w, (uint8_t)(0x90 | n));
        else if (n <= UINT16_MAX)
                fa_mp_put_tagged(w, 0xdc, n, 2);
        else
                fa_mp_put_tagged(w, 0xdd, n, 4);
}
