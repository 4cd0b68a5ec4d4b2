/*
 * test-redis-edges.c - the Redis store at its limits: numbers, sizes, long groups, a cluster; and
 * what is left when all is over
 */
#undef NDEBUG
#include "redis-bed.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/limits.h"
#include "base/macros.h"

const struct bed_ops bed_under_test = RB_VIRTUAL;

static struct fa_blob *large(char byte) {
        struct fa_blob *b = NULL;
        char *bytes = malloc(FA_PAYLOAD_MAX);

        cr_assert_not_null(bytes);
        memset(bytes, byte, FA_PAYLOAD_MAX);
        cr_assert_eq(fa_blob_new(&b, bytes, FA_PAYLOAD_MAX), 0);
        free(bytes);
        return b;
}

/* ---- ids and numbers ---- */

static struct faas_id extreme(unsigned i) {
        struct faas_id id = {{0}};

        if (i == 1)
                memset(id.b, 0xff, sizeof(id.b));
        if (i == 2)
                memset(id.b, 0xff, 6);
        if (i == 3)
                memset(id.b + 6, 0xff, 10);
        if (i == 4)
                memcpy(id.b, "\r\n$5\r\n*3\r\n:12\r\n", 16);
        return id;
}

static int run_with(struct ep *e, enum fa_op_kind kind, uint64_t partition, struct faas_id id) {
        struct fa_group *g = ep_group(e);
        struct fa_op *op = kind == FA_OP_ACCEPT   ? put_accept(g, partition, 0, "bytes")
                           : kind == FA_OP_FINISH ? put_finish(g, partition, 0, "result")
                                                  : put(g, kind, partition, 0);

        op->id = id;
        op->strikes = op->retries = UINT32_MAX;
        op->client = UINT64_MAX;
        op->fence = (struct fa_fence){partition, UINT32_MAX, UINT64_MAX};
        cr_assert_eq(ep_run(e, g), 0);
        int r = g->ops[0].r;
        if (kind == FA_OP_GET && r == 0) {
                cr_assert_eq(g->ops[0].rec->partition, partition);
                if (g->ops[0].rec->state == FAAS_QUEUED && g->ops[0].rec->strikes) {
                        cr_assert_eq(g->ops[0].rec->strikes, UINT32_MAX);
                        cr_assert_eq(g->ops[0].rec->retries, UINT32_MAX);
                        cr_assert_eq(g->ops[0].rec->strike_fence.n, UINT64_MAX);
                        cr_assert_eq(g->ops[0].rec->client, UINT64_MAX);
                } else if (g->ops[0].rec->state == FAAS_COMPLETED) {
                        cr_assert_eq(g->ops[0].rec->fence.n, UINT64_MAX);
                        cr_assert_eq(g->ops[0].rec->fence.gen, UINT32_MAX);
                }
        }
        fa_group_free(g);
        return r;
}

static void run_all_with(struct ep *e, uint64_t partition, struct faas_id id) {
        cr_assert_eq(run_with(e, FA_OP_GET, partition, id), FAAS_E_NOENT);
        cr_assert_eq(run_with(e, FA_OP_ACCEPT, partition, id), 0);
        cr_assert_eq(run_with(e, FA_OP_ACCEPT, partition, id), FAAS_E_EXISTS);
        cr_assert_eq(run_with(e, FA_OP_HINT, partition, id), 0);
        cr_assert_eq(run_with(e, FA_OP_REQUEUE, partition, id), 0);
        cr_assert_eq(run_with(e, FA_OP_GET, partition, id), 0);
        struct fa_group *g = ep_group(e);
        put(g, FA_OP_LOAD, partition, 0);
        cr_assert_eq(ep_run(e, g), 0);
        cr_assert_eq(g->ops[0].more->n_recs, 1);
        cr_assert_eq(memcmp(&g->ops[0].more->recs[0].id, &id, sizeof(id)), 0);
        cr_assert_eq(g->ops[0].cursor, FA_CURSOR_END);
        fa_group_free(g);
        cr_assert_eq(run_with(e, FA_OP_FINISH, partition, id), 0);
        cr_assert_eq(run_with(e, FA_OP_FINISH, partition, id), FAAS_E_EXISTS);
        cr_assert_eq(run_with(e, FA_OP_REQUEUE, partition, id), FAAS_E_EXISTS);
        cr_assert_eq(run_with(e, FA_OP_GET, partition, id), 0);
        rb_books(rb_prefix());
        cr_assert_eq(run_with(e, FA_OP_FORGET, partition, id), 0);
        cr_assert_eq(run_with(e, FA_OP_FORGET, partition, id), FAAS_E_NOENT);
        cr_assert_eq(run_with(e, FA_OP_ACCEPT, partition, id), FAAS_E_GONE);
}

