/* test-chan.c - the host's end of a channel, with the test as the slot: every byte checked */
#undef NDEBUG
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <criterion/criterion.h>

#include <faas/error.h>

#include "base/macros.h"
#include "exec/chan.h"

static const struct faas_id id = {{'i', 'd'}};

struct ends {
        struct fa_chan chan;
        struct fa_channel slot; /* our end */
};

static void open_ends(struct ends *e) {
        int fd = -1;

        memset(e, 0, sizeof(*e));
        cr_assert_eq(fa_channel_new(&fd), 0);
        cr_assert_eq(fa_channel_map(&e->slot, fd, true), 0);
        fa_chan_init(&e->chan);
        cr_assert_eq(fa_chan_open(&e->chan, fd, 1), 0);
        close(fd);
}

static void close_ends(struct ends *e) {
        fa_chan_deinit(&e->chan);
        fa_channel_unmap(&e->slot);
}

static uint32_t queue(struct ends *e, const char *function, struct fa_blob *payload) {
        struct fa_slot_task t = {
                .id = &id, .function = function, .payload = payload, .timeout_ms = 77};

        cr_assert_eq(fa_chan_queue(&e->chan, &t), 0);
        return e->chan.last_seq;
}

static int next(struct ends *e, struct fa_slot_event *ev) {
        *ev = (struct fa_slot_event){.slot = 0};
        return fa_chan_next(&e->chan, ev);
}

static void put(struct ends *e, const void *p, size_t n) {
        cr_assert_geq(fa_ring_room(&e->slot.results, (uint32_t)n), n);
        fa_ring_put(&e->slot.results, p, n);
        fa_ring_tell(&e->slot.results);
}

/* As a whole. */
static void say(struct ends *e, const struct fa_frame *f, const void *body) {
        uint8_t bytes[4096];

        cr_assert_leq(f->len, sizeof(bytes) - FA_FRAME_LEN);
        fa_frame_put(bytes, f);
        if (f->len > 0)
                memcpy(bytes + FA_FRAME_LEN, body, f->len);
        put(e, bytes, FA_FRAME_LEN + f->len);
}

static void say_hello(struct ends *e) {
        struct fa_slot_event ev;
        struct fa_frame hello = {.type = FA_FRAME_HELLO, .seq = FA_CHANNEL_VERSION, .arg = 4711};

        say(e, &hello, NULL);
        cr_assert_eq(next(e, &ev), 0);
        cr_assert_eq(ev.kind, FA_SLOT_UP);
        cr_assert_eq(ev.seq, 4711);
}

/* The bytes of PROTOCOL: written out by hand, so that a change of the format is seen. */
Test(chan, task_has_these_bytes) {
        static const uint8_t want[] =
                {
                        0x23, 0,   0,   0,   2,   0,   4,   0,   1,   0,   0,
                        0,    77,  0,   0,   0, /* header */
                        'i',  'd', 0,   0,   0,   0,   0,   0,   0,   0,   0,
                        0,    0,   0,   0,   0, /* id */
                        'e',  'c', 'h', 'o', 0,   0,   0,   0,   0,   0,   0,
                        0,    0,   0,   0,   0, /* name */
                        'a',  'b', 'c', 0,   0,   0,   0,   0,   0,   0,   0,
                        0,    0,   0,   0,   0, /* payload */
                        0x30, 0,   0,   0,   2,   0,   16,  0,   2,   0,   0,
                        0,    77,  0,   0,   0, /* header */
                        'i',  'd', 0,   0,   0,   0,   0,   0,   0,   0,   0,
                        0,    0,   0,   0,   0, /* id */
                        's',  'i', 'x', 't', 'e', 'e', 'n', '-', 'l', 'e', 't',
                        't',  'e', 'r', 's', '.', 0,   0,   0,   0,   0,   0,
                        0,    0,   0,   0,   0,   0,   0,   0,   0,   0, /* its NULs */
                        0,    0,   0,   0,   0,   0,   0,   0,   0,   0,   0,
                        0,    0,   0,   0,   0, /* no payload */
                };
        uint8_t got[sizeof(want) + 1];
        struct fa_blob *payload = NULL;
        struct ends e;

        open_ends(&e);
        cr_assert_eq(fa_blob_new(&payload, "abc", 3), 0);
        queue(&e, "echo", payload);
        queue(&e, "sixteen-letters.", NULL);
        fa_blob_unref(payload);
        cr_assert_eq(fa_ring_ready(&e.slot.tasks, 1), 0);
        cr_assert_eq(fa_chan_flush(&e.chan), 0);
        cr_assert_eq(fa_ring_ready(&e.slot.tasks, sizeof(want)), sizeof(want));
        fa_ring_get(&e.slot.tasks, got, sizeof(want));
        for (size_t i = 0; i < sizeof(want); i++)
                cr_assert_eq(got[i], want[i], "byte %zu is %d, not %d", i, got[i], want[i]);
        close_ends(&e);
}

