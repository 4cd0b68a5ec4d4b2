/*
 * The msgpack reader and writer: every form, every bound, and agreement with msgpack-c's unpacker
 * on every golden vector and on mutations of them.
 */
#undef NDEBUG
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include <criterion/criterion.h>
#include <msgpack.h>

#include "base/macros.h"
#include "vector-file.h"
#include "wire/mp.h"

#define READ(r, ...)                                                                               \
        static const uint8_t bytes_[] = {__VA_ARGS__};                                             \
        fa_mp_read(&(r), bytes_, sizeof(bytes_))

Test(mp, every_form_of_an_unsigned_integer_reads_alike) {
        static const struct {
                uint8_t len, b[9];
                uint64_t v;
        } forms[] = {
                {1, {0x05}, 5},
                {1, {0x7f}, 127},
                {2, {0xcc, 0x05}, 5},
                {3, {0xcd, 0, 0x05}, 5},
                {5, {0xce, 0, 0, 0, 0x05}, 5},
                {9, {0xcf, 0, 0, 0, 0, 0, 0, 0, 0x05}, 5},
                {2, {0xd0, 0x05}, 5},
                {3, {0xd1, 0, 0x05}, 5},
                {5, {0xd2, 0, 0, 0, 0x05}, 5},
                {9, {0xd3, 0, 0, 0, 0, 0, 0, 0, 0x05}, 5},
                {9, {0xcf, 255, 255, 255, 255, 255, 255, 255, 255}, UINT64_MAX},
        };

        for (size_t i = 0; i < FA_ARRAY_SIZE(forms); i++) {
                struct fa_mp_reader r;

                fa_mp_read(&r, forms[i].b, forms[i].len);
                cr_assert_eq(fa_mp_uint(&r), forms[i].v);
                cr_assert(fa_mp_done(&r));
        }
}

Test(mp, every_form_of_a_negative_integer_reads_alike) {
        static const struct {
                uint8_t len, b[9];
                int64_t v;
        } forms[] = {
                {1, {0xff}, -1},
                {1, {0xe0}, -32},
                {2, {0xd0, 0xff}, -1},
                {3, {0xd1, 0xff, 0xff}, -1},
                {5, {0xd2, 0xff, 0xff, 0xff, 0xff}, -1},
                {9, {0xd3, 255, 255, 255, 255, 255, 255, 255, 255}, -1},
                {9, {0xd3, 0x80}, INT64_MIN},
        };

        for (size_t i = 0; i < FA_ARRAY_SIZE(forms); i++) {
                struct fa_mp_reader r;

                fa_mp_read(&r, forms[i].b, forms[i].len);
                cr_assert_eq(fa_mp_int(&r), forms[i].v);
                cr_assert(fa_mp_done(&r));
                fa_mp_read(&r, forms[i].b, forms[i].len);
                cr_assert_eq(fa_mp_uint(&r), 0);
                cr_assert_str_eq(r.what, "not an unsigned integer");
        }
}

Test(mp, a_signed_read_refuses_what_is_over_its_range) {
        struct fa_mp_reader r;

        READ(r, 0xcf, 0x80, 0, 0, 0, 0, 0, 0, 0);
        cr_assert_eq(fa_mp_int(&r), 0);
        cr_assert_str_eq(r.what, "not a signed integer");
}

Test(mp, an_error_sticks_and_leaves_no_bytes) {
        struct fa_mp_reader r;

        READ(r, 0x93, 0xa1, 'x', 0x01, 0x02);
        cr_assert_eq(fa_mp_open(&r), 3);
        cr_assert_eq(fa_mp_uint(&r), 0);
        cr_assert_str_eq(r.what, "not an unsigned integer");
        cr_assert_eq(fa_mp_uint(&r), 0);
        cr_assert_eq(fa_mp_str(&r).len, 0);
        cr_assert_eq(fa_mp_bin(&r).len, 0);
        cr_assert_eq(fa_mp_int(&r), 0);
        cr_assert_eq(fa_mp_open(&r), 0);
        fa_mp_skip(&r);
        fa_mp_close(&r);
        cr_assert_not(fa_mp_done(&r));
        cr_assert_str_eq(r.what, "not an unsigned integer");
        cr_assert(r.p == r.end);
}

