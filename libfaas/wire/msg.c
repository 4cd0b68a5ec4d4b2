/*
 * struct fa_msg's life, and the vector of frames.  Owned by whoever made or decoded the message;
 * this file knows nothing of bytes (encode.c, decode.c) nor of what a type contains (table.c).
 */
#include "wire/msg.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/macros.h"

/* The first growth: a message of few items costs one small allocation, a full one six more. */
#define ITEMS_FIRST 4u

#define SPARE_MAX 16

struct fa_msg_pool {
        struct fa_msg *spare;
        uint32_t n_spare;
        uint32_t refs; /* its owner's, and those of messages that are out */
        bool closed;
};

int fa_msg_new(struct fa_msg **ret, enum fa_msg_type type) {
        struct fa_msg *m = calloc(1, sizeof(*m));

        if (!m)
                return -ENOMEM;
        m->type = (uint8_t)type;
        *ret = m;
        return 0;
}

/* Gives up what the message refers to; its own memory stays. */
static void release(struct fa_msg *m) {
        for (uint32_t i = 0; i < m->n_items; i++) {
                struct fa_item *it = &m->items[i];

                if (it->payload)
                        fa_blob_unref(it->payload);
                if (it->text)
                        fa_blob_unref(it->text);
                if (it->log)
                        fa_blob_unref(it->log);
                if (it->owner)
                        it->drop_owner(it->owner);
        }
        free(m->names_own);
        free(m->values);
        fa_blob_unref(m->envelope);
}

static void destroy(struct fa_msg *m) {
        free(m->items);
        free(m);
}

struct fa_msg *fa_msg_free(struct fa_msg *m) {
        struct fa_msg_pool *p;

        if (!m)
                return NULL;
        release(m);
        p = m->pool;
        if (!p || p->closed || p->n_spare == SPARE_MAX) {
                destroy(m);
        } else {
                m->next = p->spare;
                p->spare = m;
                p->n_spare++;
        }
        if (p && --p->refs == 0)
                free(p);
        return NULL;
}

int fa_msg_pool_new(struct fa_msg_pool **ret) {
        struct fa_msg_pool *p = calloc(1, sizeof(*p));

        if (!p)
                return -ENOMEM;
        p->refs = 1;
        *ret = p;
        return 0;
}

void fa_msg_pool_close(struct fa_msg_pool *p) {
        if (!p)
                return;
        while (p->spare) {
                struct fa_msg *m = p->spare;
                p->spare = m->next;
                destroy(m);
        }
        p->closed = true;
        if (--p->refs == 0)
                free(p);
}

int fa_msg_take(struct fa_msg **ret, struct fa_msg_pool *pool, enum fa_msg_type type) {
        struct fa_msg *m = pool ? pool->spare : NULL;

        if (m) {
                pool->spare = m->next;
                pool->n_spare--;
                *m = (struct fa_msg){
                        .type = (uint8_t)type, .items = m->items, .cap_items = m->cap_items};
        } else if (fa_msg_new(&m, type)) {
                return -ENOMEM;
        }
        if (pool)
                pool->refs++;
        m->pool = pool;
        *ret = m;
        return 0;
}

void fa_msg_freep(struct fa_msg **m) {
        fa_msg_free(*m);
}

int fa_msg_reserve(struct fa_msg *m, uint32_t n) {
        struct fa_item *items;

        if (n <= m->cap_items)
                return 0;
        items = realloc(m->items, n * sizeof(*items));
        if (!items)
                return -ENOMEM;
        m->items = items;
        m->cap_items = n;
        return 0;
}

int fa_msg_grow(struct fa_msg *m) {
        return fa_msg_reserve(m, m->cap_items ? m->cap_items * 2 : ITEMS_FIRST);
}

bool fa_name_valid(struct fa_slice name) {
        static const bool legal[256] = {
                ['a'] = 1, ['b'] = 1, ['c'] = 1, ['d'] = 1, ['e'] = 1, ['f'] = 1, ['g'] = 1,
                ['h'] = 1, ['i'] = 1, ['j'] = 1, ['k'] = 1, ['l'] = 1, ['m'] = 1, ['n'] = 1,
                ['o'] = 1, ['p'] = 1, ['q'] = 1, ['r'] = 1, ['s'] = 1, ['t'] = 1, ['u'] = 1,
                ['v'] = 1, ['w'] = 1, ['x'] = 1, ['y'] = 1, ['z'] = 1, ['0'] = 1, ['1'] = 1,
                ['2'] = 1, ['3'] = 1, ['4'] = 1, ['5'] = 1, ['6'] = 1, ['7'] = 1, ['8'] = 1,
                ['9'] = 1, ['.'] = 1, ['_'] = 1, ['-'] = 1,
        };

        if (name.len < 1 || name.len > FA_NAME_MAX)
                return false;
        for (size_t i = 0; i < name.len; i++) {
                if (!legal[name.p[i]])
                        return false;
        }
        return true;
}

int fa_frames_push(struct fa_frames *f, struct fa_blob *frame) {
        if (f->n == f->cap) {
                const size_t cap = f->cap ? f->cap * 2 : 4;
                struct fa_blob **v = realloc(f->v, cap * sizeof(struct fa_blob *));

                if (!v)
                        return -ENOMEM;
                f->v = v;
                f->cap = cap;
        }
        f->v[f->n++] = frame;
        return 0;
}

void fa_frames_clear(struct fa_frames *f) {
        while (f->n > 0)
                fa_blob_unref(f->v[--f->n]);
}

void fa_frames_deinit(struct fa_frames *f) {
        fa_frames_clear(f);
        free(f->v);
        for (size_t i = 0; i < FA_ARRAY_SIZE(f->used); i++)
                fa_blob_unref(f->used[i].b);
        *f = (struct fa_frames)FA_FRAMES_NULL;
}