Test(chan, results_of_both_kinds_come_in_order) {
        static const char text[] = "it failed";
        const struct fa_frame good = {.len = 5, .type = FA_FRAME_RESULT, .seq = 1};
        const struct fa_frame bad = {.len = sizeof(text) - 1,
                                     .type = FA_FRAME_RESULT,
                                     .flags = FAAS_FAILURE_FUNCTION,
                                     .aux = sizeof(text) - 1,
                                     .seq = 2,
                                     .arg = (uint32_t)-3};
        struct fa_slot_event ev;
        struct ends e;

        open_ends(&e);
        say_hello(&e);
        queue(&e, "f", NULL);
        queue(&e, "f", NULL);
        say(&e, &good, "hello");
        say(&e, &bad, text);
        cr_assert_eq(next(&e, &ev), 0);
        cr_assert_eq(ev.seq, 1);
        cr_assert_str_eq((const char *)fa_blob_ptr(ev.outcome.payload), "hello");
        fa_outcome_deinit(&ev.outcome);
        cr_assert_eq(next(&e, &ev), 0);
        cr_assert_eq(ev.seq, 2);
        cr_assert_eq(ev.outcome.code, -3);
        cr_assert_str_eq((const char *)fa_blob_ptr(ev.outcome.text), text);
        fa_outcome_deinit(&ev.outcome);
        cr_assert_eq(next(&e, &ev), FAAS_E_AGAIN);
        /* And the room is the slot's again. */
        cr_assert_eq(fa_ring_room(&e.slot.results, FA_RING_SIZE), FA_RING_SIZE);
        close_ends(&e);
}

/* What fits the ring is told as a whole: a part of it is rubbish. */
Test(chan, results_that_are_cut_are_refused) {
        uint8_t bytes[FA_FRAME_LEN + 5];
        const struct fa_frame f = {.len = 5, .type = FA_FRAME_RESULT, .seq = 1};

        fa_frame_put(bytes, &f);
        memcpy(bytes + FA_FRAME_LEN, "hello", 5);
        for (size_t cut = 1; cut < sizeof(bytes); cut++) {
                struct fa_slot_event ev;
                struct ends e;

                open_ends(&e);
                say_hello(&e);
                queue(&e, "f", NULL);
                put(&e, bytes, cut);
                cr_assert_eq(next(&e, &ev), FAAS_E_PROTO);
                close_ends(&e);
        }
}

/* Longer than the ring: in pieces of any size, each of which makes room at once. */
Test(chan, long_results_come_in_pieces) {
        enum { LEN = 5 * FA_RING_SIZE + 123 };
        uint8_t *bytes = malloc(LEN);
        static const size_t pieces[] = {1, 15, 4096, 60000, FA_RING_SIZE};

        cr_assert_not_null(bytes);
        for (size_t i = 0; i < LEN; i++)
                bytes[i] = (uint8_t)(i * 7 + i / 251);
        for (size_t k = 0; k < FA_ARRAY_SIZE(pieces); k++) {
                const struct fa_frame f = {.len = LEN, .type = FA_FRAME_RESULT, .seq = 1};
                uint8_t head[FA_FRAME_LEN];
                struct fa_slot_event ev;
                struct ends e;
                size_t done = 0;

                open_ends(&e);
                say_hello(&e);
                queue(&e, "f", NULL);
                fa_frame_put(head, &f);
                put(&e, head, sizeof(head));
                while (done < LEN) {
                        cr_assert_eq(next(&e, &ev), FAAS_E_AGAIN);
                        size_t n = FA_MIN(pieces[k], LEN - done);
                        put(&e, bytes + done, n);
                        done += n;
                }
                cr_assert_eq(next(&e, &ev), 0);
                cr_assert_eq(fa_blob_len(ev.outcome.payload), LEN);
                cr_assert_arr_eq(fa_blob_ptr(ev.outcome.payload), bytes, LEN);
                fa_outcome_deinit(&ev.outcome);
                close_ends(&e);
        }
        free(bytes);
}

