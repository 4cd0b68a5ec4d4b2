/* test-url.c - the text that says where tasks go */
#undef NDEBUG
#include <errno.h>
#include <stdio.h>

#include <criterion/criterion.h>

#include <faas/error.h>

#include "api/url.h"

Test(url, numbers_of_slots_are_read) {
        static const struct {
                const char *text;
                unsigned n;
        } good[] = {{"local:", 0}, {"local:1", 1}, {"local:16", 16}, {"local:1024", 1024}};

        for (size_t i = 0; i < sizeof(good) / sizeof(*good); i++) {
                struct fa_url u = FA_URL_NULL;
                cr_assert_eq(fa_url_parse(&u, good[i].text), 0, "%s", faas_error_text());
                cr_assert_eq(u.n_slots, good[i].n);
                cr_assert_eq(u.n_modules, 0);
                fa_url_deinit(&u);
        }
}

Test(url, modules_are_kept_in_their_order) {
        struct fa_url u = FA_URL_NULL;

        cr_assert_eq(fa_url_parse(&u, "local:2?load=/a/b.so&load=c=d?.so"), 0);
        cr_assert_eq(u.n_slots, 2);
        cr_assert_eq(u.n_modules, 2);
        cr_assert_str_eq(u.modules[0], "/a/b.so");
        cr_assert_str_eq(u.modules[1], "c=d?.so");
        cr_assert_null(u.modules[2]);
        fa_url_deinit(&u);
        fa_url_deinit(&u);
}

Test(url, each_refusal_has_its_code_and_names_what_was_expected) {
        static const struct {
                const char *text;
                int r;
                const char *words;
        } bad[] = {
                {"", -EINVAL, "\"\" has no scheme; expected local:N"},
                {"local", -EINVAL, "\"local\" has no scheme; expected local:N"},
                {"tcp://host:1", FAAS_E_NOENT,
                 "\"tcp://host:1\": unknown scheme \"tcp:\"; known: local:"},
                {"Local:1", FAAS_E_NOENT, "\"Local:1\": unknown scheme \"Local:\"; known: local:"},
                {"local:0", -EINVAL, "\"local:0\": 0 slots run nothing; expected 1 to 1024"},
                {"local:x", -EINVAL,
                 "\"local:x\": \"x\" is not a number of slots; expected 1 to 1024, or nothing for "
                 "one per CPU"},
                {"local:-1", -EINVAL,
                 "\"local:-1\": \"-1\" is not a number of slots; expected 1 to 1024, or nothing "
                 "for "
                 "one per CPU"},
                {"local:4 ", -EINVAL,
                 "\"local:4 \": \"4 \" is not a number of slots; expected 1 to 1024, or nothing "
                 "for "
                 "one per CPU"},
                {"local:1025", FAAS_E_LIMIT, "\"local:1025\": too many slots; expected 1 to 1024"},
                {"local:99999999999999999999", FAAS_E_LIMIT,
                 "\"local:99999999999999999999\": too many slots; expected 1 to 1024"},
                {"local:1?", -EINVAL, "\"local:1?\": \"\" is no option; expected load=FILE.so"},
                {"local:1?load=", -EINVAL,
                 "\"local:1?load=\": \"load=\" is no option; expected load=FILE.so"},
                {"local:1?load=a&", -EINVAL,
                 "\"local:1?load=a&\": \"\" is no option; expected load=FILE.so"},
                {"local:1?slots=a", -EINVAL,
                 "\"local:1?slots=a\": \"slots=a\" is no option; expected load=FILE.so"},
        };

        for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
                struct fa_url u = FA_URL_NULL;
                cr_assert_eq(fa_url_parse(&u, bad[i].text), bad[i].r, "%s", bad[i].text);
                cr_assert_str_eq(faas_error_text(), bad[i].words);
                fa_url_deinit(&u);
        }
}
