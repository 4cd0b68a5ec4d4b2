/*
 * zaddr.c - URLs of ZeroMQ sockets
 *
 * libzmq says EINVAL to all that it does not like and finds some of it only in its own thread,
 * where nobody hears of it; so what can be seen in the text alone is seen here.
 */
#include "transport/zaddr.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>
#include <zmq.h>

#include <faas/error.h>

#include "base/error.h"
#include "base/macros.h"

static const struct {
        const char *prefix;
        enum fa_zscheme scheme;
} schemes[] = {
        {"tcp://", FA_Z_TCP},
        {"ipc://", FA_Z_IPC},
        {"inproc://", FA_Z_INPROC},
};

static int parse_port(const struct fa_zaddr *a, const char *port, bool listen) {
        unsigned long n = 0;
        const char *p = port;

        if (listen && strcmp(port, "*") == 0)
                return 0;
        for (; *p >= '0' && *p <= '9' && p - port < 6; p++)
                n = n * 10 + (unsigned long)(*p - '0');
        if (p == port || *p || n > 65535 || (n == 0 && !listen))
                return fa_error(-EINVAL, "\"%s\": \"%s\" is no port: expected 1 to 65535%s", a->url,
                                port, listen ? ", or \"*\" for a free one" : "");
        return 0;
}

static int parse_tcp(struct fa_zaddr *a, bool listen) {
        const char *colon = strrchr(a->rest, ':');

        if (!colon || colon == a->rest || strchr(colon, ']'))
                return fa_error(-EINVAL, "\"%s\": expected tcp://HOST:PORT", a->url);
        const size_t n = (size_t)(colon - a->rest);
        if (a->rest[0] == '[' ? a->rest[n - 1] != ']' : memchr(a->rest, ':', n) != NULL)
                return fa_error(-EINVAL,
                                "\"%s\": an IPv6 address stands in brackets: tcp://[::1]:5555",
                                a->url);
        if (!listen && n == 1 && a->rest[0] == '*')
                return fa_error(-EINVAL, "\"%s\": expected the name of a host, not \"*\"", a->url);
        /* Else libzmq would show 127.0.0.1 as [::ffff:127.0.0.1]. */
        a->ipv6 = strspn(a->rest, "0123456789.") != n;
        return parse_port(a, colon + 1, listen);
}

static int parse_ipc(const struct fa_zaddr *a) {
        const size_t max = sizeof(((struct sockaddr_un *)NULL)->sun_path) - 1;
        const size_t n = strlen(a->rest);

        if (n == 0 || strcmp(a->rest, "*") == 0 || strcmp(a->rest, "@") == 0)
                return fa_error(-EINVAL, "\"%s\": expected ipc://PATH", a->url);
        if (n > max)
                return fa_error(-EINVAL,
                                "\"%s\": the path of a socket has at most %zu bytes, not %zu",
                                a->url, max, n);
        return 0;
}

int fa_zaddr_parse(struct fa_zaddr *ret, const char *url, size_t len, bool listen) {
        struct fa_zaddr *a = ret;

        if (len > FA_ENDPOINT_MAX)
                return fa_error(-EINVAL, "a URL has at most %d bytes, not %zu: \"%.40s...\"",
                                FA_ENDPOINT_MAX, len, url);
        memcpy(a->url, url, len);
        a->url[len] = '\0';
        a->rest = NULL;
        a->ipv6 = false;
        for (size_t i = 0; i < FA_ARRAY_SIZE(schemes); i++) {
                const size_t n = strlen(schemes[i].prefix);
                if (strncmp(a->url, schemes[i].prefix, n) == 0) {
                        a->scheme = schemes[i].scheme;
                        a->rest = a->url + n;
                }
        }
        if (!a->rest)
                return fa_error(-EINVAL,
                                "\"%s\": expected tcp://HOST:PORT, ipc://PATH or inproc://NAME",
                                a->url);
        if (a->scheme == FA_Z_TCP)
                return parse_tcp(a, listen);
        if (a->scheme == FA_Z_IPC)
                return parse_ipc(a);
        if (!a->rest[0])
                return fa_error(-EINVAL, "\"%s\": expected inproc://NAME", a->url);
        return 0;
}

static int ipc_number(const struct fa_zaddr *a, struct sockaddr_un *un, socklen_t *ret_len) {
        const size_t n = strlen(a->rest); /* parse_ipc() has looked at it */

        *un = (struct sockaddr_un){.sun_family = AF_UNIX};
        memcpy(un->sun_path, a->rest, n);
        if (un->sun_path[0] == '@') { /* Linux's abstract names have no NUL at the end */
                un->sun_path[0] = '\0';
                *ret_len = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n);
        } else {
                *ret_len = (socklen_t)sizeof(*un);
        }
        return 0;
}

