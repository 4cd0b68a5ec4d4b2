/*
 * blob.h - immutable bytes with a reference count: payloads, results, error texts
 *
 * A payload is made once, by the client or by the shell that read it from a socket, and then only
 * referred to: message, core and store share it.  One thread at a time (the count is not atomic).
 * A NULL pointer is the empty blob everywhere.
 */
#pragma once

#include <assert.h>
#include <stddef.h>
#include <stdint.h>

struct fa_blob {
        uint32_t refs; /* FA_BLOB_INSIDE and a distance: it is counted with what it stands in */
        uint32_t len;
        const uint8_t *p; /* len bytes and a NUL behind them if made by fa_blob_new(), _inside() */
        /* What follows is not there with FA_BLOB_INSIDE. */
        void (*release)(void *owner); /* NULL: nothing to do, the bytes follow or are static */
        void *owner;
};

/*
 * A copy of len bytes, a NUL behind it, aligned for any type.  *ret holds one reference.  0 or
 * -ENOMEM (also for 4 GiB and more); len 0 gives NULL.
 */
int fa_blob_new(struct fa_blob **ret, const void *p, size_t len);

/*
 * As fa_blob_new() with uninitialised bytes, to be filled through *ret_p before anyone else sees
 * them; len 0 gives NULL for both.
 */
int fa_blob_new_uninit(struct fa_blob **ret, uint8_t **ret_p, size_t len);

/*
 * Wraps bytes that belong to owner; release(owner), unless NULL, runs when the last reference goes:
 * at once for len 0, which gives NULL.  On -ENOMEM the owner stays the caller's.
 */
int fa_blob_wrap(struct fa_blob **ret,
                 const void *p,
                 size_t len,
                 void (*release)(void *owner),
                 void *owner);

#define FA_BLOB_INSIDE (1u << 31)
#define FA_BLOB_INSIDE_SIZE offsetof(struct fa_blob, release)

/*
 * A blob in the first FA_BLOB_INSIDE_SIZE bytes at b, which lie in an allocation that begins with a
 * count of type uint32_t.  Its references are counted there; with the last one the allocation is
 * freed, so it must hold nothing else.  The bytes p are in it too.
 */
void fa_blob_inside(struct fa_blob *b, const uint8_t *p, size_t len, const uint32_t *count);

static inline uint32_t *fa_blob_count(struct fa_blob *b) {
        return b->refs & FA_BLOB_INSIDE
                       ? (uint32_t *)(void *)((char *)b - (b->refs & ~FA_BLOB_INSIDE))
                       : &b->refs;
}

static inline struct fa_blob *fa_blob_ref(struct fa_blob *b) {
        if (b)
                ++*fa_blob_count(b);
        return b;
}

/* The last reference is gone. */
void fa_blob_free(struct fa_blob *b);

/* Drops one reference; NULL is fine; returns NULL. */
static inline struct fa_blob *fa_blob_unref(struct fa_blob *b) {
        if (b) {
                assert(*fa_blob_count(b) > 0);
                if (--*fa_blob_count(b) == 0)
                        fa_blob_free(b);
        }
        return NULL;
}

static inline size_t fa_blob_len(const struct fa_blob *b) {
        return b ? b->len : 0;
}

static inline const uint8_t *fa_blob_ptr(const struct fa_blob *b) {
        return b ? b->p : (const uint8_t *)"";
}

void fa_blob_unrefp(struct fa_blob **b); /* for FA_CLEANUP */
