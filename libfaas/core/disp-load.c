/*
 * disp-load.c - what of the store is in memory: partitions taken over, and a backlog beyond the
 * budget
 *
 * A partition is whole when all of it that is open is in memory.  Mine is, until its queue exceeds
 * the budget: then what is accepted stays in the store only.  One that I took is not, until it was
 * read.  What is missing is read in the order of its acceptance, in chunks, while the budget
 * allows.  As groups run in order, a task whose ACCEPT is answered before the LOAD that says END
 * was read by that one or by one before; and one that is answered later is kept.
 */
#include <stdlib.h>

#include "core/disp-private.h"

#define LOADS_MAX 2       /* unanswered at a time: of two partitions */
#define SPILLED_BYTES 21u /* of a number in a set, at most: base/set.h */
#define AGAIN_NS (10 * FA_NS_PER_MS)

static void ask_workers(struct fa_disp *d) {
        struct fa_list *it;

        fa_list_for_each (it, &d->peers) {
                struct peer *w = fa_list_entry(it, struct peer, link);
                if (w->registered)
                        fa_disp_welcome(d, w);
        }
}

static void make_partial(struct fa_disp *d, struct part *p) {
        d->n_partial += p->whole;
        p->whole = false;
}

/* Is mine now.  Its former owner's workers may hold hand-outs of it: mine are asked what they have.
 */
struct part *fa_disp_part_add(struct fa_disp *d, uint64_t partition, uint32_t gen, bool whole) {
        struct part *p = fa_disp_part(d, partition);

        if (!p) {
                const struct faas_id key = fa_disp_key(partition);
                p = fa_map_add(&d->parts_by_number, &key);
                if (!p)
                        return NULL;
                p->partition = partition;
                p->whole = true;
                fa_list_push_back(&d->parts, &p->link);
        }
        p->gen = gen;
        if (whole)
                return p;
        make_partial(d, p);
        p->cursor = 0;
        p->again = p->loading;
        ask_workers(d);
        return p;
}

/* The store is another one: its records may have moved, so all is read from the beginning. */
void fa_disp_loads_again(struct fa_disp *d) {
        struct fa_list *it;

        fa_list_for_each (it, &d->parts) {
                struct part *p = fa_list_entry(it, struct part, link);
                p->cursor = 0;
                p->again = p->loading;
        }
}

/*
 * Memory for the tasks themselves: the budget less what is kept of those who wait for the others,
 * but always a part of it, or nothing would go on.
 */
static uint64_t share(const struct fa_disp *d) {
        const uint64_t budget = d->cfg.backlog_bytes;
        const uint64_t waiters = d->n_spilled * SPILLED_BYTES;

        return FA_MAX(budget / 4, budget - FA_MIN(budget, waiters));
}

static bool room(const struct fa_disp *d) {
        return !d->cfg.backlog_bytes || d->queued_bytes < share(d) / 2 ||
               !(d->n_in[TASK_QUEUED] + d->n_in[TASK_INHERITED]);
}

/* Reads on.  Partitions take turns. */
void fa_disp_load(struct fa_disp *d, uint64_t now_ns) {
        struct fa_list *it;
        struct fa_list *tmp;

        if (!d->n_partial || !d->epoch || d->rebinding || now_ns < d->load_at_ns)
                return;
        d->load_at_ns = 0;
        fa_list_for_each_safe (it, tmp, &d->parts) {
                struct part *p = fa_list_entry(it, struct part, link);
                struct fa_op *op;
                if (d->n_loading == LOADS_MAX || !room(d))
                        return;
                if (p->whole || p->loading)
                        continue;
                op = fa_disp_op(d, FA_OP_LOAD);
                if (!op) {
                        d->load_at_ns = now_ns + AGAIN_NS;
                        return;
                }
                op->partition = p->partition;
                op->cursor = p->cursor;
                op->n = d->cfg.load_max;
                p->loading = true;
                d->n_loading++;
                fa_list_remove(&p->link);
                fa_list_push_back(&d->parts, &p->link);
        }
}

