/*
 * The msgpack subset of the wire: reading.  It is ours because it must never allocate nor trust a
 * length.  What is usual is done inline (mp.h); here is every form, and what is wrong with it.
 * Knows nothing of messages.
 */
#include "wire/mp.h"

#include "base/macros.h"

/* Once wrong, always wrong: no bytes are left, so nobody can read on by mistake. */
static bool fail(struct fa_mp_reader *r, const char *what) {
        if (!r->what)
                r->what = what;
        r->p = r->end;
        return false;
}

static uint64_t big_endian(const uint8_t *p, size_t width) {
        uint64_t v = 0;

        for (size_t i = 0; i < width; i++)
                v = v << 8 | p[i];
        return v;
}

static bool
next_bytes(struct fa_mp_reader *r, enum fa_mp_kind kind, uint64_t len, struct fa_mp_value *ret) {
        if (fa_unlikely(len > (size_t)(r->end - r->p)))
                return fail(r, "cut short");
        ret->kind = kind;
        ret->s = (struct fa_slice){r->p, (size_t)len};
        r->p += len;
        return true;
}

/* Each element takes a byte at least, so an array cannot have more elements than bytes follow. */
static bool next_array(struct fa_mp_reader *r, uint64_t n, struct fa_mp_value *ret) {
        if (fa_unlikely(n > (size_t)(r->end - r->p)))
                return fail(r, "cut short");
        if (fa_unlikely(r->depth == FA_NESTING_MAX))
                return fail(r, "arrays nested too deep");
        r->left[++r->depth] = (uint32_t)n;
        ret->kind = FA_MP_ARRAY;
        ret->u = n;
        return true;
}

static bool next_uint(uint64_t v, struct fa_mp_value *ret) {
        ret->kind = FA_MP_UINT;
        ret->u = v;
        return true;
}

static bool next_int(int64_t v, struct fa_mp_value *ret) {
        if (v >= 0)
                return next_uint((uint64_t)v, ret);
        ret->kind = FA_MP_INT;
        ret->i = v;
        return true;
}

/* The forms with a tag byte of their own, 0xc0 to 0xdf: a number of 0 to 8 bytes follows. */
static bool next_tagged(struct fa_mp_reader *r, uint8_t tag, struct fa_mp_value *ret) {
        static const uint8_t widths[32] = {
                [0x04] = 1, [0x05] = 2, [0x06] = 4,             /* bin */
                [0x0c] = 1, [0x0d] = 2, [0x0e] = 4, [0x0f] = 8, /* uint */
                [0x10] = 1, [0x11] = 2, [0x12] = 4, [0x13] = 8, /* int */
                [0x19] = 1, [0x1a] = 2, [0x1b] = 4,             /* str */
                [0x1c] = 2, [0x1d] = 4,                         /* array */
        };
        const size_t width = widths[tag & 0x1f];

        if (fa_unlikely(width > (size_t)(r->end - r->p)))
                return fail(r, "cut short");
        const uint64_t v = big_endian(r->p, width);
        r->p += width;

        switch (tag) {
        case 0xc0:
                ret->kind = FA_MP_NIL;
                return true;
        case 0xc2:
        case 0xc3:
                ret->kind = FA_MP_BOOL;
                ret->u = tag & 1;
                return true;
        case 0xc4:
        case 0xc5:
        case 0xc6:
                return next_bytes(r, FA_MP_BIN, v, ret);
        case 0xcc:
        case 0xcd:
        case 0xce:
        case 0xcf:
                return next_uint(v, ret);
        case 0xd0:
                return next_int((int8_t)v, ret);
        case 0xd1:
                return next_int((int16_t)v, ret);
        case 0xd2:
                return next_int((int32_t)v, ret);
        case 0xd3:
                return next_int((int64_t)v, ret);
        case 0xd9:
        case 0xda:
        case 0xdb:
                return next_bytes(r, FA_MP_STR, v, ret);
        case 0xdc:
        case 0xdd:
                return next_array(r, v, ret);
        default:
                return fail(r, "a map, ext or float, which this protocol does not use");
        }
}

