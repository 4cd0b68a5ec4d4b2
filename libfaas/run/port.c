/*
 * port.c - one open transport, seen as messages
 *
 * Reading: frames become blobs, blobs a message, checked against the role that its sender has said
 * in HELLO.  Writing: what finds no room waits here in its order, bounded; beyond that it is
 * dropped, and the protocol's counts find out.
 */
#include "run/port.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/list.h"
#include "base/log.h"
#include "base/macros.h"
#include "base/map.h"

#define PARKED_MAX 16384                  /* messages that wait for room */
#define PARKED_BYTES (UINT64_C(64) << 20) /* and their payloads; one message always may */
/* Room is not announced: it is tried again, the less often the longer there is none. */
#define RETRY_MIN_NS FA_NS_PER_MS
#define RETRY_MAX_NS (64 * FA_NS_PER_MS)
#define BLOCKED_MAX 64        /* peers without room that one pass goes round */
#define REFUSE_NS FA_NS_PER_S /* a peer is told what it did wrong so often */

/* What is known of the peer behind a number: until it is gone. */
struct peer {
        struct fa_map_node node;
        uint64_t refused_ns; /* when it was last told so */
        uint32_t n_parked;
        uint8_t role; /* _FA_ROLE_N: it has not said */
};

struct parked {
        struct fa_list link;
        struct peer *peer;
        uint64_t to;
        struct fa_msg *msg;
        size_t bytes;
};

struct fa_port {
        const struct faas_transport_ops *ops;
        struct faas_transport *t;
        uint64_t base; /* of the peers' numbers */
        bool connects;
        struct fa_map peers; /* LISTEN; CONNECT: the one, if something waits for it */
        struct fa_list parked;
        size_t n_parked;
        uint64_t parked_bytes, retry_ns, pause_ns;
        struct fa_frames frames;  /* of the message being read */
        struct fa_msg_pool *pool; /* of those that were read */
        struct fa_port_stats stats;
        struct fa_log_rate log;
};

/* ---- peers ---- */

static struct faas_id key_of(uint64_t peer) {
        struct faas_id id = {{0}};

        memcpy(id.b, &peer, sizeof(peer));
        return id;
}

/* NULL: no memory, or too many. */
static struct peer *peer_get(struct fa_port *p, uint64_t number) {
        struct faas_id key = key_of(number);
        struct peer *peer = fa_map_find(&p->peers, &key);

        if (peer)
                return peer;
        if (p->peers.n >= FA_PEERS_MAX)
                return NULL;
        peer = fa_map_add(&p->peers, &key);
        if (peer)
                peer->role = _FA_ROLE_N;
        return peer;
}

static void unpark(struct fa_port *p, struct parked *w) {
        fa_list_remove(&w->link);
        w->peer->n_parked--;
        p->n_parked--;
        p->parked_bytes -= w->bytes;
        fa_msg_free(w->msg);
        free(w);
}

/* It is gone, and what waited for it too. */
static void peer_gone(struct fa_port *p, uint64_t number) {
        struct faas_id key = key_of(number);
        struct peer *peer = fa_map_find(&p->peers, &key);
        struct fa_list *it;
        struct fa_list *tmp;

        if (!peer)
                return;
        if (peer->n_parked) {
                fa_list_for_each_safe (it, tmp, &p->parked) {
                        struct parked *w = fa_list_entry(it, struct parked, link);
                        if (w->peer == peer)
                                unpark(p, w);
                }
        }
        fa_map_remove(&p->peers, &peer->node);
}

/* ---- writing ---- */

static size_t payload_bytes(const struct fa_msg *m) {
        size_t n = 0;

        for (uint32_t i = 0; i < m->n_items; i++)
                n += fa_blob_len(m->items[i].payload);
        return n;
}

/* Not by looking through what waits: who does not read makes that long, and slow for all. */
static bool waits(const struct fa_port *p, uint64_t number) {
        struct faas_id key = key_of(number);
        const struct peer *peer = fa_map_find(&p->peers, &key);

        return peer && peer->n_parked;
}

static void drop(struct fa_port *p, struct fa_msg *m) {
        p->stats.dropped++;
        fa_msg_free(m);
}

static void park(struct fa_port *p, uint64_t number, struct fa_msg *m, uint64_t now_ns) {
        size_t bytes = payload_bytes(m);
        struct peer *peer;
        struct parked *w;

        if (p->n_parked && (p->n_parked >= PARKED_MAX || p->parked_bytes + bytes > PARKED_BYTES)) {
                drop(p, m);
                return;
        }
        peer = peer_get(p, number);
        w = peer ? malloc(sizeof(*w)) : NULL;
        if (!w) {
                drop(p, m);
                return;
        }
        if (!p->n_parked) {
                p->pause_ns = RETRY_MIN_NS;
                p->retry_ns = now_ns + p->pause_ns;
        }
        *w = (struct parked){.peer = peer, .to = number, .msg = m, .bytes = bytes};
        fa_list_push_back(&p->parked, &w->link);
        peer->n_parked++;
        p->n_parked++;
        p->parked_bytes += bytes;
}

