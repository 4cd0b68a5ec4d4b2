/* redis-private.h - the Redis store's inside, shared by redis.c and redis-reply.c */
#pragma once

#include <hiredis/hiredis.h>

#include "base/log.h"
#include "store/redis-conn.h"
#include "store/redis-record.h"
#include "store/redis-url.h"
#include "store/store.h"

#define FA_REDIS_AGAIN_NS (20 * FA_NS_PER_MS) /* "not now" is asked again after so long */
#define FA_REDIS_BAD_MAX 64u                  /* records set aside in one call */

enum script { GROUP, GROUP_OOM, REAP, ASIDE, _SCRIPT_N };

enum phase {
        PHASE_DOWN,  /* no connection that has heard hello */
        PHASE_HELLO, /* scripts are being loaded, and the schema is looked at */
        PHASE_LOST,  /* the dispatcher has not heard yet that the server was started again */
        PHASE_OPEN
};

/* A record to be set aside, if it still is the one that was read. */
struct bad {
        struct faas_id id;
        uint64_t partition;
        size_t len;
        uint8_t head[FA_RREC_HEAD];
};

/* A chain of groups, by .next. */
struct chain {
        struct fa_group *first, **last;
};

struct redis_store {
        struct fa_store store; /* first: the table's pointer is the store's */
        struct fa_store_cfg cfg;
        struct fa_redis_url url;
        struct fa_redis_conn *conn;
        char meta[FA_REDIS_PREFIX_MAX + 8]; /* "{prefix}:meta" */
        enum phase phase;
        uint64_t generation; /* of the connection that .flight is on */
        char run_id[41];     /* of the server that the last hello was said to */
        bool lost;
        bool is_new; /* that server has not run a group yet */
        char sha[_SCRIPT_N][41];
        unsigned n_loading;  /* scripts whose numbers have not come yet */
        struct chain wait;   /* to be sent: control groups, then the others in their order */
        struct chain flight; /* sent, in order; also hello, reap and aside */
        struct chain done;   /* answered, for reap() */
        struct fa_group hello, reap, aside; /* stand in .flight for calls that are no groups */
        bool reaping, setting_aside;
        uint64_t reap_at_ns;
        uint64_t not_before_ns; /* ordinary groups are not sent again before */
        uint64_t heard_ns;      /* when an answer came last, or was first waited for */
        uint64_t oom_until_ns;
        bool again;            /* an ordinary group was told "not now", and none has run since */
        unsigned refusals;     /* one after the other */
        uint32_t part, part_n; /* of the home partition's journal, and how many are in it */
        uint32_t results;      /* part of the log of results, as it was last told */
        struct bad bad[FA_REDIS_BAD_MAX];
        unsigned n_bad;
        struct fa_log_rate log_bad;
        uint64_t log_oom_ns; /* when that was said last */
        int trouble;         /* as state(); 0: none but the connection's own */
        char why[512];
        const uint64_t *clock; /* tests' */
};

/* redis.c */
struct fa_group *fa_redis_chain_pop(struct chain *c);
void fa_redis_chain_add(struct chain *c, struct fa_group *g);
/* A group, and not one of the three that stand for calls of other scripts? */
bool fa_redis_is_group(const struct redis_store *s, const struct fa_group *g);
/* At its place among those that wait; behind its equals. */
void fa_redis_wait_add(struct redis_store *s, struct fa_group *g);
/* What was sent and not answered waits again, before what was not sent. */
void fa_redis_flight_back(struct redis_store *s);

/* redis-reply.c */
void fa_redis_give_up(struct redis_store *s, int r, const char *why, uint64_t now_ns);
void fa_redis_say_hello(struct redis_store *s, uint64_t now_ns);
void fa_redis_on_reply(struct redis_store *s, const redisReply *r, uint64_t now_ns);
