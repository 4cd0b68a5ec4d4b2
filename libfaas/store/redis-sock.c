/*
 * redis-sock.c - addresses, and sockets that never block
 *
 * hiredis has connections of its own, which block in a look-up and are inherited by programs that
 * the process starts; so only its parser is used.
 */
#include <errno.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/error.h"
#include "store/redis-conn-private.h"

/* A peer that is gone without a word (its machine lost power) is noticed in about half a minute. */
#define KEEPALIVE_IDLE_S 15
#define KEEPALIVE_EVERY_S 5
#define KEEPALIVE_PROBES 3
#define UNACKED_MS 30000u

static int look_up(struct addrinfo **ret, const char *host, const char *port, int flags) {
        const struct addrinfo hints = {
                .ai_family = AF_UNSPEC,
                .ai_socktype = SOCK_STREAM,
                .ai_flags = AI_NUMERICSERV | flags,
        };

        return getaddrinfo(host, port, &hints, ret);
}

static void free_list(struct addrinfo **list) {
        if (*list)
                freeaddrinfo(*list);
}

bool fa_redis_is_address(const char *host) {
        FA_CLEANUP(free_list) struct addrinfo *list = NULL;

        return look_up(&list, host, NULL, AI_NUMERICHOST) == 0;
}

const char *
fa_redis_resolve(struct fa_redis_addr *addrs, size_t *ret_n, const char *host, uint16_t port) {
        FA_CLEANUP(free_list) struct addrinfo *list = NULL;
        char service[8];
        size_t n = 0;

        (void)snprintf(service, sizeof(service), "%u", port);
        int r = look_up(&list, host, service, AI_NUMERICHOST);
        if (r == EAI_NONAME)
                r = look_up(&list, host, service, 0);
        if (r)
                return r == EAI_SYSTEM ? faas_strerror(-errno) : gai_strerror(r);
        for (struct addrinfo *a = list; a && n < FA_REDIS_ADDRS_MAX; a = a->ai_next)
                if (a->ai_addrlen <= sizeof(struct sockaddr_in6)) {
                        memcpy(&addrs[n].any, a->ai_addr, a->ai_addrlen);
                        addrs[n++].len = a->ai_addrlen;
                }
        if (n == 0)
                return "no address";
        *ret_n = n;
        return NULL;
}

void fa_redis_unix(struct fa_redis_addr *ret, const char *path) {
        *ret = (struct fa_redis_addr){.un.sun_family = AF_UNIX, .len = sizeof(ret->un)};
        memcpy(ret->un.sun_path, path, strlen(path) + 1);
}

/* None of these is needed to work, so none is asked how it went. */
static void tune(int fd) {
        const struct {
                int level, name, value;
        } options[] = {
                {IPPROTO_TCP, TCP_NODELAY, 1},
                {SOL_SOCKET, SO_KEEPALIVE, 1},
                {IPPROTO_TCP, TCP_KEEPIDLE, KEEPALIVE_IDLE_S},
                {IPPROTO_TCP, TCP_KEEPINTVL, KEEPALIVE_EVERY_S},
                {IPPROTO_TCP, TCP_KEEPCNT, KEEPALIVE_PROBES},
                {IPPROTO_TCP, TCP_USER_TIMEOUT, UNACKED_MS},
        };

        for (size_t i = 0; i < FA_ARRAY_SIZE(options); i++)
                (void)setsockopt(fd, options[i].level, options[i].name, &options[i].value,
                                 sizeof(options[i].value));
}

/*
 * Whoever tries a port again and again where nobody listens may be given that very port for its own
 * end, and then it is connected to itself, and nobody can listen there any more.
 */
static bool is_self(int fd) {
        struct sockaddr_storage own = {0};
        struct sockaddr_storage peer = {0};
        socklen_t own_len = sizeof(own);
        socklen_t peer_len = sizeof(peer);

        return getsockname(fd, (struct sockaddr *)&own, &own_len) == 0 &&
               (own.ss_family == AF_INET || own.ss_family == AF_INET6) &&
               getpeername(fd, (struct sockaddr *)&peer, &peer_len) == 0 && own_len == peer_len &&
               memcmp(&own, &peer, own_len) == 0;
}

int fa_redis_connect(int *ret_fd, const struct fa_redis_addr *to) {
        int fd = socket(to->any.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

        if (fd < 0)
                return -errno;
        if (to->any.sa_family != AF_UNIX)
                tune(fd);
        if (connect(fd, &to->any, to->len) < 0 && errno != EINPROGRESS) {
                int error = errno;
                close(fd);
                return -error;
        }
        *ret_fd = fd;
        return 0;
}

int fa_redis_connected(int fd) {
        struct pollfd p = {.fd = fd, .events = POLLOUT};
        int error = 0;
        socklen_t len = sizeof(error);

        if (poll(&p, 1, 0) <= 0)
                return -EINPROGRESS;
        if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &len) < 0)
                return -errno;
        return error == 0 && is_self(fd) ? -ECONNREFUSED : -error;
}
