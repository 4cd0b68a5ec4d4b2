/*
 * store.h - where state and results live: the table of back-ends, and wrappers that keep the
 * contract
 *
 * The dispatcher's shell hands groups in and takes them out again, answered, in the same order. The
 * meaning of each operation is model/op.h and, in code, store/memory.c.  A back-end is one file
 * that passes tests/store/conformance.h unchanged.
 */
#pragma once

#include <stdint.h>

#include "model/op.h"

struct fa_store;

/* A member left 0 takes its default. */
struct fa_store_cfg {
        uint64_t max_tasks;     /* open tasks; beyond it ACCEPT gives FAAS_E_LIMIT; 0: 4,194,304 */
        uint64_t max_bytes;     /* what they occupy; 0: 1 GiB */
        uint64_t result_bytes;  /* uncollected results; the oldest go first; 0: 256 MiB */
        uint64_t result_ttl_ns; /* how long an uncollected result is kept; 0: 1 h */
        uint64_t tick_ns;       /* length of one tick of the leases; 0: 1 s */
        uint32_t lease_ticks;   /* a lease so old has run out; 0: 3 */
        uint64_t seed;          /* random: for hash tables */
        bool evicting_ok;       /* use the store although it may evict what it was given */
};

struct fa_store_ops {
        const char *scheme; /* "memory" */
        bool shared; /* several dispatchers may use it, so leases count, and it outlives them */

        /* MANDATORY. Starts; does not block. On failure nothing is left behind, *ret is untouched.
         */
        int (*open)(struct fa_store **ret, const char *url, const struct fa_store_cfg *cfg);

        /* MANDATORY. Frees all, also groups not answered yet. */
        void (*close)(struct fa_store *s);

        /* MANDATORY. Takes a group; never blocks. It comes back from reap() when its fate is known.
         */
        void (*apply)(struct fa_store *s, struct fa_group *g, uint64_t now_ns);

        /* MANDATORY. The next answered group, in the order of apply(); NULL: none now. */
        struct fa_group *(*reap)(struct fa_store *s, uint64_t now_ns);

        /* OPTIONAL. What to poll for reap(): -1 or absent: nothing. */
        int (*fd)(const struct fa_store *s);

        /* OPTIONAL. When tick() must be called; absent: never. */
        uint64_t (*deadline)(const struct fa_store *s);
        void (*tick)(struct fa_store *s, uint64_t now_ns);

        /*
         * OPTIONAL; absent: it is always there.  0: it is.  FAAS_E_AGAIN: not yet, and nothing has
         * failed so far.  FAAS_E_UNAVAILABLE: it is not, and is tried again.  Anything else: it
         * cannot be used as it is (FAAS_E_VERSION, -EACCES, -EINVAL ...); it is tried again all the
         * same, for somebody may mend it.  *ret_why is the store's: one line, "" for the first two.
         */
        int (*state)(const struct fa_store *s, const char **ret_why);

        /*
         * OPTIONAL; absent: never.  Since the last call the store was started again and may have
         * lost its last writes: FA_EV_STORE_LOST.  It goes on only when this was asked, and control
         * groups that apply() is given before the next reap() go before all others.
         */
        bool (*lost)(struct fa_store *s);

        /* OPTIONAL; absent: 0.  How long a group may be lost after it was answered. */
        uint64_t (*unsafe_ns)(const struct fa_store *s);
};

/* Every store embeds this first. */
struct fa_store {
        const struct fa_store_ops *ops;
};

extern const struct fa_store_ops fa_store_memory;
extern const struct fa_store_ops fa_store_redis, fa_store_redis_unix; /* as built: option redis */

/*
 * Opens by the URL's scheme: "memory:", "redis://...", "redis+unix:///...".  0; FAAS_E_NOENT
 * unknown scheme; -EINVAL bad URL; -ENOMEM; fa_error() has the text.
 */
int fa_store_open(struct fa_store **ret, const char *url, const struct fa_store_cfg *cfg);
struct fa_store *fa_store_close(struct fa_store *s); /* NULL is fine; returns NULL */

void fa_store_apply(struct fa_store *s, struct fa_group *g, uint64_t now_ns);
struct fa_group *fa_store_reap(struct fa_store *s, uint64_t now_ns);
int fa_store_fd(const struct fa_store *s);
uint64_t fa_store_deadline(const struct fa_store *s);
void fa_store_tick(struct fa_store *s, uint64_t now_ns);
int fa_store_state(const struct fa_store *s, const char **ret_why);
bool fa_store_lost(struct fa_store *s);
uint64_t fa_store_unsafe_ns(const struct fa_store *s);
