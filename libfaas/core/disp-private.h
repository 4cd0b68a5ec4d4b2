/* disp-private.h - the dispatcher machine's inside, shared by the files disp-*.c */
#pragma once

#include "base/clock.h"
#include "base/heap.h"
#include "base/list.h"
#include "base/map.h"
#include "base/rule.h"
#include "base/set.h"
#include "core/disp.h"

enum task_state {
        TASK_ACCEPTING, /* its ACCEPT is not answered yet */
        TASK_STORED,    /* accepted, beyond the backlog in memory: kept for a while, because the
                           store may lose its tail */
        TASK_QUEUED,    /* in its class's queue */
        TASK_HANDED,    /* at a worker, under .fence */
        TASK_INHERITED, /* of a partition I took: perhaps at a worker that has not registered yet */
        TASK_FINISHING, /* its FINISH is not answered yet */
        TASK_FINAL,     /* kept for a while, because the store may lose its tail */
        TASK_ELSEWHERE, /* another dispatcher has it, only the store has it, or nobody knows: only
                           waiters are kept here */
        _TASK_STATE_N
};

/* Whoever wants to hear of a task; the first one is embedded in the task. */
struct waiter {
        struct fa_list in_peer;
        struct peer *peer;   /* NULL: the embedded one is free */
        struct waiter *next; /* of the same task; after the embedded one come the others */
        uint32_t of_task;    /* of the embedded one: the task's own, here because there is room */
        uint32_t bytes : 24; /* of the task's payload, where it was known */
        bool submitted : 1;  /* waits for ACCEPTED */
        bool once : 1;       /* STATUS: one answer, no more */
        bool silent : 1;     /* and without the result's bytes */
        bool counted : 1;    /* in its peer's window */
        bool embedded : 1;
};

/* The tasks of one function: the unit of "may this worker run it?". */
struct class {
        struct class *next; /* d->classes_of[], by the name's hash */
        struct fa_list queue;
        struct fa_list busy; /* d->busy, or in no list */
        uint32_t index;
        uint8_t name_len;
        char name[FA_NAME_MAX + 1];
};

/* Workers that offer the same functions: they stand in the same lines, so that for each line, not
 * for each worker, is asked whether there is a task. */
struct kind {
        struct fa_list link;  /* d->kinds */
        struct fa_list ready; /* they can take a task */
        struct fa_list ahead; /* they take one, but all their slots have some */
        uint64_t *functions;  /* bit set of class indices */
        uint32_t n_words, n_workers;
};

struct part {
        struct fa_map_node node; /* the partition */
        struct fa_list link;     /* d->parts */
        uint64_t partition;
        uint64_t n; /* fences given in this generation */
        uint32_t gen;
        bool whole;        /* all of it that is open is in memory */
        bool loading;      /* a LOAD is unanswered */
        bool again;        /* ... whose answer does not count */
        uint64_t cursor;   /* nothing at or before it is missing in memory */
        uint32_t n_tasks;  /* tasks of it in memory */
        bool dropping;     /* a DROP is unanswered: to TICK it is mine no more */
        uint64_t empty_ns; /* since when there is nothing in it; 0: there is */
        uint64_t n_out;    /* about how many are missing, as far as I have accepted them */
};

/* What is to be done with a task that is only in the store, when its record has been read. */
struct want {
        uint64_t key, session; /* of the worker that holds it, or has its result */
        struct fa_fence fence;
        bool held, result, started;
        bool cancel;
};

/* What only a task has that was handed out, or that has a history; the others share one that is all
 * zero (fa_disp_no_run). */
struct run {
        struct run *next;    /* d->spare */
        uint64_t when;       /* the task's, while it has a run */
        struct want *want;   /* ELSEWHERE: or NULL */
        uint64_t given_ns;   /* HANDED: since when */
        struct peer *worker; /* HANDED: who has it; FINISHING: whom to tell, or NULL */
        struct fa_fence fence, strike_fence;
        struct fa_outcome outcome; /* FINAL, FINISHING */
        uint64_t listed;           /* session in whose REGISTER it stood last */
        uint32_t strikes, retries, unstarted;
        bool started; /* HANDED: it runs */
        bool hinted;  /* HANDED: its HINT is written, or will not be */
};

/* One that waits takes few bytes, because there may be millions: benchmarks/core-memory. */
struct task {
        struct fa_map_node node; /* the id */
        uint16_t class;          /* index of */
        uint8_t state;
        bool has_run : 1;
        bool collected : 1;   /* FINAL: its submitter has it; kept only to be written again */
        bool reading : 1;     /* ELSEWHERE: a GET is unanswered */
        struct fa_list link;  /* class queue; worker's held; worker's finishing; d->stored,
                                 ->inherited, ->finals, ->elsewhere */
        struct waiter w0;     /* its .of_task: fa_disp_part_of() */
        struct fa_spec *spec; /* NULL when ELSEWHERE */
        uint64_t client;      /* incarnation of its submitter; 0: not known */
        union {
                struct run *run; /* if it has one: fa_disp_run_of() */
                uint64_t when;   /* if not: fa_disp_when() */
        };
};

