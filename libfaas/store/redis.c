/*
 * redis.c - "redis://": a store in Redis, or Valkey, or one slot of a cluster
 *
 * Groups are calls of scripts/group.lua on one connection, as many at a time as there are: they
 * overlap on their way, and their order is kept.  When the connection breaks, all that were not
 * answered are sent again, in order and byte for byte; their numbers tell the script which of them
 * ran.  The same is done with what it answers "not now".  What a group means is decided by the
 * script; docs/STORE.md has its keys.
 */
#include "store/redis.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/macros.h"
#include "store/redis-group.h"
#include "store/redis-private.h"
#include "store/redis-run.h"

#define PART_TASKS 4096u              /* of one part of a journal: 64 KiB */
#define SILENCE_NS (15 * FA_NS_PER_S) /* of an answer that is due: the way to it may be dead */
#define TOMB_NS (60 * FA_NS_PER_S)    /* how long ids of collected tasks are remembered */
#define TOMBS_MAX 262144u             /* and how many: some 25 MB */
#define REAP_MAX 2048u                /* looked at in one call: about a millisecond */
#define UNSAFE_NS (2 * FA_NS_PER_S)   /* everysec may be a second late */

static struct redis_store *of(struct fa_store *s) {
        return fa_container_of(s, struct redis_store, store);
}

/* ---- chains ---- */

static void chain_init(struct chain *c) {
        c->first = NULL;
        c->last = &c->first;
}

void fa_redis_chain_add(struct chain *c, struct fa_group *g) {
        g->next = NULL;
        *c->last = g;
        c->last = &g->next;
}

struct fa_group *fa_redis_chain_pop(struct chain *c) {
        struct fa_group *g = c->first;

        if (!g)
                return NULL;
        c->first = g->next;
        if (!c->first)
                c->last = &c->first;
        g->next = NULL;
        return g;
}

bool fa_redis_is_group(const struct redis_store *s, const struct fa_group *g) {
        return g != &s->hello && g != &s->reap && g != &s->aside;
}

/* REBIND before all, then what is out of the sequence, then the sequence. */
static int rank(const struct fa_group *g) {
        if (g->ops[0].kind == FA_OP_REBIND && g->ops[0].state == FA_REBIND_OWN)
                return 0;
        return g->seq ? 2 : 1;
}

static bool before(const struct fa_group *a, const struct fa_group *b) {
        if (rank(a) != rank(b))
                return rank(a) < rank(b);
        return rank(a) == 2 && a->seq < b->seq;
}

/* At its place among those that wait; behind its equals. */
void fa_redis_wait_add(struct redis_store *s, struct fa_group *g) {
        struct fa_group **at = &s->wait.first;

        if (s->wait.first && !before(g, fa_container_of(s->wait.last, struct fa_group, next))) {
                fa_redis_chain_add(&s->wait, g);
                return;
        }
        while (*at && !before(g, *at))
                at = &(*at)->next;
        g->next = *at;
        *at = g;
        if (!g->next)
                s->wait.last = &g->next;
}

/* What was sent and not answered waits again, before what was not sent. */
void fa_redis_flight_back(struct redis_store *s) {
        struct chain unsent = s->wait;

        if (!unsent.first)
                unsent.last = &unsent.first;
        chain_init(&s->wait);
        for (struct fa_group *g; (g = fa_redis_chain_pop(&s->flight));)
                if (fa_redis_is_group(s, g))
                        fa_redis_wait_add(s, g);
        while (unsent.first) {
                struct fa_group *g = unsent.first;
                unsent.first = g->next;
                g->next = NULL;
                fa_redis_wait_add(s, g);
        }
        s->reaping = s->setting_aside = false;
}

/* ---- sending ---- */

static uint64_t script_time(const struct redis_store *s) {
        return s->clock ? *s->clock : 0;
}

static void send_group(struct redis_store *s, struct fa_group *g, uint64_t now_ns) {
        bool oom = now_ns < s->oom_until_ns;

        /* That it was not answered does not say that nothing of it was done. */
        if (g->mark & FA_RGROUP_SENT)
                g->mark |= FA_RGROUP_AGAIN;
        g->mark |= FA_RGROUP_SENT;
        const struct fa_rcall call = {
                .sha = s->sha[oom ? GROUP_OOM : GROUP],
                .meta = s->meta,
                .cfg = &s->cfg,
                .epoch = g->epoch,
                .now_ns = script_time(s),
                .refuse = oom,
                .part = (uint32_t)g->mark,
                .results = s->results,
        };

        fa_rgroup_write(fa_redis_conn_out(s->conn), g, &call);
        if (!s->flight.first)
                s->heard_ns = now_ns;
        fa_redis_chain_add(&s->flight, g);
}