Test(redis_edges, ids_of_all_times_are_stored) {
        struct bed b;

        bed_open(&b, NULL);
        struct ep e = ep_start(&b, "a");
        for (unsigned i = 0; i < 5; i++)
                run_all_with(&e, e.epoch, extreme(i));
        rb_books(rb_prefix());
        bed_close(&b);
}

Test(redis_edges, epochs_and_partitions_may_have_any_number) {
        static const uint64_t numbers[] = {1, UINT64_C(1) << 53, (UINT64_C(1) << 53) + 1,
                                           (UINT64_C(1) << 63) - 1, UINT64_MAX - 1000};
        struct bed b;

        bed_open(&b, NULL);
        for (unsigned i = 0; i < FA_ARRAY_SIZE(numbers); i++) {
                struct ep e = {.bed = &b, .epoch = numbers[i] + 2, .name = "a"};
                const struct fa_owned mine[] = {{e.epoch, e.epoch, 1},
                                                {numbers[i], e.epoch, UINT32_MAX}};
                cr_assert_eq(do_rebind(&e, FA_REBIND_OWN, mine, 2), 0);
                bind_done(&e);
                run_all_with(&e, e.epoch, id_of(10 * i + 1));
                run_all_with(&e, numbers[i], id_of(10 * i + 2));
                struct fa_group *g = ep_control(&e);
                put_tick(g, (uint64_t[]){e.epoch, numbers[i]}, 2);
                cr_assert_eq(ep_run(&e, g), 0);
                fa_group_free(g);
                struct ep next = ep_start(&b, "b");
                cr_assert_gt(next.epoch, e.epoch);
        }
        rb_books(rb_prefix());
        bed_close(&b);
}

/* ---- sizes ---- */

Test(redis_edges, the_largest_tasks_and_results_pass_and_a_load_of_them_is_bounded) {
        struct bed b;

        bed_open(&b, NULL);
        struct ep e = ep_start(&b, "a");
        for (unsigned id = 1; id <= 12; id++) {
                struct fa_group *g = ep_group(&e);
                struct fa_item it = {.function = {(const uint8_t *)"echo", 4},
                                     .payload = large((char)id)};
                struct fa_op *op = put(g, FA_OP_ACCEPT, e.epoch, id);
                cr_assert_eq(fa_spec_new(&op->spec, &it), 0);
                fa_blob_unref(it.payload);
                cr_assert_eq(ep_run(&e, g), 0);
                cr_assert_eq(g->ops[0].r, 0);
                fa_group_free(g);
        }
        uint64_t cursor = 0;
        unsigned n = 0;
        while (cursor != FA_CURSOR_END) {
                struct fa_group *g = ep_group(&e);
                put(g, FA_OP_LOAD, e.epoch, 0)->cursor = cursor;
                cr_assert_eq(ep_run(&e, g), 0);
                cr_assert_leq(g->ops[0].more->n_recs, 2, "some MiB");
                for (size_t i = 0; i < g->ops[0].more->n_recs; i++) {
                        const struct fa_blob *p = fa_spec_payload(g->ops[0].more->recs[i].spec);
                        cr_assert_eq(fa_blob_len(p), FA_PAYLOAD_MAX);
                        cr_assert_eq(((const char *)fa_blob_ptr(p))[1], (char)++n);
                }
                cursor = g->ops[0].cursor;
                fa_group_free(g);
        }
        cr_assert_eq(n, 12);
        for (unsigned id = 1; id <= 3; id++) {
                struct fa_record *rec = NULL;
                struct fa_group *g = ep_group(&e);
                struct fa_op *op = put(g, FA_OP_FINISH, e.epoch, id);
                op->outcome = (struct fa_outcome){.status = FAAS_COMPLETED, .payload = large('r')};
                cr_assert_eq(ep_run(&e, g), 0);
                cr_assert_eq(g->ops[0].r, 0);
                fa_group_free(g);
                cr_assert_eq(do_get(&b, id, &rec), 0);
                cr_assert_eq(fa_blob_len(rec->outcome.payload), FA_PAYLOAD_MAX);
                record_free(rec);
                cr_assert_eq(do_forget(&e, id), 0);
        }
        rb_books(rb_prefix());
        bed_close(&b);
}

