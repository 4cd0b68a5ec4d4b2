/* test-shelf.c - the ring of finished results: each byte has one owner, and rubbish does no harm */
#undef NDEBUG
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include <criterion/criterion.h>

#include <faas/error.h>

#include "base/macros.h"
#include "exec/shelf.h"

#define HEAD 8
#define N_FRAMES 1000000u

static uint64_t random_next(uint64_t *x) {
        *x ^= *x << 13, *x ^= *x >> 7, *x ^= *x << 17;
        return *x >> 16;
}

/* A frame of this test: its number and its length, then as many bytes that follow from both. */
static void put(struct fa_shelf *f, uint64_t *filled, uint32_t number, uint32_t len) {
        uint32_t head[2] = {number, len};
        uint8_t body[256];

        for (uint32_t i = 0; i < len; i++)
                body[i] = (uint8_t)(number + i);
        fa_shelf_put(f, filled, head, sizeof(head), body, len);
}

/* Checks whole frames with growing numbers, marks them, and returns how many there were. */
static size_t check(const uint8_t *p, size_t len, uint8_t *seen, uint32_t *last) {
        size_t n = 0;

        for (size_t pos = 0; pos < len; n++) {
                uint32_t head[2];

                cr_assert_leq(HEAD, len - pos);
                memcpy(head, p + pos, HEAD);
                pos += HEAD;
                cr_assert_lt(head[0], N_FRAMES);
                cr_assert_leq(head[1], len - pos);
                for (uint32_t i = 0; i < head[1]; i++)
                        cr_assert_eq(p[pos + i], (uint8_t)(head[0] + i));
                pos += head[1];
                cr_assert_eq(seen[head[0]], 0);
                seen[head[0]] = 1;
                cr_assert(head[0] == 0 || head[0] > *last);
                *last = head[0];
        }
        return n;
}

static size_t join(const struct iovec *iov, size_t n, uint8_t *to) {
        size_t len = 0;

        for (size_t i = 0; i < n; len += iov[i++].iov_len)
                memcpy(to + len, iov[i].iov_base, iov[i].iov_len);
        return len;
}

struct race {
        struct fa_shelf shelf;
        uint8_t by_host[N_FRAMES];
        uint8_t by_slot[N_FRAMES];
        size_t n_host, n_slot;
        _Atomic int done;
};

static void *be_slot(void *arg) {
        struct race *r = arg;
        uint64_t filled = 0, x = 88172645463325252u;
        uint32_t last = 0;

        for (uint32_t i = 0; i < N_FRAMES; i++) {
                uint32_t len = (uint32_t)(random_next(&x) % 200);
                uint64_t held = fa_shelf_held(&r->shelf, filled);

                cr_assert_leq(held, FA_SHELF_LEN);
                if (HEAD + len > FA_SHELF_LEN - held || random_next(&x) % 8 == 0) {
                        uint8_t got[FA_SHELF_LEN];
                        struct iovec iov[2];
                        size_t n;

                        cr_assert_eq(fa_shelf_claim(&r->shelf, filled, iov, &n), 0);
                        cr_assert_eq(fa_shelf_held(&r->shelf, filled), 0);
                        r->n_slot += check(got, join(iov, n, got), r->by_slot, &last);
                }
                put(&r->shelf, &filled, i, len);
        }
        atomic_store(&r->done, 1);
        return NULL;
}

Test(shelf, two_that_want_the_same_bytes_get_each_once) {
        struct race *r = calloc(1, sizeof(*r));
        uint32_t last = 0;
        pthread_t slot;

        cr_assert_not_null(r);
        cr_assert_eq(pthread_create(&slot, NULL, be_slot, r), 0);
        for (int done = 0; !done;) {
                uint8_t got[FA_SHELF_LEN];
                size_t len = 0;

                done = atomic_load(&r->done); /* and then once more */
                /* Of a slot that never rests it may have enough; a real one has nothing to do. */
                if (fa_shelf_take(&r->shelf, got, &len) == 0)
                        r->n_host += check(got, len, r->by_host, &last);
        }
        pthread_join(slot, NULL);
        cr_assert_eq(r->n_host + r->n_slot, N_FRAMES);
        for (uint32_t i = 0; i < N_FRAMES; i++)
                cr_assert_eq(r->by_host[i] + r->by_slot[i], 1, "frame %u", i);
        free(r);
}