/* The claim says that it was not begun, and a recall takes it back, with its result half way. */
Test(chan, long_result_of_a_task_that_was_taken_back_is_refused) {
        enum { LEN = 2 * FA_RING_SIZE };
        const struct fa_frame f = {.len = LEN, .type = FA_FRAME_RESULT, .seq = 1};
        static const uint8_t bytes[FA_RING_SIZE];
        uint8_t head[FA_FRAME_LEN];
        struct fa_slot_event ev;
        uint32_t seq;
        struct ends e;

        open_ends(&e);
        say_hello(&e);
        queue(&e, "f", NULL);
        fa_frame_put(head, &f);
        put(&e, head, sizeof(head));
        cr_assert_eq(next(&e, &ev), FAAS_E_AGAIN);
        cr_assert_eq(fa_chan_recall(&e.chan, &seq), 0);
        cr_assert_eq(e.chan.n_tasks, 0);
        put(&e, bytes, sizeof(bytes));
        cr_assert_eq(next(&e, &ev), FAAS_E_AGAIN);
        put(&e, bytes, sizeof(bytes));
        cr_assert_eq(next(&e, &ev), FAAS_E_PROTO);
        cr_assert_eq(e.chan.n_tasks, 0);
        close_ends(&e);
}

/* Counts that cannot be: more than the ring holds, or room that was never filled. */
Test(chan, counts_that_cannot_be_are_refused) {
        struct fa_slot_event ev;
        struct ends e;

        open_ends(&e);
        say_hello(&e);
        queue(&e, "f", NULL);
        atomic_store(&e.slot.control->results.head, 3u << 30);
        cr_assert_eq(next(&e, &ev), FAAS_E_PROTO);
        close_ends(&e);
        for (uint32_t tail = 100000; tail < 200000; tail += 40000) {
                struct fa_blob *large = NULL;

                open_ends(&e);
                say_hello(&e);
                atomic_store(&e.slot.control->tasks.tail, tail);
                uint8_t *p;
                cr_assert_eq(fa_blob_new_uninit(&large, &p, 1000000), 0);
                memset(p, 1, 1000000);
                queue(&e, "f", large);
                queue(&e, "f", large);
                fa_blob_unref(large);
                int r = fa_chan_flush(&e.chan);
                atomic_store(&e.slot.control->tasks.tail, tail + (2u << 30));
                cr_assert(r == FAAS_E_PROTO || fa_chan_flush(&e.chan) == FAAS_E_PROTO);
                close_ends(&e);
        }
}

