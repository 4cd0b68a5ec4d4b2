/*
 * port.h - one open transport with what every user of one needs: bytes to messages and back,
 * messages that wait for room, refusal of what breaks the protocol
 *
 * It keeps the contract of faas/transport.h on both sides, so that machines see messages and
 * nothing else, and implementations can stay naive.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "model/event.h"
#include "transport/transport.h"

struct fa_port;

struct fa_port_stats {
        uint64_t bad;     /* messages refused: they broke the protocol */
        uint64_t dropped; /* messages that could not be sent: no such peer, or too many waited */
};

/*
 * index: 0 to 127; peers are known to the machines as (index + 1) << 56 | the transport's number.
 * CONNECT ends have one peer, number 0.  As faas_transport_ops.open.
 */
int fa_port_open(struct fa_port **ret,
                 const struct fa_transport_row *row,
                 const struct faas_transport_cfg *cfg,
                 unsigned index);
struct fa_port *fa_port_close(struct fa_port *p); /* NULL is fine; returns NULL */

/*
 * The next event: FA_EV_MSG (ev->msg, to be given back with fa_msg_free() before the next call: its
 * envelope is the transport's), FA_EV_PEER_UP, FA_EV_PEER_DOWN.  0; FAAS_E_AGAIN: nothing now; < 0:
 * broken; FAAS_E_PROTO: there was one that is not shown, because it breaks the protocol (answered
 * with DISCONNECT, at most once a second and peer, and counted) or because memory is short.  It
 * counts in a bounded turn like any other, or who sends nothing else would never let it end.
 */
int fa_port_recv(struct fa_port *p, struct fa_event *ret, uint64_t now_ns);

/* Takes m in any case.  Without room it waits here, in order, within FA_PARKED_ bounds. */
void fa_port_send(struct fa_port *p, uint64_t peer, struct fa_msg *m, uint64_t now_ns);

/* Sends a peer away with DISCONNECT, at most once a second; it may try again. */
void fa_port_refuse(struct fa_port *p,
                    uint64_t peer,
                    int reason,
                    const char *text,
                    uint64_t now_ns);

/* At the end of a turn: what waits is tried again, and all goes out. */
void fa_port_flush(struct fa_port *p, uint64_t now_ns);

int fa_port_fd(const struct fa_port *p);
uint64_t fa_port_deadline(const struct fa_port *p); /* 0: fa_port_recv() has something */
const char *fa_port_url(const struct fa_port *p);
void fa_port_stats(const struct fa_port *p, struct fa_port_stats *ret);

/* Does this peer belong to this port? */
static inline unsigned fa_port_index(uint64_t peer) {
        return (unsigned)(peer >> 56) - 1;
}
