/*
 * zmq.c - messages over libzmq's sockets, and which peers are gone
 *
 * For inproc, and for addresses that must be looked up (push.c).  LISTEN is one ROUTER, CONNECT one
 * DEALER.  libzmq names each peer by five bytes, 0 and a number that it counts up: that is
 * the peer's number here, too.
 *
 * ZeroMQ does not say which peer is gone.  Its monitor says which descriptor was closed; that is
 * known to belong to a peer from the peer's first message; and a message that ROUTER_MANDATORY
 * refuses to take proves it.  So who had that descriptor is probed with a message of one empty
 * frame, which receivers drop; for some ms if need be, as libzmq's thread tells the monitor first.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zmq.h>

#include <faas/error.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/log.h"
#include "base/macros.h"
#include "transport/transport.h"
#include "transport/zown.h"
#include "transport/zpeers.h"
#include "transport/zsock.h"

#define ROUTING_ID_LEN 5
#define NUMBER_BIT (UINT64_C(1) << 32) /* so that no peer has number 0 */
/* A routing id, and one more than a message may have: who has too many is seen to have them. */
#define FRAMES_KEPT (FAAS_FRAMES_MAX + 2)
/* Larger frames are handed over, smaller ones copied: libzmq reads 8 KiB at a time, and a small
 * frame would keep all of it. */
#define COPY_MAX 4096
#define DROPS_MAX 64     /* messages that are read and dropped in one call */
#define MONITOR_EVERY 64 /* messages, under a flood */
#define TELL_NS                                                                                    \
        (100 * FA_NS_PER_MS)          /* a peer is told gone then, whatever a flood may still hide \
                                       */
#define REDIAL_NS (30 * FA_NS_PER_MS) /* after the connection broke */
#define RETRY_NS (5 * FA_NS_PER_MS)

struct faas_transport {
        const struct faas_transport_ops *how;
        struct fa_zsock z;
        enum faas_transport_end end;
        int broken;
        bool up, cut, say_up, say_down; /* CONNECT */
        struct fa_zpeers peers;         /* LISTEN */
        uint64_t redial_ns;             /* CONNECT: then the next attempt is made */
        uint64_t retry_ns;              /* send() was refused for want of room */
        unsigned since_monitor;
        bool warned_stranger, warned_full;
        struct fa_frames out; /* its array is used again */
        /* The last message that recv() brought. */
        zmq_msg_t in[FRAMES_KEPT];
        struct faas_frame frames[FRAMES_KEPT];
        size_t n_in;
};

static void drop_input(struct faas_transport *t) {
        while (t->n_in > 0)
                zmq_msg_close(&t->in[--t->n_in]);
}

static void zt_close(struct faas_transport *t) {
        const bool forked = t->z.pid != getpid();

        /* Frames may be shared with libzmq's thread by a count that only the opener may touch. */
        if (!forked)
                drop_input(t);
        fa_zsock_close(&t->z);
        fa_zpeers_deinit(&t->peers);
        fa_frames_deinit(&t->out);
        free(t);
}

static int zt_open(struct faas_transport **ret, const struct faas_transport_cfg *cfg) {
        struct faas_transport *t = calloc(1, sizeof(*t));
        int r;

        if (!t)
                return -ENOMEM;
        t->how = &fa_zmq;
        t->end = cfg->end;
        t->retry_ns = t->redial_ns = FA_NEVER;
        fa_zpeers_init(&t->peers);
        r = fa_zsock_open(&t->z, cfg);
        if (r) {
                free(t);
                return r;
        }
        t->say_up = t->z.inproc; /* there is no connection that could be awaited */
        *ret = t;
        return 0;
}

static int zt_fd(const struct faas_transport *t) {
        return t->z.epoll;
}

static const char *zt_url(const struct faas_transport *t) {
        return t->z.url;
}

static void put_id(uint8_t id[ROUTING_ID_LEN], uint64_t number) {
        id[0] = 0;
        for (size_t i = 1; i < ROUTING_ID_LEN; i++)
                id[i] = (uint8_t)(number >> 8 * (ROUTING_ID_LEN - 1 - i));
}

/* 0 for a peer that gave itself a name. */
static uint64_t number_of(zmq_msg_t *id) {
        const uint8_t *p = zmq_msg_data(id);
        uint64_t number = 0;

        if (zmq_msg_size(id) != ROUTING_ID_LEN || p[0] != 0)
                return 0;
        for (size_t i = 1; i < ROUTING_ID_LEN; i++)
                number = number << 8 | p[i];
        return number | NUMBER_BIT;
}

