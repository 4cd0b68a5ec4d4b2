/*
 * blob.c - immutable bytes with a reference count
 *
 * One allocation holds the count and the bytes, because most payloads are small and are made and
 * dropped once per task.
 */
#include "base/blob.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* The bytes begin behind the struct, where any type may stand. */
union head {
        struct fa_blob blob;
        max_align_t align;
};

int fa_blob_new_uninit(struct fa_blob **ret, uint8_t **ret_p, size_t len) {
        if (len == 0) {
                *ret = NULL;
                *ret_p = NULL;
                return 0;
        }
        /* len is 32 bits; what a 32-bit size_t cannot hold is refused with it. */
        if (len >= UINT32_MAX - sizeof(union head))
                return -ENOMEM;

        union head *h = malloc(sizeof(*h) + len + 1);
        if (!h)
                return -ENOMEM;
        uint8_t *p = (uint8_t *)(h + 1);
        p[len] = '\0';
        h->blob = (struct fa_blob){.refs = 1, .len = (uint32_t)len, .p = p};
        *ret = &h->blob;
        *ret_p = p;
        return 0;
}

int fa_blob_new(struct fa_blob **ret, const void *p, size_t len) {
        uint8_t *bytes;
        int r = fa_blob_new_uninit(ret, &bytes, len);

        if (r == 0 && len > 0)
                memcpy(bytes, p, len);
        return r;
}

int fa_blob_wrap(struct fa_blob **ret,
                 const void *p,
                 size_t len,
                 void (*release)(void *owner),
                 void *owner) {
        if (len > UINT32_MAX)
                return -ENOMEM;
        if (len == 0) {
                if (release)
                        release(owner);
                *ret = NULL;
                return 0;
        }

        struct fa_blob *b = malloc(sizeof(*b));
        if (!b)
                return -ENOMEM;
        *b = (struct fa_blob){
                .refs = 1, .len = (uint32_t)len, .p = p, .release = release, .owner = owner};
        *ret = b;
        return 0;
}

void fa_blob_inside(struct fa_blob *b, const uint8_t *p, size_t len, const uint32_t *count) {
        b->refs = FA_BLOB_INSIDE | (uint32_t)((const char *)b - (const char *)count);
        b->len = (uint32_t)len;
        b->p = p;
}

void fa_blob_free(struct fa_blob *b) {
        if (b->refs & FA_BLOB_INSIDE) {
                free(fa_blob_count(b));
        } else {
                if (b->release)
                        b->release(b->owner);
                free(b);
        }
}

void fa_blob_unrefp(struct fa_blob **b) {
        fa_blob_unref(*b);
}
