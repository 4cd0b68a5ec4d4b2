/*
 * redis-greet.c - what is asked of a Redis before it is used, and what its answers mean
 *
 * All questions go out at once.  INFO tells most, also under a user who may not read the
 * configuration; how often the journal is written to disk stands only there.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/text.h"
#include "store/redis-conn-private.h"

#define VERSION_MIN 0x060200u

enum question { AUTH, SELECT, INFO, FSYNC, N_QUESTIONS };

static bool asked(const struct fa_redis_url *url, enum question q) {
        switch (q) {
        case AUTH:
                return url->user[0] || url->password[0];
        case SELECT:
                return url->db > 0;
        default:
                return true;
        }
}

void fa_redis_greet(struct fa_redis_greeting *g,
                    const struct fa_redis_url *url,
                    struct fa_buf *out) {
        *g = (struct fa_redis_greeting){0};
        if (asked(url, AUTH)) {
                fa_redis_put_array(out, url->user[0] ? 3 : 2);
                fa_redis_put_str(out, "AUTH");
                if (url->user[0])
                        fa_redis_put_str(out, url->user);
                fa_redis_put_str(out, url->password);
        }
        if (asked(url, SELECT)) {
                fa_redis_put_array(out, 2);
                fa_redis_put_str(out, "SELECT");
                fa_redis_put_u64(out, url->db);
        }
        fa_redis_put_array(out, 1);
        fa_redis_put_str(out, "INFO");
        fa_redis_put_array(out, 3);
        fa_redis_put_str(out, "CONFIG");
        fa_redis_put_str(out, "GET");
        fa_redis_put_str(out, "appendfsync");
}

/* The first refusal is the reason for those that follow. */
static void FA_PRINTF(3, 4) refuse(struct fa_redis_greeting *g, int r, const char *fmt, ...) {
        va_list args;

        if (g->r)
                return;
        g->r = r;
        va_start(args, fmt);
        fa_text_vformat(g->why, sizeof(g->why), fmt, args);
        va_end(args);
}

/* An error reply that means the same to whatever question. */
static void refuse_error(struct fa_redis_greeting *g,
                         const struct fa_redis_url *url,
                         const char *what,
                         const char *text) {
        /* "ERR unknown command 'AUTH', with args beginning with: ..." */
        if (url->password[0] && strstr(text, url->password))
                text = "its answer has the password in it";
        switch (fa_redis_error_of(text)) {
        case FA_REDIS_NOAUTH:
                refuse(g, -EACCES, "it asks for a password; expected one in the URL (%s)", text);
                break;
        case FA_REDIS_WRONGPASS:
                refuse(g, -EACCES, "wrong password, or no such user (%s)", text);
                break;
        case FA_REDIS_NOPERM:
                refuse(g, -EACCES, "user %s has no right to %s (%s)",
                       url->user[0] ? url->user : "default", what, text);
                break;
        case FA_REDIS_LOADING:
                refuse(g, FAAS_E_UNAVAILABLE, "it is loading its data");
                break;
        default:
                if (strncmp(text, "DENIED", 6) == 0 || strncmp(text, "ERR AUTH", 8) == 0)
                        refuse(g, -EACCES, "%s", text);
                else
                        refuse(g, FAAS_E_UNAVAILABLE, "%s: %s", what, text);
        }
}

/* What stands behind "key:" at the beginning of a line of INFO; p is NULL if there is none. */
static struct fa_slice info(const struct redisReply *reply, const char *key) {
        const char *p = reply->str;
        const char *end = p + reply->len;
        size_t len = strlen(key);

        while (p < end) {
                const char *eol = memchr(p, '\n', (size_t)(end - p));
                const char *next = eol ? eol + 1 : end;
                if (!eol)
                        eol = end;
                if (eol > p && eol[-1] == '\r')
                        eol--;
                if ((size_t)(eol - p) > len && p[len] == ':' && memcmp(p, key, len) == 0)
                        return (struct fa_slice){(const uint8_t *)p + len + 1,
                                                 (size_t)(eol - p) - len - 1};
                p = next;
        }
        return (struct fa_slice){NULL, 0};
}

static bool is(struct fa_slice s, const char *text) {
        return s.p && fa_slice_eq(s, (struct fa_slice){(const uint8_t *)text, strlen(text)});
}

/* As much of it as fits. */
static void copy(char *to, size_t size, struct fa_slice s) {
        size_t len = FA_MIN(s.len, size - 1);

        if (len)
                memcpy(to, s.p, len);
        to[len] = 0;
}

/* "7.0.15": each part in its byte, 255 if it is larger. */
static unsigned version_of(const char *text) {
        unsigned version = 0;

        for (int i = 0; i < 3; i++) {
                char *end;
                unsigned long n = strtoul(text, &end, 10);
                version = version << 8 | (unsigned)FA_MIN(n, 255ul);
                text = *end == '.' ? end + 1 : end;
        }
        return version;
}

