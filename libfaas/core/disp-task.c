/*
 * disp-task.c - the life of a task in the dispatcher
 *
 * Every change of a task's state goes through fa_disp_task_move(), which holds the table of legal
 * moves.  A task that is lost on the way is queued again; whether that counts against it (a
 * strike) depends on whether it had started.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/disp-private.h"

/* legal[from]: bit set of the states that may follow.  To ELSEWHERE: the store says it is
 * another's. */
#define B(s) (1u << (s))
static const uint8_t legal[_TASK_STATE_N] = {
        [TASK_ACCEPTING] = B(TASK_QUEUED) | B(TASK_STORED) | B(TASK_INHERITED) | B(TASK_ELSEWHERE),
        [TASK_STORED] = B(TASK_QUEUED) | B(TASK_FINISHING) | B(TASK_ELSEWHERE),
        [TASK_QUEUED] = B(TASK_HANDED) | B(TASK_FINISHING) | B(TASK_ELSEWHERE),
        [TASK_HANDED] = B(TASK_QUEUED) | B(TASK_FINISHING) | B(TASK_ELSEWHERE),
        [TASK_INHERITED] = B(TASK_QUEUED) | B(TASK_HANDED) | B(TASK_FINISHING) | B(TASK_ELSEWHERE),
        [TASK_FINISHING] = B(TASK_FINAL) | B(TASK_ELSEWHERE),
        [TASK_FINAL] = B(TASK_ELSEWHERE),
        [TASK_ELSEWHERE] = B(TASK_INHERITED) | B(TASK_ACCEPTING),
};

#define SPARE_MAX 1024

const struct run fa_disp_no_run;

bool fa_disp_run(struct fa_disp *d, struct task *t) {
        struct run *r = d->spare;

        if (t->has_run)
                return true;
        if (r) {
                d->spare = r->next;
                d->n_spare--;
                *r = fa_disp_no_run;
        } else {
                r = calloc(1, sizeof(*r));
        }
        if (!r)
                return false;
        r->when = t->when;
        t->run = r;
        t->has_run = true;
        return true;
}

static void run_drop(struct fa_disp *d, struct task *t) {
        struct run *r = t->run;

        if (!t->has_run)
                return;
        t->has_run = false;
        t->when = r->when;
        fa_outcome_deinit(&r->outcome);
        if (d->n_spare == SPARE_MAX) {
                free(r);
                return;
        }
        r->next = d->spare;
        d->spare = r;
        d->n_spare++;
}

/* It waits again: what is still to be known of it? */
static void run_ended(struct fa_disp *d, struct task *t) {
        const struct run *r = t->run;

        if (!t->has_run)
                return;
        if (!r->strikes && !r->retries && !r->unstarted && !r->strike_fence.partition)
                run_drop(d, t);
        else
                t->run->started = false;
}

struct task *fa_disp_task_find(const struct fa_disp *d, const struct faas_id *id) {
        return fa_map_find(&d->tasks, id);
}

struct task *fa_disp_task_new(struct fa_disp *d, const struct faas_id *id, enum task_state state) {
        struct task *t = fa_map_add(&d->tasks, id);

        if (!t)
                return NULL;
        fa_list_init(&t->link);
        t->w0.embedded = true;
        t->state = (uint8_t)state;
        d->n_in[state]++;
        if (state == TASK_ELSEWHERE)
                fa_list_push_back(&d->elsewhere, &t->link);
        d->stats.n_tasks++;
        return t;
}

/* What it takes of the budget: itself, what was submitted, its place in the map, and what malloc
 * adds. */
size_t fa_disp_task_cost(const struct task *t) {
        return sizeof(*t) + 64 + (t->spec ? fa_spec_size(t->spec) + sizeof(struct fa_blob) : 0);
}

static void budget(struct fa_disp *d, const struct task *t, bool in) {
        if (!d->cfg.backlog_bytes || (t->state != TASK_QUEUED && t->state != TASK_INHERITED))
                return;
        d->queued_bytes += in ? fa_disp_task_cost(t) : -(uint64_t)fa_disp_task_cost(t);
}

static void set_part(const struct fa_disp *d, struct task *t, struct part *p) {
        struct part *was = fa_disp_part_of(d, t);

        if (was)
                was->n_tasks--;
        t->w0.of_task = p ? p->node.index + 1 : 0;
        if (p)
                p->n_tasks++;
}

