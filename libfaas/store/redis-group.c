/*
 * redis-group.c - writes a group as a call of the script
 *
 * A run ends where kind, partition, hash of records or (FINISH) status change, where an id comes
 * again, and after RUN_MAX operations: Lua unpacks no more than some 8,000 values at once.  Reading
 * the answer finds the same runs again (fa_rgroup_run_end()).
 */
#include "store/redis-group.h"

#include <stdlib.h>
#include <string.h>

#include "base/macros.h"
#include "store/redis-record.h"
#include "store/redis-run.h"

#define RUN_MAX 512
#define LOAD_MAX 256               /* records that one LOAD tells */
#define SEEN ((size_t)4 * RUN_MAX) /* places of the table of a run's ids */

enum { GUARDED = 1, ORDINARY = 2, REFUSE = 4, RARE = 8 };

/* ---- runs ---- */

/* May others of its kind follow in one run? */
static bool batched(uint8_t kind) {
        return kind == FA_OP_ACCEPT || kind == FA_OP_FINISH || kind == FA_OP_FORGET ||
               kind == FA_OP_GET || kind == FA_OP_HINT;
}

/* Where they stand, as far as it is known. */
static uint32_t place_of(const struct fa_group *g, const struct fa_op *op) {
        return fa_rgroup_known(g, op) ? op->spec->place : 0;
}

static bool fits(const struct fa_group *g, const struct fa_op *a, const struct fa_op *b) {
        return a->kind == b->kind && a->partition == b->partition &&
               fa_rrec_bucket(&a->id) == fa_rrec_bucket(&b->id) &&
               place_of(g, a) == place_of(g, b) &&
               (a->kind != FA_OP_FINISH || a->outcome.status == b->outcome.status);
}

/* false: the id is there already.  Places hold numbers of operations, from 1. */
static bool seen_add(const struct fa_group *g, size_t first, uint16_t *seen, size_t i) {
        uint64_t h;

        /* Ids of one client follow each other: their last bytes alone differ. */
        memcpy(&h, g->ops[i].id.b + 8, sizeof(h));
        for (h = __builtin_bswap64(h) * UINT64_C(0x9e3779b97f4a7c15) >> 32;; h++) {
                uint16_t *at = &seen[h % SEEN];
                if (!*at) {
                        *at = (uint16_t)(i - first + 1);
                        return true;
                }
                if (memcmp(&g->ops[first + *at - 1].id, &g->ops[i].id, sizeof(struct faas_id)) == 0)
                        return false;
        }
}

size_t fa_rgroup_run_end(const struct fa_group *g, size_t first) {
        uint16_t seen[SEEN];
        size_t i = first + 1;

        if (!batched(g->ops[first].kind) || i == g->n || !fits(g, &g->ops[first], &g->ops[i]))
                return i;
        memset(seen, 0, sizeof(seen));
        (void)seen_add(g, first, seen, first);
        while (i < g->n && i - first < RUN_MAX && fits(g, &g->ops[first], &g->ops[i]) &&
               seen_add(g, first, seen, i))
                i++;
        return i;
}

/* ---- the head ---- */

static bool touches_partition(const struct fa_op *op) {
        return op->kind == FA_OP_LOAD || op->kind == FA_OP_ACCEPT || op->kind == FA_OP_FINISH ||
               op->kind == FA_OP_REQUEUE || op->kind == FA_OP_HINT || op->kind == FA_OP_RESTORE;
}

static unsigned flags_of(const struct fa_group *g, bool refuse) {
        unsigned flags = refuse ? REFUSE : 0;

        if (g->seq)
                flags |= GUARDED;
        for (size_t i = 0; i < g->n; i++) {
                const struct fa_op *op = &g->ops[i];
                if (op->kind != FA_OP_START && op->kind != FA_OP_REBIND && op->kind != FA_OP_GET)
                        flags |= GUARDED;
                if (touches_partition(op) && op->kind != FA_OP_RESTORE)
                        flags |= ORDINARY;
                if (!batched(op->kind))
                        flags |= RARE;
        }
        return flags;
}

/* The partitions that must be the epoch's, as arguments; those of a TICK may stand there twice. */
struct parts {
        size_t n;
        uint64_t last;
        struct fa_buf args;
};

