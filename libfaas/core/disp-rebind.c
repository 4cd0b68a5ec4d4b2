/*
 * disp-rebind.c - the store came back, perhaps without its last writes: binds again, and writes all
 * that lives once more
 *
 * While that goes on no ordinary group is sent.  What lack of memory stops is done again a moment
 * later, all of it: binding and restoring twice is harmless until the store hears that it is done.
 */
#include <stdlib.h>

#include "core/disp-private.h"

#define AGAIN_NS (10 * FA_NS_PER_MS)
#define RESTORE_MAX 256 /* records of one group */

/* The partitions that I believe to be mine, or not those that I am about to drop; NULL: no memory.
 */
struct fa_owned *fa_disp_owned_list(const struct fa_disp *d, bool all, size_t *ret_n) {
        struct fa_owned *v;
        struct fa_list *it;
        size_t n = 0;

        fa_list_for_each (it, &d->parts)
                n++;
        v = calloc(n ? n : 1, sizeof(*v));
        if (!v)
                return NULL;
        *ret_n = 0;
        fa_list_for_each (it, &d->parts) {
                const struct part *p = fa_list_entry(it, struct part, link);
                if (all || !p->dropping)
                        v[(*ret_n)++] = (struct fa_owned){p->partition, d->epoch, p->gen};
        }
        return v;
}

/* false: no memory. */
static bool bind(struct fa_disp *d) {
        size_t n;
        struct fa_owned *owned = fa_disp_owned_list(d, true, &n);
        struct fa_op *op = owned ? fa_disp_control_op(d, FA_OP_REBIND) : NULL;

        if (!op) {
                free(owned);
                return false;
        }
        op->more->owned = owned;
        op->more->n_owned = n;
        op->more->name = d->cfg.name;
        op->more->endpoint = d->cfg.endpoint;
        op->cursor = d->answered_seq;
        return true;
}

/* In the group before, if that has room.  NULL: no memory. */
static struct fa_op *restore_op(struct fa_disp *d, struct fa_group **g, size_t bytes) {
        struct fa_op *op;

        if (*g && (*g)->n < RESTORE_MAX && (*g)->bytes + bytes <= FA_BATCH_BYTES) {
                op = fa_group_add(*g, FA_OP_RESTORE);
        } else {
                op = fa_disp_control_op(d, FA_OP_RESTORE);
                *g = op ? fa_container_of(d->control_last, struct fa_group, next) : NULL;
        }
        if (op)
                (*g)->bytes += bytes;
        return op;
}

static bool restore(struct fa_disp *d, struct fa_group **g, const struct task *t) {
        size_t bytes = fa_blob_len(fa_spec_payload(t->spec)) +
                       fa_blob_len(fa_disp_run_of(t)->outcome.payload);
        struct fa_op *op = restore_op(d, g, bytes);

        if (!op)
                return false;
        op->id = t->node.key;
        op->partition = fa_disp_part_of(d, t)->partition;
        op->client = t->client;
        op->spec = fa_spec_ref(t->spec);
        op->strikes = fa_disp_run_of(t)->strikes;
        op->retries = fa_disp_run_of(t)->retries;
        op->fence = fa_disp_run_of(t)->strike_fence;
        op->state = FAAS_QUEUED;
        if (t->state == TASK_FINAL) {
                op->state = fa_disp_run_of(t)->outcome.status;
                op->fence = fa_disp_run_of(t)->fence;
                fa_outcome_ref(&op->outcome, &fa_disp_run_of(t)->outcome);
        }
        op = t->collected ? fa_disp_op(d, FA_OP_FORGET) : NULL;
        if (op)
                op->id = t->node.key;
        return true;
}

/* Writes the whole live state again, if some was lost, then lets the ordinary groups go on.  false:
 * no memory. */
static bool restore_all(struct fa_disp *d) {
        struct fa_group *g = NULL;
        struct fa_op *op;
        size_t it = 0;

        for (const struct task *t; d->lost_tail && (t = fa_map_next(&d->tasks, &it));) {
                if (t->state == TASK_ACCEPTING || t->state == TASK_ELSEWHERE || !t->spec)
                        continue;
                if (!restore(d, &g, t))
                        return false;
        }
        op = fa_disp_control_op(d, FA_OP_REBIND);
        if (!op)
                return false;
        op->state = FA_REBIND_DONE;
        return true;
}

static void go_on(struct fa_disp *d) {
        if ((d->owes == OWES_BIND && bind(d)) || (d->owes == OWES_RESTORE && restore_all(d)))
                d->owes = OWES_NOTHING;
}

void fa_disp_store_lost(struct fa_disp *d) {
        if (!d->epoch)
                return;
        d->rebinding = true;
        fa_disp_loads_again(d);
        d->owes = OWES_BIND;
        d->owes_at_ns = 0;
        go_on(d);
}

void fa_disp_rebind_tick(struct fa_disp *d, uint64_t now_ns) {
        if (d->owes == OWES_NOTHING || now_ns < d->owes_at_ns)
                return;
        d->owes_at_ns = now_ns + AGAIN_NS;
        go_on(d);
}

void fa_disp_rebound(struct fa_disp *d, const struct fa_op *op, uint64_t now_ns) {
        const struct fa_op_more *more = op->more;

        if (op->state == FA_REBIND_DONE) {
                d->rebinding = false;
                if (d->lost_tail) {
                        fa_disp_retain_again(d, now_ns);
                        fa_disp_spilled_forget(d);
                }
                return;
        }
        if (d->owes == OWES_BIND)
                return;  /* the store was lost again meanwhile */
        if (op->r < 0) { /* no memory there: once more */
                d->owes = OWES_BIND;
                d->owes_at_ns = 0;
                return;
        }
        /* Does it have all of mine that was answered?  The rest is handed in again. */
        d->lost_tail = more->last_seq < op->cursor;
        /* The store may have fallen back to before I took these: they are mine again. */
        for (size_t i = 0; i < more->n_owned; i++)
                if (!fa_disp_part(d, more->owned[i].partition))
                        (void)fa_disp_part_add(d, more->owned[i].partition, more->owned[i].gen,
                                               false);
        d->owes = OWES_RESTORE;
        d->owes_at_ns = 0;
        go_on(d);
}

/* A record that I restored was accepted by somebody else meanwhile, or is final already. */
void fa_disp_restored(struct fa_disp *d, const struct fa_op *op, uint64_t now_ns) {
        struct task *t = fa_disp_task_find(d, &op->id);

        if (op->r != FAAS_E_EXISTS || !op->rec || !t || t->state == TASK_FINISHING)
                return;
        if (fa_disp_part_of(d, t) && fa_disp_part_of(d, t)->partition != op->rec->partition) {
                fa_disp_elsewhere(d, t, op->rec, now_ns);
        } else if (fa_state_final(op->rec->state) && t->state != TASK_FINAL) {
                fa_disp_tell_done(d, t, op->rec->state, &op->rec->outcome);
                fa_disp_task_free(d, t);
        }
}