static void read_info(struct fa_redis_greeting *g, const struct redisReply *reply) {
        struct fa_redis_server *s = &g->server;
        struct fa_slice policy = info(reply, "maxmemory_policy");
        struct fa_slice max = info(reply, "maxmemory");
        struct fa_slice journal = info(reply, "aof_enabled");

        copy(s->run_id, sizeof(s->run_id), info(reply, "run_id"));
        copy(s->text, sizeof(s->text), info(reply, "redis_version"));
        s->version = version_of(s->text);
        s->cluster =
                is(info(reply, "cluster_enabled"), "1") || is(info(reply, "redis_mode"), "cluster");
        s->evicts_known = policy.p && max.p;
        s->evicts = s->evicts_known && !is(max, "0") && !is(policy, "noeviction");
        s->append_known = journal.p;
        s->append_only = is(journal, "1");
        g->loading = is(info(reply, "loading"), "1");
        g->replica = is(info(reply, "role"), "slave") || is(info(reply, "role"), "replica");
}

/* The answer to CONFIG GET, if it may be asked: a name and its value. */
static enum fa_redis_fsync fsync_of(const struct redisReply *reply) {
        static const char *const names[] = {
                [FA_REDIS_FSYNC_ALWAYS] = "always",
                [FA_REDIS_FSYNC_EVERYSEC] = "everysec",
                [FA_REDIS_FSYNC_NO] = "no",
        };

        if (reply->type != REDIS_REPLY_ARRAY || reply->elements < 2 ||
            reply->element[1]->type != REDIS_REPLY_STRING)
                return FA_REDIS_FSYNC_UNKNOWN;
        for (size_t i = FA_REDIS_FSYNC_ALWAYS; i < FA_ARRAY_SIZE(names); i++)
                if (strcmp(reply->element[1]->str, names[i]) == 0)
                        return (enum fa_redis_fsync)i;
        return FA_REDIS_FSYNC_UNKNOWN;
}

static bool is_ok(const struct redisReply *reply) {
        return reply->type == REDIS_REPLY_STATUS && strcmp(reply->str, "OK") == 0;
}

/* In order of how much each explains of the others. */
static void judge(struct fa_redis_greeting *g, const struct fa_redis_url *url) {
        const struct fa_redis_server *s = &g->server;

        if (!s->text[0])
                refuse(g, -EINVAL, "not a Redis: its INFO has no redis_version");
        if (s->version < VERSION_MIN)
                refuse(g, FAAS_E_VERSION, "is Redis %s; expected 6.2 or newer", s->text);
        if (!s->run_id[0])
                refuse(g, -EINVAL, "its INFO has no run_id, so that a restart would not be seen");
        if (s->cluster && url->db > 0)
                refuse(g, -EINVAL,
                       "is a cluster, which has database 0 alone; expected no database "
                       "in the URL, which says %u",
                       url->db);
        if (g->selected_not)
                refuse(g, -EINVAL,
                       "database %u is out of range; expected one below its "
                       "\"databases\"",
                       url->db);
        if (g->loading)
                refuse(g, FAAS_E_UNAVAILABLE, "it is loading its data");
        /* A cluster's replica sends to its primary by itself. */
        if (g->replica && !s->cluster)
                refuse(g, FAAS_E_UNAVAILABLE, "is a read-only replica; expected the primary");
}

static void answer(struct fa_redis_greeting *g,
                   const struct fa_redis_url *url,
                   enum question q,
                   const struct redisReply *reply) {
        static const char *const names[] = {"AUTH", "SELECT", "INFO", "CONFIG GET"};
        bool error = reply->type == REDIS_REPLY_ERROR;

        if (q == FSYNC) {
                g->server.fsync = fsync_of(reply);
        } else if (error && q == SELECT && strncmp(reply->str, "ERR", 3) == 0) {
                g->selected_not = true;
        } else if (error) {
                refuse_error(g, url, names[q], reply->str);
        } else if (q == INFO && reply->type == REDIS_REPLY_STRING) {
                read_info(g, reply);
        } else if (q == INFO || !is_ok(reply)) {
                refuse(g, -EINVAL, "not a Redis: a strange answer to %s", names[q]);
        }
}

bool fa_redis_greeted(struct fa_redis_greeting *g,
                      const struct fa_redis_url *url,
                      const struct redisReply *reply) {
        while (!asked(url, g->i))
                g->i++;
        answer(g, url, g->i++, reply);
        if (g->i < N_QUESTIONS)
                return false;
        if (g->r == 0)
                judge(g, url);
        return true;
}
