/*
 * heap.c - binary min-heap of deadlines
 *
 * The owner embeds the nodes and reads the head once per turn; everything else is a sift.  A node's
 * index is its place + 1, so that a zeroed node is in no heap.
 */
#include "base/heap.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "base/macros.h"

void fa_heap_deinit(struct fa_heap *h) {
        free(h->v);
        *h = (struct fa_heap)FA_HEAP_NULL;
}

int fa_heap_reserve(struct fa_heap *h, size_t n) {
        if (fa_likely(n <= h->cap - h->n))
                return 0;
        /* An index is 32 bits; halved, so that neither the doubling nor the array's size wraps. */
        if (n > UINT32_MAX / 2 - h->n)
                return -ENOMEM;

        size_t cap = FA_MAX(FA_MAX(h->n + n, h->cap * 2), 16);
        struct fa_heap_node **v = reallocarray(h->v, cap, sizeof(struct fa_heap_node *));
        if (!v)
                return -ENOMEM;
        h->v = v;
        h->cap = cap;
        return 0;
}

static void place(struct fa_heap *h, size_t i, struct fa_heap_node *node) {
        h->v[i] = node;
        node->index = (uint32_t)i + 1;
}

/* Puts node at i or above, and what is in its way one floor down. */
static void sift_up(struct fa_heap *h, size_t i, struct fa_heap_node *node) {
        while (i > 0) {
                size_t parent = (i - 1) / 2;

                if (h->v[parent]->key <= node->key)
                        break;
                place(h, i, h->v[parent]);
                i = parent;
        }
        place(h, i, node);
}

/* Puts node at i or below, and what is in its way one floor up. */
static void sift_down(struct fa_heap *h, size_t i, struct fa_heap_node *node) {
        for (;;) {
                size_t child = 2 * i + 1;

                if (child >= h->n)
                        break;
                if (child + 1 < h->n && h->v[child + 1]->key < h->v[child]->key)
                        child++;
                if (node->key <= h->v[child]->key)
                        break;
                place(h, i, h->v[child]);
                i = child;
        }
        place(h, i, node);
}

int fa_heap_set(struct fa_heap *h, struct fa_heap_node *node, uint64_t key) {
        if (node->index == 0) {
                int r = fa_heap_reserve(h, 1);
                if (r)
                        return r;
                node->key = key;
                sift_up(h, h->n++, node);
                return 0;
        }

        size_t i = node->index - 1;
        assert(i < h->n && h->v[i] == node);
        bool later = key > node->key;
        node->key = key;
        if (later)
                sift_down(h, i, node);
        else
                sift_up(h, i, node);
        return 0;
}

void fa_heap_remove(struct fa_heap *h, struct fa_heap_node *node) {
        if (node->index == 0)
                return;

        size_t i = node->index - 1;
        assert(i < h->n && h->v[i] == node);
        struct fa_heap_node *last = h->v[--h->n];
        node->index = 0;
        if (last == node)
                return;

        /* The last one comes from another branch: it may belong above the hole as well as below. */
        if (last->key > node->key)
                sift_down(h, i, last);
        else
                sift_up(h, i, last);
}

struct fa_heap_node *fa_heap_peek(const struct fa_heap *h) {
        return h->n > 0 ? h->v[0] : NULL;
}
