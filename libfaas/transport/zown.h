/*
 * zown.h - push and pull over sockets of our own (zdoor.c, zdial.c) and over libzmq's (zmq.c): the
 * tables among which push.c chooses by the URL, and what the first two share
 */
#pragma once

#include "base/clock.h"
#include "transport/zmtp.h"

extern const struct faas_transport_ops fa_zdoor, fa_zdial, fa_zmq;

#define FA_ZOWN_LINGER_NS (200 * FA_NS_PER_MS) /* for goodbyes, and what a slow peer must read */
#define FA_ZOWN_RETRY_NS (5 * FA_NS_PER_MS)    /* who was refused tries again, at the latest */
#define FA_ZOWN_EAGER 262144u /* with so many bytes the other end can begin before a flush */

/*
 * Encodes a message and queues it.  0 and it is freed, also one that never will fit, after a line
 * in the log; FAAS_E_AGAIN no room, or no memory.
 */
int fa_zown_put(struct fa_zmtp *z,
                struct faas_message *m,
                struct fa_frames *scratch,
                const char *url);

/* Writes what is queued, until then at most, and says that nothing follows. */
void fa_zown_linger(struct fa_zmtp *z, uint64_t until_ns);