static bool history(struct fa_disp *d, struct task *t, const struct fa_record *rec) {
        if (!rec->strikes && !rec->retries && !rec->strike_fence.partition)
                return true;
        if (!fa_disp_run(d, t))
                return false;
        fa_disp_run_of(t)->strikes = rec->strikes;
        fa_disp_run_of(t)->retries = rec->retries;
        fa_disp_run_of(t)->strike_fence = rec->strike_fence;
        return true;
}

/* A record of a partition of mine, seen in the store: it joins my tasks.  false: no memory. */
static bool adopt(struct fa_disp *d, struct task *t, const struct fa_record *rec, uint64_t now_ns) {
        struct part *part = fa_disp_part(d, rec->partition);

        if (!part || !rec->spec)
                return true;
        if (!history(d, t, rec))
                return false;
        if (fa_disp_task_spec(d, t, rec->spec, part))
                return true; /* too many functions: nobody runs it */
        t->client = rec->client;
        part->n_out -= part->n_out > 0;
        fa_disp_task_move(d, t, TASK_INHERITED);
        *fa_disp_when(t) = now_ns;
        fa_disp_tell_accepted(d, t, 0);
        fa_disp_waiter_back(d, t);
        if (fa_disp_run_of(t)->want && fa_disp_wanted(d, t, now_ns))
                return true;
        if (!rec->hinted || !fa_rule(HINT))
                fa_disp_queue(d, t, false); /* never handed out: no worker can have it */
        return true;
}

/* false: no memory. */
static bool load_record(struct fa_disp *d, const struct fa_record *rec, uint64_t now_ns) {
        struct task *t = fa_disp_task_find(d, &rec->id);
        bool done = true;

        if (!t)
                t = fa_disp_task_new(d, &rec->id, TASK_ELSEWHERE);
        if (!t)
                return false;
        if (t->state == TASK_STORED)
                fa_disp_queue(d, t, false);
        else if (t->state == TASK_ELSEWHERE || t->state == TASK_ACCEPTING)
                done = adopt(d, t, rec, now_ns);
        (void)fa_disp_stub_drop(d, t);
        return done;
}

/* All of it that is open is in memory. */
static void whole(struct fa_disp *d, struct part *p) {
        struct fa_list *l;

        p->whole = true;
        p->n_out = 0;
        d->n_partial--;
        while (p == d->home && (l = fa_list_first(&d->stored)))
                fa_disp_queue(d, fa_list_entry(l, struct task, link), false);
        if (!d->n_partial)
                fa_disp_spilled_forget(d); /* there is nothing left to wait for */
}

void fa_disp_loaded(struct fa_disp *d, const struct fa_op *op, uint64_t now_ns) {
        struct part *p = fa_disp_part(d, op->partition);
        bool all = op->r == 0;

        if (!p || !p->loading)
                return;
        p->loading = false;
        d->n_loading--;
        if (p->again) { /* it was asked of the store as it was before */
                p->again = false;
                return;
        }
        for (size_t i = 0; all && i < op->more->n_recs; i++)
                all = load_record(d, &op->more->recs[i], now_ns);
        if (!all)
                d->load_at_ns = now_ns + AGAIN_NS; /* no memory, here or there: this part again */
        else if (op->cursor == FA_CURSOR_END)
                whole(d, p); /* what is accepted from now on lies behind p->cursor too */
        else
                p->cursor = op->cursor;
}

/*
 * The record is open.  If all of its partition must be in memory, or something is wanted of it, it
 * joins my tasks.  Else the task is, or becomes, a stub for those who wait for it: it is somebody
 * else's, or only in the store.  The task may be gone.
 */
void fa_disp_elsewhere(struct fa_disp *d,
                       struct task *t,
                       const struct fa_record *rec,
                       uint64_t now_ns) {
        const struct part *part = fa_disp_part(d, rec->partition);

        if (t->state != TASK_ELSEWHERE)
                fa_disp_task_move(d, t, TASK_ELSEWHERE);
        fa_disp_tell_accepted(d, t, 0);
        if (part && (part->whole || fa_disp_run_of(t)->want)) {
                (void)adopt(d, t, rec, now_ns); /* without memory: it is read again */
        } else {
                fa_disp_unwanted(d, t, rec);
                fa_disp_tell_done(d, t, FAAS_QUEUED, NULL);
                if (part && rec->spec)
                        fa_disp_waiters_leave(d, t, rec->client,
                                              fa_blob_len(fa_spec_payload(rec->spec)));
        }
        (void)fa_disp_stub_drop(d, t);
}