/* All but its place in the map. */
static void task_deinit(struct fa_disp *d, struct task *t) {
        fa_disp_waiters_drop(t);
        fa_disp_want_free(d, t);
        d->n_in[t->state]--;
        budget(d, t, false);
        fa_disp_unhold(d, t);
        fa_list_remove(&t->link);
        set_part(d, t, NULL);
        fa_spec_unref(t->spec);
        run_drop(d, t);
        d->stats.n_tasks--;
}

void fa_disp_task_free(struct fa_disp *d, struct task *t) {
        task_deinit(d, t);
        fa_map_remove(&d->tasks, &t->node);
}

/* At the end: they are many, and taking each out of the map would look through it for each. */
void fa_disp_tasks_free(struct fa_disp *d) {
        size_t it = 0;

        for (struct task *t; (t = fa_map_next(&d->tasks, &it));)
                task_deinit(d, t);
        fa_map_deinit(&d->tasks);
        while (d->spare) {
                struct run *r = d->spare;
                d->spare = r->next;
                free(r);
        }
}

/* The worker that has it has it no more. */
void fa_disp_unhold(struct fa_disp *d, struct task *t) {
        struct peer *p = fa_disp_run_of(t)->worker;

        if (!p || t->state != TASK_HANDED)
                return;
        fa_disp_run_of(t)->worker = NULL;
        p->n_held--;
        if (p->unhinted == &t->link)
                p->unhinted = t->link.next == &p->held ? NULL : t->link.next;
        fa_list_remove(&t->link);
        fa_disp_ready(p);
}

/* It has it, under this fence: before those without a HINT, because somebody else made the hand-out
 * and may have written it.  false: no memory. */
bool fa_disp_hold(struct fa_disp *d,
                  struct peer *p,
                  struct task *t,
                  const struct fa_fence *fence,
                  uint64_t now_ns) {
        if (!fa_disp_run(d, t))
                return false;
        fa_disp_task_move(d, t, TASK_HANDED);
        fa_disp_run_of(t)->fence = *fence;
        fa_disp_run_of(t)->worker = p;
        *fa_disp_when(t) = 0;
        fa_disp_run_of(t)->given_ns = now_ns;
        fa_disp_run_of(t)->hinted = true;
        fa_list_push_back(p->unhinted ? p->unhinted : &p->held, &t->link);
        p->n_held++;
        return true;
}

void fa_disp_task_move(struct fa_disp *d, struct task *t, enum task_state to) {
        (void)legal; /* without asserts nobody asks */
        assert(legal[t->state] & B(to));
        d->n_in[t->state]--;
        d->n_in[to]++;
        budget(d, t, false);
        fa_disp_unhold(d, t);
        fa_list_remove(&t->link);
        t->state = (uint8_t)to;
        budget(d, t, true);
        fa_disp_window(t);
        switch (to) {
        case TASK_STORED:
                fa_list_push_back(&d->stored, &t->link);
                break;
        case TASK_QUEUED:
                run_ended(d, t);
                break;
        case TASK_INHERITED:
                fa_list_push_back(&d->inherited, &t->link);
                break;
        case TASK_FINAL:
                fa_list_push_back(&d->finals, &t->link);
                break;
        case TASK_ELSEWHERE:
                fa_list_push_back(&d->elsewhere, &t->link);
                t->spec = fa_spec_unref(t->spec);
                set_part(d, t, NULL);
                *fa_disp_when(t) = 0;
                run_drop(d, t);
                break;
        default:
                break;
        }
}

/* What was submitted, and where it belongs. 0, FAAS_E_LIMIT (too many functions). */
int fa_disp_task_spec(struct fa_disp *d, struct task *t, struct fa_spec *spec, struct part *part) {
        struct class *c = fa_disp_class(d, fa_spec_function(spec));

        if (!c)
                return FAAS_E_LIMIT;
        fa_spec_ref(spec);
        fa_spec_unref(t->spec);
        t->spec = spec;
        t->class = (uint16_t)c->index;
        set_part(d, t, part);
        return 0;
}

/* front: it waited before. */
void fa_disp_queue(struct fa_disp *d, struct task *t, bool front) {
        struct class *c = d->class_at[t->class];
        bool first = t->state == TASK_STORED || t->state == TASK_INHERITED || !*fa_disp_when(t);

        fa_disp_task_move(d, t, TASK_QUEUED);
        if (first)
                *fa_disp_when(t) = ++d->order;
        if (front)
                fa_list_push_front(&c->queue, &t->link);
        else
                fa_list_push_back(&c->queue, &t->link);
        if (fa_list_empty(&c->busy))
                fa_list_push_back(&d->busy, &c->busy);
}