int fa_zaddr_number(const struct fa_zaddr *a, struct sockaddr_storage *ret, socklen_t *ret_len) {
        struct sockaddr_in *in = (struct sockaddr_in *)ret;
        struct sockaddr_in6 *in6 = (struct sockaddr_in6 *)ret;
        char host[FA_ENDPOINT_MAX + 1];
        const char *colon;
        size_t n;

        if (a->scheme == FA_Z_IPC)
                return ipc_number(a, (struct sockaddr_un *)ret, ret_len);
        if (a->scheme != FA_Z_TCP)
                return FAAS_E_NOENT;
        colon = strrchr(a->rest, ':'); /* parse_tcp() has seen it, and what follows */
        const uint16_t port = htons((uint16_t)strtoul(colon + 1, NULL, 10));
        n = (size_t)(colon - a->rest);
        memcpy(host, a->rest, n);
        host[n] = '\0';
        memset(ret, 0, sizeof(*ret));
        if (inet_pton(AF_INET, host, &in->sin_addr) == 1) {
                in->sin_family = AF_INET;
                in->sin_port = port;
                *ret_len = sizeof(*in);
                return 0;
        }
        if (host[0] == '[')
                host[n - 1] = '\0';
        if (strcmp(host, "*") != 0 &&
            (host[0] != '[' || inet_pton(AF_INET6, host + 1, &in6->sin6_addr) != 1))
                return FAAS_E_NOENT;
        in6->sin6_family = AF_INET6; /* "*" is its zeros: both kinds */
        in6->sin6_port = port;
        *ret_len = sizeof(*in6);
        return 0;
}

bool fa_zaddr_all_numbers(const char *urls, bool listen) {
        struct sockaddr_storage sa;
        socklen_t len;
        struct fa_zaddr a;
        size_t n;

        for (const char *p = urls;; p += n + 1) {
                n = strcspn(p, ",");
                if (fa_zaddr_parse(&a, p, n, listen) || fa_zaddr_number(&a, &sa, &len))
                        return false;
                if (!p[n])
                        return true;
        }
}

/* Does anybody answer?  0 nobody; or the errno to refuse with. */
static int somebody_at(const char *path) {
        struct sockaddr_un sa = {.sun_family = AF_UNIX};
        int r = 0;
        int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        if (fd < 0)
                return errno;
        memcpy(sa.sun_path, path, strlen(path)); /* parse_ipc() has looked at the length */
        if (connect(fd, (const struct sockaddr *)&sa, sizeof(sa)) == 0 || errno == EAGAIN ||
            errno == EPROTOTYPE) /* or its queue is full; or not a stream */
                r = EADDRINUSE;
        else if (errno != ECONNREFUSED && errno != ENOENT)
                r = errno;
        close(fd);
        return r;
}

int fa_zaddr_clear_ipc(const struct fa_zaddr *a) {
        const char *path = a->rest;
        struct stat st;
        int r;

        if (path[0] == '@') /* Linux's abstract names are no files */
                return 0;
        if (lstat(path, &st) < 0)
                return errno == ENOENT ? 0 : fa_errno(errno, "cannot listen at %s", a->url);
        if (!S_ISSOCK(st.st_mode))
                return fa_error(-EADDRINUSE,
                                "cannot listen at %s: there is a file that is no socket", a->url);
        r = somebody_at(path);
        if (r == EADDRINUSE)
                return fa_error(-EADDRINUSE, "cannot listen at %s: another process listens there",
                                a->url);
        if (r)
                return fa_errno(r, "cannot listen at %s", a->url);
        if (unlink(path) < 0 && errno != ENOENT)
                return fa_errno(errno, "cannot remove the socket that a dead process left at %s",
                                a->url);
        return 0;
}

int fa_zaddr_error(const struct fa_zaddr *a, int zmq_error) {
        switch (zmq_error) {
        case EADDRINUSE:
                return fa_error(-EADDRINUSE, "cannot listen at %s: the address is in use", a->url);
        case EADDRNOTAVAIL:
                return fa_error(-EADDRNOTAVAIL,
                                "cannot listen at %s: this machine has no such address", a->url);
        case ENODEV:
                return fa_error(-EADDRNOTAVAIL,
                                "cannot listen at %s: no such network interface, and no such host",
                                a->url);
        case EINVAL:
                return fa_error(-EINVAL, "\"%s\" is malformed", a->url);
        case EMTHREAD: /* no I/O thread: cannot be, there is one */
        case ETERM:
        case EPROTONOSUPPORT:
        case ENOCOMPATPROTO:
                return fa_error(-EINVAL, "\"%s\": %s", a->url, zmq_strerror(zmq_error));
        default:
                return fa_errno(zmq_error, "%s", a->url);
        }
}
