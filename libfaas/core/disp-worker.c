/*
 * disp-worker.c - what the dispatcher does with workers' messages
 *
 * A worker's session opens with REGISTER, which lists every hand-out that it holds; what the
 * dispatcher thought to be there and is not is queued again without a strike.  Results count by
 * their fence alone, so they are taken also from workers that have not registered yet.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/disp-private.h"

void fa_disp_answer(struct fa_disp *d,
                    struct peer *p,
                    enum fa_msg_type type,
                    const struct faas_id *id,
                    const struct fa_fence *f) {
        struct fa_item *it =
                fa_outbox_item(&d->outbox, &p->lane, type, p->incarnation, p->session, 0, 0, NULL);

        if (it) {
                it->id = *id;
                it->fence = *f;
        }
        d->stats.stale_results += type == FA_MSG_STALE;
}

/* Everything that it held is lost; the peer itself stays. */
void fa_disp_worker_close(struct fa_disp *d, struct peer *p) {
        p->registered = false;
        fa_disp_ready(p);
        /* The newest first: each goes to the head of its queue, so they keep their order. */
        while (!fa_list_empty(&p->held)) {
                struct task *t = fa_list_entry(p->held.prev, struct task, link);
                fa_disp_lost(d, t, FAAS_FAILURE_WORKER_LOST, "the worker died or went silent");
                if (t->state == TASK_HANDED)
                        break; /* no memory: it stays, and the next judgement tries again */
        }
}

/* The same worker process on another connection: its tasks move over to this one. */
static void move_here(struct fa_disp *d, struct peer *p, struct peer *old) {
        struct fa_list *l;

        p->unhinted = p->unhinted ? p->unhinted : old->unhinted;
        old->unhinted = NULL;
        if (p->unhinted && fa_list_empty(&p->hinting))
                fa_list_push_back(&d->hinting, &p->hinting);
        while ((l = fa_list_first(&old->held))) {
                struct task *t = fa_list_entry(l, struct task, link);
                fa_list_remove(&t->link);
                fa_list_push_back(&p->held, &t->link);
                fa_disp_run_of(t)->worker = p;
                p->n_held++;
                old->n_held--;
        }
        if (old->session > p->session)
                p->session = old->session;
        old->registered = false;
        fa_disp_ready(old);
}

void fa_disp_worker_leave(struct fa_disp *d, struct peer *p) {
        if (p->at)
                fa_map_remove(&d->workers, &p->at->node);
        p->at = NULL;
}

/* This is where the worker is now.  false: no memory. */
static bool worker_here(struct fa_disp *d, struct peer *p) {
        const struct faas_id key = fa_disp_key(p->incarnation);

        if (p->at)
                return true;
        p->at = fa_map_find(&d->workers, &key);
        if (p->at) {
                p->at->peer->at = NULL;
                move_here(d, p, p->at->peer);
        } else {
                p->at = fa_map_add(&d->workers, &key);
        }
        if (p->at)
                p->at->peer = p;
        return p->at != NULL;
}

/*
 * May a hand-out of an earlier owner of the partition go on?  Only while this owner has made none,
 * and unless that owner has counted it as ended: its result may come again.
 */
bool fa_disp_adoptable(const struct task *t, const struct fa_fence *f) {
        if (fa_fence_cmp(f, &fa_disp_run_of(t)->strike_fence) <= 0 && fa_rule(STRIKE_FENCE))
                return false;
        return t->state == TASK_INHERITED;
}

/*
 * Of a partition that died with an earlier dispatcher in this place?  With a store of my own nobody
 * else can have taken it over: the hand-out is void.  It may also be another dispatcher's, whom the
 * worker knows too; the worker sees to that.
 */
static bool died(const struct fa_disp *d, const struct fa_fence *f) {
        return d->cfg.tick_ns == FA_NEVER && d->epoch && f->partition < d->epoch;
}