_Static_assert(FA_PAYLOAD_MAX < 1 << 24, "waiter.bytes");
_Static_assert(sizeof(struct task) <= 104, "with all that it needs a task is to take 192 bytes");

struct peer {
        struct fa_map_node node;   /* the shell's number */
        struct fa_list link;       /* d->peers */
        struct fa_heap_node alive; /* when to judge it next */
        struct fa_lane lane;
        uint64_t incarnation;
        struct fa_blob *name; /* as it calls itself; may be NULL */
        uint64_t seen_ns;
        bool suspect; /* silent beyond its time at the last look */
        uint8_t role; /* _FA_ROLE_N: not known yet */
        /* a worker */
        bool registered;
        uint64_t session;
        uint64_t sent_seq, beat_seq; /* hand-outs sent in this session; the same at its last BEAT */
        uint32_t grant, n_held, n_slots;
        uint64_t n_done;          /* results that counted */
        struct fa_list held;      /* tasks HANDED to it, oldest first: first those with a HINT */
        struct fa_list *unhinted; /* in held: the first one without; NULL: all have */
        struct fa_list hinting;   /* d->hinting: it has (or had) some without */
        struct fa_list finishing; /* tasks FINISHING with its result */
        struct fa_list ready;     /* kind->ready or ->ahead, or in no list */
        bool ahead;               /* in which */
        struct fa_list given;     /* pull: d->given: its request is answered in this turn */
        struct kind *kind;        /* by its functions; NULL: it has not said them */
        struct place *at;         /* in d->workers: this is where that worker is; NULL: it is not */
        /* a client */
        struct fa_list waiters;
        uint32_t n_waiters;                /* less those that ask once */
        uint32_t n_all, n_counted;         /* all; those that count against its window */
        uint64_t all_bytes, counted_bytes; /* of their payloads */
        struct place *here;     /* in d->clients: this is where the client is; NULL: it is not, and
                                   .spilled is empty */
        struct fa_set spilled;  /* tasks that only the store has and that it waits for */
        uint64_t spilled_bytes; /* of their payloads */
};

/* Where a client or a worker is: which peer has this incarnation. */
struct place {
        struct fa_map_node node; /* the incarnation */
        struct peer *peer;
};

struct fa_disp {
        struct fa_disp_cfg cfg;
        uint64_t epoch, started_ns;
        bool starting, rebinding, ticking, fenced;
        bool draining;
        bool lost_tail; /* rebinding: the store has forgotten something of mine */
        uint64_t order;
        struct fa_map tasks, peers_by_key, clients, workers, parts_by_number;
        struct fa_list peers, kinds, busy, given, hinting, parts;
        struct fa_list stored, inherited, finals, elsewhere; /* tasks in these states */
        struct part *home;
        struct class *classes_of[256], *class_at[FA_FUNCTIONS_MAX * 8];
        uint32_t n_classes;
        uint64_t n_spilled;           /* in the sets of all clients: peer.spilled */
        uint64_t n_in[_TASK_STATE_N]; /* tasks in each state */
        uint64_t queued_bytes;        /* of those QUEUED and INHERITED; with a budget only */
        uint32_t n_partial;           /* partitions that are not whole */
        uint32_t n_loading;           /* LOADs unanswered */
        uint32_t n_wants;
        uint64_t load_at_ns;            /* no LOAD before; 0: at once */
        uint64_t bad_messages, dropped; /* the shell's */
        struct fa_heap alive;
        struct fa_outbox outbox;
        struct fa_group *open; /* ops of this turn */
        struct fa_group *closed,
                **closed_last; /* ... that are too many for one group, before the open one */
        struct fa_group *control,
                **control_last;        /* groups out of sequence: START, REBIND, RESTORE */
        struct fa_group *spare_groups; /* to be filled again, by .next */
        uint32_t n_spare_groups;
        uint32_t unanswered;
        uint64_t seq, answered_seq;
        uint64_t tick_at_ns, sweep_at_ns;
        uint64_t sweep_ns;   /* until the next sweep but one; it doubles */
        uint64_t hint_at_ns; /* no HINT is due before; FA_NEVER: none at all */
        enum {
                OWES_NOTHING,
                OWES_BIND,
                OWES_RESTORE
        } owes; /* rebinding: said when memory is there */
        uint64_t owes_at_ns;
        uint64_t phase;
        struct run *spare; /* to be used again */
        uint32_t n_spare;
        struct fa_disp_stats stats;
};

