/*
 * test-redis-conn.c - one connection: it greets, carries, breaks, and comes back
 *
 * Time is an argument, so what takes seconds takes none here: where a test must see a pause or a
 * time-out, it hands in the time.
 */
#undef NDEBUG
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <criterion/criterion.h>

#include <faas/error.h>

#include "base/clock.h"
#include "base/macros.h"
#include "conn-bed.h"
#include "th-alloc.h"

Test(redis_conn, it_greets_and_knows_its_server) {
        struct th_redis r = {.port = th_free_port()};
        struct conn_bed b;
        const char *why = NULL;

        th_redis_start_with(&r, true, (const char *const[]){"--appendfsync", "always", NULL});
        cb_open(&b, "redis://localhost:%d/3", r.port);
        cr_assert_eq(fa_redis_conn_state(b.c, &why), FAAS_E_AGAIN);
        cr_assert_str_eq(why, "");
        cr_assert_eq(fa_redis_conn_deadline(b.c), 0);
        cr_assert_null(fa_redis_conn_reply(b.c));
        int fd = fa_redis_conn_fd(b.c);
        cb_ready(&b);
        cr_assert_eq(fa_redis_conn_fd(b.c), fd);
        cr_assert_eq(fa_redis_conn_generation(b.c), 1);
        cr_assert_eq(fa_redis_conn_deadline(b.c), FA_NEVER);
        const struct fa_redis_server *s = fa_redis_conn_server(b.c);
        cr_assert_eq(strlen(s->run_id), 40);
        cr_assert_geq(s->version, 0x060200);
        cr_assert(s->evicts_known && !s->evicts && !s->cluster);
        cr_assert(s->append_known && s->append_only);
        cr_assert_eq(s->fsync, FA_REDIS_FSYNC_ALWAYS);
        cb_expect(&b, "SET a 1", "OK");
        cb_expect(&b, "GET a", "1");
        struct redisReply *reply = cb_ask(&b, "CLIENT INFO");
        cr_assert(strstr(reply->str, "db=3 "), "%s", reply->str);
        freeReplyObject(reply);
        cb_close(&b);
}

Test(redis_conn, a_server_that_may_evict_is_told) {
        struct th_redis r = {0};
        struct conn_bed b;

        th_redis_start_with(&r, false,
                            (const char *const[]){"--maxmemory", "100mb", "--maxmemory-policy",
                                                  "allkeys-lru", NULL});
        cb_open(&b, "redis+unix://%s", r.socket);
        cb_ready(&b);
        const struct fa_redis_server *s = fa_redis_conn_server(b.c);
        cr_assert(s->evicts_known && s->evicts);
        cr_assert(s->append_known && !s->append_only);
        cr_assert_eq(s->fsync, FA_REDIS_FSYNC_EVERYSEC);
        cb_close(&b);
}

#define MANY 10000
#define LARGE 3000

/* Its number in front. */
static void put_ping(struct fa_buf *out, unsigned i) {
        char payload[LARGE];

        memset(payload, 'x', sizeof(payload));
        memcpy(payload, &i, sizeof(i));
        fa_redis_put_array(out, 2);
        fa_redis_put_str(out, "PING");
        fa_redis_put_bulk(out, payload, sizeof(payload) - i % 100);
}

static unsigned n_pongs;

static bool all_pongs(struct conn_bed *b) {
        struct redisReply *reply;

        while ((reply = fa_redis_conn_reply(b->c))) {
                cr_assert_eq(reply->type, REDIS_REPLY_STRING);
                cr_assert_eq(reply->len, LARGE - n_pongs % 100);
                cr_assert_eq(memcmp(reply->str, &n_pongs, sizeof(n_pongs)), 0);
                n_pongs++;
                freeReplyObject(reply);
        }
        return n_pongs == MANY;
}

Test(redis_conn, thousands_of_commands_are_on_the_way_at_once) {
        struct th_redis r = {0};
        struct conn_bed b;

        th_redis_start(&r, false);
        cb_open(&b, "redis+unix://%s", r.socket);
        cb_ready(&b);
        for (unsigned i = 0; i < MANY; i++)
                put_ping(fa_redis_conn_out(b.c), i);
        cr_assert_eq(fa_redis_conn_deadline(b.c), 0);
        fa_redis_conn_turn(b.c, fa_now());
        cr_assert_gt(fa_redis_conn_unsent(b.c), LARGE, "the kernel took 30 MB at once");
        cb_drive(&b, all_pongs);
        cr_assert_eq(fa_redis_conn_unsent(b.c), 0);
        cr_assert_eq(fa_redis_conn_deadline(b.c), FA_NEVER);
        cr_assert_eq(fa_redis_conn_generation(b.c), 1);
        cb_close(&b);
}

