/*
 * custom-transport.c - a transport of your own: "pipes", Unix sockets that carry whole packets
 *
 * It is made from the public headers alone and does what faas/transport.h asks for, both ends in
 * one file; libfaas's own tests run it through the same suite as push and pull.  URLs look like
 * unix:///run/faas.pipe.
 *
 * A message travels as packets of at most 64 KiB (SOCK_SEQPACKET: the kernel keeps their bounds,
 * and their order).  The first byte of each says what it is: part of a frame, the end of a frame,
 * or the end of the message.  The rest is the frame's bytes.
 *
 * Everything hangs on one epoll descriptor, which is what fd() gives: it is level-triggered, so
 * deadline() is only needed where nothing in the kernel tells us (a dispatcher that is not there).
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include <faas/error.h>
#include <faas/transport.h>

#include "custom-transport.h"

enum { PART, FRAME_END, MESSAGE_END };

#define PACKET 65536
#define MESSAGE_MAX (8u << 20)         /* bytes of one message: more is no message of ours */
#define WAITING_MAX (4u << 20)         /* bytes that wait for a peer; then it has no room */
#define REDIAL_NS (UINT64_C(30000000)) /* between two attempts to connect */
#define NEVER UINT64_MAX

/* Bytes in the order in which they came; the first `at` of them are done with. */
struct bytes {
        char *p;
        size_t at, len, cap;
};

/* One connection: the dispatcher's to a peer, or a peer's to the dispatcher. */
struct link {
        struct link *next;
        uint64_t number;
        int fd;
        int heard;       /* it sent a message: only then its end is news */
        int blocked;     /* the kernel takes no more just now */
        struct bytes in; /* the frames of the message that is arriving, end to end */
        size_t ends[FAAS_FRAMES_MAX + 1]; /* where each of them ends */
        size_t n_ends;
        struct bytes out; /* packets that wait: size_t, then so many bytes */
};

struct faas_transport {
        enum faas_transport_end end;
        pid_t pid; /* who opened it: a fork of it shares the descriptors, and only closes its own */
        int epoll, listener;
        struct sockaddr_un addr;
        struct link *links;
        uint64_t last_number;
        uint64_t redial_ns; /* CONNECT: the next attempt; NEVER: connected */
        int say_up;
        struct link *shown; /* whose message recv() brought last: its bytes are given up then */
        struct faas_frame frames[FAAS_FRAMES_MAX + 1];
};

