/*
 * outbox.h - the messages that a machine wants sent, gathered into batches per receiver
 *
 * A machine adds items; as long as the last message to a receiver is of the same kind and has room,
 * the item joins it, so whatever gathers in one turn travels together and nobody waits for a batch
 * to fill.  The order per receiver is kept.  The shell pops messages and sends them.
 *
 * Lack of memory loses the message, as a network would: the protocol recovers from that, and
 * fa_outbox.lost counts it.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "wire/msg.h"

/* One receiver, embedded in whoever represents it; zeroed but for .to at the start. */
struct fa_lane {
        uint64_t to;         /* the shell's number of the peer */
        struct fa_msg *open; /* last message to it, while it is still in the outbox */
        uint64_t turn;       /* of the outbox when open was set: stale afterwards */
        size_t bytes;        /* of payload in open */
        size_t envelope;     /* bytes that its envelope takes at most */
};

struct fa_outbox {
        struct fa_out {
                uint64_t to;
                struct fa_msg *msg;
        } * v;
        size_t head, n, cap; /* v[head..n) waits */
        uint64_t turn;
        uint64_t lost;
        struct fa_msg_pool *pool; /* of the messages; NULL until the first */
};

void fa_outbox_init(struct fa_outbox *o);
void fa_outbox_deinit(struct fa_outbox *o);

/* A new message to the lane, to be filled in at once; NULL: no memory, counted as lost. */
struct fa_msg *fa_outbox_msg(struct fa_outbox *o, struct fa_lane *l, enum fa_msg_type type);

/* The same with this header, for items. */
struct fa_msg *fa_outbox_batch(struct fa_outbox *o,
                               struct fa_lane *l,
                               enum fa_msg_type type,
                               uint64_t epoch,
                               uint64_t session);

/* An item without texts: id 18, fence 28, function and queue 66 each, digest 34, numbers 38. */
#define FA_OUTBOX_ITEM_MAX 250
#define FA_OUTBOX_ENVELOPE (FA_ENVELOPE_MAX - 512) /* less a header */

/*
 * Room for one item in a message of this type with this header (.epoch, .session): the open one or
 * a new one; *ret_msg is the message.  payload_len is the item's payload, text_len its text and
 * log. NULL: no memory, counted.  Here, as a call would cost more than it does.
 */
/* NOLINTNEXTLINE(readability-function-size): a struct of them would be filled for one call */
static inline struct fa_item *fa_outbox_item(struct fa_outbox *o,
                                             struct fa_lane *l,
                                             enum fa_msg_type type,
                                             uint64_t epoch,
                                             uint64_t session,
                                             size_t payload_len,
                                             size_t text_len,
                                             struct fa_msg **ret_msg) {
        const size_t envelope = FA_OUTBOX_ITEM_MAX + text_len;
        struct fa_msg *m = l->open;
        struct fa_item *it;

        if (l->turn != o->turn || m->type != type || m->epoch != epoch || m->session != session ||
            m->n_items == FA_BATCH_MAX || l->envelope + envelope > FA_OUTBOX_ENVELOPE ||
            (m->n_items && l->bytes + payload_len > FA_BATCH_BYTES)) {
                m = fa_outbox_batch(o, l, type, epoch, session);
                if (!m)
                        return NULL;
        }
        it = fa_msg_add(m);
        if (!it) {
                o->lost++;
                return NULL;
        }
        l->bytes += payload_len;
        l->envelope += envelope;
        if (ret_msg)
                *ret_msg = m;
        return it;
}

/* The oldest message, to be given back with fa_msg_free(); false: none left (and all lanes' batches
 * are closed). */
bool fa_outbox_pop(struct fa_outbox *o, uint64_t *ret_to, struct fa_msg **ret);

static inline bool fa_outbox_empty(const struct fa_outbox *o) {
        return o->head == o->n;
}
