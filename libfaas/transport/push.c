/*
 * push.c - push and pull: which sockets carry them, by the URL
 *
 * The two only differ in the credit that workers give.  Addresses that need no look-up are reached
 * with sockets of our own (zdoor.c, zdial.c), which save libzmq's thread between us and the peer;
 * names of hosts and interfaces, and inproc, with libzmq's (zmq.c).  On the way all look the same:
 * ZMTP 3.1, a ROUTER at the dispatcher and DEALERs elsewhere.
 */
#include <string.h>

#include "base/limits.h"
#include "transport/transport.h"
#include "transport/zaddr.h"
#include "transport/zown.h"

/* With what each of the implementations' own structs begins. */
struct faas_transport {
        const struct faas_transport_ops *how;
};

static int p_open(struct faas_transport **ret, const struct faas_transport_cfg *cfg) {
        const bool listen = cfg->end == FAAS_TRANSPORT_LISTEN;

        if (!cfg->url || (!listen && strchr(cfg->url, ',')) ||
            !fa_zaddr_all_numbers(cfg->url, listen))
                return fa_zmq.open(ret, cfg); /* which also says what is wrong with a bad one */
        return listen ? fa_zdoor.open(ret, cfg) : fa_zdial.open(ret, cfg);
}

static void p_close(struct faas_transport *t) {
        t->how->close(t);
}

static int p_fd(const struct faas_transport *t) {
        return t->how->fd(t);
}

static int p_recv(struct faas_transport *t, struct faas_transport_event *ret) {
        return t->how->recv(t, ret);
}

static int p_send(struct faas_transport *t, uint64_t peer, struct faas_message *m) {
        return t->how->send(t, peer, m);
}

static void p_flush(struct faas_transport *t) {
        if (t->how->flush)
                t->how->flush(t);
}

static uint64_t p_deadline(const struct faas_transport *t) {
        return t->how->deadline(t);
}

static const char *p_url(const struct faas_transport *t) {
        return t->how->url(t);
}

/* Workers connect to either in the same way: only the dispatcher knows which it is. */
#define ROW(n, c)                                                                                  \
        {                                                                                          \
                .struct_size = sizeof(struct faas_transport_ops),                                  \
                .version = FAAS_TRANSPORT_VERSION, .name = (n), .credit = (c), .open = p_open,     \
                .close = p_close, .fd = p_fd, .recv = p_recv, .send = p_send, .flush = p_flush,    \
                .deadline = p_deadline, .url = p_url,                                              \
        }

const struct faas_transport_ops fa_transport_push = ROW("push", FAAS_CREDIT_AHEAD);
const struct faas_transport_ops fa_transport_pull = ROW("pull", FAAS_CREDIT_ON_REQUEST);
