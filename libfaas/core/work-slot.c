/*
 * work-slot.c - the worker's slots: which gets the next task, and what becomes of those in it
 *
 * Short tasks go to a slot many at a time, long ones one by one: each slot is given work for about
 * DEPTH_NS by what its functions took before.  A long one's successor is asked for shortly before
 * it should end, so that no slot waits for a round trip, and nothing longer than that for a slot.
 * When a task surprises and runs long, those behind it are recalled; when all slots are stuck, what
 * waits goes back to its dispatcher for other workers.
 */
#include <assert.h>

#include "core/work-private.h"

/*
 * Room was made for all that one input can cause: no failed allocation leaves a task waiting that
 * nothing would move again.
 */
static void op_push(struct fa_work *w, enum fa_work_op_kind kind, unsigned slot, struct held *h) {
        if (w->ops_head == w->n_ops)
                w->ops_head = w->n_ops = 0;
        assert(w->n_ops < OPS_MAX(w->cfg.n_slots));
        w->ops[w->n_ops++] = (struct slot_op){kind, slot, h};
}

bool fa_work_pop(struct fa_work *w, struct fa_work_op *ret) {
        const struct slot_op *op;

        if (w->ops_head == w->n_ops)
                return false;
        op = &w->ops[w->ops_head++];
        *ret = (struct fa_work_op){.kind = op->kind, .slot = op->slot};
        if (op->kind == FA_WORK_RUN) {
                ret->id = &op->h->id;
                ret->function = op->h->function;
                ret->payload = op->h->payload;
                ret->timeout_ms = op->h->timeout_ms;
        }
        return true;
}

void fa_work_wait(struct fa_work *w, struct held *h, bool front) {
        h->state = HELD_WAITING;
        h->reported = false;
        if (front)
                fa_list_push_front(&w->waiting, &h->link);
        else
                fa_list_push_back(&w->waiting, &h->link);
        w->n_waiting++;
}

static uint32_t depth(uint64_t est_ns) {
        if (!est_ns)
                return 1; /* not known yet */
        if (est_ns < DEPTH_NS / FA_SLOT_TASKS_MAX)
                return FA_SLOT_TASKS_MAX;
        if (est_ns < DEPTH_NS / 2)
                return (uint32_t)(DEPTH_NS / est_ns);
        return est_ns < PAIR_NS ? 2 : 1;
}

/*
 * How many hand-outs to hold in all.  A slot that runs something long counts one: what came with it
 * would wait.  The others count what they can take, twice, so that they stay busy over a round
 * trip; but as after anything long more of it may follow, no more ahead than twice as many as have
 * been short since: 1, 3, 9, ... a slot.
 *
 * Never room for what all_long() would give back at once, or dispatcher and worker would throw the
 * same task to and fro without end: so a slot that is down counts nothing, because all_long() does
 * not wait for it either.  While none is up nothing is given back, and all count as free.
 */
uint32_t fa_work_grant(const struct fa_work *w) {
        uint32_t n = w->n_up ? w->n_up : w->cfg.n_slots;
        uint32_t n_short = w->n_up ? w->n_weight[WEIGHT_SHORT] : n;
        uint32_t each = w->est_short ? 2 * depth(w->est_short) : 1;

        if (w->draining)
                return 0;
        return n - n_short + w->n_weight[WEIGHT_ENDING] +
               FA_MIN(n_short * each, n_short + 2 * w->run);
}

/* Called whenever its oldest task, or what is known of that one, is another than before. */
static void weigh(struct fa_work *w, struct slot *s) {
        enum weight v = WEIGHT_SHORT;

        if (!s->up)
                return;
        if (s->n) {
                const struct held *h = fa_list_entry(fa_list_first(&s->queue), struct held, link);
                if (s->stuck || *h->est >= STUCK_NS)
                        v = s->phase == PHASE_NEAR ? WEIGHT_ENDING : WEIGHT_LONG;
                else if (!*h->est)
                        v = WEIGHT_UNKNOWN;
        }
        w->n_weight[s->weight]--;
        w->n_weight[v]++;
        s->weight = (uint8_t)v;
}

/* Is what it runs long, by what its function took before or by the time since it began? */
static bool is_long(const struct slot *s, uint64_t now_ns) {
        const struct held *first;

        if (s->slow)
                return true;
        if (!s->n)
                return false;
        first = fa_list_entry(fa_list_first(&s->queue), struct held, link);
        return depth(*first->est) == 1 || now_ns >= s->since_ns + DEPTH_NS;
}

