/*
 * local.c - client, dispatcher, worker, store and slots in one process
 *
 * The client API drives it, one turn at a time.  It carries messages between the three machines,
 * groups to the memory store and its answers back, the worker's wishes to the slot pool and the
 * pool's events to the worker.  It decides nothing and waits for nothing.
 *
 * Lack of memory loses messages, as a network would, and the protocol recovers by counting: over a
 * network with beats, here after each turn.  When all is quiet, every open task of the client must
 * be the dispatcher's, and every hand-out of the dispatcher the worker's; if not, the one who knows
 * less is made to say everything again.
 */
#include "run/local.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/random.h>

#include "base/clock.h"
#include "base/error.h"
#include "core/disp.h"
#include "core/work.h"
#include "store/store.h"

enum { KEY_DISPATCHER = 1, KEY_CLIENT, KEY_WORKER };

#define TURN_EVENTS 1024               /* slot events read in one turn: about a millisecond */
#define SEQS_MAX 64                    /* tasks in one slot: the worker machine gives no more */
#define RECOUNT_NS (10 * FA_NS_PER_MS) /* memory was short: when to look again */

/*
 * The worker machine names the tasks of a slot by their place in its queue, the pool by running
 * numbers.  While a recall is not answered, and once the slot is known to be dying, nothing is
 * given to it: what the machine gives then counts as given, and comes back as not started with the
 * event that is on its way.
 */
struct lslot {
        uint32_t seqs[SEQS_MAX]; /* of those the pool has; a ring */
        uint32_t head, n;        /* of the ring */
        uint32_t believed;       /* how many tasks the worker machine thinks it has */
        uint32_t recalls;        /* not answered */
        bool down;               /* its end is on the way */
};

struct fa_local {
        struct fa_cli *cli;
        struct fa_disp *disp;
        struct fa_work *work;
        struct fa_store *store;
        struct fa_slots *slots;
        struct lslot *lslots;
        unsigned n_slots;
        uint64_t recount_ns;
};

/* ---- the worker's wishes ---- */

/* Nothing is given to it any more: a task that came behind the kill would seem to have caused it.
 */
static void stop(struct fa_local *l, unsigned slot) {
        if (!l->lslots[slot].down)
                fa_slots_kill(l->slots, slot);
        l->lslots[slot].down = true;
}

static void recall(struct fa_local *l, unsigned slot) {
        struct lslot *s = &l->lslots[slot];

        if (s->down)
                return; /* its end tells what had started */
        if (fa_slots_recall(l->slots, slot) == 0)
                s->recalls++;
        else
                stop(l, slot);
}

static void run(struct fa_local *l, const struct fa_work_op *op) {
        struct lslot *s = &l->lslots[op->slot];
        const struct fa_slot_task t = {op->id, op->function, op->payload, op->timeout_ms};
        uint32_t seq;
        int r;

        s->believed++;
        if (s->down || s->recalls)
                return;
        r = s->n < SEQS_MAX ? fa_slots_run(l->slots, op->slot, &t, &seq) : -ENOMEM;
        if (r == 0)
                s->seqs[(s->head + s->n++) % SEQS_MAX] = seq;
        else if (r == FAAS_E_GONE)
                s->down = true;
        else
                recall(l, op->slot); /* no memory: it comes back together with those behind it */
}

static bool run_ops(struct fa_local *l) {
        struct fa_work_op op;
        bool any = false;

        while (fa_work_pop(l->work, &op)) {
                any = true;
                if (op.kind == FA_WORK_RUN) {
                        run(l, &op);
                } else if (op.kind == FA_WORK_RECALL) {
                        recall(l, op.slot);
                } else {
                        stop(l, op.slot);
                }
        }
        return any;
}

/* ---- the pool's events ---- */

/* The place of a task among those of its slot; -1: it is not there. */
static int32_t place(const struct lslot *s, uint32_t seq) {
        for (uint32_t i = 0; i < s->n; i++)
                if (s->seqs[(s->head + i) % SEQS_MAX] == seq)
                        return (int32_t)i;
        return -1;
}

