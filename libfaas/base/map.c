/*
 * map.c - hash table with 16-byte keys that owns its elements
 *
 * A slot is eight bytes: half of the hash beside the number of the element.  Probing, growing and
 * shifting back touch the elements themselves only where the hashes are equal.  A table changes its
 * size in one go, some ten nanoseconds an element, which is the price for a find with few cache
 * misses.
 */
#include "base/map.h"

#include <assert.h>
#include <endian.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/macros.h"

#define CAPACITY_MIN 16
#define PAGE_BYTES 16384

/* An address sanitizer is to see each element as an allocation of its own. */
#if defined(__SANITIZE_ADDRESS__)
#define PAGED 0
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define PAGED 0
#endif
#endif
#ifndef PAGED
#define PAGED 1
#endif

struct fa_map_page {
        struct fa_list link; /* m->roomy, or in no list */
        uint32_t number;
        uint32_t n_used;
        uint32_t n_fresh; /* those before were used at least once */
        uint32_t free;    /* place + 1 of the last one given back; 0: none */
        max_align_t elements[];
};

/* An element that is free keeps the next one's place + 1 in its key. */
#define INDEX_FREE UINT32_MAX

/*
 * Ids are counted up in their last byte, and who comes with one comes with the next ones too: so
 * four that differ in its last bits only stand side by side, half a line of the cache, and only the
 * first is waited for.  (Eight would need longer searches than they save, where all is in the
 * cache.)
 */
#define ROW_MASK 3u

/*
 * The sum of two products of 32-bit words, as in UMAC's NH (RFC 4418): with the secret added before
 * the multiplication, two keys made to collide do so for next to no seed.  The second half spreads
 * it, because the low bits choose the slot.  The same for all keys of a row.
 */
static uint64_t hash_row(uint64_t seed, const struct faas_id *key) {
        uint32_t s0 = (uint32_t)seed;
        uint32_t s1 = (uint32_t)(seed >> 32);
        uint32_t w[4];

        memcpy(w, key->b, sizeof(w));
        w[3] &= ~htobe32(ROW_MASK);
        uint64_t h = (uint64_t)(w[0] + s0) * (w[1] + s1);
        h += (uint64_t)(w[2] + (s0 ^ 0x9e3779b9u)) * (w[3] + (s1 ^ 0x7f4a7c15u));
        h ^= h >> 32;
        h *= UINT64_C(0x9fb21c651e98df25); /* odd, of evenly spread bits; taken from rrmxmx */
        return h ^ (h >> 32);
}

static uint32_t hash_of(const struct fa_map *m, const struct faas_id *key) {
        return ((uint32_t)hash_row(m->seed, key) & ~ROW_MASK) | (key->b[15] & ROW_MASK);
}

static bool key_equal(const struct faas_id *a, const struct faas_id *b) {
        return memcmp(a->b, b->b, sizeof(a->b)) == 0;
}

/* ---- elements ---- */

static struct fa_map_node *in_page(const struct fa_map *m, struct fa_map_page *p, uint32_t place) {
        return (struct fa_map_node *)(void *)((char *)p->elements + (size_t)place * m->size);
}

static struct fa_map_node *element(const struct fa_map *m, uint32_t index) {
        return in_page(m, m->pages[index >> m->shift].page, index & ((1u << m->shift) - 1));
}

static bool make_room_for_page(struct fa_map *m) {
        uint32_t cap = m->cap_pages ? m->cap_pages * 2 : 4;
        struct fa_map_place *v;

        if (m->free_page || m->n_pages < m->cap_pages)
                return true;
        if (m->n_pages >= (INDEX_FREE >> m->shift) / 2)
                return false;
        v = realloc(m->pages, cap * sizeof(*v));
        if (!v)
                return false;
        m->pages = v;
        m->cap_pages = cap;
        return true;
}

static struct fa_map_page *page_new(struct fa_map *m) {
        struct fa_map_page *p;

        if (!make_room_for_page(m))
                return NULL;
        p = malloc(sizeof(*p) + ((size_t)m->size << m->shift));
        if (!p)
                return NULL;
        p->number = m->free_page ? m->free_page - 1 : m->n_pages++;
        if (m->free_page)
                m->free_page = m->pages[p->number].next_free;
        m->pages[p->number] = (struct fa_map_place){.page = p};
        p->n_used = p->n_fresh = p->free = 0;
        fa_list_init(&p->link);
        fa_list_push_front(&m->roomy, &p->link);
        return p;
}

static void page_free(struct fa_map *m, struct fa_map_page *p) {
        m->pages[p->number] = (struct fa_map_place){.next_free = m->free_page};
        m->free_page = p->number + 1;
        fa_list_remove(&p->link);
        free(p);
}

static struct fa_map_node *element_new(struct fa_map *m, const struct faas_id *key) {
        struct fa_list *l = fa_list_first(&m->roomy);
        struct fa_map_page *p = l ? fa_list_entry(l, struct fa_map_page, link) : page_new(m);
        struct fa_map_node *node;
        uint32_t place;

        if (!p)
                return NULL;
        place = p->free ? p->free - 1 : p->n_fresh++;
        node = in_page(m, p, place);
        if (p->free)
                memcpy(&p->free, node->key.b, sizeof(p->free));
        if (++p->n_used == 1u << m->shift)
                fa_list_remove(&p->link);
        memset(node, 0, m->size);
        node->key = *key;
        node->index = p->number << m->shift | place;
        return node;
}

