/*
 * redis-reply.c - what Redis answers: to hello, to groups, and errors
 *
 * An error answer means that nothing has run, or that the sequence knows what has; so whatever it
 * is, the connection is given up, and all that was not answered is sent again on the next one.
 */
#include <errno.h>
#include <hiredis/hiredis.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <faas/client.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/macros.h"
#include "store/redis-group.h"
#include "store/redis-private.h"
#include "store/redis-scripts.h"

#define SCHEMA "3"
#define REFUSALS_MAX 25 /* so often "not there": half a second.  Then it connects anew */
#define OOM_LOG_NS (60 * FA_NS_PER_S) /* so often an operator is told of it */
#define OOM_NS FA_NS_PER_S /* without memory: so long it is not asked whether it has some again */
#define REAP_NS FA_NS_PER_S
#define REAP_MIN_NS (50 * FA_NS_PER_MS)
#define VERSION_7 0x070000u /* scripts that may run without memory */

/* ---- trouble ---- */

static void no_trouble(struct redis_store *s) {
        s->trouble = 0;
        s->why[0] = 0;
}

/* Gives the connection up, and says why. */
void fa_redis_give_up(struct redis_store *s, int r, const char *why, uint64_t now_ns) {
        fa_redis_conn_break(s->conn, now_ns, r, why);
        s->phase = PHASE_DOWN;
        fa_redis_flight_back(s);
}

/* An error reply.  Whatever it is, nothing has run, or the sequence knows what has. */
static void on_error(struct redis_store *s, const char *text, uint64_t now_ns) {
        const char *bare = fa_redis_error_bare(text);
        char why[300];
        int r = FAAS_E_UNAVAILABLE;

        switch (fa_redis_error_of(text)) {
        case FA_REDIS_MOVED:
                if (fa_redis_conn_moved(s->conn, text, now_ns)) {
                        s->phase = PHASE_DOWN;
                        fa_redis_flight_back(s);
                        return;
                }
                break;
        case FA_REDIS_NOAUTH:
        case FA_REDIS_WRONGPASS:
                r = -EACCES;
                break;
        case FA_REDIS_NOPERM:
                (void)snprintf(why, sizeof(why),
                               "user %.60s lacks a right that is needed here: %.190s",
                               s->url.user[0] ? s->url.user : "default", bare);
                fa_redis_give_up(s, -EACCES, why, now_ns);
                return;
        case FA_REDIS_WRONGTYPE:
                (void)snprintf(
                        why, sizeof(why),
                        "a key that begins with {%s}: is not ours; choose another prefix (%.140s)",
                        s->url.prefix, bare);
                fa_redis_give_up(s, -EINVAL, why, now_ns);
                return;
        default:
                break;
        }
        (void)snprintf(why, sizeof(why), "%.280s", bare);
        fa_redis_give_up(s, r, why, now_ns);
}

/* ---- hello ---- */

static void put_script(struct fa_buf *out, const char *flags, const char *text) {
        fa_redis_begin_bulk(out, strlen(flags) + strlen(text));
        fa_buf_put(out, flags, strlen(flags));
        fa_buf_put(out, text, strlen(text));
        fa_redis_end_bulk(out);
}

static void put_load(struct fa_buf *out, const char *flags, const char *text) {
        fa_redis_put_array(out, 3);
        fa_redis_put_str(out, "SCRIPT");
        fa_redis_put_str(out, "LOAD");
        put_script(out, flags, text);
}

/* What it said of itself: fit for us? */
static bool refuse_server(struct redis_store *s, uint64_t now_ns) {
        const struct fa_redis_server *server = fa_redis_conn_server(s->conn);

        if (!server->evicts || s->cfg.evicting_ok)
                return false;
        fa_redis_give_up(
                s, -EINVAL,
                "it may evict keys (its maxmemory-policy is not noeviction), tasks among them; set "
                "noeviction there, or accept that by --allow-eviction",
                now_ns);
        return true;
}

