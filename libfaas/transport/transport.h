/*
 * transport.h - the table of transports: look-ups, and the casts between public and inner messages
 *
 * The public struct faas_message is the inner struct fa_msg; outside implementations see only the
 * former.
 */
#pragma once

#include <stdint.h>

#include <faas/transport.h>

#include "wire/msg.h"

/* A row, and what was registered with it. */
struct fa_transport_row {
        const struct faas_transport_ops *ops;
        void *userdata;
};

/* By name, for a dispatcher.  0; FAAS_E_NOENT, with a text that lists the known ones. */
int fa_transport_by_name(struct fa_transport_row *ret, const char *name);

/* By the scheme of a URL, for a worker or client ("tcp", "ipc", "inproc": push, which connects the
 * same way as pull).  0; FAAS_E_NOENT; -EINVAL no scheme. */
int fa_transport_by_url(struct fa_transport_row *ret, const char *url);

/* Do workers of this transport come through the dispatcher's door? */
bool fa_transport_at_door(const struct faas_transport_ops *ops);

extern const struct faas_transport_ops fa_transport_push, fa_transport_pull, fa_transport_local;

static inline struct faas_message *fa_message_of(struct fa_msg *m) {
        return (struct faas_message *)m;
}
static inline struct fa_msg *fa_message_in(struct faas_message *m) {
        return (struct fa_msg *)m;
}
