/*
 * test-redis-trouble.c - a Redis that is there and refuses: each reason is told, nothing is lost,
 * and it goes on by itself when somebody has mended it
 */
#undef NDEBUG
#include "redis-bed.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/macros.h"

const struct bed_ops bed_under_test = RB_REAL;

static const struct fa_store_cfg usual = {.tick_ns = TICK_NS, .lease_ticks = LEASE_TICKS};

static struct fa_group *apply_accept(struct ep *e, unsigned id) {
        struct fa_group *g = ep_group(e);

        put_accept(g, e->epoch, id, "bytes");
        fa_store_apply(e->bed->store, g, e->bed->now_ns);
        return g;
}

/* The group that waited is answered, and its task is there once. */
static void expect_accepted(struct ep *e, struct fa_group *g, unsigned id) {
        cr_assert_eq(rb_drive(e->bed), g);
        cr_assert_eq(g->r, 0);
        cr_assert_eq(g->ops[0].r, 0, "%s", faas_strerror(g->ops[0].r));
        fa_group_free(g);
        expect_open(e->bed, id);
        rb_state(e->bed, 0, "");
        rb_books(rb_prefix());
}

/* It is said; then it is mended, and what waited is done. */
static void expect_told(struct ep *e, unsigned id, int r, const char *text, const char *mend) {
        struct fa_group *g = apply_accept(e, id);

        rb_state(e->bed, r, text);
        cr_assert_null(fa_store_reap(e->bed->store, fa_now()));
        rb_do(mend);
        expect_accepted(e, g, id);
}

/* ---- no memory ---- */

static void fill_up(void) {
        rb_do("CONFIG SET maxmemory 1"); /* bytes */
}

Test(redis_trouble, without_memory_new_tasks_are_refused_and_all_else_goes_on) {
        char meta[64];
        struct bed b;

        bed_open(&b, NULL);
        struct ep e = ep_start(&b, "a");
        for (unsigned id = 1; id <= 5; id++)
                cr_assert_eq(do_accept(&e, id, "bytes"), 0);
        cr_assert_eq(do_finish(&e, 1, "result"), 0);
        fill_up();
        cr_assert_eq(do_accept(&e, 6, "bytes"), FAAS_E_LIMIT);
        cr_assert_eq(do_finish(&e, 2, "result"), 0);
        cr_assert_eq(do_forget(&e, 1), 0);
        cr_assert_eq(do_requeue(&e, 3, 1, 1), 0);
        cr_assert_eq(do_hint(&e, 4), 0);
        cr_assert_eq(do_tick(&e), 0);
        rb_state(&b, 0, "");
        rb_books(rb_prefix());
        /* Also for who comes now. */
        rb_do("CLIENT KILL TYPE normal SKIPME yes");
        cr_assert_eq(do_accept(&e, 6, "bytes"), FAAS_E_LIMIT);
        struct ep other = ep_start(&b, "b");
        cr_assert_eq(do_accept(&other, 6, "bytes"), FAAS_E_LIMIT);
        cr_assert_eq(do_finish(&e, 3, "result"), 0);
        rb_do("CONFIG SET maxmemory 0");
        uint64_t end = fa_now() + RB_MS * FA_NS_PER_MS;
        int r;
        while ((r = do_accept(&e, 6, "bytes"))) {
                cr_assert_eq(r, FAAS_E_LIMIT);
                cr_assert_lt(fa_now(), end);
        }
        expect_open(&b, 6);
        expect_final(&b, 3, "result");
        rb_books(rb_prefix());
        rb_text(meta, sizeof(meta), "HGET {%s}:meta open", rb_prefix());
        cr_assert_str_eq(meta, "3");
        bed_close(&b);
}

static unsigned rnd(unsigned below) {
        static uint64_t x = 88172645463325252u;

        x ^= x << 13;
        x ^= x >> 7;
        x ^= x << 17;
        return (unsigned)(x >> 33) % below;
}

