/*
 * map.c - intrusive hash table with 16-byte keys
 *
 * The slots hold the hash beside the pointer: probing, growing and shifting back touch the elements
 * themselves only where the hashes are equal.  A table changes its size in one go, some ten
 * nanoseconds an element, which is the price for a find with one cache miss.
 */
#include "base/map.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/macros.h"

#define CAPACITY_MIN 16

/*
 * The sum of two products of 32-bit words, as in UMAC's NH (RFC 4418): with the secret added before
 * the multiplication, two keys made to collide do so for next to no seed.  The second half spreads
 * it, because ids are counted up in their last byte and the low bits of the hash choose the slot.
 */
static uint64_t hash_key(uint64_t seed, const struct faas_id *key) {
        uint32_t s0 = (uint32_t)seed;
        uint32_t s1 = (uint32_t)(seed >> 32);
        uint32_t w[4];

        memcpy(w, key->b, sizeof(w));
        uint64_t h = (uint64_t)(w[0] + s0) * (w[1] + s1);
        h += (uint64_t)(w[2] + (s0 ^ 0x9e3779b9u)) * (w[3] + (s1 ^ 0x7f4a7c15u));
        h ^= h >> 32;
        h *= UINT64_C(0x9fb21c651e98df25); /* odd, of evenly spread bits; taken from rrmxmx */
        return h ^ (h >> 32);
}

static bool key_equal(const struct faas_id *a, const struct faas_id *b) {
        return memcmp(a->b, b->b, sizeof(a->b)) == 0;
}

/* There is always a free slot, where this ends. */
static void put(struct fa_map *m, struct fa_map_node *node, uint64_t hash) {
        size_t i = hash & m->mask;

        while (m->v[i].node)
                i = (i + 1) & m->mask;
        m->v[i].node = node;
        m->v[i].hash = hash;
}

static int resize(struct fa_map *m, size_t capacity) {
        struct fa_map_slot *old = m->v;
        size_t n_old = old ? m->mask + 1 : 0;

        struct fa_map_slot *v = calloc(capacity, sizeof(*v));
        if (!v)
                return -ENOMEM;
        m->v = v;
        m->mask = capacity - 1;
        for (size_t i = 0; i < n_old; i++)
                if (old[i].node)
                        put(m, old[i].node, old[i].hash);
        free(old);
        return 0;
}

void fa_map_init(struct fa_map *m, uint64_t seed) {
        *m = (struct fa_map){.seed = seed};
}

void fa_map_deinit(struct fa_map *m) {
        free(m->v);
        *m = (struct fa_map){.seed = m->seed};
}

struct fa_map_node *fa_map_find(const struct fa_map *m, const struct faas_id *key) {
        if (m->n == 0)
                return NULL;

        uint64_t hash = hash_key(m->seed, key);
        for (size_t i = hash & m->mask;; i = (i + 1) & m->mask) {
                const struct fa_map_slot *slot = &m->v[i];

                if (!slot->node)
                        return NULL;
                if (slot->hash == hash && key_equal(&slot->node->key, key))
                        return slot->node;
        }
}

int fa_map_insert(struct fa_map *m, struct fa_map_node *node) {
        size_t capacity = m->v ? m->mask + 1 : 0;

        if (fa_unlikely(m->n + 1 > capacity / 4 * 3)) {
                int r = resize(m, FA_MAX(capacity * 2, CAPACITY_MIN));
                if (r)
                        return r;
        }
        put(m, node, hash_key(m->seed, &node->key));
        m->n++;
        return 0;
}

void fa_map_remove(struct fa_map *m, struct fa_map_node *node) {
        assert(m->n > 0);
        size_t hole = hash_key(m->seed, &node->key) & m->mask;

        while (m->v[hole].node != node) {
                assert(m->v[hole].node);
                hole = (hole + 1) & m->mask;
        }

        /* Of those behind, whoever would no longer be found past the hole moves into it. */
        for (size_t i = (hole + 1) & m->mask; m->v[i].node; i = (i + 1) & m->mask) {
                size_t from_home = (i - (size_t)m->v[i].hash) & m->mask;
                size_t from_hole = (i - hole) & m->mask;

                if (from_home < from_hole)
                        continue;
                m->v[hole] = m->v[i];
                hole = i;
        }
        m->v[hole].node = NULL;
        m->n--;

        /* Shrunk, the table is a quarter full.  Without memory for it, it stays as it is. */
        if (fa_unlikely(m->n < (m->mask + 1) / 8 && m->mask + 1 > CAPACITY_MIN))
                (void)resize(m, (m->mask + 1) / 2);
}

struct fa_map_node *fa_map_next(const struct fa_map *m, size_t *it) {
        if (!m->v)
                return NULL;
        while (*it <= m->mask) {
                struct fa_map_node *node = m->v[(*it)++].node;
                if (node)
                        return node;
        }
        return NULL;
}