void fa_port_send(struct fa_port *p, uint64_t peer, struct fa_msg *m, uint64_t now_ns) {
        uint64_t number = peer - p->base;
        int r;

        if (p->n_parked && waits(p, number)) {
                park(p, number, m, now_ns);
                return;
        }
        r = p->ops->send(p->t, number, fa_message_of(m));
        if (r == FAAS_E_AGAIN)
                park(p, number, m, now_ns);
        else if (r)
                drop(p, m);
}

/* Did any find room? */
static bool retry(struct fa_port *p) {
        uint64_t blocked[BLOCKED_MAX];
        size_t n_blocked = 0;
        bool any = false;
        struct fa_list *it;
        struct fa_list *tmp;

        fa_list_for_each_safe (it, tmp, &p->parked) {
                struct parked *w = fa_list_entry(it, struct parked, link);
                size_t i = 0;
                int r;

                while (i < n_blocked && blocked[i] != w->to)
                        i++;
                if (i < n_blocked)
                        continue; /* those before it wait too */
                r = p->ops->send(p->t, w->to, fa_message_of(w->msg));
                if (r == FAAS_E_AGAIN) {
                        if (n_blocked == BLOCKED_MAX)
                                break;
                        blocked[n_blocked++] = w->to;
                        continue;
                }
                if (r)
                        p->stats.dropped++;
                else
                        w->msg = NULL;
                unpark(p, w);
                any = true;
        }
        return any;
}

void fa_port_flush(struct fa_port *p, uint64_t now_ns) {
        if (p->n_parked && now_ns >= p->retry_ns) {
                p->pause_ns = retry(p) ? RETRY_MIN_NS : FA_MIN(p->pause_ns * 2, RETRY_MAX_NS);
                p->retry_ns = now_ns + p->pause_ns;
        }
        if (p->ops->flush)
                p->ops->flush(p->t);
}

/* ---- reading ---- */

/*
 * The envelope stays where the transport has it: a message is done with before the transport is
 * called again.  So do frames of which only copies are kept, as the codec does with small payloads.
 */
static int take_frame(const struct faas_frame *f, size_t i, struct fa_blob **ret) {
        if (f->release || i == 0 || f->len <= FA_INLINE_MAX)
                return fa_blob_wrap(ret, f->p, f->len, f->release, f->owner);
        return fa_blob_new(ret, f->p, f->len);
}

/* Takes over the transport's frames, in any case. */
static int take_frames(struct fa_port *p, const struct faas_transport_event *te) {
        int r = te->n_frames && te->n_frames <= FAAS_FRAMES_MAX
                        ? 0
                        : fa_error(FAAS_E_PROTO, "%zu frames; expected 1 to %u", te->n_frames,
                                   FAAS_FRAMES_MAX);

        for (size_t i = 0; i < te->n_frames; i++) {
                const struct faas_frame *f = &te->frames[i];
                struct fa_blob *b = NULL;

                if (r == 0) /* else one before it was refused already */
                        r = take_frame(f, i, &b);
                if (r) {
                        if (f->release)
                                f->release(f->owner);
                } else if (fa_frames_push(&p->frames, b)) {
                        fa_blob_unref(b);
                        r = -ENOMEM;
                }
        }
        return r;
}

/* One that has not said HELLO on this connection may be either: the machine asks it to. */
static int decode(struct fa_port *p, const struct peer *peer, struct fa_msg **ret) {
        int r;

        if (p->connects)
                return fa_msg_decode_into(ret, p->pool, &p->frames, FA_ROLE_DISPATCHER, NULL);
        if (peer->role < _FA_ROLE_N)
                return fa_msg_decode_into(ret, p->pool, &p->frames, (enum fa_role)peer->role, NULL);
        r = fa_msg_decode_into(ret, p->pool, &p->frames, FA_ROLE_CLIENT, NULL);
        if (r == FAAS_E_PROTO)
                r = fa_msg_decode_into(ret, p->pool, &p->frames, FA_ROLE_WORKER, NULL);
        return r;
}

/* A DISCONNECT that says what was wrong. */
static struct fa_msg *refusal(int reason, const char *text) {
        struct fa_msg *m;

        if (fa_msg_new(&m, FA_MSG_DISCONNECT))
                return NULL;
        m->reason = (uint8_t)reason;
        if (fa_blob_new(&m->envelope, text, strnlen(text, FA_TEXT_MAX)) == 0)
                m->text = (struct fa_slice){fa_blob_ptr(m->envelope), fa_blob_len(m->envelope)};
        return m;
}

void fa_port_refuse(struct fa_port *p,
                    uint64_t peer,
                    int reason,
                    const char *text,
                    uint64_t now_ns) {
        struct peer *known = peer_get(p, peer - p->base);
        struct fa_msg *m;

        if (!known || (known->refused_ns && now_ns < known->refused_ns + REFUSE_NS))
                return;
        known->refused_ns = now_ns;
        m = refusal(reason, text);
        if (m)
                fa_port_send(p, peer, m, now_ns);
}