static bool give(struct fa_disp *d, struct peer *p, struct task *t, uint64_t now_ns) {
        struct fa_msg *m;
        struct fa_item *it;

        if (!fa_disp_run(d, t))
                return false;
        it = fa_outbox_item(&d->outbox, &p->lane, FA_MSG_TASK, p->incarnation, p->session,
                            fa_blob_len(fa_spec_payload(t->spec)), 0, &m);
        if (!it)
                return false;
        fa_disp_task_move(d, t, TASK_HANDED);
        fa_disp_run_of(t)->fence =
                (struct fa_fence){fa_disp_part_of(d, t)->partition, fa_disp_part_of(d, t)->gen,
                                  ++fa_disp_part_of(d, t)->n};
        fa_disp_run_of(t)->worker = p;
        fa_disp_run_of(t)->listed = p->session;
        fa_list_push_back(&p->held, &t->link);
        p->n_held++;
        it->id = t->node.key;
        it->fence = fa_disp_run_of(t)->fence;
        fa_spec_fill(t->spec, it);
        m->seq = ++p->sent_seq;
        d->stats.handed_out++;
        fa_disp_hint_plan(d, p, t, now_ns);
        return true;
}

/* One task each to those in this line, longest idle first: a worker that has taken one goes to the
 * end of its line. 1: some were given; 0: none; -ENOMEM. */
static int hand_line(struct fa_disp *d, struct kind *k, struct fa_list *line, uint64_t now_ns) {
        struct fa_list *it;
        struct fa_list *tmp;
        int any = 0;

        fa_list_for_each_safe (it, tmp, line) {
                struct peer *p = fa_list_entry(it, struct peer, ready);
                struct task *t = d->n_in[TASK_QUEUED] ? fa_disp_oldest_for(d, k) : NULL;
                if (!t)
                        break;
                if (!give(d, p, t, now_ns))
                        return -ENOMEM;
                any = 1;
                fa_list_remove(&p->ready);
                fa_disp_ready(p);
                if (d->cfg.mode == FA_MODE_PULL && fa_list_empty(&p->given))
                        fa_list_push_back(&d->given, &p->given);
        }
        return any;
}

/* The same for the lines of all kinds, another one first each time.  false: nobody was given any,
 * or there was no memory: the next turn tries again. */
static bool hand_round(struct fa_disp *d, bool ahead, uint64_t now_ns) {
        struct fa_list *it;
        bool any = false;

        fa_list_for_each (it, &d->kinds) {
                struct kind *k = fa_list_entry(it, struct kind, link);
                int r = hand_line(d, k, ahead ? &k->ahead : &k->ready, now_ns);
                if (r < 0)
                        return false;
                any |= r > 0;
        }
        if (any) {
                it = fa_list_pop_front(&d->kinds);
                fa_list_push_back(&d->kinds, it);
        }
        return any;
}

/* Hands tasks to workers with credit: those with slots that have nothing come first.  In pull mode
 * whoever was given something has had its answer. */
void fa_disp_hand_out(struct fa_disp *d, uint64_t now_ns) {
        struct fa_list *l;
        bool stays = d->draining && d->cfg.keeps;

        while (!stays && d->n_in[TASK_QUEUED] &&
               (hand_round(d, false, now_ns) || hand_round(d, true, now_ns)))
                ;
        while ((l = fa_list_pop_front(&d->given))) {
                struct peer *p = fa_list_entry(l, struct peer, given);
                p->grant = 0;
                fa_disp_ready(p);
        }
}

/*
 * The end of a task, as it is to be written.  tell: the worker whose result it is, to be told ACK
 * once it is committed.  Without memory the result counts as not received: it comes again.
 */
void fa_disp_finish(struct fa_disp *d,
                    struct task *t,
                    const struct fa_fence *fence,
                    const struct fa_outcome *o,
                    struct peer *tell) {
        struct fa_op *op = fa_disp_run(d, t) ? fa_disp_op(d, FA_OP_FINISH) : NULL;

        if (!op)
                return;
        op->id = t->node.key;
        op->mark = t->node.index;
        op->partition = fa_disp_part_of(d, t)->partition;
        op->fence = *fence;
        op->strikes = fa_disp_run_of(t)->strikes;
        if (t->spec->place && !fa_disp_run_of(t)->strikes && !fa_disp_run_of(t)->retries)
                op->spec = fa_spec_ref(t->spec); /* no REQUEUE was written */
        fa_outcome_ref(&op->outcome, o);
        fa_disp_task_move(d, t, TASK_FINISHING);
        fa_outcome_deinit(&fa_disp_run_of(t)->outcome);
        fa_outcome_ref(&fa_disp_run_of(t)->outcome, o);
        fa_disp_run_of(t)->fence = *fence;
        fa_disp_run_of(t)->worker = tell;
        if (tell)
                fa_list_push_back(&tell->finishing, &t->link);
        if (!fa_rule(COMMIT_FIRST)) {
                fa_disp_tell_done(d, t, o->status, o);
                if (tell)
                        fa_disp_answer(d, tell, FA_MSG_ACK, &t->node.key, fence);
        }
}

