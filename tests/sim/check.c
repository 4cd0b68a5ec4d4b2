/*
 * check.c - the promises, looked at after every step that could break one
 */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "core/work-private.h"
#include "world.h"

void bad(struct world *w, const char *fmt, ...) {
        va_list ap;

        if (w->violation[0])
                return;
        va_start(ap, fmt);
        vsnprintf(w->violation, sizeof(w->violation), fmt, ap);
        va_end(ap);
        if (w->verbose)
                printf("%8.3f ms  VIOLATION: %s\n", (double)w->now_ns / MS, w->violation);
}

static bool same_outcome(const struct fa_outcome *a, const struct fa_outcome *b) {
        size_t len = fa_blob_len(a->payload);

        return a->status == b->status && a->failure == b->failure &&
               len == fa_blob_len(b->payload) &&
               memcmp(fa_blob_ptr(a->payload), fa_blob_ptr(b->payload), len) == 0;
}

static bool may_die_unseen(const struct world *w) {
        const struct profile *p = w->p;

        return p->loss || p->cut || p->worker_stall || p->disp_stall || p->reorder;
}

/* Strikes must have been earned, wherever deaths can be counted. */
static void check_strikes(struct world *w, const struct stask *t, const struct fa_record *r) {
        if (!may_die_unseen(w) && r->strikes > (uint32_t)t->deaths && t->kind != K_KILLER)
                bad(w, "P6: task %d has %u strikes stored, but %d deaths earned one",
                    task_index(w, &t->id), r->strikes, t->deaths);
}

static bool writes(const struct fa_op *op) {
        return op->kind == FA_OP_ACCEPT || op->kind == FA_OP_FINISH || op->kind == FA_OP_REQUEUE ||
               op->kind == FA_OP_RESTORE;
}

/* Before a group runs: may it take what it wants to take? */
void check_before(struct world *w, const struct fa_group *g) {
        w->may_take = true;
        for (size_t i = 0; i < g->n; i++) {
                uint64_t owner = fa_memory_owner(w->store, g->ops[i].partition);
                if (g->ops[i].kind == FA_OP_TAKE && owner != g->epoch &&
                    fa_memory_lease_age(w->store, owner) < w->store_cfg.lease_ticks)
                        w->may_take = false;
        }
}

/*
 * Where the store died with its dispatcher, nobody wants what that one handed out.  An interval
 * after it registered with the next one a worker has none of it: its slots are free.
 */
void check_void(struct world *w, int n) {
        const struct node *d = &w->nodes[0];
        struct node *node = &w->nodes[n];
        const struct link *l = &node->work->links[0];
        const struct held *h;
        size_t at = 0;

        if (!w->p->own_store || l->state != LINK_OPEN)
                return;
        if (l->epoch != node->with_epoch) {
                node->with_epoch = l->epoch;
                node->with_ns = w->now_ns;
        }
        if (!d->alive || fa_disp_epoch(d->disp) != l->epoch ||
            w->now_ns - node->with_ns <= HEARTBEAT_NS)
                return;
        while ((h = fa_map_next(&node->work->held, &at))) {
                if (h->fence.partition < l->epoch)
                        bad(w, "worker %d still holds task %d of a dispatcher that died", n,
                            task_index(w, &h->id));
        }
}

/* What was told to anybody must be what the store says, whatever it lost. */
static void reveal(struct world *w, struct stask *t, const struct fa_outcome *o) {
        if (t->revealed && !same_outcome(&t->told_end, o))
                bad(w, "P2: two ends of task %d were told", task_index(w, &t->id));
        if (!t->revealed)
                fa_outcome_ref(&t->told_end, o);
        t->revealed = true;
}

/* What was known of those that have not been told as ended is void, with the store it was in. */
void check_store_died(struct world *w) {
        for (int i = 0; i < w->n_tasks; i++) {
                struct stask *t = &w->tasks[i];
                t->is_final = t->forgotten = t->lone = false;
                t->strikes = 0;
                fa_outcome_deinit(&t->final);
                if (t->told)
                        continue;
                t->revealed = false;
                fa_outcome_deinit(&t->told_end);
        }
}

