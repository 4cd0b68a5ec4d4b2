/* test-redis-cluster.c - a connection to one of several nodes goes where its keys are */
#undef NDEBUG
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>

#include <criterion/criterion.h>

#include <faas/error.h>

#include "base/clock.h"
#include "conn-bed.h"

static void start_node(struct th_redis *r) {
        char bus[16];

        r->port = th_free_port();
        snprintf(bus, sizeof(bus), "%d", th_free_port());
        th_redis_start_with(
                r, false,
                (const char *const[]){"--cluster-enabled", "yes", "--cluster-port", bus, NULL});
}

/* Asks until the answer has the text in it. */
static void ask_until(struct conn_bed *b, const char *line, const char *text) {
        uint64_t end = fa_now() + CB_MS * FA_NS_PER_MS;
        bool found = false;

        while (!found) {
                struct redisReply *reply = cb_ask(b, line);
                cr_assert(reply->str);
                found = strstr(reply->str, text);
                cr_assert(found || fa_now() < end, "%s: %s", line, reply->str);
                freeReplyObject(reply);
                if (!found)
                        poll(NULL, 0, 10);
        }
}

Test(redis_cluster, one_node_that_has_all_slots_is_as_good_as_a_single_server) {
        struct th_redis r = {0};
        struct conn_bed b;

        start_node(&r);
        cb_open(&b, "redis://127.0.0.1:%d", r.port);
        cb_ready(&b);
        cr_assert(fa_redis_conn_server(b.c)->cluster);
        struct redisReply *reply = cb_ask(&b, "GET {faas}a");
        cr_assert_eq(fa_redis_error_of(reply->str), FA_REDIS_CLUSTERDOWN);
        cr_assert_not(fa_redis_conn_moved(b.c, reply->str, fa_now()));
        freeReplyObject(reply);
        cb_expect(&b, "CLUSTER ADDSLOTSRANGE 0 16383", "OK");
        ask_until(&b, "CLUSTER INFO", "cluster_state:ok");
        cb_expect(&b, "SET {faas}a 1", "OK");
        cr_assert_eq(fa_redis_conn_generation(b.c), 1);
        cb_close(&b);
}

Test(redis_cluster, it_has_no_databases_to_choose_from) {
        struct th_redis r = {0};
        struct conn_bed b;

        start_node(&r);
        cb_open(&b, "redis://127.0.0.1:%d/1", r.port);
        cb_state(&b, -EINVAL, "is a cluster, which has database 0 alone");
        cb_close(&b);
}

static void form_cluster(struct conn_bed *without, struct conn_bed *with, int port, int bus) {
        char line[64];

        cb_expect(with, "CLUSTER ADDSLOTSRANGE 0 16383", "OK");
        snprintf(line, sizeof(line), "CLUSTER MEET 127.0.0.1 %d %d", port, bus);
        cb_expect(without, line, "OK");
        ask_until(without, "CLUSTER INFO", "cluster_state:ok");
}

static int bus_of(struct conn_bed *b) {
        struct redisReply *reply = cb_ask(b, "CONFIG GET cluster-port");
        int port = 0;

        cr_assert_eq(reply->elements, 2);
        cr_assert_eq(sscanf(reply->element[1]->str, "%d", &port), 1);
        freeReplyObject(reply);
        return port;
}

