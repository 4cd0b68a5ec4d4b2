#undef NDEBUG
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <criterion/criterion.h>

#include "base/id.h"
#include "base/macros.h"
#include "base/map.h"

#define N 500

/* A generator of our own: the run is the same everywhere. */
static uint64_t next_random(uint64_t *state) {
        *state ^= *state << 13;
        *state ^= *state >> 7;
        *state ^= *state << 17;
        return *state;
}

static struct faas_id key_of(uint64_t n) {
        struct faas_id id = {{0}};

        for (unsigned i = 0; i < 8; i++)
                id.b[15 - i] = (unsigned char)(n >> 8 * i);
        return id;
}

struct element {
        struct fa_map_node node;
        uint64_t value;
};

/* The map and an array of pointers say the same, by find and by walk. */
static void check(const struct fa_map *m, struct element *const v[N]) {
        const struct element *e;
        size_t n = 0, it = 0, walked = 0;

        for (size_t i = 0; i < N; i++) {
                struct faas_id key = key_of(i);
                cr_assert_eq(fa_map_find(m, &key), v[i], "key %zu", i);
                cr_assert(!v[i] || v[i]->value == i + 1, "key %zu", i);
                n += v[i] != NULL;
        }
        cr_assert_eq(m->n, n);
        while ((e = fa_map_next(m, &it))) {
                cr_assert_eq(v[e->value - 1], e);
                walked++;
        }
        cr_assert_eq(walked, n);
        cr_assert(n == 0 || n <= (m->mask + 1) / 4 * 3);
        cr_assert(m->mask + 1 <= 16 || n >= (m->mask + 1) / 8);
}

static struct element *add(struct fa_map *m, size_t i) {
        struct faas_id key = key_of(i);
        struct element *e = fa_map_add(m, &key);

        cr_assert_not_null(e);
        cr_assert_eq(e->value, 0);
        e->value = i + 1;
        return e;
}

static void run_random(uint64_t seed) {
        FA_CLEANUP(fa_map_deinit) struct fa_map m;
        struct element *v[N] = {NULL};
        uint64_t rnd = seed + 1;

        fa_map_init(&m, seed, sizeof(struct element));
        for (int step = 0; step < 20000; step++) {
                size_t i = next_random(&rnd) % N;
                /* Phases in which the table fills and in which it empties. */
                bool fill = (step / 4000) % 2 == 0;

                if (v[i] && (!fill || next_random(&rnd) % 4 == 0)) {
                        fa_map_remove(&m, &v[i]->node);
                        v[i] = NULL;
                } else if (!v[i] && (fill || next_random(&rnd) % 16 == 0)) {
                        v[i] = add(&m, i);
                }
                if (step % 20 == 0)
                        check(&m, v);
        }
        check(&m, v);
}

Test(map, random_changes_agree_with_an_array) {
        run_random(0);
        run_random(0x0123456789abcdef);
        run_random(UINT64_MAX);
}

static size_t pages(const struct fa_map *m) {
        size_t n = 0;

        for (uint32_t i = 0; i < m->n_pages; i++)
                n += m->pages[i].page != NULL;
        return n;
}

Test(map, an_emptied_map_is_small_again) {
        FA_CLEANUP(fa_map_deinit) struct fa_map m;
        enum { MANY = 10000 };
        static struct element *v[MANY];
        uint32_t n_pages;

        fa_map_init(&m, 1, sizeof(struct element));
        for (size_t i = 0; i < MANY; i++)
                v[i] = add(&m, i);
        cr_assert_geq(m.mask + 1, MANY);
        n_pages = m.n_pages;
        cr_assert_geq(pages(&m), MANY >> m.shift);
        for (size_t i = 0; i < MANY; i++)
                fa_map_remove(&m, &v[i]->node);
        cr_assert_eq(m.n, 0);
        cr_assert_eq(m.mask + 1, 16);
        cr_assert_leq(pages(&m), 1);
        for (size_t i = 0; i < MANY; i++) /* the pages' numbers are used again */
                v[i] = add(&m, i);
        cr_assert_eq(m.n_pages, n_pages);
}