/*
 * Its connection had broken before the store stood still, so that it could not renew its lease:
 * that is a fault of its own.  After a restart of the store all are cut off, and none must be
 * taken.
 */
static bool cut_off(const struct world *w, uint64_t epoch) {
        for (int i = 0; i < w->n_d && !w->p->store_lose; i++)
                if (w->nodes[i].disp && fa_disp_epoch(w->nodes[i].disp) == epoch)
                        return w->nodes[i].store.broken;
        return false;
}

/* After a group has run: what did it change? */
void check_group(struct world *w, int n, const struct fa_group *g) {
        struct fa_record rec;

        (void)n;
        if (g->r)
                return;
        for (size_t i = 0; i < g->n; i++) {
                const struct fa_op *op = &g->ops[i];
                w->n_takes += op->kind == FA_OP_TAKE && op->r == 0 && !cut_off(w, op->owner);
                if (op->kind == FA_OP_TAKE && op->r == 0 && !w->may_take)
                        bad(w, "P7: a partition was taken before its owner's lease had run out");
                if (writes(op) && fa_memory_owner(w->store, op->partition) != g->epoch)
                        bad(w, "P5: a fenced epoch wrote task %d", task_index(w, &op->id));
                if (op->kind == FA_OP_START || op->kind == FA_OP_TAKE) {
                        /* What is hinted and running at a living worker now must not be run again.
                         */
                        for (int k = 0; k < w->n_tasks; k++)
                                if (fa_memory_peek(w->store, &w->tasks[k].id, &rec) ==
                                            FAAS_QUEUED &&
                                    rec.hinted)
                                        w->tasks[k].lone = true;
                }
                if (op->kind != FA_OP_ACCEPT && op->kind != FA_OP_FINISH &&
                    op->kind != FA_OP_REQUEUE && op->kind != FA_OP_FORGET &&
                    op->kind != FA_OP_RESTORE)
                        continue;
                struct stask *t = task_of(w, &op->id);
                uint8_t state = fa_memory_peek(w->store, &op->id, &rec);
                if (w->lost_tail)
                        continue; /* a lost tail may undo, by its nature: the end is what counts */
                if (t->forgotten && state != FA_STATE_GONE)
                        bad(w, "P2: task %d was collected and is back", task_index(w, &op->id));
                if (state == FA_STATE_GONE) {
                        t->forgotten = true;
                        continue;
                }
                if (state == FA_STATE_NOT_FOUND)
                        continue;
                check_strikes(w, t, &rec);
                if (rec.strikes < t->strikes)
                        bad(w, "P6: the strikes of task %d went back", task_index(w, &op->id));
                t->strikes = rec.strikes;
                if (t->is_final &&
                    (!fa_state_final(state) || !same_outcome(&t->final, &rec.outcome)))
                        bad(w, "P2: the final record of task %d changed", task_index(w, &op->id));
                if (fa_state_final(state) && !t->is_final) {
                        t->is_final = true;
                        fa_outcome_ref(&t->final, &rec.outcome);
                }
        }
}

/* A message leaves a machine: does it tell more than the store has? */
void check_send(struct world *w, int n, const struct fa_msg *m) {
        struct fa_record rec;

        if (w->nodes[n].role != FA_ROLE_DISPATCHER)
                return;
        for (uint32_t i = 0; i < m->n_items; i++) {
                const struct fa_item *it = &m->items[i];
                uint8_t state = fa_memory_peek(w->store, &it->id, &rec);
                int t = task_index(w, &it->id);
                if (m->type == FA_MSG_ACCEPTED && it->state == 0)
                        task_of(w, &it->id)->acked_life = w->store_life;
                /* A SUBMIT that is under way while the store dies may run again what its client
                 * has been told as ended, or is about to be. */
                if (m->type == FA_MSG_ACK && fa_state_final(state) &&
                    !(w->store_life && task_of(w, &it->id)->told))
                        reveal(w, task_of(w, &it->id), &rec.outcome);
                if (w->p->store_lose)
                        continue;
                if (m->type == FA_MSG_ACCEPTED && it->state == 0 && state == FA_STATE_NOT_FOUND)
                        bad(w, "P4: ACCEPTED of task %d before the store has it", t);
                if (m->type == FA_MSG_TASK && state == FA_STATE_NOT_FOUND)
                        bad(w, "P4: task %d was handed out before the store has it", t);
                if (m->type == FA_MSG_DONE && fa_state_final(it->state) && state != FA_STATE_GONE &&
                    state != it->state)
                        bad(w, "P4: DONE of task %d before the store has its end", t);
                if (m->type == FA_MSG_ACK && state != FA_STATE_GONE &&
                    !(fa_state_final(state) && fa_fence_eq(&rec.fence, &it->fence)))
                        bad(w, "P3: ACK of a result of task %d that is not the stored one", t);
        }
}

