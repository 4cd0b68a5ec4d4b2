/*
 * zsock.c - one ROUTER or DEALER with its monitor
 *
 * libzmq's descriptors are edge-triggered in effect (any call on the socket may take the signal
 * away although there is something to read), so they only wake: what is there is asked with
 * fa_zsock_readable().
 */
#include "transport/zsock.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/stat.h>
#include <unistd.h>
#include <zmq.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/macros.h"
#include "transport/zctx.h"

#define QUEUE_MESSAGES 4096 /* for each peer and direction; what more is, waits at the sender */
#define FRAME_MAX (FA_PAYLOAD_MAX + (int64_t)FA_ENVELOPE_MAX)
#define LINGER_MS 200   /* for goodbyes, and what a slow peer still has to read */
#define CLOSE_MS 1000   /* until libzmq's thread has closed a socket: the linger at most */
#define BACKLOG 4096    /* a thousand workers may come at once; the kernel has its own limit */
#define RECONNECT_MS 30 /* and not more than: */
#define RECONNECT_MAX_MS 100
#define CONNECT_MS 3000   /* then the next attempt */
#define HANDSHAKE_MS 5000 /* for who connects and says nothing */
#define UNACKED_MS 30000  /* a host that went away without a word: the connection breaks */
#define FDS 4             /* two for the sockets, monitor's other end, epoll */

static atomic_ullong n_monitors; /* ever: each has a name of its own */

static int set_int(void *sock, int option, int value) {
        if (zmq_setsockopt(sock, option, &value, sizeof(value)) == 0)
                return 0;
        return fa_errno(errno, "ZeroMQ's option %d cannot be %d", option, value);
}

static int set_options(void *sock, enum faas_transport_end end) {
        static const struct {
                int option, value;
        } both[] =
                {
                        {ZMQ_SNDHWM, QUEUE_MESSAGES},
                        {ZMQ_RCVHWM, QUEUE_MESSAGES},
                        {ZMQ_SNDTIMEO, 0},
                        {ZMQ_RCVTIMEO, 0},
                        {ZMQ_LINGER, 0}, /* until close() */
                        {ZMQ_HANDSHAKE_IVL, HANDSHAKE_MS},
                        {ZMQ_TCP_KEEPALIVE, 1},
                        {ZMQ_TCP_KEEPALIVE_IDLE, 30},
                        {ZMQ_TCP_KEEPALIVE_INTVL, 10},
                        {ZMQ_TCP_KEEPALIVE_CNT, 3},
                        {ZMQ_TCP_MAXRT, UNACKED_MS},
                },
          listen[] =
                  {
                          {ZMQ_ROUTER_MANDATORY, 1},
                          {ZMQ_ROUTER_HANDOVER, 0},
                          {ZMQ_BACKLOG, BACKLOG},
                  },
          connect[] = {
                  /* With ZMQ_IMMEDIATE libzmq would drop, when a connection breaks, what came over
                   * it and was not read yet: a dispatcher's last words.  Nothing is sent while it
                   * is down (zmq.c), so little is left for the next one; that does no harm. */
                  {ZMQ_IMMEDIATE, 0},
                  {ZMQ_RECONNECT_IVL, RECONNECT_MS},
                  {ZMQ_RECONNECT_IVL_MAX, RECONNECT_MAX_MS},
                  {ZMQ_CONNECT_TIMEOUT, CONNECT_MS},
          };
        const int64_t max = FRAME_MAX;
        int r = 0;

        if (zmq_setsockopt(sock, ZMQ_MAXMSGSIZE, &max, sizeof(max)) < 0)
                return fa_errno(errno, "ZMQ_MAXMSGSIZE");
        for (size_t i = 0; !r && i < FA_ARRAY_SIZE(both); i++)
                r = set_int(sock, both[i].option, both[i].value);
        if (end == FAAS_TRANSPORT_LISTEN)
                for (size_t i = 0; !r && i < FA_ARRAY_SIZE(listen); i++)
                        r = set_int(sock, listen[i].option, listen[i].value);
        else
                for (size_t i = 0; !r && i < FA_ARRAY_SIZE(connect); i++)
                        r = set_int(sock, connect[i].option, connect[i].value);
        return r;
}

/*
 * The monitor is a pair of sockets.  libzmq's own threads wait where it has no room or no reader,
 * and with them all connections of the process: so it has no bound (an event has some 100 bytes),
 * and is read until libzmq says that nothing follows (close_sockets()).
 */
static int open_monitor(struct fa_zsock *z, void *ctx, enum faas_transport_end end) {
        int events = ZMQ_EVENT_DISCONNECTED | ZMQ_EVENT_MONITOR_STOPPED;
        char name[64];
        int r;

        z->mon = zmq_socket(ctx, ZMQ_PAIR);
        if (!z->mon)
                return fa_errno(errno, "zmq_socket");
        r = set_int(z->mon, ZMQ_RCVHWM, 0);
        if (!r)
                r = set_int(z->mon, ZMQ_LINGER, 0);
        if (r)
                return r;
        /* Not the socket's address: the name of the last that stood there may still be in use. */
        (void)snprintf(name, sizeof(name), "inproc://faas-monitor-%llu",
                       atomic_fetch_add(&n_monitors, 1));
        if (end == FAAS_TRANSPORT_CONNECT)
                events |= ZMQ_EVENT_HANDSHAKE_SUCCEEDED | ZMQ_EVENT_CONNECT_RETRIED;
        if (zmq_socket_monitor(z->sock, name, events) < 0)
                return fa_errno(errno, "zmq_socket_monitor");
        z->monitored = true;
        return zmq_connect(z->mon, name) < 0 ? fa_errno(errno, "zmq_connect") : 0;
}