static void put_random(struct ep *e, struct fa_group *g) {
        static const enum fa_op_kind kinds[] = {FA_OP_ACCEPT, FA_OP_ACCEPT, FA_OP_FINISH,
                                                FA_OP_FORGET, FA_OP_HINT,   FA_OP_REQUEUE,
                                                FA_OP_GET};
        unsigned id = 1 + rnd(200);

        switch (kinds[rnd(FA_ARRAY_SIZE(kinds))]) {
        case FA_OP_ACCEPT:
                put_accept(g, e->epoch, id, "some bytes");
                break;
        case FA_OP_FINISH:
                put_finish(g, e->epoch, id, "a result that is longer than the task was");
                break;
        case FA_OP_FORGET:
                put(g, FA_OP_FORGET, e->epoch, id);
                break;
        case FA_OP_HINT:
                put(g, FA_OP_HINT, e->epoch, id);
                break;
        case FA_OP_REQUEUE:
                put(g, FA_OP_REQUEUE, e->epoch, id)->strikes = 2;
                break;
        default:
                put(g, FA_OP_GET, 0, id);
        }
}

Test(redis_trouble, memory_that_comes_and_goes_leaves_nothing_half_written) {
        unsigned seen[_FAAS_E_N] = {0};
        struct bed b;

        bed_open(&b, NULL);
        struct ep e = ep_start(&b, "a");
        for (unsigned i = 0; i < 600; i++) {
                struct fa_group *q[3];
                if (i % 7 == 0)
                        fill_up();
                else if (i % 7 == 3)
                        rb_do("CONFIG SET maxmemory 0");
                /* Some under way while it changes, and some while they wait for its end. */
                for (int k = 0; k < 3; k++) {
                        q[k] = ep_group(&e);
                        for (unsigned n = 1 + rnd(8); n; n--)
                                put_random(&e, q[k]);
                        fa_store_apply(b.store, q[k], fa_now());
                }
                for (int k = 0; k < 3; k++) {
                        cr_assert_eq(rb_drive(&b), q[k]);
                        cr_assert_eq(q[k]->r, 0);
                        for (size_t n = 0; n < q[k]->n; n++)
                                seen[q[k]->ops[n].r]++;
                        fa_group_free(q[k]);
                }
                if (i % 10 == 0)
                        rb_books(rb_prefix());
        }
        rb_books(rb_prefix());
        cr_assert_gt(seen[0], 100);
        cr_assert_gt(seen[FAAS_E_LIMIT], 100);
        bed_close(&b);
}

/* ---- it may not be written ---- */

Test(redis_trouble, a_server_that_became_a_replica_is_told_and_used_again_later) {
        struct th_redis other = {.port = th_free_port()};
        struct bed b;

        rb_server.port = th_free_port();
        bed_open(&b, NULL);
        th_redis_start(&other, false);
        struct ep e = ep_start(&b, "a");
        cr_assert_eq(do_accept(&e, 1, "bytes"), 0);
        /* Of one that does not take it: so it keeps its data. */
        th_redis_stop(&other);
        rb_do("REPLICAOF 127.0.0.1 %d", other.port);
        expect_told(&e, 2, FAAS_E_UNAVAILABLE, "replica", "REPLICAOF NO ONE");
        expect_open(&b, 1);
        th_redis_cont(&other);
        bed_close(&b);
}

Test(redis_trouble, a_server_that_cannot_write_its_disk_is_told) {
        struct bed b;

        bed_open(&b, NULL);
        struct ep e = ep_start(&b, "a");
        cr_assert_eq(do_accept(&e, 1, "bytes"), 0);
        /* A folder has the file's name: that holds for root, too. */
        char path[128];
        (void)snprintf(path, sizeof(path), "%s/dump.rdb", rb_server.dir);
        cr_assert_eq(mkdir(path, 0700), 0);
        rb_do("CONFIG SET save %s", "3600 1");
        rb_do("BGSAVE");
        while (rb_int("EVAL %s 0", "return string.find(redis.call('INFO', 'persistence'), "
                                   "'rdb_last_bgsave_status:err', 1, true) and 1 or 0") == 0)
                cr_assert(!th_gone(rb_server.pid, 1));
        expect_told(&e, 2, FAAS_E_UNAVAILABLE, "MISCONF",
                    "CONFIG SET stop-writes-on-bgsave-error no");
        bed_close(&b);
}