/* No fault that could explain a second execution: then there is none. */
static bool exactly_once(const struct world *w) {
        const struct profile *p = w->p;

        return !(p->loss || p->slot_crash || p->worker_crash || p->worker_stall || p->disp_crash ||
                 p->cut || p->store_lose || p->poison || p->killer || p->looping ||
                 p->client_crash || (p->disp_stall && p->n_d > 1));
}

void check_run(struct world *w, int n, int i) {
        struct stask *t = &w->tasks[i];
        bool again = t->executions++ > 0;

        t->ran_at = n;
        t->ran_inc = w->nodes[n].inc;

        if (w->verbose)
                printf("%8.3f ms  %d runs task %d (execution %d)\n", (double)w->now_ns / MS, n, i,
                       t->executions);
        if (again && exactly_once(w) && t->kind == K_PLAIN)
                bad(w, "task %d ran twice without a reason", i);
        if (again && t->kind == K_FAILING && exactly_once(w) && t->executions > 3)
                bad(w, "task %d ran %d times with 2 retries", i, t->executions);
        /* Only restarts of dispatchers: what a living worker holds and the store has marked is left
         * alone. */
        if (again && t->lone && !t->deaths && t->kind == K_PLAIN && w->p->disp_crash &&
            !may_die_unseen(w) && !w->p->worker_crash && !w->p->slot_crash && !w->p->store_lose &&
            !w->p->killer && !w->p->poison && !w->p->looping)
                bad(w,
                    "task %d runs at a living worker, was marked so, and ran again after a "
                    "takeover",
                    i);
}

static const char *outcome_text(const struct fa_cli_done *d) {
        return d->outcome.text ? (const char *)d->outcome.text->p : "";
}

/* Its store has died since it was acknowledged, and its client finds that out soon: some beats
 * until it has the new dispatcher, a second of doubt, one for the way. */
static void check_lost(struct world *w, const struct stask *t) {
        const uint64_t soon_ns = 2000 * MS + 3 * LIVENESS * HEARTBEAT_NS;

        if (!t->acked || t->acked_life == w->store_life)
                bad(w, "task %d is LOST, though the store that has it lives",
                    task_index(w, &t->id));
        if (w->now_ns > w->disp_up_ns + soon_ns)
                bad(w, "task %d is LOST, which its client was told only after %d ms",
                    task_index(w, &t->id), (int)((w->now_ns - w->disp_up_ns) / MS));
}

/* A client hears of an end. */
void check_told(struct world *w, int n, const struct fa_cli_done *d) {
        struct stask *t = task_of(w, &d->id);
        int i = task_index(w, &d->id);
        const struct fa_outcome *o = &d->outcome;

        (void)n;
        if (w->verbose)
                printf("%8.3f ms  %d is told the end of task %d: %d %d\n", (double)w->now_ns / MS,
                       n, i, o->status, o->failure);
        if (t->told)
                bad(w, "P2: the client was told the end of task %d twice", i);
        t->told = true;
        if (w->p->own_store && o->failure == FAAS_FAILURE_LOST) {
                check_lost(w, t);
                return;
        }
        reveal(w, t, o);
        if (o->failure == FAAS_FAILURE_LOST) {
                bad(w, "task %d was acknowledged and is LOST: %s", i, outcome_text(d));
                return;
        }
        /* With its store in memory the dispatcher may have died while DONE was on its way. */
        if (!w->lost_tail && !(w->store_life && !t->is_final) &&
            (!t->is_final || !same_outcome(o, &t->final)))
                bad(w, "P4: the client was told another end of task %d than the stored one", i);
        if (t->kind == K_PLAIN && o->status == FAAS_FAILED && t->deaths < 3 && !may_die_unseen(w))
                bad(w, "task %d FAILED innocently: %s (%d deaths)", i, outcome_text(d), t->deaths);
        if (o->status == FAAS_COMPLETED && t->kind != K_PLAIN)
                bad(w, "task %d of kind %d cannot complete", i, t->kind);
        if (t->kind == K_FAILING && o->failure == FAAS_FAILURE_FUNCTION && t->executions < 3)
                bad(w, "task %d failed without its retries: %d executions", i, t->executions);
}

