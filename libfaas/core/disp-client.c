/*
 * disp-client.c - what the dispatcher does with clients' messages
 *
 * A client is told ACCEPTED only after the task is in the store, and DONE only after its end is.  A
 * repeat of a SUBMIT is harmless: an id names one content for ever.  Whoever asks for a task that
 * is not here is answered from the store, and asked for again each second until it is final there.
 */
#include <stdlib.h>
#include <string.h>

#include "core/disp-private.h"

#define SWEEP_NS FA_NS_PER_S        /* what is elsewhere is read again each second */
#define SOON_NS (20 * FA_NS_PER_MS) /* and sooner when somebody has just come to wait for it, */
#define SOON_MAX 1024               /* unless there are so many */

static void accepted(struct fa_disp *d, struct peer *p, const struct faas_id *id, uint8_t state) {
        struct fa_msg *m;
        struct fa_item *it =
                fa_outbox_item(&d->outbox, &p->lane, FA_MSG_ACCEPTED, p->incarnation, 0, 0, 0, &m);

        if (!it)
                return;
        it->id = *id;
        it->state = state;
        m->window_tasks = d->cfg.window_tasks;
        m->window_bytes = d->cfg.window_bytes;
}

void fa_disp_tell_accepted(struct fa_disp *d, struct task *t, uint8_t state) {
        struct waiter *w;
        struct waiter *tmp;

        fa_disp_for_waiters(w, tmp, t) {
                if (w->submitted) {
                        w->submitted = false;
                        accepted(d, w->peer, &t->node.key, state);
                }
                if (state)
                        fa_disp_waiter_drop(w);
        }
}

static void done(struct fa_disp *d,
                 struct peer *p,
                 const struct faas_id *id,
                 uint8_t state,
                 const struct fa_outcome *o,
                 uint32_t strikes) {
        size_t text = o ? fa_blob_len(o->text) + fa_blob_len(o->log) : 0;
        struct fa_item *it = fa_outbox_item(&d->outbox, &p->lane, FA_MSG_DONE, p->incarnation, 0,
                                            o ? fa_blob_len(o->payload) : 0, text, NULL);

        if (!it)
                return;
        it->id = *id;
        it->state = state;
        it->strikes = strikes;
        if (!o)
                return;
        it->failure = o->failure;
        it->code = o->code;
        it->payload = fa_blob_ref(o->payload);
        it->text = fa_blob_ref(o->text);
        it->log = fa_blob_ref(o->log);
}

/* Tells all who wait; with a state that is not final only those who asked once, and the others go
 * on waiting. */
void fa_disp_tell_done(struct fa_disp *d,
                       struct task *t,
                       uint8_t state,
                       const struct fa_outcome *o) {
        bool last = state >= FAAS_COMPLETED; /* final, or NOT_FOUND, GONE */
        struct waiter *w;
        struct waiter *tmp;

        fa_disp_for_waiters(w, tmp, t) {
                if (!last && !w->once)
                        continue;
                done(d, w->peer, &t->node.key, state, w->silent ? NULL : o,
                     fa_disp_run_of(t)->strikes);
                fa_disp_waiter_drop(w);
        }
}

static uint8_t public_state(const struct task *t) {
        if (t->state == TASK_FINAL)
                return fa_disp_run_of(t)->outcome.status;
        return t->state == TASK_HANDED || t->state == TASK_FINISHING ? FAAS_RUNNING : FAAS_QUEUED;
}

/* The same id again: fine if it is the same content. */
static void
submit_again(struct fa_disp *d, struct peer *p, struct task *t, const struct fa_item *it) {
        struct fa_spec *spec = NULL;
        struct waiter *w;
        bool same = true;

        if (t->spec) {
                if (fa_spec_of(&spec, it))
                        return;
                same = fa_spec_equal(spec, t->spec) || !fa_rule(SAME_BYTES);
                fa_spec_unref(spec);
        }
        if (!same && t->state == TASK_ACCEPTING)
                return; /* the store has not said yet whose id it is: the beats bring it again */
        if (!same) {
                accepted(d, p, &it->id, FAAS_E_EXISTS);
                return;
        }
        if (t->state == TASK_FINAL) {
                accepted(d, p, &it->id, 0);
                done(d, p, &it->id, fa_disp_run_of(t)->outcome.status, &fa_disp_run_of(t)->outcome,
                     fa_disp_run_of(t)->strikes);
                return;
        }
        w = fa_disp_waiter_add(t, p, false);
        if (!w)
                return;
        if (t->state == TASK_ACCEPTING)
                w->submitted = true;
        else
                accepted(d, p, &it->id, 0);
}