/* Reads one message with all its frames into t->in. 0; FAAS_E_AGAIN; < 0. */
static int read_frames(struct faas_transport *t) {
        bool more = true;

        assert(t->n_in == 0);
        while (more) {
                zmq_msg_t *m = &t->in[t->n_in];

                zmq_msg_init(m);
                if (zmq_msg_recv(m, t->z.sock, ZMQ_DONTWAIT) < 0) {
                        const int error = errno;
                        zmq_msg_close(m);
                        if (error == EINTR) /* also between two frames: the rest still comes */
                                continue;
                        if (error == EAGAIN)
                                return FAAS_E_AGAIN; /* then it is the first */
                        return fa_error(-error, "zmq_msg_recv: %s", zmq_strerror(error));
                }
                more = zmq_msg_more(m);
                /* The last place is read into again and again: what stands there is one too many
                 * in any case. */
                if (t->n_in + 1 < FRAMES_KEPT || !more)
                        t->n_in++;
                else
                        zmq_msg_close(m);
        }
        return 0;
}

static void release_frame(void *owner) {
        zmq_msg_close(owner);
        free(owner);
}

static void show_frame(struct faas_transport *t, struct faas_frame *f, zmq_msg_t *m) {
        zmq_msg_t *kept = NULL;

        if (zmq_msg_size(m) > COPY_MAX)
                kept = malloc(sizeof(*kept));
        if (kept) { /* without memory it is the library's turn to copy */
                zmq_msg_init(kept);
                zmq_msg_move(kept, m);
                m = kept;
        }
        *f = (struct faas_frame){
                .p = zmq_msg_data(m),
                .len = zmq_msg_size(m),
                .release = kept ? release_frame : NULL,
                .owner = kept,
        };
}

/* A peer's first message: remembers its connection. False: nobody listens to it. */
static bool meet(struct faas_transport *t, uint64_t number, int fd) {
        int r = fa_zpeers_add(&t->peers, number, fd, fa_now());

        if (r && !t->warned_full) {
                t->warned_full = true;
                fa_log(FAAS_LOG_WARNING, "%s: a new peer is not heard: %s", t->z.url,
                       r == FAAS_E_LIMIT ? "there are too many" : faas_strerror(r));
        }
        return r == 0;
}

/* Who sent what stands in t->in; false if nobody shall hear it. */
static bool admit(struct faas_transport *t, uint64_t *ret_peer) {
        const uint64_t number = number_of(&t->in[0]);
        const struct fa_zpeer *peer;

        if (!number || t->n_in < 2) {
                if (!number && !t->warned_stranger) {
                        t->warned_stranger = true;
                        fa_log(FAAS_LOG_WARNING, "%s: a peer that set a routing id is not heard",
                               t->z.url);
                }
                return false;
        }
        *ret_peer = number;
        peer = fa_zpeers_find(&t->peers, number);
        if (!peer)
                return meet(t, number, zmq_msg_get(&t->in[1], ZMQ_SRCFD));
        return peer->state != FA_ZPEER_TOLD;
}

/* The next message. 0 and *ret; FAAS_E_AGAIN: there is none; < 0. */
static int next_message(struct faas_transport *t, struct faas_transport_event *ret) {
        const size_t first = t->end == FAAS_TRANSPORT_LISTEN ? 1 : 0; /* behind the routing id */
        uint64_t peer = 0;
        int r;

        for (unsigned drops = 0; drops < DROPS_MAX; drops++) {
                drop_input(t);
                r = read_frames(t);
                if (r)
                        return r;
                if (first && !admit(t, &peer))
                        continue;
                if (t->n_in == first + 1 && zmq_msg_size(&t->in[first]) == 0)
                        continue; /* a probe */
                for (size_t i = first; i < t->n_in; i++)
                        show_frame(t, &t->frames[i - first], &t->in[i]);
                *ret = (struct faas_transport_event){
                        .kind = FAAS_TRANSPORT_MESSAGE,
                        .peer = peer,
                        .frames = t->frames,
                        .n_frames = t->n_in - first,
                };
                return 0;
        }
        return FAAS_E_AGAIN;
}

/* Sends one frame. 0, or the errno. */
static int put_frame(struct faas_transport *t, const void *p, size_t len, bool more) {
        const int flags = ZMQ_DONTWAIT | (more ? ZMQ_SNDMORE : 0);

        /* An interrupted call did nothing. */
        while (zmq_send(t->z.sock, p, len, flags) < 0)
                if (errno != EINTR)
                        return errno;
        return 0;
}

