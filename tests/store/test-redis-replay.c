/*
 * test-redis-replay.c - connections that break and servers that die while groups are under way:
 * each group is answered once, in order, and runs once
 */
#undef NDEBUG
#include "redis-bed.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/macros.h"

const struct bed_ops bed_under_test = RB_REAL;

#define N_GROUPS 4 /* under way together */

/* ---- a relay before the server, which can cut ---- */

enum way { TO_SERVER, TO_CLIENT, N_WAYS };

static struct relay {
        int listener, fd[N_WAYS]; /* fd[w]: where bytes of that way go */
        char path[96];
        long left[N_WAYS]; /* may pass before it cuts; -1: all */
        unsigned long passed[N_WAYS];
        unsigned cuts;
} relay;

static struct sockaddr_un address(const char *path) {
        struct sockaddr_un addr = {.sun_family = AF_UNIX};

        (void)snprintf(addr.sun_path, sizeof(addr.sun_path), "%s", path);
        return addr;
}

static int new_socket(void) {
        int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

        cr_assert_geq(fd, 0);
        return fd;
}

static void relay_open(void) {
        struct sockaddr_un addr;

        relay = (struct relay){.listener = new_socket(), .fd = {-1, -1}, .left = {-1, -1}};
        (void)snprintf(relay.path, sizeof(relay.path), "%s/relay", th_temp_dir());
        addr = address(relay.path);
        cr_assert_eq(bind(relay.listener, (struct sockaddr *)&addr, sizeof(addr)), 0);
        cr_assert_eq(listen(relay.listener, 8), 0);
}

static void relay_cut(void) {
        for (int w = 0; w < N_WAYS; w++)
                if (relay.fd[w] >= 0)
                        close(relay.fd[w]);
        for (int w = 0; w < N_WAYS; w++) {
                relay.fd[w] = -1;
                relay.left[w] = -1;
        }
}

static void relay_close(void) {
        relay_cut();
        close(relay.listener);
}