/* A slot with room for this task: an idle one if there is any. */
static struct slot *find_room(struct fa_work *w, const struct held *h, uint64_t now_ns) {
        bool idle_only = w->n_busy < w->n_up;
        uint32_t max = depth(*h->est);

        for (unsigned i = 0; i < w->cfg.n_slots; i++) {
                struct slot *s = &w->slots[w->cursor];
                w->cursor = w->cursor + 1 == w->cfg.n_slots ? 0 : w->cursor + 1;
                const bool ending = s->weight == WEIGHT_ENDING && !s->slow;
                if (!s->up || s->kill || s->n >= (ending ? 2 : max))
                        continue;
                if (s->n && (idle_only || (!ending && is_long(s, now_ns))))
                        continue;
                return s;
        }
        return NULL;
}

/* Everything in slots is known to be long: what waits need not wait to find that out. */
static bool all_long(const struct fa_work *w) {
        return w->n_waiting && w->n_up && w->n_busy == w->n_up &&
               w->n_weight[WEIGHT_LONG] == w->n_up;
}

static void assign(struct fa_work *w, uint64_t now_ns) {
        struct fa_list *l;

        while ((l = fa_list_first(&w->waiting))) {
                struct held *h = fa_list_entry(l, struct held, link);
                struct slot *s = find_room(w, h, now_ns);
                unsigned index;

                if (!s)
                        return;
                index = (unsigned)(s - w->slots);
                op_push(w, FA_WORK_RUN, index, h);
                fa_list_remove(&h->link);
                w->n_waiting--;
                h->state = HELD_SLOT;
                h->slot = index;
                w->n_slotted++;
                fa_list_push_back(&s->queue, &h->link);
                if (s->n++ == 0) {
                        s->since_ns = now_ns;
                        s->phase = PHASE_FAR;
                        w->n_busy++;
                        weigh(w, s);
                }
        }
}

/* It has left its slot. */
static void unslot(struct fa_work *w, struct slot *s, struct held *h) {
        fa_list_remove(&h->link);
        w->n_slotted--;
        if (--s->n == 0)
                w->n_busy--;
}

void fa_work_ended(struct fa_work *w, struct held *h, const struct fa_outcome *o, uint64_t now_ns) {
        if (h->from)
                h->from->n_held--;
        if (h->dropped) {
                fa_work_held_free(w, h);
                return;
        }
        w->stats.completed += o->status == FAAS_COMPLETED;
        w->stats.failed += o->status != FAAS_COMPLETED;
        fa_outcome_ref(&h->outcome, o);
        h->payload = fa_blob_unref(h->payload);
        h->state = HELD_RESULT;
        h->again_ns = now_ns + fa_work_retry(w);
        fa_list_push_back(&w->results, &h->link);
        fa_work_offer(w, h, false, now_ns);
}

static void mean(uint64_t *est, uint64_t sample) {
        *est = *est ? *est - *est / 8 + sample / 8 : sample;
        if (!*est)
                *est = 1;
}

static void learn(struct fa_work *w, uint64_t *est, uint64_t took_ns) {
        mean(est, took_ns);
        if (took_ns >= STUCK_NS) {
                w->run = 0;
                return;
        }
        mean(&w->est_short, took_ns);
        if (w->run < RUN_MAX)
                w->run++;
}

static void
on_result(struct fa_work *w, struct slot *s, const struct fa_outcome *o, uint64_t now_ns) {
        struct fa_list *l = fa_list_first(&s->queue);
        struct held *h;

        if (!l)
                return;
        h = fa_list_entry(l, struct held, link);
        learn(w, h->est, now_ns - s->since_ns);
        s->since_ns = now_ns;
        s->slow = s->stuck = false;
        s->phase = PHASE_FAR;
        unslot(w, s, h);
        weigh(w, s);
        fa_work_ended(w, h, o, now_ns);
}

static bool has_cancelled(const struct slot *s) {
        struct fa_list *it;

        fa_list_for_each (it, &s->queue)
                if (fa_list_entry(it, struct held, link)->cancelled)
                        return true;
        return false;
}