Test(redis_trouble, one_that_runs_somebodys_script_is_told_and_waited_for) {
        struct bed b;

        bed_open(&b, NULL);
        struct ep e = ep_start(&b, "a");
        rb_do("CONFIG SET busy-reply-threshold 1");
        redisContext *c = redisConnectUnix(rb_server.socket);
        cr_assert(c && !c->err);
        redisAppendCommand(c, "EVAL %s 0", "while true do end");
        int done = 0;
        while (!done)
                cr_assert_eq(redisBufferWrite(c, &done), REDIS_OK);
        /* Perhaps it is not yet running when the first groups come. */
        struct fa_group *g = NULL;
        const char *why = "";
        uint64_t end = fa_now() + RB_MS * FA_NS_PER_MS;
        for (unsigned id = 1; !strstr(why, "BUSY"); id++) {
                cr_assert_lt(fa_now(), end);
                if (!g)
                        g = apply_accept(&e, id);
                struct fa_group *got = fa_store_reap(b.store, fa_now());
                if (got)
                        g = fa_group_free(got);
                (void)fa_store_state(b.store, &why);
        }
        rb_hang_up();
        rb_do("SCRIPT KILL");
        while (g && fa_store_state(b.store, &why))
                if (fa_store_reap(b.store, fa_now()))
                        g = fa_group_free(g);
        if (g)
                fa_group_free(rb_drive(&b));
        rb_state(&b, 0, "");
        rb_books(rb_prefix());
        redisFree(c);
        bed_close(&b);
}

Test(redis_trouble, one_that_still_loads_its_data_is_told_and_waited_for) {
        struct bed b;

        rb_append_only = true;
        bed_open(&b, NULL);
        struct ep e = ep_start(&b, "a");
        cr_assert_eq(do_accept(&e, 1, "bytes"), 0);
        rb_do("EVAL %s 0", "for i = 1, 2000 do redis.call('SET', 'fill:' .. i, "
                           "string.rep('x', 100)) end");
        rb_do("BGREWRITEAOF");
        while (rb_int("EVAL %s 0", "return string.find(redis.call('INFO', 'persistence'), "
                                   "'aof_rewrite_in_progress:1', 1, true) and 1 or 0"))
                cr_assert(!th_gone(rb_server.pid, 1));
        rb_hang_up();
        th_redis_kill(&rb_server);
        /* th_redis_start() would wait for the end of that. */
        const char *const slowly[] = {"redis-server",
                                      "--port",
                                      "0",
                                      "--unixsocket",
                                      rb_server.socket,
                                      "--dir",
                                      rb_server.dir,
                                      "--save",
                                      "",
                                      "--appendonly",
                                      "yes",
                                      "--appendfsync",
                                      "always",
                                      "--key-load-delay",
                                      "1000",
                                      "--loading-process-events-interval-bytes",
                                      "1024",
                                      "--logfile",
                                      "/dev/null",
                                      NULL};
        rb_server.pid = th_spawn(slowly, -1);
        rb_state(&b, FAAS_E_UNAVAILABLE, "loading its data");
        rb_state(&b, 0, "");
        cr_assert(fa_store_lost(b.store));
        bind_own(&e);
        bind_done(&e);
        expect_open(&b, 1);
        bed_close(&b);
}

/* ---- what a server forgets ---- */

Test(redis_trouble, scripts_that_were_flushed_are_loaded_again) {
        struct bed b;

        bed_open(&b, NULL);
        struct ep e = ep_start(&b, "a");
        for (unsigned id = 1; id <= 5; id++) {
                rb_do("SCRIPT FLUSH");
                cr_assert_eq(do_accept(&e, id, "bytes"), 0);
                cr_assert_eq(do_finish(&e, id, "result"), 0);
        }
        rb_state(&b, 0, "");
        rb_books(rb_prefix());
        bed_close(&b);
}

static bool was_closed(void *arg) {
        char list[2000];

        rb_text(list, sizeof(list), "CLIENT LIST");
        return strstr(strstr(list, "id=") + 3, "id=") == NULL;
}

Test(redis_trouble, connections_that_the_server_closes_come_back) {
        struct bed b;

        bed_open(&b, NULL);
        struct ep e = ep_start(&b, "a");
        for (unsigned id = 1; id <= 3; id++) {
                rb_do("CLIENT KILL TYPE normal SKIPME yes");
                cr_assert_eq(do_accept(&e, id, "bytes"), 0);
        }
        /* Idle: nobody drives it meanwhile.  Ours is asked all the time. */
        rb_do("CONFIG SET timeout 1");
        cr_assert(th_until(was_closed, NULL, RB_MS));
        cr_assert_eq(do_accept(&e, 4, "bytes"), 0);
        cr_assert_not(fa_store_lost(b.store));
        expect_open(&b, 3);
        rb_books(rb_prefix());
        bed_close(&b);
}

