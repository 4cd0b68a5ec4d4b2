/* test-redis-fake.c - what answers where a Redis should be, and is none, or an old or strange one
 */
#undef NDEBUG
#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <criterion/criterion.h>

#include <faas/error.h>

#include "base/clock.h"
#include "base/macros.h"
#include "conn-bed.h"
#include "store/redis-conn-private.h"
#include "th-alloc.h"

static struct fake f;
static struct conn_bed b;

static void begin(const char *auth) {
        fake_open(&f);
        cb_open(&b, "redis+unix://%s%s", auth, f.path);
}

static void end(void) {
        fake_hang_up(&f);
        cb_close(&b);
        fake_close(&f);
}

static void expect_state(int want, const char *text) {
        const char *why;
        int r = fa_redis_conn_state(b.c, &why);

        cr_assert_eq(r, want, "%d %s", r, why);
        cr_assert(strstr(why, text), "%s", why);
        cr_assert_not(strstr(why, "hush"), "%s", why);
}

/* A new connection, which is told this. */
static void answer(const char *text) {
        fa_redis_conn_turn(b.c, fa_redis_conn_deadline(b.c));
        fake_accept(&f);
        fake_say(&f, text);
        fa_redis_conn_turn(b.c, 1);
}

static void greet(const char *info) {
        fa_redis_conn_turn(b.c, fa_redis_conn_deadline(b.c));
        fake_accept(&f);
        fake_greet(&f, info);
        fa_redis_conn_turn(b.c, 1);
}

Test(redis_fake, what_is_no_redis_is_told_with_what_it_said) {
        begin("");
        answer("HTTP/1.1 400 Bad Request\r\nX: y\r\n\r\n");
        expect_state(-EINVAL, "not a Redis: it sent \"HTTP/1.1 400 Bad Request  X: y");
        answer("\x15\x03\x01");
        expect_state(-EINVAL, "not a Redis");
        answer("+OK\r\n+OK\r\n");
        expect_state(-EINVAL, "not a Redis: a strange answer to INFO");
        answer("$5\r\nhello\r\n*0\r\n");
        expect_state(-EINVAL, "no redis_version");
        answer("*-1\r\n*-1\r\n");
        expect_state(-EINVAL, "a strange answer to INFO");
        end();
}

Test(redis_fake, what_comes_in_pieces_is_waited_for) {
        static const char info[] = GREETING_INFO("7.0.15", "");
        char text[200];

        begin("");
        snprintf(text, sizeof(text), "$%zu\r\n%s\r\n*2\r\n$11\r\nappendfsync\r\n$2\r\nno\r\n",
                 sizeof(info) - 1, info);
        answer("");
        for (const char *p = text; *p; p++) {
                cr_assert_neq(fa_redis_conn_state(b.c, NULL), 0);
                fake_say(&f, (const char[]){*p, 0});
                fa_redis_conn_turn(b.c, 1);
        }
        expect_state(0, "");
        cr_assert_eq(fa_redis_conn_server(b.c)->fsync, FA_REDIS_FSYNC_NO);
        cr_assert_not(fa_redis_conn_server(b.c)->evicts_known);
        cr_assert_not(fa_redis_conn_server(b.c)->append_known);
        end();
}

Test(redis_fake, one_that_is_too_old_is_told_with_its_version) {
        begin("");
        greet(GREETING_INFO("5.0.3", ""));
        expect_state(FAAS_E_VERSION, "is Redis 5.0.3; expected 6.2 or newer");
        greet(GREETING_INFO("6.0.16", ""));
        expect_state(FAAS_E_VERSION, "is Redis 6.0.16");
        greet(GREETING_INFO("6.2.0", ""));
        expect_state(0, "");
        cr_assert_eq(fa_redis_conn_server(b.c)->version, 0x060200);
        fa_redis_conn_break(b.c, 1, -EINVAL, "next");
        greet(GREETING_INFO("255.300.1", ""));
        expect_state(0, "");
        cr_assert_eq(fa_redis_conn_server(b.c)->version, 0xffff01);
        fa_redis_conn_break(b.c, 1, -EINVAL, "next");
        greet("redis_version:7.2.4\r\n");
        expect_state(-EINVAL, "no run_id");
        end();
}

