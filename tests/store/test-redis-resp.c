/* test-redis-resp.c - commands as bytes, and what error replies mean */
#undef NDEBUG
#include <stdint.h>
#include <string.h>

#include <criterion/criterion.h>

#include "base/macros.h"
#include "store/redis-resp.h"

static void expect_bytes(const struct fa_buf *b, const char *want) {
        cr_assert_not(b->failed);
        cr_assert_eq(b->len, strlen(want), "%.*s", (int)b->len, (const char *)b->p);
        cr_assert_arr_eq(b->p, want, b->len);
}

Test(redis_resp, a_command_is_an_array_of_its_words) {
        FA_CLEANUP(fa_buf_deinit) struct fa_buf b = FA_BUF_NULL;

        fa_redis_put_array(&b, 12);
        fa_redis_put_bulk(&b, "SET\r\n", 5);
        fa_redis_put_bulk(&b, NULL, 0);
        fa_redis_put_str(&b, "0123456789");
        fa_redis_put_u64(&b, 0);
        fa_redis_put_u64(&b, UINT64_MAX);
        expect_bytes(&b, "*12\r\n$5\r\nSET\r\n\r\n$0\r\n\r\n$10\r\n0123456789\r\n$1\r\n0\r\n"
                         "$20\r\n18446744073709551615\r\n");
}

/* What Redis 7.0.15 and 6.2 say. */
Test(redis_resp, errors_are_told_apart_also_inside_a_script) {
        static const struct {
                const char *text;
                enum fa_redis_error error;
        } rows[] = {
                {"NOSCRIPT No matching script. Please use EVAL.", FA_REDIS_NOSCRIPT},
                {"MOVED 3999 127.0.0.1:6381", FA_REDIS_MOVED},
                {"ASK 3999 127.0.0.1:6381", FA_REDIS_ASK},
                {"LOADING Redis is loading the dataset in memory", FA_REDIS_LOADING},
                {"READONLY You can't write against a read only replica.", FA_REDIS_READONLY},
                {"READONLY You can't write against a read only replica. script: 71e6319f, on "
                 "@user_script:1.",
                 FA_REDIS_READONLY},
                {"ERR Error running script (call to f_71e6): @user_script:1: @user_script: 1: "
                 "-READONLY You can't write against a read only replica. ",
                 FA_REDIS_READONLY},
                {"MASTERDOWN Link with MASTER is down and replica-serve-stale-data is set to "
                 "'no'.",
                 FA_REDIS_MASTERDOWN},
                {"CLUSTERDOWN The cluster is down", FA_REDIS_CLUSTERDOWN},
                {"CLUSTERDOWN Hash slot not served", FA_REDIS_CLUSTERDOWN},
                {"TRYAGAIN Multiple keys request during rehashing of slot", FA_REDIS_TRYAGAIN},
                {"CROSSSLOT Keys in request don't hash to the same slot", FA_REDIS_CROSSSLOT},
                {"NOREPLICAS Not enough good replicas to write.", FA_REDIS_NOREPLICAS},
                {"OOM command not allowed when used memory > 'maxmemory'.", FA_REDIS_OOM},
                {"OOM command not allowed when used memory > 'maxmemory'. script: 71e6, on "
                 "@user_script:1.",
                 FA_REDIS_OOM},
                {"-OOM command not allowed when used memory > 'maxmemory'.", FA_REDIS_OOM},
                {"ERR Error running script (call to f_71e6): @user_script:1: @user_script: 1: "
                 "-OOM command not allowed when used memory > 'maxmemory'. ",
                 FA_REDIS_OOM},
                {"MISCONF Redis is configured to save RDB snapshots, but it's currently unable to "
                 "persist to disk.",
                 FA_REDIS_MISCONF},
                {"MISCONF Errors writing to the AOF file: No space left on device",
                 FA_REDIS_MISCONF},
                {"NOAUTH Authentication required.", FA_REDIS_NOAUTH},
                {"WRONGPASS invalid username-password pair or user is disabled.",
                 FA_REDIS_WRONGPASS},
                {"ERR invalid password", FA_REDIS_WRONGPASS},
                {"NOPERM this user has no permissions to run the 'info' command", FA_REDIS_NOPERM},
                {"ERR The user executing the script can't run this command or subcommand script: "
                 "c140, on @user_script:1.",
                 FA_REDIS_NOPERM},
                {"ERR The user executing the script can't access at least one of the keys "
                 "mentioned in the command arguments script: db94, on @user_script:1.",
                 FA_REDIS_NOPERM},
                {"ERR Error running script (call to f_c140): @user_script:1: @user_script: 1: The "
                 "user executing the script can't run this command or subcommand ",
                 FA_REDIS_NOPERM},
                {"ERR ACL failure in script: User u has no permissions to run the 'time' command "
                 "script: 4040, on @user_script:276.",
                 FA_REDIS_NOPERM},
                {"WRONGTYPE Operation against a key holding the wrong kind of value",
                 FA_REDIS_WRONGTYPE},
                {"BUSY Redis is busy running a script. You can only call SCRIPT KILL or SHUTDOWN "
                 "NOSAVE.",
                 FA_REDIS_BUSY},
                {"EXECABORT Transaction discarded because of previous errors.", FA_REDIS_EXECABORT},
                {"ERR max number of clients reached", FA_REDIS_MAXCLIENTS},
                {"ERR DB index is out of range", FA_REDIS_OTHER},
                {"ERR Error running script (call to f_71e6): @user_script:1: nothing known",
                 FA_REDIS_OTHER},
                {"ERR a key called: -OOM is nobody's business", FA_REDIS_OTHER},
                {"OOMPH", FA_REDIS_OTHER},
                {"OO", FA_REDIS_OTHER},
                {"-", FA_REDIS_OTHER},
                {"", FA_REDIS_OTHER},
        };

        for (size_t i = 0; i < FA_ARRAY_SIZE(rows); i++)
                cr_assert_eq(fa_redis_error_of(rows[i].text), rows[i].error, "%s", rows[i].text);
}

