/*
 * zdoor.c - LISTEN: the connections of a dispatcher's peers
 *
 * One epoll over all of them.  A round asks it once, and reads each connection that has something
 * once; so peers take turns, and a turn costs one system call and one more for each who spoke. What
 * a peer said before its connection broke is handed over before it is told gone.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <faas/error.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/list.h"
#include "base/log.h"
#include "base/macros.h"
#include "transport/zbind.h"
#include "transport/zmtp.h"
#include "transport/zown.h"

#define ROUND 128                       /* connections that one round looks at */
#define ACCEPTS 64                      /* connections taken in one round */
#define HANDSHAKE_NS (5 * FA_NS_PER_S)  /* for who connects and says nothing */
#define NO_MORE_NS (100 * FA_NS_PER_MS) /* without descriptors, nobody is let in so long */
#define LISTENER UINT64_C(0xffffffff)   /* in an event: no link's number */
#define INDEX_BITS 20                   /* of a number: the place in t->links */
#define LINKS_MAX (FA_PEERS_MAX + 1024) /* those that have not spoken yet count too */

struct link {
        struct fa_zmtp z;
        struct fa_list ready; /* it may have something to read */
        struct fa_list dirty; /* it has something to write */
        struct fa_list young; /* it has not said what it is */
        uint64_t number, born_ns;
        bool readable; /* says epoll, and it was not read since */
        bool writing;  /* room is waited for */
        bool spoke;    /* somebody has heard of it */
};

struct faas_transport {
        const struct faas_transport_ops *how;
        pid_t pid;
        int epoll;
        struct fa_zbind bind;
        struct link **links; /* by the index in their number; NULL: free */
        size_t n_links, cap_links;
        uint64_t serial;
        struct fa_list ready, dirty, young;
        struct fa_list gone; /* of struct link, by .ready: to be told */
        struct fa_zmtp_pool pool;
        bool asked; /* epoll, in this round */
        bool warned_stranger, warned_full;
        uint64_t closed_until_ns; /* nobody is let in; 0: the doors are open */
        uint64_t retry_ns;        /* send() was refused; FA_NEVER */
        struct fa_frames out;     /* its array is used again */
        struct faas_frame frames[FA_ZMTP_FRAMES];
};

/* ---- connections ---- */

static void link_free(struct link *l) {
        fa_list_remove(&l->ready);
        fa_list_remove(&l->dirty);
        fa_list_remove(&l->young);
        fa_zmtp_deinit(&l->z);
        free(l);
}

/* Its number is void from now on; who was heard of is told gone. */
static void link_end(struct faas_transport *t, struct link *l) {
        t->links[l->number & ((1u << INDEX_BITS) - 1)] = NULL;
        t->n_links--;
        if (l->z.fd >= 0) /* a fork may keep it open */
                (void)epoll_ctl(t->epoll, EPOLL_CTL_DEL, l->z.fd, NULL);
        if (!l->spoke) {
                link_free(l);
                return;
        }
        fa_zmtp_deinit(&l->z);
        fa_list_remove(&l->dirty);
        fa_list_remove(&l->young);
        fa_list_remove(&l->ready);
        fa_list_push_back(&t->gone, &l->ready);
}

static struct link *link_find(const struct faas_transport *t, uint64_t number) {
        const size_t i = number & ((1u << INDEX_BITS) - 1);
        struct link *l = i < t->cap_links ? t->links[i] : NULL;

        return l && l->number == number ? l : NULL;
}

/* A free place; -1: there is none. */
static ssize_t place(struct faas_transport *t) {
        size_t cap = t->cap_links ? t->cap_links * 2 : 16;
        struct link **v;

        for (size_t i = 0; t->n_links < t->cap_links && i < t->cap_links; i++)
                if (!t->links[(t->serial + i) % t->cap_links])
                        return (ssize_t)((t->serial + i) % t->cap_links);
        cap = FA_MIN(cap, (size_t)LINKS_MAX);
        v = cap > t->cap_links ? realloc(t->links, cap * sizeof(struct link *)) : NULL;
        if (!v)
                return -1;
        memset(v + t->cap_links, 0, (cap - t->cap_links) * sizeof(struct link *));
        t->links = v;
        t->cap_links = cap;
        return (ssize_t)t->n_links;
}

/* Takes the socket over, or closes it. */
static void link_new(struct faas_transport *t, int fd, uint64_t now_ns) {
        const ssize_t at = place(t);
        struct link *l = at >= 0 ? calloc(1, sizeof(*l)) : NULL;
        struct epoll_event ev = {.events = EPOLLIN};

        if (!l || fa_zmtp_init(&l->z, fd, true, &t->pool)) {
                if (at < 0 && !t->warned_full) {
                        t->warned_full = true;
                        fa_log(FAAS_LOG_WARNING, "%s: a new peer is not heard: there are too many",
                               t->bind.url);
                }
                free(l);
                (void)close(fd);
                return;
        }
        l->number = ++t->serial << INDEX_BITS | (uint64_t)at;
        l->born_ns = now_ns;
        fa_list_init(&l->ready);
        fa_list_init(&l->dirty);
        fa_list_init(&l->young);
        ev.data.u64 = l->number;
        if (epoll_ctl(t->epoll, EPOLL_CTL_ADD, fd, &ev) || fa_zmtp_flush(&l->z)) {
                link_free(l);
                return;
        }
        fa_list_push_back(&t->young, &l->young);
        t->links[at] = l;
        t->n_links++;
}