Test(redis_conn, replies_of_all_kinds_and_sizes_come_whole) {
        struct th_redis r = {0};
        struct conn_bed b;
        char *large = malloc(4u << 20);

        th_redis_start(&r, false);
        cb_open(&b, "redis+unix://%s", r.socket);
        cb_ready(&b);
        memset(large, '\n', 4u << 20);
        struct fa_buf *out = fa_redis_conn_out(b.c);
        fa_redis_put_array(out, 3);
        fa_redis_put_str(out, "SET");
        fa_redis_put_str(out, "a");
        fa_redis_put_bulk(out, large, 4u << 20);
        struct redisReply *reply = cb_reply(&b);
        cr_assert_str_eq(reply->str, "OK");
        freeReplyObject(reply);
        reply = cb_ask(&b, "MGET a none a");
        cr_assert_eq(reply->elements, 3);
        cr_assert_eq(reply->element[1]->type, REDIS_REPLY_NIL);
        cr_assert_eq(reply->element[2]->len, 4u << 20);
        cr_assert_eq(memcmp(reply->element[2]->str, large, 4u << 20), 0);
        freeReplyObject(reply);
        reply = cb_ask(&b, "STRLEN a");
        cr_assert_eq(reply->integer, 4 << 20);
        freeReplyObject(reply);
        reply = cb_ask(&b, "HSET a b c");
        cr_assert_eq(reply->type, REDIS_REPLY_ERROR);
        cr_assert_eq(fa_redis_error_of(reply->str), FA_REDIS_WRONGTYPE);
        freeReplyObject(reply);
        cb_close(&b);
        free(large);
}

static bool some_pongs(struct conn_bed *b) {
        return all_pongs(b) || n_pongs > 5;
}

Test(redis_conn, a_server_that_is_killed_and_started_again_is_found_again) {
        struct th_redis r = {0};
        struct conn_bed b;
        char run_id[41];

        th_redis_start(&r, false);
        cb_open(&b, "redis+unix://%s", r.socket);
        cb_ready(&b);
        int fd = fa_redis_conn_fd(b.c);
        strcpy(run_id, fa_redis_conn_server(b.c)->run_id);
        for (unsigned round = 1; round < 4; round++) {
                n_pongs = 0;
                for (unsigned i = 0; i < MANY; i++)
                        put_ping(fa_redis_conn_out(b.c), i);
                cb_drive(&b, some_pongs);
                th_redis_kill(&r);
                cb_state(&b, FAAS_E_UNAVAILABLE, "");
                cr_assert_null(fa_redis_conn_reply(b.c));
                cr_assert_eq(fa_redis_conn_generation(b.c), round);
                th_redis_start(&r, false);
                cb_ready(&b);
                cr_assert_eq(fa_redis_conn_generation(b.c), round + 1);
                cr_assert_str_neq(fa_redis_conn_server(b.c)->run_id, run_id);
                strcpy(run_id, fa_redis_conn_server(b.c)->run_id);
                /* Nothing of the old connection is left in either direction. */
                cr_assert_eq(fa_redis_conn_unsent(b.c), 0);
                cb_expect(&b, "PING new", "new");
                cr_assert_eq(fa_redis_conn_fd(b.c), fd);
        }
        cb_close(&b);
}

Test(redis_conn, a_server_may_come_later) {
        struct th_redis r = {.port = th_free_port()};
        struct conn_bed b, t;

        snprintf(r.dir, sizeof(r.dir), "%s", th_temp_dir());
        snprintf(r.socket, sizeof(r.socket), "%s/redis.sock", r.dir);
        cb_open(&b, "redis+unix://%s", r.socket);
        cb_open(&t, "redis://127.0.0.1:%d", r.port);
        cb_state(&b, FAAS_E_UNAVAILABLE, "No such file");
        cb_state(&t, FAAS_E_UNAVAILABLE, "Connection refused");
        th_redis_start(&r, false);
        cb_ready(&b);
        cb_ready(&t);
        /* A socket that was left behind. */
        th_redis_kill(&r);
        cb_state(&b, FAAS_E_UNAVAILABLE, "closed the connection");
        fa_redis_conn_turn(b.c, fa_redis_conn_deadline(b.c));
        cb_state(&b, FAAS_E_UNAVAILABLE, "Connection refused");
        fa_redis_conn_free(t.c);
        cb_close(&b);
}