Test(chan, every_frame_that_does_not_fit_is_refused) {
        const struct fa_frame bad[] = {
                {.type = 0},
                {.type = FA_FRAME_TASK, .seq = 1},
                {.type = FA_FRAME_PROGRESS, .seq = 1},
                {.type = 0xff, .seq = 1},
                {.type = FA_FRAME_HELLO, .seq = FA_CHANNEL_VERSION}, /* a second one */
                {.type = FA_FRAME_RESULT, .seq = 0},
                {.type = FA_FRAME_RESULT, .seq = 2}, /* out of order */
                {.type = FA_FRAME_RESULT, .seq = 3}, /* never given */
                {.type = FA_FRAME_RESULT, .seq = 1, .len = FAAS_PAYLOAD_MAX + 1},
                {.type = FA_FRAME_RESULT, .seq = 1, .len = UINT32_MAX},
                {.type = FA_FRAME_RESULT, .seq = 1, .len = 4, .aux = 4},
                {.type = FA_FRAME_RESULT, .seq = 1, .flags = FAAS_FAILURE_CRASHED},
                {.type = FA_FRAME_RESULT, .seq = 1, .flags = FAAS_FAILURE_TIMEOUT},
                {.type = FA_FRAME_RESULT, .seq = 1, .flags = 0xff},
                {.type = FA_FRAME_RESULT,
                 .seq = 1,
                 .flags = FAAS_FAILURE_LIMIT,
                 .len = 4,
                 .aux = 3},
                {.type = FA_FRAME_RESULT,
                 .seq = 1,
                 .flags = FAAS_FAILURE_FUNCTION,
                 .len = FAAS_TEXT_MAX + 1,
                 .aux = FAAS_TEXT_MAX + 1},
        };

        for (size_t i = 0; i < FA_ARRAY_SIZE(bad); i++) {
                uint8_t head[FA_FRAME_LEN];
                struct fa_slot_event ev;
                struct ends e;

                open_ends(&e);
                say_hello(&e);
                queue(&e, "f", NULL);
                queue(&e, "f", NULL);
                fa_frame_put(head, &bad[i]);
                put(&e, head, sizeof(head));
                cr_assert_eq(next(&e, &ev), FAAS_E_PROTO, "frame %zu was taken", i);
                close_ends(&e);
        }
}

Test(chan, hello_comes_first_and_has_a_version) {
        const struct fa_frame bad[] = {
                {.type = FA_FRAME_RESULT, .seq = 1},
                {.type = FA_FRAME_HELLO, .seq = FA_CHANNEL_VERSION + 1},
                {.type = FA_FRAME_HELLO, .seq = FA_CHANNEL_VERSION, .len = 1},
        };

        for (size_t i = 0; i < FA_ARRAY_SIZE(bad); i++) {
                struct fa_slot_event ev;
                struct ends e;

                open_ends(&e);
                queue(&e, "f", NULL);
                say(&e, &bad[i], "x");
                cr_assert_eq(next(&e, &ev), FAAS_E_PROTO);
                close_ends(&e);
        }
}

/* Reads what is there and counts whole tasks, checking their order. */
static size_t read_tasks(struct ends *e, uint8_t *buf, size_t *len, uint32_t *seqs) {
        uint32_t n;
        size_t pos = 0;
        size_t n_tasks = 0;

        while ((n = fa_ring_ready(&e->slot.tasks, 1)) > 0) {
                fa_ring_get(&e->slot.tasks, buf + *len, n);
                fa_ring_release(&e->slot.tasks);
                *len += n;
        }
        while (*len - pos >= FA_FRAME_LEN) {
                struct fa_frame f;

                fa_frame_get(&f, buf + pos);
                cr_assert_eq(f.type, FA_FRAME_TASK);
                size_t size = FA_FRAME_LEN + f.len + FA_TASK_PAD(f.len);
                if (*len - pos < size)
                        break;
                seqs[n_tasks++] = f.seq;
                pos += size;
        }
        memmove(buf, buf + pos, *len - pos);
        *len -= pos;
        return n_tasks;
}

/* Large and small ones, more than the ring takes; recalled at every possible place of the stream.
 */
Test(chan, recalled_tasks_are_cut_from_the_queue_and_the_stream_stays_whole) {
        uint8_t *buf = malloc(64 << 20);
        char *bytes = calloc(1, 300000);
        struct fa_blob *large = NULL, *small = NULL;

        cr_assert(buf && bytes);
        cr_assert_eq(fa_blob_new(&large, bytes, 300000), 0);
        cr_assert_eq(fa_blob_new(&small, bytes, 100), 0);
        for (uint32_t begun = 0; begun <= 12; begun++) {
                uint32_t seqs[64], seq;
                size_t len = 0, n = 0;
                struct ends e;

                open_ends(&e);
                say_hello(&e);
                for (int i = 0; i < 12; i++)
                        queue(&e, "f", i % 3 == 1 ? large : small);
                cr_assert_eq(fa_chan_flush(&e.chan), FAAS_E_AGAIN);
                /* The slot reads until it has begun that many. */
                while (n < begun) {
                        n += read_tasks(&e, buf, &len, seqs + n);
                        (void)fa_chan_flush(&e.chan);
                }
                if (begun)
                        cr_assert(fa_control_claim(e.slot.control, begun));
                cr_assert_eq(fa_chan_recall(&e.chan, &seq), 0);
                cr_assert_eq(seq, begun);
                cr_assert_eq(e.chan.n_tasks, begun);
                uint32_t after = queue(&e, "f", large);
                cr_assert_eq(after, 13);
                while (n == 0 || seqs[n - 1] != after) {
                        (void)fa_chan_flush(&e.chan);
                        n += read_tasks(&e, buf, &len, seqs + n);
                }
                for (size_t i = 0; i < n; i++)
                        cr_assert_eq(fa_control_claim(e.slot.control, seqs[i]), seqs[i] > 12 || 0);
                cr_assert_eq(len, 0);
                close_ends(&e);
        }
        cr_assert_eq(large->refs, 1);
        cr_assert_eq(small->refs, 1);
        fa_blob_unref(large);
        fa_blob_unref(small);
        free(bytes);
        free(buf);
}