/* One line of the list: keep it, adopt it, or tell the worker that it is void. */
static void listed(struct fa_disp *d, struct peer *p, const struct fa_item *it, uint64_t now_ns) {
        struct part *part = fa_disp_part(d, it->fence.partition);
        struct task *t = fa_disp_task_find(d, &it->id);

        if (!part && died(d, &it->fence))
                fa_disp_answer(d, p, FA_MSG_STALE, &it->id, &it->fence);
        if (!part)
                return; /* not mine to judge */
        if (fa_disp_unknown(part, t, &it->fence)) {
                if (it->state != FA_HELD_RESULT) /* else its RESULT follows */
                        fa_disp_want_held(d, p, it, false);
                return;
        }
        if (t && fa_disp_part_of(d, t) != part && t->state != TASK_ELSEWHERE)
                t = NULL;
        if (t && t->state == TASK_HANDED && fa_disp_run_of(t)->worker == p &&
            fa_fence_eq(&fa_disp_run_of(t)->fence, &it->fence)) {
                fa_disp_run_of(t)->listed = p->session;
        } else if (t && fa_disp_part_of(d, t) && fa_disp_adoptable(t, &it->fence) &&
                   it->state != FA_HELD_RESULT) {
                if (!fa_disp_hold(d, p, t, &it->fence, now_ns))
                        return; /* it waits */
                fa_disp_run_of(t)->listed = p->session;
        } else if (t && (t->state == TASK_FINISHING || t->state == TASK_ACCEPTING ||
                         it->state == FA_HELD_RESULT)) {
                return; /* its answer comes with the commit, or with its RESULT */
        } else {
                fa_disp_answer(d, p, FA_MSG_STALE, &it->id, &it->fence);
                return;
        }
        if (it->state != FA_HELD_WAITING)
                fa_disp_run_of(t)->started = true;
        fa_disp_answer(d, p, FA_MSG_ADOPT, &it->id, &it->fence);
}

static void drop_unlisted(struct fa_disp *d, struct peer *p) {
        struct fa_list *prev;

        for (struct fa_list *it = p->held.prev; it != &p->held; it = prev) {
                struct task *t = fa_list_entry(it, struct task, link);
                prev = it->prev;
                if (fa_disp_run_of(t)->listed != p->session)
                        fa_disp_lost(d, t, FAAS_FAILURE_NONE, NULL);
        }
}

static void
on_register(struct fa_disp *d, struct peer *p, const struct fa_msg *m, uint64_t now_ns) {
        if (m->from != p->incarnation || p->role != FA_ROLE_WORKER) {
                if (p->role == FA_ROLE_WORKER)
                        fa_disp_worker_close(d, p); /* another process behind the same number */
                fa_disp_worker_leave(d, p);
                p->role = FA_ROLE_WORKER;
                p->incarnation = m->from;
                p->session = 0;
                p->n_done = 0;
        }
        if (!worker_here(d, p))
                return; /* as if it had been lost */
        if (m->session < p->session && fa_rule(SESSION))
                return; /* an older one, overtaken */
        if (m->session != p->session) {
                p->session = m->session;
                p->sent_seq = p->beat_seq = 0;
        }
        if (fa_disp_kind(d, p, m))
                return; /* no memory, the same */
        for (uint32_t i = 0; i < m->n_items; i++)
                listed(d, p, &m->items[i], now_ns);
        if (m->more)
                return;
        if (fa_rule(LIST_ALL))
                drop_unlisted(d, p);
        p->registered = true;
        p->n_slots = m->n_slots;
        p->grant = m->grant;
        fa_disp_ready(p);
}

/* The hand-out that this worker holds under this fence, or NULL. */
static struct task *
held_by(const struct fa_disp *d, const struct peer *p, const struct fa_item *it) {
        struct task *t = fa_disp_task_find(d, &it->id);

        if (!t || t->state != TASK_HANDED || fa_disp_run_of(t)->worker != p ||
            !fa_fence_eq(&fa_disp_run_of(t)->fence, &it->fence))
                return NULL;
        return t;
}

/* Its own end, or one to be tried again? */
static void end(struct fa_disp *d, struct task *t, struct peer *p, const struct fa_item *it) {
        const struct fa_outcome o = {
                .status = it->state,
                .failure = it->failure,
                .code = it->code,
                .payload = it->payload,
                .text = it->text,
                .log = it->log,
        };
        bool strike = o.failure == FAAS_FAILURE_CRASHED || o.failure == FAAS_FAILURE_EXITED ||
                      o.failure == FAAS_FAILURE_TIMEOUT;
        bool retry = o.failure == FAAS_FAILURE_FUNCTION &&
                     fa_disp_run_of(t)->retries < fa_spec_limits(t->spec).max_retries;

        p->n_done++;
        if (strike || retry) {
                /* What the worker keeps is of no use any more, whatever becomes of the task. */
                fa_disp_answer(d, p, FA_MSG_STALE, &it->id, &it->fence);
                d->stats.stale_results--;
                fa_disp_strike(d, t, &it->fence, &o);
        } else {
                fa_disp_finish(d, t, &it->fence, &o, p);
        }
}

