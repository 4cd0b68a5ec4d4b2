#undef NDEBUG
#include <stdint.h>
#include <string.h>

#include <criterion/criterion.h>

#include "base/buf.h"
#include "base/macros.h"

Test(buf, what_was_put_is_there_in_order) {
        FA_CLEANUP(fa_buf_deinit) struct fa_buf b = FA_BUF_NULL;

        for (unsigned i = 0; i < 10000; i++) {
                uint8_t byte = (uint8_t)(i * 7);
                fa_buf_put(&b, &byte, 1);
        }
        cr_assert_not(b.failed);
        cr_assert_eq(b.len, 10000);
        for (unsigned i = 0; i < 10000; i++)
                cr_assert_eq(b.p[i], (uint8_t)(i * 7));
}

Test(buf, room_is_not_counted_until_the_writer_says_so) {
        FA_CLEANUP(fa_buf_deinit) struct fa_buf b = FA_BUF_NULL;
        uint8_t *p = fa_buf_room(&b, 1000);

        cr_assert_not_null(p);
        cr_assert_eq(p, b.p + b.len);
        cr_assert_eq(b.len, 0);
        memset(p, 'x', 1000);
        b.len += 10;
        cr_assert_eq(fa_buf_room(&b, 990), b.p + 10);
        cr_assert_not_null(fa_buf_room(&b, 0));
}

Test(buf, nothing_can_be_put_from_nowhere) {
        FA_CLEANUP(fa_buf_deinit) struct fa_buf b = FA_BUF_NULL;

        fa_buf_put(&b, NULL, 0);
        cr_assert_eq(b.len, 0);
        cr_assert_not(b.failed);
        cr_assert_not_null(fa_buf_room(&b, 0));
}

Test(buf, a_failure_sticks_and_keeps_what_was_written) {
        FA_CLEANUP(fa_buf_deinit) struct fa_buf b = FA_BUF_NULL;

        fa_buf_put(&b, "abc", 3);
        cr_assert_null(fa_buf_room(&b, SIZE_MAX - 1));
        cr_assert(b.failed);
        fa_buf_put(&b, "def", 3);
        cr_assert_eq(b.len, 3);
        cr_assert_null(fa_buf_room(&b, 1));
        cr_assert_arr_eq(b.p, "abc", 3);

        fa_buf_clear(&b);
        fa_buf_put(&b, "def", 3);
        cr_assert_not(b.failed);
        cr_assert_arr_eq(b.p, "def", 3);
}

Test(buf, dropping_moves_the_rest_to_the_front) {
        FA_CLEANUP(fa_buf_deinit) struct fa_buf b = FA_BUF_NULL;

        fa_buf_drop(&b, 0);
        fa_buf_put(&b, "0123456789", 10);
        fa_buf_drop(&b, 4);
        cr_assert_eq(b.len, 6);
        cr_assert_arr_eq(b.p, "456789", 6);
        fa_buf_drop(&b, 6);
        cr_assert_eq(b.len, 0);
}

Test(buf, slices_are_equal_by_their_bytes) {
        struct fa_slice a = {(const uint8_t *)"echo", 4}, none = {NULL, 0};

        cr_assert(fa_slice_eq(a, (struct fa_slice){(const uint8_t *)"echoes", 4}));
        cr_assert_not(fa_slice_eq(a, (struct fa_slice){(const uint8_t *)"echoes", 5}));
        cr_assert_not(fa_slice_eq(a, (struct fa_slice){(const uint8_t *)"noop", 4}));
        cr_assert(fa_slice_eq(none, (struct fa_slice){(const uint8_t *)"", 0}));
}
