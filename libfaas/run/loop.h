/*
 * loop.h - how a dispatcher or worker is stepped and sleeps: descriptors, a deadline, requests to
 * stop
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

enum fa_phase {
        FA_RUNNING,
        FA_DRAINING, /* asked to stop: the turn sets FA_STOPPED when nothing is left to do */
        FA_STOPPING, /* asked again: the turn sets FA_STOPPED at once */
        FA_STOPPED
};

struct fa_loop {
        int epoll_fd; /* what an embedder polls; holds all others */
        int timer_fd; /* armed for the next deadline once somebody polls */
        int stop_fd;  /* the caller's, or -1 */
        uint64_t armed_ns;
        enum fa_phase phase;
        bool more;    /* there is something to do that no descriptor and no deadline tells of */
        bool exposed; /* somebody polls epoll_fd */
        int broken;   /* what every step returns from now on */
};

#define FA_LOOP_NULL                                                                               \
        { -1, -1, -1, UINT64_MAX, FA_RUNNING, false, false, 0 }

/* What is stepped; shell: handed to both. */
struct fa_loop_ops {
        int (*turn)(void *shell, uint64_t now_ns); /* 0; else it is broken */
        uint64_t (*deadline)(void *shell);         /* when a turn is due; FA_NEVER */
        void (*drain)(void *shell);                /* the first request to stop came */
};

/* stop_fd: -1, or a descriptor that is readable when somebody wants it to stop.  0; -errno. */
int fa_loop_init(struct fa_loop *l, int stop_fd);
void fa_loop_deinit(struct fa_loop *l); /* legal on FA_LOOP_NULL; the stop_fd stays open */

/* Also wake up when fd is readable. 0; -errno. */
int fa_loop_watch(struct fa_loop *l, int fd);

/*
 * Waits until a descriptor is readable or a turn is due, at most so long (negative: for ever), then
 * takes one turn.  0; FAAS_E_GONE it is stopped; what the turn returned, again and again.  Each
 * time the stop_fd is readable is one fa_loop_stop(); its end of file ends it at once.
 */
int fa_loop_step(struct fa_loop *l, const struct fa_loop_ops *ops, void *shell, int timeout_ms);

/* The first time: drain; the second: end with the next turn, which does not wait. */
void fa_loop_stop(struct fa_loop *l, const struct fa_loop_ops *ops, void *shell);

/* For an embedder, who waits elsewhere: from now on also readable when a turn is due. */
int fa_loop_fd(struct fa_loop *l, const struct fa_loop_ops *ops, void *shell);
