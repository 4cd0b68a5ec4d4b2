/* test-url.c - the text that says where tasks go */
#undef NDEBUG
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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

Test(url, dispatchers_are_kept_in_their_order) {
        struct fa_url u = FA_URL_NULL;

        cr_assert_eq(fa_url_parse(&u, "tcp://a:5555,ipc:///run/x.sock,inproc://y"), 0, "%s",
                     faas_error_text());
        cr_assert_eq(u.n_urls, 3);
        cr_assert_str_eq(u.urls[0], "tcp://a:5555");
        cr_assert_str_eq(u.urls[1], "ipc:///run/x.sock");
        cr_assert_str_eq(u.urls[2], "inproc://y");
        fa_url_deinit(&u);
        cr_assert_eq(u.n_urls, 0);
        fa_url_deinit(&u);
}

/* n URLs of len bytes each, with commas between. */
static char *list(size_t n, size_t len) {
        char *text = malloc(n * (len + 1));

        cr_assert(text);
        memset(text, 'a', n * (len + 1));
        for (size_t i = 0; i < n; i++) {
                memcpy(text + i * (len + 1), "tcp://", 6);
                text[i * (len + 1) + len] = ',';
        }
        text[n * (len + 1) - 1] = '\0';
        return text;
}

Test(url, sixteen_dispatchers_of_256_bytes_are_the_most) {
        static const struct {
                size_t n, len;
                int r;
        } cases[] = {{16, 256, 0}, {17, 20, FAAS_E_LIMIT}, {1, 257, FAAS_E_LIMIT}};

        for (size_t i = 0; i < sizeof(cases) / sizeof(*cases); i++) {
                struct fa_url u = FA_URL_NULL;
                char *text = list(cases[i].n, cases[i].len);
                cr_assert_eq(fa_url_parse(&u, text), cases[i].r, "%zu of %zu", cases[i].n,
                             cases[i].len);
                fa_url_deinit(&u);
                free(text);
        }
}

Test(url, an_unknown_scheme_is_named_with_the_whole_text) {
        static const struct {
                const char *text;
                int r;
                const char *words[3];
        } bad[] = {
                {"nosuch://a:1", FAAS_E_NOENT, {"\"nosuch://a:1\"", "\"nosuch\"", "scheme"}},
                {"tcp://a:1,nosuch://b:1",
                 FAAS_E_NOENT,
                 {"\"tcp://a:1,nosuch://b:1\"", "\"nosuch\"", "\"nosuch://b:1\""}},
                {"tcp://a:1, tcp://b:1", FAAS_E_NOENT, {"\" tcp\"", "\" tcp://b:1\"", "scheme"}},
                {"tcp:a", -EINVAL, {"\"tcp:a\"", "expected", "tcp://host:5555"}},
                {"Local:1", -EINVAL, {"\"Local:1\"", "expected", "tcp://host:5555"}},
                {"tcp://a:1,b", -EINVAL, {"\"tcp://a:1,b\"", "\"b\"", "tcp://host:5555"}},
        };

        for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
                struct fa_url u = FA_URL_NULL;
                cr_assert_eq(fa_url_parse(&u, bad[i].text), bad[i].r, "%s", bad[i].text);
                for (size_t k = 0; k < 3; k++)
                        cr_assert(strstr(faas_error_text(), bad[i].words[k]), "%s: %s", bad[i].text,
                                  faas_error_text());
                fa_url_deinit(&u);
        }
}

Test(url, each_refusal_has_its_code_and_names_what_was_expected) {
        static const struct {
                const char *text;
                int r;
                const char *words;
        } bad[] = {
                {"", -EINVAL,
                 "\"\" has no scheme; expected local:N, or dispatchers as in tcp://host:5555"},
                {"local", -EINVAL,
                 "\"local\" has no scheme; expected local:N, or dispatchers as in tcp://host:5555"},
                {"local:4,tcp://b:1", -EINVAL,
                 "\"local:4,tcp://b:1\": \"tcp://b:1\" behind local:; expected local:N alone, or "
                 "dispatchers only"},
                {"tcp://a:1,local:4,tcp://b:1", -EINVAL,
                 "\"tcp://a:1,local:4,tcp://b:1\": \"local:4\" among dispatchers; expected local:N "
                 "alone, and by a client, or dispatchers only"},
                {"tcp://a:1,", -EINVAL, "\"tcp://a:1,\": URL 2 is empty; expected tcp://host:port"},
                {",tcp://a:1", -EINVAL, "\",tcp://a:1\": URL 1 is empty; expected tcp://host:port"},
                {"tcp://a:1,,tcp://b:1", -EINVAL,
                 "\"tcp://a:1,,tcp://b:1\": URL 2 is empty; expected tcp://host:port"},
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
