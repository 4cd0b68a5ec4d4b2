#undef NDEBUG
#include <string.h>

#include <criterion/criterion.h>

#include "base/macros.h"
#include "model/outbox.h"
#include "th-alloc.h"

static char filler[FA_BATCH_BYTES];

static struct fa_item *
add(struct fa_outbox *o, struct fa_lane *l, enum fa_msg_type type, size_t payload, size_t text) {
        struct fa_msg *m = NULL;
        struct fa_item *it = fa_outbox_item(o, l, type, 7, 8, payload, text, &m);

        cr_assert_not_null(it);
        cr_assert_eq(it, &m->items[m->n_items - 1]);
        cr_assert_eq(m->epoch, 7);
        cr_assert_eq(m->session, 8);
        cr_assert_eq(fa_blob_new(&it->payload, filler, payload), 0);
        return it;
}

/* Pops the next message, which goes there and has so many items; it is freed. */
static void
expect(struct fa_outbox *o, uint64_t to, enum fa_msg_type type, uint32_t n_items, bool encode) {
        struct fa_frames f = FA_FRAMES_NULL;
        struct fa_msg *m = NULL;
        uint64_t got = 0;

        cr_assert(fa_outbox_pop(o, &got, &m));
        cr_assert_eq(got, to);
        cr_assert_eq(m->type, type);
        cr_assert_eq(m->n_items, n_items, "%u items instead of %u", m->n_items, n_items);
        if (encode)
                cr_assert_eq(fa_msg_encode(m, &f), 0, "it does not fit an envelope");
        fa_frames_deinit(&f);
        fa_msg_free(m);
}

static void expect_empty(struct fa_outbox *o) {
        struct fa_msg *m = NULL;
        uint64_t to = 0;

        cr_assert(!fa_outbox_pop(o, &to, &m));
        cr_assert(fa_outbox_empty(o));
}

Test(outbox, a_batch_closes_at_its_number_of_items) {
        struct fa_outbox o;
        struct fa_lane l = {.to = 5};

        fa_outbox_init(&o);
        for (unsigned i = 0; i < 2 * FA_BATCH_MAX + 1; i++)
                add(&o, &l, FA_MSG_ACK, 0, 0);
        expect(&o, 5, FA_MSG_ACK, FA_BATCH_MAX, true);
        expect(&o, 5, FA_MSG_ACK, FA_BATCH_MAX, true);
        expect(&o, 5, FA_MSG_ACK, 1, true);
        expect_empty(&o);
        fa_outbox_deinit(&o);
}

Test(outbox, a_batch_closes_at_its_payload_bytes) {
        struct fa_outbox o;
        struct fa_lane l = {.to = 5};

        fa_outbox_init(&o);
        for (unsigned i = 0; i < 9; i++)
                add(&o, &l, FA_MSG_TASK, FA_BATCH_BYTES / 4, 0);
        add(&o, &l, FA_MSG_TASK, FA_BATCH_BYTES / 4 * 3 + 1, 0);
        add(&o, &l, FA_MSG_TASK, 0, 0);
        expect(&o, 5, FA_MSG_TASK, 4, false);
        expect(&o, 5, FA_MSG_TASK, 4, false);
        expect(&o, 5, FA_MSG_TASK, 1, false);
        expect(&o, 5, FA_MSG_TASK, 2, false);
        expect_empty(&o);
        fa_outbox_deinit(&o);
}

Test(outbox, an_item_larger_than_a_batch_travels_alone) {
        struct fa_outbox o;
        struct fa_lane l = {.to = 5};

        fa_outbox_init(&o);
        for (unsigned i = 0; i < 2; i++) /* its size is told; its bytes are of no interest here */
                cr_assert_not_null(
                        fa_outbox_item(&o, &l, FA_MSG_TASK, 0, 0, FA_PAYLOAD_MAX, 0, NULL));
        cr_assert_not_null(fa_outbox_item(&o, &l, FA_MSG_TASK, 0, 0, 1, 0, NULL));
        expect(&o, 5, FA_MSG_TASK, 1, false);
        expect(&o, 5, FA_MSG_TASK, 1, false);
        expect(&o, 5, FA_MSG_TASK, 1, false);
        expect_empty(&o);
        fa_outbox_deinit(&o);
}

/* A RESULT of the largest kind. */
static void add_failure(struct fa_outbox *o, struct fa_lane *l, size_t text, size_t log) {
        struct fa_item *it = add(o, l, FA_MSG_RESULT, 0, text + log);

        memset(&it->id, 0xff, sizeof(it->id));
        it->fence = (struct fa_fence){UINT64_MAX, UINT32_MAX, UINT64_MAX};
        it->final = 1;
        it->state = FAAS_FAILED;
        it->failure = FAAS_FAILURE_CRASHED;
        it->code = INT32_MIN;
        cr_assert_eq(fa_blob_new(&it->text, filler, text), 0);
        cr_assert_eq(fa_blob_new(&it->log, filler, log), 0);
}

