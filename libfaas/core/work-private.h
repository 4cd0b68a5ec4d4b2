/* work-private.h - the worker machine's inside, shared by the files work*.c */
#pragma once

#include "base/clock.h"
#include "base/limits.h"
#include "base/list.h"
#include "base/map.h"
#include "base/rule.h"
#include "core/work.h"

#define LINKS_MAX FA_ENDPOINTS_MAX
#define DEPTH_NS (500 * FA_NS_PER_US) /* a slot's queue holds work for about so long */
#define STUCK_NS (5 * FA_NS_PER_MS)   /* a task so long ahead of others: those go elsewhere */
#define PAIR_NS (STUCK_NS / 2)        /* behind a task up to here stands one more */
/* So long before its mean end a long task has a successor asked for, and so long after it that one
 * waits. */
#define NEAR_NS STUCK_NS
#define ORPHAN_RETRIES 30 /* a result that nobody owns for so many intervals is dropped */
#define RUN_MAX (1u << 20)
/* Between two inputs: each slot filled, recalled and killed. */
#define OPS_MAX(n_slots) ((size_t)(n_slots) * (FA_SLOT_TASKS_MAX + 2))
#define STARTED_NS (10 * FA_NS_PER_MS) /* a task that runs so long is reported as started */

enum held_state { HELD_WAITING, HELD_SLOT, HELD_RESULT };

struct held {
        struct fa_map_node
                node; /* id mixed with the fence: one task may be here twice, under two owners */
        struct fa_list link; /* w->waiting, slot's queue, or w->results */
        struct faas_id id;
        struct fa_fence fence;
        struct link *from;   /* who counts it: handed it out or adopted it */
        struct link *origin; /* the same, also when another dispatcher is at that place now */
        struct fa_blob *payload;
        const char *function;
        uint64_t *est; /* of its function */
        uint32_t timeout_ms;
        unsigned slot;
        uint8_t state;
        bool reported; /* STARTED was sent */
        bool dropped;  /* stale or cancelled: its end is nobody's business */
        bool cancelled;
        struct fa_outcome outcome;
        uint64_t again_ns;    /* RESULT: when to offer it again */
        uint64_t not_mine_ns; /* RESULT: since when nobody owns its partition; 0: not known */
};

/* GONE: it was told goodbye */
enum link_state { LINK_HELLO, LINK_OPEN, LINK_GONE };

struct link {
        struct fa_lane lane;
        enum link_state state;
        uint64_t epoch, session;
        uint64_t seen_seq; /* last TASK.seq in this session */
        uint64_t heard_ns, sent_ns;
        uint64_t alive_ns;    /* when it spoke last in a session */
        uint64_t interval_ns; /* 0: no beats */
        uint32_t liveness;
        uint32_t n_held; /* hand-outs without a result that this dispatcher counts */
        bool pull;       /* it gives what it is asked for */
        uint32_t ask;    /* pull: what was asked for and is not answered; 0: nothing */
        uint32_t told;   /* the grant that was said last */
        bool first_beat; /* at its phase */
        uint64_t phase_ns;
};

/* What a slot that is up runs, as it counts for the grant. */
enum weight {
        WEIGHT_SHORT,   /* nothing, or what its function did in less than STUCK_NS before */
        WEIGHT_UNKNOWN, /* a function that has not ended yet */
        WEIGHT_LONG,    /* it was or is running for STUCK_NS */
        WEIGHT_ENDING,  /* the same, and it should end about now */
        _WEIGHT_N
};

/* A long task on its way to the mean of its function. */
enum phase { PHASE_FAR, PHASE_NEAR, PHASE_OVER };

struct slot {
        struct fa_list queue; /* held, oldest first */
        uint32_t n;
        uint64_t since_ns; /* since when its oldest task can have been running */
        uint64_t over_ns;  /* near its end: when it should have ended at the latest */
        bool up;
        bool stuck;     /* its oldest task has been running for STUCK_NS */
        bool slow;      /* gave tasks back: one at a time until its next result */
        bool kill;      /* one in it was cancelled: kill it unless the recall brings that one */
        bool killed;    /* it is about to go down */
        uint8_t weight; /* of what it runs: enum weight */
        uint8_t phase;  /* of its oldest task: enum phase */
};

struct fa_work {
        struct fa_work_cfg cfg;
        char name[FA_PEER_NAME_MAX + 1];
        struct fa_work_stats stats;
        struct link links[LINKS_MAX];
        unsigned n_links;
        struct slot *slots;
        unsigned cursor; /* where the search for room goes on */
        unsigned n_busy, n_up;
        uint32_t n_slotted; /* hand-outs in slots */
        struct fa_map held;
        struct fa_list waiting, results;
        size_t n_waiting;
        uint64_t *est;      /* per function: running mean of its run time in ns; 0: unknown */
        uint64_t est_short; /* the same of all that took less than STUCK_NS */
        uint32_t run;       /* how many of them ended since the last one that was long */
        unsigned n_weight[_WEIGHT_N]; /* slots that are up by what they run */
        uint64_t session;
        bool draining;
        uint64_t reached_ns; /* draining: when a dispatcher was there last */
        struct fa_outbox outbox;
        struct slot_op {
                enum fa_work_op_kind kind;
                unsigned slot;
                struct held *h;
        } * ops; /* OPS_MAX(cfg.n_slots) */
        size_t ops_head, n_ops;
};

/* work.c */
uint64_t fa_work_retry(const struct fa_work *w);
void fa_work_held_free(struct fa_work *w, struct held *h);
void fa_work_send_result(struct fa_work *w, struct link *l, struct held *h, uint64_t now_ns);
void fa_work_offer(struct fa_work *w, struct held *h, bool everyone, uint64_t now_ns);
struct fa_item *fa_work_item(struct fa_work *w,
                             struct link *l,
                             enum fa_msg_type type,
                             const struct held *h,
                             uint64_t now_ns);

/* work-link.c */
void fa_work_hello(struct fa_work *w, struct link *l, uint64_t now_ns);
void fa_work_welcome(struct fa_work *w, struct link *l, const struct fa_msg *m, uint64_t now_ns);
/* Fills what every message of a session has. */
void fa_work_head(struct fa_work *w, struct link *l, struct fa_msg *m, uint64_t now_ns);
void fa_work_link_tick(struct fa_work *w, struct link *l, uint64_t now_ns);
/* Asks where room is that the dispatcher does not know of. */
void fa_work_ask(struct fa_work *w, uint64_t now_ns);
void fa_work_ask_nothing(struct fa_work *w, uint64_t now_ns);
/* Am I registered with any dispatcher?  And how long to wait for one: the longest liveness. */
bool fa_work_reaches(const struct fa_work *w);
uint64_t fa_work_patience(const struct fa_work *w);
uint64_t fa_work_link_deadline(const struct fa_work *w, const struct link *l);

/* work-slot.c */
uint32_t fa_work_grant(const struct fa_work *w);
void fa_work_wait(struct fa_work *w, struct held *h, bool front);
void fa_work_assign(struct fa_work *w, uint64_t now_ns);
void fa_work_ended(struct fa_work *w, struct held *h, const struct fa_outcome *o, uint64_t now_ns);
void fa_work_cancel(struct fa_work *w, struct held *h);
void fa_work_slot_input(struct fa_work *w, const struct fa_event *ev, uint64_t now_ns);
void fa_work_slot_tick(struct fa_work *w, uint64_t now_ns);
uint64_t fa_work_drain_deadline(const struct fa_work *w);
uint64_t fa_work_slot_deadline(const struct fa_work *w);
