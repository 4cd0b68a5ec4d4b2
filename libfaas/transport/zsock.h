/*
 * zsock.h - one ROUTER or DEALER with its monitor: options, binding, what to poll, an end in time
 *
 * Knows nothing of peers and messages (zmq.c).
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include <faas/transport.h>

#include "base/buf.h"
#include "transport/zaddr.h"

struct fa_zsock {
        void *sock, *mon; /* ZeroMQ's; mon brings the events of sock; NULL: it has none */
        int epoll;        /* over both */
        bool listens, monitored;
        bool inproc; /* CONNECT: inside the process */
        /* Where ipc sockets stand; ino 0: no file. */
        struct {
                dev_t dev;
                ino_t ino;
        } files[FA_ENDPOINTS_MAX];
        unsigned n_urls;
        pid_t pid; /* who made it */
        char *url; /* where it is, separated by commas; CONNECT: whom it reaches */
};

/* Opens one end at cfg->url, as faas_transport_ops.open. */
int fa_zsock_open(struct fa_zsock *ret, const struct faas_transport_cfg *cfg);

/* Ends it, its address is free then, within some hundred ms; in a fork of who made it only memory
 * goes. */
void fa_zsock_close(struct fa_zsock *z);

/*
 * CONNECT, when the connection broke: drops what could not be sent, which else would be the first
 * that the next dispatcher hears; and begins anew. 0, or -errno.
 */
void fa_zsock_hang_up(const struct fa_zsock *z);
int fa_zsock_redial(const struct fa_zsock *z);

/* Does recv have something? */
bool fa_zsock_readable(const struct fa_zsock *z);

/* The next event of the monitor: its ZMQ_EVENT_ number, and *ret_value; 0: none. */
unsigned fa_zsock_event(const struct fa_zsock *z, int *ret_value);

/* Has the monitor an event? */
bool fa_zsock_noticed(const struct fa_zsock *z);

/* What libzmq's own thread did is taken notice of, now. */
void fa_zsock_settle(const struct fa_zsock *z);
