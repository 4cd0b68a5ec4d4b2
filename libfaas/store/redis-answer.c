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
        void (*on_bad)(void *arg, const struct faas_id *id);
        void *arg;
};

static bool is_array(const redisReply *r, size_t min) {
        return r->type == REDIS_REPLY_ARRAY && r->elements >= min;
}

static struct fa_slice bytes_of(const redisReply *r) {
        return (struct fa_slice){(const uint8_t *)r->str, r->len};
}

/* Numbers come as integers or as text: a Lua number has no room for all of them. */
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
                rd->on_bad(rd->arg, &op->id);
}

/* 0: all of them; else one for each. */
static int read_run(const struct reader *rd, struct fa_op *ops, size_t n, const redisReply *r) {
        if (r->type == REDIS_REPLY_INTEGER && r->integer == 0)
                return 0;
        if (!is_array(r, n))
                return FAAS_E_PROTO;
        for (size_t i = 0; i < n; i++) {
                const redisReply *one = r->element[i];
                if (one->type == REDIS_REPLY_STRING)
                        read_record(rd, &ops[i], one);
                else if (one->type == REDIS_REPLY_INTEGER)
                        ops[i].r = (int)one->integer;
                else
                        return FAAS_E_PROTO;
        }
        return 0;
}

/* partition, owner, generation ... */
static int read_owned(struct fa_op *op, const redisReply *r) {
        struct fa_op_more *more = op->more;
        size_t n = is_array(r, 0) ? r->elements / 3 : 0;
        struct fa_owned *v = calloc(n ? n : 1, sizeof(*v));

        free(more->owned);
        more->owned = v;
        more->n_owned = 0;
        if (!v) {
                op->r = -ENOMEM;
                return 0;
        }
        for (size_t i = 0; i < n; i++)
                v[i] = (struct fa_owned){number_of(r->element[3 * i]),
                                         number_of(r->element[3 * i + 1]),
                                         (uint32_t)number_of(r->element[3 * i + 2])};
        more->n_owned = n;
        return 0;
}

/* epoch, tick, endpoint ... */
static void read_leases(struct fa_op *op, const redisReply *r) {
        struct fa_op_more *more = op->more;
        size_t n = is_array(r, 0) ? r->elements / 3 : 0;

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
                if (endpoint.p)
                        memcpy(l->endpoint, endpoint.p,
                               FA_MIN(endpoint.len, sizeof(l->endpoint) - 1));
        }
}

/* cursor; id, record ... */
static int read_load(const struct reader *rd, struct fa_op *op, const redisReply *r) {
        struct fa_op_more *more = op->more;
        const redisReply *cursor = r->element[0];

        more->recs = calloc(r->elements / 2 + 1, sizeof(*more->recs));
        if (!more->recs) {
                op->r = -ENOMEM;
                return 0;
        }
        for (size_t i = 1; i + 1 < r->elements; i += 2) {
                struct fa_slice id = bytes_of(r->element[i]);
                struct faas_id key;
                int e;
                if (id.len != sizeof(key.b) || r->element[i + 1]->type != REDIS_REPLY_STRING)
                        return FAAS_E_PROTO;
                memcpy(key.b, id.p, sizeof(key.b));
                e = fa_rrec_read(&more->recs[more->n_recs], &key, bytes_of(r->element[i + 1]));
                if (e < 0) {
                        op->r = e; /* asked again, from the same place */
                        return 0;
                }
                if (e == 0)
                        more->n_recs++;
                else
                        rd->on_bad(rd->arg, &key);
        }
        op->cursor = strcmp(cursor->str, "-1") == 0 ? FA_CURSOR_END : number_of(cursor);
        return 0;
}

/* Those that come alone, and have an answer of their own form: {what it is told, ...}. */
static int read_single(const struct reader *rd, struct fa_op *op, const redisReply *r) {
        if (op->kind == FA_OP_REBIND && r->type == REDIS_REPLY_INTEGER)
                return 0;
        if (!is_array(r, 1))
                return FAAS_E_PROTO;
        if (op->kind == FA_OP_LOAD)
                return r->element[0]->type == REDIS_REPLY_STRING ? read_load(rd, op, r)
                                                                 : FAAS_E_PROTO;
        op->r = (int)number_of(r->element[0]);
        if (op->r || op->kind == FA_OP_DROP)
                return 0;
        if (op->kind == FA_OP_TAKE) {
                if (!is_array(r, 2))
                        return FAAS_E_PROTO;
                op->gen = (uint32_t)number_of(r->element[1]);
                return 0;
        }
        if (!is_array(r, 4))
                return FAAS_E_PROTO;
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
        return read_owned(op, r->element[3]);
}

static bool alone(uint8_t kind) {
        return kind == FA_OP_START || kind == FA_OP_REBIND || kind == FA_OP_TICK ||
               kind == FA_OP_TAKE || kind == FA_OP_DROP || kind == FA_OP_LOAD;
}

int fa_rgroup_read(struct fa_group *g,
                   const redisReply *reply,
                   void (*on_bad)(void *arg, const struct faas_id *id),
                   void *arg) {
        const struct reader rd = {on_bad, arg};
        size_t run = 1, end;
        int e = 0;

        if (!is_array(reply, 1) || reply->element[0]->type != REDIS_REPLY_INTEGER)
                return FAAS_E_PROTO;
        g->r = (int)reply->element[0]->integer;
        if (g->r)
                return 0;
        for (size_t i = 0; i < g->n && e == 0; i = end, run++) {
                end = fa_rgroup_run_end(g, i);
                if (run >= reply->elements)
                        return FAAS_E_PROTO;
                e = alone(g->ops[i].kind) ? read_single(&rd, &g->ops[i], reply->element[run])
                                          : read_run(&rd, &g->ops[i], end - i, reply->element[run]);
        }
        return e;
}
