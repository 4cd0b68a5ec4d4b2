/*
 * disp-wait.c - who waits for what: waiters, windows, and those of tasks that only the store has
 *
 * Of a task beyond the memory that its submitter waits for only a number is kept, with the client:
 * as many of these count to it as waiters do.  When the task is in memory again it is a waiter
 * again.  Whoever else waits for it keeps a stub, as for a task that another dispatcher has.
 */
#include <stdlib.h>
#include <string.h>

#include "core/disp-private.h"

/* One that is not embedded. */
struct other {
        struct waiter w; /* first */
        struct task *task;
};

static struct task *task_of(struct waiter *w) {
        return w->embedded ? fa_container_of(w, struct task, w0)
                           : fa_container_of(w, struct other, w)->task;
}

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
        bool yes = t->state == TASK_QUEUED || t->state == TASK_HANDED ||
                   t->state == TASK_INHERITED || t->state == TASK_STORED;
        struct waiter *w;
        struct waiter *tmp;

        fa_disp_for_waiters(w, tmp, t) {
                count(w, yes && !w->once);
        }
}

bool fa_disp_window_full(const struct fa_disp *d, const struct peer *p, size_t len) {
        uint64_t n = p->n_counted + p->spilled.n;

        return n >= d->cfg.window_tasks ||
               (n && p->counted_bytes + p->spilled_bytes + len > d->cfg.window_bytes);
}

/*
 * So much is not even looked at: what is being written and read for one client is bounded also
 * while the store stands still.  It counts as lost on the way: to a client that has a right to it
 * the beats tell, and it is said again.
 */
bool fa_disp_flooded(const struct fa_disp *d, const struct peer *p, size_t len) {
        return p->n_all + p->spilled.n >= UINT64_C(2) * d->cfg.window_tasks + FA_BATCH_MAX ||
               p->all_bytes + p->spilled_bytes + len >
                       2 * d->cfg.window_bytes + FA_BATCH_BYTES + FA_PAYLOAD_MAX;
}

void fa_disp_waiter_drop(struct waiter *w) {
        struct waiter *before;

        if (!w->peer)
                return;
        w->peer->n_waiters -= !w->once;
        w->peer->n_all--;
        w->peer->all_bytes -= w->bytes;
        count(w, false);
        fa_list_remove(&w->in_peer);
        w->peer = NULL;
        if (w->embedded)
                return;
        before = &task_of(w)->w0;
        while (before->next != w)
                before = before->next;
        before->next = w->next;
        free(w);
}

void fa_disp_waiters_drop(struct task *t) {
        for (struct waiter *w; (w = fa_disp_waiters(t));)
                fa_disp_waiter_drop(w);
}

static struct waiter *waiter_find(struct task *t, const struct peer *p, bool once) {
        struct waiter *w;
        struct waiter *tmp;

        fa_disp_for_waiters(w, tmp, t) {
                if (w->peer == p && w->once == once)
                        return w;
        }
        return NULL;
}

struct waiter *fa_disp_waiter_add(struct task *t, struct peer *p, bool once) {
        struct waiter *w = waiter_find(t, p, once);

        if (w)
                return w;
        if (t->w0.peer) {
                struct other *o = malloc(sizeof(*o));
                if (!o)
                        return NULL;
                o->task = t;
                w = &o->w;
                *w = (struct waiter){.next = t->w0.next};
                t->w0.next = w;
        } else {
                w = &t->w0;
        }
        w->peer = p;
        w->submitted = w->silent = w->counted = false;
        w->once = once;
        w->bytes = t->spec ? fa_blob_len(fa_spec_payload(t->spec)) & 0xffffff : 0;
        p->n_all++;
        p->all_bytes += w->bytes;
        fa_list_push_back(&p->waiters, &w->in_peer);
        p->n_waiters += !once;
        fa_disp_window(t);
        return w;
}

