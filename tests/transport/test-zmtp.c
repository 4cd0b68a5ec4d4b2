/* test-zmtp.c - one connection's bytes: in pieces, at their limits, and damaged */
#undef NDEBUG
#include "transport/zmtp.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <criterion/criterion.h>
#include <faas/error.h>

#include "base/macros.h"

#define BYTES_MAX (1u << 20)

/* A connection, and the bare other end of its socket. */
struct bed {
        struct fa_zmtp z;
        struct fa_zmtp_pool pool;
        int far;
};

static void bed_open(struct bed *b, bool listens) {
        int fds[2];

        *b = (struct bed){.far = -1};
        cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0, fds), 0);
        cr_assert_eq(fa_zmtp_init(&b->z, fds[0], listens, &b->pool), 0);
        b->far = fds[1];
}

static void bed_close(struct bed *b) {
        fa_zmtp_deinit(&b->z);
        fa_zmtp_pool_deinit(&b->pool);
        close(b->far);
}

static void release(const struct faas_frame *frames, size_t n) {
        for (size_t i = 0; i < n; i++)
                if (frames[i].release)
                        frames[i].release(frames[i].owner);
}

/* Everything that is queued, as bytes. */
static size_t written(struct bed *b, uint8_t *ret) {
        size_t n = 0;
        int r;

        do {
                ssize_t got;
                r = fa_zmtp_flush(&b->z);
                cr_assert(r == 0 || r == FAAS_E_AGAIN);
                while ((got = recv(b->far, ret + n, BYTES_MAX - n, 0)) > 0)
                        n += (size_t)got;
        } while (r);
        cr_assert_lt(n, BYTES_MAX);
        return n;
}

static void put(struct bed *b, const size_t *lens, size_t n) {
        struct fa_frames f = FA_FRAMES_NULL;

        for (size_t i = 0; i < n; i++) {
                struct fa_blob *blob = NULL;
                uint8_t *p = NULL;

                cr_assert_eq(fa_blob_new_uninit(&blob, &p, lens[i]), 0);
                for (size_t k = 0; k < lens[i]; k++)
                        p[k] = (uint8_t)(i + k + k / 253);
                cr_assert_eq(fa_frames_push(&f, blob), 0);
        }
        cr_assert_eq(fa_zmtp_put(&b->z, &f), 0);
        fa_frames_deinit(&f);
}

static const size_t one[] = {3};
static const size_t some[] = {0, 1, 255, 256, 1024, 1025, 4096, 4097, 60000, 0};
static const size_t large[] = {70000, 200000, 5};

/* What a dealer writes that says all of these. */
static size_t record(uint8_t *ret) {
        struct bed b;
        size_t n;

        bed_open(&b, false);
        put(&b, one, FA_ARRAY_SIZE(one));
        put(&b, some, FA_ARRAY_SIZE(some));
        put(&b, large, FA_ARRAY_SIZE(large));
        put(&b, one, FA_ARRAY_SIZE(one));
        n = written(&b, ret);
        bed_close(&b);
        return n;
}

static void expect(const struct faas_frame *f, size_t n, const size_t *lens, size_t n_lens) {
        cr_assert_eq(n, n_lens);
        for (size_t i = 0; i < n; i++) {
                const uint8_t *p = f[i].p;

                cr_assert_eq(f[i].len, lens[i]);
                for (size_t k = 0; k < lens[i]; k++)
                        if (p[k] != (uint8_t)(i + k + k / 253))
                                cr_assert_fail("frame %zu differs at %zu", i, k);
        }
}

/* Gives it so many bytes and takes what comes; the last thing that was said. */
static int feed(struct bed *b, const uint8_t *p, size_t len, unsigned *n_messages, bool check) {
        static struct faas_frame frames[FA_ZMTP_FRAMES];
        static const struct {
                const size_t *v;
                size_t n;
        } all[] = {{one, FA_ARRAY_SIZE(one)},
                   {some, FA_ARRAY_SIZE(some)},
                   {large, FA_ARRAY_SIZE(large)},
                   {one, FA_ARRAY_SIZE(one)}};
        size_t done = 0;
        int r = FAAS_E_AGAIN;

        while (r == FAAS_E_AGAIN) {
                const ssize_t sent = done < len ? send(b->far, p + done, len - done, 0) : 0;
                bool drained;
                size_t n = 0;

                done += sent > 0 ? (size_t)sent : 0;
                r = fa_zmtp_read(&b->z, &drained);
                if (r == FAAS_E_AGAIN && done == len)
                        return r;
                while ((r = fa_zmtp_next(&b->z, frames, &n)) == 0) {
                        if (check) {
                                cr_assert_lt(*n_messages, FA_ARRAY_SIZE(all));
                                expect(frames, n, all[*n_messages].v, all[*n_messages].n);
                        }
                        release(frames, n);
                        ++*n_messages;
                }
        }
        return r;
}

Test(zmtp, messages_come_whole_however_their_bytes_come) {
        static const size_t pieces[] = {1, 2, 7, 64, 65, 4096, 65535, 65536, BYTES_MAX};
        uint8_t *bytes = malloc(BYTES_MAX);
        const size_t n = record(bytes);

        for (size_t i = 0; i < FA_ARRAY_SIZE(pieces); i++) {
                unsigned messages = 0;
                struct bed b;

                bed_open(&b, true);
                for (size_t at = 0; at < n; at += pieces[i])
                        cr_assert_eq(
                                feed(&b, bytes + at, FA_MIN(pieces[i], n - at), &messages, true),
                                FAAS_E_AGAIN);
                cr_assert_eq(messages, 4);
                cr_assert_eq(b.pool.n, 1, "an idle connection has no buffer");
                bed_close(&b);
        }
        free(bytes);
}

