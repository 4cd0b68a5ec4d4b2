/*
 * outbox.c - a queue of messages with batches per receiver
 *
 * Once anything was popped, every open batch is closed (the turn number moves on): a message that
 * the shell holds must not change any more.
 */
#include "model/outbox.h"

#include <stdlib.h>

void fa_outbox_init(struct fa_outbox *o) {
        *o = (struct fa_outbox){.turn = 1};
}

void fa_outbox_deinit(struct fa_outbox *o) {
        for (size_t i = o->head; i < o->n; i++)
                fa_msg_free(o->v[i].msg);
        free(o->v);
        fa_msg_pool_close(o->pool);
        fa_outbox_init(o);
}

static bool push(struct fa_outbox *o, uint64_t to, struct fa_msg *m) {
        if (o->n == o->cap) {
                size_t cap = o->cap ? o->cap * 2 : 16;
                struct fa_out *v = realloc(o->v, cap * sizeof(*v));

                if (!v)
                        return false;
                o->v = v;
                o->cap = cap;
        }
        o->v[o->n++] = (struct fa_out){to, m};
        return true;
}

struct fa_msg *fa_outbox_msg(struct fa_outbox *o, struct fa_lane *l, enum fa_msg_type type) {
        struct fa_msg *m;

        if ((!o->pool && fa_msg_pool_new(&o->pool)) || fa_msg_take(&m, o->pool, type)) {
                o->lost++;
                return NULL;
        }
        if (!push(o, l->to, m)) {
                fa_msg_free(m);
                o->lost++;
                return NULL;
        }
        l->open = m;
        l->turn = o->turn;
        l->bytes = 0;
        l->envelope = 0;
        return m;
}

struct fa_msg *fa_outbox_batch(struct fa_outbox *o,
                               struct fa_lane *l,
                               enum fa_msg_type type,
                               uint64_t epoch,
                               uint64_t session) {
        struct fa_msg *m = fa_outbox_msg(o, l, type);

        if (m) {
                m->epoch = epoch;
                m->session = session;
        }
        return m;
}

bool fa_outbox_pop(struct fa_outbox *o, uint64_t *ret_to, struct fa_msg **ret) {
        o->turn++;
        if (o->head == o->n) {
                o->head = o->n = 0;
                return false;
        }
        *ret_to = o->v[o->head].to;
        *ret = o->v[o->head++].msg;
        return true;
}