/* A slot that waits for room, or a host: whoever makes some is told to wake the other, once. */
Test(chan, marks_are_taken_by_whoever_makes_the_others_work) {
        const struct fa_frame f = {.type = FA_FRAME_RESULT, .seq = 1};
        struct fa_slot_event ev;
        struct ends e;

        open_ends(&e);
        say_hello(&e);
        queue(&e, "f", NULL);
        atomic_store(&e.slot.control->tasks.reader_waits, 1);
        cr_assert_eq(fa_chan_flush(&e.chan), 0);
        cr_assert_eq(atomic_load(&e.slot.control->tasks.reader_waits), 0);
        fa_chan_arm(&e.chan);
        cr_assert_not(fa_chan_is_ready(&e.chan));
        say(&e, &f, NULL);
        cr_assert(fa_ring_wake_reader(&e.slot.results));
        cr_assert_not(fa_ring_wake_reader(&e.slot.results));
        cr_assert(fa_chan_is_ready(&e.chan));
        fa_chan_disarm(&e.chan);
        atomic_store(&e.slot.control->results.writer_waits, 1);
        cr_assert_eq(next(&e, &ev), 0);
        cr_assert_eq(next(&e, &ev), FAAS_E_AGAIN);
        cr_assert_eq(atomic_load(&e.slot.control->results.writer_waits), 0);
        close_ends(&e);
}

/* Frames that nearly fit, counts that nearly do: all that comes out are results of tasks. */
Test(chan, random_bytes_are_never_more_than_rubbish) {
        uint64_t x = 88172645463325252u;
        unsigned n_results = 0;

        for (int round = 0; round < 3000; round++) {
                uint8_t bytes[256];
                struct fa_slot_event ev;
                uint32_t expected = 1;
                struct ends e;
                int r;

                open_ends(&e);
                if (round % 4)
                        say_hello(&e);
                for (int i = 0; i < 5; i++)
                        queue(&e, "f", NULL);
                for (uint32_t i = 1; i <= 3 && round % 2; i++) {
                        const struct fa_frame f = {.len = 3, .type = FA_FRAME_RESULT, .seq = i};
                        say(&e, &f, "abc");
                }
                for (size_t i = 0; i < sizeof(bytes); i++) {
                        x ^= x << 13, x ^= x >> 7, x ^= x << 17;
                        /* Mostly small numbers, so that some headers fit. */
                        bytes[i] = (uint8_t)(x & 7 ? x >> 8 & 3 : x >> 8);
                }
                put(&e, bytes, sizeof(bytes));
                if (x % 16 == 0)
                        atomic_store(&e.slot.control->results.head, (uint32_t)(x >> 20));
                while ((r = next(&e, &ev)) == 0 ||
                       (r == FAAS_E_AGAIN && !e.chan.big && fa_chan_is_ready(&e.chan))) {
                        if (r != 0 || ev.kind == FA_SLOT_UP)
                                continue;
                        cr_assert_eq(ev.seq, expected);
                        expected++;
                        n_results++;
                        fa_outcome_deinit(&ev.outcome);
                }
                cr_assert_leq(expected, 6);
                close_ends(&e);
        }
        cr_assert_gt(n_results, 1000);
}
