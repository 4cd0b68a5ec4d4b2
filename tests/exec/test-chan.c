/* test-chan.c - the host's end of a channel, with the test as the slot: every byte checked */
#undef NDEBUG
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <criterion/criterion.h>

#include <faas/error.h>

#include "base/macros.h"
#include "exec/chan.h"

static const struct faas_id id = {{'i', 'd'}};

struct ends {
        struct fa_chan chan;
        struct fa_control control;
        struct fa_chan_input input;
        int slot; /* our end */
};

static void open_ends(struct ends *e) {
        int sv[2];

        memset(e, 0, sizeof(*e));
        cr_assert_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, sv), 0);
        e->slot = sv[1];
        e->input.p = malloc(FA_CHAN_SCRATCH);
        cr_assert_not_null(e->input.p);
        fa_chan_init(&e->chan);
        fa_chan_open(&e->chan, sv[0], &e->control, 1);
}

static void close_ends(struct ends *e) {
        fa_chan_deinit(&e->chan);
        free(e->input.p);
        close(e->slot);
}

static uint32_t queue(struct ends *e, const char *function, struct fa_blob *payload) {
        struct fa_slot_task t = {
                .id = &id, .function = function, .payload = payload, .timeout_ms = 77};

        cr_assert_eq(fa_chan_queue(&e->chan, &t), 0);
        return e->chan.last_seq;
}

/* The next event, reading as often as need be. */
static int next(struct ends *e, struct fa_slot_event *ev) {
        for (;;) {
                *ev = (struct fa_slot_event){.slot = 0};
                int r = fa_chan_next(&e->chan, &e->input, ev);

                if (r != FAAS_E_AGAIN)
                        return r;
                r = fa_chan_read(&e->chan, &e->input);
                if (r != 0)
                        return r;
        }
}

static void say(struct ends *e, const struct fa_frame *f, const void *body) {
        uint8_t head[FA_FRAME_LEN];

        fa_frame_put(head, f);
        cr_assert_eq((size_t)write(e->slot, head, sizeof(head)), sizeof(head));
        if (f->len > 0)
                cr_assert_eq((size_t)write(e->slot, body, f->len), f->len);
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
        cr_assert_eq(fa_chan_write(&e.chan), 0);
        cr_assert_eq((size_t)recv(e.slot, got, sizeof(got), 0), sizeof(want));
        for (size_t i = 0; i < sizeof(want); i++)
                cr_assert_eq(got[i], want[i], "byte %zu is %d, not %d", i, got[i], want[i]);
        close_ends(&e);
}

