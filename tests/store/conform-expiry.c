/*
 * conform-expiry.c - every store: how long results stay that nobody collects
 */
#undef NDEBUG
#include "conformance.h"

#include <string.h>

Test(store, an_uncollected_result_goes_when_its_time_is_over) {
        const struct fa_store_cfg cfg = {.result_ttl_ns = 3 * FA_NS_PER_S};
        struct bed b;

        bed_open(&b, &cfg);
        struct ep e = ep_start(&b, "a");
        for (unsigned i = 0; i < 3; i++)
                cr_assert_eq(do_accept(&e, i, "x"), 0);
        cr_assert_eq(do_finish(&e, 0, "r0"), 0);
        b.ops->advance(&b, 2 * FA_NS_PER_S);
        cr_assert_eq(do_finish(&e, 1, "r1"), 0);
        expect_final(&b, 0, "r0");
        b.ops->advance(&b, 3 * FA_NS_PER_S / 2);
        cr_assert_eq(do_get(&b, 0, NULL), FAAS_E_GONE);
        expect_final(&b, 1, "r1");
        b.ops->advance(&b, 100 * FA_NS_PER_S);
        cr_assert_eq(do_get(&b, 1, NULL) == 0, false);
        expect_open(&b, 2); /* open tasks have no such time */
        bed_close(&b);
}

Test(store, the_oldest_results_go_first_when_there_are_too_many_bytes) {
        const struct fa_store_cfg cfg = {.result_bytes = 100000};
        char big[30001];
        struct bed b;

        memset(big, 'x', sizeof(big) - 1);
        big[sizeof(big) - 1] = 0;
        bed_open(&b, &cfg);
        struct ep e = ep_start(&b, "a");
        for (unsigned i = 0; i < 6; i++) {
                cr_assert_eq(do_accept(&e, i, "x"), 0);
                cr_assert_eq(do_finish(&e, i, big), 0);
        }
        for (unsigned i = 0; i < 6; i++)
                cr_assert_eq(do_get(&b, i, NULL), i < 3 ? FAAS_E_GONE : 0, "task %u", i);
        cr_assert_eq(do_forget(&e, 3), 0);
        cr_assert_eq(do_accept(&e, 6, "x"), 0);
        cr_assert_eq(do_finish(&e, 6, big), 0);
        cr_assert_eq(do_get(&b, 4, NULL), 0, "collected results make room");
        bed_close(&b);
}

Test(store, the_newest_result_stays_even_if_it_alone_is_over_the_budget) {
        const struct fa_store_cfg cfg = {.result_bytes = 10};
        struct bed b;

        bed_open(&b, &cfg);
        struct ep e = ep_start(&b, "a");
        for (unsigned i = 0; i < 2; i++) {
                cr_assert_eq(do_accept(&e, i, "x"), 0);
                cr_assert_eq(do_finish(&e, i, "more than ten bytes"), 0);
        }
        cr_assert_eq(do_get(&b, 0, NULL), FAAS_E_GONE);
        expect_final(&b, 1, "more than ten bytes");
        bed_close(&b);
}

Test(store, a_collected_id_is_remembered_for_a_minute_at_least_and_not_for_ever) {
        struct bed b;

        bed_open(&b, NULL);
        struct ep e = ep_start(&b, "a");
        cr_assert_eq(do_accept(&e, 1, "x"), 0);
        cr_assert_eq(do_finish(&e, 1, "y"), 0);
        cr_assert_eq(do_forget(&e, 1), 0);
        for (unsigned s = 0; s < 59; s++) {
                cr_assert_eq(do_get(&b, 1, NULL), FAAS_E_GONE, "after %u s", s);
                b.ops->advance(&b, FA_NS_PER_S);
        }
        for (unsigned s = 0; s < 4; s++)
                b.ops->advance(&b, 60 * FA_NS_PER_S);
        cr_assert_eq(do_get(&b, 1, NULL), FAAS_E_NOENT);
        bed_close(&b);
}
