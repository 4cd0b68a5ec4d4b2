/*
 * heap.h - binary min-heap of deadlines; each element knows its place, to be moved or removed
 *
 * Elements are embedded, the array of pointers is the heap's.  O(log n) for all but peek.  Nodes
 * with equal keys come in any order, but in the same one whenever the same calls are made.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct fa_heap_node {
        uint64_t key;   /* the deadline in ns */
        uint32_t index; /* place in the heap + 1; 0: in no heap */
};

struct fa_heap {
        struct fa_heap_node **v;
        size_t n, cap;
};

#define FA_HEAP_NULL                                                                               \
        { NULL, 0, 0 }

/* Frees the array, not the elements; legal on FA_HEAP_NULL. */
void fa_heap_deinit(struct fa_heap *h);

/* Makes room so that the next n calls of fa_heap_set() for new nodes cannot fail. 0 or -ENOMEM. */
int fa_heap_reserve(struct fa_heap *h, size_t n);

/* Inserts node, or moves it if it is in the heap. 0 or -ENOMEM (only for a new node). */
int fa_heap_set(struct fa_heap *h, struct fa_heap_node *node, uint64_t key);

/* Legal on a node (index 0) that is in no heap. */
void fa_heap_remove(struct fa_heap *h, struct fa_heap_node *node);

/* The node with the smallest key, or NULL. */
struct fa_heap_node *fa_heap_peek(const struct fa_heap *h);
