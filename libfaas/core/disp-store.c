/*
 * disp-store.c - the dispatcher and its store: groups out, answers in, partitions taken over
 *
 * Answers come in the order of the groups, so "committed" needs no bookkeeping: what may be told
 * after a commit is told when its answer is read.  Whether a group was lost and handed in again is
 * the store adapter's business; a definite answer is all that arrives here.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/disp-private.h"

#define GROUP_OPS 1024u        /* beyond this a larger group is not any cheaper */
#define GROUP_BYTES (2u << 20) /* four of them may be under way: 8 MiB */

static size_t op_bytes(const struct fa_op *op) {
        const bool submits = op->spec && op->kind != FA_OP_FINISH;

        if (op->kind == FA_OP_FORGET)
                return 0;
        return (submits ? fa_blob_len(fa_spec_payload(op->spec)) : 0) +
               fa_blob_len(op->outcome.payload) + fa_blob_len(op->outcome.text) +
               fa_blob_len(op->outcome.log);
}

/* The open group takes no more: it waits, closed, behind those that are. */
static void close_open(struct fa_disp *d) {
        *d->closed_last = d->open;
        d->closed_last = &d->open->next;
        d->open = NULL;
}

struct fa_op *fa_disp_op(struct fa_disp *d, enum fa_op_kind kind) {
        /* What the last op carries is known only now. */
        if (d->open && d->open->n) {
                d->open->bytes += op_bytes(&d->open->ops[d->open->n - 1]);
                if (d->open->n >= GROUP_OPS || d->open->bytes >= GROUP_BYTES)
                        close_open(d);
        }
        if (!d->open && d->spare_groups) {
                d->open = d->spare_groups;
                d->spare_groups = d->open->next;
                d->n_spare_groups--;
                d->open->next = NULL;
        }
        if (!d->open && fa_group_new(&d->open))
                return NULL;
        return fa_group_add(d->open, kind);
}

/* A full one is 144 KiB that need not be grown again, nor mapped by the system each time. */
void fa_disp_group_done(struct fa_disp *d, struct fa_group *g) {
        if (d->n_spare_groups >= d->cfg.max_groups) {
                fa_group_free(g);
                return;
        }
        fa_group_reset(g);
        g->next = d->spare_groups;
        d->spare_groups = g;
        d->n_spare_groups++;
}

void fa_disp_op_drop(struct fa_disp *d) {
        fa_group_drop_last(d->open);
}

struct fa_op *fa_disp_control_op(struct fa_disp *d, enum fa_op_kind kind) {
        struct fa_group *g;
        struct fa_op *op;

        if (fa_group_new(&g))
                return NULL;
        op = fa_group_add(g, kind);
        if (!op) {
                fa_group_free(g);
                return NULL;
        }
        g->epoch = d->epoch;
        *d->control_last = g;
        d->control_last = &g->next;
        return op;
}

struct fa_group *fa_disp_group(struct fa_disp *d) {
        struct fa_group *g = d->control;

        if (d->fenced)
                return NULL;
        if (g) {
                d->control = g->next;
                if (!d->control)
                        d->control_last = &d->control;
                g->next = NULL;
                return g;
        }
        if (!d->epoch || d->rebinding || d->unanswered >= d->cfg.max_groups)
                return NULL;
        if (!d->closed && d->open && d->open->n)
                close_open(d);
        g = d->closed;
        if (!g)
                return NULL;
        d->closed = g->next;
        if (!d->closed)
                d->closed_last = &d->closed;
        g->next = NULL;
        g->epoch = d->epoch;
        g->seq = ++d->seq;
        d->unanswered++;
        return g;
}

int fa_disp_store_start(struct fa_disp *d) {
        struct fa_op *op = fa_disp_control_op(d, FA_OP_START);

        if (!op)
                return -ENOMEM;
        op->owner = d->cfg.was_epoch;
        op->more->name = d->cfg.name;
        op->more->endpoint = d->cfg.endpoint;
        op->more->process = d->cfg.seed;
        d->starting = true;
        return 0;
}

struct part *fa_disp_part(const struct fa_disp *d, uint64_t partition) {
        const struct faas_id key = fa_disp_key(partition);

        if (d->home && d->home->partition == partition)
                return d->home;
        return fa_map_find(&d->parts_by_number, &key);
}

