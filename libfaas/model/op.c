/*
 * op.c - the life of groups and records
 *
 * A group's operations lie in one array that grows by doubling; a finished group is freed with
 * everything its answers brought.  No behaviour: what an operation means is store/memory.c.
 */
#include "model/op.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

int fa_group_new(struct fa_group **ret) {
        struct fa_group *g = calloc(1, sizeof(*g));

        if (!g)
                return -ENOMEM;
        *ret = g;
        return 0;
}

void fa_record_deinit(struct fa_record *r) {
        r->spec = fa_spec_unref(r->spec);
        fa_outcome_deinit(&r->outcome);
}

void fa_record_copy(struct fa_record *dst, const struct fa_record *src) {
        *dst = *src;
        if (dst->spec)
                fa_spec_ref(dst->spec);
        fa_outcome_ref(&dst->outcome, &src->outcome);
}

static void more_free(struct fa_op_more *m) {
        for (size_t i = 0; i < m->n_recs; i++)
                fa_record_deinit(&m->recs[i]);
        free(m->recs);
        free(m->leases);
        free(m->owned);
        free(m);
}

static void op_deinit(struct fa_op *op) {
        fa_spec_unref(op->spec);
        fa_outcome_deinit(&op->outcome);
        if (op->rec) {
                fa_record_deinit(op->rec);
                free(op->rec);
        }
        if (op->more)
                more_free(op->more);
}

void fa_group_reset(struct fa_group *g) {
        for (size_t i = 0; i < g->n; i++)
                op_deinit(&g->ops[i]);
        *g = (struct fa_group){.ops = g->ops, .cap = g->cap};
}

struct fa_group *fa_group_free(struct fa_group *g) {
        if (!g)
                return NULL;
        fa_group_reset(g);
        free(g->ops);
        free(g);
        return NULL;
}

static bool needs_more(enum fa_op_kind kind) {
        return kind == FA_OP_START || kind == FA_OP_TICK || kind == FA_OP_REBIND ||
               kind == FA_OP_LOAD;
}

struct fa_op *fa_group_add(struct fa_group *g, enum fa_op_kind kind) {
        if (g->n == g->cap) {
                size_t cap = g->cap ? g->cap * 2 : 8;
                struct fa_op *ops = realloc(g->ops, cap * sizeof(*ops));

                if (!ops)
                        return NULL;
                g->ops = ops;
                g->cap = cap;
        }
        struct fa_op *op = &g->ops[g->n];
        *op = (struct fa_op){.kind = (uint8_t)kind};
        if (needs_more(kind)) {
                op->more = calloc(1, sizeof(*op->more));
                if (!op->more)
                        return NULL;
        }
        g->n++;
        return op;
}

void fa_group_drop_last(struct fa_group *g) {
        op_deinit(&g->ops[--g->n]);
}