Test(map, who_remembers_the_place_finds_it_there_or_anywhere) {
        FA_CLEANUP(fa_map_deinit) struct fa_map m;
        struct faas_id one = key_of(1), two = key_of(2);
        struct element *e;
        uint32_t index;

        fa_map_init(&m, 1, sizeof(struct element));
        cr_assert_null(fa_map_find_at(&m, &one, 0));
        e = add(&m, 1);
        index = e->node.index;
        cr_assert_eq(fa_map_find_at(&m, &one, index), e);
        cr_assert_eq(fa_map_find_at(&m, &one, index + 1), e);
        cr_assert_eq(fa_map_find_at(&m, &one, UINT32_MAX), e);
        cr_assert_null(fa_map_find_at(&m, &two, index));
        fa_map_remove(&m, &e->node);
        cr_assert_null(fa_map_find_at(&m, &one, index));
        e = add(&m, 2); /* in the same place */
        cr_assert_null(fa_map_find_at(&m, &one, index));
        cr_assert_eq(fa_map_find_at(&m, &two, e->node.index), e);
}

Test(map, what_is_there_is_found_and_what_is_not_is_added) {
        struct fa_map m;
        bool added = false;

        fa_map_init(&m, 1, sizeof(struct element));
        for (uint64_t i = 0; i < 1000; i++) {
                struct faas_id key = key_of(i);
                struct element *e = fa_map_find_or_add(&m, &key, &added);
                cr_assert(e && added && fa_map_find(&m, &key) == e);
                cr_assert_eq(fa_map_find_or_add(&m, &key, &added), e);
                cr_assert_not(added);
                cr_assert_eq(m.n, i + 1);
        }
        fa_map_deinit(&m);
}

Test(map, a_zeroed_map_is_empty) {
        struct fa_map m = {0};
        struct faas_id key = key_of(1);
        size_t it = 0;

        cr_assert_null(fa_map_find(&m, &key));
        cr_assert_null(fa_map_next(&m, &it));
        fa_map_deinit(&m);
}

/* The mean number of slots that a find looks at. */
static double mean_probes(const struct fa_map *m) {
        size_t sum = 0;

        for (size_t i = 0; i <= m->mask; i++)
                if (m->v[i])
                        sum += ((i - (size_t)(m->v[i] >> 32)) & m->mask) + 1;
        return (double)sum / (double)m->n;
}

/*
 * Linear probing at 3/4 full looks at (1 + 1 / (1 - 3/4)) / 2 = 2.5 slots on the mean if the hash
 * is good (Knuth, 6.4).  Of keys counted up four stand together, and whoever finds their place
 * taken looks at four more each time: 1 + 4 * 1.5 = 7, which are in the same lines of the cache.
 * Keys of which each fourth place is the home lie between.  Ids counted up, ids of many clients and
 * small numbers are what we have.
 */
Test(map, the_hash_spreads_the_keys_that_we_have) {
        enum { MANY = 49152 }; /* 3/4 of 65,536 */
        static const double most[] = {7.4, 2.7, 7.4, 3.6};
        uint8_t seed[16] = "0123456789abcde";

        for (int kind = 0; kind < 4; kind++) {
                struct fa_idgen g;
                struct fa_map m;

                fa_map_init(&m, 0x5bd1e9955bd1e995 * (uint64_t)kind, sizeof(struct fa_map_node));
                fa_idgen_init(&g, seed);
                for (unsigned i = 0; i < MANY; i++) {
                        uint64_t ms = UINT64_C(1700000000000) + (kind == 1 ? i : 0);
                        struct faas_id key;

                        if (kind < 2)
                                fa_idgen_next(&g, ms, &key);
                        else
                                key = key_of(kind == 2 ? i : (uint64_t)i << 32);
                        cr_assert_not_null(fa_map_add(&m, &key));
                }
                cr_assert_eq(m.mask + 1, 65536);
                cr_assert_lt(mean_probes(&m), most[kind], "kind %d: %f", kind, mean_probes(&m));
                fa_map_deinit(&m);
        }
}
