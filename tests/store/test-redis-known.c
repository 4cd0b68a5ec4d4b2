/*
 * test-redis-known.c - records that need not be looked at: FINISH and FORGET with the spec of the
 * ACCEPT
 */
#undef NDEBUG
#include "redis-bed.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/limits.h"
#include "base/macros.h"

const struct bed_ops bed_under_test = RB_REAL;

/* The spec of a task that is accepted now; the reference is the caller's. */
static struct fa_spec *accept_known(struct ep *e, unsigned id, const char *bytes) {
        struct fa_group *g = ep_group(e);
        struct fa_spec *spec = fa_spec_ref(put_accept(g, e->epoch, id, bytes)->spec);

        cr_assert_eq(ep_run(e, g), 0);
        cr_assert_eq(g->ops[0].r, 0);
        fa_group_free(g);
        return spec;
}

static struct fa_op *
put_known(struct fa_group *g, struct ep *e, unsigned id, struct fa_spec *spec, const char *result) {
        struct fa_op *op = put_finish(g, e->epoch, id, result);

        op->spec = fa_spec_ref(spec);
        return op;
}

static int finish_known(struct ep *e, unsigned id, struct fa_spec *spec, const char *result) {
        struct fa_group *g = ep_group(e);

        put_known(g, e, id, spec, result);
        cr_assert_eq(ep_run(e, g), 0);
        int r = g->ops[0].r;
        fa_group_free(g);
        return r;
}

static redisReply *record_of(unsigned id) {
        const struct faas_id key = id_of(id);

        return rb_ask("HGET {%s}:r:26776436736 %b", rb_prefix(), key.b, sizeof(key.b));
}

Test(redis_known, it_leaves_the_same_record_as_one_that_is_looked_at) {
        char long_text[3000];
        struct bed b;

        memset(long_text, 'x', sizeof(long_text) - 1);
        long_text[sizeof(long_text) - 1] = 0;
        const char *const bytes[] = {"", "bytes", long_text};
        bed_open(&b, NULL);
        struct ep e = ep_start(&b, "a");
        for (unsigned i = 0; i < FA_ARRAY_SIZE(bytes); i++) {
                struct fa_spec *spec[2];
                for (unsigned k = 0; k < 2; k++)
                        spec[k] = accept_known(&e, 2 * i + k, bytes[i]);
                cr_assert_neq(spec[0]->place, 0);
                for (unsigned k = 0; k < 2; k++) {
                        struct fa_group *g = ep_group(&e);
                        struct fa_op *op = put_known(g, &e, 2 * i + k, spec[k], bytes[2 - i]);
                        op->fence = (struct fa_fence){e.epoch, 3, 77};
                        op->strikes = 2;
                        op->outcome.text = blob_of("text");
                        op->outcome.status = FAAS_COMPLETED + (uint8_t)i;
                        if (k)
                                op->spec = fa_spec_unref(op->spec);
                        cr_assert_eq(ep_run(&e, g), 0);
                        cr_assert_eq(g->ops[0].r, 0);
                        fa_group_free(g);
                        fa_spec_unref(spec[k]);
                }
                redisReply *x = record_of(2 * i), *y = record_of(2 * i + 1);
                cr_assert_gt(x->len, 0);
                cr_assert_eq(x->len, y->len);
                cr_assert_eq(memcmp(x->str, y->str, x->len), 0, "%u", i);
                freeReplyObject(x);
                freeReplyObject(y);
        }
        rb_books(rb_prefix());
        bed_close(&b);
}

static void end_many(struct ep *e, unsigned first, unsigned n, bool known) {
        for (unsigned from = first; from < first + n; from += 500) {
                struct fa_group *a = ep_group(e), *f = ep_group(e);

                for (unsigned id = from; id < from + 500; id++) {
                        struct fa_spec *spec = put_accept(a, e->epoch, id, "bytes")->spec;
                        if (known)
                                put_known(f, e, id, spec, "result");
                        else
                                put_finish(f, e->epoch, id, "result");
                }
                cr_assert_eq(ep_run(e, a), 0);
                cr_assert_eq(ep_run(e, f), 0);
                fa_group_free(a);
                fa_group_free(f);
        }
}

