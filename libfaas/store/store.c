/*
 * store.c - the table of back-ends and the wrappers that hold the contract
 *
 * Back-ends stay naive: defaults, the choice by scheme and the assertions live here once.
 */
#include "store/store.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/error.h"

static const struct fa_store_ops *const stores[] = {
        &fa_store_memory,
#if FA_WITH_REDIS
        &fa_store_redis,
        &fa_store_redis_unix,
#endif
};

#if FA_WITH_REDIS
#define KNOWN "memory:, redis://..., redis+unix:///... (no TLS yet)"
#else
#define KNOWN "memory: (this library was built without Redis)"
#endif

static struct fa_store_cfg defaults(const struct fa_store_cfg *cfg) {
        struct fa_store_cfg c = cfg ? *cfg : (struct fa_store_cfg){0};

        if (!c.max_tasks)
                c.max_tasks = 4u << 20;
        if (!c.max_bytes)
                c.max_bytes = UINT64_C(1) << 30;
        if (!c.result_bytes)
                c.result_bytes = UINT64_C(256) << 20;
        if (!c.result_ttl_ns)
                c.result_ttl_ns = 3600 * FA_NS_PER_S;
        if (!c.tick_ns)
                c.tick_ns = FA_NS_PER_S;
        if (!c.lease_ticks)
                c.lease_ticks = 3;
        return c;
}

int fa_store_open(struct fa_store **ret, const char *url, const struct fa_store_cfg *cfg) {
        struct fa_store_cfg c = defaults(cfg);
        const char *colon = strchr(url, ':');

        if (!colon)
                return fa_error(-EINVAL,
                                "store \"%s\": expected SCHEME:..., for example memory:", url);
        for (size_t i = 0; i < FA_ARRAY_SIZE(stores); i++) {
                size_t len = strlen(stores[i]->scheme);
                if ((size_t)(colon - url) == len && memcmp(url, stores[i]->scheme, len) == 0) {
                        int r = stores[i]->open(ret, url, &c);
                        if (r == 0)
                                (*ret)->ops = stores[i];
                        return r;
                }
        }
        /* What stands before an @ may be a password. */
        return fa_error(FAAS_E_NOENT, "store \"%.*s\": unknown scheme; known: " KNOWN,
                        (int)(strchr(url, '@') ? (size_t)(colon - url + 1) : strlen(url)), url);
}

struct fa_store *fa_store_close(struct fa_store *s) {
        if (s)
                s->ops->close(s);
        return NULL;
}

void fa_store_apply(struct fa_store *s, struct fa_group *g, uint64_t now_ns) {
        assert(g->n > 0 && !g->next);
        s->ops->apply(s, g, now_ns);
}

struct fa_group *fa_store_reap(struct fa_store *s, uint64_t now_ns) {
        struct fa_group *g = s->ops->reap(s, now_ns);

        assert(!g || !g->next);
        return g;
}

int fa_store_fd(const struct fa_store *s) {
        return s->ops->fd ? s->ops->fd(s) : -1;
}

uint64_t fa_store_deadline(const struct fa_store *s) {
        return s->ops->deadline ? s->ops->deadline(s) : FA_NEVER;
}

void fa_store_tick(struct fa_store *s, uint64_t now_ns) {
        if (s->ops->tick)
                s->ops->tick(s, now_ns);
}

int fa_store_state(const struct fa_store *s, const char **ret_why) {
        *ret_why = "";
        return s->ops->state ? s->ops->state(s, ret_why) : 0;
}

bool fa_store_lost(struct fa_store *s) {
        return s->ops->lost && s->ops->lost(s);
}

uint64_t fa_store_unsafe_ns(const struct fa_store *s) {
        return s->ops->unsafe_ns ? s->ops->unsafe_ns(s) : 0;
}
