/*
 * pool.h - the processes of a pool as the host sees them: the zygote's life, the slots' lives
 *
 * The inside of slots.h: slots.c turns what happens here into events.
 */
#pragma once

#include <stdbool.h>
#include <sys/epoll.h>
#include <sys/types.h>

#include "base/list.h"
#include "exec/chan.h"
#include "exec/mail.h"
#include "exec/zygote.h"

#define FA_POOL_READY_MAX 64

struct fa_pool_slot {
        struct fa_chan chan; /* its memory is mapped as long as the process may live */
        int bell;            /* our end of its socket; -1: closed */
        unsigned n_rings;    /* armed since the bell was last emptied */
        uint32_t gen;        /* which life */
        bool asked;          /* the zygote has been asked for this life */
        bool up;             /* FA_SLOT_UP was given to the owner */
        bool dead;           /* this life is over; what it wrote is still to be read */
        bool spent;          /* what else is in its ring makes no sense */
        const char *bad;     /* why we ended it; NULL: we did not */
        int status;          /* of a dead one: as wait() gives it */
        bool timed_out;
        struct fa_blob *log;
        pid_t pid;
        struct fa_list dirty;      /* has tasks to be told */
        struct fa_list watched;    /* may have something for us: it comes up, or has tasks */
        struct fa_list want_spawn; /* the other lists of the pool that it may be in */
        struct fa_list want_kill;
        struct fa_list dying;
};

/* An event that is in no ring: the answer to a recall. */
struct fa_pool_note {
        struct fa_pool_note *next;
        struct fa_slot_event event;
};

enum fa_pool_zygote { FA_ZYGOTE_NONE, FA_ZYGOTE_STARTING, FA_ZYGOTE_READY };

struct fa_slots {
        struct fa_zygote_cfg cfg;
        uint32_t first_seq;
        uint32_t restart_ms;
        pid_t owner; /* a fork of the host has a copy of this, but no pool */
        int epoll;

        enum fa_pool_zygote state;
        int sock, pidfd;
        pid_t zygote;
        int loading;       /* the module that it loads, or loaded last; -1: none */
        bool mail_blocked; /* its socket is full */
        int broken;        /* < 0: it cannot be started again */

        uint64_t start_by_ns; /* while it starts: when it is given up */
        uint64_t retry_ns;    /* nothing is forked before */
        uint32_t pause_ms;    /* doubles with each failure, 0 after a success */

        struct fa_list dirty, watched, want_spawn, want_kill, dying;
        unsigned n_watched;
        struct fa_pool_note *notes, **notes_end; /* oldest first */
        unsigned n;
        struct fa_pool_slot *slots;

        /* Where fa_slots_next() is. */
        struct fa_pool_slot *current; /* whose ring is being read */
        unsigned to_scan;             /* watched slots that are still to be looked at */
        bool look_again;              /* something was found, so there may be more */
        bool asked;                   /* the epoll, since FAAS_E_AGAIN was last given */
        bool polled;                  /* the owner sleeps on the epoll itself */
        bool armed;                   /* all watched slots are to ring their bells */
        unsigned n_looks;
        bool spin;      /* the last sleep was shorter than the spin would have been */
        unsigned spins; /* how often to look then */
        int n_ready, ready_done;
        struct epoll_event ready[FA_POOL_READY_MAX];

        char **modules; /* our copy of cfg.modules */
        char *names;    /* one after the other */
        const char **functions;
        size_t n_functions;
        struct fa_mail mail;
};

/* Numbers in epoll's data: slots by their index, then the zygote. */
#define FA_POOL_ZYGOTE UINT32_MAX

/* Launches the zygote; its answer comes as mail. 0 or a negated errno. */
int fa_pool_launch(struct fa_slots *s);

/* Reads the zygote's mail; 0 or the reason why the pool is broken, as fa_slots_open() returns it.
 */
int fa_pool_mail(struct fa_slots *s);

/*
 * Sends what the zygote is to be told, and launches it if it is gone and the time has come.
 * 0; FAAS_E_AGAIN not all could be done now (full socket or a pause); -EMFILE, -ENOMEM likewise,
 * with the pause begun.
 */
int fa_pool_service(struct fa_slots *s);

/* Ends a slot; why: a static text, or NULL if the owner wanted it. */
void fa_pool_kill(struct fa_slots *s, struct fa_pool_slot *slot, const char *why);

/* After the slot's last result was read: forgets this life and asks for the next. */
void fa_pool_bury(struct fa_slots *s, struct fa_pool_slot *slot);

/* The end of all; waits for the zygote, which waits for all slots. */
void fa_pool_end(struct fa_slots *s);

/* To be looked at: it may have something for us; or no more. */
void fa_pool_watch(struct fa_slots *s, struct fa_pool_slot *slot);
void fa_pool_unwatch(struct fa_slots *s, struct fa_pool_slot *slot);

/* Makes the epoll readable once, as its bell would. */
void fa_pool_poke(struct fa_slots *s, const struct fa_pool_slot *slot);

/* It may ring its bell, once. */
void fa_pool_arm(struct fa_pool_slot *slot);
void fa_pool_empty_bell(struct fa_pool_slot *slot);

/* Tells the slot its tasks as far as its ring takes them, and looks at it from now on. */
void fa_pool_flush(struct fa_slots *s, struct fa_pool_slot *slot);