static int add_fd(int epoll, void *sock) {
        struct epoll_event ev = {.events = EPOLLIN};
        size_t size = sizeof(int);
        int fd;

        if (zmq_getsockopt(sock, ZMQ_FD, &fd, &size) < 0)
                return fa_errno(errno, "ZMQ_FD");
        if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &ev) < 0)
                return fa_errno(errno, "epoll_ctl");
        return 0;
}

/* Nothing breaks inside a process, and an end there closes when the others took notice. */
static bool only_inproc(const char *urls) {
        for (const char *p = urls; p; p = strchr(p, ',')) {
                p += *p == ',';
                if (strncmp(p, "inproc:", 7) != 0)
                        return false;
        }
        return true;
}

static int open_sockets(struct fa_zsock *z, void *ctx, const struct faas_transport_cfg *cfg) {
        const bool monitor = !only_inproc(cfg->url ? cfg->url : "");
        int r;

        z->epoll = epoll_create1(EPOLL_CLOEXEC);
        if (z->epoll < 0)
                return fa_errno(errno, "epoll_create1");
        z->sock = zmq_socket(ctx, cfg->end == FAAS_TRANSPORT_LISTEN ? ZMQ_ROUTER : ZMQ_DEALER);
        if (!z->sock)
                return fa_errno(errno, "zmq_socket");
        r = set_options(z->sock, cfg->end);
        if (!r && monitor)
                r = open_monitor(z, ctx, cfg->end);
        if (!r)
                r = add_fd(z->epoll, z->sock);
        if (!r && monitor)
                r = add_fd(z->epoll, z->mon);
        return r;
}

/* Adds where it is bound to z->url. */
static int add_url(struct fa_zsock *z, const struct fa_zaddr *a) {
        char real[FA_ENDPOINT_MAX + 1];
        const char *url = a->url;
        size_t size = sizeof(real);
        char *all;

        /* Only tcp chooses; ipc shows the path as it is. */
        if (z->listens && a->scheme == FA_Z_TCP &&
            zmq_getsockopt(z->sock, ZMQ_LAST_ENDPOINT, real, &size) == 0)
                url = real;
        const size_t had = z->url ? strlen(z->url) : 0;
        all = realloc(z->url, had + 1 + strlen(url) + 1);
        if (!all)
                return -ENOMEM;
        z->url = all;
        if (had > 0)
                all[had] = ',';
        memcpy(all + had + (had > 0), url, strlen(url) + 1);
        z->n_urls++;
        return 0;
}

static int bind_one(struct fa_zsock *z, const char *url, size_t len) {
        struct stat st = {0};
        struct fa_zaddr a;
        int r;

        r = fa_zaddr_parse(&a, url, len, true);
        if (!r && a.scheme == FA_Z_IPC)
                r = fa_zaddr_clear_ipc(&a);
        if (!r)
                r = set_int(z->sock, ZMQ_IPV6, a.ipv6);
        if (r)
                return r;
        if (zmq_bind(z->sock, a.url) < 0)
                return fa_zaddr_error(&a, errno);
        if (a.scheme == FA_Z_IPC && lstat(a.rest, &st) == 0) {
                z->files[z->n_urls].dev = st.st_dev;
                z->files[z->n_urls].ino = st.st_ino;
        }
        r = add_url(z, &a);
        if (r && st.st_ino)
                unlink(a.rest);
        return r;
}

/* All are looked at before the first is taken. */
static int bind_all(struct fa_zsock *z, const char *urls) {
        for (unsigned pass = 0; pass < 2; pass++) {
                struct fa_zaddr a;
                size_t n;

                for (const char *p = urls;; p += n + 1) {
                        n = strcspn(p, ",");
                        int r = pass ? bind_one(z, p, n) : fa_zaddr_parse(&a, p, n, true);
                        if (r)
                                return r;
                        if (!p[n])
                                break;
                }
        }
        return 0;
}

static int connect_one(struct fa_zsock *z, const char *url) {
        struct fa_zaddr a;
        int r;

        r = fa_zaddr_parse(&a, url, strlen(url), false);
        if (!r)
                r = set_int(z->sock, ZMQ_IPV6, a.ipv6);
        if (r)
                return r;
        if (zmq_connect(z->sock, a.url) < 0)
                return fa_zaddr_error(&a, errno);
        z->inproc = a.scheme == FA_Z_INPROC;
        return add_url(z, &a);
}

void fa_zsock_hang_up(const struct fa_zsock *z) {
        (void)zmq_disconnect(z->sock, z->url);
}

