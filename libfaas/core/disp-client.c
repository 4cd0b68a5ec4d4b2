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

#define SWEEP_NS FA_NS_PER_S /* notices are hints; a sweep each second guarantees */

/* ---- windows ---- */

static void count(struct waiter *w, bool yes) {
        struct peer *p = w->peer;

        if (w->counted == yes)
                return;
        w->counted = yes;
        p->n_counted += yes ? 1u : -1u;
        p->counted_bytes += yes ? w->bytes : -(uint64_t)w->bytes;
}

/*
 * The task came into its state: does it count against the windows of those who wait for it?  Only
 * what is accepted, open, and not about to be told as ended.  So a client that keeps to its window
 * is never over it here: of all that counts it has not heard the end (whoever else could have told
 * it would have had to own the task's partition, and then this dispatcher's next group is refused),
 * so that it counts it too.  What is only being written may be a late repeat of something that the
 * client has done with; the store's answer tells.
 */
void fa_disp_window(struct task *t) {
        bool yes = t->state == TASK_QUEUED || t->state == TASK_HANDED || t->state == TASK_INHERITED;
        struct fa_list *it;

        fa_list_for_each (it, &t->waiters) {
                struct waiter *w = fa_list_entry(it, struct waiter, in_task);
                count(w, yes && !w->once);
        }
}

static bool window_full(const struct fa_disp *d, const struct peer *p, size_t len) {
        return p->n_counted >= d->cfg.window_tasks ||
               (p->n_counted && p->counted_bytes + len > d->cfg.window_bytes);
}

/*
 * So much is not even looked at: what is being written and read for one client is bounded also
 * while the store stands still.  It counts as lost on the way: to a client that has a right to it
 * the beats tell, and it is said again.
 */
static bool flooded(const struct fa_disp *d, const struct peer *p, size_t len) {
        return p->n_all >= UINT64_C(2) * d->cfg.window_tasks + FA_BATCH_MAX ||
               p->all_bytes + len > 2 * d->cfg.window_bytes + FA_BATCH_BYTES + FA_PAYLOAD_MAX;
}

static void waiter_drop(struct waiter *w) {
        if (!w->peer)
                return;
        w->peer->n_waiters -= !w->once;
        w->peer->n_all--;
        w->peer->all_bytes -= w->bytes;
        count(w, false);
        fa_list_remove(&w->in_peer);
        fa_list_remove(&w->in_task);
        w->peer = NULL;
        if (w != &w->task->w0)
                free(w);
}

void fa_disp_waiters_drop(struct fa_disp *d, struct task *t) {
        for (struct fa_list *l; (l = fa_list_first(&t->waiters));)
                waiter_drop(fa_list_entry(l, struct waiter, in_task));
}

static struct waiter *waiter_find(struct task *t, const struct peer *p, bool once) {
        struct fa_list *it;

        fa_list_for_each (it, &t->waiters) {
                struct waiter *w = fa_list_entry(it, struct waiter, in_task);
                if (w->peer == p && w->once == once)
                        return w;
        }
        return NULL;
}

/* Finds or adds; NULL: no memory, as if the message had been lost. */
static struct waiter *waiter_add(struct task *t, struct peer *p, bool once) {
        struct waiter *w = waiter_find(t, p, once);

        if (w)
                return w;
        w = t->w0.peer ? malloc(sizeof(*w)) : &t->w0;
        if (!w)
                return NULL;
        *w = (struct waiter){.peer = p, .task = t, .once = once};
        w->bytes = t->spec ? (uint32_t)fa_blob_len(t->spec->payload) : 0;
        p->n_all++;
        p->all_bytes += w->bytes;
        fa_list_push_back(&t->waiters, &w->in_task);
        fa_list_push_back(&p->waiters, &w->in_peer);
        p->n_waiters += !once;
        fa_disp_window(t);
        return w;
}

void fa_disp_client_close(struct fa_disp *d, struct peer *p) {
        for (struct fa_list *l; (l = fa_list_first(&p->waiters));) {
                struct waiter *w = fa_list_entry(l, struct waiter, in_peer);
                struct task *t = w->task;
                waiter_drop(w);
                if (t->state == TASK_ELSEWHERE && fa_list_empty(&t->waiters))
                        fa_disp_task_free(d, t);
        }
}

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
        struct fa_list *it;
        struct fa_list *tmp;

        fa_list_for_each_safe (it, tmp, &t->waiters) {
                struct waiter *w = fa_list_entry(it, struct waiter, in_task);
                if (w->submitted) {
                        w->submitted = false;
                        accepted(d, w->peer, &t->node.key, state);
                }
                if (state)
                        waiter_drop(w);
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
        struct fa_list *it;
        struct fa_list *tmp;

        fa_list_for_each_safe (it, tmp, &t->waiters) {
                struct waiter *w = fa_list_entry(it, struct waiter, in_task);
                if (!last && !w->once)
                        continue;
                done(d, w->peer, &t->node.key, state, w->silent ? NULL : o, t->strikes);
                waiter_drop(w);
        }
}