static int on_start(struct fa_disp *d, const struct fa_op *op, uint64_t now_ns) {
        if (op->r)
                return op->r;
        d->epoch = op->owner;
        d->started_ns = now_ns;
        d->starting = false;
        for (size_t i = 0; i < op->more->n_owned; i++) {
                const struct fa_owned *o = &op->more->owned[i];
                struct part *p =
                        fa_disp_part_add(d, o->partition, o->gen, o->partition == d->epoch);
                if (!p)
                        return -ENOMEM;
                if (o->partition == d->epoch)
                        d->home = p;
                else
                        d->stats.taken_over++;
        }
        d->tick_at_ns = now_ns;
        return d->home ? 0 : -ENOMEM;
}

static void on_accept(struct fa_disp *d, const struct fa_op *op, uint64_t now_ns) {
        struct task *t = fa_map_find_at(&d->tasks, &op->id, op->mark);

        if (!t || t->state != TASK_ACCEPTING)
                return;
        if (op->r == 0) {
                d->stats.accepted++;
                if (fa_disp_spill(d, t, now_ns))
                        return;
                fa_disp_queue(d, t, false);
                fa_disp_tell_accepted(d, t, 0);
                fa_disp_tell_done(d, t, FAAS_QUEUED, NULL); /* those who asked meanwhile */
                return;
        }
        if (op->r == FAAS_E_EXISTS && op->rec && (!op->differs || !fa_rule(SAME_BYTES))) {
                if (!fa_state_final(op->rec->state)) {
                        fa_disp_elsewhere(d, t, op->rec, now_ns);
                        return;
                }
                fa_disp_tell_accepted(d, t, 0);
                fa_disp_tell_done(d, t, op->rec->state, &op->rec->outcome);
        } else {
                d->stats.refused++;
                fa_disp_tell_accepted(d, t, (uint8_t)(op->r > 0 ? op->r : FAAS_E_UNAVAILABLE));
        }
        fa_disp_task_free(d, t);
}

/* FINISH with what the task keeps. */
static void write_finish(struct fa_disp *d, const struct task *t) {
        struct fa_op *op = fa_disp_op(d, FA_OP_FINISH);

        if (!op)
                return; /* its worker sends the result again, and its client asks */
        op->id = t->node.key;
        op->mark = t->node.index;
        op->partition = fa_disp_part_of(d, t)->partition;
        op->fence = fa_disp_run_of(t)->fence;
        op->strikes = fa_disp_run_of(t)->strikes;
        fa_outcome_ref(&op->outcome, &fa_disp_run_of(t)->outcome);
}

static void on_finish(struct fa_disp *d, const struct fa_op *op, uint64_t now_ns) {
        struct task *t = fa_map_find_at(&d->tasks, &op->id, op->mark);

        if (!t || t->state != TASK_FINISHING)
                return;
        if (op->r == 0) {
                d->stats.completed += op->outcome.status == FAAS_COMPLETED;
                d->stats.failed += op->outcome.status == FAAS_FAILED;
                d->stats.cancelled += op->outcome.status == FAAS_CANCELLED;
                fa_disp_final(d, t, &op->outcome, &op->fence, now_ns);
        } else if (op->r == FAAS_E_EXISTS && op->rec) {
                fa_disp_final(d, t, &op->rec->outcome, &op->rec->fence, now_ns);
        } else if (op->r == FAAS_E_STALE && op->rec) {
                fa_disp_elsewhere(d, t, op->rec, now_ns);
        } else if (op->r < 0) {
                write_finish(d, t); /* no memory there: once more */
        } else {
                /* No record: it was collected, or never was. */
                fa_disp_tell_done(d, t, op->r == FAAS_E_GONE ? FA_STATE_GONE : FA_STATE_NOT_FOUND,
                                  NULL);
                fa_disp_task_free(d, t);
        }
}