Test(mp, str_and_bin_are_not_the_same) {
        struct fa_mp_reader r;

        READ(r, 0x92, 0xa1, 'x', 0xc4, 1, 'x');
        fa_mp_open(&r);
        cr_assert_eq(fa_mp_bin(&r).len, 0);
        cr_assert_str_eq(r.what, "not binary");
        fa_mp_read(&r, bytes_, sizeof(bytes_));
        fa_mp_open(&r);
        cr_assert_eq(fa_mp_str(&r).len, 1);
        cr_assert_eq(fa_mp_str(&r).len, 0);
        cr_assert_str_eq(r.what, "not a string");
}

Test(mp, an_array_does_not_give_more_than_it_has) {
        struct fa_mp_reader r;

        READ(r, 0x92, 0x91, 0x01, 0x02);
        fa_mp_open(&r);
        fa_mp_open(&r);
        cr_assert_eq(fa_mp_uint(&r), 1);
        fa_mp_uint(&r);
        cr_assert_str_eq(r.what, "too few elements");
}

Test(mp, closing_an_array_skips_what_is_left) {
        struct fa_mp_reader r;

        READ(r, 0x93, 0x94, 0x01, 0xc0, 0x92, 0xc3, 0x90, 0xa2, 'h', 'i', 0x07, 0x08);
        fa_mp_open(&r);
        fa_mp_open(&r);
        cr_assert_eq(fa_mp_uint(&r), 1);
        fa_mp_close(&r);
        cr_assert_eq(fa_mp_uint(&r), 7);
        fa_mp_close(&r);
        cr_assert(fa_mp_done(&r));
}

Test(mp, arrays_nest_four_deep_and_no_deeper) {
        struct fa_mp_reader r;

        READ(r, 0x91, 0x91, 0x91, 0x91, 0x91, 0x90);
        for (int i = 0; i < FA_NESTING_MAX; i++)
                cr_assert_eq(fa_mp_open(&r), 1);
        cr_assert_null(r.what);
        fa_mp_open(&r);
        cr_assert_str_eq(r.what, "arrays nested too deep");
        fa_mp_read(&r, bytes_ + 2, sizeof(bytes_) - 2);
        fa_mp_skip(&r);
        cr_assert(fa_mp_done(&r));
        fa_mp_read(&r, bytes_ + 1, sizeof(bytes_) - 1);
        fa_mp_skip(&r);
        cr_assert_str_eq(r.what, "arrays nested too deep");
}

Test(mp, a_length_beyond_the_bytes_is_refused_at_once) {
        static const uint8_t tags[] = {0xc6, 0xdb, 0xdd};

        for (size_t i = 0; i < sizeof(tags); i++) {
                const uint8_t b[] = {tags[i], 0xff, 0xff, 0xff, 0xff};
                struct fa_mp_reader r;
                struct fa_mp_value v;

                fa_mp_read(&r, b, sizeof(b));
                cr_assert_not(fa_mp_next(&r, &v));
                cr_assert_str_eq(r.what, "cut short");
        }
}

/* fixmap, map, ext, float and the byte that msgpack never uses: read or skipped, they are refused.
 */
Test(mp, types_outside_the_subset_are_refused) {
        static const uint8_t tags[] = {0x80, 0x8f, 0xc1, 0xc7, 0xc8, 0xc9, 0xca, 0xcb,
                                       0xd4, 0xd5, 0xd6, 0xd7, 0xd8, 0xde, 0xdf};

        for (size_t i = 0; i < sizeof(tags); i++) {
                uint8_t b[32] = {tags[i]};
                struct fa_mp_reader r;

                fa_mp_read(&r, b, sizeof(b));
                fa_mp_skip(&r);
                cr_assert_str_eq(r.what, "a map, ext or float, which this protocol does not use");
        }
}