/* Without the flag a script cannot run when Redis is out of memory; older ones have no flags. */
void fa_redis_say_hello(struct redis_store *s, uint64_t now_ns) {
        const struct fa_redis_server *server = fa_redis_conn_server(s->conn);
        struct fa_buf *out = fa_redis_conn_out(s->conn);
        const char *oom = server->version >= VERSION_7 ? "#!lua flags=allow-oom\n" : "";

        if (refuse_server(s, now_ns))
                return;
        s->phase = PHASE_HELLO;
        s->generation = fa_redis_conn_generation(s->conn);
        s->heard_ns = now_ns;
        s->n_loading = _SCRIPT_N;
        put_load(out, "", fa_redis_lua_group);
        put_load(out, oom, fa_redis_lua_group);
        put_load(out, oom, fa_redis_lua_reap);
        put_load(out, oom, fa_redis_lua_aside);
        fa_redis_put_array(out, 6);
        fa_redis_put_str(out, "EVAL");
        put_script(out, oom, fa_redis_lua_hello);
        fa_redis_put_str(out, "1");
        fa_redis_put_str(out, s->meta);
        fa_redis_put_str(out, SCHEMA);
        fa_redis_put_str(out, server->run_id);
        fa_redis_chain_add(&s->flight, &s->hello);
}

static void on_schema(struct redis_store *s, const redisReply *r, uint64_t now_ns) {
        char why[300];

        if (r->type != REDIS_REPLY_ARRAY || r->elements < 2 ||
            r->element[0]->type != REDIS_REPLY_INTEGER || !r->element[1]->str) {
                fa_redis_give_up(s, FAAS_E_UNAVAILABLE, "it gave no sense as answer to hello",
                                 now_ns);
                return;
        }
        if (r->element[0]->integer == strtol(SCHEMA, NULL, 10)) {
                const char *run_id = fa_redis_conn_server(s->conn)->run_id;
                bool again = s->run_id[0] && strcmp(s->run_id, run_id) != 0;
                s->is_new |= strcmp(s->run_id, run_id) != 0;
                (void)snprintf(s->run_id, sizeof(s->run_id), "%s", run_id);
                s->lost |= again;
                s->phase = s->lost ? PHASE_LOST : PHASE_OPEN;
                s->not_before_ns = 0;
                s->refusals = 0;
                no_trouble(s);
                return;
        }
        if (r->element[0]->integer)
                (void)snprintf(
                        why, sizeof(why),
                        "%s is of another version of libfaas: it has schema %.20s, expected " SCHEMA
                        "; choose another prefix",
                        s->meta, r->element[1]->str);
        else
                (void)snprintf(why, sizeof(why),
                               "%s is a %.20s that is not ours; choose another prefix", s->meta,
                               r->element[1]->str);
        fa_redis_give_up(s, r->element[0]->integer ? FAAS_E_VERSION : -EINVAL, why, now_ns);
}

/* false: it stays at the head of what is under way. */
static bool on_hello(struct redis_store *s, const redisReply *r, uint64_t now_ns) {
        if (!s->n_loading) {
                on_schema(s, r, now_ns);
                return true;
        }
        if (r->type == REDIS_REPLY_STRING && r->len == 40)
                memcpy(s->sha[_SCRIPT_N - s->n_loading], r->str, 41);
        s->n_loading--;
        return false;
}

/* ---- answers ---- */

/* The next one is due now if there is more to do, else when something gets too old. */
static void on_reap(struct redis_store *s, const redisReply *r, uint64_t now_ns) {
        uint64_t wait = REAP_NS;

        s->reaping = false;
        if (r->type == REDIS_REPLY_ARRAY && r->elements == 2 && r->element[1]->str) {
                int64_t due = strtoll(r->element[1]->str, NULL, 10);
                if (r->element[0]->integer)
                        wait = 0;
                else if (s->clock)
                        wait = due < 0 ? FA_NEVER - now_ns : (uint64_t)due;
                else if (due >= 0)
                        wait = FA_MIN(FA_MAX((uint64_t)due, REAP_MIN_NS), REAP_NS);
        }
        s->reap_at_ns = now_ns + wait;
}

/* Not now: it and those behind it are sent again a moment later.  Too often "not there" may mean
 * that something between us hides that the server was started again. */
static void refused(struct redis_store *s, struct fa_group *g, uint64_t now_ns) {
        s->not_before_ns = now_ns + FA_REDIS_AGAIN_NS;
        s->again = true;
        s->refusals += g->r == FAAS_E_UNAVAILABLE;
        g->r = 0;
        fa_redis_wait_add(s, g);
        if (s->refusals >= REFUSALS_MAX)
                fa_redis_give_up(s, FAAS_E_UNAVAILABLE,
                                 "it refuses groups: perhaps it was started again", now_ns);
}