Test(redis_edges, nothing_is_a_task_and_a_result_too) {
        struct bed b;

        bed_open(&b, NULL);
        struct ep e = ep_start(&b, "a");
        cr_assert_eq(do_accept(&e, 1, ""), 0);
        cr_assert_eq(do_accept(&e, 1, ""), FAAS_E_EXISTS);
        cr_assert_eq(do_finish(&e, 1, ""), 0);
        expect_final(&b, 1, "");
        rb_books(rb_prefix());
        bed_close(&b);
}

/* ---- long groups ---- */

#define LONG 3000

static void run_long(struct ep *e, enum fa_op_kind kind, int want) {
        struct fa_group *g = ep_group(e);

        for (unsigned id = 1; id <= LONG; id++) {
                if (kind == FA_OP_ACCEPT)
                        put_accept(g, e->epoch, id, "bytes");
                else if (kind == FA_OP_FINISH)
                        put_finish(g, e->epoch, id, "result")->outcome.status =
                                (uint8_t)(FAAS_COMPLETED + (id / 700) % 3);
                else
                        put(g, kind, e->epoch, id)->strikes = id;
        }
        struct fa_group *again = group_again(g);
        cr_assert_eq(ep_run(e, g), 0);
        for (size_t i = 0; i < g->n; i++)
                cr_assert_eq(g->ops[i].r, want, "kind %u, op %zu", kind, i);
        fa_group_free(g);
        /* Once more, as it is sent after a connection broke. */
        cr_assert_eq(ep_run(e, again), 0);
        fa_group_free(again);
        rb_books(rb_prefix());
}

Test(redis_edges, a_group_may_be_longer_than_a_run) {
        struct bed b;

        bed_open(&b, NULL);
        struct ep e = ep_start(&b, "a");
        static unsigned ids[LONG];
        run_long(&e, FA_OP_ACCEPT, 0);
        run_long(&e, FA_OP_HINT, 0);
        run_long(&e, FA_OP_REQUEUE, 0);
        cr_assert_eq(load_all(&e, e.epoch, ids, LONG), LONG);
        for (unsigned i = 0; i < LONG; i++)
                cr_assert_eq(ids[i], i + 1);
        run_long(&e, FA_OP_FINISH, 0);
        run_long(&e, FA_OP_GET, 0);
        run_long(&e, FA_OP_FORGET, 0);
        run_long(&e, FA_OP_GET, FAAS_E_GONE);
        bed_close(&b);
}

Test(redis_edges, an_id_may_come_again_and_again_in_one_group) {
        struct bed b;

        bed_open(&b, NULL);
        struct ep e = ep_start(&b, "a");
        struct fa_group *g = ep_group(&e);
        static const int want[] = {0, FAAS_E_EXISTS, 0,          0, FAAS_E_EXISTS,
                                   0, FAAS_E_NOENT,  FAAS_E_GONE};
        put_accept(g, e.epoch, 1, "bytes");
        put_accept(g, e.epoch, 1, "other")->client = 1;
        put(g, FA_OP_REQUEUE, e.epoch, 1);
        put_finish(g, e.epoch, 1, "first");
        put_finish(g, e.epoch, 1, "second");
        put(g, FA_OP_FORGET, e.epoch, 1);
        put(g, FA_OP_FORGET, e.epoch, 1);
        put(g, FA_OP_GET, e.epoch, 1);
        cr_assert_eq(ep_run(&e, g), 0);
        for (size_t i = 0; i < g->n; i++)
                cr_assert_eq(g->ops[i].r, want[i], "op %zu: %s", i, faas_strerror(g->ops[i].r));
        cr_assert(g->ops[1].differs);
        cr_assert(blob_is(g->ops[4].rec->outcome.payload, "first"));
        fa_group_free(g);
        rb_books(rb_prefix());
        bed_close(&b);
}

Test(redis_edges, a_load_tells_as_many_as_asked_for) {
        struct bed b;

        bed_open(&b, NULL);
        struct ep e = ep_start(&b, "a");
        for (unsigned id = 1; id <= 300; id++)
                cr_assert_eq(do_accept(&e, id, "bytes"), 0);
        static const unsigned asked[] = {0, 1, 7, 300};
        static const unsigned told[] = {256, 1, 7, 256};
        for (size_t i = 0; i < FA_ARRAY_SIZE(asked); i++) {
                struct fa_group *g = ep_group(&e);
                put(g, FA_OP_LOAD, e.epoch, 0)->n = asked[i];
                cr_assert_eq(ep_run(&e, g), 0);
                cr_assert_geq(g->ops[0].more->n_recs, 1);
                cr_assert(g->ops[0].more->n_recs == told[i] ||
                                  (asked[i] > 256 && g->ops[0].more->n_recs <= asked[i]),
                          "%zu of %u", g->ops[0].more->n_recs, asked[i]);
                fa_group_free(g);
        }
        bed_close(&b);
}