/* disp-task.c: the life of a task */
extern const struct run fa_disp_no_run;
/* Its own, or the one that is all zero; to be written only if it has one. */
static inline struct run *fa_disp_run_of(const struct task *t) {
        return t->has_run ? t->run : fa_unconst(&fa_disp_no_run);
}
/* Its order by acceptance, when QUEUED and before (0: not given yet); since when it is STORED,
 * FINAL or INHERITED, in ns. */
static inline uint64_t *fa_disp_when(struct task *t) {
        return t->has_run ? &t->run->when : &t->when;
}
struct task *fa_disp_task_find(const struct fa_disp *d, const struct faas_id *id);
struct task *fa_disp_task_new(struct fa_disp *d, const struct faas_id *id, enum task_state state);
void fa_disp_task_free(struct fa_disp *d, struct task *t);
void fa_disp_tasks_free(struct fa_disp *d);
/* Has it a run of its own, or can have one?  false: no memory. */
bool fa_disp_run(struct fa_disp *d, struct task *t);
void fa_disp_task_move(struct fa_disp *d, struct task *t, enum task_state to);
int fa_disp_task_spec(struct fa_disp *d, struct task *t, struct fa_spec *spec, struct part *part);
void fa_disp_queue(struct fa_disp *d, struct task *t, bool front);
void fa_disp_hand_out(struct fa_disp *d, uint64_t now_ns);
void fa_disp_lost(struct fa_disp *d, struct task *t, enum faas_failure failure, const char *text);
void fa_disp_strike(struct fa_disp *d,
                    struct task *t,
                    const struct fa_fence *fence,
                    const struct fa_outcome *o);
void fa_disp_finish(struct fa_disp *d,
                    struct task *t,
                    const struct fa_fence *fence,
                    const struct fa_outcome *o,
                    struct peer *tell);
void fa_disp_final(struct fa_disp *d,
                   struct task *t,
                   const struct fa_outcome *o,
                   const struct fa_fence *fence,
                   uint64_t now_ns);
bool fa_disp_hold(struct fa_disp *d,
                  struct peer *p,
                  struct task *t,
                  const struct fa_fence *fence,
                  uint64_t now_ns);
void fa_disp_unhold(struct fa_disp *d, struct task *t);
size_t fa_disp_task_cost(const struct task *t);

/* disp-kind.c */
struct class *fa_disp_class(struct fa_disp *d, struct fa_slice name);
void fa_disp_classes_free(struct fa_disp *d);
int fa_disp_kind(struct fa_disp *d, struct peer *p, const struct fa_msg *m);
void fa_disp_kind_leave(struct peer *p);
void fa_disp_ready(struct peer *p);
/* The oldest task that workers of this kind can run, or NULL. */
struct task *fa_disp_oldest_for(struct fa_disp *d, const struct kind *k);

/* disp-worker.c */
void fa_disp_worker_msg(struct fa_disp *d, struct peer *p, const struct fa_msg *m, uint64_t now_ns);
void fa_disp_worker_close(struct fa_disp *d, struct peer *p);
void fa_disp_worker_leave(struct fa_disp *d, struct peer *p);
void fa_disp_answer(struct fa_disp *d,
                    struct peer *p,
                    enum fa_msg_type type,
                    const struct faas_id *id,
                    const struct fa_fence *f);
bool fa_disp_adoptable(const struct task *t, const struct fa_fence *f);

/* disp-client.c */
void fa_disp_client_msg(struct fa_disp *d, struct peer *p, const struct fa_msg *m, uint64_t now_ns);
void fa_disp_tell_accepted(struct fa_disp *d, struct task *t, uint8_t state);
void fa_disp_tell_done(struct fa_disp *d,
                       struct task *t,
                       uint8_t state,
                       const struct fa_outcome *o);
void fa_disp_refuse(struct fa_disp *d, struct task *t, int found);
void fa_disp_sweep(struct fa_disp *d, uint64_t now_ns);
/* Asks the store for the record of a stub. */
void fa_disp_read_record(struct fa_disp *d, struct task *t);

/* disp-wait.c */
void fa_disp_window(struct task *t);
bool fa_disp_window_full(const struct fa_disp *d, const struct peer *p, size_t len);
bool fa_disp_flooded(const struct fa_disp *d, const struct peer *p, size_t len);
/* Finds or adds; NULL: no memory, as if the message had been lost. */
struct waiter *fa_disp_waiter_add(struct task *t, struct peer *p, bool once);
void fa_disp_waiter_drop(struct waiter *w);
void fa_disp_waiters_drop(struct task *t);

