/*
 * test-redis-answer.c - answers and records that make no sense: refused, and the group is as it was
 */
#undef NDEBUG
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <criterion/criterion.h>
#include <hiredis/hiredis.h>

#include "base/macros.h"
#include "store/redis-group.h"
#include "store/redis-record.h"
#include "th-alloc.h"

#define ROUNDS 100000

static uint32_t results;

static uint64_t random_state = 88172645463325252u;

static unsigned rnd(unsigned below) {
        random_state ^= random_state << 13;
        random_state ^= random_state >> 7;
        random_state ^= random_state << 17;
        return (unsigned)(random_state >> 33) % below;
}

static struct fa_blob *random_blob(void) {
        uint8_t bytes[40];
        struct fa_blob *b = NULL;

        memset(bytes, 'b', sizeof(bytes));
        cr_assert_eq(fa_blob_new(&b, bytes, rnd(sizeof(bytes))), 0);
        return b;
}

static struct fa_spec *random_spec(void) {
        struct fa_item it = {.function = {(const uint8_t *)"function", 1 + rnd(8)},
                             .queue = {(const uint8_t *)"queue", rnd(6)},
                             .payload = random_blob()};
        struct fa_spec *s = NULL;

        cr_assert_eq(fa_spec_new(&s, &it), 0);
        fa_blob_unref(it.payload);
        return s;
}

/* A record of an open task or a final one, good or with some bytes that are not. */
static void random_record(struct fa_buf *b, unsigned n_wrong) {
        struct fa_op op = {.kind = FA_OP_RESTORE, .partition = 7};

        op.spec = random_spec();
        fa_rrec_open(b, &op, 1);
        fa_spec_unref(op.spec);
        if (rnd(2)) {
                op.outcome = (struct fa_outcome){.status = 2 + (uint8_t)rnd(3),
                                                 .payload = random_blob(),
                                                 .text = random_blob()};
                b->len = 38;
                b->p[0] = op.outcome.status;
                fa_rrec_result(b, &op);
                fa_outcome_deinit(&op.outcome);
        }
        for (; n_wrong; n_wrong--)
                b->p[rnd((unsigned)b->len)] = rnd(3) ? (uint8_t)rnd(256) : rnd(2) ? 0xff : 0;
        if (rnd(4) == 0)
                b->len = rnd((unsigned)b->len + 1);
}

Test(redis_answer, records_with_wrong_bytes_are_read_or_refused) {
        const struct faas_id id = {{1}};
        unsigned n[2] = {0};
        int64_t live = th_alloc_live();
        struct fa_buf b = FA_BUF_NULL;

        for (unsigned i = 0; i < ROUNDS; i++) {
                struct fa_record rec = {.state = 77};
                fa_buf_clear(&b);
                random_record(&b, rnd(4));
                /* In a block of its own length, so that a read behind it shows. */
                uint8_t *bytes = malloc(b.len ? b.len : 1);
                cr_assert_not_null(bytes);
                memcpy(bytes, b.p, b.len);
                int e = fa_rrec_read(&rec, &id, (struct fa_slice){bytes, b.len});
                free(bytes);
                cr_assert(e == 0 || e == FAAS_E_PROTO);
                cr_assert(e == 0 || rec.state == 77, "untouched");
                n[e != 0]++;
                if (e == 0)
                        fa_record_deinit(&rec);
        }
        cr_assert_gt(n[0], ROUNDS / 10);
        cr_assert_gt(n[1], ROUNDS / 10);
        fa_buf_deinit(&b);
        cr_assert_eq(th_alloc_live(), live, "%+lld", (long long)(th_alloc_live() - live));
}

/* ---- answers ---- */

static redisReply *new_reply(int type) {
        redisReply *r = calloc(1, sizeof(*r));

        cr_assert_not_null(r);
        r->type = type;
        return r;
}

static redisReply *new_string(const void *bytes, size_t len) {
        redisReply *r = new_reply(REDIS_REPLY_STRING);

        r->str = malloc(len + 1);
        cr_assert_not_null(r->str);
        if (len)
                memcpy(r->str, bytes, len);
        r->str[len] = 0;
        r->len = len;
        return r;
}

static redisReply *new_number(long long n) {
        redisReply *r = new_reply(REDIS_REPLY_INTEGER);

        r->integer = n;
        return r;
}

static redisReply *new_array(size_t n) {
        redisReply *r = new_reply(REDIS_REPLY_ARRAY);

        r->elements = n;
        r->element = calloc(n ? n : 1, sizeof(*r->element));
        cr_assert_not_null(r->element);
        return r;
}

static void free_reply(redisReply *r) {
        for (size_t i = 0; r->type == REDIS_REPLY_ARRAY && i < r->elements; i++)
                free_reply(r->element[i]);
        free(r->element);
        free(r->str);
        free(r);
}

static redisReply *record_reply(void) {
        struct fa_buf b = FA_BUF_NULL;

        random_record(&b, rnd(3) ? 0 : 2);
        redisReply *r = new_string(b.p, b.len);
        fa_buf_deinit(&b);
        return r;
}

static redisReply *any_reply(unsigned depth) {
        static const char *const texts[] = {
                "", "-1", "0", "5 7", "18446744073709551616", "x", "1234567890123456"};
        const char *text;
        redisReply *r;

        switch (rnd(depth ? 8 : 6)) {
        case 0:
                return new_number((long long)rnd(16) - 1);
        case 1:
                return new_number((long long)rnd(UINT32_MAX) << 31);
        case 2:
        case 3:
                text = texts[rnd(FA_ARRAY_SIZE(texts))];
                return new_string(text, strlen(text));
        case 4:
                return record_reply();
        case 5:
                return new_reply(REDIS_REPLY_NIL);
        default:
                r = new_array(rnd(7));
                for (size_t i = 0; i < r->elements; i++)
                        r->element[i] = any_reply(depth - 1);
                return r;
        }
}