/* Is it the present hand-out's result, or that of an earlier owner's that may go on? */
static bool counts(const struct task *t, const struct fa_fence *f) {
        if (t->state == TASK_HANDED)
                return fa_fence_eq(&fa_disp_run_of(t)->fence, f) || !fa_rule(FENCE);
        return fa_disp_adoptable(t, f) || (t->state == TASK_QUEUED && !fa_rule(FENCE));
}

static void on_result(struct fa_disp *d, struct peer *p, const struct fa_item *it) {
        struct part *part = fa_disp_part(d, it->fence.partition);
        struct task *t = fa_disp_task_find(d, &it->id);

        if (!part) {
                fa_disp_answer(d, p, died(d, &it->fence) ? FA_MSG_STALE : FA_MSG_NOT_MINE, &it->id,
                               &it->fence);
                return;
        }
        if (fa_disp_unknown(part, t, &it->fence)) {
                fa_disp_want_held(d, p, it, true); /* it comes again */
                return;
        }
        if (t && fa_disp_part_of(d, t) != part)
                t = NULL;
        if (t && (t->state == TASK_FINISHING || t->state == TASK_ACCEPTING))
                return; /* answered once it is committed */
        if (t && counts(t, &it->fence))
                end(d, t, p, it);
        else if (t && t->state == TASK_FINAL && fa_fence_eq(&fa_disp_run_of(t)->fence, &it->fence))
                fa_disp_answer(d, p, FA_MSG_ACK, &it->id, &it->fence);
        else
                fa_disp_answer(d, p, FA_MSG_STALE, &it->id, &it->fence);
}

/*
 * The worker says how many hand-outs it holds.  If it has seen all that were sent and the numbers
 * differ, or if it missed some, a message was lost: it shall register again and list them.
 */
static void on_beat(struct fa_disp *d, struct peer *p, const struct fa_msg *m) {
        struct fa_msg *out;
        bool all = m->seq == p->sent_seq;
        bool behind = !all && p->beat_seq == p->sent_seq;

        p->beat_seq = p->sent_seq;
        if (fa_rule(BEAT_COUNT) && (behind || (all && m->held != p->n_held))) {
                fa_disp_welcome(d, p);
                return;
        }
        out = fa_outbox_msg(&d->outbox, &p->lane, FA_MSG_BEAT);
        if (!out)
                return;
        out->epoch = p->incarnation;
        out->session = p->session;
        out->seq = p->sent_seq;
        out->held = p->n_held;
}

static void on_items(struct fa_disp *d, struct peer *p, const struct fa_msg *m) {
        for (uint32_t i = 0; i < m->n_items; i++) {
                /* What comes back goes to the head of its queue: the last one first. */
                bool back = m->type == FA_MSG_RETURN;
                const struct fa_item *it = &m->items[back ? m->n_items - 1 - i : i];
                struct task *t;
                switch (m->type) {
                case FA_MSG_RESULT:
                        on_result(d, p, it);
                        break;
                case FA_MSG_STARTED:
                        t = held_by(d, p, it);
                        if (t)
                                fa_disp_run_of(t)->started = true;
                        break;
                default: /* RETURN */
                        t = held_by(d, p, it);
                        if (t)
                                fa_disp_lost(d, t, FAAS_FAILURE_NONE, NULL);
                }
        }
}

/*
 * Does its grant count?  In pull mode a request is answered once: REQUEST asks, and BEAT says what
 * was asked and is not answered yet, in case that the request or its answer was lost; but one that
 * has not seen the last TASK may have been sent before the answer came.
 */
static bool renews(const struct fa_disp *d, const struct peer *p, const struct fa_msg *m) {
        if (d->cfg.mode != FA_MODE_PULL)
                return m->type != FA_MSG_STARTED;
        return m->type == FA_MSG_REQUEST || (m->type == FA_MSG_BEAT && m->seq == p->sent_seq);
}

void fa_disp_worker_msg(struct fa_disp *d,
                        struct peer *p,
                        const struct fa_msg *m,
                        uint64_t now_ns) {
        if (m->type == FA_MSG_REGISTER) {
                on_register(d, p, m, now_ns);
                return;
        }
        p->role = FA_ROLE_WORKER;
        if (m->type == FA_MSG_RESULT)
                on_items(d, p, m);
        if (!p->registered || (m->session != p->session && fa_rule(SESSION))) {
                if (!p->registered || m->session > p->session)
                        fa_disp_welcome(d, p); /* forgotten: register again */
                return;
        }
        if (m->type == FA_MSG_STARTED || m->type == FA_MSG_RETURN)
                on_items(d, p, m);
        if (renews(d, p, m))
                p->grant = m->grant;
        fa_disp_ready(p);
        if (m->type == FA_MSG_BEAT)
                on_beat(d, p, m);
}