Test(mp, bytes_behind_the_end_are_an_error) {
        struct fa_mp_reader r;

        READ(r, 0x01, 0x02);
        fa_mp_uint(&r);
        cr_assert_not(fa_mp_done(&r));
        fa_mp_read(&r, bytes_, 1);
        cr_assert_not(fa_mp_done(&r)); /* nothing was read yet */
}

Test(mp, the_writer_uses_the_shortest_form_and_stops_when_full) {
        static const struct {
                uint64_t v;
                size_t len;
        } uints[] = {{0, 1},     {127, 1},   {128, 2},        {255, 2},        {256, 3},
                     {65535, 3}, {65536, 5}, {UINT32_MAX, 5}, {1ull << 32, 9}, {UINT64_MAX, 9}};
        static const struct {
                int64_t v;
                size_t len;
        } ints[] = {{0, 1},    {127, 1},  {128, 2},    {-1, 1},     {-32, 1},      {-33, 2},
                    {-128, 2}, {-129, 3}, {-32768, 3}, {-32769, 5}, {INT32_MIN, 5}};
        uint8_t b[16];

        for (size_t i = 0; i < FA_ARRAY_SIZE(uints); i++) {
                struct fa_mp_writer w = {b, b + sizeof(b), false};
                struct fa_mp_reader r;

                fa_mp_put_uint(&w, uints[i].v);
                cr_assert_eq((size_t)(w.p - b), uints[i].len);
                fa_mp_read(&r, b, uints[i].len);
                cr_assert_eq(fa_mp_uint(&r), uints[i].v);
                w = (struct fa_mp_writer){b, b + uints[i].len - 1, false};
                fa_mp_put_uint(&w, uints[i].v);
                cr_assert(w.full);
        }
        for (size_t i = 0; i < FA_ARRAY_SIZE(ints); i++) {
                struct fa_mp_writer w = {b, b + sizeof(b), false};
                struct fa_mp_reader r;

                fa_mp_put_int(&w, ints[i].v);
                cr_assert_eq((size_t)(w.p - b), ints[i].len);
                fa_mp_read(&r, b, ints[i].len);
                cr_assert_eq(fa_mp_int(&r), ints[i].v);
        }
}

/* ---- agreement with msgpack-c ------------------------------------------------------------- */

/*
 * Walks what msgpack-c read with our reader: false if ours refuses.  Where both accept they must
 * say the same.
 */
static bool same(struct fa_mp_reader *r, const msgpack_object *o) {
        struct fa_mp_value v;

        if (!fa_mp_next(r, &v))
                return false;
        switch (v.kind) {
        case FA_MP_NIL:
                cr_assert_eq(o->type, MSGPACK_OBJECT_NIL);
                return true;
        case FA_MP_BOOL:
                cr_assert_eq(o->type, MSGPACK_OBJECT_BOOLEAN);
                cr_assert_eq(v.u, (uint64_t)o->via.boolean);
                return true;
        case FA_MP_UINT:
                cr_assert_eq(o->type, MSGPACK_OBJECT_POSITIVE_INTEGER);
                cr_assert_eq(v.u, o->via.u64);
                return true;
        case FA_MP_INT:
                cr_assert_eq(o->type, MSGPACK_OBJECT_NEGATIVE_INTEGER);
                cr_assert_eq(v.i, o->via.i64);
                return true;
        case FA_MP_STR:
        case FA_MP_BIN:
                cr_assert_eq(o->type,
                             v.kind == FA_MP_STR ? MSGPACK_OBJECT_STR : MSGPACK_OBJECT_BIN);
                cr_assert_eq(v.s.len, o->via.str.size);
                cr_assert(v.s.len == 0 || memcmp(v.s.p, o->via.str.ptr, v.s.len) == 0);
                return true;
        case FA_MP_ARRAY:
                cr_assert_eq(o->type, MSGPACK_OBJECT_ARRAY);
                cr_assert_eq(v.u, o->via.array.size);
                for (uint32_t i = 0; i < o->via.array.size; i++) {
                        if (!same(r, &o->via.array.ptr[i]))
                                return false;
                }
                fa_mp_close(r);
                return !r->what;
        }
        return false;
}

