/* redis-bed.c - a Redis store on a real server, driven by its test: in virtual or in real time */
#undef NDEBUG
#include "redis-bed.h"

#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/macros.h"
#include "store/redis-scripts.h"

struct th_redis rb_server;
const char *const *rb_server_args;
bool rb_append_only;

static unsigned n_stores;
static redisContext *admin;

const char *rb_prefix(void) {
        static char text[16];

        (void)snprintf(text, sizeof(text), "t%u", n_stores - 1);
        return text;
}

/* ---- the server ---- */

void rb_hang_up(void) {
        if (admin)
                redisFree(admin);
        admin = NULL;
}

static redisReply *ask(const char *fmt, va_list args) {
        redisReply *r;

        if (!admin)
                admin = redisConnectUnix(rb_server.socket);
        cr_assert(admin && !admin->err);
        r = redisvCommand(admin, fmt, args);
        cr_assert_not_null(r, "%s: no answer", fmt);
        cr_assert_neq(r->type, REDIS_REPLY_ERROR, "%s: %s", fmt, r->str);
        return r;
}

redisReply *rb_ask(const char *fmt, ...) {
        va_list args;

        va_start(args, fmt);
        redisReply *r = ask(fmt, args);
        va_end(args);
        return r;
}

void rb_do(const char *fmt, ...) {
        va_list args;

        va_start(args, fmt);
        freeReplyObject(ask(fmt, args));
        va_end(args);
}

long long rb_int(const char *fmt, ...) {
        va_list args;

        va_start(args, fmt);
        redisReply *r = ask(fmt, args);
        va_end(args);
        long long n = r->type == REDIS_REPLY_INTEGER ? r->integer
                      : r->str                       ? strtoll(r->str, NULL, 10)
                                                     : 0;
        freeReplyObject(r);
        return n;
}

void rb_text(char *ret, size_t size, const char *fmt, ...) {
        va_list args;

        va_start(args, fmt);
        redisReply *r = ask(fmt, args);
        va_end(args);
        (void)snprintf(ret, size, "%s", r->str ? r->str : "");
        freeReplyObject(r);
}

static bool cluster_ok(void *arg) {
        char text[2000];

        rb_text(text, sizeof(text), "CLUSTER INFO");
        return strstr(text, "cluster_state:ok");
}

#ifdef RB_CLUSTER
#define IN_CLUSTER true
#else
#define IN_CLUSTER false
#endif

void rb_start(void) {
        static const char *const always[] = {"--appendfsync", "always", NULL};
        char bus[16];
        bool new = !rb_server.dir[0];

        if (rb_server.pid)
                return;
        (void)snprintf(bus, sizeof(bus), "%d", th_free_port());
        const char *const node[] = {"--cluster-enabled", "yes", "--cluster-port", bus, NULL};
        if (IN_CLUSTER && new)
                rb_server.port = th_free_port();
        th_redis_start_with(&rb_server, rb_append_only,
                            IN_CLUSTER       ? node
                            : rb_server_args ? rb_server_args
                            : rb_append_only ? always
                                             : NULL);
        if (IN_CLUSTER && new)
                rb_do("CLUSTER ADDSLOTSRANGE 0 16383");
        cr_assert(!IN_CLUSTER || th_until(cluster_ok, NULL, RB_MS));
}

void rb_restart(void) {
        rb_hang_up();
        th_redis_kill(&rb_server);
        rb_start();
}

/* ---- virtual time ---- */

static void wait_for_it(struct bed *b, uint64_t until_ns) {
        struct pollfd p = {.fd = fa_store_fd(b->store), .events = POLLIN};

        cr_assert(poll(&p, 1, fa_poll_ms(until_ns, fa_now())) >= 0, "poll");
}

static void wait_virtual(struct bed *b) {
        wait_for_it(b, fa_now() + 10 * FA_NS_PER_S);
}

/* What is due at this time is done. */
static void settle(struct bed *b) {
        uint64_t end = fa_now() + RB_MS * FA_NS_PER_MS;
        const char *why;

        while (!fa_redis_settled(b->store, b->now_ns)) {
                int r = fa_store_state(b->store, &why);
                cr_assert_lt(fa_now(), end, "not in time; %d %s", r, why);
                fa_store_tick(b->store, b->now_ns);
                if (!fa_redis_settled(b->store, b->now_ns) &&
                    fa_store_deadline(b->store) > b->now_ns)
                        wait_virtual(b);
        }
}

void rb_virtual_open(struct bed *b, const struct fa_store_cfg *cfg) {
        char url[160];

        rb_start();
        b->now_ns = 1000 * FA_NS_PER_S;
        n_stores++;
        (void)snprintf(url, sizeof(url), "redis+unix://%s?prefix=%s", rb_server.socket,
                       rb_prefix());
        cr_assert_eq(fa_store_open(&b->store, url, cfg), 0, "%s", faas_error_text());
        fa_redis_for_tests(b->store, &b->now_ns);
        settle(b);
}

