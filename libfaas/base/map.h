/*
 * map.h - intrusive hash table with 16-byte keys: ids, and peers' numbers
 *
 * Open addressing with linear probing and backward-shift deletion (no tombstones, so a table that
 * lives for years does not rot); grown at 3/4, shrunk at 1/8 full.  The hash is seeded, because
 * ids come from clients.  Elements are embedded and owned by the caller.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <faas/task.h>

struct fa_map_node {
        struct faas_id key;
};

struct fa_map_slot {
        struct fa_map_node *node; /* NULL: free */
        uint64_t hash;
};

struct fa_map {
        struct fa_map_slot *v;
        size_t n, mask; /* mask = capacity - 1, or 0 with v == NULL */
        uint64_t seed;
};

void fa_map_init(struct fa_map *m, uint64_t seed);

/* Frees the table, not the elements; legal on a zeroed map. */
void fa_map_deinit(struct fa_map *m);

/* The node with this key, or NULL. */
struct fa_map_node *fa_map_find(const struct fa_map *m, const struct faas_id *key);

/* node->key is set by the caller and is not in the map. 0 or -ENOMEM. */
int fa_map_insert(struct fa_map *m, struct fa_map_node *node);

/* node is in the map. */
void fa_map_remove(struct fa_map *m, struct fa_map_node *node);

/*
 * Walks all nodes: start with *it = 0; NULL at the end.  The order is arbitrary.  The map must not
 * change during the walk, but the node just returned may be freed if fa_map_deinit() follows.
 */
struct fa_map_node *fa_map_next(const struct fa_map *m, size_t *it);