Test(redis_conn, a_name_that_nobody_has_is_told_and_not_asked_for_all_the_time) {
        struct conn_bed b;
        uint64_t now = 1;

        cb_open(&b, "redis://no-such-host.invalid");
        for (int i = 0; i < 10; i++) {
                const char *why;
                fa_redis_conn_turn(b.c, now);
                cr_assert_eq(fa_redis_conn_state(b.c, &why), FAAS_E_UNAVAILABLE);
                cr_assert(strstr(why, "no-such-host.invalid:6379: "), "%s", why);
                now = fa_redis_conn_deadline(b.c);
        }
        cb_close(&b);
}

/* Each pause is twice the one before, from 20 ms to 1 s, give or take a quarter. */
Test(redis_conn, the_pauses_between_attempts_grow) {
        struct conn_bed b;
        uint64_t now = 1, want = 20 * FA_NS_PER_MS;
        bool differ = false;

        cb_open(&b, "redis+unix:///nowhere/at/all");
        for (int i = 0; i < 20; i++) {
                fa_redis_conn_turn(b.c, now);
                uint64_t next = fa_redis_conn_deadline(b.c);
                cr_assert_geq(next - now, want * 3 / 4);
                cr_assert_leq(next - now, want * 5 / 4);
                differ |= next - now != want;
                fa_redis_conn_turn(b.c, next - 1); /* too early */
                cr_assert_eq(fa_redis_conn_deadline(b.c), next);
                now = next;
                want = FA_MIN(want * 2, FA_NS_PER_S);
        }
        cr_assert(differ);
        cb_close(&b);
}

static uint64_t pause_after(struct conn_bed *b, uint64_t ready_ns, uint64_t lasted_ns) {
        fa_redis_conn_turn(b->c, ready_ns);
        cr_assert_eq(fa_redis_conn_state(b->c, NULL), 0);
        fa_redis_conn_break(b->c, ready_ns + lasted_ns, FAAS_E_UNAVAILABLE, "LOADING");
        return fa_redis_conn_deadline(b->c) - ready_ns - lasted_ns;
}

Test(redis_conn, only_a_connection_that_lasted_makes_the_pauses_short_again) {
        struct fake f;
        struct conn_bed b;
        uint64_t now = 1, pause = 0;
        const char *why;

        fake_open(&f);
        cb_open(&b, "redis+unix://%s", f.path);
        for (unsigned i = 0; i < 10; i++) {
                fa_redis_conn_turn(b.c, now);
                fake_accept(&f);
                fake_greet(&f, GREETING_INFO("7.0.15", ""));
                pause = pause_after(&b, now, FA_NS_PER_MS);
                cr_assert_eq(fa_redis_conn_state(b.c, &why), FAAS_E_UNAVAILABLE);
                cr_assert(strstr(why, "LOADING") && strstr(why, f.path), "%s", why);
                cr_assert_eq(fa_redis_conn_generation(b.c), i + 1);
                now = fa_redis_conn_deadline(b.c);
        }
        cr_assert_gt(pause, 700 * FA_NS_PER_MS);
        fa_redis_conn_turn(b.c, now);
        fake_accept(&f);
        fake_greet(&f, GREETING_INFO("7.0.15", ""));
        cr_assert_lt(pause_after(&b, now, FA_NS_PER_S), 30 * FA_NS_PER_MS);
        /* Once more changes nothing: it is down. */
        now = fa_redis_conn_deadline(b.c);
        fa_redis_conn_break(b.c, now, -EACCES, "again");
        cr_assert_eq(fa_redis_conn_state(b.c, NULL), FAAS_E_UNAVAILABLE);
        cr_assert_eq(fa_redis_conn_deadline(b.c), now);
        fake_hang_up(&f);
        cb_close(&b);
        fake_close(&f);
}