/* More than a part of the log of results has: where they go is guessed, and sometimes wrongly. */
Test(redis_known, a_wrong_guess_of_the_part_of_the_log_is_mended) {
        struct bed b;

        bed_open(&b, NULL);
        struct ep e = ep_start(&b, "a");
        end_many(&e, 0, 5500, true);
        rb_books(rb_prefix());
        end_many(&e, 6000, 5500, false);
        end_many(&e, 12000, 500, true);
        rb_books(rb_prefix());
        cr_assert_gt(rb_int("HGET {%s}:meta xtail", rb_prefix()), 1);
        expect_final(&b, 12001, "result");
        for (unsigned id = 0; id < 12500; id++)
                if (id % 6000 < 5500)
                        cr_assert_eq(do_forget(&e, id), 0, "%u", id);
        rb_books(rb_prefix());
        bed_close(&b);
}

/* Tasks of other parts of the journal in one group. */
Test(redis_known, each_counts_for_its_own_part_of_the_journal) {
        struct fa_spec *spec[9000];
        struct bed b;

        bed_open(&b, NULL);
        struct ep e = ep_start(&b, "a");
        for (unsigned from = 0; from < 9000; from += 500) {
                struct fa_group *g = ep_group(&e);
                for (unsigned id = from; id < from + 500; id++)
                        spec[id] = fa_spec_ref(put_accept(g, e.epoch, id, "bytes")->spec);
                cr_assert_eq(ep_run(&e, g), 0);
                fa_group_free(g);
        }
        for (unsigned round = 0; round < 3; round++) {
                struct fa_group *g = ep_group(&e);
                for (unsigned id = round; id < 9000; id += 3)
                        put_known(g, &e, id, spec[id], "result");
                cr_assert_eq(ep_run(&e, g), 0);
                fa_group_free(g);
                rb_books(rb_prefix());
        }
        for (unsigned id = 0; id < 9000; id++)
                fa_spec_unref(spec[id]);
        bed_close(&b);
}

/* A group that comes again after an error in its middle: what it wrote counts once. */
Test(redis_known, what_comes_again_is_looked_at) {
        char text[64];
        struct bed b;

        bed_open(&b, NULL);
        struct ep e = ep_start(&b, "a");
        struct fa_spec *spec = accept_known(&e, 1, "bytes");
        rb_do("RPUSH {%s}:r:26776436737 x", rb_prefix());
        struct fa_group *g = ep_group(&e);
        put_known(g, &e, 1, spec, "result");
        put_accept(g, e.epoch, ID_LATER, "bytes");
        fa_store_apply(b.store, g, fa_now());
        (void)snprintf(text, sizeof(text), "{%s}:r:26776436737", rb_prefix());
        rb_state(&b, -EINVAL, text);
        rb_do("DEL {%s}:r:26776436737", rb_prefix());
        cr_assert_eq(rb_drive(&b), g);
        cr_assert_eq(g->r, 0);
        cr_assert_eq(g->ops[0].r, FAAS_E_EXISTS, "it finds its own end");
        cr_assert(blob_is(g->ops[0].rec->outcome.payload, "result"));
        cr_assert_eq(g->ops[1].r, 0);
        fa_group_free(g);
        fa_spec_unref(spec);
        expect_final(&b, 1, "result");
        rb_books(rb_prefix());
        bed_close(&b);
}

