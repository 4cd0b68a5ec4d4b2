#undef NDEBUG
#include <errno.h>
#include <stdint.h>
#include <string.h>

#include <criterion/criterion.h>

#include <faas/faas.h>

#include "base/id.h"
#include "base/macros.h"

static const uint8_t seed[16] = {0xff, 0xee, 0xdd, 0xcc, 0xbb, 0xaa, 0x99, 0x88,
                                 0x77, 0x66, 0x55, 0x44, 0x33, 0x22, 0x11, 0x00};

/* The layout of RFC 9562, section 5.7. */
static void check_layout(const struct faas_id *id, uint64_t ms) {
        for (unsigned i = 0; i < 6; i++)
                cr_assert_eq(id->b[i], (uint8_t)(ms >> (40 - 8 * i)));
        cr_assert_eq(id->b[6] >> 4, 7);
        cr_assert_eq(id->b[8] >> 6, 2);
}

Test(id, ids_are_uuids_of_version_7_with_the_time_in_front) {
        struct fa_idgen g;
        struct faas_id id;

        fa_idgen_init(&g, seed);
        fa_idgen_next(&g, 0x018f3c2e1234, &id);
        check_layout(&id, 0x018f3c2e1234);
        fa_idgen_next(&g, 0x018f3c2e1235, &id);
        check_layout(&id, 0x018f3c2e1235);
}

Test(id, ids_grow_whatever_the_clock_does) {
        struct fa_idgen g;
        struct faas_id last, id;
        uint64_t ms = 1000000;

        fa_idgen_init(&g, seed);
        fa_idgen_next(&g, ms, &last);
        for (unsigned i = 0; i < 100000; i++) {
                static const int steps[] = {0, 0, 0, 1, 0, -1, 5, 0, -500, 490, 0};

                ms = (uint64_t)((int64_t)ms + steps[i % FA_ARRAY_SIZE(steps)]);
                fa_idgen_next(&g, ms, &id);
                cr_assert_gt(memcmp(id.b, last.b, 16), 0, "id %u", i);
                last = id;
        }
}

/* A store keeps what is of one time together: that must not be all that a clock that stands brings.
 */
Test(id, no_more_than_1024_have_one_time_where_the_clock_stands) {
        struct fa_idgen g;
        struct faas_id id;

        fa_idgen_init(&g, seed);
        for (unsigned i = 0; i < 10000; i++) {
                fa_idgen_next(&g, 5000, &id);
                check_layout(&id, 5000 + i / 1024);
        }
        fa_idgen_next(&g, 6000, &id);
        check_layout(&id, 6000);
}

Test(id, a_full_counter_carries_into_the_time) {
        struct fa_idgen g = {.ms = 1000, .hi = 0xffe, .lo = (UINT64_C(1) << 62) - 2};
        struct faas_id last, id;

        fa_idgen_next(&g, 1000, &last);
        fa_idgen_next(&g, 1000, &id);
        cr_assert_gt(memcmp(id.b, last.b, 16), 0);
        check_layout(&id, 1000);

        g.lo = (UINT64_C(1) << 62) - 1;
        last = id;
        fa_idgen_next(&g, 1000, &id);
        cr_assert_gt(memcmp(id.b, last.b, 16), 0);
        check_layout(&id, 1001);
}

Test(id, other_seeds_give_other_ids) {
        struct fa_idgen g, h;
        struct faas_id a, b;
        uint8_t other[16];

        for (size_t i = 0; i < 16; i++) {
                memcpy(other, seed, 16);
                other[i] ^= 1;
                fa_idgen_init(&g, seed);
                fa_idgen_init(&h, other);
                fa_idgen_next(&g, 1, &a);
                fa_idgen_next(&h, 1, &b);
                /* 73 of the 128 bits count: those at the end of each half. */
                bool counts = i == 6 || i == 7 || i >= 8;
                cr_assert_eq(memcmp(a.b, b.b, 16) != 0, counts, "byte %zu", i);
        }
}

Test(id, an_id_survives_its_text) {
        struct fa_idgen g;
        struct faas_id id, back;
        char text[FAAS_ID_TEXT_LEN + 1];

        fa_idgen_init(&g, seed);
        for (unsigned i = 0; i < 1000; i++) {
                fa_idgen_next(&g, UINT64_C(0x9e3779b97f4a) * i, &id);
                cr_assert_eq(faas_id_format(&id, text), text);
                cr_assert_eq(strlen(text), FAAS_ID_TEXT_LEN);
                cr_assert_eq(faas_id_parse(&back, text), 0);
                cr_assert_arr_eq(back.b, id.b, 16);
        }
}

Test(id, the_text_is_that_of_a_uuid) {
        struct faas_id id;
        char text[FAAS_ID_TEXT_LEN + 1];

        cr_assert_eq(faas_id_parse(&id, "018F3C2e-5b6a-7cDe-8f01-23456789ABCD"), 0);
        cr_assert_str_eq(faas_id_format(&id, text), "018f3c2e-5b6a-7cde-8f01-23456789abcd");
        cr_assert_eq(id.b[0], 0x01);
        cr_assert_eq(id.b[15], 0xcd);
}

Test(id, a_text_that_is_no_id_is_refused_and_nothing_is_written) {
        static const char good[] = "018f3c2e-5b6a-7cde-8f01-23456789abcd";
        static const char bad[] = {'-', 'g', '/', ':', '@', 'G', '`', ' ', '\n', '\x80', '0'};
        struct faas_id id = {{1, 2, 3}}, before = id;
        char text[64];

        for (size_t i = 0; i < sizeof(good) - 1; i++) {
                for (size_t j = 0; j < sizeof(bad); j++) {
                        bool digit = good[i] != '-' && bad[j] == '0';
                        if (digit || good[i] == bad[j])
                                continue;
                        memcpy(text, good, sizeof(good));
                        text[i] = bad[j];
                        cr_assert_eq(faas_id_parse(&id, text), -EINVAL, "%s", text);
                }
                memcpy(text, good, sizeof(good));
                text[i] = '\0';
                cr_assert_eq(faas_id_parse(&id, text), -EINVAL, "%s", text);
        }
        cr_assert_eq(faas_id_parse(&id, "018f3c2e-5b6a-7cde-8f01-23456789abcd0"), -EINVAL);
        cr_assert_eq(faas_id_parse(&id, ""), -EINVAL);
        cr_assert_eq(faas_id_parse(&id, "no id"), -EINVAL);
        cr_assert(strstr(faas_error_text(), "\"no id\" is no id; expected"), "%s",
                  faas_error_text());
        cr_assert_eq(faas_id_parse(&id, NULL), -EINVAL);
        cr_assert(strstr(faas_error_text(), "NULL"), "%s", faas_error_text());
        cr_assert_eq(faas_id_parse(NULL, good), -EINVAL);
        cr_assert_arr_eq(id.b, before.b, 16);
}