Test(redis_conn, password_and_rights_are_asked_for_by_name) {
        struct th_redis r = {0};
        struct conn_bed b;

        th_redis_start_with(&r, false,
                            (const char *const[]){"--requirepass", "hush-hush", "--user", "none",
                                                  "on", ">none-s", "~*", "+@all", "-info", "--user",
                                                  "few", "on", ">few-s", "~*", "+@all", "-config",
                                                  NULL});
        cb_open(&b, "redis+unix://%s", r.socket);
        cb_state(&b, -EACCES, "asks for a password");
        cb_close(&b);
        cb_open(&b, "redis+unix://:other@%s", r.socket);
        cb_state(&b, -EACCES, "wrong password");
        cb_close(&b);
        cb_open(&b, "redis+unix://nobody:other@%s", r.socket);
        cb_state(&b, -EACCES, "wrong password, or no such user");
        cb_close(&b);
        cb_open(&b, "redis+unix://none:none-s@%s", r.socket);
        cb_state(&b, -EACCES, "user none has no right to INFO");
        cb_close(&b);
        cb_open(&b, "redis+unix://:hush-hush@%s", r.socket);
        cb_ready(&b);
        cr_assert_eq(fa_redis_conn_server(b.c)->fsync, FA_REDIS_FSYNC_EVERYSEC);
        cb_close(&b);
        /* Whoever may not read the configuration can still work. */
        cb_open(&b, "redis+unix://few:few-s@%s", r.socket);
        cb_ready(&b);
        cr_assert_eq(fa_redis_conn_server(b.c)->fsync, FA_REDIS_FSYNC_UNKNOWN);
        cr_assert(fa_redis_conn_server(b.c)->evicts_known);
        cb_close(&b);
}

Test(redis_conn, a_password_that_nobody_wants_is_told) {
        struct th_redis r = {0};
        struct conn_bed b;

        th_redis_start(&r, false);
        cb_open(&b, "redis+unix://:hush@%s", r.socket);
        cb_state(&b, -EACCES, "without any password configured");
        cb_close(&b);
}

Test(redis_conn, it_is_ready_once_somebody_has_mended_it) {
        struct th_redis r = {0};
        struct conn_bed b, admin;

        th_redis_start(&r, false);
        cb_open(&admin, "redis+unix://%s", r.socket);
        cb_ready(&admin);
        cb_expect(&admin, "CONFIG SET requirepass hush", "OK");
        cb_open(&b, "redis+unix://%s", r.socket);
        cb_state(&b, -EACCES, "asks for a password");
        cb_expect(&admin, "CONFIG SET requirepass ", "OK");
        cb_ready(&b);
        cb_close(&b);
        cb_close(&admin);
}

Test(redis_conn, a_database_out_of_range_is_told) {
        struct th_redis r = {0};
        struct conn_bed b;

        th_redis_start(&r, false);
        cb_open(&b, "redis+unix://%s?db=16", r.socket);
        cb_state(&b, -EINVAL, "database 16 is out of range");
        cb_close(&b);
}

Test(redis_conn, a_replica_is_not_written_to) {
        struct th_redis r = {0};
        struct conn_bed b;

        th_redis_start_with(&r, false, (const char *const[]){"--replicaof", "127.0.0.1 1", NULL});
        cb_open(&b, "redis+unix://%s", r.socket);
        cb_state(&b, FAAS_E_UNAVAILABLE, "read-only replica");
        cb_close(&b);
}

Test(redis_conn, a_server_that_has_too_many_clients_is_told) {
        struct th_redis r = {0};
        struct conn_bed b, first;

        th_redis_start(&r, false);
        cb_open(&first, "redis+unix://%s", r.socket);
        cb_ready(&first);
        cb_expect(&first, "CONFIG SET maxclients 1", "OK");
        cb_open(&b, "redis+unix://%s", r.socket);
        cb_state(&b, FAAS_E_UNAVAILABLE, "max number of clients");
        cb_close(&b);
        cb_close(&first);
}

static bool is_loading(struct conn_bed *b) {
        const char *why;

        return fa_redis_conn_state(b->c, &why) == FAAS_E_UNAVAILABLE &&
               strstr(why, "is loading its data");
}