static uint8_t public_state(const struct task *t) {
        if (t->state == TASK_FINAL)
                return t->outcome.status;
        return t->state == TASK_HANDED || t->state == TASK_FINISHING ? FAAS_RUNNING : FAAS_QUEUED;
}

/* The same id again: fine if it is the same content. */
static void
submit_again(struct fa_disp *d, struct peer *p, struct task *t, const struct fa_item *it) {
        struct fa_spec *spec = NULL;
        struct waiter *w;
        bool same = true;

        if (t->spec) {
                if (fa_spec_new(&spec, it))
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
                done(d, p, &it->id, t->outcome.status, &t->outcome, t->strikes);
                return;
        }
        w = waiter_add(t, p, false);
        if (!w)
                return;
        if (t->state == TASK_ACCEPTING)
                w->submitted = true;
        else
                accepted(d, p, &it->id, 0);
}

/* Asks the store; the answer comes to fa_disp_adopt_record() or to the waiters. */
static void read_record(struct fa_disp *d, struct task *t) {
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
        struct fa_list *it;
        struct fa_list *tmp;

        fa_list_for_each_safe (it, tmp, &t->waiters) {
                struct waiter *w = fa_list_entry(it, struct waiter, in_task);
                if (!w->submitted)
                        continue;
                d->stats.refused++;
                accepted(d, w->peer, &t->node.key, found == FAAS_E_GONE ? FAAS_E_GONE : why);
                waiter_drop(w);
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
        w = t ? waiter_add(t, p, false) : NULL;
        if (!w) {
                if (t && fa_list_empty(&t->waiters))
                        fa_disp_task_free(d, t);
                return;
        }
        w->submitted = true;
        read_record(d, t);
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
        if (flooded(d, p, fa_blob_len(it->payload)))
                return;
        if (d->draining || window_full(d, p, fa_blob_len(it->payload))) {
                not_taken(d, p, t, &it->id);
                return;
        }
        if (fa_spec_new(&spec, it))
                return;
        if (t) /* somebody asked for it before it was here, and goes on waiting */
                fa_disp_task_move(d, t, TASK_ACCEPTING);
        else
                t = fa_disp_task_new(d, &it->id, TASK_ACCEPTING);
        r = t ? fa_disp_task_spec(d, t, spec, d->home) : 0;
        fa_spec_unref(spec);
        op = t && !r ? fa_disp_op(d, FA_OP_ACCEPT) : NULL;
        w = op ? waiter_add(t, p, false) : NULL;
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
        op->id = it->id;
        op->partition = d->epoch;
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
                done(d, p, &it->id, t->outcome.status, &t->outcome, t->strikes);
                return;
        }
        /* One that is being written as accepted or as ended is told when it is. */
        if (t && once && t->state != TASK_ELSEWHERE && t->state != TASK_ACCEPTING &&
            t->state != TASK_FINISHING) {
                done(d, p, &it->id, public_state(t), NULL, t->strikes);
                return;
        }
        if (!t && flooded(d, p, 0))
                return;
        if (!t)
                t = fa_disp_task_new(d, &it->id, TASK_ELSEWHERE);
        w = t ? waiter_add(t, p, once) : NULL;
        if (!w) {
                if (t && t->state == TASK_ELSEWHERE && fa_list_empty(&t->waiters))
                        fa_disp_task_free(d, t);
                return;
        }
        w->silent = once && !m->more;
        if (t->state == TASK_ELSEWHERE)
                read_record(d, t);
        else if (!once)
                done(d, p, &it->id, public_state(t), NULL, t->strikes);
}

/* A running one is stopped too: what its worker says of it later is stale. */
static void on_cancel(struct fa_disp *d, struct peer *p, const struct fa_item *it) {
        struct task *t = fa_disp_task_find(d, &it->id);
        struct fa_outcome o = {.status = FAAS_CANCELLED};
        struct fa_fence fence;
        struct peer *worker;

        if (!t || (t->state != TASK_QUEUED && t->state != TASK_HANDED))
                return; /* nothing to stop here; STATUS tells what became of it */
        worker = t->state == TASK_HANDED ? t->worker : NULL;
        fence = t->fence;
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
        if (t)
                t->collected = true;
}

static void on_beat(struct fa_disp *d, struct peer *p) {
        struct fa_msg *out = fa_outbox_msg(&d->outbox, &p->lane, FA_MSG_BEAT);

        if (!out)
                return;
        out->epoch = p->incarnation;
        out->held = p->n_waiters;
}

void fa_disp_client_msg(struct fa_disp *d,
                        struct peer *p,
                        const struct fa_msg *m,
                        uint64_t now_ns) {
        p->role = FA_ROLE_CLIENT;
        if (m->type == FA_MSG_BEAT)
                on_beat(d, p);
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

/* Reads again what is elsewhere. */
void fa_disp_sweep(struct fa_disp *d, uint64_t now_ns) {
        struct fa_list *it;

        if (now_ns < d->sweep_at_ns)
                return;
        fa_list_for_each (it, &d->elsewhere)
                read_record(d, fa_list_entry(it, struct task, link));
        d->sweep_at_ns = now_ns + SWEEP_NS;
}
