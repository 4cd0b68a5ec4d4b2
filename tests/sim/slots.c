/*
 * slots.c - the slots of the simulation's workers: they run one task after the other, and die
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "world.h"

static struct node *node_of(struct world *w, int n) {
        return &w->nodes[n];
}

static bool stalled(const struct world *w, const struct node *n) {
        return n->stalled_until_ns > w->now_ns;
}

static void slot_begin(struct world *w, int n, int slot) {
        struct node *node = node_of(w, n);
        struct sslot *s = &node->slots[slot];
        const struct stask *t = &w->tasks[s->q[0]];
        uint64_t run = t->kind == K_LOOPING ? 50 * MS : t->kind == K_KILLER ? 2000 : t->run_ns;
        struct happening *h = happen(w, w->now_ns + run, W_SLOT, n);

        h->slot = slot;
        h->gen = ++s->gen;
        h->dst_inc = node->inc;
        check_run(w, n, s->q[0]);
}

static void slot_pop(struct sslot *s) {
        s->n--;
        memmove(s->q, s->q + 1, (size_t)s->n * sizeof(s->q[0]));
}

static void slot_down(struct world *w, int n, int slot, int started, enum faas_failure failure) {
        struct node *node = node_of(w, n);
        struct sslot *s = &node->slots[slot];
        struct fa_outcome o;
        struct fa_event ev = {
                .kind = FA_EV_SLOT_DOWN, .slot = (unsigned)slot, .n = started, .outcome = &o};
        struct happening *h;

        fa_outcome_fail(&o, failure, 9, "the slot died");
        s->up = false;
        s->gen++;
        s->n = 0;
        h = happen(w, w->now_ns + 1 * MS, W_SLOT, n);
        h->slot = slot;
        h->key = 1; /* comes up again */
        h->dst_inc = node->inc;
        node_event(w, n, &ev);
        fa_outcome_deinit(&o);
}

/* Killed from outside, at any moment: idle, in a task, or with a result that nobody has heard. */
void slot_crash(struct world *w, int n, int slot) {
        struct sslot *s = &node_of(w, n)->slots[slot];
        int started = s->n ? 0 : -1;

        if (!s->up || stalled(w, node_of(w, n)))
                return;
        w->n_faults++;
        if (s->n > 1 && chance(w, 500)) {
                started = 1;
                check_run(w, n, s->q[1]);
        }
        if (started >= 0)
                w->tasks[s->q[started]].deaths++;
        slot_down(w, n, slot, started, FAAS_FAILURE_CRASHED);
}

static void slot_result(struct world *w, int n, int slot) {
        struct sslot *s = &node_of(w, n)->slots[slot];
        const struct stask *t = &w->tasks[s->q[0]];
        struct fa_outcome o = {.status = FAAS_COMPLETED};
        struct fa_event ev = {.kind = FA_EV_SLOT_RESULT, .slot = (unsigned)slot, .outcome = &o};
        char text[32];
        int len = snprintf(text, sizeof(text), "%d.%d", s->q[0], t->executions);

        if (t->kind == K_FAILING)
                fa_outcome_fail(&o, FAAS_FAILURE_FUNCTION, 7, "it fails");
        else if (fa_blob_new(&o.payload, text, (size_t)len))
                abort();
        slot_pop(s);
        if (s->n)
                slot_begin(w, n, slot);
        node_event(w, n, &ev);
        fa_outcome_deinit(&o);
}

void slot_due(struct world *w, struct happening *h) {
        struct node *node = node_of(w, h->dst);
        struct sslot *s = &node->slots[h->slot];
        struct fa_event up = {.kind = FA_EV_SLOT_UP, .slot = (unsigned)h->slot};
        struct stask *t;

        if (!node->alive || node->inc != h->dst_inc || (!h->key && s->gen != h->gen))
                return;
        if (stalled(w, node)) { /* nobody hears it now */
                struct happening *again =
                        happen(w, node->stalled_until_ns + rnd(w, MS), W_SLOT, h->dst);
                again->slot = h->slot;
                again->gen = h->gen;
                again->key = h->key;
                again->dst_inc = h->dst_inc;
                return;
        }
        if (h->key) {
                s->up = true;
                node_event(w, h->dst, &up);
                return;
        }
        t = &w->tasks[s->q[0]];
        if (t->kind == K_KILLER) {
                node_stop(w, h->dst, true);
                happen(w, w->now_ns + rnd(w, 100 * MS), W_RESTART, h->dst);
        } else if (t->kind == K_POISON || t->kind == K_LOOPING) {
                t->deaths++;
                slot_down(w, h->dst, h->slot, 0,
                          t->kind == K_POISON ? FAAS_FAILURE_CRASHED : FAAS_FAILURE_TIMEOUT);
        } else {
                slot_result(w, h->dst, h->slot);
        }
}

/* What a worker machine wants of a slot. */
void slot_op(struct world *w, int n, const struct fa_work_op *op) {
        struct node *node = node_of(w, n);
        struct sslot *s = &node->slots[op->slot];
        struct fa_event ev = {.kind = FA_EV_SLOT_RETURNED, .slot = op->slot};

        switch (op->kind) {
        case FA_WORK_RUN:
                if (!s->up || s->n == SLOT_Q) {
                        bad(w, "a task was given to slot %u, which %s", op->slot,
                            s->up ? "is full" : "is down");
                        return;
                }
                s->q[s->n++] = task_index(w, op->id);
                if (s->n == 1)
                        slot_begin(w, n, (int)op->slot);
                break;
        case FA_WORK_RECALL:
                if (!s->up)
                        return;
                ev.n = s->n > 1 ? s->n - 1 : 0;
                s->n -= ev.n;
                node_event(w, n, &ev);
                break;
        case FA_WORK_KILL:
                if (s->up) {
                        if (s->n)
                                w->tasks[s->q[0]].deaths++;
                        slot_down(w, n, (int)op->slot, s->n ? 0 : -1, FAAS_FAILURE_CRASHED);
                }
                break;
        }
}
