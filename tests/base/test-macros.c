#undef NDEBUG
#include <stdint.h>

#include <criterion/criterion.h>

#include "base/macros.h"

static int calls;

static int next(void) {
        return ++calls;
}

Test(macros, min_and_max_look_at_each_once) {
        calls = 0;
        cr_assert_eq(FA_MIN(next(), 10), 1);
        cr_assert_eq(FA_MIN(10, next()), 2);
        cr_assert_eq(FA_MAX(next(), 0), 3);
        cr_assert_eq(FA_MIN(10, FA_MAX(FA_MIN(next(), 9), next())), 5);
        cr_assert_eq(calls, 5);
}

Test(macros, min_and_max_have_the_type_of_both) {
        const uint8_t small = 200;
        const uint64_t large = UINT64_MAX;

        cr_assert_eq(FA_MAX(small, large), UINT64_MAX);
        cr_assert_eq(FA_MAX(small, 1000), 1000);
        cr_assert_eq(FA_MIN(small, -1), -1);
        cr_assert_eq(sizeof(FA_MIN(small, large)), sizeof(uint64_t));
        cr_assert_eq(FA_MIN(1.5, 2), 1.5);
}
