/* zmtp-hello.h - what two ends of a connection say before the first message, and commands */
#pragma once

#include "transport/zmtp.h"

enum { FA_ZMTP_MORE = 1, FA_ZMTP_LONG = 2, FA_ZMTP_COMMAND = 4, FA_ZMTP_FLAGS = 7 };

#define FA_ZMTP_GREETING_LEN 64

/* Queues greeting and READY, which need not wait for the peer's.  0 or -ENOMEM. */
int fa_zmtp_say_hello(struct fa_zmtp *z);

/* The first bytes of a peer.  0 a greeting that we understand; FAAS_E_AGAIN; FAAS_E_PROTO. */
int fa_zmtp_greeting(const uint8_t *p, size_t len);

/* Its READY: sets z->named.  0; FAAS_E_PROTO it is another command, or a socket that does not fit.
 */
int fa_zmtp_ready(struct fa_zmtp *z, const uint8_t *p, size_t len);

/* One that comes later: answers PING.  0; FAAS_E_PROTO it says that it goes; -ENOMEM. */
int fa_zmtp_command(struct fa_zmtp *z, const uint8_t *p, size_t len);

/* Queues at most 64 KiB of bytes as they are (zmtp.c).  0 or -ENOMEM. */
int fa_zmtp_gather(struct fa_zmtp *z, const void *p, size_t len);