/* One empty page is kept, so that a map that is now and then empty does not go to malloc. */
static void element_free(struct fa_map *m, struct fa_map_node *node) {
        struct fa_map_page *p = m->pages[node->index >> m->shift].page;
        uint32_t place = node->index & ((1u << m->shift) - 1);

        if (p->n_used-- == 1u << m->shift)
                fa_list_push_front(&m->roomy, &p->link);
        node->index = INDEX_FREE;
        memcpy(node->key.b, &p->free, sizeof(p->free));
        p->free = place + 1;
        if (p->n_used == 0 && (!PAGED || m->roomy.next != m->roomy.prev))
                page_free(m, p);
}

/* ---- slots ---- */

static uint64_t slot_of(uint32_t hash, uint32_t index) {
        return (uint64_t)hash << 32 | (index + 1);
}

/* There is always a free slot, where this ends. */
static void put(struct fa_map *m, uint64_t slot) {
        size_t i = (slot >> 32) & m->mask;

        while (m->v[i])
                i = (i + 1) & m->mask;
        m->v[i] = slot;
}

static int resize(struct fa_map *m, size_t capacity) {
        uint64_t *old = m->v;
        size_t n_old = old ? m->mask + 1 : 0;

        uint64_t *v = calloc(capacity, sizeof(*v));
        if (!v)
                return -ENOMEM;
        m->v = v;
        m->mask = capacity - 1;
        for (size_t i = 0; i < n_old; i++)
                if (old[i])
                        put(m, old[i]);
        free(old);
        return 0;
}

void fa_map_init(struct fa_map *m, uint64_t seed, size_t size) {
        *m = (struct fa_map){.seed = seed, .size = (uint32_t)((size + 7) / 8 * 8)};
        while (PAGED && (m->size << (m->shift + 1)) <= PAGE_BYTES)
                m->shift++;
        fa_list_init(&m->roomy);
}

void fa_map_deinit(struct fa_map *m) {
        for (uint32_t i = 0; i < m->n_pages; i++)
                free(m->pages[i].page);
        free(m->pages);
        free(m->v);
        *m = (struct fa_map){.seed = m->seed, .size = m->size, .shift = m->shift};
        fa_list_init(&m->roomy);
}

static struct fa_map_node *
search(const struct fa_map *m, const struct faas_id *key, uint32_t hash) {
        for (size_t i = hash & m->mask; m->v[i]; i = (i + 1) & m->mask) {
                struct fa_map_node *node;

                if (m->v[i] >> 32 != hash)
                        continue;
                node = element(m, (uint32_t)m->v[i] - 1);
                if (key_equal(&node->key, key))
                        return node;
        }
        return NULL;
}

void *fa_map_find(const struct fa_map *m, const struct faas_id *key) {
        return m->n ? search(m, key, hash_of(m, key)) : NULL;
}

void *fa_map_at(const struct fa_map *m, uint32_t index) {
        return element(m, index);
}

void *fa_map_find_at(const struct fa_map *m, const struct faas_id *key, uint32_t index) {
        const uint32_t number = index >> m->shift;
        const uint32_t place = index & ((1u << m->shift) - 1);
        struct fa_map_page *p = number < m->n_pages ? m->pages[number].page : NULL;

        if (p && place < p->n_fresh) {
                struct fa_map_node *node = in_page(m, p, place);
                if (node->index == index && key_equal(&node->key, key))
                        return node;
        }
        return fa_map_find(m, key);
}

static void *add(struct fa_map *m, const struct faas_id *key, uint32_t hash) {
        size_t capacity = m->v ? m->mask + 1 : 0;
        struct fa_map_node *node;

        if (fa_unlikely(m->n + 1 > capacity / 4 * 3) &&
            resize(m, FA_MAX(capacity * 2, CAPACITY_MIN)))
                return NULL;
        node = element_new(m, key);
        if (!node)
                return NULL;
        put(m, slot_of(hash, node->index));
        m->n++;
        return node;
}

void *fa_map_add(struct fa_map *m, const struct faas_id *key) {
        return add(m, key, hash_of(m, key));
}

void *fa_map_find_or_add(struct fa_map *m, const struct faas_id *key, bool *ret_new) {
        uint32_t hash = hash_of(m, key);
        struct fa_map_node *node = m->n ? search(m, key, hash) : NULL;

        *ret_new = !node;
        return node ? node : add(m, key, hash);
}

void fa_map_remove(struct fa_map *m, struct fa_map_node *node) {
        uint32_t hash = hash_of(m, &node->key);
        uint64_t slot = slot_of(hash, node->index);
        size_t hole = hash & m->mask;

        assert(m->n > 0);
        while (m->v[hole] != slot) {
                assert(m->v[hole]);
                hole = (hole + 1) & m->mask;
        }

        /* Of those behind, whoever would no longer be found past the hole moves into it. */
        for (size_t i = (hole + 1) & m->mask; m->v[i]; i = (i + 1) & m->mask) {
                size_t from_home = (i - (size_t)(m->v[i] >> 32)) & m->mask;
                size_t from_hole = (i - hole) & m->mask;

                if (from_home < from_hole)
                        continue;
                m->v[hole] = m->v[i];
                hole = i;
        }
        m->v[hole] = 0;
        m->n--;
        element_free(m, node);

        /* Shrunk, the table is a quarter full.  Without memory for it, it stays as it is. */
        if (fa_unlikely(m->n < (m->mask + 1) / 8 && m->mask + 1 > CAPACITY_MIN))
                (void)resize(m, (m->mask + 1) / 2);
}

void *fa_map_next(const struct fa_map *m, size_t *it) {
        if (!m->v)
                return NULL;
        while (*it <= m->mask) {
                uint64_t slot = m->v[(*it)++];
                if (slot)
                        return element(m, (uint32_t)slot - 1);
        }
        return NULL;
}
