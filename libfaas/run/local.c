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
#include "store/store.h"
#include "transport/crew.h"

enum { KEY_DISPATCHER = 1, KEY_CLIENT, KEY_WORKER };

#define RECOUNT_NS (10 * FA_NS_PER_MS) /* memory was short: when to look again */

struct fa_local {
        struct fa_cli *cli;
        struct fa_disp *disp;
        struct fa_crew *crew;
        struct fa_work *work; /* crew's */
        struct fa_store *store;
        uint64_t recount_ns;
};

/* ---- messages and groups ---- */

static bool to_disp(struct fa_local *l, struct fa_outbox *from, uint64_t key, uint64_t now_ns) {
        struct fa_event ev = {.kind = FA_EV_MSG, .peer = key};
        uint64_t to;
        bool any = false;

        while (fa_outbox_pop(from, &to, &ev.msg)) {
                any = true;
                (void)fa_disp_input(l->disp, &ev, now_ns);
                fa_msg_free(ev.msg);
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
                        fa_crew_input(l->crew, &ev, now_ns);
                }
                fa_msg_free(ev.msg);
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
                fa_disp_group_done(l->disp, ev.group);
        }
        return any;
}

/*
 * Ends because each pass uses up what the one before made: what a machine gives back it does not
 * ask for again in the same turn (tests/core/test-work-turn.c).
 */
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
        fa_crew_tick(l->crew, now_ns);
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
                fa_crew_input(l->crew, &ev, now_ns);
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
        int r = fa_crew_read(l->crew, now_ns);

        if (r < 0)
                return r;
        tick(l, now_ns);
        carry(l, now_ns);
        recount(l, now_ns);
        fa_crew_flush(l->crew);
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
        uint64_t seeds[4];

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
                .hint_after_ns = FA_NEVER,
                .window_tasks = cfg->window_tasks,
                .window_bytes = cfg->window_bytes,
                .seed = seeds[1],
        };
        const struct fa_cli_cfg cli_cfg = {
                .incarnation = seeds[2] | 1,
                .window_tasks = cfg->window_tasks,
                .window_bytes = cfg->window_bytes,
                .done_ttl_ns = cfg->result_ttl_ns,
                .seed = seeds[3],
        };
        int r = fa_store_open(&l->store, "memory:", &store_cfg);

        if (r)
                return r;
        if (fa_disp_new(&l->disp, &disp_cfg) || fa_cli_new(&l->cli, &cli_cfg))
                return -ENOMEM;
        return introduce(l, now_ns);
}

struct fa_local *fa_local_close(struct fa_local *l) {
        if (!l)
                return NULL;
        fa_crew_close(l->crew);
        fa_cli_free(l->cli);
        fa_disp_free(l->disp);
        fa_store_close(l->store);
        free(l);
        return NULL;
}

int fa_local_open(struct fa_local **ret, const struct fa_local_cfg *cfg, uint64_t now_ns) {
        const struct fa_crew_cfg crew_cfg = {.slots = cfg->slots, .retry_ns = RECOUNT_NS};
        struct fa_local *l = calloc(1, sizeof(*l));
        int r;

        if (!l)
                return -ENOMEM;
        l->recount_ns = FA_NEVER;
        r = fa_crew_open(&l->crew, &crew_cfg);
        if (r == 0) {
                l->work = fa_crew_work(l->crew);
                r = make_machines(l, cfg, now_ns);
        }
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

int fa_local_fd(struct fa_local *l) {
        return fa_crew_fd(l->crew);
}

void fa_local_wait(struct fa_local *l, int timeout_ms) {
        fa_crew_wait(l->crew, timeout_ms);
}

uint64_t fa_local_deadline(const struct fa_local *l) {
        uint64_t at = FA_MIN(fa_crew_deadline(l->crew), fa_store_deadline(l->store));

        at = FA_MIN(at, FA_MIN(fa_disp_deadline(l->disp), fa_cli_deadline(l->cli)));
        return FA_MIN(at, l->recount_ns);
}

const struct fa_slots *fa_local_slots(const struct fa_local *l) {
        return fa_crew_slots(l->crew);
}