/* Written again after a lost tail a task may be in another part: nobody knows where. */
Test(redis_known, a_task_that_is_restored_is_looked_at) {
        static const struct bed_ops ops = RB_VIRTUAL;
        const struct fa_store_cfg cfg = {.tick_ns = TICK_NS, .lease_ticks = LEASE_TICKS};
        struct bed b = {.ops = &ops};

        rb_virtual_open(&b, &cfg);
        struct ep e = ep_start(&b, "a");
        struct fa_spec *spec = accept_known(&e, 1, "bytes");
        b.ops->restart(&b);
        bind_own(&e);
        struct fa_group *g = ep_control(&e);
        put(g, FA_OP_RESTORE, e.epoch, 1)->spec = fa_spec_ref(spec);
        cr_assert_eq(ep_run(&e, g), 0);
        fa_group_free(g);
        bind_done(&e);
        cr_assert_eq(spec->place, 0);
        cr_assert_eq(finish_known(&e, 1, spec, "result"), 0);
        cr_assert_eq(finish_known(&e, 1, spec, "other"), FAAS_E_EXISTS);
        fa_spec_unref(spec);
        rb_books(rb_prefix());
        rb_close(&b);
}

/* A record that somebody deleted is there again with its result. */
Test(redis_known, a_record_that_is_gone_comes_back_with_its_result) {
        const struct faas_id key = id_of(1);
        struct bed b;

        bed_open(&b, NULL);
        struct ep e = ep_start(&b, "a");
        struct fa_spec *spec = accept_known(&e, 1, "bytes");
        rb_do("HDEL {%s}:r:26776436736 %b", rb_prefix(), key.b, sizeof(key.b));
        cr_assert_eq(finish_known(&e, 1, spec, "result"), 0);
        expect_final(&b, 1, "result");
        rb_books(rb_prefix());
        fa_spec_unref(spec);
        bed_close(&b);
}

/* ---- FORGET ---- */

/* Its submitter has the result, of which the spec knows where it is. */
static struct fa_op *
put_collected(struct fa_group *g, unsigned id, struct fa_spec *spec, const char *result) {
        struct fa_op *op = put(g, FA_OP_FORGET, 0, id);

        op->spec = fa_spec_ref(spec);
        op->outcome = (struct fa_outcome){.status = FAAS_COMPLETED, .payload = blob_of(result)};
        return op;
}

static int collect_known(struct ep *e, unsigned id, struct fa_spec *spec, const char *result) {
        struct fa_group *g = ep_group(e);

        put_collected(g, id, spec, result);
        cr_assert_eq(ep_run(e, g), 0);
        int r = g->ops[0].r;
        fa_group_free(g);
        return r;
}

/* How often a script asked for records. */
static long long n_reads(void) {
        char text[16384];

        rb_text(text, sizeof(text), "INFO commandstats");
        const char *at = strstr(text, "cmdstat_hmget:calls=");
        return at ? strtoll(at + strlen("cmdstat_hmget:calls="), NULL, 10) : 0;
}

Test(redis_known, what_is_collected_is_not_looked_at_and_all_the_same_gone) {
        struct fa_spec *spec[5000];
        struct bed b;

        bed_open(&b, NULL);
        struct ep e = ep_start(&b, "a");
        for (unsigned from = 0; from < 5000; from += 500) {
                struct fa_group *a = ep_group(&e), *f = ep_group(&e);
                for (unsigned id = from; id < from + 500; id++) {
                        spec[id] = fa_spec_ref(put_accept(a, e.epoch, id, "bytes")->spec);
                        put_known(f, &e, id, spec[id], "result");
                }
                cr_assert_eq(ep_run(&e, a), 0);
                cr_assert_eq(ep_run(&e, f), 0);
                fa_group_free(a);
                fa_group_free(f);
        }
        cr_assert_eq(rb_int("HGET {%s}:meta xtail", rb_prefix()), 1);
        /* Of the second part of the log, and of both. */
        long long reads = n_reads();
        cr_assert_eq(collect_known(&e, 4999, spec[4999], "result"), 0);
        cr_assert_eq(n_reads() - reads, 1, "the head alone");
        struct fa_group *g = ep_group(&e);
        for (unsigned id = 3000; id < 4999; id++)
                put_collected(g, id, spec[id], "result");
        cr_assert_eq(ep_run(&e, g), 0);
        fa_group_free(g);
        for (unsigned id = 3000; id < 5000; id++)
                cr_assert_eq(do_get(&b, id, NULL), FAAS_E_GONE, "%u", id);
        expect_final(&b, 2999, "result");
        rb_books(rb_prefix());
        cr_assert_eq(collect_known(&e, 3000, spec[3000], "result"), FAAS_E_NOENT,
                     "known once only");
        for (unsigned id = 0; id < 5000; id++)
                fa_spec_unref(spec[id]);
        rb_books(rb_prefix());
        bed_close(&b);
}

