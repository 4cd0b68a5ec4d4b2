/* process.h - small things that zygote and slots do to their own process */
#pragma once

#include <stddef.h>
#include <sys/types.h>

/* All signals as they were at the start of the world: default action, not blocked. */
void fa_process_reset_signals(void);

/* Closes all descriptors from 3 on but those in keep, which must be in growing order. */
void fa_process_close_fds(const int *keep, size_t n);

/* /dev/null for the descriptors from..to; 0 or a negated errno. */
int fa_process_null_fds(int from, int to);

/* The same description under a number of at least min, close-on-exec; the old number is closed. */
int fa_process_move_fd(int fd, int min);

/* Children of this thread, orphans included; returns how many of at most max. */
size_t fa_process_children(pid_t *ret, size_t max);