Test(redis_resp, an_error_is_told_without_its_wrapping) {
        static const struct {
                const char *text, *bare;
        } rows[] = {
                {"ERR Error running script (call to f_71e6): @user_script:14: : -WRONGTYPE "
                 "Operation against a key (HLEN {p}:live)",
                 "WRONGTYPE Operation against a key (HLEN {p}:live)"},
                {"ERR Error running script: -@user_script: 11: -OOM command not allowed",
                 "OOM command not allowed"},
                {"ERR Error running script (call to f_71e6): @user_script:1: nothing known",
                 "ERR Error running script (call to f_71e6): @user_script:1: nothing known"},
                {"OOM of something: -else", "OOM of something: -else"},
                {"", ""},
        };

        for (size_t i = 0; i < FA_ARRAY_SIZE(rows); i++)
                cr_assert_str_eq(fa_redis_error_bare(rows[i].text), rows[i].bare);
}

static void expect_moved(const char *text, const char *host, unsigned port, unsigned slot) {
        struct fa_redis_moved m;

        cr_assert(fa_redis_moved_of(text, &m), "%s", text);
        cr_assert_str_eq(m.host, host);
        cr_assert_eq(m.port, port);
        cr_assert_eq(m.slot, slot);
}

Test(redis_resp, moved_tells_where_to) {
        static const char *const bad[] = {
                "MOVED",           "MOVED ",           "MOVED 1",     "MOVED 1 ",
                "MOVED 1 a",       "MOVED 1 a:",       "MOVED 1 a:0", "MOVED 1 a:65536",
                "MOVED 16384 a:1", "MOVED -1 a:1",     "MOVED x a:1", "MOVED 1 a:1x",
                "MOVED 1 a b:1",   "MOVED  1 a:1",     "ASK 1 a:1",   "ERR MOVED 1 a:1",
                "MOVED 1 a/b:1",   "MOVED 1 1::2::3:1"};
        char text[400];
        struct fa_redis_moved m;

        expect_moved("MOVED 3999 127.0.0.1:6381", "127.0.0.1", 6381, 3999);
        expect_moved("MOVED 0 some.host:1", "some.host", 1, 0);
        expect_moved("MOVED 16383 ::1:65535", "::1", 65535, 16383);
        expect_moved("MOVED 1 [fe80::1]:7000", "fe80::1", 7000, 1);
        expect_moved("MOVED 1 :7000", "", 7000, 1);
        expect_moved("MOVED 1 ?:7000", "", 7000, 1);
        for (size_t i = 0; i < FA_ARRAY_SIZE(bad); i++)
                cr_assert_not(fa_redis_moved_of(bad[i], &m), "%s", bad[i]);
        memset(text, 'a', sizeof(text));
        memcpy(text, "MOVED 1 ", 8);
        strcpy(text + sizeof(text) - 3, ":1");
        cr_assert_not(fa_redis_moved_of(text, &m));
}