/* It is final in the store: everyone who waits is told the stored end. The task may be freed. */
void fa_disp_final(struct fa_disp *d,
                   struct task *t,
                   const struct fa_outcome *o,
                   const struct fa_fence *fence,
                   uint64_t now_ns) {
        if (fa_disp_run_of(t)->worker)
                fa_disp_answer(d, fa_disp_run_of(t)->worker,
                               fa_fence_eq(fence, &fa_disp_run_of(t)->fence) ? FA_MSG_ACK
                                                                             : FA_MSG_STALE,
                               &t->node.key, &fa_disp_run_of(t)->fence);
        fa_disp_run_of(t)->worker = NULL;
        fa_disp_tell_done(d, t, o->status, o);
        if (!d->cfg.retain_ns || !fa_rule(KEEP_FINALS)) {
                fa_disp_task_free(d, t);
                return;
        }
        struct fa_outcome keep;
        fa_outcome_ref(&keep, o);
        fa_outcome_deinit(&fa_disp_run_of(t)->outcome);
        fa_disp_run_of(t)->outcome = keep;
        fa_disp_run_of(t)->fence = *fence;
        *fa_disp_when(t) = now_ns;
        fa_disp_task_move(d, t, TASK_FINAL);
}

/* Back into the queue with what the store must know of it. */
static void requeue(struct fa_disp *d, struct task *t, bool write) {
        struct fa_op *op = write ? fa_disp_op(d, FA_OP_REQUEUE) : NULL;

        if (op) {
                op->id = t->node.key;
                op->partition = fa_disp_part_of(d, t)->partition;
                op->strikes = fa_disp_run_of(t)->strikes;
                op->retries = fa_disp_run_of(t)->retries;
                op->fence = fa_disp_run_of(t)->strike_fence;
        }
        d->stats.requeued++;
        if (t->state !=
            TASK_QUEUED) /* else an earlier owner's hand-out ended, and it waits already */
                fa_disp_queue(d, t, true);
}

/*
 * A hand-out of the task ended with a dead slot or worker, or with the function's own failure and a
 * retry left.  Its fence is kept: it does not count again (adoptable() in disp-worker.c).
 */
void fa_disp_strike(struct fa_disp *d,
                    struct task *t,
                    const struct fa_fence *fence,
                    const struct fa_outcome *o) {
        uint32_t max = fa_spec_limits(t->spec).max_strikes;

        if (!fa_disp_run(d, t))
                return; /* it was inherited, and waits until it is queued */
        fa_disp_run_of(t)->strike_fence = *fence;
        if (o->failure == FAAS_FAILURE_FUNCTION) {
                fa_disp_run_of(t)->retries++;
                requeue(d, t, true);
                return;
        }
        fa_disp_run_of(t)->strikes++;
        d->stats.strikes++;
        if (fa_disp_run_of(t)->strikes >= (max ? max : d->cfg.max_strikes))
                fa_disp_finish(d, t, fence, o, NULL);
        else
                requeue(d, t, true);
}

/* The worker that had the task is gone, or does not hold it (text NULL: then nobody is to blame).
 */
void fa_disp_lost(struct fa_disp *d, struct task *t, enum faas_failure failure, const char *text) {
        struct fa_outcome o = FA_OUTCOME_NULL;
        struct fa_fence fence = fa_disp_run_of(t)->fence;
        bool blame = text && (fa_disp_run_of(t)->started || !fa_rule(STRIKE_STARTED));

        /* A task that kills its worker before anyone hears of its start must end too. */
        if (text && !fa_disp_run_of(t)->started &&
            ++fa_disp_run_of(t)->unstarted >= d->cfg.unstarted_max && fa_rule(UNSTARTED_MAX))
                blame = true;
        if (!blame) {
                requeue(d, t, false);
                return;
        }
        fa_outcome_fail(&o, failure, 0, text);
        fa_disp_strike(d, t, &fence, &o);
        fa_outcome_deinit(&o);
}
