/*
 * test-redis-foreign.c - keys of others, servers that are not as they should be, rights that lack,
 * and the node of a cluster that has our keys
 */
#undef NDEBUG
#include "redis-bed.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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

Test(redis_foreign, a_key_of_another_type_is_named) {
        char keys[7][48] = {"meta", "live", "bad", "x:0", "t:0", "r:26776436736"};
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

/* While the key is a list a group of three is refused; then it is as before, and the group runs. */
static void expect_refused_late(const char *key) {
        char text[64];
        struct bed b;

        bed_open(&b, NULL);
        struct ep e = ep_start(&b, "a");
        cr_assert_eq(do_accept(&e, 1, "bytes"), 0);
        cr_assert_eq(do_accept(&e, 2, "bytes"), 0);
        bool there = rb_int("EXISTS {%s}:%s", rb_prefix(), key);
        if (there)
                rb_do("RENAME {%s}:%s {%s}:before", rb_prefix(), key, rb_prefix());
        rb_do("RPUSH {%s}:%s x", rb_prefix(), key);
        struct fa_group *g = ep_group(&e);
        put_accept(g, e.epoch, 3, "bytes");
        put_finish(g, e.epoch, 1, "result");
        put_accept(g, e.epoch, 4, "bytes");
        fa_store_apply(b.store, g, fa_now());
        (void)snprintf(text, sizeof(text), "{%s}:%s", rb_prefix(), key);
        rb_state(&b, -EINVAL, text);
        rb_do("DEL {%s}:%s", rb_prefix(), key);
        if (there)
                rb_do("RENAME {%s}:before {%s}:%s", rb_prefix(), rb_prefix(), key);
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

/* In the middle of a group: what was done counts, and what comes again finds it. */
Test(redis_foreign, a_key_of_another_type_that_shows_late_leaves_the_books_right) {
        expect_refused_late("x:0");
        expect_refused_late("live");
}

static void open_prefix(struct bed *b, const char *prefix, const struct fa_store_cfg *cfg) {
        char url[160];

        *b = (struct bed){.ops = &bed_under_test};
        rb_start();
        (void)snprintf(url, sizeof(url), "redis+unix://%s?prefix=%s", rb_server.socket, prefix);
        rb_open_url(b, cfg, url);
}

Test(redis_foreign, what_is_no_store_of_ours_is_left_alone) {
        struct bed b;

        rb_start();
        rb_do("HSET {p}:meta v 1 epoch 5");
        open_prefix(&b, "p", &usual);
        rb_state(&b, FAAS_E_VERSION, "it has schema 1, expected 3");
        rb_do("DEL {p}:meta");
        rb_state(&b, 0, "");
        rb_close(&b);

        rb_do("HSET {q}:meta name somebody");
        open_prefix(&b, "q", &usual);
        rb_state(&b, -EINVAL, "{q}:meta is a hash that is not ours");
        cr_assert_eq(rb_int("HLEN {q}:meta"), 1);
        rb_close(&b);

        rb_do("SET {s}:meta x");
        open_prefix(&b, "s", &usual);
        rb_state(&b, -EINVAL, "{s}:meta is a string that is not ours");
        rb_do("DEL {s}:meta");
        rb_state(&b, 0, "");
        rb_close(&b);
}

Test(redis_foreign, a_server_that_evicts_is_refused_unless_allowed) {
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

Test(redis_foreign, a_store_that_was_emptied_begins_anew) {
        struct bed b, late = {.ops = &bed_under_test};
        char url[160];

        bed_open(&b, NULL);
        struct ep e = ep_start(&b, "a");
        cr_assert_eq(do_accept(&e, 1, "bytes"), 0);
        rb_do("FLUSHALL");
        cr_assert_eq(do_accept(&e, 2, "bytes"), FAAS_E_FENCED);
        cr_assert_eq(do_tick(&e), FAAS_E_FENCED);
        struct ep next = ep_start(&b, "a");
        cr_assert_gt(next.epoch, e.epoch);
        cr_assert_eq(do_accept(&next, 2, "bytes"), 0);
        (void)snprintf(url, sizeof(url), "redis+unix://%s?prefix=%s", rb_server.socket,
                       rb_prefix());
        rb_open_url(&late, &usual, url);
        rb_state(&late, 0, "");
        expect_open(&late, 2);
        rb_close(&late);
        rb_books(rb_prefix());
        bed_close(&b);
}

/* ---- rights ---- */

/* As docs/STORE.md has them: a test of the documents looks that they do. */
static const char *const rights[] = {
        "+eval",    "+evalsha", "+script|load", "+info",     "+time",    "+type",  "+hget",
        "+hset",    "+hmget",   "+hgetall",     "+hdel",     "+hincrby", "+hkeys", "+hlen",
        "+hstrlen", "+append",  "+get",         "+getrange", "+unlink",
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

Test(redis_foreign, a_user_has_all_rights_that_it_needs_or_is_told_which_lacks) {
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
                                  strstr(why, "no permissions") || strstr(why, "no right"),
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

/* ---- a cluster ---- */

static redisReply *node_ask(redisContext *c, const char *line) {
        redisReply *r = redisCommand(c, line);

        cr_assert(r && r->type != REDIS_REPLY_ERROR, "%s: %s", line, r ? r->str : "");
        return r;
}

static void start_node(struct th_redis *r, int *ret_bus, redisContext **ret) {
        char bus[16];

        r->port = th_free_port();
        *ret_bus = th_free_port();
        (void)snprintf(bus, sizeof(bus), "%d", *ret_bus);
        th_redis_start_with(
                r, false,
                (const char *const[]){"--cluster-enabled", "yes", "--cluster-port", bus, NULL});
        *ret = redisConnectUnix(r->socket);
        cr_assert(*ret && !(*ret)->err);
}

static bool node_ok(void *arg) {
        redisReply *r = node_ask(arg, "CLUSTER INFO");
        bool ok = strstr(r->str, "cluster_state:ok");

        freeReplyObject(r);
        return ok;
}

Test(redis_foreign, the_node_that_has_the_slot_is_gone_to) {
        struct th_redis empty = {0};
        redisContext *at_url, *owner;
        char line[64], url[64];
        int bus[2];
        struct bed b = {.ops = &bed_under_test};

        start_node(&empty, &bus[0], &at_url);
        start_node(&rb_server, &bus[1], &owner);
        freeReplyObject(node_ask(owner, "CLUSTER ADDSLOTSRANGE 0 16383"));
        (void)snprintf(line, sizeof(line), "CLUSTER MEET 127.0.0.1 %d %d", rb_server.port, bus[1]);
        freeReplyObject(node_ask(at_url, line));
        cr_assert(th_until(node_ok, at_url, RB_MS));
        cr_assert(th_until(node_ok, owner, RB_MS));
        (void)snprintf(url, sizeof(url), "redis://127.0.0.1:%d?prefix=t0", empty.port);
        rb_open_url(&b, &usual, url);
        struct ep e = ep_start(&b, "a");
        for (unsigned id = 1; id <= 5; id++) {
                cr_assert_eq(do_accept(&e, id, "bytes"), 0);
                if (id % 2)
                        cr_assert_eq(do_finish(&e, id, "result"), 0);
                rb_do("CLIENT KILL TYPE normal SKIPME yes");
                cr_assert_eq(do_forget(&e, 1), id == 1 ? 0 : FAAS_E_NOENT);
        }
        cr_assert_not(fa_store_lost(b.store), "the node of the URL has another run id: it is none");
        rb_books("t0");
        rb_close(&b);
        redisFree(at_url);
        redisFree(owner);
}