static void watch(const struct faas_transport *t, struct link *l, bool writing) {
        struct epoll_event ev = {.events = writing ? EPOLLIN | EPOLLOUT : EPOLLIN,
                                 .data = {.u64 = l->number}};

        if (l->writing != writing && epoll_ctl(t->epoll, EPOLL_CTL_MOD, l->z.fd, &ev) == 0)
                l->writing = writing;
}

static void write_on(const struct faas_transport *t, struct link *l) {
        int r = fa_zmtp_flush(&l->z);

        fa_list_remove(&l->dirty);
        if (r == FAAS_E_GONE)
                fa_zmtp_drop(&l->z); /* its end will be read, behind what it still said */
        else
                watch(t, l, r == FAAS_E_AGAIN);
}

/* ---- the doors ---- */

static void doors(struct faas_transport *t, int op) {
        for (unsigned i = 0; i < t->bind.n; i++) {
                struct epoll_event ev = {.events = EPOLLIN, .data = {.u64 = LISTENER << 32 | i}};
                (void)epoll_ctl(t->epoll, op, t->bind.fds[i], &ev);
        }
}

static void let_in(struct faas_transport *t, int door, uint64_t now_ns) {
        for (unsigned i = 0; i < ACCEPTS; i++) {
                const int fd = accept4(door, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

                if (fd >= 0) {
                        link_new(t, fd, now_ns);
                        continue;
                }
                if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM) {
                        if (!t->warned_full)
                                fa_log(FAAS_LOG_WARNING, "%s: nobody is let in: %s", t->bind.url,
                                       strerrordesc_np(errno));
                        t->warned_full = true;
                        t->closed_until_ns = now_ns + NO_MORE_NS;
                        doors(t, EPOLL_CTL_DEL);
                }
                if (errno != EINTR && errno != ECONNABORTED)
                        return;
        }
}

/* Who was silent for too long. */
static void end_young(struct faas_transport *t, uint64_t now_ns) {
        struct fa_list *first;

        while ((first = fa_list_first(&t->young))) {
                struct link *l = fa_list_entry(first, struct link, young);

                if (now_ns < l->born_ns + HANDSHAKE_NS)
                        return;
                link_end(t, l);
        }
}

/* Asks who has something, and who has room. */
static void look(struct faas_transport *t) {
        struct epoll_event ev[ROUND];
        const int n = epoll_wait(t->epoll, ev, ROUND, 0);
        const bool timed = t->closed_until_ns || !fa_list_empty(&t->young);
        const uint64_t now_ns = timed || n > 0 ? fa_now() : 0;

        for (int i = 0; i < n; i++) {
                struct link *l;

                if (ev[i].data.u64 >> 32 == LISTENER) {
                        let_in(t, t->bind.fds[ev[i].data.u32], now_ns);
                        continue;
                }
                l = link_find(t, ev[i].data.u64);
                if (!l)
                        continue;
                if (ev[i].events & EPOLLOUT)
                        write_on(t, l);
                if (ev[i].events & ~(uint32_t)EPOLLOUT) {
                        l->readable = true;
                        fa_list_remove(&l->ready);
                        fa_list_push_back(&t->ready, &l->ready);
                }
        }
        if (t->closed_until_ns && now_ns >= t->closed_until_ns) {
                t->closed_until_ns = 0;
                doors(t, EPOLL_CTL_ADD);
        }
        if (timed)
                end_young(t, now_ns);
}

/* ---- the table ---- */

/* Shall anybody hear of this message? */
static bool admit(struct faas_transport *t, struct link *l, size_t n) {
        if (l->z.named && !t->warned_stranger) {
                t->warned_stranger = true;
                fa_log(FAAS_LOG_WARNING, "%s: a peer that set a routing id is not heard",
                       t->bind.url);
        }
        if (l->z.named || (n == 1 && t->frames[0].len == 0)) { /* or it is a probe */
                for (size_t i = 0; i < n; i++)
                        if (t->frames[i].release)
                                t->frames[i].release(t->frames[i].owner);
                return false;
        }
        l->spoke = true;
        return true;
}