/* Its client still lives, so it must hear; in any case the store must have the end. */
static bool ended(struct world *w, const struct stask *t) {
        const struct node *c = &w->nodes[w->n_d + w->n_w + t->client];
        uint8_t state;

        if (!t->submitted)
                return false;
        if (c->alive && c->inc == t->client_inc)
                return t->told;
        if (!t->acked || t->told)
                return true;
        state = fa_memory_peek(w->store, &t->id, NULL);
        return fa_state_final(state) || state == FA_STATE_GONE;
}

/* A dispatcher whose partition was taken has learned of it, and begun anew. */
static bool owns_itself(struct world *w, const struct node *n) {
        uint64_t epoch = fa_disp_epoch(n->disp);

        return fa_memory_owner(w->store, epoch) == epoch;
}

bool all_done(struct world *w) {
        if (w->n_submitted < w->n_tasks)
                return false;
        for (int i = 0; i < w->n_tasks; i++)
                if (!ended(w, &w->tasks[i]))
                        return false;
        for (int i = 0; i < w->n_nodes; i++) {
                struct node *n = &w->nodes[i];
                struct fa_disp_stats s;
                if (!n->alive || n->stalled_until_ns > w->now_ns)
                        return false;
                if (n->cli && n->impostor >= 0)
                        return false;
                if (n->work && fa_work_held(n->work))
                        return false;
                if (!n->disp)
                        continue;
                fa_disp_stats(n->disp, &s);
                if (s.n_tasks || n->store.n || !owns_itself(w, n))
                        return false;
        }
        return true;
}

void check_end(struct world *w) {
        uint64_t open, final, bytes;

        for (int i = 0; i < w->n_tasks; i++)
                if (!ended(w, &w->tasks[i])) {
                        struct stask *t = &w->tasks[i];
                        bad(w, "P1: task %d never ended (acked %d, told %d, in the store %d)", i,
                            t->acked, t->told, fa_memory_peek(w->store, &t->id, NULL));
                }
        for (int i = 0; i < w->n_d; i++)
                if (w->nodes[i].disp && !owns_itself(w, &w->nodes[i]))
                        bad(w, "P7: dispatcher %d goes on though its partition was taken", i);
        if (!all_done(w)) {
                char text[128] = "";
                for (int i = 0; i < w->n_nodes; i++) {
                        struct node *n = &w->nodes[i];
                        struct fa_disp_stats s = {0};
                        if (n->disp)
                                fa_disp_stats(n->disp, &s);
                        snprintf(text + strlen(text), sizeof(text) - strlen(text), " %d:%s%d/%d", i,
                                 n->alive ? "" : "dead ",
                                 n->disp   ? (int)s.n_tasks
                                 : n->work ? (int)fa_work_held(n->work)
                                           : 0,
                                 n->store.n);
                }
                bad(w, "P1: something is still held, though every task has ended:%s", text);
        }
        fa_memory_count(w->store, &open, &final, &bytes);
        for (int i = 0; open && w->verbose && i < w->n_tasks; i++)
                if (fa_memory_peek(w->store, &w->tasks[i].id, NULL) == FAAS_QUEUED)
                        printf("task %d is still open in the store\n", i);
        if (open)
                bad(w, "the store still has %d open tasks", (int)open);
        /* A store that only stood still makes nobody look dead. */
        if ((w->p->store_stall || w->p->store_lose) && !w->p->disp_crash && !w->p->disp_stall &&
            w->n_takes)
                bad(w, "P7: a dispatcher was taken over, though only the store stood still");
}