/* ---- what stands there is not ours ---- */

Test(redis_trouble, a_key_of_another_type_is_named) {
        char keys[7][48] = {"meta", "live", "bad", "x:0", "t:0", "r:418381824"};
        unsigned id = 1;
        struct bed b;

        bed_open(&b, NULL);
        struct ep e = ep_start(&b, "a");
        cr_assert_eq(do_accept(&e, id++, "bytes"), 0);
        (void)snprintf(keys[6], sizeof(keys[6]), "j:%llu:1", (unsigned long long)e.epoch);
        for (size_t i = 0; i < FA_ARRAY_SIZE(keys); i++) {
                char text[400];
                (void)snprintf(text, sizeof(text), "{%s}:%s", rb_prefix(), keys[i]);
                bool there = rb_int("EXISTS %s", text);
                if (there)
                        rb_do("RENAME %s {%s}:elsewhere", text, rb_prefix());
                rb_do("RPUSH %s x", text);
                rb_do("CLIENT KILL TYPE normal SKIPME yes");
                struct fa_group *g = apply_accept(&e, id);
                rb_state(&b, -EINVAL, text);
                rb_do("DEL %s", text);
                if (there)
                        rb_do("RENAME {%s}:elsewhere %s", rb_prefix(), text);
                expect_accepted(&e, g, id++);
        }
        bed_close(&b);
}

/* In the middle of a group: what was done counts, and what comes again finds it. */
Test(redis_trouble, a_key_of_another_type_that_shows_late_leaves_the_books_right) {
        struct bed b;

        bed_open(&b, NULL);
        struct ep e = ep_start(&b, "a");
        cr_assert_eq(do_accept(&e, 1, "bytes"), 0);
        cr_assert_eq(do_accept(&e, 2, "bytes"), 0);
        rb_do("RPUSH {%s}:x:0 x", rb_prefix());
        struct fa_group *g = ep_group(&e);
        put_accept(g, e.epoch, 3, "bytes");
        put_finish(g, e.epoch, 1, "result");
        put_accept(g, e.epoch, 4, "bytes");
        fa_store_apply(b.store, g, fa_now());
        char text[64];
        (void)snprintf(text, sizeof(text), "{%s}:x:0", rb_prefix());
        rb_state(&b, -EINVAL, text);
        rb_do("DEL {%s}:x:0", rb_prefix());
        cr_assert_eq(rb_drive(&b), g);
        cr_assert_eq(g->r, 0);
        cr_assert(g->ops[0].r == 0 || (g->ops[0].r == FAAS_E_EXISTS && !g->ops[0].differs));
        cr_assert_eq(g->ops[1].r, 0);
        cr_assert_eq(g->ops[2].r, 0);
        fa_group_free(g);
        expect_final(&b, 1, "result");
        unsigned ids[4];
        cr_assert_eq(load_all(&e, e.epoch, ids, 4), 3);
        rb_books(rb_prefix());
        bed_close(&b);
}

static void open_prefix(struct bed *b, const char *prefix, const struct fa_store_cfg *cfg) {
        char url[160];

        *b = (struct bed){.ops = &bed_under_test};
        rb_start();
        (void)snprintf(url, sizeof(url), "redis+unix://%s?prefix=%s", rb_server.socket, prefix);
        rb_open_url(b, cfg, url);
}

Test(redis_trouble, what_is_no_store_of_ours_is_left_alone) {
        struct bed b;

        rb_start();
        rb_do("HSET {p}:meta v 2 epoch 5");
        open_prefix(&b, "p", &usual);
        rb_state(&b, FAAS_E_VERSION, "{p}:meta has schema 2; expected 1");
        rb_do("DEL {p}:meta");
        rb_state(&b, 0, "");
        rb_close(&b);

        rb_do("HSET {q}:meta name somebody");
        open_prefix(&b, "q", &usual);
        rb_state(&b, -EINVAL, "{q}:meta is a hash of somebody else");
        cr_assert_eq(rb_int("HLEN {q}:meta"), 1);
        rb_close(&b);

        rb_do("SET {s}:meta x");
        open_prefix(&b, "s", &usual);
        rb_state(&b, -EINVAL, "{s}:meta is a string of somebody else");
        rb_do("DEL {s}:meta");
        rb_state(&b, 0, "");
        rb_close(&b);
}