/* Those after seq were taken back, and with them all that never reached the pool. */
static int32_t returned(struct lslot *s, uint32_t seq) {
        int32_t n;

        /* As serial numbers: they wrap after some hours of a busy slot. */
        while (s->n && (int32_t)(s->seqs[(s->head + s->n - 1) % SEQS_MAX] - seq) > 0)
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
                s->head = (s->head + 1) % SEQS_MAX;
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

/* 0; FAAS_E_AGAIN: there may be more; < 0. */
static int read_slots(struct fa_local *l, uint64_t now_ns) {
        for (unsigned i = 0; i < TURN_EVENTS; i++) {
                struct fa_slot_event se;
                struct fa_event ev = {.kind = FA_EV_SLOT_UP};
                int r = fa_slots_next(l->slots, &se);

                if (r == FAAS_E_AGAIN)
                        return 0;
                if (r)
                        return r;
                ev.slot = se.slot;
                ev.outcome = &se.outcome;
                if (translate(&l->lslots[se.slot], &se, &ev)) {
                        (void)fa_work_input(l->work, &ev, now_ns);
                        (void)run_ops(l);
                } else {
                        stop(l, se.slot);
                }
                fa_outcome_deinit(&se.outcome);
        }
        return FAAS_E_AGAIN;
}

/* ---- messages and groups ---- */

static bool to_disp(struct fa_local *l, struct fa_outbox *from, uint64_t key, uint64_t now_ns) {
        struct fa_event ev = {.kind = FA_EV_MSG, .peer = key};
        uint64_t to;
        bool any = false;

        while (fa_outbox_pop(from, &to, &ev.msg)) {
                any = true;
                (void)fa_disp_input(l->disp, &ev, now_ns);
                fa_outbox_done(from, ev.msg);
        }
        return any;
}

static bool from_disp(struct fa_local *l, uint64_t now_ns) {
        struct fa_event ev = {.kind = FA_EV_MSG, .peer = KEY_DISPATCHER};
        uint64_t to;
        bool any = false;

        while (fa_outbox_pop(fa_disp_outbox(l->disp), &to, &ev.msg)) {
                any = true;
                if (to == KEY_CLIENT) {
                        (void)fa_cli_input(l->cli, &ev, now_ns);
                } else {
                        (void)fa_work_input(l->work, &ev, now_ns);
                        (void)run_ops(l);
                }
                fa_outbox_done(fa_disp_outbox(l->disp), ev.msg);
        }
        return any;
}

/* The memory store answers at once; nobody can fence the only dispatcher there is. */
static bool commit(struct fa_local *l, uint64_t now_ns) {
        struct fa_event ev = {.kind = FA_EV_GROUP};
        bool any = false;

        for (struct fa_group *g; (g = fa_disp_group(l->disp));)
                fa_store_apply(l->store, g, now_ns);
        while ((ev.group = fa_store_reap(l->store, now_ns))) {
                any = true;
                (void)fa_disp_input(l->disp, &ev, now_ns);
                fa_group_free(ev.group);
        }
        return any;
}

/* Ends because each pass uses up what the one before made: no machine answers an answer. */
static void carry(struct fa_local *l, uint64_t now_ns) {
        bool moved;

        do {
                moved = to_disp(l, fa_cli_outbox(l->cli), KEY_CLIENT, now_ns);
                moved |= to_disp(l, fa_work_outbox(l->work), KEY_WORKER, now_ns);
                moved |= commit(l, now_ns);
                moved |= from_disp(l, now_ns);
        } while (moved);
}

static void tick(struct fa_local *l, uint64_t now_ns) {
        if (fa_store_deadline(l->store) <= now_ns)
                fa_store_tick(l->store, now_ns);
        if (fa_disp_deadline(l->disp) <= now_ns)
                fa_disp_tick(l->disp, now_ns);
        if (fa_cli_deadline(l->cli) <= now_ns)
                fa_cli_tick(l->cli, now_ns);
        if (fa_work_deadline(l->work) <= now_ns) {
                fa_work_tick(l->work, now_ns);
                (void)run_ops(l);
        }
}

/*
 * Makes a peer say everything again: one that hears it is not known says HELLO, and upon the
 * WELCOME a worker registers and lists what it holds, and a client submits and asks anew.
 */
static void resync(struct fa_local *l, bool client, uint64_t now_ns) {
        struct fa_msg m = {.type = FA_MSG_WELCOME};
        const struct fa_event ev = {.kind = FA_EV_MSG, .peer = KEY_DISPATCHER, .msg = &m};

        if (client) {
                (void)fa_cli_input(l->cli, &ev, now_ns);
        } else {
                (void)fa_work_input(l->work, &ev, now_ns);
                (void)run_ops(l);
        }
}

static void recount(struct fa_local *l, uint64_t now_ns) {
        struct fa_disp_stats stats;
        size_t held = fa_work_held(l->work);
        bool client, worker;

        if (now_ns < l->recount_ns && l->recount_ns != FA_NEVER)
                return;
        fa_disp_stats(l->disp, &stats);
        client = fa_cli_unanswered(l->cli) > fa_cli_refused(l->cli) ||
                 fa_cli_open_count(l->cli) > stats.n_tasks;
        worker = stats.n_tasks - stats.n_queued > held || (stats.n_queued && !held);
        l->recount_ns = FA_NEVER;
        if (!client && !worker)
                return;
        if (client)
                resync(l, true, now_ns);
        if (worker)
                resync(l, false, now_ns);
        carry(l, now_ns);
        l->recount_ns = now_ns + RECOUNT_NS;
}

int fa_local_turn(struct fa_local *l, uint64_t now_ns) {
        int r = read_slots(l, now_ns);

        if (r < 0)
                return r;
        tick(l, now_ns);
        carry(l, now_ns);
        recount(l, now_ns);
        fa_slots_flush(l->slots);
        return r;
}

/* ---- its life ---- */

/* The dispatcher has its epoch before the others say HELLO: it does not listen earlier. */
static int introduce(struct fa_local *l, uint64_t now_ns) {
        (void)commit(l, now_ns);
        if (!fa_disp_epoch(l->disp) || fa_cli_connect(l->cli, KEY_DISPATCHER, now_ns) ||
            fa_work_connect(l->work, KEY_DISPATCHER, now_ns))
                return -ENOMEM;
        carry(l, now_ns);
        return 0;
}

static int make_machines(struct fa_local *l, const struct fa_local_cfg *cfg, uint64_t now_ns) {
        uint64_t seeds[6];
        size_t n_functions;
        const char *const *functions = fa_slots_functions(l->slots, &n_functions);

        if (getrandom(seeds, sizeof(seeds), 0) != (ssize_t)sizeof(seeds))
                return fa_errno(errno, "getrandom");
        const struct fa_store_cfg store_cfg = {
                .max_tasks = cfg->queue_tasks,
                .max_bytes = cfg->queue_bytes,
                .result_ttl_ns = cfg->result_ttl_ns,
                .seed = seeds[0],
        };
        const struct fa_disp_cfg disp_cfg = {
                .name = "local",
                .heartbeat_ns = FA_NEVER,
                .tick_ns = FA_NEVER,
                .window_tasks = cfg->window_tasks,
                .window_bytes = cfg->window_bytes,
                .seed = seeds[1],
        };
        const struct fa_work_cfg work_cfg = {
                .incarnation = seeds[2] | 1,
                .n_slots = l->n_slots,
                .functions = functions,
                .n_functions = n_functions,
                .retry_ns = RECOUNT_NS,
                .seed = seeds[3],
        };
        const struct fa_cli_cfg cli_cfg = {
                .incarnation = seeds[4] | 1,
                .window_tasks = cfg->window_tasks,
                .window_bytes = cfg->window_bytes,
                .done_ttl_ns = cfg->result_ttl_ns,
                .seed = seeds[5],
        };
        int r = fa_store_open(&l->store, "memory:", &store_cfg);

        if (r)
                return r;
        if (fa_disp_new(&l->disp, &disp_cfg) || fa_work_new(&l->work, &work_cfg) ||
            fa_cli_new(&l->cli, &cli_cfg))
                return -ENOMEM;
        return introduce(l, now_ns);
}

struct fa_local *fa_local_close(struct fa_local *l) {
        if (!l)
                return NULL;
        fa_slots_close(l->slots);
        fa_cli_free(l->cli);
        fa_work_free(l->work);
        fa_disp_free(l->disp);
        fa_store_close(l->store);
        free(l->lslots);
        free(l);
        return NULL;
}

int fa_local_open(struct fa_local **ret, const struct fa_local_cfg *cfg, uint64_t now_ns) {
        struct fa_local *l = calloc(1, sizeof(*l));
        int r;

        if (!l)
                return -ENOMEM;
        l->n_slots = cfg->slots.n_slots;
        l->recount_ns = FA_NEVER;
        l->lslots = calloc(l->n_slots, sizeof(*l->lslots));
        if (!l->lslots) {
                fa_local_close(l);
                return -ENOMEM;
        }
        for (unsigned i = 0; i < l->n_slots; i++)
                l->lslots[i].down = true; /* until its first FA_SLOT_UP */
        r = fa_slots_open(&l->slots, &cfg->slots);
        if (r == 0)
                r = make_machines(l, cfg, now_ns);
        if (r) {
                fa_local_close(l);
                return r;
        }
        *ret = l;
        return 0;
}

struct fa_cli *fa_local_cli(struct fa_local *l) {
        return l->cli;
}

uint8_t fa_local_peek(const struct fa_local *l, const struct faas_id *id) {
        return fa_disp_peek(l->disp, id);
}

int fa_local_fd(const struct fa_local *l) {
        return fa_slots_fd(l->slots);
}

uint64_t fa_local_deadline(const struct fa_local *l) {
        uint64_t at = FA_MIN(fa_slots_deadline(l->slots), fa_store_deadline(l->store));

        at = FA_MIN(at, FA_MIN(fa_disp_deadline(l->disp), fa_cli_deadline(l->cli)));
        return FA_MIN(FA_MIN(at, fa_work_deadline(l->work)), l->recount_ns);
}

const struct fa_slots *fa_local_slots(const struct fa_local *l) {
        return l->slots;
}
