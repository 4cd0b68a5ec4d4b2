/* test-redis-forget.c - when collected ids go from Redis, and what stays there */
#undef NDEBUG
#include "redis-bed.h"

#include "base/clock.h"

const struct bed_ops bed_under_test = RB_VIRTUAL;

static void run_for(struct ep *e, enum fa_op_kind kind, unsigned first, unsigned n) {
        struct fa_group *g = ep_group(e);

        for (unsigned id = first; id < first + n; id++) {
                if (kind == FA_OP_ACCEPT)
                        put_accept(g, e->epoch, id, "bytes");
                else if (kind == FA_OP_FINISH)
                        put_finish(g, e->epoch, id, "result");
                else
                        put(g, FA_OP_FORGET, 0, id);
        }
        cr_assert_eq(ep_run(e, g), 0);
        fa_group_free(g);
}

static void end(struct ep *e, unsigned first, unsigned n) {
        run_for(e, FA_OP_ACCEPT, first, n);
        run_for(e, FA_OP_FINISH, first, n);
}

static void collect(struct ep *e, unsigned first, unsigned n) {
        end(e, first, n);
        run_for(e, FA_OP_FORGET, first, n);
}

static void expect_all(struct bed *b, unsigned first, unsigned n, int r) {
        for (unsigned id = first; id < first + n; id++)
                cr_assert_eq(do_get(b, id, NULL), r, "%u", id);
}

/* Hashes of records, one for each 64 ms. */
enum { A = ID_LATER, B = 2 * ID_LATER, C = 3 * ID_LATER };

Test(redis_forget, collected_ids_go_a_minute_later_and_no_sooner) {
        struct bed b;

        bed_open(&b, NULL);
        struct ep e = ep_start(&b, "a");
        collect(&e, A, 700);
        collect(&e, C, 20); /* one goes when the last one of its hash does */
        b.ops->advance(&b, 30 * FA_NS_PER_S);
        collect(&e, B, 700);
        collect(&e, C + 20, 1);
        b.ops->advance(&b, 29 * FA_NS_PER_S);
        expect_all(&b, A, 700, FAAS_E_GONE);
        b.ops->advance(&b, 2 * FA_NS_PER_S);
        expect_all(&b, A, 700, FAAS_E_NOENT);
        expect_all(&b, B, 700, FAAS_E_GONE);
        expect_all(&b, C, 21, FAAS_E_GONE);
        rb_books(rb_prefix());
        b.ops->advance(&b, 30 * FA_NS_PER_S);
        expect_all(&b, B, 700, FAAS_E_NOENT);
        expect_all(&b, C, 21, FAAS_E_NOENT);
        rb_books(rb_prefix());
        cr_assert_eq(rb_int("HGET {%s}:meta tombs", rb_prefix()), 0);
        bed_close(&b);
}

/* They go from among tasks and results, which stay; where they are few they may wait for these. */
Test(redis_forget, collected_ids_go_from_among_others) {
        struct bed b;

        bed_open(&b, NULL);
        struct ep e = ep_start(&b, "a");
        run_for(&e, FA_OP_ACCEPT, A, 20);
        end(&e, A + 20, 20);
        collect(&e, A + 40, 60);
        end(&e, B, 100);
        run_for(&e, FA_OP_FORGET, B, 3);
        b.ops->advance(&b, 61 * FA_NS_PER_S);
        expect_all(&b, A, 40, 0);
        expect_all(&b, A + 40, 60, FAAS_E_NOENT);
        expect_all(&b, B, 3, FAAS_E_GONE);
        expect_all(&b, B + 3, 97, 0);
        rb_books(rb_prefix());
        run_for(&e, FA_OP_FINISH, A, 20);
        run_for(&e, FA_OP_FORGET, A, 40);
        run_for(&e, FA_OP_FORGET, B + 3, 97);
        b.ops->advance(&b, 61 * FA_NS_PER_S);
        expect_all(&b, A, 100, FAAS_E_NOENT);
        expect_all(&b, B, 100, FAAS_E_NOENT);
        rb_books(rb_prefix());
        bed_close(&b);
}

/* More than go at a time. */
Test(redis_forget, very_many_collected_ids_are_due_at_once) {
        struct bed b;

        bed_open(&b, NULL);
        struct ep e = ep_start(&b, "a");
        for (unsigned i = 1; i <= 30; i++)
                collect(&e, i * ID_LATER, 1000);
        b.ops->advance(&b, 61 * FA_NS_PER_S);
        cr_assert_eq(rb_int("HGET {%s}:meta tombs", rb_prefix()), 0);
        for (unsigned i = 1; i <= 30; i++)
                expect_all(&b, i * ID_LATER, 1, FAAS_E_NOENT);
        rb_books(rb_prefix());
        bed_close(&b);
}

/* More are remembered than may be (262,144), or so it seems: the oldest go, however young, and no
 * more of them than that. */
Test(redis_forget, too_many_collected_ids_go_sooner) {
        struct bed b;

        bed_open(&b, NULL);
        struct ep e = ep_start(&b, "a");
        collect(&e, A, 300);
        collect(&e, B, 500);
        collect(&e, C, 500);
        rb_do("HSET {%s}:meta tombs %u", rb_prefix(), 262144 + 600);
        b.ops->advance(&b, 5 * FA_NS_PER_S);
        expect_all(&b, A, 300, FAAS_E_NOENT);
        expect_all(&b, B, 500, FAAS_E_NOENT);
        expect_all(&b, C, 500, FAAS_E_GONE);
        bed_close(&b);
}

/* What somebody deletes or spoils of a hash's own numbers costs memory at most, and no task. */
Test(redis_forget, a_hash_without_its_numbers_is_cleared_with_the_next_ones) {
        struct bed b;

        bed_open(&b, NULL);
        struct ep e = ep_start(&b, "a");
        collect(&e, A, 30);
        end(&e, A + 30, 10);
        rb_do("HDEL {%s}:r:26776436737 t", rb_prefix());
        collect(&e, B, 30);
        rb_do("HDEL {%s}:r:26776436738 t", rb_prefix());
        b.ops->advance(&b, 61 * FA_NS_PER_S);
        expect_all(&b, A + 30, 10, 0);
        run_for(&e, FA_OP_FORGET, A + 30, 10);
        collect(&e, B + 30, 10);
        b.ops->advance(&b, 61 * FA_NS_PER_S);
        expect_all(&b, A, 40, FAAS_E_NOENT);
        expect_all(&b, B + 30, 10, FAAS_E_NOENT);
        cr_assert_eq(rb_int("HGET {%s}:meta tombs", rb_prefix()), 0);
        bed_close(&b);
}