/* The newest n tasks of the slot were not and will not be started. */
static void on_returned(struct fa_work *w, struct slot *s, int32_t n) {
        while (n-- > 0 && !fa_list_empty(&s->queue)) {
                struct held *h = fa_list_entry(s->queue.prev, struct held, link);
                unslot(w, s, h);
                if (h->dropped) {
                        if (h->from)
                                h->from->n_held--;
                        fa_work_held_free(w, h);
                } else {
                        fa_work_wait(w, h, true);
                }
        }
        if (!s->kill) /* recalled because of what it runs */
                s->slow = s->n > 0;
        if (s->kill && !s->killed && has_cancelled(s)) {
                op_push(w, FA_WORK_KILL, (unsigned)(s - w->slots), NULL);
                s->killed = true;
        }
        s->kill = s->killed;
        weigh(w, s);
}

static void set_up(struct fa_work *w, struct slot *s, bool up) {
        if (s->up == up)
                return;
        s->up = up;
        if (up) {
                s->weight = WEIGHT_SHORT;
                w->n_weight[s->weight]++;
                w->n_up++;
        } else {
                w->n_weight[s->weight]--;
                w->n_up--;
        }
}

/*
 * ev->n: which of its tasks had started and has no result; those before it end unheard and run
 * again.  Its result goes out last: the grant in it must count what waits again.
 */
static void on_down(struct fa_work *w, struct slot *s, const struct fa_event *ev, uint64_t now_ns) {
        struct held *started = NULL;
        struct fa_list back;
        struct fa_list *l;

        set_up(w, s, false);
        s->slow = s->stuck = s->kill = s->killed = false;
        fa_list_init(&back);
        for (int32_t i = 0; (l = fa_list_first(&s->queue)); i++) {
                struct held *h = fa_list_entry(l, struct held, link);
                unslot(w, s, h);
                if (h->dropped)
                        fa_work_ended(w, h, ev->outcome, now_ns); /* says nothing */
                else if (i == ev->n)
                        started = h;
                else
                        fa_list_push_back(&back, &h->link);
        }
        while (!fa_list_empty(&back)) {
                l = back.prev;
                fa_list_remove(l);
                fa_work_wait(w, fa_list_entry(l, struct held, link), true);
        }
        if (started)
                fa_work_ended(w, started, ev->outcome, now_ns);
}

void fa_work_slot_input(struct fa_work *w, const struct fa_event *ev, uint64_t now_ns) {
        struct slot *s = &w->slots[ev->slot];

        switch (ev->kind) {
        case FA_EV_SLOT_UP:
                set_up(w, s, true);
                break;
        case FA_EV_SLOT_RESULT:
                on_result(w, s, ev->outcome, now_ns);
                break;
        case FA_EV_SLOT_RETURNED:
                on_returned(w, s, ev->n);
                break;
        default:
                on_down(w, s, ev, now_ns);
        }
}

/*
 * Waiting: it goes at once.  In a slot: recalled if it has not started, else its slot is killed.
 * Whoever says so does not count it any more: if I did, my grant would be one too high until it has
 * ended, and what is sent for that one would be given back, again and again.
 */
void fa_work_cancel(struct fa_work *w, struct held *h) {
        struct slot *s;

        if (h->from && h->state != HELD_RESULT)
                h->from->n_held--;
        h->from = NULL;
        if (h->state != HELD_SLOT) {
                if (h->state == HELD_WAITING)
                        w->n_waiting--;
                fa_work_held_free(w, h);
                return;
        }
        h->dropped = h->cancelled = true;
        s = &w->slots[h->slot];
        if (!s->kill)
                op_push(w, FA_WORK_RECALL, h->slot, NULL);
        s->kill = true;
}

/*
 * Gives everything that waits back to its dispatchers: other workers may be free.  What no
 * dispatcher counts, because its own has ended, stays, and runs in the hope that another one took
 * over; for a drain it is just dropped.
 */
static void give_back(struct fa_work *w, uint64_t now_ns) {
        struct fa_list *it;
        struct fa_list *tmp;

        fa_list_for_each_safe (it, tmp, &w->waiting) {
                struct held *h = fa_list_entry(it, struct held, link);
                bool counted = h->from && h->from->state == LINK_OPEN;

                if (!counted && !w->draining)
                        continue;
                if (h->from)
                        h->from->n_held--;
                w->n_waiting--; /* before: what goes back must not count in the grant */
                if (counted && !fa_work_item(w, h->from, FA_MSG_RETURN, h, now_ns)) {
                        h->from->n_held++;
                        w->n_waiting++;
                        return;
                }
                fa_work_held_free(w, h);
        }
}

