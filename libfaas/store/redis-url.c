/*
 * redis-url.c - reads "redis://user:password@host:6379/1?prefix=x" and "redis+unix:///path"
 *
 * A password that was not encoded can end up in any part that is read: "redis://:a/b@host" has the
 * port "a".  So a refusal quotes a part of the URL only if nothing in the whole of it looks as if
 * there were a password.
 */
#include "store/redis-url.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "base/error.h"

#define TCP "redis://"
#define UNIX "redis+unix://"
#define PORT 6379

static const char forms[] = "expected redis://[user:password@]host[:port][/db][?prefix=NAME] or "
                            "redis+unix:///path[?db=N&prefix=NAME]";

struct parser {
        struct fa_redis_url u;
        bool secret; /* nothing may be quoted */
        bool has_user, has_password, has_db, has_prefix;
};

struct part {
        const char *p;
        size_t len;
};

/* As fa_error(-EINVAL, ...), and what the part was, if it may be told. */
static int refuse(const struct parser *s, struct part part, const char *what) {
        if (s->secret || !part.p)
                return fa_error(-EINVAL, "redis URL: %s", what);
        return fa_error(-EINVAL, "redis URL: \"%.*s\": %s", (int)FA_MIN(part.len, 64), part.p,
                        what);
}

/* The part up to one of the bytes of stop; *p is then there, or at the end. */
static struct part until(const char **p, const char *stop) {
        struct part part = {*p, strcspn(*p, stop)};

        *p += part.len;
        return part;
}

static int hex(char c) {
        if (c >= '0' && c <= '9')
                return c - '0';
        if (c >= 'a' && c <= 'f')
                return c - 'a' + 10;
        if (c >= 'A' && c <= 'F')
                return c - 'A' + 10;
        return -1;
}

/* Decodes into to[size]; NULL, or what is wrong. */
static const char *decode(char *to, size_t size, struct part part) {
        size_t n = 0;

        for (size_t i = 0; i < part.len; i++) {
                int c = (unsigned char)part.p[i];
                if (c == '%') {
                        int high = part.len - i > 2 ? hex(part.p[i + 1]) : -1;
                        int low = part.len - i > 2 ? hex(part.p[i + 2]) : -1;
                        if (high < 0 || low < 0)
                                return "has a % without two hexadecimal digits behind it";
                        c = high * 16 + low;
                        i += 2;
                }
                if (c == 0)
                        return "has a NUL byte";
                if (n + 1 == size)
                        return "is too long";
                to[n++] = (char)c;
        }
        to[n] = 0;
        return NULL;
}

/* A decimal number of at most max. */
static bool number(struct part part, uint32_t max, uint32_t *ret) {
        uint64_t n = 0;

        if (part.len == 0 || part.len > 10)
                return false;
        for (size_t i = 0; i < part.len; i++) {
                if (part.p[i] < '0' || part.p[i] > '9')
                        return false;
                n = n * 10 + (uint64_t)(part.p[i] - '0');
        }
        if (n > max)
                return false;
        *ret = (uint32_t)n;
        return true;
}

static int take_text(char *to, size_t size, struct part part, const char *name) {
        const char *wrong = decode(to, size, part);

        if (!wrong)
                return 0;
        return fa_error(-EINVAL,
                        "redis URL: the %s %s; expected at most %zu bytes, %%XX for "
                        "those that mean something in a URL",
                        name, wrong, size - 1);
}

static int take_user(struct parser *s, struct part part) {
        if (s->has_user)
                return refuse(s, (struct part){0}, "two users; expected one");
        s->has_user = true;
        return take_text(s->u.user, sizeof(s->u.user), part, "user");
}

static int take_password(struct parser *s, struct part part) {
        if (s->has_password)
                return refuse(s, (struct part){0}, "two passwords; expected one");
        s->has_password = true;
        return take_text(s->u.password, sizeof(s->u.password), part, "password");
}

static int take_db(struct parser *s, struct part part) {
        if (s->has_db)
                return refuse(s, part, "a second database; expected one");
        s->has_db = true;
        if (!number(part, INT32_MAX, &s->u.db))
                return refuse(s, part, "not a database; expected its number, 0 or more");
        return 0;
}

static int take_prefix(struct parser *s, struct part part) {
        static const char expected[] =
                "not a prefix; expected 1 to 64 letters, digits, \".\", \"_\", \"-\"";

        if (s->has_prefix)
                return refuse(s, part, "a second prefix; expected one");
        s->has_prefix = true;
        if (decode(s->u.prefix, sizeof(s->u.prefix), part) || !s->u.prefix[0])
                return refuse(s, part, expected);
        for (const char *c = s->u.prefix; *c; c++)
                if (!strchr("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-",
                            *c))
                        return refuse(s, part, expected);
        return 0;
}

/* "key=value&key=value", to the end. */
static int take_query(struct parser *s, const char *p) {
        static const struct {
                const char *key;
                int (*take)(struct parser *s, struct part part);
        } keys[] = {
                {"db", take_db},
                {"prefix", take_prefix},
                {"user", take_user},
                {"password", take_password},
        };

        for (;; p++) {
                struct part key = until(&p, "=&");
                struct part value = {p, 0};
                size_t i = 0;
                if (*p == '=') {
                        p++;
                        value = until(&p, "&");
                }
                while (i < FA_ARRAY_SIZE(keys) &&
                       (strlen(keys[i].key) != key.len || memcmp(keys[i].key, key.p, key.len) != 0))
                        i++;
                if (i == FA_ARRAY_SIZE(keys))
                        return refuse(s, key, "unknown; expected db, prefix, user or password");
                int r = keys[i].take(s, value);
                if (r || !*p)
                        return r;
        }
}

