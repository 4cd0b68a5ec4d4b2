/*
 * crew.c - the worker machine and its slots
 *
 * Two vocabularies meet here: the machine says run, recall, kill; the pool says up, result,
 * returned, down.  Nothing is decided here and nothing waits.
 */
#include "transport/crew.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/random.h>

#include "base/clock.h"
#include "base/error.h"

#define TURN_EVENTS 1024 /* slot events read in one turn: about a millisecond */

/*
 * The worker machine names the tasks of a slot by their place in its queue, the pool by running
 * numbers.  While a recall is not answered, and once the slot is known to be dying, nothing is
 * given to it: what the machine gives then counts as given, and comes back as not started with the
 * event that is on its way.
 */
struct lslot {
        uint32_t seqs[FA_SLOT_TASKS_MAX]; /* of those the pool has; a ring */
        uint32_t head, n;                 /* of the ring */
        uint32_t believed;                /* how many tasks the worker machine thinks it has */
        uint32_t recalls;                 /* not answered */
        bool down;                        /* its end is on the way */
};

struct fa_crew {
        struct fa_work *work;
        struct fa_slots *slots;
        struct lslot *lslots;
        unsigned n_slots;
};

/* ---- the worker's wishes ---- */

/* Nothing is given to it any more: a task that came behind the kill would seem to have caused it.
 */
static void stop(struct fa_crew *c, unsigned slot) {
        if (!c->lslots[slot].down)
                fa_slots_kill(c->slots, slot);
        c->lslots[slot].down = true;
}

static void recall(struct fa_crew *c, unsigned slot) {
        struct lslot *s = &c->lslots[slot];

        if (s->down)
                return; /* its end tells what had started */
        if (fa_slots_recall(c->slots, slot) == 0)
                s->recalls++;
        else
                stop(c, slot);
}

static void run(struct fa_crew *c, const struct fa_work_op *op) {
        struct lslot *s = &c->lslots[op->slot];
        const struct fa_slot_task t = {op->id, op->function, op->payload, op->timeout_ms};
        uint32_t seq;
        int r;

        s->believed++;
        if (s->down || s->recalls)
                return;
        r = s->n < FA_SLOT_TASKS_MAX ? fa_slots_run(c->slots, op->slot, &t, &seq) : -ENOMEM;
        if (r == 0)
                s->seqs[(s->head + s->n++) % FA_SLOT_TASKS_MAX] = seq;
        else if (r == FAAS_E_GONE)
                s->down = true;
        else
                recall(c, op->slot); /* no memory: it comes back together with those behind it */
}

static void run_ops(struct fa_crew *c) {
        struct fa_work_op op;

        while (fa_work_pop(c->work, &op)) {
                if (op.kind == FA_WORK_RUN) {
                        run(c, &op);
                } else if (op.kind == FA_WORK_RECALL) {
                        recall(c, op.slot);
                } else {
                        stop(c, op.slot);
                }
        }
}

/* ---- the pool's events ---- */

/* The place of a task among those of its slot; -1: it is not there. */
static int32_t place(const struct lslot *s, uint32_t seq) {
        for (uint32_t i = 0; i < s->n; i++)
                if (s->seqs[(s->head + i) % FA_SLOT_TASKS_MAX] == seq)
                        return (int32_t)i;
        return -1;
}

/* Those after seq were taken back, and with them all that never reached the pool. */
static int32_t returned(struct lslot *s, uint32_t seq) {
        int32_t n;

        /* As serial numbers: they wrap after some hours of a busy slot. */
        while (s->n && (int32_t)(s->seqs[(s->head + s->n - 1) % FA_SLOT_TASKS_MAX] - seq) > 0)
                s->n--;
        n = (int32_t)(s->believed - s->n);
        s->believed = s->n;
        if (s->recalls)
                s->recalls--;
        return n;
}

/* To the worker machine's words.  false: it makes no sense, and the slot must go. */
static bool translate(struct lslot *s, const struct fa_slot_event *se, struct fa_event *ev) {
        switch (se->kind) {
        case FA_SLOT_UP:
                *s = (struct lslot){0};
                ev->kind = FA_EV_SLOT_UP;
                return true;
        case FA_SLOT_RESULT:
                if (place(s, se->seq) != 0)
                        return false; /* results come in order */
                s->head = (s->head + 1) % FA_SLOT_TASKS_MAX;
                s->n--;
                s->believed--;
                ev->kind = FA_EV_SLOT_RESULT;
                return true;
        case FA_SLOT_RETURNED:
                ev->kind = FA_EV_SLOT_RETURNED;
                ev->n = returned(s, se->seq);
                return true;
        case FA_SLOT_DOWN:
                ev->kind = FA_EV_SLOT_DOWN;
                ev->n = se->started ? place(s, se->seq) : -1;
                *s = (struct lslot){.down = true};
                return true;
        default:
                return false;
        }
}

