/* test-redis.c - the Redis store: the suite of all stores, on a real server, with virtual time */
#undef NDEBUG
#include "conformance.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>

#include <hiredis/hiredis.h>

#include "store/redis-scripts.h"
#include "store/redis.h"
#include "th.h"

#define ANSWER_MS 10000

static struct th_redis server; /* one for all stores of a test */
static unsigned n_stores;      /* each has a name of its own there */

static redisContext *ask(void) {
        redisContext *c = redisConnectUnix(server.socket);

        cr_assert(c && !c->err);
        return c;
}

static void wait_for_it(struct bed *b) {
        struct pollfd p = {.fd = fa_store_fd(b->store), .events = POLLIN};

        cr_assert(poll(&p, 1, ANSWER_MS) >= 0);
}

/* What is due at this time is done. */
static void settle(struct bed *b) {
        while (!fa_redis_settled(b->store, b->now_ns)) {
                fa_store_tick(b->store, b->now_ns);
                if (!fa_redis_settled(b->store, b->now_ns) &&
                    fa_store_deadline(b->store) > b->now_ns)
                        wait_for_it(b);
        }
}

static void open_redis(struct bed *b, const struct fa_store_cfg *cfg) {
        char url[160];

        if (!server.pid)
                th_redis_start(&server, false);
        b->now_ns = 1000 * FA_NS_PER_S;
        (void)snprintf(url, sizeof(url), "redis+unix://%s?prefix=t%u", server.socket, n_stores++);
        cr_assert_eq(fa_store_open(&b->store, url, cfg), 0, "%s", faas_error_text());
        fa_redis_for_tests(b->store, &b->now_ns);
        settle(b);
}

static void close_redis(struct bed *b) {
        b->store = fa_store_close(b->store);
}

static struct fa_group *drive_redis(struct bed *b) {
        struct fa_group *g;

        while (!(g = fa_store_reap(b->store, b->now_ns)))
                if (fa_store_deadline(b->store) > b->now_ns)
                        wait_for_it(b);
        return g;
}

static void advance_redis(struct bed *b, uint64_t ns) {
        uint64_t end = b->now_ns + ns;

        fa_redis_for_tests(b->store, &b->now_ns);
        settle(b);

        for (uint64_t at; (at = fa_store_deadline(b->store)) <= end;) {
                b->now_ns = at > b->now_ns ? at : b->now_ns;
                settle(b);
        }
        b->now_ns = end;
}

/* Says what the first connection to a new server says. */
static void restart_redis(struct bed *b) {
        static unsigned n;
        redisContext *c = ask();
        redisReply *r = redisCommand(c, "EVAL %s 1 {t%u}:meta 1 another-%u", fa_redis_lua_hello,
                                     n_stores - 1, n++);

        cr_assert(r && r->type == REDIS_REPLY_ARRAY, "%s", r ? r->str : "no answer");
        freeReplyObject(r);
        redisFree(c);
}

const struct bed_ops bed_under_test = {
        .open = open_redis,
        .close = close_redis,
        .drive = drive_redis,
        .advance = advance_redis,
        .restart = restart_redis,
};
