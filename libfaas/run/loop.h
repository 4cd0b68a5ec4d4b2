/*
 * loop.h - how a dispatcher or worker sleeps: descriptors, a deadline, and a request to stop
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

struct fa_loop {
        int epoll_fd; /* what an embedder polls; holds all others */
        int timer_fd; /* armed by fa_loop_arm() */
        int stop_fd;  /* the caller's, or -1 */
        uint64_t armed_ns;
};

enum fa_stop { FA_STOP_NO, FA_STOP_ASKED, FA_STOP_NOW };

#define FA_LOOP_NULL                                                                               \
        { -1, -1, -1, UINT64_MAX }

/* stop_fd: -1, or a descriptor that is readable when somebody wants it to stop.  0; -errno. */
int fa_loop_init(struct fa_loop *l, int stop_fd);
void fa_loop_deinit(struct fa_loop *l); /* legal on FA_LOOP_NULL; the stop_fd stays open */

/* Also wake up when fd is readable. 0; -errno. */
int fa_loop_watch(struct fa_loop *l, int fd);

/*
 * Sleeps until a descriptor is readable, the deadline is there, or until_ns: both of
 * CLOCK_MONOTONIC, FA_NEVER allowed.  Says whether the stop_fd was readable: each time is one
 * request, end of file means at once.
 */
enum fa_stop fa_loop_wait(struct fa_loop *l, uint64_t until_ns, uint64_t deadline_ns);

/* For an embedder, who waits elsewhere: epoll_fd is readable from deadline_ns on. */
void fa_loop_arm(struct fa_loop *l, uint64_t deadline_ns);
