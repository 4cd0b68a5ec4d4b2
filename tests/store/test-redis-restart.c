/*
 * test-redis-restart.c - a server that was started again: who is told, who waits, what is written
 * again
 */
#undef NDEBUG
#include "redis-bed.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const struct bed_ops bed_under_test = RB_REAL;

static bool is_there(struct bed *b, void *arg) {
        const char *why;

        fa_store_tick(b->store, b->now_ns);
        return fa_store_state(b->store, &why) == 0;
}

Test(redis_restart, who_was_there_before_is_told_that_the_server_was_started_again) {
        struct bed b, late = {.ops = &bed_under_test};
        char url[160];

        rb_append_only = true;
        bed_open(&b, NULL);
        rb_until(&b, is_there, NULL);
        cr_assert_not(fa_store_lost(b.store), "the first time");
        /* A connection that breaks is no restart. */
        rb_do("CLIENT KILL TYPE normal SKIPME yes");
        rb_state(&b, FAAS_E_UNAVAILABLE, "closed the connection");
        rb_until(&b, is_there, NULL);
        cr_assert_not(fa_store_lost(b.store));

        rb_restart();
        (void)snprintf(url, sizeof(url), "redis+unix://%s?prefix=%s", rb_server.socket,
                       rb_prefix());
        rb_open_url(&late, &(struct fa_store_cfg){.tick_ns = TICK_NS, .lease_ticks = 3}, url);
        rb_until(&late, is_there, NULL);
        cr_assert_not(fa_store_lost(late.store), "it was not there before");
        rb_until(&b, rb_lost, NULL);
        cr_assert_eq(rb_int("HGET {%s}:meta restarts", rb_prefix()), 1, "counted once");
        cr_assert_not(fa_store_lost(b.store));

        /* Nobody has connected in between. */
        rb_restart();
        rb_restart();
        rb_until(&late, rb_lost, NULL);
        rb_until(&b, rb_lost, NULL);
        cr_assert_eq(rb_int("HGET {%s}:meta restarts", rb_prefix()), 2);
        rb_close(&late);
        bed_close(&b);
}

static bool spins(struct bed *b, void *arg) {
        fa_store_tick(b->store, b->now_ns);
        cr_assert_null(fa_store_reap(b->store, b->now_ns), "nothing goes on before it was asked");
        return fa_store_state(b->store, &(const char *){NULL}) == 0;
}

Test(redis_restart, nothing_goes_on_before_the_loss_was_told) {
        struct bed b;

        rb_append_only = true;
        bed_open(&b, NULL);
        struct ep e = ep_start(&b, "a");
        rb_restart();
        struct fa_group *g = ep_group(&e);
        put_accept(g, e.epoch, 1, "x");
        fa_store_apply(b.store, g, fa_now());
        rb_until(&b, spins, NULL);
        cr_assert_eq(rb_int("HLEN {%s}:live", rb_prefix()), 0);
        cr_assert(fa_store_lost(b.store));
        rb_bind_again(&e, 0);
        cr_assert_eq(rb_drive(&b), g);
        cr_assert_eq(g->r, 0);
        cr_assert_eq(g->ops[0].r, 0);
        fa_group_free(g);
        expect_open(&b, 1);
        bed_close(&b);
}

/* ---- an owner that is waited for ---- */

static double n_calls(void) {
        char info[16000];

        rb_text(info, sizeof(info), "INFO commandstats");
        return strtod(strstr(info, "cmdstat_evalsha:calls=") + 22, NULL);
}

static bool was_refused(struct bed *b, void *arg) {
        cr_assert_null(fa_store_reap(b->store, b->now_ns));
        return n_calls() >= *(double *)arg + 10;
}

Test(redis_restart, groups_that_wait_for_another_owner_go_on_in_their_order) {
        struct bed b, other = {.ops = &bed_under_test};
        struct fa_group *g[4];
        char url[160];

        rb_append_only = true;
        bed_open(&b, NULL);
        (void)snprintf(url, sizeof(url), "redis+unix://%s?prefix=%s", rb_server.socket,
                       rb_prefix());
        rb_open_url(&other, &(struct fa_store_cfg){.tick_ns = TICK_NS, .lease_ticks = 3}, url);
        struct ep e = ep_start(&b, "a"), o = ep_start(&other, "b");
        rb_restart();
        rb_until(&b, rb_lost, NULL);
        rb_until(&other, rb_lost, NULL);
        rb_bind_again(&e, e.seq);
        for (unsigned i = 0; i < 4; i++) {
                g[i] = ep_group(&e);
                put_accept(g[i], e.epoch, i + 1, "bytes");
                fa_store_apply(b.store, g[i], fa_now());
        }
        double before = n_calls();
        rb_until(&b, was_refused, &before);
        cr_assert_eq(do_tick(&e), 0, "it does not wait");
        rb_bind_again(&o, 0);
        for (unsigned i = 0; i < 4; i++) {
                cr_assert_eq(rb_drive(&b), g[i]);
                cr_assert_eq(g[i]->r, 0);
                cr_assert_eq(g[i]->ops[0].r, 0);
                fa_group_free(g[i]);
        }
        for (unsigned id = 1; id <= 4; id++)
                expect_open(&b, id);
        rb_books(rb_prefix());
        rb_close(&other);
        bed_close(&b);
}

/* ---- a server without a disk ---- */

Test(redis_restart, a_store_that_lost_all_is_written_again_by_its_owner) {
        const struct fa_owned mine[] = {{0, 0, 1}};
        struct fa_owned own = mine[0];
        struct bed b;

        bed_open(&b, NULL);
        struct ep e = ep_start(&b, "a");
        cr_assert_eq(do_accept(&e, 1, "x"), 0);
        cr_assert_eq(do_accept(&e, 2, "x"), 0);
        cr_assert_geq(fa_store_unsafe_ns(b.store), FA_NS_PER_S);
        rb_restart();
        rb_until(&b, rb_lost, NULL);
        own.partition = own.owner = e.epoch;
        cr_assert_eq(do_rebind(&e, FA_REBIND_OWN, &own, 1), 0);
        cr_assert_eq(do_restore(&e, 1, FAAS_QUEUED, "x"), 0);
        cr_assert_eq(do_restore(&e, 2, FAAS_COMPLETED, "y"), 0);
        bind_done(&e);
        cr_assert_eq(do_accept(&e, 3, "x"), 0);
        expect_open(&b, 1);
        expect_final(&b, 2, "y");
        rb_books(rb_prefix());
        bed_close(&b);
}