static inline struct waiter *fa_disp_waiters(const struct task *t) {
        return t->w0.peer ? fa_unconst(&t->w0) : t->w0.next;
}
/* w may be dropped in the body. */
#define fa_disp_for_waiters(w, tmp, t)                                                             \
        for ((w) = fa_disp_waiters(t); (w) && ((tmp) = (w)->next, true); (w) = (tmp))

bool fa_disp_stub_drop(struct fa_disp *d, struct task *t); /* true: it is gone */
void fa_disp_client_here(struct fa_disp *d, struct peer *p);
void fa_disp_client_close(struct fa_disp *d, struct peer *p);
/* Does it wait for this task, which only the store has? */
bool fa_disp_spilled(const struct fa_disp *d, const struct peer *p, const struct faas_id *id);
void fa_disp_waiters_leave(struct fa_disp *d, struct task *t, uint64_t client, size_t len);
void fa_disp_waiter_back(struct fa_disp *d, struct task *t);
void fa_disp_spilled_forget(struct fa_disp *d);

/* disp-hint.c */
void fa_disp_hint_plan(struct fa_disp *d, struct peer *p, struct task *t, uint64_t now_ns);
void fa_disp_hint_tick(struct fa_disp *d, uint64_t now_ns);

/* disp-want.c */
/* Must the store be asked for this task, to judge a hand-out of it? */
bool fa_disp_unknown(const struct part *part, const struct task *t, const struct fa_fence *fence);
void fa_disp_want_held(struct fa_disp *d, struct peer *p, const struct fa_item *it, bool result);
void fa_disp_want_cancelled(struct fa_disp *d, const struct faas_id *id);
bool fa_disp_wanted(struct fa_disp *d, struct task *t, uint64_t now_ns);
void fa_disp_unwanted(struct fa_disp *d, struct task *t, const struct fa_record *rec);
void fa_disp_want_free(struct fa_disp *d, struct task *t);

/* disp-load.c */
struct part *fa_disp_part_add(struct fa_disp *d, uint64_t partition, uint32_t gen, bool whole);
void fa_disp_load(struct fa_disp *d, uint64_t now_ns);
void fa_disp_loaded(struct fa_disp *d, const struct fa_op *op, uint64_t now_ns);
void fa_disp_parts_tick(struct fa_disp *d, uint64_t now_ns);
void fa_disp_dropped(struct fa_disp *d, const struct fa_op *op);
void fa_disp_loads_again(struct fa_disp *d);
void fa_disp_elsewhere(struct fa_disp *d,
                       struct task *t,
                       const struct fa_record *rec,
                       uint64_t now_ns);
bool fa_disp_spill(struct fa_disp *d, struct task *t, uint64_t now_ns);
void fa_disp_expire(struct fa_disp *d, uint64_t now_ns);
void fa_disp_retain_again(struct fa_disp *d, uint64_t now_ns);

/* disp-report.c */
void fa_disp_name(struct peer *p, struct fa_slice name);
void fa_disp_report(struct fa_disp *d, struct peer *p, uint8_t what, uint64_t now_ns);

/* disp-store.c */
struct fa_op *fa_disp_op(struct fa_disp *d, enum fa_op_kind kind);
void fa_disp_op_drop(struct fa_disp *d);
int fa_disp_store_start(struct fa_disp *d);
int fa_disp_store_answer(struct fa_disp *d, struct fa_group *g, uint64_t now_ns);
void fa_disp_store_tick(struct fa_disp *d, uint64_t now_ns);
struct part *fa_disp_part(const struct fa_disp *d, uint64_t partition);
/* The partition of a task; NULL when ELSEWHERE. */
static inline struct part *fa_disp_part_of(const struct fa_disp *d, const struct task *t) {
        return t->w0.of_task ? fa_map_at(&d->parts_by_number, t->w0.of_task - 1) : NULL;
}

/* A new group that goes out at once, out of the sequence, and its first op. */
struct fa_op *fa_disp_control_op(struct fa_disp *d, enum fa_op_kind kind);

/* disp-rebind.c */
void fa_disp_store_lost(struct fa_disp *d);
void fa_disp_rebind_tick(struct fa_disp *d, uint64_t now_ns);
void fa_disp_rebound(struct fa_disp *d, const struct fa_op *op, uint64_t now_ns);
void fa_disp_restored(struct fa_disp *d, const struct fa_op *op, uint64_t now_ns);
struct fa_owned *fa_disp_owned_list(const struct fa_disp *d, bool all, size_t *ret_n);

/* disp.c */
struct faas_id fa_disp_key(uint64_t number);
struct peer *fa_disp_peer(struct fa_disp *d, uint64_t key, bool create, uint64_t now_ns);
void fa_disp_welcome(struct fa_disp *d, struct peer *p);
uint64_t fa_disp_patience(const struct fa_disp *d);