static void on_get(struct fa_disp *d, const struct fa_op *op, uint64_t now_ns) {
        struct task *t = fa_map_find_at(&d->tasks, &op->id, op->mark);

        if (!t)
                return;
        t->reading = false;
        if (t->state != TASK_ELSEWHERE)
                return; /* submitted here meanwhile */
        if (op->r < 0)
                return; /* no memory there: the next sweep reads it again */
        if (op->r == 0 && op->rec && !fa_state_final(op->rec->state)) {
                fa_disp_elsewhere(d, t, op->rec, now_ns);
                return;
        }
        fa_disp_unwanted(d, t, op->r == 0 ? op->rec : NULL);
        if (op->r == 0 && op->rec)
                fa_disp_tell_accepted(d, t, 0);
        else
                fa_disp_refuse(d, t, op->r);
        if (op->r == 0 && op->rec)
                fa_disp_tell_done(d, t, op->rec->state, &op->rec->outcome);
        else
                fa_disp_tell_done(d, t, op->r == FAAS_E_GONE ? FA_STATE_GONE : FA_STATE_NOT_FOUND,
                                  NULL);
        fa_disp_task_free(d, t);
}

static uint64_t lease_age(const struct fa_op_more *more, uint64_t epoch) {
        for (size_t i = 0; i < more->n_leases; i++)
                if (more->leases[i].epoch == epoch)
                        return more->tick - more->leases[i].tick;
        return UINT64_MAX; /* no lease at all */
}

static void on_tick(struct fa_disp *d, const struct fa_op *op) {
        const struct fa_op_more *more = op->more;

        d->ticking = false;
        for (size_t i = 0; i < more->n_owned; i++) {
                const struct fa_owned *o = &more->owned[i];
                if (o->owner == d->epoch || lease_age(more, o->owner) < d->cfg.lease_ticks)
                        continue;
                struct fa_op *take = fa_disp_op(d, FA_OP_TAKE);
                if (!take)
                        return;
                take->partition = o->partition;
                take->owner = o->owner;
        }
}

static void on_take(struct fa_disp *d, const struct fa_op *op) {
        struct part *p = fa_disp_part(d, op->partition);

        if (op->r || (p && p->gen == op->gen))
                return;
        d->stats.taken_over++;
        fa_disp_part_add(d, op->partition, op->gen, false);
}

static int on_op(struct fa_disp *d, const struct fa_op *op, uint64_t now_ns) {
        switch (op->kind) {
        case FA_OP_START:
                return on_start(d, op, now_ns);
        case FA_OP_REBIND:
                fa_disp_rebound(d, op, now_ns);
                break;
        case FA_OP_TICK:
                on_tick(d, op);
                break;
        case FA_OP_TAKE:
                on_take(d, op);
                break;
        case FA_OP_DROP:
                fa_disp_dropped(d, op);
                break;
        case FA_OP_LOAD:
                fa_disp_loaded(d, op, now_ns);
                break;
        case FA_OP_ACCEPT:
                on_accept(d, op, now_ns);
                break;
        case FA_OP_FINISH:
                on_finish(d, op, now_ns);
                break;
        case FA_OP_RESTORE:
                fa_disp_restored(d, op, now_ns);
                break;
        case FA_OP_GET:
                on_get(d, op, now_ns);
                break;
        default: /* REQUEUE, HINT, FORGET: nobody waits */
                break;
        }
        return 0;
}

int fa_disp_store_answer(struct fa_disp *d, struct fa_group *g, uint64_t now_ns) {
        int r = 0;

        if (g->r == FAAS_E_FENCED) {
                d->fenced = true;
                return FAAS_E_FENCED;
        }
        if (g->seq) {
                d->unanswered--;
                d->answered_seq = g->seq;
        }
        for (size_t i = 0; i < g->n && !r; i++)
                r = on_op(d, &g->ops[i], now_ns);
        if (!d->rebinding)
                fa_disp_expire(d, now_ns);
        return r;
}

/* Renews the lease once a tick; takes up again what lack of memory stopped. */
void fa_disp_store_tick(struct fa_disp *d, uint64_t now_ns) {
        struct fa_owned *owned;
        struct fa_op *op;
        size_t n;

        fa_disp_rebind_tick(d, now_ns);
        if (!d->epoch || d->ticking || now_ns < d->tick_at_ns || d->cfg.tick_ns == FA_NEVER)
                return;
        d->tick_at_ns = now_ns + d->cfg.tick_ns;
        fa_disp_parts_tick(d, now_ns);
        owned = fa_disp_owned_list(d, false, &n);
        /* Out of the sequence: time must go on also while groups wait for others to bind again. */
        op = owned ? fa_disp_control_op(d, FA_OP_TICK) : NULL;
        if (!op) {
                free(owned);
                return;
        }
        op->more->owned = owned;
        op->more->n_owned = n;
        d->ticking = true;
}
