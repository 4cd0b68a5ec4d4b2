/*
 * zdial.c - CONNECT: one connection to a dispatcher, made again when it breaks
 *
 * It is UP when the kernel says so, and what is sent then goes when the other end has said what it
 * is: libzmq takes a message that comes sooner for nonsense.  Whether it is a dispatcher is found
 * out by its silence, or because it speaks something else.  What could not be sent when the
 * connection breaks is dropped, so the next dispatcher hears nothing that was meant for the last
 * one.
 */
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include <faas/error.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/log.h"
#include "base/macros.h"
#include "transport/zaddr.h"
#include "transport/zmtp.h"
#include "transport/zown.h"

#define REDIAL_NS (30 * FA_NS_PER_MS)
#define REDIAL_MAX_NS (100 * FA_NS_PER_MS)
#define DIAL_NS (3 * FA_NS_PER_S) /* then the next try */

enum state { IDLE, DIALLING, UP };

struct faas_transport {
        const struct faas_transport_ops *how;
        pid_t pid;
        int epoll; /* over the connection's socket, which changes */
        char *url;
        struct sockaddr_storage sa;
        socklen_t sa_len;
        struct fa_zmtp z;
        struct fa_zmtp_pool pool;
        enum state state;
        bool told;      /* that it is UP */
        bool writing;   /* room is waited for */
        bool more;      /* what was read may hold another message */
        bool drained;   /* nothing was left to read */
        uint64_t at_ns; /* IDLE: of the next try; DIALLING: the end of this one */
        uint64_t pause_ns;
        uint64_t retry_ns;    /* send() was refused; FA_NEVER */
        struct fa_frames out; /* its array is used again */
        struct faas_frame frames[FA_ZMTP_FRAMES];
};

/* ---- the connection ---- */

static void watch(struct faas_transport *t, bool writing) {
        struct epoll_event ev = {.events = writing ? EPOLLIN | EPOLLOUT : EPOLLIN};

        if (t->writing != writing && epoll_ctl(t->epoll, EPOLL_CTL_MOD, t->z.fd, &ev) == 0)
                t->writing = writing;
}

/* It broke, or did not come about: then the next try waits longer. */
static void hang_up(struct faas_transport *t, bool failed) {
        t->pause_ns = failed ? FA_MIN(t->pause_ns * 2, REDIAL_MAX_NS) : REDIAL_NS;
        t->at_ns = fa_now() + t->pause_ns;
        t->state = IDLE;
        t->more = t->drained = t->writing = false;
        if (t->z.fd >= 0) /* a fork may keep it open */
                (void)epoll_ctl(t->epoll, EPOLL_CTL_DEL, t->z.fd, NULL);
        fa_zmtp_deinit(&t->z);
}