/* "user:password", ":password" or "user". */
static int take_auth(struct parser *s, struct part auth) {
        const char *colon = memchr(auth.p, ':', auth.len);
        size_t n = colon ? (size_t)(colon - auth.p) : auth.len;
        int r = 0;

        if (n)
                r = take_user(s, (struct part){auth.p, n});
        if (r == 0 && colon)
                r = take_password(s, (struct part){colon + 1, auth.len - n - 1});
        return r;
}

/* What stands before the last '@' of a part; the part goes on behind it. */
static int split_auth(struct parser *s, struct part *part) {
        const char *at = memrchr(part->p, '@', part->len);

        if (!at)
                return 0;
        struct part auth = {part->p, (size_t)(at - part->p)};
        part->len -= auth.len + 1;
        part->p = at + 1;
        return take_auth(s, auth);
}

bool fa_redis_host_ok(const char *host) {
        char address[INET6_ADDRSTRLEN];
        unsigned char in6[16];

        if (!*host || strlen(host) > FA_REDIS_HOST_MAX)
                return false;
        if (strchr(host, ':')) {
                /* The interface of a link-local address is anybody's name. */
                size_t len = strcspn(host, "%");
                if (len >= sizeof(address))
                        return false;
                memcpy(address, host, len);
                address[len] = 0;
                return inet_pton(AF_INET6, address, in6) == 1;
        }
        for (const char *c = host; *c; c++)
                if (!strchr("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-",
                            *c))
                        return false;
        return true;
}

static int take_host(struct parser *s, struct part part) {
        struct part host = part;
        struct part port = {NULL, 0};
        const char *end = part.p + part.len;
        uint32_t n = PORT;

        if (part.len && part.p[0] == '[') {
                const char *close = memchr(part.p, ']', part.len);
                if (!close || (close + 1 < end && close[1] != ':'))
                        return refuse(s, part, "not a host; expected [IPv6 address] or [..]:port");
                host = (struct part){part.p + 1, (size_t)(close - part.p - 1)};
                if (close + 1 < end)
                        port = (struct part){close + 2, (size_t)(end - close - 2)};
        } else {
                const char *colon = memchr(part.p, ':', part.len);
                if (colon) {
                        host.len = (size_t)(colon - part.p);
                        port = (struct part){colon + 1, (size_t)(end - colon - 1)};
                }
        }
        if (host.len == 0)
                return refuse(s, (struct part){0}, "no host; expected its name or address");
        if (host.len <= FA_REDIS_HOST_MAX)
                memcpy(s->u.host, host.p, host.len);
        if (host.len > FA_REDIS_HOST_MAX || (part.p[0] == '[') != !!strchr(s->u.host, ':') ||
            !fa_redis_host_ok(s->u.host))
                return refuse(s, host, "not a host; expected a name, an address, or [IPv6]");
        /* Never quoted: where the host was forgotten, this is the password. */
        if (port.p && (!number(port, UINT16_MAX, &n) || n == 0))
                return refuse(s, (struct part){0}, "bad port; expected 1 to 65535");
        s->u.port = (uint16_t)n;
        return 0;
}

static int take_tcp(struct parser *s, const char *p) {
        struct part host = until(&p, "/?");
        int r = split_auth(s, &host);

        if (r == 0)
                r = take_host(s, host);
        if (r == 0 && *p == '/') {
                p++;
                struct part db = until(&p, "?");
                if (db.len)
                        r = take_db(s, db);
        }
        if (r == 0 && *p == '?')
                r = take_query(s, p + 1);
        return r;
}

static int take_unix(struct parser *s, const char *p) {
        struct part before = until(&p, "/?");
        int r = split_auth(s, &before);

        if (r)
                return r;
        if (before.len || *p != '/')
                return refuse(s, (struct part){0},
                              "no absolute path; expected redis+unix:///path/to.sock");
        struct part path = until(&p, "?");
        const char *wrong = decode(s->u.path, sizeof(s->u.path), path);
        if (wrong)
                return fa_error(-EINVAL,
                                "redis URL: the path %s; expected at most %d bytes, %%XX for "
                                "\"?\" and \"%%\"",
                                wrong, FA_REDIS_PATH_MAX);
        return *p == '?' ? take_query(s, p + 1) : 0;
}

static void show(struct fa_redis_url *u) {
        bool v6 = strchr(u->host, ':');
        int n;

        if (u->path[0])
                n = snprintf(u->shown, sizeof(u->shown), "%s", u->path);
        else
                n = snprintf(u->shown, sizeof(u->shown), "%s%s%s:%u", v6 ? "[" : "", u->host,
                             v6 ? "]" : "", u->port);
        if (u->db)
                (void)snprintf(u->shown + n, sizeof(u->shown) - (size_t)n, "%s%u",
                               u->path[0] ? "?db=" : "/", u->db);
}

int fa_redis_url_parse(struct fa_redis_url *ret, const char *url) {
        struct parser s = {.u = {.prefix = "faas"},
                           .secret = strchr(url, '@') || strcasestr(url, "pass")};
        int r;

        if (strncmp(url, TCP, strlen(TCP)) == 0)
                r = take_tcp(&s, url + strlen(TCP));
        else if (strncmp(url, UNIX, strlen(UNIX)) == 0)
                r = take_unix(&s, url + strlen(UNIX));
        else
                r = refuse(&s, (struct part){0}, forms);
        if (r == 0) {
                show(&s.u);
                *ret = s.u;
        }
        explicit_bzero(&s, sizeof(s));
        return r;
}

void fa_redis_url_deinit(struct fa_redis_url *u) {
        explicit_bzero(u, sizeof(*u));
}