Test(chan, results_may_be_cut_anywhere) {
        static const char text[] = "it failed";
        struct fa_slot_event ev;
        uint8_t bytes[2 * FA_FRAME_LEN + 5 + sizeof(text) - 1];
        struct fa_frame good = {.len = 5, .type = FA_FRAME_RESULT, .seq = 1};
        struct fa_frame bad = {.len = sizeof(text) - 1,
                               .type = FA_FRAME_RESULT,
                               .flags = FAAS_FAILURE_FUNCTION,
                               .aux = sizeof(text) - 1,
                               .seq = 2,
                               .arg = (uint32_t)-3};

        fa_frame_put(bytes, &good);
        memcpy(bytes + FA_FRAME_LEN, "hello", 5);
        fa_frame_put(bytes + FA_FRAME_LEN + 5, &bad);
        memcpy(bytes + 2 * FA_FRAME_LEN + 5, text, sizeof(text) - 1);
        for (size_t cut = 1; cut < sizeof(bytes); cut++) {
                struct ends e;

                open_ends(&e);
                say_hello(&e);
                queue(&e, "f", NULL);
                queue(&e, "f", NULL);
                cr_assert_eq((size_t)write(e.slot, bytes, cut), cut);
                int r = next(&e, &ev);
                cr_assert_eq(r, cut < FA_FRAME_LEN + 5 ? FAAS_E_AGAIN : 0);
                cr_assert_eq((size_t)write(e.slot, bytes + cut, sizeof(bytes) - cut),
                             sizeof(bytes) - cut);
                if (r != 0)
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
                cr_assert_eq((size_t)write(e.slot, head, sizeof(head)), sizeof(head));
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
        ssize_t n;
        size_t pos = 0;
        size_t n_tasks = 0;

        while ((n = recv(e->slot, buf + *len, 65536, MSG_DONTWAIT)) > 0)
                *len += (size_t)n;
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

/* Large and small ones, more than the socket takes; recalled at every possible place of the stream.
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
                cr_assert_eq(fa_chan_write(&e.chan), FAAS_E_AGAIN);
                /* The slot reads until it has begun that many. */
                while (n < begun) {
                        n += read_tasks(&e, buf, &len, seqs + n);
                        (void)fa_chan_write(&e.chan);
                }
                if (begun)
                        cr_assert(fa_control_claim(&e.control, begun));
                cr_assert_eq(fa_chan_recall(&e.chan, &seq), 0);
                cr_assert_eq(seq, begun);
                cr_assert_eq(e.chan.n_tasks, begun);
                uint32_t after = queue(&e, "f", large);
                cr_assert_eq(after, 13);
                while (n == 0 || seqs[n - 1] != after) {
                        (void)fa_chan_write(&e.chan);
                        n += read_tasks(&e, buf, &len, seqs + n);
                }
                for (size_t i = 0; i < n; i++)
                        cr_assert_eq(fa_control_claim(&e.control, seqs[i]), seqs[i] > 12 || 0);
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

Test(chan, random_bytes_are_never_more_than_rubbish) {
        uint64_t x = 88172645463325252u;

        for (int round = 0; round < 3000; round++) {
                uint8_t bytes[256];
                struct fa_slot_event ev;
                struct ends e;
                int r;

                open_ends(&e);
                if (round & 1)
                        say_hello(&e);
                for (int i = 0; i < 5; i++)
                        queue(&e, "f", NULL);
                for (size_t i = 0; i < sizeof(bytes); i++) {
                        x ^= x << 13, x ^= x >> 7, x ^= x << 17;
                        /* Mostly small numbers, so that some headers fit. */
                        bytes[i] = (uint8_t)(x & 7 ? x >> 8 & 3 : x >> 8);
                }
                cr_assert_eq((size_t)write(e.slot, bytes, sizeof(bytes)), sizeof(bytes));
                shutdown(e.slot, SHUT_WR);
                while ((r = next(&e, &ev)) == 0)
                        fa_outcome_deinit(&ev.outcome);
                cr_assert(r == FAAS_E_PROTO || r == FAAS_E_GONE);
                close_ends(&e);
        }
}

static void shelve(struct ends *e, uint64_t *filled, uint32_t seq, const char *text) {
        struct fa_frame f = {.len = (uint32_t)strlen(text), .type = FA_FRAME_RESULT, .seq = seq};
        uint8_t head[FA_FRAME_LEN];

        fa_frame_put(head, &f);
        fa_shelf_put(&e->control.shelf, filled, head, sizeof(head), text, f.len);
}

/* Results 1 to n, of which some are in the socket, the next on the shelf, the rest written after.
 */
Test(chan, fetched_results_stand_between_those_written_before_and_after) {
        for (uint32_t before = 0; before <= 4; before++) {
                for (uint32_t read = 0; read <= before; read++) {
                        uint32_t seq, last = before + 3;
                        uint64_t filled = 0;
                        struct fa_slot_event ev;
                        struct ends e;

                        open_ends(&e);
                        say_hello(&e);
                        for (int i = 0; i < 12; i++)
                                queue(&e, "f", NULL);
                        for (uint32_t i = 1; i <= before; i++)
                                say(&e, &(struct fa_frame){.type = FA_FRAME_RESULT, .seq = i},
                                    NULL);
                        for (uint32_t i = 1; i <= read; i++) {
                                cr_assert_eq(next(&e, &ev), 0);
                                cr_assert_eq(ev.seq, i);
                        }
                        shelve(&e, &filled, before + 1, "one");
                        shelve(&e, &filled, before + 2, "two");
                        cr_assert(fa_control_claim(&e.control, last));
                        cr_assert_eq(fa_chan_recall(&e.chan, &seq), 0);
                        cr_assert_eq(seq, last);
                        cr_assert_eq(atomic_load(&e.control.shelf.sent), filled);
                        /* A second recall, with the first one's results still there. */
                        shelve(&e, &filled, last, "three");
                        cr_assert_eq(fa_chan_recall(&e.chan, &seq), 0);
                        for (uint32_t i = read + 1; i <= last; i++) {
                                cr_assert_eq(next(&e, &ev), 0);
                                cr_assert_eq(ev.seq, i);
                                cr_assert_eq(fa_blob_len(ev.outcome.payload), i <= before      ? 0
                                                                              : i < before + 3 ? 3
                                                                                               : 5);
                                fa_outcome_deinit(&ev.outcome);
                        }
                        uint32_t after = queue(&e, "f", NULL);
                        say(&e, &(struct fa_frame){.type = FA_FRAME_RESULT, .seq = after}, NULL);
                        cr_assert_eq(next(&e, &ev), 0);
                        cr_assert_eq(ev.seq, after);
                        cr_assert_eq(e.chan.n_tasks, 0);
                        close_ends(&e);
                }
        }
}

/* What was fetched waits for the one before it, of which only a part has come. */
Test(chan, fetched_result_waits_for_the_rest_of_the_one_before) {
        static const char body[] = "a text that comes in two parts";
        struct fa_frame f = {.len = sizeof(body), .type = FA_FRAME_RESULT, .seq = 1};
        struct fa_slot_event ev;
        uint64_t filled = 0;
        uint8_t head[FA_FRAME_LEN];
        uint32_t seq;
        struct ends e;

        open_ends(&e);
        say_hello(&e);
        for (int i = 0; i < 3; i++)
                queue(&e, "f", NULL);
        fa_frame_put(head, &f);
        cr_assert_eq((size_t)write(e.slot, head, sizeof(head)), sizeof(head));
        cr_assert_eq((size_t)write(e.slot, body, 10), 10);
        shelve(&e, &filled, 2, "two");
        cr_assert(fa_control_claim(&e.control, 3));
        cr_assert_eq(fa_chan_recall(&e.chan, &seq), 0);
        cr_assert_eq(next(&e, &ev), FAAS_E_AGAIN);
        cr_assert_eq((size_t)write(e.slot, body + 10, sizeof(body) - 10), sizeof(body) - 10);
        for (uint32_t i = 1; i <= 2; i++) {
                cr_assert_eq(next(&e, &ev), 0);
                cr_assert_eq(ev.seq, i);
                fa_outcome_deinit(&ev.outcome);
        }
        cr_assert_eq(next(&e, &ev), FAAS_E_AGAIN);
        close_ends(&e);
}

/* Frames that nearly fit, and counts that nearly do: all that comes out are tasks' results. */
Test(chan, random_shelves_are_never_more_than_rubbish) {
        uint64_t x = 88172645463325252u;
        unsigned n_sound = 0;

        for (int round = 0; round < 20000; round++) {
                struct fa_slot_event ev;
                uint64_t filled = 0;
                uint32_t seq, expected = 1;
                struct ends e;

                open_ends(&e);
                say_hello(&e);
                for (int i = 0; i < 5; i++)
                        queue(&e, "f", NULL);
                cr_assert(fa_control_claim(&e.control, 5));
                for (uint32_t i = 1; i <= 4; i++) {
                        x ^= x << 13, x ^= x >> 7, x ^= x << 17;
                        shelve(&e, &filled, x % 16 ? i : (uint32_t)(x >> 32) % 8, "text");
                }
                /* A byte here and there is another. */
                for (int i = 0; i < round % 3; i++) {
                        x ^= x << 13, x ^= x >> 7, x ^= x << 17;
                        e.control.shelf.bytes[(x >> 8) % filled] =
                                (uint8_t)(x & 7 ? x >> 40 & 7 : x >> 40);
                }
                x ^= x << 13, x ^= x >> 7, x ^= x << 17;
                if (x % 8 == 0)
                        atomic_store(&e.control.shelf.filled,
                                     filled + (x >> 8) % (2 * FA_SHELF_LEN) - 20);
                int r = fa_chan_recall(&e.chan, &seq);
                cr_assert(r == 0 || r == FAAS_E_PROTO);
                n_sound += r == 0;
                cr_assert_leq(e.chan.rescued.cap, 2 * FA_SHELF_LEN);
                while ((r = next(&e, &ev)) == 0) {
                        cr_assert_eq(ev.seq, expected);
                        expected++;
                        fa_outcome_deinit(&ev.outcome);
                }
                cr_assert_eq(r, FAAS_E_AGAIN);
                cr_assert_leq(expected, 6);
                close_ends(&e);
        }
        cr_assert(n_sound > 1000 && n_sound < 19000);
}