static void parts_add(struct parts *p, uint64_t partition) {
        if (p->n && p->last == partition)
                return; /* most groups touch one */
        p->n++;
        p->last = partition;
        fa_redis_put_u64(&p->args, partition);
}

static void parts_of(struct parts *p, const struct fa_group *g) {
        for (size_t i = 0; i < g->n; i++) {
                const struct fa_op *op = &g->ops[i];
                if (touches_partition(op))
                        parts_add(p, op->partition);
                for (size_t k = 0; op->kind == FA_OP_TICK && k < op->more->n_owned; k++)
                        parts_add(p, op->more->owned[k].partition);
        }
}

/* ---- operations ---- */

static void put_binary(struct fa_buf *out, uint64_t n, size_t len) {
        n = __builtin_bswap64(n << (64 - 8 * len));
        fa_redis_put_bulk(out, &n, len);
}

static void put_id(struct fa_buf *out, const struct faas_id *id) {
        fa_redis_put_bulk(out, id->b, sizeof(id->b));
}

static void put_open(struct fa_buf *out, const struct fa_op *op, uint32_t part) {
        fa_redis_begin_bulk(out, fa_rrec_open_len(op->spec));
        fa_rrec_open(out, op, part);
        fa_redis_end_bulk(out);
}

static void put_result(struct fa_buf *out, const struct fa_op *op) {
        fa_redis_begin_bulk(out, fa_rrec_result_len(&op->outcome));
        fa_rrec_result(out, op);
        fa_redis_end_bulk(out);
}

/* The strike's fence as it stands in a record. */
static void put_fence(struct fa_buf *out, const struct fa_fence *f) {
        const uint32_t gen = __builtin_bswap32(f->gen);
        const uint64_t n = __builtin_bswap64(f->n);
        uint8_t v[sizeof(gen) + sizeof(n)];

        memcpy(v, &gen, sizeof(gen));
        memcpy(v + sizeof(gen), &n, sizeof(n));
        fa_redis_put_bulk(out, v, sizeof(v));
}

static void put_run_head(struct fa_buf *out, const struct fa_op *op, const struct fa_rcall *call) {
        switch (op->kind) {
        case FA_OP_ACCEPT:
                fa_redis_put_str(out, "A");
                fa_redis_put_u64(out, op->partition);
                fa_redis_put_u64(out, fa_rrec_bucket(&op->id));
                put_binary(out, call->part, 4);
                break;
        case FA_OP_FINISH:
                fa_redis_put_str(out, "F");
                fa_redis_put_u64(out, op->partition);
                put_binary(out, op->partition, 8);
                fa_redis_put_u64(out, fa_rrec_bucket(&op->id));
                fa_redis_put_bulk(out, &op->outcome.status, 1);
                break;
        case FA_OP_HINT:
                fa_redis_put_str(out, "H");
                put_binary(out, op->partition, 8);
                fa_redis_put_u64(out, fa_rrec_bucket(&op->id));
                break;
        case FA_OP_FORGET:
                fa_redis_put_str(out, "G");
                put_binary(out, call->epoch, 8);
                fa_redis_put_u64(out, fa_rrec_bucket(&op->id));
                break;
        default: /* GET */
                fa_redis_put_str(out, "R");
                fa_redis_put_u64(out, fa_rrec_bucket(&op->id));
        }
}

static void
put_collected(struct fa_buf *out, const struct fa_op *ops, size_t n, const struct fa_rcall *call) {
        static const uint8_t tomb = FA_RREC_TOMB;
        size_t bytes = 0;

        for (size_t i = 0; i < n; i++)
                bytes += fa_rrec_final_len(&ops[i].outcome);
        fa_redis_put_str(out, "C");
        put_binary(out, call->epoch, 8);
        fa_redis_put_u64(out, fa_rrec_bucket(&ops->id));
        put_binary(out, ops->spec->place - 1, 4);
        fa_redis_put_u64(out, bytes);
        fa_redis_put_u64(out, n);
        for (size_t i = 0; i < n; i++) {
                put_id(out, &ops[i].id);
                fa_redis_put_bulk(out, &tomb, sizeof(tomb));
        }
}