/* Sends the empty message.  True: the peer is gone. */
static bool probe(struct faas_transport *t, const struct fa_zpeer *peer) {
        uint8_t id[ROUTING_ID_LEN];
        int error;

        put_id(id, peer->number);
        error = put_frame(t, id, sizeof(id), true);
        if (!error) /* must go too: what is sent next would be taken for it */
                (void)put_frame(t, "", 0, false);
        return error == EHOSTUNREACH;
}

/* Probes whom it is time to probe. */
static void probe_suspects(struct faas_transport *t) {
        struct fa_list *it;
        struct fa_list *next;
        uint64_t now;

        if (fa_list_empty(&t->peers.suspects))
                return;
        now = fa_now();
        fa_zsock_settle(&t->z);
        fa_list_for_each_safe (it, next, &t->peers.suspects) {
                struct fa_zpeer *peer = fa_list_entry(it, struct fa_zpeer, link);

                if (peer->probe_ns > now)
                        continue;
                if (probe(t, peer))
                        fa_zpeers_lost(&t->peers, peer, now);
                else if (++peer->probes == FA_ZPEER_PROBES)
                        fa_zpeers_clear(&t->peers, peer); /* its descriptor was another's, too */
                else
                        peer->probe_ns = now + (FA_NS_PER_MS << (peer->probes - 1));
        }
}

/* CONNECT: an event of the monitor.  True: it is to be told before the next. */
static bool notice(struct faas_transport *t, unsigned event) {
        switch (event) {
        case ZMQ_EVENT_DISCONNECTED:
                /* What was read until then is handed over after this, and before the next. */
                t->cut = t->up;
                return false;
        case ZMQ_EVENT_CONNECT_RETRIED:
                t->say_down = t->cut;
                t->cut = false;
                return t->say_down;
        case ZMQ_EVENT_HANDSHAKE_SUCCEEDED:
                fa_zsock_settle(&t->z);
                t->say_up = true;
                return true;
        default:
                return false;
        }
}

/* What the monitor noticed. */
static void look_around(struct faas_transport *t) {
        const bool idle = t->redial_ns != FA_NEVER;
        unsigned event;
        int value;

        t->since_monitor = 0;
        while ((event = fa_zsock_event(&t->z, &value))) {
                if (idle) {
                        continue; /* it is of the connection that was hung up */
                } else if (t->end == FAAS_TRANSPORT_CONNECT) {
                        if (notice(t, event))
                                return;
                } else if (event == ZMQ_EVENT_DISCONNECTED) {
                        fa_zpeers_suspect(&t->peers, value, fa_now());
                }
        }
        if (t->end == FAAS_TRANSPORT_LISTEN)
                probe_suspects(t);
}

/* An event other than a message, if there is one.  drained: no message waits. */
static bool tell(struct faas_transport *t, bool drained, struct faas_transport_event *ret) {
        struct fa_zpeer *peer;

        if (t->say_up || t->say_down) {
                t->up = t->say_up;
                t->say_up = t->say_down = false;
                *ret = (struct faas_transport_event){.kind = t->up ? FAAS_TRANSPORT_UP
                                                                   : FAAS_TRANSPORT_DOWN};
                if (!t->up) {
                        fa_zsock_hang_up(&t->z);
                        t->redial_ns = fa_now() + REDIAL_NS;
                }
                return true;
        }
        if (drained)
                fa_zpeers_forget(&t->peers);
        peer = fa_zpeers_gone(&t->peers);
        if (!peer || (!drained && fa_now() < peer->gone_ns + TELL_NS))
                return false;
        *ret = (struct faas_transport_event){.kind = FAAS_TRANSPORT_DOWN, .peer = peer->number};
        fa_zpeers_told(&t->peers, peer);
        return true;
}

/* Connects again if it is time to. */
static int redial(struct faas_transport *t) {
        int value;

        if (t->redial_ns == FA_NEVER || fa_now() < t->redial_ns)
                return 0;
        t->redial_ns = FA_NEVER;
        while (fa_zsock_event(&t->z, &value))
                continue;
        return fa_zsock_redial(&t->z);
}