static void relay_accept(void) {
        struct sockaddr_un addr = address(rb_server.socket);
        int fd = accept4(relay.listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

        if (fd < 0)
                return;
        if (relay.fd[TO_CLIENT] >= 0)
                relay_cut();
        relay.fd[TO_CLIENT] = fd;
        relay.fd[TO_SERVER] = new_socket();
        cr_assert_eq(connect(relay.fd[TO_SERVER], (struct sockaddr *)&addr, sizeof(addr)), 0);
}

static void relay_pass(enum way w) {
        uint8_t bytes[4096];
        int from = relay.fd[!w];
        size_t n = sizeof(bytes);

        if (from < 0)
                return;
        if (relay.left[w] >= 0 && (size_t)relay.left[w] < n)
                n = (size_t)relay.left[w];
        if (n == 0) {
                /* All that may pass has passed, and there is more. */
                if (recv(from, bytes, 1, MSG_PEEK) > 0) {
                        relay.cuts++;
                        relay_cut();
                }
                return;
        }
        ssize_t got = recv(from, bytes, n, 0);
        if (got < 0)
                return;
        if (got == 0) {
                relay_cut();
                return;
        }
        for (ssize_t at = 0, sent; at < got; at += sent) {
                sent = send(relay.fd[w], bytes + at, (size_t)(got - at), MSG_NOSIGNAL);
                if (sent < 0 && errno == EAGAIN) {
                        struct pollfd p = {.fd = relay.fd[w], .events = POLLOUT};
                        poll(&p, 1, 100);
                        sent = 0;
                } else if (sent < 0) {
                        relay_cut();
                        return;
                }
        }
        relay.passed[w] += (unsigned long)got;
        if (relay.left[w] > 0)
                relay.left[w] -= got;
}

static struct fa_group *relay_drive(struct bed *b) {
        uint64_t end = fa_now() + RB_MS * FA_NS_PER_MS;
        struct fa_group *g;

        while (!(g = fa_store_reap(b->store, fa_now()))) {
                struct pollfd p[] = {
                        {.fd = fa_store_fd(b->store), .events = POLLIN},
                        {.fd = relay.listener, .events = POLLIN},
                        {.fd = relay.fd[TO_CLIENT], .events = POLLIN},
                        {.fd = relay.fd[TO_SERVER], .events = POLLIN},
                };
                cr_assert_lt(fa_now(), end, "no answer in time");
                poll(p, FA_ARRAY_SIZE(p),
                     fa_poll_ms(FA_MIN(fa_store_deadline(b->store), end), fa_now()));
                relay_accept();
                relay_pass(TO_SERVER);
                relay_pass(TO_CLIENT);
        }
        return g;
}

static const struct bed_ops relayed = {.open = NULL, .close = rb_close, .drive = relay_drive};

/* ---- groups that depend on each other ---- */

static unsigned next_id = 1;

#define ROUND 6 /* ids of one: see expect_round() */

/* Before a round: the first two are final, the next two accepted. */
static void prepare(struct ep *e, unsigned id) {
        for (unsigned k = id; k < id + 4; k++)
                cr_assert_eq(do_accept(e, k, "bytes"), 0);
        for (unsigned k = id; k < id + 2; k++)
                cr_assert_eq(do_finish(e, k, "result"), 0);
}

static void apply_all(struct ep *e, struct fa_group **g, unsigned id) {
        for (int i = 0; i < N_GROUPS; i++)
                g[i] = ep_group(e);
        put_accept(g[0], e->epoch, id + 4, "bytes");
        put(g[1], FA_OP_HINT, e->epoch, id + 3);
        put(g[1], FA_OP_REQUEUE, e->epoch, id + 3)->strikes = 1;
        put_finish(g[2], e->epoch, id + 2, "result");
        put_accept(g[2], e->epoch, id + 5, "more");
        put_finish(g[2], e->epoch, id + 3, "result");
        put(g[3], FA_OP_GET, 0, id + 1);
        put(g[3], FA_OP_FORGET, e->epoch, id);
        for (int i = 0; i < N_GROUPS; i++)
                fa_store_apply(e->bed->store, g[i], e->bed->now_ns);
}

/* After a restart it may not know that a group was its own: then the record says the same. */
static void expect_done(const struct ep *e, const struct fa_group *g, bool restarted) {
        cr_assert_eq(g->r, 0);
        for (size_t i = 0; i < g->n; i++) {
                const struct fa_op *op = &g->ops[i];
                if (op->kind == FA_OP_GET) {
                        cr_assert_eq(op->r, 0);
                        cr_assert(blob_is(op->rec->outcome.payload, "result"));
                } else if (op->kind == FA_OP_FORGET && op->r == FAAS_E_NOENT) {
                        /* It ran, and its answer was lost: there is nothing any more. */
                } else if (restarted && op->r == FAAS_E_EXISTS && op->kind != FA_OP_REQUEUE) {
                        cr_assert_eq(op->rec->partition, e->epoch);
                        cr_assert_not(op->differs);
                        cr_assert_eq(op->rec->state,
                                     op->kind == FA_OP_FINISH ? FAAS_COMPLETED : FAAS_QUEUED);
                } else if (op->r != FAAS_E_EXISTS || op->kind != FA_OP_REQUEUE || !restarted) {
                        cr_assert_eq(op->r, 0, "kind %u: %s", op->kind, faas_strerror(op->r));
                }
        }
}

/* In order, each once, from the first that was not taken yet. */
static void take_all(struct ep *e, struct fa_group **g, int first, bool restarted) {
        for (int i = first; i < N_GROUPS; i++) {
                cr_assert_eq(e->bed->ops->drive(e->bed), g[i], "group %d", i);
                expect_done(e, g[i], restarted);
                fa_group_free(g[i]);
        }
        cr_assert_null(fa_store_reap(e->bed->store, fa_now()), "answered twice");
}

static void expect_round(struct bed *b, unsigned id) {
        cr_assert_eq(do_get(b, id, NULL), FAAS_E_GONE);
        for (unsigned k = id + 1; k < id + 4; k++)
                expect_final(b, k, "result");
        expect_open(b, id + 4);
        expect_open(b, id + 5);
}

/* ---- a connection that is cut ---- */

/* One round through the relay, which cuts behind k bytes of one way; false: there were no more. */
static bool cut_after(enum way w, long k) {
        struct fa_group *g[N_GROUPS];
        struct bed b = {.ops = &relayed};
        char url[160];
        unsigned cuts = relay.cuts, id = next_id;

        next_id += ROUND;
        (void)snprintf(url, sizeof(url), "redis+unix://%s?prefix=cut", relay.path);
        rb_open_url(&b, &(struct fa_store_cfg){.tick_ns = TICK_NS, .lease_ticks = 3}, url);
        struct ep e = ep_start(&b, "a");
        prepare(&e, id);
        relay.left[w] = k;
        apply_all(&e, g, id);
        take_all(&e, g, 0, false);
        cr_assert_not(fa_store_lost(b.store), "it was not started again");
        bool cut = relay.cuts > cuts;
        relay.left[w] = -1;
        expect_round(&b, id);
        rb_close(&b);
        relay_cut();
        if (!cut)
                return false;
        rb_books("cut");
        return true;
}

Test(redis_replay, a_connection_cut_in_any_byte_of_an_answer_loses_and_doubles_nothing) {
        long k = 0;

        rb_start();
        relay_open();
        while (cut_after(TO_CLIENT, k))
                k++;
        cr_assert_gt(k, 100, "%ld bytes of answers", k);
        rb_books("cut");
        relay_close();
}

Test(redis_replay, a_connection_cut_in_a_request_loses_and_doubles_nothing) {
        long k = 0, n = 0;

        rb_start();
        relay_open();
        /* At ends and in the middle of words alike; a request is a few kB. */
        for (; cut_after(TO_SERVER, k); n++)
                k += 7;
        cr_assert_gt(n, 100);
        rb_books("cut");
        relay_close();
}

/* ---- a server that dies ---- */

struct ran {
        uint64_t epoch, seq;
};

static bool has_run(void *arg) {
        const struct ran *r = arg;

        return rb_int("HGET {%s}:meta l:%llu:s", rb_prefix(), (unsigned long long)r->epoch) >=
               (long long)r->seq;
}

enum fate { NONE_RAN, SOME_RAN, ALL_RAN };

/* What is still answered before the loss is told. */
struct before {
        struct ep *e;
        struct fa_group **g;
        int n;
};

static bool take_until_lost(struct bed *b, void *arg) {
        struct before *t = arg;
        struct fa_group *g;

        while ((g = fa_store_reap(b->store, b->now_ns))) {
                cr_assert_lt(t->n, N_GROUPS);
                cr_assert_eq(g, t->g[t->n++]);
                expect_done(t->e, g, false);
                fa_group_free(g);
        }
        return fa_store_lost(b->store);
}

static void kill_under_way(struct bed *b, struct ep *e, enum fate fate) {
        struct fa_group *g[N_GROUPS];
        unsigned id = next_id;

        next_id += ROUND;
        prepare(e, id);
        uint64_t cursor = e->seq;
        if (fate == NONE_RAN)
                th_redis_stop(&rb_server);
        apply_all(e, g, id);
        fa_store_tick(b->store, fa_now());
        if (fate == ALL_RAN)
                cr_assert(th_until(has_run, &(struct ran){e->epoch, e->seq}, RB_MS));
        rb_restart();
        struct before t = {.e = e, .g = g};
        rb_until(b, take_until_lost, &t);
        cr_assert_not(fa_store_lost(b->store), "told once");
        rb_bind_again(e, cursor + (unsigned)t.n);
        take_all(e, g, t.n, true);
        expect_round(b, id);
        rb_books(rb_prefix());
}

Test(redis_replay, a_server_that_is_killed_with_groups_under_way_runs_each_once) {
        struct bed b;

        rb_append_only = true;
        bed_open(&b, NULL);
        struct ep e = ep_start(&b, "a");
        cr_assert_not(fa_store_lost(b.store));
        cr_assert_eq(fa_store_unsafe_ns(b.store), 0);
        for (int i = 0; i < 12; i++)
                kill_under_way(&b, &e, (enum fate)(i % 3));
        /* All that was accepted is there once. */
        unsigned ids[64];
        cr_assert_eq(load_all(&e, e.epoch, ids, 64), 24);
        for (unsigned i = 0; i < 24; i++)
                cr_assert_eq(ids[i], 1 + i / 2 * ROUND + 4 + i % 2);
        bed_close(&b);
}
