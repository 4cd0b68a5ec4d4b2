/*
 * world.h - the simulation: dispatchers, workers, clients, one store and a bad network, in virtual
 * time
 *
 * One seed is one world: a profile says which faults it may have, a random generator when they
 * come.  Nothing here waits or reads a clock, so a seed always runs the same way.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/clock.h"
#include "base/heap.h"
#include "core/cli.h"
#include "core/disp.h"
#include "core/work.h"
#include "store/memory.h"

enum { MAX_D = 2, MAX_W = 3, MAX_C = 2, MAX_T = 64, MAX_S = 3, SLOT_Q = 256 };
#define MS UINT64_C(1000000)
#define HEARTBEAT_NS (100 * MS)
#define LIVENESS 3
#define LEASE_TICKS 3 /* reconnects take less than one tick: enough with RENEW_ALL */
#define TICK_NS (100 * MS)
#define RETAIN_NS (1500 * MS) /* longer than the store's fsync interval */
#define FSYNC_NS (1000 * MS)

/* Which faults a seed may have, in 1/1000 per message or per fault tick (20 ms). */
struct profile {
        const char *name;
        int n_d;
        int loss, dup, reorder; /* per message */
        int slot_crash, worker_crash, worker_stall, disp_crash, disp_stall, client_crash;
        int store_break, store_stall, store_lose, cut; /* cut: a link silent for a while */
        int poison, killer, failing, looping;          /* kinds of tasks, in 1/100 */
        int stall_ms;    /* about how long dispatchers stall; 0: up to 1 s */
        int early_crash; /* of dispatchers, before the first submit */
        bool own_store;  /* the store is in the only dispatcher's memory, and dies with it */
};

enum kind { K_PLAIN, K_FAILING, K_POISON, K_KILLER, K_LOOPING };

struct stask {
        struct faas_id id;
        enum kind kind;
        int client;
        uint32_t client_inc;
        int ran_at; /* where it ran last */
        uint64_t ran_inc;
        uint64_t run_ns;
        bool submitted, acked, told;
        int executions, deaths; /* deaths: of slots and workers while it was started there */
        uint32_t strikes;       /* most that the store had */
        int acked_life;         /* the store's life in which it was acknowledged last */
        bool revealed;          /* its end was told to a worker or a client */
        struct fa_outcome told_end;
        bool lone; /* see check.c: must not be executed again while its worker lives */
        struct fa_outcome final; /* as the store has it first */
        bool is_final, forgotten;
        char result[32]; /* that the client was told */
};

/* What comes at a time. */
enum what {
        W_MSG,
        W_EXEC,
        W_REPLY,
        W_WAKE,
        W_SLOT,
        W_FAULT,
        W_SUBMIT,
        W_RESTART,
        W_STORE_UP,
        W_LINK_UP
};

struct happening {
        struct fa_heap_node node; /* key: time; ties by order of creation */
        uint64_t serial;
        enum what what;
        int src, dst, slot;
        uint64_t src_inc, dst_inc, key, gen;
        struct fa_frames frames;
        struct fa_group *group;
};

struct sslot {
        bool up;
        int q[SLOT_Q]; /* task numbers, oldest first */
        int n;
        uint64_t gen; /* of the running task: a planned end of an earlier one is void */
        int unheard;  /* how many of q have ended without a result being told */
};

/* A store connection with its unanswered groups, in order. */
struct adapter {
        struct fa_group *q[16];
        int n;
        uint64_t conn; /* number of the connection; answers on an older one do not arrive */
        uint64_t last_exec_ns, run_id;
        uint64_t late_ns[64]; /* how long the rest of an old connection lies there; FA_NEVER: it is
                                 gone */
        bool broken;
        uint64_t not_before_ns; /* it connects again no sooner */
};

struct node {
        int role; /* enum fa_role */
        int index;
        bool alive;
        uint64_t inc; /* process incarnation */
        uint64_t stalled_until_ns, wake_at_ns;
        uint64_t next_in_ns; /* delivery is not faster than this after a pause */
        struct fa_disp *disp;
        uint64_t was_epoch; /* of the dispatcher that this process was before it was fenced */
        struct fa_work *work;
        struct fa_cli *cli;
        struct adapter store;
        struct sslot slots[MAX_S];
        int n_slots;
        uint64_t with_epoch, with_ns; /* a worker: registered with this dispatcher since when */
        int impostor;                 /* task whose id this client uses for other bytes; -1 */
};

struct logged { /* one group that the store ran, or a restart of it */
        struct fa_group *g;
        uint64_t at_ns;
};

struct world {
        uint64_t seed, rng, now_ns, serial;
        const struct profile *p;
        struct fa_heap heap;
        struct node nodes[MAX_D + MAX_W + MAX_C];
        int n_nodes, n_d, n_w, n_c;
        uint64_t link_ns[8][8]; /* FIFO per pair: last delivery */
        uint64_t cut_ns[8][8];  /* silent until */
        struct fa_memory *store;
        struct fa_store_cfg store_cfg;
        uint64_t store_stalled_ns, run_id;
        bool store_down, lost_tail;
        struct logged *log;
        size_t n_log, cap_log, n_synced;
        struct stask tasks[MAX_T];
        int n_tasks, n_submitted;
        uint64_t faults_end_ns;
        int n_faults, n_takes;
        int store_life;                  /* how often the store began anew, empty */
        uint64_t disp_up_ns;             /* when a dispatcher started last */
        bool pull;                       /* the mode of this seed */
        uint32_t window_tasks, load_max; /* of the dispatchers */
        uint64_t hint_after_ns, backlog_bytes;
        bool may_take;
        bool verbose;
        char violation[256];
};

/* world.c */
uint64_t rnd(struct world *w, uint64_t n); /* 0..n-1 */
bool chance(struct world *w, int permille);
struct happening *happen(struct world *w, uint64_t at_ns, enum what what, int dst);
void happening_free(struct happening *h);
bool world_run(struct world *w, uint64_t seed, const struct profile *p, bool pull, bool verbose);
struct stask *task_of(struct world *w, const struct faas_id *id);
int task_index(const struct world *w, const struct faas_id *id);

/* nodes.c */
void node_start(struct world *w, int n);
void node_stop(struct world *w, int n, bool told);
void node_event(struct world *w, int n, const struct fa_event *ev);
void node_wake(struct world *w, int n);
void link_change(struct world *w, int d, int n, enum fa_event_kind kind);
void net_deliver(struct world *w, struct happening *h);

/* slots.c */
void slot_op(struct world *w, int n, const struct fa_work_op *op);
void slot_due(struct world *w, struct happening *h);
void slot_crash(struct world *w, int n, int slot);

/* storelink.c */
void store_submit(struct world *w, int n);
void store_exec(struct world *w, struct happening *h);
void store_reply(struct world *w, struct happening *h);
void store_break(struct world *w, int n);
void store_lose(struct world *w);
void store_empty(struct world *w);
void store_up(struct world *w);
void store_log_free(struct world *w);
void adapter_drop(struct world *w, int n);

/* check.c */
void bad(struct world *w, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void check_before(struct world *w, const struct fa_group *g);
void check_group(struct world *w, int n, const struct fa_group *g);
void check_send(struct world *w, int n, const struct fa_msg *m);
void check_run(struct world *w, int n, int t);
void check_void(struct world *w, int n);
void check_told(struct world *w, int n, const struct fa_cli_done *d);
void check_store_died(struct world *w);
void check_end(struct world *w);
bool all_done(struct world *w);