static int zt_recv(struct faas_transport *t, struct faas_transport_event *ret) {
        int r;

        if (t->broken)
                return t->broken;
        t->retry_ns = FA_NEVER;
        t->broken = redial(t);
        if (t->broken)
                return t->broken;
        if (++t->since_monitor >= MONITOR_EVERY) {
                look_around(t);
                if (tell(t, false, ret))
                        return 0;
        }
        for (;;) {
                r = next_message(t, ret);
                if (r == 0)
                        return 0;
                if (r != FAAS_E_AGAIN)
                        return t->broken = r;
                /* What a peer still said is read before it is told gone. */
                if (tell(t, true, ret))
                        return 0;
                look_around(t);
                if (!t->say_up && !t->say_down && !fa_zpeers_gone(&t->peers))
                        return FAAS_E_AGAIN;
        }
}

static uint64_t zt_deadline(const struct faas_transport *t) {
        const struct fa_zpeers *p = &t->peers;
        uint64_t at = FA_MIN(t->retry_ns, t->redial_ns);

        if (t->say_up || t->say_down || fa_zpeers_gone(p) || fa_zsock_readable(&t->z) ||
            fa_zsock_noticed(&t->z))
                return 0;
        for (struct fa_list *it = p->suspects.next; it != &p->suspects; it = it->next)
                at = FA_MIN(at, fa_list_entry(it, struct fa_zpeer, link)->probe_ns);
        return at;
}

/* FAAS_E_AGAIN, and when to try again: a signal of the socket may have been taken by another call.
 */
static int no_room(struct faas_transport *t) {
        t->retry_ns = fa_now() + RETRY_NS;
        return FAAS_E_AGAIN;
}

/* The first frame decides: once it is taken, so is the rest. */
static int put_first(struct faas_transport *t, uint64_t peer, const struct fa_frames *f) {
        uint8_t id[ROUTING_ID_LEN];

        if (t->end == FAAS_TRANSPORT_CONNECT)
                return put_frame(t, f->v[0]->p, f->v[0]->len, f->n > 1);
        put_id(id, peer);
        return put_frame(t, id, sizeof(id), true);
}

static int put_message(struct faas_transport *t, uint64_t peer, const struct fa_frames *f) {
        int error = put_first(t, peer, f);

        if (error == EAGAIN) { /* libzmq may not have looked what its thread did */
                fa_zsock_settle(&t->z);
                error = put_first(t, peer, f);
        }
        if (error)
                return error;
        for (size_t i = t->end == FAAS_TRANSPORT_CONNECT ? 1 : 0; !error && i < f->n; i++)
                error = put_frame(t, f->v[i]->p, f->v[i]->len, i + 1 < f->n);
        /* Without memory: it ends here, or the next would be taken for the rest of it. */
        if (error)
                (void)put_frame(t, "", 0, false);
        return error;
}

static int find_peer(struct faas_transport *t, uint64_t number, struct fa_zpeer **ret) {
        *ret = NULL;
        if (t->end == FAAS_TRANSPORT_CONNECT)
                return number == 0 && t->up ? 0 : FAAS_E_GONE;
        *ret = fa_zpeers_find(&t->peers, number);
        return *ret && (*ret)->state == FA_ZPEER_LIVES ? 0 : FAAS_E_GONE;
}

static int zt_send(struct faas_transport *t, uint64_t number, struct faas_message *m) {
        struct fa_zpeer *peer;
        int r;

        if (t->broken)
                return t->broken;
        r = find_peer(t, number, &peer);
        if (r)
                return r;
        r = fa_msg_encode(fa_message_in(m), &t->out);
        if (r < 0)
                return no_room(t); /* of memory */
        if (r) {
                /* It never will fit. */
                fa_log(FAAS_LOG_ERROR, "%s: a message is dropped: %s", t->z.url, faas_error_text());
                faas_message_free(m);
                return 0;
        }
        r = put_message(t, number, &t->out);
        fa_frames_clear(&t->out);
        switch (r) {
        case 0:
                faas_message_free(m);
                return 0;
        case EAGAIN:
        case ENOMEM:
                return no_room(t);
        case EHOSTUNREACH:
                if (peer)
                        fa_zpeers_lost(&t->peers, peer, fa_now());
                return FAAS_E_GONE;
        default:
                return t->broken = fa_error(-r, "zmq_send: %s", zmq_strerror(r));
        }
}

const struct faas_transport_ops fa_zmq = {
        .struct_size = sizeof(struct faas_transport_ops),
        .version = FAAS_TRANSPORT_VERSION,
        .name = "zmq",
        .open = zt_open,
        .close = zt_close,
        .fd = zt_fd,
        .recv = zt_recv,
        .send = zt_send,
        .deadline = zt_deadline,
        .url = zt_url,
};
