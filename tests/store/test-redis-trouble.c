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