/* It was stopped after it had looked, and meanwhile the slot wrote all, and filled as much anew. */
Test(shelf, late_host_finds_the_count_moved_on) {
        struct fa_shelf f = {0};
        uint64_t filled = 0;
        struct iovec iov[2];
        size_t n;

        put(&f, &filled, 1, 100);
        uint64_t seen_sent = atomic_load(&f.sent);
        uint64_t seen_filled = atomic_load(&f.filled);
        for (uint32_t i = 0; i < 1000; i++) {
                cr_assert_eq(fa_shelf_claim(&f, filled, iov, &n), 0);
                cr_assert_not(atomic_compare_exchange_strong(&f.sent, &seen_sent, seen_filled));
                seen_sent = 0;
                put(&f, &filled, i, 100);
        }
}

Test(shelf, frames_of_any_length_wrap_around_and_the_full_ring_is_taken_whole) {
        struct fa_shelf f = {0};
        uint8_t *seen = calloc(1, N_FRAMES);
        uint64_t filled = 0;
        uint32_t number = 0, last = 0;

        cr_assert_not_null(seen);
        for (uint32_t len = 1; len < 256; len++) {
                uint8_t got[FA_SHELF_LEN];
                uint32_t n = FA_SHELF_LEN / (HEAD + len);
                size_t got_len = 0, n_pieces;
                struct iovec iov[2];

                for (uint32_t i = 0; i < n; i++)
                        put(&f, &filled, number++, len);
                cr_assert_eq(fa_shelf_held(&f, filled), n * (HEAD + len));
                if (len & 1) {
                        cr_assert_eq(fa_shelf_take(&f, got, &got_len), 0);
                } else {
                        cr_assert_eq(fa_shelf_claim(&f, filled, iov, &n_pieces), 0);
                        got_len = join(iov, n_pieces, got);
                }
                cr_assert_eq(check(got, got_len, seen, &last), n);
                cr_assert_eq(fa_shelf_take(&f, got, &got_len), 0);
                cr_assert_eq(got_len, 0);
        }
        free(seen);
}

Test(shelf, random_pages_give_no_more_than_there_can_be) {
        struct fa_shelf f = {0};
        uint64_t x = 362436069;
        unsigned n_good = 0, n_bad = 0;

        for (int round = 0; round < 20000; round++) {
                /* A full byte behind it: the sanitizer sees what goes beyond. */
                uint8_t *got = malloc(FA_SHELF_LEN);
                uint64_t sent = random_next(&x) << (random_next(&x) % 48);
                uint64_t filled = random_next(&x) % 4 ? sent + random_next(&x) % (2 * FA_SHELF_LEN)
                                                      : random_next(&x);
                struct iovec iov[2];
                size_t len = 0, n;

                cr_assert_not_null(got);
                atomic_store(&f.sent, sent);
                atomic_store(&f.filled, filled);
                int r = fa_shelf_take(&f, got, &len);
                cr_assert_eq(r, filled - sent <= FA_SHELF_LEN ? 0 : FAAS_E_PROTO);
                cr_assert_eq(len, r == 0 ? filled - sent : 0);
                free(got);
                atomic_store(&f.sent, sent);
                cr_assert_eq(fa_shelf_claim(&f, filled, iov, &n), r);
                *(r == 0 ? &n_good : &n_bad) += 1;
        }
        cr_assert(n_good > 1000 && n_bad > 1000);
}