/* The next message of those that are ready. 0; FAAS_E_AGAIN there is none in this round. */
static int read_ready(struct faas_transport *t, struct faas_transport_event *ret) {
        struct fa_list *first;

        while ((first = fa_list_first(&t->ready))) {
                struct link *l = fa_list_entry(first, struct link, ready);
                size_t n = 0;
                bool all;
                int r = fa_zmtp_next(&l->z, t->frames, &n);

                if (l->z.state == FA_ZMTP_OPEN)
                        fa_list_remove(&l->young);
                if (r == 0) {
                        if (!admit(t, l, n))
                                continue;
                        *ret = (struct faas_transport_event){.kind = FAAS_TRANSPORT_MESSAGE,
                                                             .peer = l->number,
                                                             .frames = t->frames,
                                                             .n_frames = n};
                        return 0;
                }
                if (r == FAAS_E_AGAIN && l->readable) {
                        l->readable = false;
                        r = fa_zmtp_read(&l->z, &all);
                        if (r == 0)
                                continue;
                }
                if (r == FAAS_E_AGAIN)
                        fa_list_remove(&l->ready);
                else
                        link_end(t, l); /* its end; nonsense; or no memory for it */
        }
        return FAAS_E_AGAIN;
}

static int zd_recv(struct faas_transport *t, struct faas_transport_event *ret) {
        struct fa_list *first;

        t->retry_ns = FA_NEVER;
        for (;;) {
                if (read_ready(t, ret) == 0)
                        return 0;
                first = fa_list_first(&t->gone);
                if (first) {
                        struct link *l = fa_list_entry(first, struct link, ready);
                        *ret = (struct faas_transport_event){.kind = FAAS_TRANSPORT_DOWN,
                                                             .peer = l->number};
                        link_free(l);
                        return 0;
                }
                t->asked = !t->asked;
                if (!t->asked)
                        return FAAS_E_AGAIN;
                look(t);
        }
}

static uint64_t zd_deadline(const struct faas_transport *t) {
        uint64_t at = t->retry_ns;

        if (!fa_list_empty(&t->ready) || !fa_list_empty(&t->gone))
                return 0;
        if (t->closed_until_ns)
                at = FA_MIN(at, t->closed_until_ns);
        if (!fa_list_empty(&t->young))
                at = FA_MIN(at, fa_list_entry(t->young.next, struct link, young)->born_ns +
                                        HANDSHAKE_NS);
        return at;
}

static int zd_send(struct faas_transport *t, uint64_t number, struct faas_message *m) {
        struct link *l = link_find(t, number);
        int r;

        if (!l || !l->spoke)
                return FAAS_E_GONE;
        r = fa_zown_put(&l->z, m, &t->out, t->bind.url);
        if (r == FAAS_E_AGAIN)
                t->retry_ns = fa_now() + FA_ZOWN_RETRY_NS;
        if (l->writing)
                return r;
        if (l->z.out_bytes >= FA_ZOWN_EAGER)
                write_on(t, l);
        else if (l->z.out_bytes > 0 && fa_list_empty(&l->dirty))
                fa_list_push_back(&t->dirty, &l->dirty);
        return r;
}

static void zd_flush(struct faas_transport *t) {
        struct fa_list *first;

        while ((first = fa_list_first(&t->dirty)))
                write_on(t, fa_list_entry(first, struct link, dirty));
}

static int zd_fd(const struct faas_transport *t) {
        return t->epoll;
}

static const char *zd_url(const struct faas_transport *t) {
        return t->bind.url;
}

/* ---- its life ---- */

static void zd_close(struct faas_transport *t) {
        const bool forked = t->pid != getpid();
        const uint64_t until_ns = fa_now() + FA_ZOWN_LINGER_NS;
        struct fa_list *l;

        fa_zbind_close(&t->bind, forked);
        for (size_t i = 0; i < t->cap_links; i++) {
                if (!t->links[i])
                        continue;
                if (!forked)
                        fa_zown_linger(&t->links[i]->z, until_ns);
                link_free(t->links[i]);
        }
        while ((l = fa_list_first(&t->gone)))
                link_free(fa_list_entry(l, struct link, ready));
        free(t->links);
        fa_zmtp_pool_deinit(&t->pool);
        fa_frames_deinit(&t->out);
        if (t->epoll >= 0)
                (void)close(t->epoll);
        free(t);
}

static int zd_open(struct faas_transport **ret, const struct faas_transport_cfg *cfg) {
        struct faas_transport *t = calloc(1, sizeof(*t));
        int r;

        if (!t)
                return -ENOMEM;
        t->how = &fa_zdoor;
        t->pid = getpid();
        t->retry_ns = FA_NEVER;
        fa_list_init(&t->ready);
        fa_list_init(&t->dirty);
        fa_list_init(&t->young);
        fa_list_init(&t->gone);
        t->epoll = epoll_create1(EPOLL_CLOEXEC);
        r = t->epoll < 0 ? fa_errno(errno, "epoll_create1") : fa_zbind_open(&t->bind, cfg->url);
        if (r) {
                zd_close(t);
                return r;
        }
        doors(t, EPOLL_CTL_ADD);
        *ret = t;
        return 0;
}

const struct faas_transport_ops fa_zdoor = {
        .struct_size = sizeof(struct faas_transport_ops),
        .version = FAAS_TRANSPORT_VERSION,
        .name = "door",
        .open = zd_open,
        .close = zd_close,
        .fd = zd_fd,
        .recv = zd_recv,
        .send = zd_send,
        .flush = zd_flush,
        .deadline = zd_deadline,
        .url = zd_url,
};