/* All of one part of the journal.  Where the results will stand is a guess; the script mends it. */
static void
put_ended(struct fa_buf *out, const struct fa_op *ops, size_t n, const struct fa_rcall *call) {
        size_t before = 0;
        size_t after = 0;

        for (size_t i = 0; i < n; i++) {
                before += fa_rrec_open_len(ops[i].spec);
                after += fa_rrec_final_len(&ops[i].outcome);
        }
        fa_redis_put_str(out, "K");
        fa_redis_put_u64(out, ops->partition);
        fa_redis_put_u64(out, fa_rrec_bucket(&ops->id));
        put_binary(out, ops->spec->place, 4);
        put_binary(out, call->results, 4);
        fa_redis_put_u64(out, before);
        fa_redis_put_u64(out, after);
        fa_redis_put_u64(out, n);
        for (size_t i = 0; i < n; i++) {
                put_id(out, &ops[i].id);
                fa_redis_begin_bulk(out, fa_rrec_final_len(&ops[i].outcome));
                fa_rrec_final(out, &ops[i], call->results);
                fa_redis_end_bulk(out);
        }
}

static void
put_run(struct fa_buf *out, const struct fa_op *ops, size_t n, const struct fa_rcall *call) {
        size_t bytes = 0;

        put_run_head(out, ops, call);
        for (size_t i = 0; i < n && ops->kind == FA_OP_ACCEPT; i++)
                bytes += fa_rrec_open_len(ops[i].spec);
        if (ops->kind == FA_OP_ACCEPT)
                fa_redis_put_u64(out, bytes);
        fa_redis_put_u64(out, n);
        for (size_t i = 0; i < n; i++) {
                put_id(out, &ops[i].id);
                if (ops->kind == FA_OP_ACCEPT)
                        put_open(out, &ops[i], call->part);
        }
        for (size_t i = 0; i < n && ops->kind == FA_OP_FINISH; i++)
                put_result(out, &ops[i]);
}

static void put_restore(struct fa_buf *out, const struct fa_op *op) {
        const uint8_t status = fa_state_final(op->state) ? op->state : 0;

        fa_redis_put_str(out, "S");
        fa_redis_put_u64(out, op->partition);
        put_binary(out, op->partition, 8);
        fa_redis_put_u64(out, fa_rrec_bucket(&op->id));
        put_id(out, &op->id);
        put_open(out, op, 0);
        fa_redis_put_bulk(out, &status, 1);
        if (status)
                put_result(out, op);
        else
                fa_redis_put_str(out, "");
}

static void put_rebind(struct fa_buf *out, const struct fa_op *op) {
        const struct fa_op_more *more = op->more;

        fa_redis_put_str(out, "B");
        fa_redis_put_str(out, op->state == FA_REBIND_DONE ? "1" : "0");
        fa_redis_put_str(out, more->name ? more->name : "");
        fa_redis_put_str(out, more->endpoint ? more->endpoint : "");
        fa_redis_put_u64(out, op->cursor);
        fa_redis_put_u64(out, more->n_owned);
        for (size_t i = 0; i < more->n_owned; i++) {
                fa_redis_put_u64(out, more->owned[i].partition);
                fa_redis_put_u64(out, more->owned[i].gen);
        }
}

static void put_requeue(struct fa_buf *out, const struct fa_op *op) {
        fa_redis_put_str(out, "Q");
        put_binary(out, op->partition, 8);
        fa_redis_put_u64(out, fa_rrec_bucket(&op->id));
        put_id(out, &op->id);
        put_binary(out, op->retries, 4);
        put_fence(out, &op->fence);
        put_binary(out, op->strikes, 4);
}

static void put_load(struct fa_buf *out, const struct fa_op *op) {
        fa_redis_put_str(out, "L");
        fa_redis_put_u64(out, op->partition);
        put_binary(out, op->partition, 8);
        fa_redis_put_u64(out, op->cursor >> 32);
        fa_redis_put_u64(out, op->cursor & UINT32_MAX);
        fa_redis_put_u64(out, op->n ? op->n : LOAD_MAX);
}