void fa_work_assign(struct fa_work *w, uint64_t now_ns) {
        assign(w, now_ns);
        if (all_long(w))
                give_back(w, now_ns);
}

/*
 * Results that nobody has acknowledged are kept while there is somebody who may still do it: a
 * dispatcher that was silent for as long as would have buried me there has judged these tasks by
 * itself, or is gone with them.
 */
bool fa_work_drain(struct fa_work *w, uint64_t now_ns) {
        if (!w->draining) {
                w->draining = true;
                w->reached_ns = now_ns;
                fa_work_ask_nothing(w, now_ns);
        }
        give_back(w, now_ns);
        if (fa_work_reaches(w))
                w->reached_ns = now_ns;
        return w->held.n == 0 || fa_work_drain_deadline(w) <= now_ns;
}

/* When to give up on results; FA_NEVER: something runs, or a dispatcher is there. */
uint64_t fa_work_drain_deadline(const struct fa_work *w) {
        if (!w->draining || w->n_slotted || w->n_waiting || !w->held.n || fa_work_reaches(w))
                return FA_NEVER;
        return w->reached_ns + fa_work_patience(w);
}

static void report_started(struct fa_work *w, struct slot *s, uint64_t now_ns) {
        struct held *h = fa_list_entry(fa_list_first(&s->queue), struct held, link);

        if (h->reported || !h->from || h->from->state != LINK_OPEN ||
            now_ns < s->since_ns + STARTED_NS)
                return;
        h->reported = fa_work_item(w, h->from, FA_MSG_STARTED, h, now_ns) != NULL;
}

/* When the phase of a slot's oldest task changes next; FA_NEVER: it is not long, or over.  What is
 * near its end stays so for a bounded time, whatever becomes of the mean meanwhile. */
static uint64_t next_phase_ns(const struct slot *s) {
        const struct held *h = fa_list_entry(fa_list_first(&s->queue), struct held, link);

        if (s->phase == PHASE_NEAR)
                return s->over_ns;
        if (*h->est < STUCK_NS || s->phase == PHASE_OVER)
                return FA_NEVER;
        return s->since_ns + *h->est - NEAR_NS;
}

static void move_phase(struct fa_work *w, struct slot *s, uint64_t now_ns) {
        const struct held *h = fa_list_entry(fa_list_first(&s->queue), struct held, link);
        const uint8_t was = s->phase;

        while (next_phase_ns(s) <= now_ns)
                if (s->phase++ == PHASE_FAR)
                        s->over_ns = s->since_ns + *h->est + NEAR_NS;
        if (s->phase != was)
                weigh(w, s);
}

void fa_work_slot_tick(struct fa_work *w, uint64_t now_ns) {
        for (unsigned i = 0; i < w->cfg.n_slots && w->n_busy; i++) {
                struct slot *s = &w->slots[i];
                if (!s->n)
                        continue;
                if (!s->stuck && now_ns >= s->since_ns + STUCK_NS) {
                        s->stuck = true;
                        w->run = 0;
                        weigh(w, s);
                }
                move_phase(w, s, now_ns);
                if (s->stuck && s->n > 1 && !s->slow && !s->kill && s->phase != PHASE_NEAR) {
                        op_push(w, FA_WORK_RECALL, i, NULL);
                        s->slow = true;
                }
                report_started(w, s, now_ns);
        }
}

uint64_t fa_work_slot_deadline(const struct fa_work *w) {
        uint64_t at = FA_NEVER;

        if (!w->n_busy)
                return at;
        for (unsigned i = 0; i < w->cfg.n_slots; i++) {
                const struct slot *s = &w->slots[i];
                if (!s->n)
                        continue;
                if (!s->stuck)
                        at = FA_MIN(at, s->since_ns + STUCK_NS);
                const uint64_t phase_ns = next_phase_ns(s);
                at = FA_MIN(at, phase_ns);
                const struct held *h = fa_list_entry(fa_list_first(&s->queue), struct held, link);
                if (!h->reported && h->from && h->from->state == LINK_OPEN)
                        at = FA_MIN(at, s->since_ns + STARTED_NS);
        }
        return at;
}