Test(redis_fake, one_that_is_not_ready_is_told_with_its_reason) {
        begin("");
        greet(GREETING_INFO("7.0.15", "loading:1\r\n"));
        expect_state(FAAS_E_UNAVAILABLE, "is loading its data");
        answer("-LOADING Redis is loading\r\n-LOADING Redis is loading\r\n");
        expect_state(FAAS_E_UNAVAILABLE, "is loading its data");
        greet(GREETING_INFO("7.0.15", "role:slave\r\n"));
        expect_state(FAAS_E_UNAVAILABLE, "read-only replica");
        greet(GREETING_INFO("7.0.15", "role:slave\r\ncluster_enabled:1\r\n"));
        expect_state(0, "");
        fa_redis_conn_break(b.c, 1, -EINVAL, "next");
        answer("-BUSY Redis is busy running a script.\r\n-BUSY\r\n");
        expect_state(FAAS_E_UNAVAILABLE, "INFO: BUSY Redis is busy");
        answer("-DENIED Redis is running in protected mode\r\n");
        fake_hang_up(&f);
        fa_redis_conn_turn(b.c, 1);
        expect_state(-EACCES, "DENIED Redis is running in protected mode");
        answer("");
        fake_hang_up(&f);
        fa_redis_conn_turn(b.c, 1);
        expect_state(FAAS_E_UNAVAILABLE, "closed the connection during the greeting");
        end();
}

Test(redis_fake, no_reason_shows_the_password) {
        begin("u:hush@");
        answer("-ERR unknown command `AUTH`, with args beginning with: `u`, `hush`\r\n+\r\n+\r\n");
        expect_state(FAAS_E_UNAVAILABLE, "AUTH");
        answer("*3\r\n$4\r\nAUTH\r\n$1\r\nu\r\n$4\r\nhush\r\n*1\r\n$4\r\nINFO\r\n*0\r\n");
        expect_state(-EINVAL, "a strange answer to AUTH");
        answer("? AUTH hush");
        expect_state(-EINVAL, "not a Redis");
        end();
}

Test(redis_fake, silence_is_given_up_after_two_seconds) {
        struct fake silent;

        fake_open(&silent);
        cb_open(&b, "redis+unix://%s", silent.path);
        fa_redis_conn_turn(b.c, 5);
        cr_assert_eq(fa_redis_conn_deadline(b.c), 5 + 2 * FA_NS_PER_S);
        fa_redis_conn_turn(b.c, 4 + 2 * FA_NS_PER_S);
        expect_state(FAAS_E_AGAIN, "");
        fa_redis_conn_turn(b.c, 5 + 2 * FA_NS_PER_S);
        expect_state(FAAS_E_UNAVAILABLE, "no answer in 2 s");
        cb_close(&b);
        fake_close(&silent);
}

Test(redis_fake, a_breach_of_the_protocol_breaks_a_connection_that_was_ready) {
        begin("");
        greet(GREETING_INFO("7.0.15", ""));
        fake_say(&f, ":1\r\nnonsense\r\n:2\r\n");
        fa_redis_conn_turn(b.c, 1);
        expect_state(0, "");
        struct redisReply *reply = fa_redis_conn_reply(b.c);
        cr_assert_eq(reply->integer, 1);
        freeReplyObject(reply);
        cr_assert_null(fa_redis_conn_reply(b.c));
        expect_state(FAAS_E_UNAVAILABLE, "protocol error");
        cr_assert_null(fa_redis_conn_reply(b.c));
        /* An array so long that its places alone would take all the memory. */
        greet(GREETING_INFO("7.0.15", ""));
        expect_state(0, "");
        fake_say(&f, "*2147483647\r\n");
        fa_redis_conn_turn(b.c, 1);
        cr_assert_null(fa_redis_conn_reply(b.c));
        expect_state(FAAS_E_UNAVAILABLE, "an array of more than");
        greet(GREETING_INFO("7.0.15", ""));
        expect_state(0, "");
        cr_assert_eq(fa_redis_conn_generation(b.c), 3);
        end();
}

Test(redis_fake, what_an_owner_leaves_is_not_read_without_end) {
        static char line[1001];
        size_t sent = 0;

        begin("");
        greet(GREETING_INFO("7.0.15", ""));
        memset(line, 'x', 1000);
        memcpy(line, "+", 1);
        memcpy(line + 998, "\r\n", 2);
        /* Until the sockets are full, too. */
        for (int full = 0; full < 3;) {
                ssize_t n = send(f.fd, line, 1000, MSG_NOSIGNAL | MSG_DONTWAIT);
                full = n < 0 ? full + 1 : 0;
                cr_assert(n < 0 || n == 1000);
                sent += n > 0;
                fa_redis_conn_turn(b.c, 1);
                cr_assert_lt(sent, 10000);
        }
        size_t n = 0;
        do
                for (struct redisReply *reply; (reply = fa_redis_conn_reply(b.c)); n++)
                        freeReplyObject(reply);
        while (n < sent && (fa_redis_conn_turn(b.c, 1), 1));
        cr_assert_eq(n, sent);
        end();
}