/* One of those that come alone. */
static void put_single(struct fa_buf *out, const struct fa_op *op) {
        switch (op->kind) {
        case FA_OP_START:
                fa_redis_put_str(out, "T");
                fa_redis_put_str(out, op->more->name);
                fa_redis_put_str(out, op->more->endpoint);
                fa_redis_put_u64(out, op->owner);
                fa_redis_put_u64(out, op->more->process);
                break;
        case FA_OP_TICK:
                fa_redis_put_str(out, "K");
                break;
        case FA_OP_TAKE:
                fa_redis_put_str(out, "V");
                fa_redis_put_u64(out, op->partition);
                fa_redis_put_u64(out, op->owner);
                break;
        case FA_OP_DROP:
                fa_redis_put_str(out, "X");
                fa_redis_put_u64(out, op->partition);
                break;
        case FA_OP_REBIND:
                put_rebind(out, op);
                break;
        case FA_OP_REQUEUE:
                put_requeue(out, op);
                break;
        case FA_OP_RESTORE:
                put_restore(out, op);
                break;
        default:
                assert(op->kind == FA_OP_LOAD);
                put_load(out, op);
        }
}

/* How many arguments a run of n operations has. */
static size_t n_args(const struct fa_group *g, const struct fa_op *op, size_t n) {
        switch (op->kind) {
        case FA_OP_ACCEPT:
        case FA_OP_FINISH:
                return (fa_rgroup_known(g, op) ? 8 : 6) + 2 * n;
        case FA_OP_HINT:
                return 4 + n;
        case FA_OP_FORGET:
                return fa_rgroup_known(g, op) ? 6 + 2 * n : 4 + n;
        case FA_OP_GET:
                return 3 + n;
        case FA_OP_REBIND:
                return 6 + 2 * op->more->n_owned;
        case FA_OP_REQUEUE:
                return 7;
        case FA_OP_RESTORE:
                return 8;
        case FA_OP_LOAD:
                return 6;
        case FA_OP_START:
                return 5;
        case FA_OP_TAKE:
                return 3;
        case FA_OP_DROP:
                return 2;
        default: /* TICK */
                return 1;
        }
}

size_t fa_rgroup_accepts(const struct fa_group *g) {
        size_t n = 0;

        for (size_t i = 0; i < g->n; i++)
                n += g->ops[i].kind == FA_OP_ACCEPT;
        return n;
}

void fa_rgroup_write(struct fa_buf *out, const struct fa_group *g, const struct fa_rcall *call) {
        struct parts parts = {.args = FA_BUF_NULL};
        size_t n = 14; /* EVALSHA, script, 1, key; ten of its own */
        size_t end;

        parts_of(&parts, g);
        n += parts.n;
        for (size_t i = 0; i < g->n; i = end) {
                end = fa_rgroup_run_end(g, i);
                n += n_args(g, &g->ops[i], end - i);
        }
        fa_redis_put_array(out, n);
        fa_redis_put_str(out, "EVALSHA");
        fa_redis_put_str(out, call->sha);
        fa_redis_put_str(out, "1");
        fa_redis_put_str(out, call->meta);
        fa_redis_put_u64(out, g->epoch);
        fa_redis_put_u64(out, g->seq);
        fa_redis_put_u64(out, call->now_ns);
        fa_redis_put_u64(out, flags_of(g, call->refuse));
        fa_redis_put_u64(out, call->cfg->max_tasks);
        fa_redis_put_u64(out, call->cfg->max_bytes);
        fa_redis_put_u64(out, call->cfg->result_bytes);
        fa_redis_put_u64(out, call->cfg->lease_ticks);
        fa_redis_put_u64(out, call->cfg->tick_ns);
        fa_redis_put_u64(out, parts.n);
        fa_buf_put(out, parts.args.p, parts.args.len);
        for (size_t i = 0; i < g->n; i = end) {
                end = fa_rgroup_run_end(g, i);
                if (fa_rgroup_known(g, &g->ops[i]) && g->ops[i].kind == FA_OP_FINISH)
                        put_ended(out, &g->ops[i], end - i, call);
                else if (fa_rgroup_known(g, &g->ops[i]))
                        put_collected(out, &g->ops[i], end - i, call);
                else if (batched(g->ops[i].kind))
                        put_run(out, &g->ops[i], end - i, call);
                else
                        put_single(out, &g->ops[i]);
        }
        out->failed |= parts.args.failed;
        fa_buf_deinit(&parts.args);
}