/* The answer comes to fa_disp_elsewhere() or to the waiters. */
void fa_disp_read_record(struct fa_disp *d, struct task *t) {
        struct fa_op *op = t->reading ? NULL : fa_disp_op(d, FA_OP_GET);

        if (!op)
                return;
        op->id = t->node.key;
        t->reading = true;
}

/* Those who submitted it are told that it is not taken (FAAS_E_GONE: it was), and wait no longer.
 */
void fa_disp_refuse(struct fa_disp *d, struct task *t, int found) {
        uint8_t why = d->draining ? FAAS_E_UNAVAILABLE : FAAS_E_LIMIT;
        struct waiter *w;
        struct waiter *tmp;

        fa_disp_for_waiters(w, tmp, t) {
                if (!w->submitted)
                        continue;
                d->stats.refused++;
                accepted(d, w->peer, &t->node.key, found == FAAS_E_GONE ? FAAS_E_GONE : why);
                fa_disp_waiter_drop(w);
        }
}

/*
 * Over its window, or I take no more: it is refused when the store has been asked for the id.  It
 * may be a repeat of a task that was taken and has ended, and a dispatcher whose partitions were
 * taken, so that its counts are of no use, must not say anything.  (The bytes of such a repeat are
 * not compared with those that were taken.)
 */
static void not_taken(struct fa_disp *d, struct peer *p, struct task *t, const struct faas_id *id) {
        struct waiter *w;

        if (!t)
                t = fa_disp_task_new(d, id, TASK_ELSEWHERE);
        w = t ? fa_disp_waiter_add(t, p, false) : NULL;
        if (!w) {
                if (t)
                        (void)fa_disp_stub_drop(d, t);
                return;
        }
        w->submitted = true;
        fa_disp_read_record(d, t);
}

static void on_submit(struct fa_disp *d, struct peer *p, const struct fa_item *it) {
        struct task *t = fa_disp_task_find(d, &it->id);
        struct fa_spec *spec = NULL;
        struct waiter *w;
        struct fa_op *op;
        int r;

        if (t && t->state != TASK_ELSEWHERE) {
                submit_again(d, p, t, it);
                return;
        }
        if (fa_disp_flooded(d, p, fa_blob_len(it->payload)))
                return;
        if (d->draining || fa_disp_window_full(d, p, fa_blob_len(it->payload))) {
                not_taken(d, p, t, &it->id);
                return;
        }
        if (fa_spec_of(&spec, it))
                return;
        if (t) /* somebody asked for it before it was here, and goes on waiting */
                fa_disp_task_move(d, t, TASK_ACCEPTING);
        else
                t = fa_disp_task_new(d, &it->id, TASK_ACCEPTING);
        r = t ? fa_disp_task_spec(d, t, spec, d->home) : 0;
        fa_spec_unref(spec);
        op = t && !r ? fa_disp_op(d, FA_OP_ACCEPT) : NULL;
        w = op ? fa_disp_waiter_add(t, p, false) : NULL;
        if (!w) {
                if (op)
                        fa_disp_op_drop(d);
                if (t)
                        fa_disp_task_free(d, t);
                if (r)
                        accepted(d, p, &it->id, (uint8_t)r);
                return;
        }
        w->submitted = true;
        t->client = p->incarnation;
        op->id = it->id;
        op->mark = t->node.index;
        op->partition = d->epoch;
        op->client = t->client;
        op->spec = fa_spec_ref(t->spec);
        if (!fa_rule(COMMIT_FIRST)) {
                fa_disp_tell_accepted(d, t, 0);
                fa_disp_queue(d, t, false);
        }
}

static void
on_wait(struct fa_disp *d, struct peer *p, const struct fa_msg *m, const struct fa_item *it) {
        struct task *t = fa_disp_task_find(d, &it->id);
        bool once = m->type == FA_MSG_STATUS;
        struct waiter *w;

        if (t && t->state == TASK_FINAL) {
                done(d, p, &it->id, fa_disp_run_of(t)->outcome.status, &fa_disp_run_of(t)->outcome,
                     fa_disp_run_of(t)->strikes);
                return;
        }
        /* One that is being written as accepted or as ended is told when it is. */
        if (t && once && t->state != TASK_ELSEWHERE && t->state != TASK_ACCEPTING &&
            t->state != TASK_FINISHING) {
                done(d, p, &it->id, public_state(t), NULL, fa_disp_run_of(t)->strikes);
                return;
        }
        if (!once && (!t || t->state == TASK_ELSEWHERE) && fa_disp_spilled(d, p, &it->id)) {
                done(d, p, &it->id, FAAS_QUEUED, NULL, 0); /* it counts already */
                return;
        }
        if (!t && fa_disp_flooded(d, p, 0))
                return;
        if (!t)
                t = fa_disp_task_new(d, &it->id, TASK_ELSEWHERE);
        w = t ? fa_disp_waiter_add(t, p, once) : NULL;
        if (!w) {
                if (t)
                        (void)fa_disp_stub_drop(d, t);
                return;
        }
        w->silent = once && !m->more;
        if (t->state == TASK_ELSEWHERE)
                fa_disp_read_record(d, t);
        else if (!once)
                done(d, p, &it->id, public_state(t), NULL, fa_disp_run_of(t)->strikes);
}