int fa_zsock_redial(const struct fa_zsock *z) {
        if (zmq_connect(z->sock, z->url) < 0)
                return fa_errno(errno, "%s", z->url);
        return 0;
}

static size_t count_urls(const char *urls) {
        size_t n = 1;

        for (; *urls; urls++)
                n += *urls == ',';
        return n;
}

int fa_zsock_open(struct fa_zsock *ret, const struct faas_transport_cfg *cfg) {
        struct fa_zsock z = {
                .epoll = -1, .pid = getpid(), .listens = cfg->end == FAAS_TRANSPORT_LISTEN};
        const char *url = cfg->url ? cfg->url : "";
        void *ctx;
        int r;

        if (count_urls(url) > FA_ENDPOINTS_MAX)
                return fa_error(-EINVAL, "at most %d URLs", FA_ENDPOINTS_MAX);
        r = fa_zctx_get(&ctx, FDS + count_urls(url));
        if (r)
                return r;
        r = open_sockets(&z, ctx, cfg);
        if (!r)
                r = cfg->end == FAAS_TRANSPORT_LISTEN ? bind_all(&z, url) : connect_one(&z, url);
        if (r)
                fa_zsock_close(&z);
        else
                *ret = z;
        return r;
}

/*
 * libzmq leaves an ipc socket's file.  It is removed while we still listen, so that it is not taken
 * for a dead process's, and only if nobody has put another in its place.
 */
static void remove_file(const struct fa_zsock *z, unsigned i, const char *url) {
        const char *path = strstr(url, "://") + 3;
        struct stat st;

        if (z->files[i].ino && lstat(path, &st) == 0 && st.st_dev == z->files[i].dev &&
            st.st_ino == z->files[i].ino)
                unlink(path);
}

/* Removes what stands where we listen, and frees names that zmq_close() would keep for a while.
 * (For tcp and ipc zmq_unbind() is no way: it throws away what is on its way to peers.) */
static void unlist(struct fa_zsock *z) {
        char *rest = NULL;
        unsigned i = 0;

        for (char *u = strtok_r(z->url, ",", &rest); u; u = strtok_r(NULL, ",", &rest)) {
                remove_file(z, i++, u);
                if (strncmp(u, "inproc:", 7) == 0)
                        (void)zmq_unbind(z->sock, u);
        }
}

/*
 * zmq_close() returns before the address is free, which the next to listen there would stumble
 * over; the monitor's last word comes when all is sent or the linger is over.  False: it does not
 * come.
 */
static bool await_end(struct fa_zsock *z) {
        const uint64_t end = fa_now() + CLOSE_MS * FA_NS_PER_MS;
        zmq_pollitem_t item = {.socket = z->mon, .events = ZMQ_POLLIN};

        for (int value;;) {
                const unsigned event = fa_zsock_event(z, &value);
                const uint64_t now = fa_now();

                if (event == ZMQ_EVENT_MONITOR_STOPPED)
                        return true;
                if (event)
                        continue;
                if (now >= end || (zmq_poll(&item, 1, fa_poll_ms(end, now)) < 0 && errno != EINTR))
                        return false;
        }
}

static void close_sockets(struct fa_zsock *z) {
        bool ended = true;

        if (z->sock) {
                (void)set_int(z->sock, ZMQ_LINGER, LINGER_MS);
                if (z->listens && z->url)
                        unlist(z);
                zmq_close(z->sock);
                ended = !z->monitored || await_end(z);
        }
        /* Else libzmq's thread waits for a reader that is gone: better a socket that is lost. */
        if (!ended)
                return;
        if (z->mon)
                zmq_close(z->mon);
        fa_zctx_put();
}

void fa_zsock_close(struct fa_zsock *z) {
        if (z->pid == getpid())
                close_sockets(z);
        if (z->epoll >= 0)
                close(z->epoll);
        free(z->url);
}

static bool has_input(void *sock) {
        size_t size = sizeof(int);
        int events = 0;

        if (zmq_getsockopt(sock, ZMQ_EVENTS, &events, &size) < 0)
                return true; /* recv() will say what is wrong */
        return events & ZMQ_POLLIN;
}

bool fa_zsock_readable(const struct fa_zsock *z) {
        return has_input(z->sock);
}

bool fa_zsock_noticed(const struct fa_zsock *z) {
        return z->mon && has_input(z->mon);
}

void fa_zsock_settle(const struct fa_zsock *z) {
        (void)has_input(z->sock);
}

unsigned fa_zsock_event(const struct fa_zsock *z, int *ret_value) {
        uint8_t event[6]; /* u16 number, u32 value; then a frame with the address */
        uint16_t number = 0;
        char rest[1];

        if (!z->mon)
                return 0;
        if (zmq_recv(z->mon, event, sizeof(event), ZMQ_DONTWAIT) != sizeof(event))
                return 0;
        (void)zmq_recv(z->mon, rest, sizeof(rest), ZMQ_DONTWAIT);
        memcpy(&number, event, sizeof(number));
        memcpy(ret_value, event + sizeof(number), sizeof(*ret_value));
        return number;
}