Test(outbox, a_batch_with_texts_closes_when_its_envelope_is_full) {
        static const struct {
                size_t text, log;
        } sizes[] = {
                {FA_TEXT_MAX, FA_LOG_MAX}, {FA_TEXT_MAX, 0}, {0, FA_LOG_MAX}, {100, 0}, {1, 1}};

        for (size_t s = 0; s < FA_ARRAY_SIZE(sizes); s++) {
                size_t len = sizes[s].text + sizes[s].log, total = 0;
                struct fa_outbox o;
                struct fa_lane l = {.to = 5};
                struct fa_msg *m = NULL;
                uint64_t to;

                fa_outbox_init(&o);
                for (unsigned i = 0; i < 300; i++)
                        add_failure(&o, &l, sizes[s].text, sizes[s].log);
                while (fa_outbox_pop(&o, &to, &m)) {
                        struct fa_frames f = FA_FRAMES_NULL;
                        cr_assert_eq(fa_msg_encode(m, &f), 0, "texts of %zu bytes", len);
                        total += m->n_items;
                        /* Not the bound's worth of space is wasted: it could not hold two more. */
                        if (total < 300 && m->n_items < FA_BATCH_MAX)
                                cr_assert_geq((m->n_items + 2) * (len + 250), 64000u);
                        fa_frames_deinit(&f);
                        fa_msg_free(m);
                }
                cr_assert_eq(total, 300);
                fa_outbox_deinit(&o);
        }
}

Test(outbox, a_full_batch_with_the_longest_names_fits_an_envelope) {
        static const uint8_t name[FA_NAME_MAX + 1] =
                "abcdefghijklmnopqrstuvwxyz.abcdefghijklmnopqrstuvwxyz-0123456789";
        struct fa_outbox o;
        struct fa_lane l = {.to = 5};

        fa_outbox_init(&o);
        for (unsigned i = 0; i < FA_BATCH_MAX; i++) {
                struct fa_item *it = add(&o, &l, FA_MSG_SUBMIT, 1, 0);
                it->function = it->queue = (struct fa_slice){name, FA_NAME_MAX};
                it->digest = (struct fa_slice){name, FA_DIGEST_LEN};
                it->timeout_ms = FA_TIMEOUT_MS_MAX;
                it->max_strikes = it->max_retries = UINT32_MAX;
                it->priority = UINT8_MAX;
        }
        expect(&o, 5, FA_MSG_SUBMIT, FA_BATCH_MAX, true);
        expect_empty(&o);
        fa_outbox_deinit(&o);
}

Test(outbox, receivers_have_batches_of_their_own_and_each_its_order) {
        struct fa_outbox o;
        struct fa_lane a = {.to = 1}, b = {.to = 2};

        fa_outbox_init(&o);
        add(&o, &a, FA_MSG_ACK, 0, 0);
        add(&o, &b, FA_MSG_ACK, 0, 0);
        add(&o, &a, FA_MSG_ACK, 0, 0); /* joins the first */
        add(&o, &b, FA_MSG_STALE, 0, 0);
        add(&o, &b, FA_MSG_ACK, 0, 0); /* must not overtake STALE */
        cr_assert_not_null(fa_outbox_msg(&o, &a, FA_MSG_DISCONNECT));
        add(&o, &a, FA_MSG_ACK, 0, 0);
        expect(&o, 1, FA_MSG_ACK, 2, true);
        expect(&o, 2, FA_MSG_ACK, 1, true);
        expect(&o, 2, FA_MSG_STALE, 1, true);
        expect(&o, 2, FA_MSG_ACK, 1, true);
        expect(&o, 1, FA_MSG_DISCONNECT, 0, true);
        expect(&o, 1, FA_MSG_ACK, 1, true);
        expect_empty(&o);
        fa_outbox_deinit(&o);
}

Test(outbox, another_header_is_another_message) {
        struct fa_outbox o;
        struct fa_lane l = {.to = 5};

        fa_outbox_init(&o);
        for (unsigned i = 0; i < 4; i++)
                cr_assert_not_null(fa_outbox_item(&o, &l, FA_MSG_ACK, i / 2, i % 2, 0, 0, NULL));
        for (unsigned i = 0; i < 4; i++)
                expect(&o, 5, FA_MSG_ACK, 1, true);
        expect_empty(&o);
        fa_outbox_deinit(&o);
}

Test(outbox, a_popped_message_never_changes_nor_do_those_that_wait_behind_it) {
        struct fa_outbox o;
        struct fa_lane a = {.to = 1}, b = {.to = 2};
        struct fa_msg *m = NULL;
        uint64_t to;

        fa_outbox_init(&o);
        add(&o, &a, FA_MSG_ACK, 0, 0);
        add(&o, &b, FA_MSG_ACK, 0, 0);
        cr_assert(fa_outbox_pop(&o, &to, &m));
        add(&o, &a, FA_MSG_ACK, 0, 0);
        add(&o, &b, FA_MSG_ACK, 0, 0);
        cr_assert_eq(m->n_items, 1);
        fa_msg_free(m);
        expect(&o, 2, FA_MSG_ACK, 1, true);
        expect(&o, 1, FA_MSG_ACK, 1, true);
        expect(&o, 2, FA_MSG_ACK, 1, true);
        expect_empty(&o);
        add(&o, &a, FA_MSG_ACK, 0, 0); /* and the lane is good for the next turn */
        expect(&o, 1, FA_MSG_ACK, 1, true);
        fa_outbox_deinit(&o);
}

Test(outbox, what_was_not_popped_is_freed_with_it) {
        int64_t live = th_alloc_live();
        struct fa_outbox o;
        struct fa_lane l[40];
        struct fa_msg *m = NULL;
        uint64_t to;

        fa_outbox_init(&o);
        for (unsigned i = 0; i < 40; i++) {
                l[i] = (struct fa_lane){.to = i};
                add(&o, &l[i], FA_MSG_TASK, 10, 0);
        }
        cr_assert(fa_outbox_pop(&o, &to, &m));
        fa_outbox_deinit(&o);
        fa_msg_free(m); /* that one was the shell's */
        cr_assert_eq(th_alloc_live(), live);
        cr_assert(fa_outbox_empty(&o));
}