static void send_all(struct redis_store *s, uint64_t now_ns) {
        while (s->phase == PHASE_OPEN && s->wait.first &&
               (rank(s->wait.first) < 2 || now_ns >= s->not_before_ns)) {
                struct fa_group *g = fa_redis_chain_pop(&s->wait);
                send_group(s, g, now_ns);
                /* Those behind it wait for its answer: they may be large, and told the same. */
                if (s->again && g->seq)
                        s->not_before_ns = FA_NEVER;
        }
}

static void put_call(struct redis_store *s, enum script script, size_t n) {
        struct fa_buf *out = fa_redis_conn_out(s->conn);

        fa_redis_put_array(out, 4 + n);
        fa_redis_put_str(out, "EVALSHA");
        fa_redis_put_str(out, s->sha[script]);
        fa_redis_put_str(out, "1");
        fa_redis_put_str(out, s->meta);
}

static void send_reap(struct redis_store *s) {
        struct fa_buf *out = fa_redis_conn_out(s->conn);

        put_call(s, REAP, 5);
        fa_redis_put_u64(out, script_time(s));
        fa_redis_put_u64(out, s->cfg.result_ttl_ns);
        fa_redis_put_u64(out, TOMB_NS);
        fa_redis_put_u64(out, TOMBS_MAX);
        fa_redis_put_u64(out, REAP_MAX);
        fa_redis_chain_add(&s->flight, &s->reap);
        s->reaping = true;
}

static void send_aside(struct redis_store *s) {
        struct fa_buf *out = fa_redis_conn_out(s->conn);

        put_call(s, ASIDE, (size_t)4 * s->n_bad);
        for (unsigned i = 0; i < s->n_bad; i++) {
                const struct bad *bad = &s->bad[i];
                fa_redis_put_bulk(out, bad->id.b, sizeof(bad->id.b));
                fa_redis_put_u64(out, bad->partition);
                fa_redis_put_u64(out, bad->len);
                fa_redis_put_bulk(out, bad->head, sizeof(bad->head));
        }
        s->n_bad = 0;
        fa_redis_chain_add(&s->flight, &s->aside);
        s->setting_aside = true;
}

/* What nobody asked for: clearing up. */
static void send_chores(struct redis_store *s, uint64_t now_ns) {
        if (s->phase != PHASE_OPEN)
                return;
        if (s->n_bad && !s->setting_aside)
                send_aside(s);
        if (!s->reaping && now_ns >= s->reap_at_ns)
                send_reap(s);
}

/* ---- a turn ---- */

static bool is_there(const struct redis_store *s) {
        return fa_redis_conn_state(s->conn, NULL) == 0 &&
               (s->phase == PHASE_DOWN || s->generation == fa_redis_conn_generation(s->conn));
}

static void exchange(struct redis_store *s, uint64_t now_ns) {
        struct redisReply *r;

        fa_redis_conn_turn(s->conn, now_ns);
        if (s->phase != PHASE_DOWN && !is_there(s)) {
                s->phase = PHASE_DOWN;
                fa_redis_flight_back(s);
        }
        while (s->phase != PHASE_DOWN && (r = fa_redis_conn_reply(s->conn))) {
                fa_redis_on_reply(s, r, now_ns);
                freeReplyObject(r);
        }
}

/* What is sent is written at once, and what came meanwhile is read: nothing that was read waits. */
static void turn(struct redis_store *s, uint64_t now_ns) {
        exchange(s, now_ns);
        if (s->phase != PHASE_DOWN && s->flight.first && !s->clock &&
            now_ns - s->heard_ns > SILENCE_NS)
                fa_redis_give_up(s, FAAS_E_UNAVAILABLE, "no answer for 15 s", now_ns);
        if (s->phase == PHASE_DOWN && is_there(s))
                fa_redis_say_hello(s, now_ns);
        send_all(s, now_ns);
        send_chores(s, now_ns);
        if (s->phase != PHASE_DOWN && fa_redis_conn_unsent(s->conn))
                exchange(s, now_ns);
}

/* ---- the table ---- */

static void redis_close(struct fa_store *store) {
        struct redis_store *s = of(store);

        fa_redis_flight_back(s);
        for (struct fa_group *g; (g = fa_redis_chain_pop(&s->wait));)
                fa_group_free(g);
        for (struct fa_group *g; (g = fa_redis_chain_pop(&s->done));)
                fa_group_free(g);
        fa_redis_conn_free(s->conn);
        fa_redis_url_deinit(&s->url);
        free(s);
}

