/*
 * map.h - hash table with 16-byte keys that owns its elements: ids, and peers' numbers
 *
 * Open addressing with linear probing and backward-shift deletion (no tombstones, so a table that
 * lives for years does not rot); grown at 3/4, shrunk at 1/8 full.  Ids in a row stand side by
 * side, four by four (map.c).  The hash is seeded, because ids come from clients.  Elements lie in
 * pages, where an element costs its size and nothing more, and stay where they are; a page that
 * empties is given back.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <faas/task.h>

#include "base/list.h"

/* The first member of every element. */
struct fa_map_node {
        struct faas_id key; /* not to be changed */
        uint32_t index;     /* the map's own: the element's place */
};

struct fa_map_page;

struct fa_map {
        uint64_t *v;    /* slots: low half of the hash << 32 | index + 1; 0: free */
        size_t n, mask; /* mask = capacity - 1, or 0 with v == NULL */
        uint64_t seed;
        uint32_t size;  /* of an element */
        uint32_t shift; /* a page has 1 << shift of them */
        struct fa_map_place {
                struct fa_map_page *page; /* NULL: this number is free */
                uint32_t next_free;       /* number + 1 of another; 0: none */
        } * pages;
        uint32_t n_pages, cap_pages, free_page; /* number + 1; 0: none */
        struct fa_list roomy;                   /* pages with room */
};

/* size: of an element, which begins with a struct fa_map_node. */
void fa_map_init(struct fa_map *m, uint64_t seed, size_t size);

/* Frees the table and the elements, not what they hold; legal on a zeroed map. */
void fa_map_deinit(struct fa_map *m);

/* The element with this key, or NULL. */
void *fa_map_find(const struct fa_map *m, const struct faas_id *key);

/* The same for who remembers its node.index from before: no search, if it is still there. */
void *fa_map_find_at(const struct fa_map *m, const struct faas_id *key, uint32_t index);

/* The element whose node.index this is. */
void *fa_map_at(const struct fa_map *m, uint32_t index);

/* A new element with this key, which is not in the map, all else zero; NULL: no memory. */
void *fa_map_add(struct fa_map *m, const struct faas_id *key);

/* The element with this key, or a new one, in one search; *ret_new says which. */
void *fa_map_find_or_add(struct fa_map *m, const struct faas_id *key, bool *ret_new);

/* The element goes, and its memory. */
void fa_map_remove(struct fa_map *m, struct fa_map_node *node);

/*
 * Walks all elements: start with *it = 0; NULL at the end.  The order is arbitrary.  The map must
 * not change during the walk.
 */
void *fa_map_next(const struct fa_map *m, size_t *it);
