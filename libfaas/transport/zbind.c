/*
 * zbind.c - the addresses at which a dispatcher listens, with sockets of our own
 *
 * An ipc socket's file is removed when it is closed, while we still listen, so that it is not taken
 * for a dead process's; and only if nobody has put another in its place.
 */
#include "transport/zbind.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/error.h"
#include "transport/zaddr.h"

#define BACKLOG 4096 /* a thousand workers may come at once; the kernel has its own limit */

/* As tcp://HOST:PORT, with the port that was chosen. */
static void tell_tcp(char *ret, size_t size, int fd) {
        union {
                struct sockaddr any;
                struct sockaddr_in v4;
                struct sockaddr_in6 v6;
        } at = {.v6 = {0}};
        char host[INET6_ADDRSTRLEN] = "";
        socklen_t len = sizeof(at);

        (void)getsockname(fd, &at.any, &len);
        if (at.any.sa_family == AF_INET) {
                (void)inet_ntop(AF_INET, &at.v4.sin_addr, host, sizeof(host));
                (void)snprintf(ret, size, "tcp://%s:%u", host, ntohs(at.v4.sin_port));
        } else {
                (void)inet_ntop(AF_INET6, &at.v6.sin6_addr, host, sizeof(host));
                (void)snprintf(ret, size, "tcp://[%s]:%u", host, ntohs(at.v6.sin6_port));
        }
}

static int add_url(struct fa_zbind *b, const char *url) {
        const size_t had = b->url ? strlen(b->url) : 0;
        char *all = realloc(b->url, had + 1 + strlen(url) + 1);

        if (!all)
                return -ENOMEM;
        b->url = all;
        if (had > 0)
                all[had] = ',';
        memcpy(all + had + (had > 0), url, strlen(url) + 1);
        return 0;
}

/* A socket that listens, or -1 with errno. */
static int listen_at(const struct sockaddr_storage *sa, socklen_t len) {
        const int on = 1;
        const int off = 0;
        const int fd = socket(sa->ss_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);

        if (fd < 0)
                return -1;
        if (sa->ss_family != AF_UNIX)
                (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on));
        if (sa->ss_family == AF_INET6)
                (void)setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &off, sizeof(off));
        if (bind(fd, (const struct sockaddr *)sa, len) == 0 && listen(fd, BACKLOG) == 0)
                return fd;
        const int error = errno;
        (void)close(fd);
        errno = error;
        return -1;
}

/* All zeros of IPv6 also are "*" of a machine that has no IPv6. */
static int listen_anyhow(struct sockaddr_storage *sa, socklen_t len) {
        struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)sa;
        int fd = listen_at(sa, len);

        if (fd >= 0 || errno != EAFNOSUPPORT || sa->ss_family != AF_INET6 ||
            !IN6_IS_ADDR_UNSPECIFIED(&in6->sin6_addr))
                return fd;
        const in_port_t port = in6->sin6_port;
        struct sockaddr_in *in = (struct sockaddr_in *)sa;
        *in = (struct sockaddr_in){.sin_family = AF_INET, .sin_port = port};
        return listen_at(sa, sizeof(*in));
}

static int bind_one(struct fa_zbind *b, const char *url, size_t url_len) {
        struct sockaddr_storage sa;
        socklen_t len;
        struct stat st = {0};
        struct fa_zaddr a;
        int r = fa_zaddr_parse(&a, url, url_len, true);
        int fd;

        if (!r)
                r = fa_zaddr_number(&a, &sa, &len);
        if (!r && a.scheme == FA_Z_IPC)
                r = fa_zaddr_clear_ipc(&a);
        if (r)
                return r;
        fd = listen_anyhow(&sa, len);
        if (fd < 0)
                return fa_zaddr_error(&a, errno);
        if (a.scheme == FA_Z_IPC && lstat(a.rest, &st) == 0) {
                b->files[b->n].dev = st.st_dev;
                b->files[b->n].ino = st.st_ino;
        } else if (a.scheme == FA_Z_TCP) {
                tell_tcp(a.url, sizeof(a.url), fd);
        }
        b->fds[b->n++] = fd;
        return add_url(b, a.url);
}

int fa_zbind_open(struct fa_zbind *ret, const char *urls) {
        size_t n;
        size_t count = 0;

        *ret = (struct fa_zbind){0};
        for (const char *p = urls;; p += n + 1) {
                n = strcspn(p, ",");
                int r = count++ < FA_ENDPOINTS_MAX
                                ? bind_one(ret, p, n)
                                : fa_error(-EINVAL, "at most %d URLs", FA_ENDPOINTS_MAX);
                if (r)
                        return r;
                if (!p[n])
                        return 0;
        }
}

static void remove_file(const struct fa_zbind *b, unsigned i) {
        struct sockaddr_un un = {0};
        socklen_t len = sizeof(un);
        struct stat st;

        if (b->files[i].ino && getsockname(b->fds[i], (struct sockaddr *)&un, &len) == 0 &&
            lstat(un.sun_path, &st) == 0 && st.st_dev == b->files[i].dev &&
            st.st_ino == b->files[i].ino)
                (void)unlink(un.sun_path);
}

void fa_zbind_close(struct fa_zbind *b, bool forked) {
        for (unsigned i = 0; i < b->n; i++) {
                if (!forked)
                        remove_file(b, i);
                (void)close(b->fds[i]);
        }
        free(b->url);
        *b = (struct fa_zbind){0};
}