int fa_crew_read(struct fa_crew *c, uint64_t now_ns) {
        for (unsigned i = 0; i < TURN_EVENTS; i++) {
                struct fa_slot_event se;
                struct fa_event ev = {.kind = FA_EV_SLOT_UP};
                int r = fa_slots_next(c->slots, &se);

                if (r == FAAS_E_AGAIN)
                        return 0;
                if (r)
                        return r;
                ev.slot = se.slot;
                ev.outcome = &se.outcome;
                if (translate(&c->lslots[se.slot], &se, &ev)) {
                        (void)fa_work_input(c->work, &ev, now_ns);
                        run_ops(c);
                } else {
                        stop(c, se.slot);
                }
                fa_outcome_deinit(&se.outcome);
        }
        return FAAS_E_AGAIN;
}

/* ---- the machine's side ---- */

void fa_crew_input(struct fa_crew *c, const struct fa_event *ev, uint64_t now_ns) {
        (void)fa_work_input(c->work, ev, now_ns);
        run_ops(c);
}

bool fa_crew_drain(struct fa_crew *c, uint64_t now_ns) {
        bool empty = fa_work_drain(c->work, now_ns);

        run_ops(c);
        return empty;
}

void fa_crew_tick(struct fa_crew *c, uint64_t now_ns) {
        if (fa_work_deadline(c->work) > now_ns)
                return;
        fa_work_tick(c->work, now_ns);
        run_ops(c);
}

uint64_t fa_crew_deadline(const struct fa_crew *c) {
        return FA_MIN(fa_slots_deadline(c->slots), fa_work_deadline(c->work));
}

void fa_crew_flush(struct fa_crew *c) {
        fa_slots_flush(c->slots);
}

int fa_crew_fd(struct fa_crew *c) {
        return fa_slots_fd(c->slots);
}

void fa_crew_wait(struct fa_crew *c, int timeout_ms) {
        fa_slots_wait(c->slots, timeout_ms);
}

struct fa_work *fa_crew_work(struct fa_crew *c) {
        return c->work;
}

const struct fa_slots *fa_crew_slots(const struct fa_crew *c) {
        return c->slots;
}

/* ---- its life ---- */

struct fa_crew *fa_crew_close(struct fa_crew *c) {
        if (!c)
                return NULL;
        fa_slots_close(c->slots);
        fa_work_free(c->work);
        free(c->lslots);
        free(c);
        return NULL;
}

static int make_machine(struct fa_crew *c, const struct fa_crew_cfg *cfg) {
        uint64_t seeds[2];
        size_t n_functions;
        const char *const *functions = fa_slots_functions(c->slots, &n_functions);

        if (getrandom(seeds, sizeof(seeds), 0) != (ssize_t)sizeof(seeds))
                return fa_errno(errno, "getrandom");
        const struct fa_work_cfg work = {
                .incarnation = seeds[0] | 1,
                .n_slots = c->n_slots,
                .functions = functions,
                .n_functions = n_functions,
                .name = cfg->name,
                .retry_ns = cfg->retry_ns,
                .seed = seeds[1],
        };
        return fa_work_new(&c->work, &work);
}

int fa_crew_open(struct fa_crew **ret, const struct fa_crew_cfg *cfg) {
        struct fa_crew *c = calloc(1, sizeof(*c));
        int r;

        if (!c)
                return -ENOMEM;
        c->n_slots = cfg->slots.n_slots;
        c->lslots = calloc(c->n_slots ? c->n_slots : 1, sizeof(*c->lslots));
        if (!c->lslots) {
                fa_crew_close(c);
                return -ENOMEM;
        }
        for (unsigned i = 0; i < c->n_slots; i++)
                c->lslots[i].down = true; /* until its first FA_SLOT_UP */
        r = fa_slots_open(&c->slots, &cfg->slots);
        if (r == 0)
                r = make_machine(c, cfg);
        if (r) {
                fa_crew_close(c);
                return r;
        }
        *ret = c;
        return 0;
}