static void dial(struct faas_transport *t) {
        struct epoll_event ev = {.events = EPOLLIN | EPOLLOUT};
        const int fd = socket(t->sa.ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

        t->state = DIALLING;
        t->at_ns = fa_now() + DIAL_NS;
        if (fd < 0 || fa_zmtp_init(&t->z, fd, false, &t->pool)) {
                if (fd >= 0)
                        (void)close(fd);
                hang_up(t, true);
                return;
        }
        t->writing = true;
        if ((connect(fd, (const struct sockaddr *)&t->sa, t->sa_len) && errno != EINPROGRESS) ||
            epoll_ctl(t->epoll, EPOLL_CTL_ADD, fd, &ev))
                hang_up(t, true);
}

/* Goes on with what is under way. */
static void go_on(struct faas_transport *t) {
        struct pollfd p = {.events = POLLOUT};

        if (t->state == IDLE && fa_now() >= t->at_ns)
                dial(t);
        p.fd = t->z.fd;
        if (t->state == DIALLING && poll(&p, 1, 0) == 1) {
                t->state = UP;
                if (fa_zmtp_flush(&t->z)) /* a few bytes: there is room, unless it failed */
                        hang_up(t, true);
                else
                        watch(t, false);
        } else if (t->state == DIALLING && fa_now() >= t->at_ns) {
                hang_up(t, true);
        }
}

/* ---- the table ---- */

/* There may be room again. */
static void write_on(struct faas_transport *t) {
        int r = fa_zmtp_flush(&t->z);

        if (r == FAAS_E_GONE)
                fa_zmtp_drop(&t->z); /* its end will be read, behind what it still said */
        else
                watch(t, r == FAAS_E_AGAIN);
}

/* The next message; FAAS_E_AGAIN. What was read before the end comes before it. */
static int read_message(struct faas_transport *t, struct faas_transport_event *ret) {
        for (;;) {
                size_t n = 0;
                const bool open = t->z.state == FA_ZMTP_OPEN;
                int r = fa_zmtp_next(&t->z, t->frames, &n);

                if (!open && t->z.state == FA_ZMTP_OPEN)
                        write_on(t); /* what gathered until now */
                t->more = r == 0;
                if (r == 0 && n == 1 && t->frames[0].len == 0)
                        continue; /* a probe: libzmq's peers ask so whether we are there */
                if (r == 0) {
                        *ret = (struct faas_transport_event){
                                .kind = FAAS_TRANSPORT_MESSAGE, .frames = t->frames, .n_frames = n};
                        return 0;
                }
                if (r == FAAS_E_AGAIN && t->drained) {
                        t->drained = false;
                        return FAAS_E_AGAIN;
                }
                if (r == FAAS_E_AGAIN)
                        r = fa_zmtp_read(&t->z, &t->drained);
                if (r == FAAS_E_AGAIN)
                        return FAAS_E_AGAIN;
                if (r) {
                        hang_up(t, t->z.state != FA_ZMTP_OPEN);
                        return FAAS_E_AGAIN;
                }
        }
}

static int zd_recv(struct faas_transport *t, struct faas_transport_event *ret) {
        t->retry_ns = FA_NEVER;
        if (t->state != UP)
                go_on(t);
        if (t->state == UP && t->told) {
                if (t->writing)
                        write_on(t);
                if (read_message(t, ret) == 0)
                        return 0;
        }
        if ((t->state == UP) == t->told)
                return FAAS_E_AGAIN;
        t->told = t->state == UP;
        t->more = t->told; /* it may have spoken at once */
        *ret = (struct faas_transport_event){.kind = t->told ? FAAS_TRANSPORT_UP
                                                             : FAAS_TRANSPORT_DOWN};
        return 0;
}

static uint64_t zd_deadline(const struct faas_transport *t) {
        if (t->more || (t->state == UP) != t->told)
                return 0;
        return t->state == UP ? t->retry_ns : t->at_ns;
}

static void zd_flush(struct faas_transport *t) {
        if (t->z.state == FA_ZMTP_OPEN && t->z.out_bytes > 0 && !t->writing)
                write_on(t);
}

static int zd_send(struct faas_transport *t, uint64_t number, struct faas_message *m) {
        int r;

        if (number != 0 || !t->told || t->state != UP)
                return FAAS_E_GONE;
        r = fa_zown_put(&t->z, m, &t->out, t->url);
        if (r == FAAS_E_AGAIN)
                t->retry_ns = fa_now() + FA_ZOWN_RETRY_NS;
        if (t->z.out_bytes >= FA_ZOWN_EAGER)
                zd_flush(t);
        return r;
}

static int zd_fd(const struct faas_transport *t) {
        return t->epoll;
}

static const char *zd_url(const struct faas_transport *t) {
        return t->url;
}

/* ---- its life ---- */

static void zd_close(struct faas_transport *t) {
        if (t->z.state == FA_ZMTP_OPEN && t->pid == getpid())
                fa_zown_linger(&t->z, fa_now() + FA_ZOWN_LINGER_NS);
        fa_zmtp_deinit(&t->z);
        fa_zmtp_pool_deinit(&t->pool);
        fa_frames_deinit(&t->out);
        if (t->epoll >= 0)
                (void)close(t->epoll);
        free(t->url);
        free(t);
}

static int zd_open(struct faas_transport **ret, const struct faas_transport_cfg *cfg) {
        struct faas_transport *t = calloc(1, sizeof(*t));
        struct fa_zaddr a;
        int r;

        if (!t)
                return -ENOMEM;
        t->how = &fa_zdial;
        t->pid = getpid();
        t->z.fd = -1;
        t->pause_ns = REDIAL_NS;
        t->retry_ns = FA_NEVER;
        t->epoll = epoll_create1(EPOLL_CLOEXEC);
        t->url = malloc(strlen(cfg->url) + 1);
        if (t->url)
                memcpy(t->url, cfg->url, strlen(cfg->url) + 1);
        r = t->epoll < 0 ? fa_errno(errno, "epoll_create1") : t->url ? 0 : -ENOMEM;
        if (r == 0)
                r = fa_zaddr_parse(&a, cfg->url, strlen(cfg->url), false);
        if (r == 0)
                r = fa_zaddr_number(&a, &t->sa, &t->sa_len);
        if (r) {
                zd_close(t);
                return r;
        }
        dial(t);
        *ret = t;
        return 0;
}

const struct faas_transport_ops fa_zdial = {
        .struct_size = sizeof(struct faas_transport_ops),
        .version = FAAS_TRANSPORT_VERSION,
        .name = "dial",
        .open = zd_open,
        .close = zd_close,
        .fd = zd_fd,
        .recv = zd_recv,
        .send = zd_send,
        .flush = zd_flush,
        .deadline = zd_deadline,
        .url = zd_url,
};