Test(redis_conn, a_server_that_loads_its_data_is_waited_for) {
        struct th_redis r = {0};
        struct conn_bed b, admin;

        th_redis_start_with(&r, false,
                            (const char *const[]){"--enable-debug-command", "yes",
                                                  "--loading-process-events-interval-bytes", "1024",
                                                  NULL});
        cb_open(&admin, "redis+unix://%s", r.socket);
        cb_ready(&admin);
        cb_expect(&admin, "DEBUG POPULATE 20000 k 1000", "OK");
        cb_expect(&admin, "CONFIG SET key-load-delay 5000", "OK");
        cb_send(&admin, "DEBUG RELOAD");
        fa_redis_conn_turn(admin.c, fa_now());
        cb_open(&b, "redis+unix://%s", r.socket);
        cb_drive(&b, is_loading);
        fa_redis_conn_free(admin.c);
        /* 100 seconds are too long. */
        th_redis_kill(&r);
        th_redis_start(&r, false);
        cb_ready(&b);
        fa_redis_conn_free(b.c);
}

Test(redis_conn, a_server_that_hangs_is_given_up_after_two_seconds) {
        struct th_redis r = {.port = th_free_port()};
        struct conn_bed b;
        const char *why;
        uint64_t now = 1000;

        th_redis_start(&r, false);
        th_redis_stop(&r);
        cb_open(&b, "redis://127.0.0.1:%d", r.port);
        fa_redis_conn_turn(b.c, now);
        struct pollfd p = {.fd = fa_redis_conn_fd(b.c), .events = POLLIN};
        while (poll(&p, 1, 0) == 1) /* connected */
                fa_redis_conn_turn(b.c, now);
        cr_assert_eq(fa_redis_conn_state(b.c, &why), FAAS_E_AGAIN);
        cr_assert_eq(fa_redis_conn_deadline(b.c), now + 2 * FA_NS_PER_S);
        cr_assert_eq(poll(&p, 1, 0), 0, "it would be asked again and again");
        fa_redis_conn_turn(b.c, now + 2 * FA_NS_PER_S);
        cr_assert_eq(fa_redis_conn_state(b.c, &why), FAAS_E_UNAVAILABLE);
        cr_assert(strstr(why, "in 2 s"), "%s", why);
        cr_assert_eq(poll(&p, 1, 0), 0);
        th_redis_cont(&r);
        fa_redis_conn_turn(b.c, fa_redis_conn_deadline(b.c));
        cb_ready(&b);
        cb_close(&b);
}

Test(redis_conn, what_a_server_that_hangs_did_not_take_waits_without_being_asked_for) {
        struct th_redis r = {0};
        struct conn_bed b;

        th_redis_start(&r, false);
        cb_open(&b, "redis+unix://%s", r.socket);
        cb_ready(&b);
        th_redis_stop(&r);
        n_pongs = 0;
        for (unsigned i = 0; i < MANY; i++)
                put_ping(fa_redis_conn_out(b.c), i);
        fa_redis_conn_turn(b.c, fa_now());
        size_t unsent = fa_redis_conn_unsent(b.c);
        cr_assert_gt(unsent, LARGE);
        cr_assert_eq(fa_redis_conn_deadline(b.c), FA_NEVER);
        struct pollfd p = {.fd = fa_redis_conn_fd(b.c), .events = POLLIN};
        cr_assert_eq(poll(&p, 1, 0), 0);
        fa_redis_conn_turn(b.c, fa_now());
        cr_assert_eq(fa_redis_conn_unsent(b.c), unsent);
        th_redis_cont(&r);
        cb_drive(&b, all_pongs);
        cb_close(&b);
}

/* No program that the process starts may inherit them. */
Test(redis_conn, its_fds_never_block_and_are_closed_on_exec) {
        struct th_redis r = {.port = th_free_port()};
        struct conn_bed b;
        bool before[64];
        unsigned n = 0;

        th_redis_start(&r, false);
        for (int fd = 0; fd < 64; fd++)
                before[fd] = fcntl(fd, F_GETFD) >= 0;
        cb_open(&b, "redis://127.0.0.1:%d", r.port);
        cb_ready(&b);
        for (int fd = 0; fd < 64; fd++) {
                int flags = fcntl(fd, F_GETFD);
                if (before[fd] || flags < 0)
                        continue;
                n++;
                cr_assert(flags & FD_CLOEXEC);
                cr_assert(fd == fa_redis_conn_fd(b.c) || (fcntl(fd, F_GETFL) & O_NONBLOCK));
        }
        cr_assert_eq(n, 2);
        cb_close(&b);
}
