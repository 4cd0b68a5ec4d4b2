#undef NDEBUG
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <criterion/criterion.h>

#include "base/blob.h"
#include "base/macros.h"

static int released;

static void release(void *owner) {
        released++;
        free(owner);
}

Test(blob, a_copy_is_the_same_bytes_with_a_nul_behind_them) {
        FA_CLEANUP(fa_blob_unrefp) struct fa_blob *b = NULL;
        char text[] = "hello";

        cr_assert_eq(fa_blob_new(&b, text, 5), 0);
        text[0] = 'j';
        cr_assert_eq(fa_blob_len(b), 5);
        cr_assert_str_eq((const char *)fa_blob_ptr(b), "hello");
        cr_assert_eq((uintptr_t)fa_blob_ptr(b) % _Alignof(max_align_t), 0);
}

Test(blob, null_is_the_empty_blob) {
        struct fa_blob *b = (struct fa_blob *)&released;
        uint8_t *p = (uint8_t *)&released;

        cr_assert_eq(fa_blob_new(&b, NULL, 0), 0);
        cr_assert_null(b);
        b = (struct fa_blob *)&released;
        cr_assert_eq(fa_blob_new_uninit(&b, &p, 0), 0);
        cr_assert_null(b);
        cr_assert_null(p);
        cr_assert_eq(fa_blob_len(NULL), 0);
        cr_assert_not_null(fa_blob_ptr(NULL));
        cr_assert_null(fa_blob_ref(NULL));
        cr_assert_null(fa_blob_unref(NULL));
}

Test(blob, wrapped_bytes_are_released_with_the_last_reference) {
        struct fa_blob *b = NULL;
        char *bytes = strdup("wrapped");

        cr_assert_eq(fa_blob_wrap(&b, bytes, 7, release, bytes), 0);
        cr_assert_eq(fa_blob_ptr(b), (const uint8_t *)bytes);
        cr_assert_eq(fa_blob_ref(b), b);
        cr_assert_null(fa_blob_unref(b));
        cr_assert_eq(released, 0);
        cr_assert_null(fa_blob_unref(b));
        cr_assert_eq(released, 1);
}

Test(blob, wrapping_nothing_releases_the_owner_at_once) {
        struct fa_blob *b = (struct fa_blob *)&released;

        cr_assert_eq(fa_blob_wrap(&b, "", 0, release, malloc(1)), 0);
        cr_assert_null(b);
        cr_assert_eq(released, 1);
}

Test(blob, static_bytes_need_no_release) {
        FA_CLEANUP(fa_blob_unrefp) struct fa_blob *b = NULL;

        cr_assert_eq(fa_blob_wrap(&b, "static", 6, NULL, NULL), 0);
        cr_assert_eq(fa_blob_len(b), 6);
}

Test(blob, lengths_over_32_bits_are_refused) {
        struct fa_blob *b = NULL;
        uint8_t *p = NULL;

        cr_assert_eq(fa_blob_new_uninit(&b, &p, SIZE_MAX), -ENOMEM);
        cr_assert_eq(fa_blob_new_uninit(&b, &p, UINT32_MAX), -ENOMEM);
        cr_assert_eq(fa_blob_wrap(&b, "x", (size_t)UINT32_MAX + 1, release, NULL), -ENOMEM);
        cr_assert_null(b);
        cr_assert_eq(released, 0);
}