Test(redis_cluster, it_goes_to_the_node_that_has_the_slot_and_back_when_that_fails) {
        struct th_redis empty = {0}, full = {0};
        struct conn_bed b, admin;
        char run_id[41];

        start_node(&empty);
        start_node(&full);
        cb_open(&admin, "redis://127.0.0.1:%d", full.port);
        cb_ready(&admin);
        cb_open(&b, "redis://127.0.0.1:%d", empty.port);
        cb_ready(&b);
        form_cluster(&b, &admin, full.port, bus_of(&admin));
        strcpy(run_id, fa_redis_conn_server(b.c)->run_id);
        int fd = fa_redis_conn_fd(b.c);

        ask_until(&b, "GET {faas}a", "MOVED"); /* nodes change their minds while they meet */
        struct redisReply *reply = cb_ask(&b, "GET {faas}a");
        cr_assert_eq(fa_redis_error_of(reply->str), FA_REDIS_MOVED);
        uint64_t now = fa_now();
        cr_assert(fa_redis_conn_moved(b.c, reply->str, now));
        freeReplyObject(reply);
        cr_assert_eq(fa_redis_conn_state(b.c, NULL), FAAS_E_UNAVAILABLE);
        cr_assert_leq(fa_redis_conn_deadline(b.c), now);
        cb_ready(&b);
        cr_assert_eq(fa_redis_conn_generation(b.c), 2);
        cr_assert_str_eq(fa_redis_conn_server(b.c)->run_id, fa_redis_conn_server(admin.c)->run_id);
        ask_until(&b, "SET {faas}a 1", "OK");
        cr_assert_eq(fa_redis_conn_fd(b.c), fd);

        th_redis_kill(&full);
        const char *why;
        while (fa_redis_conn_state(b.c, &why) == 0)
                fa_redis_conn_turn(b.c, fa_now());
        char where[32];
        snprintf(where, sizeof(where), "127.0.0.1:%d: ", full.port);
        cr_assert(strstr(why, where), "%s", why);
        cb_ready(&b);
        cr_assert_str_eq(fa_redis_conn_server(b.c)->run_id, run_id);
        fa_redis_conn_free(admin.c);
        fa_redis_conn_free(b.c);
}

static struct fake at_url, elsewhere;
static struct conn_bed b;

static void begin(void) {
        fake_open(&at_url);
        fake_open_tcp(&elsewhere);
        cb_open(&b, "redis+unix://%s", at_url.path);
}

static void end(void) {
        fake_hang_up(&at_url);
        fake_hang_up(&elsewhere);
        cb_close(&b);
        fake_close(&at_url);
        fake_close(&elsewhere);
}

/* It must come to this one. */
static void ready_at(struct fake *f, uint64_t now) {
        struct pollfd p = {.fd = fa_redis_conn_fd(b.c), .events = POLLIN};

        fa_redis_conn_turn(b.c, now);
        fake_accept(f);
        fake_greet(f, GREETING_INFO("7.0.15", "cluster_enabled:1\r\n"));
        while (fa_redis_conn_state(b.c, NULL)) {
                cr_assert_eq(poll(&p, 1, CB_MS), 1);
                fa_redis_conn_turn(b.c, now);
        }
}

static bool move(int port, uint64_t now) {
        char text[64];

        snprintf(text, sizeof(text), "MOVED 1 :%d", port);
        return fa_redis_conn_moved(b.c, text, now);
}

Test(redis_cluster, nodes_that_send_it_to_and_fro_do_not_make_it_spin) {
        uint64_t now = 1;
        unsigned n = 0;

        begin();
        ready_at(&at_url, now);
        do {
                cr_assert(move(elsewhere.port, now));
                if (fa_redis_conn_deadline(b.c) <= now)
                        ready_at(&elsewhere, now);
        } while (fa_redis_conn_deadline(b.c) == FA_NEVER && ++n < 100);
        cr_assert_gt(n, 2);
        cr_assert_lt(n, 10);
        /* It lasted: moves are taken for what they are again. */
        now = fa_redis_conn_deadline(b.c);
        ready_at(&elsewhere, now);
        now += FA_NS_PER_S;
        cr_assert(move(elsewhere.port, now));
        cr_assert_leq(fa_redis_conn_deadline(b.c), now);
        ready_at(&elsewhere, now);
        end();
}

Test(redis_cluster, a_node_that_is_not_there_is_left_for_the_url) {
        int port = th_free_port();
        const char *why;
        uint64_t now = 1;

        begin();
        ready_at(&at_url, now);
        cr_assert(move(port, now));
        cr_assert(move(port, now), "it is on its way already");
        do {
                struct pollfd p = {.fd = fa_redis_conn_fd(b.c), .events = POLLIN};
                fa_redis_conn_turn(b.c, now);
                poll(&p, 1, fa_redis_conn_deadline(b.c) > now + FA_NS_PER_S ? CB_MS : 0);
                fa_redis_conn_state(b.c, &why);
        } while (!strstr(why, "refused"));
        now = fa_redis_conn_deadline(b.c);
        ready_at(&at_url, now);
        end();
}
