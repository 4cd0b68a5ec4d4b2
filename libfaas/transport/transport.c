/*
 * transport.c - the table of transports, and what implementers are given
 *
 * Built-in rows stand in built_in[], those of the host program in registered[].  Nothing here is
 * locked: registering happens at the start (faas/transport.h), after which the table only is read.
 */
#include "transport/transport.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include <faas/error.h>

#include "base/error.h"
#include "base/macros.h"
#include "base/text.h"

#define NAME_MAX_LEN 32
#define REGISTERED_MAX 16

/* One row a line: tests/meta/check-tables.sh compares with what is defined. */
static const struct faas_transport_ops *const built_in[] = {
        &fa_transport_local,
        &fa_transport_push,
        &fa_transport_pull,
};

/* URLs that push and pull understand, and the one that is not of a transport at all. */
static const char *const socket_schemes[] = {"tcp", "ipc", "inproc"};
static const char *const taken_schemes[] = {"tcp", "ipc", "inproc", "local"};

static struct fa_transport_row registered[REGISTERED_MAX];
static size_t n_registered;

static bool among(const char *const *list, size_t n, const char *s, size_t len) {
        for (size_t i = 0; i < n; i++)
                if (strlen(list[i]) == len && memcmp(list[i], s, len) == 0)
                        return true;
        return false;
}

/* The row number i of both lists; false after the last. */
static bool row_at(size_t i, struct fa_transport_row *ret) {
        if (i < FA_ARRAY_SIZE(built_in))
                *ret = (struct fa_transport_row){.ops = built_in[i]};
        else if (i - FA_ARRAY_SIZE(built_in) < n_registered)
                *ret = registered[i - FA_ARRAY_SIZE(built_in)];
        else
                return false;
        return true;
}

static int unknown_name(const char *name) {
        char known[512] = "";
        struct fa_transport_row row;
        size_t n = 0;

        for (size_t i = 0; row_at(i, &row) && n < sizeof(known); i++)
                n += (size_t)snprintf(known + n, sizeof(known) - n, "%s%s", i ? ", " : "",
                                      row.ops->name);
        return fa_error(FAAS_E_NOENT, "no transport \"%s\": there are %s", name, known);
}

int fa_transport_by_name(struct fa_transport_row *ret, const char *name) {
        struct fa_transport_row row;

        for (size_t i = 0; row_at(i, &row); i++)
                if (strcmp(row.ops->name, name) == 0) {
                        *ret = row;
                        return 0;
                }
        return unknown_name(name);
}

int fa_transport_by_url(struct fa_transport_row *ret, const char *url) {
        const char *end = url ? strstr(url, "://") : NULL;
        struct fa_transport_row row;

        if (!end || end == url)
                return fa_error(-EINVAL, "\"%s\" is no URL: expected one like tcp://host:5555",
                                url ? url : "");
        const size_t len = (size_t)(end - url);
        if (among(socket_schemes, FA_ARRAY_SIZE(socket_schemes), url, len)) {
                *ret = (struct fa_transport_row){.ops = &fa_transport_push};
                return 0;
        }
        for (size_t i = 0; row_at(i, &row); i++)
                if (row.ops->scheme && among(&row.ops->scheme, 1, url, len)) {
                        *ret = row;
                        return 0;
                }
        return fa_error(FAAS_E_NOENT, "\"%s\": no transport has the scheme \"%.*s\"", url,
                        (int)FA_MIN(len, (size_t)64), url);
}

bool fa_transport_at_door(const struct faas_transport_ops *ops) {
        return ops == &fa_transport_push || ops == &fa_transport_pull;
}

/* [a-z][a-z0-9-]{0,31} */
static bool name_valid(const char *s) {
        size_t n = 0;

        for (; s[n]; n++) {
                bool letter = s[n] >= 'a' && s[n] <= 'z';
                bool other = (s[n] >= '0' && s[n] <= '9') || s[n] == '-';
                if (n == NAME_MAX_LEN || !(letter || (other && n > 0)))
                        return false;
        }
        return n > 0;
}

