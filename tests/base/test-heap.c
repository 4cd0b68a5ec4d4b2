#undef NDEBUG
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>

#include <criterion/criterion.h>

#include "base/heap.h"
#include "base/macros.h"

#define N 200

/* A generator of our own: the run is the same everywhere. */
static uint64_t next_random(uint64_t *state) {
        *state ^= *state << 13;
        *state ^= *state >> 7;
        *state ^= *state << 17;
        return *state;
}

/* Every node knows its place, no parent is later than its child, and the head is the earliest. */
static void check(const struct fa_heap *h, struct fa_heap_node nodes[N]) {
        size_t n = 0;
        uint64_t least = UINT64_MAX;

        for (size_t i = 0; i < N; i++) {
                if (nodes[i].index == 0)
                        continue;
                n++;
                least = FA_MIN(least, nodes[i].key);
                cr_assert_leq(nodes[i].index, h->n);
                cr_assert_eq(h->v[nodes[i].index - 1], &nodes[i]);
        }
        cr_assert_eq(n, h->n);
        for (size_t i = 1; i < h->n; i++)
                cr_assert_leq(h->v[(i - 1) / 2]->key, h->v[i]->key);
        if (n == 0)
                cr_assert_null(fa_heap_peek(h));
        else
                cr_assert_eq(fa_heap_peek(h)->key, least);
}

Test(heap, random_moves_keep_the_order) {
        FA_CLEANUP(fa_heap_deinit) struct fa_heap h = FA_HEAP_NULL;
        struct fa_heap_node nodes[N] = {0};
        uint64_t rnd = 42;

        for (int step = 0; step < 20000; step++) {
                struct fa_heap_node *node = &nodes[next_random(&rnd) % N];
                /* Phases in which it grows and in which it empties; few keys, so that many are
                 * equal. */
                unsigned removals = (step / 1000) % 2 ? 70 : 30;

                if (next_random(&rnd) % 100 < removals)
                        fa_heap_remove(&h, node);
                else
                        cr_assert_eq(fa_heap_set(&h, node, next_random(&rnd) % 300), 0);
                check(&h, nodes);
        }
}

Test(heap, nodes_come_out_sorted) {
        FA_CLEANUP(fa_heap_deinit) struct fa_heap h = FA_HEAP_NULL;
        struct fa_heap_node nodes[N] = {0};
        uint64_t rnd = 7, last = 0;

        for (size_t i = 0; i < N; i++)
                cr_assert_eq(fa_heap_set(&h, &nodes[i], next_random(&rnd)), 0);
        for (size_t i = 0; i < N; i++) {
                struct fa_heap_node *node = fa_heap_peek(&h);

                cr_assert_geq(node->key, last);
                last = node->key;
                fa_heap_remove(&h, node);
                cr_assert_eq(node->index, 0);
        }
        cr_assert_null(fa_heap_peek(&h));
}

Test(heap, removing_what_is_not_there_does_nothing) {
        FA_CLEANUP(fa_heap_deinit) struct fa_heap h = FA_HEAP_NULL;
        struct fa_heap_node node = {0};

        fa_heap_remove(&h, &node);
        cr_assert_eq(h.n, 0);
}

Test(heap, reserved_room_is_there) {
        FA_CLEANUP(fa_heap_deinit) struct fa_heap h = FA_HEAP_NULL;
        struct fa_heap_node nodes[N] = {0};

        cr_assert_eq(fa_heap_set(&h, &nodes[0], 1), 0);
        cr_assert_eq(fa_heap_reserve(&h, N - 1), 0);
        struct fa_heap_node **v = h.v;
        for (size_t i = 1; i < N; i++)
                cr_assert_eq(fa_heap_set(&h, &nodes[i], i), 0);
        cr_assert_eq(h.v, v);
        cr_assert_eq(fa_heap_reserve(&h, UINT32_MAX), -ENOMEM);
        cr_assert_eq(fa_heap_reserve(&h, SIZE_MAX), -ENOMEM);
        check(&h, nodes);
}
