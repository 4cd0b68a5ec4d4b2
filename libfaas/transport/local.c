/*
 * local.c - the transport "local": one worker in the dispatcher's own process
 *
 * There is no connecting end: the worker is in here, machine and slots, and gets the dispatcher's
 * messages as they are.  To the dispatcher it is a peer like any other, number 1.
 */
#include <errno.h>
#include <stdlib.h>

#include <faas/error.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/macros.h"
#include "transport/crew.h"
#include "transport/transport.h"

enum { PEER = 1, LINK = 0 }; /* the worker to the dispatcher; the dispatcher to the worker */

struct faas_transport {
        struct fa_crew *crew;
        bool more; /* the slots have more events than one look takes */
};

static void local_close(struct faas_transport *t) {
        fa_crew_close(t->crew);
        free(t);
}

static int local_open(struct faas_transport **ret, const struct faas_transport_cfg *cfg) {
        const struct fa_crew_cfg crew = {
                .slots = {.n_slots = cfg->n_slots,
                          .functions = cfg->functions,
                          .modules = cfg->modules,
                          .builtins = cfg->flags & FAAS_CLIENT_BUILTINS},
                .name = "local",
        };
        struct faas_transport *t;
        int r;

        if (cfg->end != FAAS_TRANSPORT_LISTEN)
                return fa_error(-EINVAL, "workers cannot connect by \"local\": it has its own");
        t = calloc(1, sizeof(*t));
        if (!t)
                return -ENOMEM;
        r = fa_crew_open(&t->crew, &crew);
        if (r == 0)
                r = fa_work_connect(fa_crew_work(t->crew), LINK, fa_now());
        if (r) {
                local_close(t);
                return r;
        }
        *ret = t;
        return 0;
}

static int local_fd(const struct faas_transport *t) {
        return fa_crew_fd(t->crew);
}

/* The slots are looked at when the machine has nothing more to say. */
static int local_recv(struct faas_transport *t, struct faas_transport_event *ret) {
        struct fa_outbox *o = fa_work_outbox(fa_crew_work(t->crew));
        struct fa_msg *m;
        uint64_t to;

        if (fa_outbox_empty(o)) {
                uint64_t now_ns = fa_now();
                int r = fa_crew_read(t->crew, now_ns);
                if (r < 0)
                        return r;
                t->more = r == FAAS_E_AGAIN;
                fa_crew_tick(t->crew, now_ns);
        }
        if (!fa_outbox_pop(o, &to, &m))
                return FAAS_E_AGAIN;
        *ret = (struct faas_transport_event){
                .kind = FAAS_TRANSPORT_MESSAGE, .peer = PEER, .message = fa_message_of(m)};
        return 0;
}

static int local_send(struct faas_transport *t, uint64_t peer, struct faas_message *message) {
        struct fa_msg *m = fa_message_in(message);
        const struct fa_event ev = {.kind = FA_EV_MSG, .peer = LINK, .msg = m};

        if (peer != PEER)
                return FAAS_E_GONE;
        fa_crew_input(t->crew, &ev, fa_now());
        fa_msg_free(m);
        return 0;
}

static void local_flush(struct faas_transport *t) {
        fa_crew_flush(t->crew);
}

static uint64_t local_deadline(const struct faas_transport *t) {
        if (t->more || !fa_outbox_empty(fa_work_outbox(fa_crew_work(t->crew))))
                return 0;
        return fa_crew_deadline(t->crew);
}

const struct faas_transport_ops fa_transport_local = {
        .struct_size = sizeof(struct faas_transport_ops),
        .version = FAAS_TRANSPORT_VERSION,
        .name = "local",
        .credit = FAAS_CREDIT_AHEAD,
        .open = local_open,
        .close = local_close,
        .fd = local_fd,
        .recv = local_recv,
        .send = local_send,
        .flush = local_flush,
        .deadline = local_deadline,
};