/* Then it was counted as gone already. */
Test(redis_known, what_may_have_expired_is_looked_at) {
        static const struct bed_ops ops = RB_VIRTUAL;
        const struct fa_store_cfg cfg = {
                .tick_ns = TICK_NS, .lease_ticks = LEASE_TICKS, .result_ttl_ns = 10 * TICK_NS};
        struct bed b = {.ops = &ops};

        rb_virtual_open(&b, &cfg);
        struct ep e = ep_start(&b, "a");
        struct fa_spec *early = accept_known(&e, 1, "bytes"), *late = accept_known(&e, 2, "bytes");
        cr_assert_eq(finish_known(&e, 1, early, "result"), 0);
        b.ops->advance(&b, 6 * TICK_NS);
        cr_assert_eq(finish_known(&e, 2, late, "result"), 0);
        b.ops->advance(&b, 5 * TICK_NS);
        cr_assert_eq(do_get(&b, 1, NULL), FAAS_E_GONE);
        cr_assert_eq(collect_known(&e, 1, early, "result"), FAAS_E_NOENT);
        cr_assert_eq(collect_known(&e, 2, late, "result"), 0);
        rb_books(rb_prefix());
        fa_spec_unref(early);
        fa_spec_unref(late);
        rb_close(&b);
}

/* Of two dispatchers, each with a client that waits for the task: it goes once. */
Test(redis_known, what_another_may_have_collected_is_looked_at) {
        struct bed b;

        bed_open(&b, NULL);
        struct ep e = ep_start(&b, "a"), other = ep_start(&b, "b");
        end_many(&e, 100, 5000, true); /* so that the first part of the log is not the last */
        struct fa_spec *spec[2];
        for (unsigned id = 0; id < 2; id++) {
                spec[id] = accept_known(&e, id, "bytes");
                cr_assert_eq(finish_known(&e, id, spec[id], "result"), 0);
                cr_assert_gt(spec[id]->place, 1);
        }
        cr_assert_eq(do_forget(&e, 100), 0);
        cr_assert_eq(rb_int("HGET {%s}:meta other", rb_prefix()), 0, "it was its own");
        cr_assert_eq(do_forget(&other, 0), 0);
        cr_assert_eq(collect_known(&e, 0, spec[0], "result"), FAAS_E_NOENT);
        rb_books(rb_prefix());
        /* It is long ago. */
        rb_do("HSET {%s}:meta other 1000000", rb_prefix());
        long long reads = n_reads();
        cr_assert_eq(collect_known(&e, 1, spec[1], "result"), 0);
        cr_assert_eq(n_reads() - reads, 1, "the head alone");
        for (unsigned id = 0; id < 2; id++)
                fa_spec_unref(spec[id]);
        rb_books(rb_prefix());
        bed_close(&b);
}

/* Nobody told where its result went. */
Test(redis_known, what_ended_looked_at_is_collected_looked_at) {
        struct bed b;

        bed_open(&b, NULL);
        struct ep e = ep_start(&b, "a");
        struct fa_spec *spec = accept_known(&e, 1, "bytes");
        spec->place = 0;
        struct fa_group *g = ep_group(&e);
        put_known(g, &e, 1, spec, "result");
        put_accept(g, e.epoch, 2, "bytes"); /* this one's place is told */
        cr_assert_eq(ep_run(&e, g), 0);
        cr_assert_eq(g->ops[0].r, 0);
        fa_group_free(g);
        cr_assert_eq(spec->place, 0);
        cr_assert_eq(collect_known(&e, 1, spec, "result"), 0);
        rb_books(rb_prefix());
        fa_spec_unref(spec);
        bed_close(&b);
}