static int check_ops(const struct faas_transport_ops *ops) {
        if (ops->version != FAAS_TRANSPORT_VERSION || ops->struct_size < sizeof(*ops))
                return fa_error(FAAS_E_VERSION,
                                "transport table of version %u with %zu bytes: expected version "
                                "%u with %zu",
                                ops->version, ops->struct_size, FAAS_TRANSPORT_VERSION,
                                sizeof(*ops));
        if (!ops->name || !name_valid(ops->name))
                return fa_error(-EINVAL, "transport name \"%s\": expected [a-z][a-z0-9-]{0,31}",
                                ops->name ? ops->name : "(null)");
        if (ops->scheme && !name_valid(ops->scheme))
                return fa_error(-EINVAL, "transport %s: scheme \"%s\": expected the form of a name",
                                ops->name, ops->scheme);
        if (!ops->open || !ops->close || !ops->fd || !ops->recv || !ops->send)
                return fa_error(-EINVAL,
                                "transport %s: open, close, fd, recv and send are mandatory",
                                ops->name);
        if (ops->credit != FAAS_CREDIT_AHEAD && ops->credit != FAAS_CREDIT_ON_REQUEST)
                return fa_error(-EINVAL, "transport %s: unknown credit %d", ops->name,
                                (int)ops->credit);
        return 0;
}

static int check_free(const struct faas_transport_ops *ops) {
        const char *scheme = ops->scheme;
        struct fa_transport_row row;

        /* "local" is taken whether or not its row is built. */
        if (strcmp(ops->name, "local") == 0)
                return fa_error(FAAS_E_EXISTS, "there is a transport \"local\" already");
        for (size_t i = 0; row_at(i, &row); i++) {
                if (strcmp(row.ops->name, ops->name) == 0)
                        return fa_error(FAAS_E_EXISTS, "there is a transport \"%s\" already",
                                        ops->name);
                if (scheme && row.ops->scheme && strcmp(row.ops->scheme, scheme) == 0)
                        return fa_error(FAAS_E_EXISTS, "transport %s: %s has the scheme \"%s\"",
                                        ops->name, row.ops->name, scheme);
        }
        if (scheme && among(taken_schemes, FA_ARRAY_SIZE(taken_schemes), scheme, strlen(scheme)))
                return fa_error(FAAS_E_EXISTS, "transport %s: the scheme \"%s\" is built in",
                                ops->name, scheme);
        return 0;
}

FA_PUBLIC int faas_transport_register(const struct faas_transport_ops *ops, void *userdata) {
        int r;

        if (!ops)
                return fa_error(-EINVAL, "faas_transport_register: no table");
        r = check_ops(ops);
        if (!r)
                r = check_free(ops);
        if (r)
                return r;
        if (n_registered == REGISTERED_MAX)
                return fa_error(FAAS_E_LIMIT, "transport %s: %d are registered already", ops->name,
                                REGISTERED_MAX);
        registered[n_registered++] = (struct fa_transport_row){.ops = ops, .userdata = userdata};
        return 0;
}

FA_PUBLIC int faas_message_encode(const struct faas_message *m,
                                  int (*frame)(void *ctx, const void *p, size_t len),
                                  void *ctx) {
        FA_CLEANUP(fa_frames_deinit) struct fa_frames frames = FA_FRAMES_NULL;
        int r;

        if (!m || !frame)
                return fa_error(-EINVAL, "faas_message_encode: no %s", m ? "function" : "message");
        r = fa_msg_encode((const struct fa_msg *)m, &frames);
        for (size_t i = 0; r == 0 && i < frames.n; i++)
                r = frame(ctx, fa_blob_ptr(frames.v[i]), fa_blob_len(frames.v[i]));
        return r;
}

FA_PUBLIC void faas_message_free(struct faas_message *m) {
        fa_msg_free(fa_message_in(m));
}

FA_PUBLIC int faas_transport_error(int r, const char *fmt, ...) {
        char text[512];
        va_list args;

        va_start(args, fmt);
        fa_text_vformat(text, sizeof(text), fmt, args);
        va_end(args);
        return fa_error(r, "%s", text);
}