Test(zmtp, its_end_is_told_behind_what_was_said) {
        uint8_t *bytes = malloc(BYTES_MAX);
        const size_t n = record(bytes);
        unsigned messages = 0;
        struct bed b;
        bool drained;

        bed_open(&b, true);
        cr_assert_eq(feed(&b, bytes, n, &messages, true), FAAS_E_AGAIN);
        cr_assert_eq(shutdown(b.far, SHUT_WR), 0);
        cr_assert_eq(messages, 4);
        cr_assert_eq(fa_zmtp_read(&b.z, &drained), FAAS_E_GONE);
        bed_close(&b);
        free(bytes);
}

/* Whatever is changed, it is read to an end, or refused. */
Test(zmtp, damaged_bytes_are_harmless, .timeout = 120) {
        uint8_t *bytes = malloc(BYTES_MAX), *bad = malloc(BYTES_MAX);
        const size_t n = record(bytes);
        unsigned seed = 1, refused = 0;

        for (unsigned i = 0; i < 600; i++) {
                unsigned messages = 0;
                struct bed b;
                const size_t piece = 1 + (size_t)rand_r(&seed) % 5000;
                int r = FAAS_E_AGAIN;

                memcpy(bad, bytes, n);
                for (unsigned k = 0; k < 1 + i % 4; k++) {
                        /* Most of it is opaque: what may break stands in front. */
                        const size_t front = (size_t)rand_r(&seed) % (k % 2 ? n : 2200);
                        bad[front] = (uint8_t)rand_r(&seed);
                }
                bed_open(&b, true);
                for (size_t at = 0; at < n && r == FAAS_E_AGAIN; at += piece)
                        r = feed(&b, bad + at, FA_MIN(piece, n - at), &messages, false);
                refused += r == FAAS_E_PROTO;
                cr_assert(r == FAAS_E_AGAIN || r == FAAS_E_PROTO, "%d", r);
                bed_close(&b);
        }
        cr_assert_gt(refused, 20);
        free(bytes);
        free(bad);
}

static int open_with(struct bed *b, const void *rest, size_t len) {
        uint8_t *bytes = malloc(BYTES_MAX);
        struct bed far;
        unsigned messages = 0;
        size_t n;
        int r;

        bed_open(&far, false);
        n = written(&far, bytes);
        bed_close(&far);
        memcpy(bytes + n, rest, len);
        bed_open(b, true);
        r = feed(b, bytes, n + len, &messages, false);
        cr_assert_eq(b->z.state, FA_ZMTP_OPEN);
        free(bytes);
        return r;
}

Test(zmtp, what_is_too_large_or_without_end_is_refused) {
        static const uint8_t huge[] = {2, 0, 0, 0, 0, 0x40, 1, 0, 1};
        static const uint8_t wraps[] = {2, 255, 255, 255, 255, 255, 255, 255, 255};
        static const uint8_t flags[] = {8, 0};
        static const uint8_t empty[4096] = {1, 0}; /* a frame of no bytes, and its end */
        uint8_t endless[8192];
        unsigned messages = 0, n;
        struct bed b;
        int r;

        cr_assert_eq(open_with(&b, huge, sizeof(huge)), FAAS_E_PROTO);
        bed_close(&b);
        cr_assert_eq(open_with(&b, wraps, sizeof(wraps)), FAAS_E_PROTO);
        bed_close(&b);
        cr_assert_eq(open_with(&b, flags, sizeof(flags)), FAAS_E_PROTO);
        bed_close(&b);
        cr_assert_eq(open_with(&b, empty, 2), FAAS_E_AGAIN);
        for (size_t i = 0; i < sizeof(endless); i++)
                endless[i] = i % 2 ? 0 : 1;
        for (n = 0; (r = feed(&b, endless, sizeof(endless), &messages, false)) == FAAS_E_AGAIN; n++)
                cr_assert_lt(n, 2000, "it is read for ever");
        cr_assert_eq(r, FAAS_E_PROTO);
        cr_assert_eq(messages, 0);
        bed_close(&b);
}

Test(zmtp, a_ping_is_answered) {
        static const uint8_t ping[] = "\4\13\4PING\0\1abcd";
        static const uint8_t pong[] = "\4\11\4PONGabcd";
        uint8_t got[512];
        struct bed b;
        ssize_t n;

        cr_assert_eq(open_with(&b, ping, sizeof(ping) - 1), FAAS_E_AGAIN);
        n = recv(b.far, got, sizeof(got), 0); /* the greeting, READY, and then: */
        cr_assert_gt(n, (ssize_t)sizeof(pong));
        cr_assert_eq(memcmp(got + n - (sizeof(pong) - 1), pong, sizeof(pong) - 1), 0);
        bed_close(&b);
}

Test(zmtp, more_than_may_wait_is_refused_and_nothing_of_it_stays) {
        const size_t lens[] = {100, 50000};
        struct fa_frames f = FA_FRAMES_NULL;
        struct fa_blob *blob = NULL;
        struct bed b;
        size_t had;

        bed_open(&b, false);
        while (b.z.out_bytes <= 4u << 20)
                put(&b, lens, FA_ARRAY_SIZE(lens));
        had = b.z.out_bytes;
        cr_assert_eq(fa_blob_new(&blob, "x", 1), 0);
        cr_assert_eq(fa_frames_push(&f, blob), 0);
        cr_assert_eq(fa_zmtp_put(&b.z, &f), FAAS_E_AGAIN);
        cr_assert_eq(b.z.out_bytes, had);
        fa_frames_deinit(&f);
        bed_close(&b);
}