/* A running one is stopped too: what its worker says of it later is stale. */
static void on_cancel(struct fa_disp *d, struct peer *p, const struct fa_item *it) {
        struct task *t = fa_disp_task_find(d, &it->id);
        struct fa_outcome o = {.status = FAAS_CANCELLED};
        struct fa_fence fence;
        struct peer *worker;

        if ((!t || t->state == TASK_ELSEWHERE) && d->n_partial)
                fa_disp_want_cancelled(d, &it->id); /* it may be mine */
        if (!t || (t->state != TASK_QUEUED && t->state != TASK_HANDED &&
                   t->state != TASK_INHERITED && t->state != TASK_STORED))
                return; /* nothing to stop here; STATUS tells what became of it */
        worker = t->state == TASK_HANDED ? fa_disp_run_of(t)->worker : NULL;
        fence = fa_disp_run_of(t)->fence;
        fa_disp_finish(d, t, &fence, &o, NULL);
        if (!worker || t->state != TASK_FINISHING)
                return;
        struct fa_item *out = fa_outbox_item(&d->outbox, &worker->lane, FA_MSG_CANCEL,
                                             worker->incarnation, worker->session, 0, 0, NULL);
        if (out) {
                out->id = it->id;
                out->fence = fence;
        }
}

static void on_collected(struct fa_disp *d, const struct fa_item *it) {
        /* Finals are here only if they are kept; the store forgets nothing that is open. */
        struct task *t = d->cfg.retain_ns ? fa_disp_task_find(d, &it->id) : NULL;
        struct fa_op *op;

        if (t && t->state != TASK_FINAL)
                return;
        op = fa_disp_op(d, FA_OP_FORGET);
        if (!op)
                return; /* it expires instead */
        op->id = it->id;
        if (!t)
                return;
        if (t->spec->place && !t->collected) {
                op->spec = fa_spec_ref(t->spec);
                fa_outcome_ref(&op->outcome, &fa_disp_run_of(t)->outcome);
        }
        t->collected = true;
}

static void on_beat(struct fa_disp *d, struct peer *p) {
        struct fa_msg *out = fa_outbox_msg(&d->outbox, &p->lane, FA_MSG_BEAT);

        if (!out)
                return;
        out->epoch = p->incarnation;
        out->held = (uint32_t)(p->n_waiters + p->spilled.n);
}

static void sweep_soon(struct fa_disp *d, uint64_t now_ns) {
        d->sweep_ns = SOON_NS;
        d->sweep_at_ns = FA_MIN(d->sweep_at_ns, now_ns + SOON_NS);
}

void fa_disp_client_msg(struct fa_disp *d,
                        struct peer *p,
                        const struct fa_msg *m,
                        uint64_t now_ns) {
        p->role = FA_ROLE_CLIENT;
        fa_disp_client_here(d, p);
        if (m->type == FA_MSG_BEAT)
                on_beat(d, p);
        else if (m->type == FA_MSG_WAIT)
                sweep_soon(d, now_ns);
        else if (m->type == FA_MSG_QUERY)
                fa_disp_report(d, p, m->what, now_ns);
        for (uint32_t i = 0; i < m->n_items; i++) {
                const struct fa_item *it = &m->items[i];
                switch (m->type) {
                case FA_MSG_SUBMIT:
                        on_submit(d, p, it);
                        break;
                case FA_MSG_WAIT:
                case FA_MSG_STATUS:
                        on_wait(d, p, m, it);
                        break;
                case FA_MSG_CANCEL:
                        on_cancel(d, p, it);
                        break;
                case FA_MSG_COLLECTED:
                        on_collected(d, it);
                        break;
                default:
                        break;
                }
        }
}

/* Reads again what is elsewhere, at growing distances after somebody has begun to wait there. */
void fa_disp_sweep(struct fa_disp *d, uint64_t now_ns) {
        bool few = d->n_in[TASK_ELSEWHERE] <= SOON_MAX;
        struct fa_list *it;

        if (now_ns < d->sweep_at_ns)
                return;
        fa_list_for_each (it, &d->elsewhere)
                fa_disp_read_record(d, fa_list_entry(it, struct task, link));
        d->sweep_ns = FA_MIN(2 * d->sweep_ns, (uint64_t)SWEEP_NS);
        d->sweep_at_ns = now_ns + (few && d->sweep_ns ? d->sweep_ns : SWEEP_NS);
}
