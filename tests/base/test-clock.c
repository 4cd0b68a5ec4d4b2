#undef NDEBUG
#include <limits.h>
#include <stdint.h>

#include <criterion/criterion.h>

#include "base/clock.h"

Test(clock, a_poll_timeout_is_rounded_up) {
        cr_assert_eq(fa_poll_ms(1001, 1000), 1);
        cr_assert_eq(fa_poll_ms(FA_NS_PER_MS, 0), 1);
        cr_assert_eq(fa_poll_ms(FA_NS_PER_MS + 1, 0), 2);
        cr_assert_eq(fa_poll_ms(5 * FA_NS_PER_S, 2 * FA_NS_PER_S - 1), 3001);
}

Test(clock, a_passed_deadline_is_now) {
        cr_assert_eq(fa_poll_ms(1000, 1000), 0);
        cr_assert_eq(fa_poll_ms(0, 1000), 0);
        cr_assert_eq(fa_poll_ms(0, UINT64_MAX), 0);
}

Test(clock, never_is_minus_one_and_the_rest_fits_an_int) {
        cr_assert_eq(fa_poll_ms(FA_NEVER, 0), -1);
        cr_assert_eq(fa_poll_ms(FA_NEVER, FA_NEVER), -1);
        cr_assert_eq(fa_poll_ms(FA_NEVER - 1, 0), INT_MAX);
        cr_assert_eq(fa_poll_ms(FA_NS_PER_MS * INT_MAX, 0), INT_MAX);
        cr_assert_eq(fa_poll_ms(FA_NS_PER_MS * INT_MAX + 1, 0), INT_MAX);
}

Test(clock, monotonic_time_does_not_go_back) {
        uint64_t last = fa_now();

        for (int i = 0; i < 10000; i++) {
                uint64_t now = fa_now();
                cr_assert_geq(now, last);
                last = now;
        }
}

Test(clock, the_wall_clock_counts_milliseconds_since_1970) {
        uint64_t ms = fa_wall_ms();

        cr_assert_gt(ms, UINT64_C(1700000000000)); /* November 2023 */
        cr_assert_lt(ms, UINT64_C(1) << 48);       /* what an id has room for */
}