static int redis_open(struct fa_store **ret, const char *url, const struct fa_store_cfg *cfg) {
        struct redis_store *s = calloc(1, sizeof(*s));
        int r;

        if (!s)
                return fa_errno(ENOMEM, "a store in Redis");
        s->cfg = *cfg;
        chain_init(&s->wait);
        chain_init(&s->flight);
        chain_init(&s->done);
        r = fa_redis_url_parse(&s->url, url);
        if (r == 0)
                r = fa_redis_conn_new(&s->conn, &s->url, cfg->seed);
        if (r) {
                fa_redis_url_deinit(&s->url);
                free(s);
                return r;
        }
        (void)snprintf(s->meta, sizeof(s->meta), "{%s}:meta", s->url.prefix);
        *ret = &s->store;
        return 0;
}

/* Where its tasks are written down: the same place however often it is sent. */
static void mark(struct redis_store *s, struct fa_group *g) {
        size_t n = fa_rgroup_accepts(g);

        g->mark = 0;
        /* Another epoch has another journal; its parts may have any numbers that grow. */
        if (g->ops[0].kind == FA_OP_START)
                s->part_n = PART_TASKS;
        if (!n)
                return;
        if (s->part_n >= PART_TASKS) {
                s->part++;
                s->part_n = 0;
        }
        g->mark = s->part;
        s->part_n += (uint32_t)n;
}

static void redis_apply(struct fa_store *store, struct fa_group *g, uint64_t now_ns) {
        struct redis_store *s = of(store);

        mark(s, g);
        for (size_t i = 0; i < g->n; i++)
                if (g->ops[i].kind == FA_OP_RESTORE)
                        g->ops[i].spec->place = 0; /* it may be written elsewhere */
        fa_redis_wait_add(s, g);
}

static struct fa_group *redis_reap(struct fa_store *store, uint64_t now_ns) {
        struct redis_store *s = of(store);

        if (!s->done.first)
                turn(s, now_ns);
        return fa_redis_chain_pop(&s->done);
}

static int redis_fd(const struct fa_store *store) {
        return fa_redis_conn_fd(((const struct redis_store *)store)->conn);
}

static uint64_t redis_deadline(const struct fa_store *store) {
        const struct redis_store *s = (const struct redis_store *)store;
        uint64_t at = fa_redis_conn_deadline(s->conn);

        if (s->done.first || s->phase == PHASE_LOST)
                return 0;
        if (s->phase != PHASE_DOWN && s->flight.first && !s->clock)
                at = FA_MIN(at, s->heard_ns + SILENCE_NS + 1);
        if (s->phase != PHASE_OPEN)
                return at;
        if (s->wait.first)
                at = FA_MIN(at, rank(s->wait.first) < 2 ? 0 : s->not_before_ns);
        return s->reaping ? at : FA_MIN(at, s->reap_at_ns);
}

static void redis_tick(struct fa_store *store, uint64_t now_ns) {
        turn(of(store), now_ns);
}

static int redis_state(const struct fa_store *store, const char **ret_why) {
        const struct redis_store *s = (const struct redis_store *)store;
        int r = fa_redis_conn_state(s->conn, ret_why);

        if (r)
                return r;
        *ret_why = s->why;
        if (s->trouble)
                return s->trouble;
        return s->phase >= PHASE_LOST ? 0 : FAAS_E_AGAIN;
}

static bool redis_lost(struct fa_store *store) {
        struct redis_store *s = of(store);
        bool lost = s->lost;

        /* What was answered before is to be taken first: REBIND goes on behind it. */
        if (s->done.first)
                return false;
        s->lost = false;
        if (s->phase == PHASE_LOST)
                s->phase = PHASE_OPEN;
        return lost;
}

static uint64_t redis_unsafe_ns(const struct fa_store *store) {
        const struct redis_store *s = (const struct redis_store *)store;
        const struct fa_redis_server *server = fa_redis_conn_server(s->conn);

        return server->append_only && server->fsync == FA_REDIS_FSYNC_ALWAYS ? 0 : UNSAFE_NS;
}

#define TABLE(url)                                                                                 \
        {                                                                                          \
                .scheme = (url), .shared = true, .open = redis_open, .close = redis_close,         \
                .apply = redis_apply, .reap = redis_reap, .fd = redis_fd,                          \
                .deadline = redis_deadline, .tick = redis_tick, .state = redis_state,              \
                .lost = redis_lost, .unsafe_ns = redis_unsafe_ns,                                  \
        }

const struct fa_store_ops fa_store_redis = TABLE("redis");
const struct fa_store_ops fa_store_redis_unix = TABLE("redis+unix");

/* ---- for tests ---- */

void fa_redis_for_tests(struct fa_store *store, const uint64_t *now_ns) {
        of(store)->clock = now_ns;
        of(store)->reap_at_ns = 0;
}

bool fa_redis_settled(const struct fa_store *store, uint64_t now_ns) {
        const struct redis_store *s = (const struct redis_store *)store;

        return s->phase == PHASE_OPEN && !s->reaping && s->reap_at_ns > now_ns && !s->wait.first &&
               !s->flight.first;
}
