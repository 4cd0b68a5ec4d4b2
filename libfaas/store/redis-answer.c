/*
 * redis-answer.c - reads what scripts/group.lua answered into the group's operations
 *
 * The answer is Redis's, but the records in it may be anybody's: whatever makes no sense is told to
 * the caller, and taken as not being there.
 */
#include <errno.h>
#include <hiredis/hiredis.h>
#include <stdlib.h>
#include <string.h>

#include "base/macros.h"
#include "store/redis-group.h"
#include "store/redis-record.h"
#include "store/redis-run.h"

struct reader {
        uint32_t *results;
        fa_rgroup_bad_fn *on_bad;
        void *arg;
};

/* ---- is it an answer at all?  Looked at before anything is taken from it ---- */

static bool is_array(const redisReply *r, size_t min) {
        return r->type == REDIS_REPLY_ARRAY && r->elements >= min;
}

/* Numbers come as integers or as text: a Lua number has no room for all of them. */
static bool is_number(const redisReply *r) {
        return r->type == REDIS_REPLY_INTEGER || r->type == REDIS_REPLY_STRING;
}

static bool is_string(const redisReply *r) {
        return r->type == REDIS_REPLY_STRING;
}

/* Three in a row, again and again: two numbers, and one of this kind. */
static bool is_triples(const redisReply *r, bool (*third)(const redisReply *r)) {
        if (!is_array(r, 0) || r->elements % 3)
                return false;
        for (size_t i = 0; i < r->elements; i += 3)
                if (!is_number(r->element[i]) || !is_number(r->element[i + 1]) ||
                    !third(r->element[i + 2]))
                        return false;
        return true;
}

/* What an op may be told by a number: a bit each, as model/op.h has it. */
static bool may_be_told(const struct fa_op *op, long long r) {
#define BIT(e) (1u << (e))
        static const unsigned all[_FA_OP_N] = {
                [FA_OP_START] = BIT(0) | BIT(FAAS_E_EXISTS),
                [FA_OP_REBIND] = BIT(0),
                [FA_OP_TICK] = BIT(0),
                [FA_OP_TAKE] = BIT(0) | BIT(FAAS_E_STALE),
                [FA_OP_ACCEPT] = BIT(0) | BIT(FAAS_E_GONE) | BIT(FAAS_E_LIMIT),
                [FA_OP_FINISH] = BIT(0) | BIT(FAAS_E_GONE) | BIT(FAAS_E_NOENT),
                [FA_OP_REQUEUE] = BIT(0) | BIT(FAAS_E_NOENT) | BIT(FAAS_E_EXISTS),
                [FA_OP_HINT] = BIT(0),
                [FA_OP_RESTORE] = BIT(0) | BIT(FAAS_E_GONE),
                [FA_OP_GET] = BIT(FAAS_E_GONE) | BIT(FAAS_E_NOENT),
                [FA_OP_FORGET] = BIT(0) | BIT(FAAS_E_NOENT),
                [FA_OP_DROP] = BIT(0) | BIT(FAAS_E_STALE),
        };
#undef BIT
        return r >= 0 && r < _FAAS_E_N && all[op->kind] >> r & 1;
}

static bool may_tell_record(uint8_t kind) {
        return kind == FA_OP_ACCEPT || kind == FA_OP_FINISH || kind == FA_OP_RESTORE ||
               kind == FA_OP_GET;
}

/* Of a run of FINISHes that were not looked at. */
static bool is_known(const struct fa_group *g, const struct fa_op *op, const redisReply *r) {
        return is_string(r) && op->kind == FA_OP_FINISH && fa_rgroup_known(g, op);
}

static bool is_run(const struct fa_op *ops, size_t n, const redisReply *r) {
        if (r->type == REDIS_REPLY_INTEGER)
                return r->integer == 0 && ops[0].kind != FA_OP_GET;
        if (!is_array(r, n))
                return false;
        for (size_t i = 0; i < n; i++) {
                const redisReply *one = r->element[i];
                if (one->type == REDIS_REPLY_INTEGER
                            ? !may_be_told(&ops[i], one->integer)
                            : !is_string(one) || !may_tell_record(ops[i].kind))
                        return false;
        }
        return true;
}

static bool is_load(const redisReply *r) {
        if (!is_array(r, 1) || r->elements % 2 == 0 || !is_string(r->element[0]))
                return false;
        for (size_t i = 1; i < r->elements; i += 2)
                if (!is_string(r->element[i]) || !is_string(r->element[i + 1]) ||
                    r->element[i]->len != sizeof(struct faas_id))
                        return false;
        return true;
}

