/* test-redis-url.c - where a Redis is: what is understood, what is refused, and what stays secret
 */
#undef NDEBUG
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <criterion/criterion.h>

#include <faas/error.h>

#include "store/redis-url.h"

/* All but the prefix, which is the usual one. */
static void
expect(const char *text, const char *host, unsigned port, unsigned db, const char *shown) {
        struct fa_redis_url u;

        cr_assert_eq(fa_redis_url_parse(&u, text), 0, "%s: %s", text, faas_error_text());
        cr_assert_str_eq(u.host, host);
        cr_assert_str_eq(u.path, "");
        cr_assert_str_eq(u.prefix, "faas");
        cr_assert_eq(u.port, port, "%s", text);
        cr_assert_eq(u.db, db, "%s", text);
        cr_assert_str_eq(u.shown, shown);
        fa_redis_url_deinit(&u);
}

static void expect_auth(const char *text, const char *user, const char *password) {
        struct fa_redis_url u;

        cr_assert_eq(fa_redis_url_parse(&u, text), 0, "%s: %s", text, faas_error_text());
        cr_assert_str_eq(u.user, user);
        cr_assert_str_eq(u.password, password);
        if (*password)
                cr_assert_not(strstr(u.shown, password));
        fa_redis_url_deinit(&u);
        cr_assert_str_eq(u.password, "");
}

static void refused(const char *text, const char *why) {
        struct fa_redis_url u;

        memset(&u, 7, sizeof(u));
        struct fa_redis_url before = u;
        cr_assert_eq(fa_redis_url_parse(&u, text), -EINVAL, "%s", text);
        cr_assert_eq(memcmp(&u, &before, sizeof(u)), 0);
        cr_assert(strstr(faas_error_text(), why), "%s: %s", text, faas_error_text());
        cr_assert(strstr(faas_error_text(), "expected"), "%s: %s", text, faas_error_text());
}

Test(redis_url, a_host_is_a_name_or_an_address_and_has_a_usual_port) {
        expect("redis://localhost", "localhost", 6379, 0, "localhost:6379");
        expect("redis://127.0.0.1:1", "127.0.0.1", 1, 0, "127.0.0.1:1");
        expect("redis://a.b-c_d:65535/", "a.b-c_d", 65535, 0, "a.b-c_d:65535");
        expect("redis://[::1]", "::1", 6379, 0, "[::1]:6379");
        expect("redis://[fe80::1%eth0]:7/3", "fe80::1%eth0", 7, 3, "[fe80::1%eth0]:7/3");
}

Test(redis_url, a_database_is_in_the_path_or_in_the_query) {
        expect("redis://h/0", "h", 6379, 0, "h:6379");
        expect("redis://h/15", "h", 6379, 15, "h:6379/15");
        expect("redis://h?db=7", "h", 6379, 7, "h:6379/7");
        expect("redis://h/?db=7", "h", 6379, 7, "h:6379/7");
        refused("redis://h/1?db=1", "second database");
        refused("redis://h/x", "\"x\": not a database");
        refused("redis://h/-1", "not a database");
        refused("redis://h/2147483648", "not a database");
        refused("redis://h/99999999999999999999", "not a database");
        refused("redis://h/1/2", "not a database");
        refused("redis://h?db=", "not a database");
}

Test(redis_url, a_unix_socket_has_a_path) {
        struct fa_redis_url u;

        cr_assert_eq(fa_redis_url_parse(&u, "redis+unix:///tmp/a%20b%3f.sock?db=2&prefix=x"), 0);
        cr_assert_str_eq(u.path, "/tmp/a b?.sock");
        cr_assert_str_eq(u.host, "");
        cr_assert_eq(u.db, 2);
        cr_assert_str_eq(u.prefix, "x");
        cr_assert_str_eq(u.shown, "/tmp/a b?.sock?db=2");
        refused("redis+unix://", "no absolute path");
        refused("redis+unix://host/p", "no absolute path");
        refused("redis+unix://?db=1", "no absolute path");
        refused("redis+unix:///a%0", "path has a % without");
        refused("redis+unix:///a%00b", "path has a NUL byte");
}

Test(redis_url, user_and_password_are_decoded) {
        expect_auth("redis://h", "", "");
        expect_auth("redis://:secret@h", "", "secret");
        expect_auth("redis://me:secret@h", "me", "secret");
        expect_auth("redis://me@h", "me", "");
        expect_auth("redis://m%65:a%40b%2Fc%3a@h:1/2?prefix=p", "me", "a@b/c:");
        expect_auth("redis://:a@b@h", "", "a@b");
        expect_auth("redis://:a:b@h", "", "a:b");
        expect_auth("redis://h?user=me&password=secr%26et", "me", "secr&et");
        expect_auth("redis+unix://me:secret@/p", "me", "secret");
        expect_auth("redis+unix:///p?password=secret&user=me", "me", "secret");
        refused("redis://a:b@h?user=c", "two users");
        refused("redis://:b@h?password=c", "two passwords");
        refused("redis://:b%0@h", "password has a % without");
        refused("redis://:b%zz@h", "password has a % without");
        refused("redis://:b%00@h", "password has a NUL byte");
        refused("redis://a%:b@h", "user has a % without");
}

