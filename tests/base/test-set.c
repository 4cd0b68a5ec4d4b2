/* test-set.c - set of ids */
#undef NDEBUG
#include "base/set.h"

#include <string.h>

#include <criterion/criterion.h>

#include <faas/error.h>

static uint64_t key(uint32_t n) {
        struct faas_id id = {{0}};

        memcpy(id.b, &n, sizeof(n));
        return fa_set_key(1, &id);
}

Test(set, what_was_added_is_there_until_it_is_removed) {
        struct fa_set s = {0};

        cr_assert_not(fa_set_has(&s, key(1)));
        cr_assert_eq(fa_set_add(&s, key(1)), 0);
        cr_assert_eq(fa_set_add(&s, key(1)), FAAS_E_EXISTS);
        cr_assert_eq(s.n, 1);
        cr_assert(fa_set_has(&s, key(1)));
        cr_assert_not(fa_set_has(&s, key(2)));
        cr_assert(fa_set_remove(&s, key(1)));
        cr_assert_not(fa_set_remove(&s, key(1)));
        cr_assert_eq(s.n, 0);
        cr_assert_null(s.v, "an emptied set takes no memory");
}

Test(set, it_agrees_with_a_table_of_flags) {
        enum { N = 1 << 14, STEPS = 400000 };
        static bool in[N];
        struct fa_set s = {0};
        size_t n = 0;
        uint64_t rng = 7;

        for (int i = 0; i < STEPS; i++) {
                rng = rng * UINT64_C(6364136223846793005) + 1442695040888963407;
                uint32_t k = (uint32_t)(rng >> 40) % N;
                bool add = (rng >> 33) % 100 < (i < STEPS / 2 ? 70 : 30);
                cr_assert_eq(fa_set_has(&s, key(k)), in[k]);
                if (add)
                        cr_assert_eq(fa_set_add(&s, key(k)), in[k] ? FAAS_E_EXISTS : 0);
                else
                        cr_assert_eq(fa_set_remove(&s, key(k)), in[k]);
                n += add && !in[k];
                n -= !add && in[k];
                in[k] = add;
                cr_assert_eq(s.n, n);
        }
        fa_set_deinit(&s);
        cr_assert_eq(s.n, 0);
}

Test(set, other_halves_of_an_id_make_other_numbers) {
        struct faas_id a = {{0}};
        struct faas_id b = {{0}};

        a.b[0] = 1;
        b.b[8] = 1;
        cr_assert_neq(fa_set_key(1, &a), fa_set_key(1, &b));
        cr_assert_neq(fa_set_key(1, &a), fa_set_key(2, &a));
}
