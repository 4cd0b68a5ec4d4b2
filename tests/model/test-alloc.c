/*
 * test-alloc.c - messages without memory: the k-th allocation fails, for every k until none does
 */
#undef NDEBUG
#include <errno.h>
#include <stdlib.h>

#include <criterion/criterion.h>

#include "model/outbox.h"
#include "th-alloc.h"

Test(alloc, counts_what_is_allocated_and_fails_when_told) {
        int64_t live = th_alloc_live();
        void *volatile p = malloc(1), *volatile q = calloc(2, 2);

        cr_assert_eq(th_alloc_live(), live + 2);
        p = realloc(p, 100);
        cr_assert_eq(th_alloc_live(), live + 2);
        free(p);
        th_alloc_fail_at(2);
        p = malloc(1);
        cr_assert_not_null(p);
        cr_assert(!th_alloc_failed());
        cr_assert_null(realloc(q, 100), "q is whole");
        cr_assert(th_alloc_failed());
        free(p);
        free(q);
        cr_assert_eq(th_alloc_live(), live);
}

#define N_ITEMS 40

static const char large_bytes[FA_INLINE_MAX + 1]; /* in a frame of its own */

/* Items with payloads in the shared frame and in frames of their own. 0, or what was lost. */
static uint64_t fill(struct fa_outbox *o, struct fa_blob *small, struct fa_blob *large) {
        struct fa_lane l = {.to = 1};

        for (unsigned i = 0; i < N_ITEMS; i++) {
                struct fa_blob *b = i % 8 == 3 ? large : small;
                struct fa_item *it =
                        fa_outbox_item(o, &l, FA_MSG_SUBMIT, 1, 0, fa_blob_len(b), 0, NULL);
                if (!it)
                        continue;
                it->function = (struct fa_slice){(const uint8_t *)"echo", 4};
                it->payload = fa_blob_ref(b);
        }
        return o->lost;
}

/* Encodes and decodes; 0 or -ENOMEM. */
static int round_trip(const struct fa_msg *m) {
        struct fa_frames f = FA_FRAMES_NULL;
        struct fa_msg *back = NULL;
        int r = fa_msg_encode(m, &f);

        if (r) {
                cr_assert_eq(f.n, 0);
        } else {
                r = fa_msg_decode(&back, &f, FA_ROLE_CLIENT, NULL);
                cr_assert_eq(r == 0, back != NULL);
                if (back)
                        cr_assert_eq(back->n_items, m->n_items);
        }
        fa_msg_free(back);
        fa_frames_deinit(&f);
        return r;
}

Test(alloc, an_outbox_without_memory_counts_what_it_lost_and_goes_on) {
        struct fa_blob *small = NULL, *large = NULL;
        int64_t live;
        uint64_t k = 0;
        bool failed;

        cr_assert_eq(fa_blob_new(&small, "abc", 3), 0);
        cr_assert_eq(fa_blob_new(&large, large_bytes, sizeof(large_bytes)), 0);
        live = th_alloc_live();
        do {
                struct fa_outbox o;
                struct fa_msg *m = NULL;
                uint64_t to, n = 0;

                fa_outbox_init(&o);
                th_alloc_fail_at(++k);
                uint64_t lost = fill(&o, small, large);
                failed = th_alloc_failed();
                th_alloc_fail_at(0);
                cr_assert_eq(lost, failed, "allocation %llu", (unsigned long long)k);
                while (fa_outbox_pop(&o, &to, &m)) {
                        n += m->n_items;
                        fa_msg_free(m);
                }
                cr_assert_eq(n + lost, N_ITEMS);
                fa_outbox_deinit(&o);
                cr_assert_eq(th_alloc_live(), live, "allocation %llu leaks", (unsigned long long)k);
        } while (failed);
        cr_assert_gt(k, 4);
        fa_blob_unref(small);
        fa_blob_unref(large);
}

Test(alloc, encoding_and_decoding_without_memory_fail_whole_and_can_be_repeated) {
        struct fa_blob *small = NULL, *large = NULL;
        struct fa_outbox o;
        struct fa_msg *m = NULL;
        uint64_t to, k = 0;
        int r;

        cr_assert_eq(fa_blob_new(&small, "abc", 3), 0);
        cr_assert_eq(fa_blob_new(&large, large_bytes, sizeof(large_bytes)), 0);
        fa_outbox_init(&o);
        cr_assert_eq(fill(&o, small, large), 0);
        cr_assert(fa_outbox_pop(&o, &to, &m));
        int64_t live = th_alloc_live();
        do {
                th_alloc_fail_at(++k);
                r = round_trip(m);
                bool failed = th_alloc_failed();
                th_alloc_fail_at(0);
                cr_assert_eq(r, failed ? -ENOMEM : 0, "allocation %llu", (unsigned long long)k);
                cr_assert_eq(th_alloc_live(), live, "allocation %llu leaks", (unsigned long long)k);
                cr_assert_eq(round_trip(m), 0, "a repeat");
                cr_assert_eq(th_alloc_live(), live);
        } while (r);
        cr_assert_gt(k, 5);
        fa_msg_free(m);
        fa_outbox_deinit(&o);
        fa_blob_unref(small);
        fa_blob_unref(large);
}