Test(redis_trouble, a_server_that_evicts_is_refused_unless_allowed) {
        struct fa_store_cfg allowed = usual;
        struct bed b;

        rb_start();
        rb_do("CONFIG SET maxmemory 100mb");
        rb_do("CONFIG SET maxmemory-policy allkeys-lru");
        open_prefix(&b, "p", &usual);
        rb_state(&b, -EINVAL, "it may evict keys");
        rb_do("CONFIG SET maxmemory-policy noeviction");
        rb_state(&b, 0, "");
        rb_close(&b);
        rb_do("CONFIG SET maxmemory-policy allkeys-lru");
        allowed.evicting_ok = true;
        open_prefix(&b, "p", &allowed);
        rb_state(&b, 0, "");
        rb_close(&b);
}

/* ---- rights ---- */

/* As docs/STORE.md has them: a test of the documents looks that they do. */
static const char *const rights[] = {
        "+eval",  "+evalsha", "+script|load", "+info",    "+time",     "+type",
        "+hget",  "+hset",    "+hmget",       "+hgetall", "+hdel",     "+hincrby",
        "+hkeys", "+hlen",    "+append",      "+get",     "+getrange", "+unlink",
};

static void set_user(size_t without) {
        char rules[400] = "";

        for (size_t i = 0; i < FA_ARRAY_SIZE(rights); i++)
                if (i != without)
                        (void)snprintf(rules + strlen(rules), sizeof(rules) - strlen(rules), " %s",
                                       rights[i]);
        char line[500];
        (void)snprintf(line, sizeof(line), "ACL SETUSER u reset on >secret ~{p}:*%s", rules);
        rb_do(line);
        rb_do("ACL LOG RESET");
}

Test(redis_trouble, a_user_has_all_rights_that_it_needs_or_is_told_which_lacks) {
        char url[160];
        struct bed b = {.ops = &bed_under_test};

        rb_start();
        (void)snprintf(url, sizeof(url), "redis+unix://u:secret@%s?prefix=p", rb_server.socket);
        for (size_t i = 0; i < FA_ARRAY_SIZE(rights); i++) {
                const char *why;
                set_user(i);
                rb_open_url(&b, &usual, url);
                rb_state(&b, -EACCES, "");
                (void)fa_store_state(b.store, &why);
                cr_assert(strstr(why, "NOPERM") || strstr(why, "can't run") ||
                                  strstr(why, "no right"),
                          "%s: %s", rights[i], why);
                set_user(SIZE_MAX);
                rb_state(&b, 0, "");
                rb_close(&b);
        }
        rb_do("ACL LOG RESET");
        rb_open_url(&b, &usual, url);
        struct ep e = ep_start(&b, "a"), before = e;
        for (unsigned i = 1; i <= 6; i++)
                cr_assert_eq(do_accept(&e, i, "bytes"), 0);
        /* And it is enough for all there is. */
        for (unsigned i = 1; i <= 3; i++)
                cr_assert_eq(do_finish(&e, i, "result"), 0);
        cr_assert_eq(do_forget(&e, 1), 0);
        cr_assert_eq(do_requeue(&e, 4, 1, 1), 0);
        cr_assert_eq(do_hint(&e, 4), 0);
        cr_assert_eq(do_tick(&e), 0);
        unsigned ids[32];
        cr_assert_eq(load_all(&e, e.epoch, ids, 32), 3);
        struct ep next = ep_start(&b, "a");
        cr_assert_eq(do_tick(&next), 0);
        cr_assert_eq(do_tick(&before), FAAS_E_FENCED);
        rb_books("p");
        redisReply *log = rb_ask("ACL LOG");
        /* It asks for one right that it can do without: whether the journal is written at once. */
        for (size_t i = 0; i < log->elements; i++)
                cr_assert_str_eq(log->element[i]->element[7]->str, "config|get");
        freeReplyObject(log);
        rb_close(&b);
}