/* ---- what is accepted while the backlog is beyond memory ---- */

/* It is in the store, and does not stay here. */
static void spill(struct fa_disp *d, struct task *t) {
        fa_disp_waiters_leave(d, t, t->client, fa_blob_len(fa_spec_payload(t->spec)));
        fa_disp_task_move(d, t, TASK_ELSEWHERE);
        (void)fa_disp_stub_drop(d, t);
}

/*
 * The task is in the store.  Does it stay there alone?  Then it is here only until it must be on
 * the store's disk.
 */
bool fa_disp_spill(struct fa_disp *d, struct task *t, uint64_t now_ns) {
        if (!d->cfg.backlog_bytes ||
            (d->home->whole && d->queued_bytes + fa_disp_task_cost(t) <= share(d)))
                return false;
        make_partial(d, d->home);
        d->home->n_out++;
        fa_disp_tell_accepted(d, t, 0);
        fa_disp_tell_done(d, t, FAAS_QUEUED, NULL); /* those who asked meanwhile */
        if (d->cfg.retain_ns && fa_rule(KEEP_STORED)) {
                fa_disp_task_move(d, t, TASK_STORED);
                *fa_disp_when(t) = now_ns;
        } else {
                spill(d, t);
        }
        return true;
}

/* The store has answered since: what is old enough cannot be lost with its tail any more. */
void fa_disp_expire(struct fa_disp *d, uint64_t now_ns) {
        struct fa_list *it;
        struct fa_list *tmp;

        fa_list_for_each_safe (it, tmp, &d->finals) {
                struct task *t = fa_list_entry(it, struct task, link);
                if (now_ns - *fa_disp_when(t) < d->cfg.retain_ns)
                        break;
                fa_disp_task_free(d, t);
        }
        fa_list_for_each_safe (it, tmp, &d->stored) {
                struct task *t = fa_list_entry(it, struct task, link);
                if (now_ns - *fa_disp_when(t) < d->cfg.retain_ns)
                        break;
                spill(d, t);
        }
}

/* All that is kept was written once more. */
void fa_disp_retain_again(struct fa_disp *d, uint64_t now_ns) {
        struct fa_list *it;

        fa_list_for_each (it, &d->finals)
                *fa_disp_when(fa_list_entry(it, struct task, link)) = now_ns;
        fa_list_for_each (it, &d->stored)
                *fa_disp_when(fa_list_entry(it, struct task, link)) = now_ns;
}

/* ---- partitions of former epochs, when nothing is left in them ---- */

/* Long enough for what still travels: a late result of it is nobody's then. */
static uint64_t drop_after(const struct fa_disp *d) {
        return 4 * d->cfg.tick_ns * d->cfg.lease_ticks;
}

/*
 * With each start of a dispatcher there is a partition more.  TICKs that are sent from now on do
 * not name one that is to be dropped, and none that does is on its way.
 */
void fa_disp_parts_tick(struct fa_disp *d, uint64_t now_ns) {
        struct fa_list *it;

        fa_list_for_each (it, &d->parts) {
                struct part *p = fa_list_entry(it, struct part, link);
                struct fa_op *op;
                if (p == d->home || p->dropping)
                        continue;
                if (!p->whole || p->loading || p->n_tasks || d->rebinding)
                        p->empty_ns = 0;
                else if (!p->empty_ns)
                        p->empty_ns = now_ns;
                else if (now_ns - p->empty_ns >= drop_after(d) &&
                         (op = fa_disp_op(d, FA_OP_DROP))) {
                        op->partition = p->partition;
                        p->dropping = true;
                }
        }
}

void fa_disp_dropped(struct fa_disp *d, const struct fa_op *op) {
        struct part *p = fa_disp_part(d, op->partition);

        if (!p || !p->dropping)
                return;
        p->dropping = false;
        p->empty_ns = 0;
        if (op->r || p->n_tasks) {
                make_partial(d, p); /* the store knows of something: it is read again */
                p->cursor = 0;
                return;
        }
        d->n_partial -= !p->whole;
        fa_list_remove(&p->link);
        fa_map_remove(&d->parts_by_number, &p->node);
}
