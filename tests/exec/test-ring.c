/* test-ring.c - bytes through a ring: all come once and in order, whoever sleeps is woken */
#undef NDEBUG
#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <criterion/criterion.h>

#include "base/macros.h"
#include "exec/channel.h"

#define N_BYTES ((size_t)200 << 20)

static void open_both(struct fa_channel *writer, struct fa_channel *reader) {
        int fd = -1;

        cr_assert_eq(fa_channel_new(&fd), 0);
        cr_assert_eq(fa_channel_map(writer, fd, true), 0);
        cr_assert_eq(fa_channel_map(reader, fd, true), 0);
        close(fd);
}

static uint64_t random_next(uint64_t *x) {
        *x ^= *x << 13, *x ^= *x >> 7, *x ^= *x << 17;
        return *x >> 16;
}

static void *write_all(void *arg) {
        struct fa_ring *r = arg;
        uint64_t x = 88172645463325252u;

        for (size_t done = 0; done < N_BYTES;) {
                uint8_t bytes[5000];
                const size_t some = random_next(&x) % sizeof(bytes) + 1;
                const uint32_t n = (uint32_t)FA_MIN(some, N_BYTES - done);

                for (uint32_t i = 0; i < n; i++)
                        bytes[i] = (uint8_t)((done + i) % 251);
                while (fa_ring_room(r, n) < n)
                        fa_channel_wait(&r->counts->tail, r->seen, &r->counts->writer_waits);
                fa_ring_put(r, bytes, n);
                fa_ring_tell(r);
                if (fa_ring_wake_reader(r))
                        fa_channel_wake(&r->counts->reader_waits);
                done += n;
        }
        return NULL;
}

/* Two threads, and neither looks again by itself: a wake-up that is lost is a test that hangs. */
Test(ring, all_bytes_come_once_and_in_order, .timeout = 60) {
        struct fa_channel writer, reader;
        struct fa_ring *r = &reader.results;
        uint64_t x = 4711;
        pthread_t thread;

        open_both(&writer, &reader);
        cr_assert_eq(pthread_create(&thread, NULL, write_all, &writer.results), 0);
        for (size_t done = 0; done < N_BYTES;) {
                uint8_t bytes[FA_RING_SIZE];
                uint32_t n = fa_ring_ready(r, 1);

                if (n == 0) {
                        fa_channel_wait(&r->counts->head, r->pos, &r->counts->reader_waits);
                        continue;
                }
                cr_assert_leq(n, FA_RING_SIZE);
                const uint32_t some = (uint32_t)(random_next(&x) % 9000 + 1);
                n = FA_MIN(n, some);
                fa_ring_get(r, bytes, n);
                for (uint32_t i = 0; i < n; i++)
                        if (bytes[i] != (done + i) % 251)
                                cr_assert_fail("byte %zu is another", done + i);
                done += n;
                fa_ring_release(r);
                if (fa_ring_wake_writer(r))
                        fa_channel_wake(&r->counts->writer_waits);
        }
        cr_assert_eq(pthread_join(thread, NULL), 0);
        fa_channel_unmap(&writer);
        fa_channel_unmap(&reader);
}

static _Atomic uint32_t count, mark;

static void *wait_for_count(void *arg) {
        fa_channel_wait(&count, 0, &mark);
        return arg;
}

/*
 * Who told an earlier count may be slow, and take the mark that was set since, before its owner
 * sleeps.  Then the mark has to be set again, or the next count wakes nobody.
 */
Test(ring, a_mark_that_is_taken_too_early_loses_no_wake_up, .timeout = 60) {
        pthread_t thread;

        cr_assert_eq(pthread_create(&thread, NULL, wait_for_count, NULL), 0);
        for (unsigned i = 0; i < 20000; i++) {
                /* As early as can be; but there may be one processor only. */
                for (unsigned k = 0; !atomic_exchange(&mark, 0); k++)
                        if (k > 100)
                                (void)sched_yield();
                fa_channel_wake(&mark);
        }
        atomic_store(&count, 1);
        while (!atomic_exchange(&mark, 0))
                (void)sched_yield();
        fa_channel_wake(&mark);
        cr_assert_eq(pthread_join(thread, NULL), 0);
}

/* Beyond 4 GiB the counts begin anew. */
Test(ring, counts_wrap) {
        struct fa_channel writer, reader;
        char text[100], got[100];

        open_both(&writer, &reader);
        uint32_t start = UINT32_MAX - 5000;
        atomic_store(&writer.control->tasks.head, start);
        atomic_store(&writer.control->tasks.tail, start);
        writer.tasks.pos = writer.tasks.seen = reader.tasks.pos = reader.tasks.seen = start;
        for (int i = 0; i < 200; i++) {
                memset(text, i, sizeof(text));
                cr_assert_eq(fa_ring_room(&writer.tasks, FA_RING_SIZE), FA_RING_SIZE);
                fa_ring_put(&writer.tasks, text, sizeof(text));
                cr_assert_eq(fa_ring_ready(&reader.tasks, 1), 0);
                fa_ring_tell(&writer.tasks);
                cr_assert_eq(fa_ring_ready(&reader.tasks, 1), sizeof(text));
                fa_ring_get(&reader.tasks, got, sizeof(got));
                fa_ring_release(&reader.tasks);
                cr_assert_arr_eq(text, got, sizeof(got));
        }
        fa_channel_unmap(&writer);
        fa_channel_unmap(&reader);
}

Test(ring, impossible_counts_show) {
        struct fa_channel writer, reader;

        open_both(&writer, &reader);
        atomic_store(&writer.control->tasks.tail, 1);
        cr_assert_gt(fa_ring_room(&writer.tasks, FA_RING_SIZE + 1), FA_RING_SIZE);
        atomic_store(&writer.control->tasks.head, FA_RING_SIZE + 1);
        cr_assert_gt(fa_ring_ready(&reader.tasks, 1), FA_RING_SIZE);
        fa_channel_unmap(&writer);
        fa_channel_unmap(&reader);
}