static bool is_single(const struct fa_op *op, const redisReply *r) {
        if (op->kind == FA_OP_LOAD)
                return is_load(r);
        if (op->kind == FA_OP_REBIND && op->state == FA_REBIND_DONE)
                return r->type == REDIS_REPLY_INTEGER && r->integer == 0;
        if (!is_array(r, 1) || r->element[0]->type != REDIS_REPLY_INTEGER ||
            !may_be_told(op, r->element[0]->integer))
                return false;
        if (r->element[0]->integer || op->kind == FA_OP_DROP)
                return true;
        if (op->kind == FA_OP_TAKE)
                return is_array(r, 2) && is_number(r->element[1]);
        return is_array(r, 4) && is_number(r->element[1]) &&
               (op->kind == FA_OP_TICK ? is_triples(r->element[2], is_string)
                                       : is_number(r->element[2])) &&
               is_triples(r->element[3], is_number);
}

static bool is_group(const redisReply *r) {
        if (!is_array(r, 1) || r->element[0]->type != REDIS_REPLY_INTEGER)
                return false;
        return r->element[0]->integer == 0 || r->element[0]->integer == FAAS_E_FENCED ||
               r->element[0]->integer == FAAS_E_UNAVAILABLE ||
               r->element[0]->integer == FAAS_E_AGAIN;
}

/* ---- what it says ---- */

static struct fa_slice bytes_of(const redisReply *r) {
        return (struct fa_slice){(const uint8_t *)r->str, r->len};
}

static uint64_t number_of(const redisReply *r) {
        return r->type == REDIS_REPLY_INTEGER  ? (uint64_t)r->integer
               : r->type == REDIS_REPLY_STRING ? strtoull(r->str, NULL, 10)
                                               : 0;
}

/* What a string among the answers means to its operation. */
static int answer_of(const struct fa_op *op, const struct fa_record *rec) {
        if (op->kind == FA_OP_GET)
                return 0;
        return op->kind == FA_OP_FINISH && !fa_state_final(rec->state) ? FAAS_E_STALE
                                                                       : FAAS_E_EXISTS;
}

static void read_record(const struct reader *rd, struct fa_op *op, const redisReply *r) {
        struct fa_slice v = bytes_of(r);
        struct fa_record *rec = calloc(1, sizeof(*rec));
        int e = rec ? fa_rrec_read(rec, &op->id, v) : -ENOMEM;

        if (e == 0) {
                op->r = answer_of(op, rec);
                op->differs = op->kind == FA_OP_ACCEPT && !fa_rrec_same(v, op->spec);
                op->rec = rec;
                return;
        }
        free(rec);
        op->r = e < 0 ? e : op->kind == FA_OP_ACCEPT ? FAAS_E_EXISTS : FAAS_E_NOENT;
        if (e > 0)
                rd->on_bad(rd->arg, &op->id, v);
}

/* 0: all of them; else one for each. */
static void read_run(const struct reader *rd,
                     struct fa_op *ops,
                     size_t n,
                     const redisReply *r,
                     uint32_t place) {
        if (is_string(r)) { /* results that went where it says */
                *rd->results = (uint32_t)number_of(r);
                place = *rd->results + 1;
        } else if (r->type != REDIS_REPLY_INTEGER || ops->kind != FA_OP_ACCEPT) {
                place = 0;
        }
        for (size_t i = 0; i < n; i++)
                if (ops[i].spec)
                        ops[i].spec->place = place;
        if (r->type != REDIS_REPLY_ARRAY)
                return;
        for (size_t i = 0; i < n; i++) {
                const redisReply *one = r->element[i];
                if (one->type == REDIS_REPLY_STRING)
                        read_record(rd, &ops[i], one);
                else
                        ops[i].r = (int)one->integer;
        }
}

/* partition, owner, generation ... */
static void read_owned(struct fa_op *op, const redisReply *r) {
        struct fa_op_more *more = op->more;
        size_t n = r->elements / 3;
        struct fa_owned *v = calloc(n ? n : 1, sizeof(*v));

        free(more->owned);
        more->owned = v;
        more->n_owned = 0;
        if (!v) {
                op->r = -ENOMEM;
                return;
        }
        for (size_t i = 0; i < n; i++)
                v[i] = (struct fa_owned){number_of(r->element[3 * i]),
                                         number_of(r->element[3 * i + 1]),
                                         (uint32_t)number_of(r->element[3 * i + 2])};
        more->n_owned = n;
}