/* What the bytes of one message come to: 0 and ret->msg, or FAAS_E_PROTO: it was refused. */
static int read_bytes(struct fa_port *p,
                      const struct faas_transport_event *te,
                      struct fa_event *ret,
                      uint64_t now_ns) {
        struct peer *peer = p->connects ? NULL : peer_get(p, te->peer);
        int r = take_frames(p, te);

        if (r == 0)
                r = p->connects || peer ? decode(p, peer, &ret->msg) : -ENOMEM;
        fa_frames_clear(&p->frames);
        if (r == 0) {
                if (peer && ret->msg->type == FA_MSG_HELLO)
                        peer->role = ret->msg->role;
                return 0;
        }
        if (r < 0) {
                p->stats.dropped++; /* no memory: as if it had been lost */
                return FAAS_E_PROTO;
        }
        p->stats.bad++;
        if (fa_log_rate(&p->log, FAAS_LOG_WARNING, now_ns))
                fa_log(FAAS_LOG_WARNING, "a message of peer %llx is refused: %s",
                       (unsigned long long)ret->peer, faas_error_text());
        if (!p->connects) {
                fa_port_refuse(p, ret->peer, r, faas_error_text(), now_ns);
                return FAAS_E_PROTO;
        }
        /* A dispatcher of another version: the machine must know why nothing goes. */
        ret->msg = r == FAAS_E_VERSION ? refusal(r, faas_error_text()) : NULL;
        return ret->msg ? 0 : FAAS_E_PROTO;
}

/* What is wrong with a peer's bytes is no error of the call in which they are read. */
static int read_aside(struct fa_port *p,
                      const struct faas_transport_event *te,
                      struct fa_event *ret,
                      uint64_t now_ns) {
        int r;

        fa_error_aside(true);
        r = read_bytes(p, te, ret, now_ns);
        fa_error_aside(false);
        return r;
}

int fa_port_recv(struct fa_port *p, struct fa_event *ret, uint64_t now_ns) {
        struct faas_transport_event te = {.peer = 0};
        int r = p->ops->recv(p->t, &te);

        if (r)
                return r;
        *ret = (struct fa_event){.kind = FA_EV_MSG, .peer = p->base + te.peer};
        switch (te.kind) {
        case FAAS_TRANSPORT_UP:
                ret->kind = FA_EV_PEER_UP;
                return 0;
        case FAAS_TRANSPORT_DOWN:
                ret->kind = FA_EV_PEER_DOWN;
                peer_gone(p, te.peer);
                return 0;
        default:
                ret->msg = te.message ? fa_message_in(te.message) : NULL;
                if (!ret->msg)
                        r = read_aside(p, &te, ret, now_ns);
                if (r == 0 && ret->msg->type == FA_MSG_DISCONNECT && !p->connects)
                        peer_gone(p, te.peer);
                return r;
        }
}

/* ---- its life ---- */

int fa_port_fd(const struct fa_port *p) {
        return p->ops->fd(p->t);
}

uint64_t fa_port_deadline(const struct fa_port *p) {
        uint64_t at = p->ops->deadline ? p->ops->deadline(p->t) : FA_NEVER;

        return p->n_parked ? FA_MIN(at, p->retry_ns) : at;
}

const char *fa_port_url(const struct fa_port *p) {
        return p->ops->url ? p->ops->url(p->t) : NULL;
}

void fa_port_stats(const struct fa_port *p, struct fa_port_stats *ret) {
        *ret = p->stats;
}

struct fa_port *fa_port_close(struct fa_port *p) {
        if (!p)
                return NULL;
        if (p->t)
                p->ops->close(p->t);
        while (!fa_list_empty(&p->parked))
                unpark(p, fa_list_entry(fa_list_first(&p->parked), struct parked, link));
        fa_map_deinit(&p->peers);
        fa_frames_deinit(&p->frames);
        fa_msg_pool_close(p->pool);
        free(p);
        return NULL;
}

int fa_port_open(struct fa_port **ret,
                 const struct fa_transport_row *row,
                 const struct faas_transport_cfg *cfg,
                 unsigned index) {
        struct faas_transport_cfg full = *cfg;
        struct fa_port *p = calloc(1, sizeof(*p));
        int r;

        if (!p)
                return -ENOMEM;
        full.struct_size = sizeof(full);
        full.userdata = row->userdata;
        p->ops = row->ops;
        p->base = (uint64_t)(index + 1) << 56;
        p->connects = cfg->end == FAAS_TRANSPORT_CONNECT;
        fa_list_init(&p->parked);
        fa_map_init(&p->peers, p->base ^ (uintptr_t)p, sizeof(struct peer));
        r = fa_msg_pool_new(&p->pool);
        if (r == 0)
                r = row->ops->open(&p->t, &full);
        if (r) {
                fa_port_close(p);
                return r;
        }
        *ret = p;
        return 0;
}