/* Threes, or almost. */
static redisReply *triples(void) {
        redisReply *r = new_array(3 * rnd(3) + (rnd(20) == 0));

        for (size_t i = 0; i < r->elements; i++)
                r->element[i] = rnd(20) ? new_string("17", 2) : any_reply(1);
        return r;
}

static redisReply *answer_to(const struct fa_op *op) {
        redisReply *r;

        switch (op->kind) {
        case FA_OP_LOAD:
                r = new_array(1 + 2 * rnd(4));
                r->element[0] = rnd(2) ? new_string("-1", 2) : new_string("3 77", 4);
                for (size_t i = 1; i < r->elements; i += 2) {
                        r->element[i] = new_string("0123456789abcdef", rnd(30) ? 16 : rnd(17));
                        r->element[i + 1] = record_reply();
                }
                return r;
        case FA_OP_START:
        case FA_OP_TICK:
        case FA_OP_REBIND:
                if (op->kind == FA_OP_REBIND && op->state == FA_REBIND_DONE)
                        return new_number(0);
                r = new_array(4);
                r->element[0] = new_number(0);
                r->element[1] = new_string("12", 2);
                r->element[2] = op->kind == FA_OP_TICK ? triples() : new_string("3", 1);
                r->element[3] = triples();
                return r;
        case FA_OP_TAKE:
                r = new_array(2);
                r->element[0] = new_number(0);
                r->element[1] = new_string("2", 1);
                return r;
        default:
                if (rnd(2))
                        return new_number(0);
                r = new_array(1);
                r->element[0] = rnd(2) ? record_reply() : new_number(rnd(16));
                return r;
        }
}

static redisReply *random_answer(const struct fa_group *g) {
        redisReply *r = new_array(g->n + 1 - (rnd(20) == 0));

        r->element[0] = new_number(rnd(10) ? 0 : rnd(20));
        for (size_t i = 1; i < r->elements; i++)
                r->element[i] = rnd(15) ? answer_to(&g->ops[i - 1]) : any_reply(2);
        return r;
}

/* Each op is a run of its own. */
static struct fa_group *random_group(void) {
        struct fa_group *g = NULL;

        cr_assert_eq(fa_group_new(&g), 0);
        for (unsigned n = 1 + rnd(4); n; n--) {
                enum fa_op_kind kind = (enum fa_op_kind)rnd(_FA_OP_N);
                struct fa_op *op = fa_group_add(g, kind);
                cr_assert_not_null(op);
                op->partition = n;
                op->cursor = 99;
                op->id.b[0] = (uint8_t)n;
                if (kind == FA_OP_ACCEPT || kind == FA_OP_RESTORE)
                        op->spec = random_spec();
                if (kind == FA_OP_REBIND)
                        op->state = (uint8_t)rnd(2);
        }
        return g;
}

static unsigned n_bad;

static void on_bad(void *arg, const struct faas_id *id, struct fa_slice record) {
        n_bad++;
        cr_assert(record.p);
}

static void expect_untouched(const struct fa_group *g) {
        cr_assert_eq(g->r, 0);
        for (size_t i = 0; i < g->n; i++) {
                cr_assert_eq(g->ops[i].r, 0);
                cr_assert_null(g->ops[i].rec);
                cr_assert_eq(g->ops[i].cursor, 99);
                if (g->ops[i].more) {
                        cr_assert_null(g->ops[i].more->recs);
                        cr_assert_null(g->ops[i].more->leases);
                        cr_assert_null(g->ops[i].more->owned);
                }
        }
}

static void expect_answered(const struct fa_group *g) {
        cr_assert(g->r == 0 || g->r == FAAS_E_FENCED || g->r == FAAS_E_AGAIN ||
                  g->r == FAAS_E_UNAVAILABLE);
        for (size_t i = 0; i < g->n; i++) {
                const struct fa_op *op = &g->ops[i];
                cr_assert(op->r >= 0 && op->r < _FAAS_E_N);
                if (op->kind == FA_OP_GET && g->r == 0)
                        cr_assert_eq(op->r == 0, op->rec != NULL);
                if (op->kind == FA_OP_FINISH && op->r == FAAS_E_EXISTS)
                        cr_assert_not_null(op->rec);
                if (op->kind == FA_OP_TICK && g->r == 0)
                        cr_assert(op->more->leases && op->more->owned);
        }
}

Test(redis_answer, answers_that_make_no_sense_leave_the_group_as_it_was) {
        int64_t live = th_alloc_live();
        unsigned n[2] = {0};

        for (unsigned i = 0; i < ROUNDS; i++) {
                struct fa_group *g = random_group();
                redisReply *r = random_answer(g);
                int e = fa_rgroup_read(g, r, &results, on_bad, NULL);
                free_reply(r);
                cr_assert(e == 0 || e == FAAS_E_PROTO);
                if (e)
                        expect_untouched(g);
                else
                        expect_answered(g);
                n[e != 0]++;
                fa_group_free(g);
        }
        cr_assert_gt(n[0], ROUNDS / 10);
        cr_assert_gt(n[1], ROUNDS / 10);
        cr_assert_gt(n_bad, 100);
        cr_assert_eq(th_alloc_live(), live, "%+lld", (long long)(th_alloc_live() - live));
}
