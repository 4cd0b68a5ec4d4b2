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

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"
#include "base/limits.h"

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

/* The next value, which must be of this kind. */
uint64_t fa_mp_uint(struct fa_mp_reader *r);
int64_t fa_mp_int(struct fa_mp_reader *r); /* fits int64_t, whatever its sign */
struct fa_slice fa_mp_str(struct fa_mp_reader *r);
struct fa_slice fa_mp_bin(struct fa_mp_reader *r);
uint32_t fa_mp_open(struct fa_mp_reader *r); /* an array: opens it, returns its length */

void fa_mp_skip(struct fa_mp_reader *r);  /* the next value, whole */
void fa_mp_close(struct fa_mp_reader *r); /* skips what is left of the innermost open array */

/* True if nothing went wrong and no byte is left over. */
bool fa_mp_done(struct fa_mp_reader *r);

/* Writes the shortest form of each value to memory of the caller's; .full sticks. */
struct fa_mp_writer {
        uint8_t *p, *end;
        bool full; /* something did not fit */
};

void fa_mp_put_uint(struct fa_mp_writer *w, uint64_t v);
void fa_mp_put_int(struct fa_mp_writer *w, int64_t v);
void fa_mp_put_str(struct fa_mp_writer *w, const void *p, size_t len);
void fa_mp_put_bin(struct fa_mp_writer *w, const void *p, size_t len);
void fa_mp_put_array(struct fa_mp_writer *w, size_t n);