/* Does any value lie outside our subset or our nesting?  Then we may refuse what msgpack-c reads.
 */
static bool in_subset(const msgpack_object *o, int depth) {
        switch (o->type) {
        case MSGPACK_OBJECT_NIL:
        case MSGPACK_OBJECT_BOOLEAN:
        case MSGPACK_OBJECT_POSITIVE_INTEGER:
        case MSGPACK_OBJECT_NEGATIVE_INTEGER:
        case MSGPACK_OBJECT_STR:
        case MSGPACK_OBJECT_BIN:
                return true;
        case MSGPACK_OBJECT_ARRAY:
                if (depth == FA_NESTING_MAX)
                        return false;
                for (uint32_t i = 0; i < o->via.array.size; i++) {
                        if (!in_subset(&o->via.array.ptr[i], depth + 1))
                                return false;
                }
                return true;
        default:
                return false;
        }
}

static unsigned n_both; /* both read it */

static void compare(const uint8_t *p, size_t len) {
        struct fa_mp_reader r;
        msgpack_unpacked u;
        size_t off = 0;
        msgpack_unpack_return theirs;
        bool ours;

        fa_mp_read(&r, p, len);
        fa_mp_skip(&r);
        ours = !r.what;
        const size_t used = (size_t)(r.p - p);
        /* array 32 and map 32: msgpack-c would allocate what they claim, some 100 GB. */
        if (!ours && (memchr(p, 0xdd, len) || memchr(p, 0xdf, len)))
                return;
        msgpack_unpacked_init(&u);
        theirs = msgpack_unpack_next(&u, (const char *)p, len, &off);
        if (ours) {
                cr_assert_eq(theirs, MSGPACK_UNPACK_SUCCESS);
                cr_assert_eq(off, used);
                fa_mp_read(&r, p, len);
                cr_assert(same(&r, &u.data));
                n_both++;
        } else if (theirs == MSGPACK_UNPACK_SUCCESS) {
                cr_assert_not(in_subset(&u.data, 0));
        }
        msgpack_unpacked_destroy(&u);
}

static void compare_vector(const char *name, const struct vector *v) {
        compare(fa_blob_ptr(v->in.v[0]), fa_blob_len(v->in.v[0]));
}

static uint64_t random_state = 1;

static uint32_t random_below(uint32_t n) {
        random_state = random_state * 6364136223846793005u + 1442695040888963407u;
        return (uint32_t)(random_state >> 33) % n;
}

static void compare_mutations(const char *name, const struct vector *v) {
        uint8_t b[1024];
        const size_t len = fa_blob_len(v->in.v[0]);

        if (len == 0 || len > sizeof(b))
                return;
        for (int i = 0; i < 200; i++) {
                memcpy(b, v->in.v[0]->p, len);
                for (uint32_t k = 1 + random_below(4); k > 0; k--)
                        b[random_below((uint32_t)len)] = (uint8_t)random_below(256);
                compare(b, len);
        }
}

Test(mp, reads_every_vector_as_msgpack_c_does) {
        cr_assert_gt(vector_each("", compare_vector), 60);
        cr_assert_gt(n_both, 60);
}

Test(mp, reads_mutated_vectors_as_msgpack_c_does) {
        vector_each("", compare_mutations);
        cr_assert_gt(n_both, 1000);
}