static void on_bad(void *arg, const struct faas_id *id, struct fa_slice record) {
        struct redis_store *s = arg;
        char text[FAAS_ID_TEXT_LEN + 1];

        if (s->n_bad < FA_REDIS_BAD_MAX && record.len >= FA_RREC_HEAD) {
                struct bad *bad = &s->bad[s->n_bad++];
                *bad = (struct bad){*id, fa_rrec_partition(record), record.len, {0}};
                memcpy(bad->head, record.p, FA_RREC_HEAD);
        }
        faas_id_format(id, text);
        if (fa_log_rate(&s->log_bad, FAAS_LOG_WARNING, fa_now()))
                fa_log(FAAS_LOG_WARNING,
                       "store %s: the record of %s makes no sense and is set aside in {%s}:bad",
                       s->url.shown, text, s->url.prefix);
}

/* Redis has no memory for it.  Then all but new tasks goes on, with scripts that may. */
static void on_oom(struct redis_store *s, struct fa_group *g, const char *text, uint64_t now_ns) {
        bool may = fa_redis_conn_server(s->conn)->version >= VERSION_7;

        fa_redis_wait_add(s, g);
        if (may && now_ns >= s->oom_until_ns) {
                s->oom_until_ns = now_ns + OOM_NS;
                s->not_before_ns = now_ns;
                if (!s->log_oom_ns || now_ns - s->log_oom_ns >= OOM_LOG_NS) {
                        s->log_oom_ns = now_ns;
                        fa_log(FAAS_LOG_WARNING,
                               "store: redis %s has no memory left (maxmemory): new tasks are "
                               "refused, all else goes on",
                               s->url.shown);
                }
                return;
        }
        s->not_before_ns = now_ns + 5 * FA_REDIS_AGAIN_NS;
        s->trouble = FAAS_E_UNAVAILABLE;
        (void)snprintf(s->why, sizeof(s->why), "redis %s: %.160s", s->url.shown, text);
}

/* Who runs a Redis as it comes may not know that it forgets. */
static void warn_of_loss(struct redis_store *s) {
        const struct fa_redis_server *server = fa_redis_conn_server(s->conn);

        if (s->is_new && server->append_known && !server->append_only)
                fa_log(FAAS_LOG_WARNING,
                       "store: redis %s has appendonly off: tasks since its last snapshot are lost "
                       "when it ends",
                       s->url.shown);
        s->is_new = false;
}

static void
on_group(struct redis_store *s, struct fa_group *g, const redisReply *r, uint64_t now_ns) {
        if (fa_rgroup_read(g, r, &s->results, on_bad, s)) {
                fa_redis_wait_add(s, g);
                fa_redis_give_up(s, FAAS_E_UNAVAILABLE, "it gave no sense as answer to a group",
                                 now_ns);
                return;
        }
        if (!s->clock && (g->r == FAAS_E_UNAVAILABLE || g->r == FAAS_E_AGAIN)) {
                refused(s, g, now_ns);
                return;
        }
        s->refusals = 0;
        no_trouble(s);
        warn_of_loss(s);
        if (s->again && g->seq) {
                s->again = false;
                s->not_before_ns = 0;
        }
        fa_redis_chain_add(&s->done, g);
}

void fa_redis_on_reply(struct redis_store *s, const redisReply *r, uint64_t now_ns) {
        struct fa_group *g = s->flight.first;

        s->heard_ns = now_ns;
        if (!g) {
                fa_redis_give_up(s, FAAS_E_UNAVAILABLE, "it answered what was not asked", now_ns);
                return;
        }
        if (r->type == REDIS_REPLY_ERROR &&
            (!fa_redis_is_group(s, g) || fa_redis_error_of(r->str) != FA_REDIS_OOM)) {
                on_error(s, r->str, now_ns);
                return;
        }
        if (g == &s->hello) {
                if (on_hello(s, r, now_ns) && s->flight.first == g)
                        (void)fa_redis_chain_pop(&s->flight);
                return;
        }
        (void)fa_redis_chain_pop(&s->flight);
        if (g == &s->reap)
                on_reap(s, r, now_ns);
        else if (g == &s->aside)
                s->setting_aside = false;
        else if (r->type == REDIS_REPLY_ERROR)
                on_oom(s, g, r->str, now_ns);
        else
                on_group(s, g, r, now_ns);
}