/* After a loss all is written to one part of a journal, however many they are. */
Test(redis_edges, restored_tasks_are_all_loaded) {
        static unsigned ids[6000];
        struct bed b;

        bed_open(&b, NULL);
        struct ep e = ep_start(&b, "a");
        b.ops->restart(&b);
        bind_own(&e);
        for (unsigned id = 1; id <= 6000; id += 1000) {
                struct fa_group *g = ep_control(&e);
                for (unsigned k = id; k < id + 1000; k++) {
                        struct fa_op *op = put(g, FA_OP_RESTORE, e.epoch, k);
                        op->spec = spec_of("bytes");
                }
                cr_assert_eq(ep_run(&e, g), 0);
                fa_group_free(g);
        }
        bind_done(&e);
        cr_assert_eq(load_all(&e, e.epoch, ids, 6000), 6000);
        rb_books(rb_prefix());
        bed_close(&b);
}

/* ---- what is left ---- */

static void expect_only(const char *const patterns[], size_t n) {
        redisReply *r = rb_ask("KEYS {%s}:*", rb_prefix());

        for (size_t i = 0; i < r->elements; i++) {
                const char *name = strchr(r->element[i]->str, '}') + 2;
                size_t k = 0;
                while (k < n && strncmp(name, patterns[k], strlen(patterns[k])) != 0)
                        k++;
                cr_assert_lt(k, n, "%s is left", name);
        }
        cr_assert_leq(r->elements, n + 1);
        freeReplyObject(r);
}

Test(redis_edges, when_all_is_forgotten_only_bookkeeping_is_left) {
        static const char *const kept[] = {"meta", "live", "x:", "t:", "j:"};
        struct fa_store_cfg cfg = {
                .tick_ns = TICK_NS, .lease_ticks = LEASE_TICKS, .result_ttl_ns = 10 * TICK_NS};
        struct bed b;

        bed_open(&b, &cfg);
        struct ep e = ep_start(&b, "a");
        for (int round = 0; round < 4; round++) {
                for (unsigned from = 1; from <= 6000; from += 500) {
                        struct fa_group *a = ep_group(&e), *f = ep_group(&e), *g = ep_group(&e);
                        for (unsigned id = from; id < from + 500; id++) {
                                unsigned k = (unsigned)round * 10000 + id;
                                put_accept(a, e.epoch, k, "bytes");
                                put_finish(f, e.epoch, k, "result");
                                if (id % 2)
                                        put(g, FA_OP_FORGET, e.epoch, k);
                        }
                        cr_assert_eq(ep_run(&e, a), 0);
                        cr_assert_eq(ep_run(&e, f), 0);
                        cr_assert_eq(ep_run(&e, g), 0);
                        fa_group_free(a);
                        fa_group_free(f);
                        fa_group_free(g);
                }
                rb_books(rb_prefix());
                b.ops->advance(&b, 11 * TICK_NS);
                rb_books(rb_prefix());
        }
        b.ops->advance(&b, 200 * TICK_NS);
        rb_books(rb_prefix());
        expect_only(kept, FA_ARRAY_SIZE(kept));
        cr_assert_eq(rb_int("HGET {%s}:meta open", rb_prefix()), 0);
        cr_assert_eq(rb_int("HGET {%s}:meta fbytes", rb_prefix()), 0);
        cr_assert_eq(rb_int("HGET {%s}:meta tombs", rb_prefix()), 0);
        /* What logs and journals still hold is bounded. */
        cr_assert_leq(
                rb_int("STRLEN {%s}:j:%llu:%lld", rb_prefix(), (unsigned long long)e.epoch,
                       rb_int("HGET {%s}:meta s:%llu", rb_prefix(), (unsigned long long)e.epoch)),
                5000 * 16);
        cr_assert_leq(rb_int("STRLEN {%s}:x:%lld", rb_prefix(),
                             rb_int("HGET {%s}:meta xtail", rb_prefix())),
                      5000 * 24);
        cr_assert_leq(rb_int("STRLEN {%s}:t:%lld", rb_prefix(),
                             rb_int("HGET {%s}:meta ttail", rb_prefix())),
                      5000 * 24);
        bed_close(&b);
}