/* epoch, tick, endpoint ... */
static void read_leases(struct fa_op *op, const redisReply *r) {
        struct fa_op_more *more = op->more;
        size_t n = r->elements / 3;

        more->leases = calloc(n ? n : 1, sizeof(*more->leases));
        if (!more->leases) {
                op->r = -ENOMEM;
                return;
        }
        for (size_t i = 0; i < n; i++) {
                struct fa_lease *l = &more->leases[more->n_leases++];
                struct fa_slice endpoint = bytes_of(r->element[3 * i + 2]);
                l->epoch = number_of(r->element[3 * i]);
                l->tick = number_of(r->element[3 * i + 1]);
                memcpy(l->endpoint, endpoint.p, FA_MIN(endpoint.len, sizeof(l->endpoint) - 1));
        }
}

/* "part entry", or -1. */
static uint64_t cursor_of(const redisReply *r) {
        char *end;
        uint64_t part = strtoull(r->str, &end, 10);

        if (r->str[0] == '-')
                return FA_CURSOR_END;
        return part << 32 | (strtoull(end, NULL, 10) & UINT32_MAX);
}

/* cursor; id, record ... */
static void read_load(const struct reader *rd, struct fa_op *op, const redisReply *r) {
        struct fa_op_more *more = op->more;

        more->recs = calloc(r->elements / 2 + 1, sizeof(*more->recs));
        if (!more->recs) {
                op->r = -ENOMEM;
                return;
        }
        for (size_t i = 1; i + 1 < r->elements; i += 2) {
                struct fa_slice record = bytes_of(r->element[i + 1]);
                struct faas_id key;
                memcpy(key.b, r->element[i]->str, sizeof(key.b));
                int e = fa_rrec_read(&more->recs[more->n_recs], &key, record);
                if (e < 0) {
                        op->r = e; /* asked again, from the same place */
                        return;
                }
                if (e == 0)
                        more->n_recs++;
                else
                        rd->on_bad(rd->arg, &key, record);
        }
        op->cursor = cursor_of(r->element[0]);
}

/* Those that come alone, and have an answer of their own form: {what it is told, ...}. */
static void read_single(const struct reader *rd, struct fa_op *op, const redisReply *r) {
        if (op->kind == FA_OP_LOAD) {
                read_load(rd, op, r);
                return;
        }
        if (r->type == REDIS_REPLY_INTEGER)
                return;
        op->r = (int)r->element[0]->integer;
        if (op->r || op->kind == FA_OP_DROP)
                return;
        if (op->kind == FA_OP_TAKE) {
                op->gen = (uint32_t)number_of(r->element[1]);
                return;
        }
        if (op->kind == FA_OP_START) {
                op->owner = number_of(r->element[1]);
                op->more->tick = number_of(r->element[2]);
        } else {
                op->more->tick = number_of(r->element[1]);
                if (op->kind == FA_OP_TICK)
                        read_leases(op, r->element[2]);
                else
                        op->more->last_seq = number_of(r->element[2]);
        }
        read_owned(op, r->element[3]);
}

static bool alone(uint8_t kind) {
        return kind == FA_OP_START || kind == FA_OP_REBIND || kind == FA_OP_TICK ||
               kind == FA_OP_TAKE || kind == FA_OP_DROP || kind == FA_OP_LOAD;
}

/* Does each run have an answer of its form? */
static bool is_answer(const struct fa_group *g, const redisReply *reply) {
        size_t run = 1;
        size_t end;

        for (size_t i = 0; i < g->n; i = end, run++) {
                end = fa_rgroup_run_end(g, i);
                if (run >= reply->elements)
                        return false;
                const struct redisReply *r = reply->element[run];
                if (!(alone(g->ops[i].kind)
                              ? is_single(&g->ops[i], r)
                              : is_run(&g->ops[i], end - i, r) || is_known(g, &g->ops[i], r)))
                        return false;
        }
        return true;
}

int fa_rgroup_read(struct fa_group *g,
                   const redisReply *reply,
                   uint32_t *results,
                   fa_rgroup_bad_fn *on_bad,
                   void *arg) {
        const struct reader rd = {results, on_bad, arg};
        size_t run = 1;
        size_t end;

        if (!is_group(reply) || (reply->element[0]->integer == 0 && !is_answer(g, reply)))
                return FAAS_E_PROTO;
        g->r = (int)reply->element[0]->integer;
        for (size_t i = 0; i < g->n && g->r == 0; i = end, run++) {
                end = fa_rgroup_run_end(g, i);
                if (alone(g->ops[i].kind))
                        read_single(&rd, &g->ops[i], reply->element[run]);
                else
                        read_run(&rd, &g->ops[i], end - i, reply->element[run], (uint32_t)g->mark);
        }
        return 0;
}