void fa_mp_read(struct fa_mp_reader *r, const void *p, size_t len) {
        r->p = p;
        r->end = r->p + len;
        r->what = NULL;
        r->depth = 0;
        r->left[0] = 1;
}

/* Inlined into each typed read below, which then keeps only the branches that it needs. */
static inline bool next(struct fa_mp_reader *r, struct fa_mp_value *ret) {
        if (fa_unlikely(r->what != NULL))
                return false;
        if (fa_unlikely(r->left[r->depth] == 0))
                return fail(r, "too few elements");
        if (fa_unlikely(r->p == r->end))
                return fail(r, "cut short");

        const uint8_t tag = *r->p++;
        r->left[r->depth]--;
        if (tag <= 0x7f)
                return next_uint(tag, ret);
        if (tag >= 0xe0)
                return next_int((int8_t)tag, ret);
        if (tag >= 0xc0)
                return next_tagged(r, tag, ret);
        if (tag >= 0xa0)
                return next_bytes(r, FA_MP_STR, tag & 0x1f, ret);
        if (tag >= 0x90)
                return next_array(r, tag & 0x0f, ret);
        return fail(r, "a map, ext or float, which this protocol does not use");
}

bool fa_mp_next(struct fa_mp_reader *r, struct fa_mp_value *ret) {
        return next(r, ret);
}

uint64_t fa_mp_any_uint(struct fa_mp_reader *r) {
        struct fa_mp_value v;

        if (!next(r, &v))
                return 0;
        if (fa_unlikely(v.kind != FA_MP_UINT)) {
                fail(r, "not an unsigned integer");
                return 0;
        }
        return v.u;
}

int64_t fa_mp_int(struct fa_mp_reader *r) {
        struct fa_mp_value v;

        if (!next(r, &v))
                return 0;
        if (v.kind == FA_MP_INT)
                return v.i;
        if (fa_unlikely(v.kind != FA_MP_UINT || v.u > INT64_MAX)) {
                fail(r, "not a signed integer");
                return 0;
        }
        return (int64_t)v.u;
}

struct fa_slice fa_mp_any_str(struct fa_mp_reader *r) {
        struct fa_mp_value v;

        if (next(r, &v)) {
                if (fa_likely(v.kind == FA_MP_STR))
                        return v.s;
                fail(r, "not a string");
        }
        return (struct fa_slice){r->end, 0};
}

struct fa_slice fa_mp_any_bin(struct fa_mp_reader *r) {
        struct fa_mp_value v;

        if (next(r, &v)) {
                if (fa_likely(v.kind == FA_MP_BIN))
                        return v.s;
                fail(r, "not binary");
        }
        return (struct fa_slice){r->end, 0};
}

uint32_t fa_mp_any_open(struct fa_mp_reader *r) {
        struct fa_mp_value v;

        if (!next(r, &v))
                return 0;
        if (fa_unlikely(v.kind != FA_MP_ARRAY)) {
                fail(r, "not an array");
                return 0;
        }
        return (uint32_t)v.u;
}

/* Ends, because each turn reads a byte at least or closes an array. */
void fa_mp_skip(struct fa_mp_reader *r) {
        const uint32_t depth = r->depth;
        struct fa_mp_value v;

        do {
                if (!next(r, &v))
                        return;
                while (r->depth > depth && r->left[r->depth] == 0)
                        r->depth--;
        } while (r->depth > depth);
}

void fa_mp_close_rest(struct fa_mp_reader *r) {
        /* After an error it is unknown which arrays are open: nothing will be read any more. */
        if (fa_unlikely(r->what != NULL))
                return;
        assert(r->depth > 0);
        while (r->left[r->depth] > 0 && !r->what)
                fa_mp_skip(r);
        if (!r->what)
                r->depth--;
}

bool fa_mp_done(struct fa_mp_reader *r) {
        if (!r->what && (r->depth > 0 || r->left[0] > 0))
                return fail(r, "cut short");
        if (!r->what && r->p != r->end)
                return fail(r, "bytes left over behind the end");
        return !r->what;
}
