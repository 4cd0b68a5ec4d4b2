/*
 * zctx.h - the process's one ZeroMQ context
 *
 * inproc:// only connects ends of one context, so all transports of a process share one.  It is
 * made for the first and ended with the last.  A fork of the process never touches its parent's.
 */
#pragma once

#include <stddef.h>

/*
 * The context, with one reference.  n_fds: how many descriptors the caller is about to need, and
 * some more of them must be free, because libzmq aborts the process where it cannot have one.
 *
 * 0; -EMFILE, -ENFILE too few descriptors are free; -ENOMEM.
 */
int fa_zctx_get(void **ret, size_t n_fds);

/* Gives a reference back; the last waits until what its sockets still had to send is sent, or
 * their linger is over. */
void fa_zctx_put(void);