/* Each allocation of ours fails once; hiredis's are not seen. */
Test(redis_fake, it_survives_the_failure_of_each_of_its_allocations) {
        bool failed = true;

        begin("");
        for (uint64_t k = 1; failed; k++) {
                struct fa_redis_conn *c = NULL;
                th_alloc_fail_at(k);
                int r = fa_redis_conn_new(&c, &b.url, 1);
                for (int i = 0; r == 0 && i < 6 && fa_redis_conn_state(c, NULL); i++) {
                        uint64_t now = fa_redis_conn_deadline(c);
                        fa_redis_conn_turn(c, now);
                        fake_accept(&f);
                        /* If it gave up meanwhile, there is nobody to greet. */
                        if (fa_redis_conn_deadline(c) == now + 2 * FA_NS_PER_S)
                                fake_greet(&f, GREETING_INFO("7.0.15", ""));
                        fa_redis_conn_turn(c, now);
                }
                failed = th_alloc_failed();
                th_alloc_fail_at(0);
                if (r)
                        cr_assert(r == -ENOMEM && failed && !c);
                else
                        cr_assert_eq(fa_redis_conn_state(c, NULL), 0);
                fa_redis_conn_free(c);
                cr_assert_eq(th_alloc_live(), b.live + 1);
                cr_assert_lt(k, 100);
        }
        end();
}

Test(redis_fake, commands_that_found_no_memory_break_the_connection) {
        const char *why;

        begin("");
        greet(GREETING_INFO("7.0.15", ""));
        struct fa_buf *out = fa_redis_conn_out(b.c);
        th_alloc_fail_at(1);
        while (!th_alloc_failed())
                fa_redis_put_str(out, "some bytes of a command");
        th_alloc_fail_at(0);
        cr_assert_eq(fa_redis_conn_deadline(b.c), 0);
        fa_redis_conn_turn(b.c, 1);
        cr_assert_eq(fa_redis_conn_state(b.c, &why), -ENOMEM);
        cr_assert(strstr(why, "no memory"), "%s", why);
        greet(GREETING_INFO("7.0.15", ""));
        expect_state(0, "");
        cr_assert_not(fa_redis_conn_out(b.c)->failed);
        end();
}

/* A good conversation with a few bytes changed, in pieces: whatever it is, it comes back. */
Test(redis_fake, bytes_that_went_wrong_do_no_harm) {
        static const char info[] = GREETING_INFO("7.0.15", "maxmemory:0\r\nloading:0\r\n");
        uint64_t random = 42, now = 1;

        begin("");
        for (unsigned round = 0; round < 3000; round++) {
                char text[400];
                int len = snprintf(text, sizeof(text),
                                   "$%zu\r\n%s\r\n*2\r\n$11\r\nappendfsync\r\n$2\r\nno\r\n:1\r\n"
                                   "*3\r\n:1\r\n$3\r\nabc\r\n*-1\r\n-ERR no\r\n$-1\r\n",
                                   sizeof(info) - 1, info);
                for (unsigned n = round % 4; n > 0; n--) {
                        random = random * 6364136223846793005u + 1442695040888963407u;
                        text[(random >> 33) % (unsigned)len] =
                                "$*:+-0129\r\n\377x"[(random >> 20) % 13];
                }
                fa_redis_conn_turn(b.c, now);
                fake_accept(&f);
                for (int at = 0, n; at < len; at += n) {
                        n = FA_MIN(len - at, 1 + (int)(round % 97));
                        if (send(f.fd, text + at, (size_t)n, MSG_NOSIGNAL) < 0)
                                break; /* it had enough */
                        fa_redis_conn_turn(b.c, now);
                        for (struct redisReply *reply; (reply = fa_redis_conn_reply(b.c));)
                                freeReplyObject(reply);
                }
                if (round % 4 == 0)
                        cr_assert_eq(fa_redis_conn_state(b.c, NULL), 0);
                now += FA_NS_PER_S;
                fa_redis_conn_break(b.c, now, FAAS_E_UNAVAILABLE, "next");
                now = FA_MAX(now, fa_redis_conn_deadline(b.c));
        }
        end();
}

Test(redis_fake, a_connection_to_itself_is_none) {
        struct sockaddr_in addr = {.sin_family = AF_INET,
                                   .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
        socklen_t len = sizeof(addr);
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

        cr_assert_eq(bind(fd, (struct sockaddr *)&addr, len), 0);
        cr_assert_eq(getsockname(fd, (struct sockaddr *)&addr, &len), 0);
        cr_assert_eq(connect(fd, (struct sockaddr *)&addr, len), 0);
        cr_assert_eq(fa_redis_connected(fd), -ECONNREFUSED);
        close(fd);
}