Test(redis_url, a_prefix_is_a_short_word) {
        char text[128];
        struct fa_redis_url u;

        snprintf(text, sizeof(text), "redis://h?prefix=%064d", 1);
        cr_assert_eq(fa_redis_url_parse(&u, text), 0);
        cr_assert_eq(strlen(u.prefix), 64);
        snprintf(text, sizeof(text), "redis://h?prefix=%065d", 1);
        refused(text, "not a prefix");
        cr_assert_eq(fa_redis_url_parse(&u, "redis://h?prefix=A.z_0-%39"), 0);
        cr_assert_str_eq(u.prefix, "A.z_0-9");
        refused("redis://h?prefix=", "not a prefix");
        refused("redis://h?prefix", "not a prefix");
        refused("redis://h?prefix=a%7d", "\"a%7d\": not a prefix");
        refused("redis://h?prefix=a b", "not a prefix");
        refused("redis://h?prefix=a&prefix=b", "a second prefix");
}

Test(redis_url, what_is_no_url_of_a_redis_is_refused_by_name) {
        refused("", "expected redis://");
        refused("redis:", "expected redis://");
        refused("rediss://h", "expected redis://");
        refused("redis://", "no host");
        refused("redis://:6379", "no host");
        refused("redis:///1", "no host");
        refused("redis://h:", "bad port");
        refused("redis://h:0", "bad port");
        refused("redis://h:65536", "bad port");
        refused("redis://h:x", "bad port");
        refused("redis://a b", "\"a b\": not a host");
        refused("redis://::1", "no host");
        refused("redis://[::1", "not a host");
        refused("redis://[::1]x", "not a host");
        refused("redis://[h]", "not a host");
        refused("redis://[1::2::3]", "not a host");
        refused("redis://h%41", "not a host");
        refused("redis://h?", "unknown");
        refused("redis://h?db=1&", "unknown");
        refused("redis://h?tls=yes", "\"tls\": unknown");
        refused("redis://h?DB=1", "unknown");
}

Test(redis_url, what_is_too_long_is_refused) {
        char part[3000], text[3100];
        struct fa_redis_url u;
        static const struct {
                const char *format, *why;
                int max;
        } rows[] = {
                {"redis://%s", "not a host", FA_REDIS_HOST_MAX},
                {"redis://%s:x@h", "user is too long", FA_REDIS_USER_MAX},
                {"redis://:%s@h", "password is too long", FA_REDIS_PASSWORD_MAX},
                {"redis+unix:///%s", "path is too long", FA_REDIS_PATH_MAX - 1},
        };

        for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
                memset(part, 'a', sizeof(part));
                part[rows[i].max] = 0;
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
                snprintf(text, sizeof(text), rows[i].format, part);
                cr_assert_eq(fa_redis_url_parse(&u, text), 0, "%s", faas_error_text());
                part[rows[i].max] = 'a';
                part[rows[i].max + 1] = 0;
                snprintf(text, sizeof(text), rows[i].format, part);
#pragma GCC diagnostic pop
                refused(text, rows[i].why);
        }
}

/* Also those who forgot to encode it, or wrote it in the wrong place. */
Test(redis_url, no_refusal_shows_a_part_of_a_password) {
        static const char *const urls[] = {
                "redis://:hush/hush@h",
                "redis://u:hush?hush@h",
                "redis://u:hush#hush@h x",
                "redis://u:hush",
                "redis://:hush",
                "redis://hush hush@",
                "redis://u:hush@h:hush",
                "redis://u:hush@h/hush",
                "redis://u:hush@h?hush",
                "redis://u:hush@h?hush=1",
                "redis://h?password=hush&hush",
                "redis://h?passwd=hush",
                "redis://h?pass=hush&x=hush",
                "redis://h?password=%zzhush",
                "redis+unix://u:hush/hush",
                "redis+unix://u:hush@hush/path",
                "rediss://u:hush@h",
                "http://u:hush@h",
                "redis://u:hush@[h",
        };

        for (size_t i = 0; i < sizeof(urls) / sizeof(urls[0]); i++) {
                struct fa_redis_url u;
                cr_assert_eq(fa_redis_url_parse(&u, urls[i]), -EINVAL, "%s", urls[i]);
                cr_assert_not(strstr(faas_error_text(), "hush"), "%s: %s", urls[i],
                              faas_error_text());
        }
}
