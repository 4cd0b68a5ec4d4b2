/* test-chunk.c - results of NAME.map: what is written is read, and nothing else */
#undef NDEBUG
#include <string.h>

#include <criterion/criterion.h>

#include "wire/chunk.h"

static const struct fa_chunk_result results[] = {
        {0, 0, {(const uint8_t *)"", 0}},
        {0, 0, {(const uint8_t *)"bytes", 5}},
        {FAAS_FAILURE_LIMIT, 0, {(const uint8_t *)"", 0}},
        {FAAS_FAILURE_FUNCTION, -2147483647, {(const uint8_t *)"why", 3}},
        {FAAS_FAILURE_FUNCTION, 2147483647, {(const uint8_t *)"", 0}},
};
#define N (sizeof(results) / sizeof(*results))

Test(chunk, what_is_written_is_read) {
        uint8_t buf[256];
        struct fa_mp_writer w = {.p = buf, .end = buf + sizeof(buf)};
        struct fa_chunk_result got;
        struct fa_mp_reader r;

        fa_mp_put_array(&w, N);
        for (size_t i = 0; i < N; i++) {
                uint8_t *p = w.p;

                fa_chunk_put(&w, &results[i]);
                size_t head = (size_t)(w.p - p) - results[i].bytes.len;
                cr_assert_leq(head, results[i].failure ? FA_CHUNK_TEXT : FA_CHUNK_BIN);
        }
        cr_assert(!w.full);
        for (size_t cut = 0; cut <= (size_t)(w.p - buf); cut++) {
                size_t i = 0;

                fa_mp_read(&r, buf, cut);
                (void)fa_mp_open(&r);
                while (i < N && fa_chunk_next(&r, &got)) {
                        cr_assert_eq(got.failure, results[i].failure);
                        cr_assert_eq(got.code, results[i].code);
                        cr_assert_eq(got.bytes.len, results[i].bytes.len);
                        cr_assert_eq(memcmp(got.bytes.p, results[i].bytes.p, got.bytes.len), 0);
                        i++;
                }
                cr_assert_eq(i == N, cut == (size_t)(w.p - buf), "%zu results of %zu bytes", i,
                             cut);
        }
}

static void refused(const char *bytes, size_t len) {
        struct fa_chunk_result got;
        struct fa_mp_reader r;

        fa_mp_read(&r, bytes, len);
        cr_assert_eq(fa_mp_open(&r), 1);
        cr_assert(!fa_chunk_next(&r, &got), "accepted");
        cr_assert_not_null(r.what);
}
#define REFUSED(bytes) refused(bytes, sizeof(bytes) - 1)

Test(chunk, nothing_else_is_read) {
        REFUSED("\x91\xa1"
                "a");                                    /* a string */
        REFUSED("\x91\xc0");                             /* nil */
        REFUSED("\x91\x07");                             /* a number */
        REFUSED("\x91\x90");                             /* no failure at all */
        REFUSED("\x91\x92\x01\x00");                     /* without its text */
        REFUSED("\x91\x93\x00\x00\xa0");                 /* no failure */
        REFUSED("\x91\x93\x09\x00\xa0");                 /* one that does not exist */
        REFUSED("\x91\x93\xcd\x01\x01\x00\xa0");         /* one that would if it were a byte */
        REFUSED("\x91\x93\x01\xce\x80\x00\x00\x00\xa0"); /* a code of 33 bits */
        REFUSED("\x91\x93\x01\x00\xc4\x00");             /* a text of bytes */
}