/* A stub is kept for those who wait for it, or for what is to be done with its record. */
bool fa_disp_stub_drop(struct fa_disp *d, struct task *t) {
        if (t->state != TASK_ELSEWHERE || fa_disp_waiters(t) || fa_disp_run_of(t)->want)
                return false;
        fa_disp_task_free(d, t);
        return true;
}

/* ---- tasks that only the store has ---- */

static uint64_t number(const struct fa_disp *d, const struct faas_id *id) {
        return fa_set_key(d->cfg.seed, id);
}

static void spilled_clear(struct fa_disp *d, struct peer *p) {
        d->n_spilled -= p->spilled.n;
        fa_set_deinit(&p->spilled);
        p->spilled_bytes = 0;
}

static void leave(struct fa_disp *d, struct peer *p) {
        if (p->here)
                fa_map_remove(&d->clients, &p->here->node);
        p->here = NULL;
        spilled_clear(d, p);
}

/* This is where the client is now; what it waited for at another connection it waits for here. */
void fa_disp_client_here(struct fa_disp *d, struct peer *p) {
        struct faas_id key = fa_disp_key(p->incarnation);
        const struct place *place;

        if (p->here)
                return;
        place = fa_map_find(&d->clients, &key);
        if (place) {
                struct peer *old = place->peer;
                p->spilled = old->spilled;
                p->spilled_bytes = old->spilled_bytes;
                old->spilled = (struct fa_set){0};
                leave(d, old);
        }
        p->here = fa_map_add(&d->clients, &key);
        if (p->here)
                p->here->peer = p;
        else
                spilled_clear(d, p); /* it is missed at its next beat, and all is said again */
}

void fa_disp_client_close(struct fa_disp *d, struct peer *p) {
        for (struct fa_list *l; (l = fa_list_first(&p->waiters));) {
                struct waiter *w = fa_list_entry(l, struct waiter, in_peer);
                struct task *t = task_of(w);
                fa_disp_waiter_drop(w);
                (void)fa_disp_stub_drop(d, t);
        }
        leave(d, p);
}

bool fa_disp_spilled(const struct fa_disp *d, const struct peer *p, const struct faas_id *id) {
        return p->spilled.n && fa_set_has(&p->spilled, number(d, id));
}

/*
 * The task is not kept in memory, with so many bytes of payload: its submitter waits on as a
 * number.  Without memory for that, or with two connections of one client, it is forgotten: the
 * beats tell.
 */
void fa_disp_waiters_leave(struct fa_disp *d, struct task *t, uint64_t client, size_t len) {
        struct waiter *w;
        struct waiter *tmp;

        fa_disp_for_waiters(w, tmp, t) {
                struct peer *p = w->peer;
                if (w->once || w->submitted || p->incarnation != client)
                        continue;
                if (p->here && fa_set_add(&p->spilled, number(d, &t->node.key)) == 0) {
                        p->spilled_bytes += len;
                        d->n_spilled++;
                }
                fa_disp_waiter_drop(w);
        }
}

/* The task is in memory again: so is its submitter. */
void fa_disp_waiter_back(struct fa_disp *d, struct task *t) {
        struct faas_id key = fa_disp_key(t->client);
        const struct place *place = fa_map_find(&d->clients, &key);
        struct peer *p;

        if (!place)
                return;
        p = place->peer;
        if (!fa_set_remove(&p->spilled, number(d, &t->node.key)))
                return;
        d->n_spilled--;
        p->spilled_bytes -= fa_blob_len(fa_spec_payload(t->spec));
        (void)fa_disp_waiter_add(t, p, false);
}

/* What was thought to be only in the store may not be there: all clients say everything again. */
void fa_disp_spilled_forget(struct fa_disp *d) {
        struct fa_list *it;

        fa_list_for_each (it, &d->peers) {
                struct peer *p = fa_list_entry(it, struct peer, link);
                if (!p->spilled.n)
                        continue;
                spilled_clear(d, p);
                fa_disp_welcome(d, p);
        }
}