static uint64_t now_ns(void) {
        struct timespec ts;

        clock_gettime(CLOCK_MONOTONIC, &ts);
        return (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec;
}

/* Room for n more bytes behind what is there; NULL without memory. */
static char *grow(struct bytes *b, size_t n) {
        if (b->at == b->len)
                b->at = b->len = 0;
        if (b->len + n > b->cap) {
                size_t cap = (b->len + n) * 2;
                char *p = realloc(b->p, cap);
                if (!p)
                        return NULL;
                b->p = p;
                b->cap = cap;
        }
        return b->p + b->len;
}

/* What the descriptor is watched for: input, and room as long as something waits. */
static int watch(struct faas_transport *t, struct link *l, int op) {
        struct epoll_event ev = {.events = EPOLLIN | (l->blocked ? EPOLLOUT : 0), .data.ptr = l};

        return epoll_ctl(t->epoll, op, l->fd, &ev);
}

static struct link *add_link(struct faas_transport *t, int fd) {
        struct link *l = calloc(1, sizeof(*l));

        if (l)
                l->fd = fd;
        if (!l || watch(t, l, EPOLL_CTL_ADD) < 0) {
                free(l);
                close(fd);
                return NULL;
        }
        l->number = t->end == FAAS_TRANSPORT_LISTEN ? ++t->last_number : 0;
        l->next = t->links;
        t->links = l;
        return l;
}

static void free_link(struct faas_transport *t, struct link *l) {
        struct link **at = &t->links;

        while (*at != l)
                at = &(*at)->next;
        *at = l->next;
        if (t->shown == l)
                t->shown = NULL;
        close(l->fd); /* epoll forgets it, too */
        free(l->in.p);
        free(l->out.p);
        free(l);
}

/* Begins to listen. */
static int listen_at(struct faas_transport *t, const char *url) {
        struct epoll_event ev = {.events = EPOLLIN};
        const struct sockaddr *sa = (const struct sockaddr *)&t->addr;
        int r = 0;

        t->listener = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        if (t->listener < 0)
                return faas_transport_error(-errno, "no socket for %s", url);
        if (bind(t->listener, sa, sizeof(t->addr)) < 0)
                r = faas_transport_error(-errno, "%s: %s", url, strerror(errno));
        else if (listen(t->listener, 1024) < 0 ||
                 epoll_ctl(t->epoll, EPOLL_CTL_ADD, t->listener, &ev) < 0) {
                r = faas_transport_error(-errno, "cannot listen at %s", url);
                unlink(t->addr.sun_path);
        }
        if (r) {
                close(t->listener);
                t->listener = -1; /* its file is somebody else's */
        }
        return r;
}

/* One attempt to connect; if it fails, the next comes after a while. */
static void dial(struct faas_transport *t) {
        const struct sockaddr *sa = (const struct sockaddr *)&t->addr;
        int fd = socket(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

        t->redial_ns = now_ns() + REDIAL_NS;
        if (fd < 0)
                return;
        if (connect(fd, sa, sizeof(t->addr)) < 0) {
                close(fd);
        } else if (add_link(t, fd)) {
                t->redial_ns = NEVER;
                t->say_up = 1;
        }
}

/* Sends what waits, as far as the kernel takes it. */
static void push_out(struct faas_transport *t, struct link *l) {
        int blocked = 0;

        while (l->out.at < l->out.len) {
                size_t n;

                memcpy(&n, l->out.p + l->out.at, sizeof(n));
                if (send(l->fd, l->out.p + l->out.at + sizeof(n), n, MSG_NOSIGNAL) < 0) {
                        blocked = errno == EAGAIN || errno == ENOBUFS || errno == EINTR;
                        /* The peer is gone.  take_packet() finds that, after what it still said. */
                        if (!blocked)
                                l->out.at = l->out.len;
                        break;
                }
                l->out.at += sizeof(n) + n;
        }
        if (blocked != l->blocked) {
                l->blocked = blocked;
                (void)watch(t, l, EPOLL_CTL_MOD);
        }
}

static void pipes_close(struct faas_transport *t) {
        int mine = t->pid == getpid();

        while (t->links) {
                if (mine)
                        push_out(t, t->links);
                free_link(t, t->links);
        }
        if (t->listener >= 0) {
                if (mine)
                        unlink(t->addr.sun_path);
                close(t->listener);
        }
        if (t->epoll >= 0)
                close(t->epoll);
        free(t);
}

static int pipes_open(struct faas_transport **ret, const struct faas_transport_cfg *cfg) {
        const char *url = cfg->url ? cfg->url : "";
        const char *path = strncmp(url, "unix://", 7) == 0 ? url + 7 : "";
        struct faas_transport *t;
        int r = 0;

        if (!*path || strlen(path) >= sizeof(t->addr.sun_path))
                return faas_transport_error(-EINVAL, "\"%s\": expected unix:///PATH", url);
        t = calloc(1, sizeof(*t));
        if (!t)
                return -ENOMEM;
        t->end = cfg->end;
        t->pid = getpid();
        t->listener = -1;
        t->redial_ns = NEVER;
        t->addr.sun_family = AF_UNIX;
        strcpy(t->addr.sun_path, path);
        t->epoll = epoll_create1(EPOLL_CLOEXEC);
        if (t->epoll < 0)
                r = faas_transport_error(-errno, "no descriptor for %s", url);
        else if (t->end == FAAS_TRANSPORT_LISTEN)
                r = listen_at(t, url);
        else
                dial(t);
        if (r)
                pipes_close(t);
        else
                *ret = t;
        return r;
}

static int pipes_fd(const struct faas_transport *t) {
        return t->epoll;
}

static uint64_t pipes_deadline(const struct faas_transport *t) {
        return t->say_up ? 0 : t->redial_ns;
}

/* Adds one frame as packets; called by faas_message_encode(). */
static int put_frame(void *ctx, const void *p, size_t len) {
        struct bytes *out = ctx;
        const char *from = p;

        do {
                size_t part = len < PACKET - 1 ? len : PACKET - 1;
                size_t n = part + 1;
                char *to = grow(out, sizeof(n) + n);

                if (!to)
                        return -ENOMEM;
                memcpy(to, &n, sizeof(n));
                to[sizeof(n)] = part == len ? FRAME_END : PART;
                memcpy(to + sizeof(n) + 1, from, part);
                out->len += sizeof(n) + n;
                from += part;
                len -= part;
        } while (len > 0);
        return 0;
}

static int pipes_send(struct faas_transport *t, uint64_t peer, struct faas_message *m) {
        struct link *l = t->links;
        size_t before, n = 1;
        char *to;

        while (l && l->number != peer)
                l = l->next;
        if (!l || t->say_up)
                return FAAS_E_GONE;
        if (l->out.len - l->out.at >= WAITING_MAX)
                return FAAS_E_AGAIN;
        if (l->out.at > WAITING_MAX) { /* else it would only grow */
                memmove(l->out.p, l->out.p + l->out.at, l->out.len - l->out.at);
                l->out.len -= l->out.at;
                l->out.at = 0;
        }
        (void)grow(&l->out, 0);
        before = l->out.len;
        if (faas_message_encode(m, put_frame, &l->out) != 0 ||
            !(to = grow(&l->out, sizeof(n) + n))) {
                l->out.len = before; /* all of a message, or nothing of it */
                return FAAS_E_AGAIN;
        }
        memcpy(to, &n, sizeof(n));
        to[sizeof(n)] = MESSAGE_END;
        l->out.len += sizeof(n) + n;
        faas_message_free(m);
        return 0;
}

/* At the end of a turn all goes out, some messages with one wake-up of the peer. */
static void pipes_flush(struct faas_transport *t) {
        struct link *l;

        for (l = t->links; l; l = l->next)
                if (!l->blocked)
                        push_out(t, l);
}

/* Reads one packet.  0: it is kept; FAAS_E_AGAIN: there is none; FAAS_E_GONE: the end, or a peer
 * that keeps to nothing, whose connection is not worth keeping. */
static int take_packet(struct link *l, char *ret_kind) {
        char *to = grow(&l->in, PACKET);
        struct iovec iov[2] = {{ret_kind, 1}, {to, PACKET - 1}};
        struct msghdr h = {.msg_iov = iov, .msg_iovlen = 2};
        ssize_t n;

        if (!to)
                return FAAS_E_GONE;
        do /* "reset" comes ahead of what the peer still said */
                n = recvmsg(l->fd, &h, 0);
        while (n < 0 && (errno == EINTR || errno == ECONNRESET));
        if (n < 0 && errno == EAGAIN)
                return FAAS_E_AGAIN;
        if (n <= 0 || l->in.len + (size_t)n > MESSAGE_MAX ||
            (unsigned char)*ret_kind > MESSAGE_END ||
            (*ret_kind == MESSAGE_END && l->n_ends == 0) ||
            (*ret_kind == FRAME_END && l->n_ends == FAAS_FRAMES_MAX))
                return FAAS_E_GONE;
        l->in.len += (size_t)n - 1;
        if (*ret_kind == FRAME_END)
                l->ends[l->n_ends++] = l->in.len;
        return 0;
}

/* Reads until a message is complete: 0.  FAAS_E_AGAIN: it is not yet; FAAS_E_GONE. */
static int take_message(struct link *l) {
        int packets;

        for (packets = 0; packets < 16; packets++) { /* then it is another peer's turn */
                char kind = 0;
                int r = take_packet(l, &kind);

                if (r != 0)
                        return r;
                if (kind == MESSAGE_END)
                        return 0;
        }
        return FAAS_E_AGAIN;
}

static void
show_message(struct faas_transport *t, struct link *l, struct faas_transport_event *ret) {
        size_t i, from = 0;

        for (i = 0; i < l->n_ends; i++) {
                t->frames[i] = (struct faas_frame){.p = l->in.p + from, .len = l->ends[i] - from};
                from = l->ends[i];
        }
        *ret = (struct faas_transport_event){
                .kind = FAAS_TRANSPORT_MESSAGE,
                .peer = l->number,
                .frames = t->frames,
                .n_frames = l->n_ends,
        };
        l->heard = 1;
        t->shown = l;
}

/* The connection is over. True: *ret says so. */
static int lose(struct faas_transport *t, struct link *l, struct faas_transport_event *ret) {
        int news = l->heard || t->end == FAAS_TRANSPORT_CONNECT;

        *ret = (struct faas_transport_event){.kind = FAAS_TRANSPORT_DOWN, .peer = l->number};
        if (t->end == FAAS_TRANSPORT_CONNECT)
                t->redial_ns = now_ns() + REDIAL_NS;
        free_link(t, l);
        return news;
}

/* The message that was shown has been copied by now. */
static void forget_shown(struct faas_transport *t) {
        if (!t->shown)
                return;
        t->shown->in.len = t->shown->in.at = 0;
        t->shown->n_ends = 0;
        t->shown = NULL;
}

static int pipes_recv(struct faas_transport *t, struct faas_transport_event *ret) {
        struct epoll_event ev;

        forget_shown(t);
        if (t->redial_ns != NEVER && now_ns() >= t->redial_ns)
                dial(t);
        if (t->say_up) {
                t->say_up = 0;
                *ret = (struct faas_transport_event){.kind = FAAS_TRANSPORT_UP};
                return 0;
        }
        /* One at a time: the kernel puts who is still ready behind all others, so peers take turns.
         */
        while (epoll_wait(t->epoll, &ev, 1, 0) == 1) {
                struct link *l = ev.data.ptr;
                int r = FAAS_E_AGAIN;

                if (!l) { /* somebody connects */
                        int fd = accept4(t->listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
                        if (fd < 0 && errno != EAGAIN && errno != EINTR && errno != ECONNABORTED)
                                return FAAS_E_AGAIN; /* too many: later, perhaps */
                        if (fd >= 0)
                                add_link(t, fd);
                        continue;
                }
                if (ev.events & EPOLLOUT)
                        push_out(t, l);
                if (ev.events & (EPOLLIN | EPOLLHUP | EPOLLERR))
                        r = take_message(l);
                if (r == 0) {
                        show_message(t, l, ret);
                        return 0;
                }
                if (r == FAAS_E_GONE && lose(t, l, ret))
                        return 0;
        }
        return FAAS_E_AGAIN;
}

const struct faas_transport_ops pipes_ops = {
        .struct_size = sizeof(struct faas_transport_ops),
        .version = FAAS_TRANSPORT_VERSION,
        .name = "pipes",
        .scheme = "unix",
        .credit = FAAS_CREDIT_AHEAD,
        .open = pipes_open,
        .close = pipes_close,
        .fd = pipes_fd,
        .recv = pipes_recv,
        .send = pipes_send,
        .flush = pipes_flush,
        .deadline = pipes_deadline,
};
