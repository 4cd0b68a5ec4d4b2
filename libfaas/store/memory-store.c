/*
 * memory-store.c - "memory:" as a back-end of the table in store.h
 *
 * One dispatcher's own state: a group runs inside apply() and waits, answered, for reap().
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "store/memory.h"

struct memory_store {
        struct fa_store store; /* first: the table's pointer is the store's */
        struct fa_memory *m;
        struct fa_group *first, **last; /* answered, in order */
};

static void memory_close(struct fa_store *store) {
        struct memory_store *s = fa_container_of(store, struct memory_store, store);

        while (s->first) {
                struct fa_group *g = s->first;
                s->first = g->next;
                fa_group_free(g);
        }
        fa_memory_free(s->m);
        free(s);
}

static int memory_open(struct fa_store **ret, const char *url, const struct fa_store_cfg *cfg) {
        struct memory_store *s;

        if (strcmp(url, "memory:") != 0)
                return fa_error(-EINVAL, "store \"%s\": nothing may follow memory:", url);
        s = calloc(1, sizeof(*s));
        if (!s || fa_memory_new(&s->m, cfg)) {
                free(s);
                return fa_errno(ENOMEM, "store \"%s\"", url);
        }
        s->last = &s->first;
        *ret = &s->store;
        return 0;
}

static void memory_apply(struct fa_store *store, struct fa_group *g, uint64_t now_ns) {
        struct memory_store *s = fa_container_of(store, struct memory_store, store);

        fa_memory_run(s->m, g, now_ns);
        g->next = NULL;
        *s->last = g;
        s->last = &g->next;
}

static struct fa_group *memory_reap(struct fa_store *store, uint64_t now_ns) {
        struct memory_store *s = fa_container_of(store, struct memory_store, store);
        struct fa_group *g = s->first;

        if (g) {
                s->first = g->next;
                if (!s->first)
                        s->last = &s->first;
                g->next = NULL;
        }
        return g;
}

static uint64_t memory_deadline(const struct fa_store *store) {
        return fa_memory_deadline(((const struct memory_store *)store)->m);
}

static void memory_tick(struct fa_store *store, uint64_t now_ns) {
        fa_memory_tick(fa_container_of(store, struct memory_store, store)->m, now_ns);
}

struct fa_memory *fa_memory_of(struct fa_store *store) {
        assert(store->ops == &fa_store_memory);
        return fa_container_of(store, struct memory_store, store)->m;
}

const struct fa_store_ops fa_store_memory = {
        .scheme = "memory",
        .open = memory_open,
        .close = memory_close,
        .apply = memory_apply,
        .reap = memory_reap,
        .deadline = memory_deadline,
        .tick = memory_tick,
};