void rb_close(struct bed *b) {
        b->store = fa_store_close(b->store);
        rb_hang_up();
}

struct fa_group *rb_virtual_drive(struct bed *b) {
        uint64_t end = fa_now() + RB_MS * FA_NS_PER_MS;
        const char *why;
        struct fa_group *g;

        while (!(g = fa_store_reap(b->store, b->now_ns))) {
                int r = fa_store_state(b->store, &why);
                cr_assert_lt(fa_now(), end, "not in time; %d %s", r, why);
                if (fa_store_deadline(b->store) > b->now_ns)
                        wait_virtual(b);
        }
        return g;
}

void rb_virtual_advance(struct bed *b, uint64_t ns) {
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
void rb_virtual_restart(struct bed *b) {
        static unsigned n;

        rb_do("EVAL %s 1 {%s}:meta 3 another-%u", fa_redis_lua_hello, rb_prefix(), n++);
}

/* ---- real time ---- */

void rb_open_url(struct bed *b, const struct fa_store_cfg *cfg, const char *url) {
        b->now_ns = fa_now();
        cr_assert_eq(fa_store_open(&b->store, url, cfg), 0, "%s", faas_error_text());
}

void rb_open(struct bed *b, const struct fa_store_cfg *cfg) {
        char url[160];

        rb_start();
        n_stores++;
        (void)snprintf(url, sizeof(url), "redis+unix://%s?prefix=%s", rb_server.socket,
                       rb_prefix());
        rb_open_url(b, cfg, url);
}

void rb_until(struct bed *b, bool (*done)(struct bed *b, void *arg), void *arg) {
        uint64_t end = fa_now() + RB_MS * FA_NS_PER_MS;
        const char *why;

        for (;;) {
                b->now_ns = fa_now();
                if (done(b, arg))
                        return;
                int r = fa_store_state(b->store, &why);
                cr_assert_lt(b->now_ns, end, "not in time; %d %s", r, why);
                wait_for_it(b, FA_MIN(fa_store_deadline(b->store), end));
        }
}

static bool reaped(struct bed *b, void *arg) {
        struct fa_group **ret = arg;

        return (*ret = fa_store_reap(b->store, b->now_ns));
}

struct fa_group *rb_drive(struct bed *b) {
        struct fa_group *g = NULL;

        rb_until(b, reaped, &g);
        return g;
}

struct wanted {
        int r;
        const char *text;
};

static bool is_wanted(struct bed *b, void *arg) {
        const struct wanted *w = arg;
        const char *why;

        fa_store_tick(b->store, b->now_ns);
        return fa_store_state(b->store, &why) == w->r && strstr(why, w->text);
}

void rb_state(struct bed *b, int r, const char *text) {
        rb_until(b, is_wanted, &(struct wanted){r, text});
}

bool rb_lost(struct bed *b, void *arg) {
        fa_store_tick(b->store, b->now_ns);
        return fa_store_lost(b->store);
}

void rb_bind_again(struct ep *e, uint64_t cursor) {
        struct fa_group *g = ep_control(e), *done = ep_control(e);
        struct fa_op *op = put(g, FA_OP_REBIND, 0, 0);

        op->state = FA_REBIND_OWN;
        op->cursor = cursor;
        op->more->name = e->name;
        op->more->endpoint = "";
        op->more->owned = calloc(1, sizeof(struct fa_owned));
        op->more->owned[op->more->n_owned++] = (struct fa_owned){e->epoch, e->epoch, 1};
        put(done, FA_OP_REBIND, 0, 0)->state = FA_REBIND_DONE;
        fa_store_apply(e->bed->store, done, fa_now());
        fa_store_apply(e->bed->store, g, fa_now());
        cr_assert_eq(rb_drive(e->bed), g, "REBIND goes first");
        cr_assert_eq(g->r, 0);
        cr_assert_eq(g->ops[0].r, 0);
        cr_assert_geq(g->ops[0].more->last_seq, cursor, "always: nothing was lost");
        cr_assert_eq(rb_drive(e->bed), done);
        cr_assert_eq(done->r, 0);
        fa_group_free(g);
        fa_group_free(done);
}

/* ---- the books ---- */

/* What books.lua says. */
static char *books(void) {
        FILE *f = fopen(BOOKS_LUA, "r");
        char *text = calloc(1, 65536);

        cr_assert(f && text && fread(text, 1, 65535, f) > 0 && fclose(f) == 0, "%s", BOOKS_LUA);
        return text;
}

void rb_books(const char *prefix) {
        char *lua = books();
        redisReply *r = rb_ask("EVAL %s 1 {%s}:meta", lua, prefix);

        cr_assert_eq(r->type, REDIS_REPLY_ARRAY);
        for (size_t i = 0; i < r->elements; i++)
                cr_log_error("books of %s: %s", prefix, r->element[i]->str);
        free(lua);
        cr_assert_eq(r->elements, 0, "%s: %s", prefix, r->element[0]->str);
        freeReplyObject(r);
}
