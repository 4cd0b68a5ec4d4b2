/*
 * conform-task.c - every store: the operations on one task, with all their answers
 */
#undef NDEBUG
#include "conformance.h"

#include <stdio.h>
#include <string.h>

/* ACCEPT of these bytes: its answer, and whether it says that the bytes differ. */
static int accept_as(struct ep *e, unsigned id, const char *bytes, bool *ret_differs, int state) {
        struct fa_group *g = ep_group(e);

        put_accept(g, e->epoch, id, bytes);
        cr_assert_eq(ep_run(e, g), 0);
        int r = g->ops[0].r;
        *ret_differs = g->ops[0].differs;
        cr_assert_eq(g->ops[0].rec != NULL, r == FAAS_E_EXISTS);
        if (g->ops[0].rec)
                cr_assert_eq(g->ops[0].rec->state, state);
        fa_group_free(g);
        return r;
}

Test(store, accept_of_an_absent_task_stores_it) {
        struct fa_record *rec = NULL;
        struct bed b;

        bed_open(&b, NULL);
        struct ep e = ep_start(&b, "a");
        cr_assert_eq(do_accept(&e, 1, "payload"), 0);
        cr_assert_eq(do_get(&b, 1, &rec), 0);
        struct faas_id id = id_of(1);
        cr_assert_eq(memcmp(&rec->id, &id, sizeof(id)), 0);
        cr_assert_eq(rec->partition, e.epoch);
        cr_assert_eq(rec->state, FAAS_QUEUED);
        cr_assert_eq(rec->hinted, 0);
        cr_assert_eq(rec->strikes + rec->retries, 0);
        cr_assert(blob_is(fa_spec_payload(rec->spec), "payload"));
        record_free(rec);
        cr_assert_eq(do_get(&b, 2, NULL), FAAS_E_NOENT);
        bed_close(&b);
}

Test(store, accept_of_a_present_task_tells_the_record_and_whether_the_bytes_differ) {
        bool differs;
        struct bed b;

        bed_open(&b, NULL);
        struct ep e = ep_start(&b, "a"), other = ep_start(&b, "b");
        cr_assert_eq(do_accept(&e, 1, "x"), 0);
        cr_assert_eq(accept_as(&e, 1, "x", &differs, FAAS_QUEUED), FAAS_E_EXISTS);
        cr_assert(!differs);
        cr_assert_eq(accept_as(&e, 1, "y", &differs, FAAS_QUEUED), FAAS_E_EXISTS);
        cr_assert(differs);
        cr_assert_eq(accept_as(&other, 1, "x", &differs, FAAS_QUEUED), FAAS_E_EXISTS);
        cr_assert(!differs);
        bed_close(&b);
}

Test(store, accept_of_a_final_task_tells_its_result_and_whether_the_bytes_differ) {
        bool differs;
        struct bed b;

        bed_open(&b, NULL);
        struct ep e = ep_start(&b, "a");
        cr_assert_eq(do_accept(&e, 1, "payload"), 0);
        cr_assert_eq(do_finish(&e, 1, "result"), 0);
        cr_assert_eq(accept_as(&e, 1, "payload", &differs, FAAS_COMPLETED), FAAS_E_EXISTS);
        cr_assert(!differs);
        cr_assert_eq(accept_as(&e, 1, "Payload", &differs, FAAS_COMPLETED), FAAS_E_EXISTS);
        cr_assert(differs, "an id names one content for ever");
        cr_assert_eq(accept_as(&e, 1, "payload2", &differs, FAAS_COMPLETED), FAAS_E_EXISTS);
        cr_assert(differs);
        expect_final(&b, 1, "result");
        bed_close(&b);
}

Test(store, a_collected_task_is_gone_for_every_operation) {
        struct bed b;

        bed_open(&b, NULL);
        struct ep e = ep_start(&b, "a");
        cr_assert_eq(do_accept(&e, 1, "x"), 0);
        cr_assert_eq(do_finish(&e, 1, "y"), 0);
        cr_assert_eq(do_forget(&e, 1), 0);
        cr_assert_eq(do_accept(&e, 1, "x"), FAAS_E_GONE);
        cr_assert_eq(do_finish(&e, 1, "x"), FAAS_E_GONE);
        cr_assert_eq(do_get(&b, 1, NULL), FAAS_E_GONE);
        b.ops->restart(&b);
        bind_own(&e);
        cr_assert_eq(do_restore(&e, 1, FAAS_COMPLETED, "x"), FAAS_E_GONE);
        cr_assert_eq(do_restore(&e, 1, FAAS_QUEUED, "x"), FAAS_E_GONE);
        cr_assert_eq(do_get(&b, 1, NULL), FAAS_E_GONE);
        cr_assert_eq(do_get(&b, 2, NULL), FAAS_E_NOENT, "another one was never there");
        bed_close(&b);
}

Test(store, forget_takes_final_tasks_only) {
        struct bed b;

        bed_open(&b, NULL);
        struct ep e = ep_start(&b, "a");
        cr_assert_eq(do_accept(&e, 1, "x"), 0);
        cr_assert_eq(do_forget(&e, 1), FAAS_E_NOENT);
        expect_open(&b, 1);
        cr_assert_eq(do_forget(&e, 2), FAAS_E_NOENT);
        cr_assert_eq(do_accept(&e, 2, "x"), 0, "what was never there is not gone");
        bed_close(&b);
}

Test(store, a_full_queue_refuses_tasks_by_number_and_recovers) {
        const struct fa_store_cfg cfg = {.max_tasks = 3};
        struct bed b;

        bed_open(&b, &cfg);
        struct ep e = ep_start(&b, "a");
        for (unsigned i = 0; i < 3; i++)
                cr_assert_eq(do_accept(&e, i, "x"), 0);
        cr_assert_eq(do_accept(&e, 3, "x"), FAAS_E_LIMIT);
        cr_assert_eq(do_get(&b, 3, NULL), FAAS_E_NOENT);
        cr_assert_eq(do_accept(&e, 1, "x"), FAAS_E_EXISTS, "a repeat is not a new task");
        cr_assert_eq(do_finish(&e, 0, "y"), 0);
        cr_assert_eq(do_accept(&e, 3, "x"), 0, "finished tasks make room");
        cr_assert_eq(do_accept(&e, 4, "x"), FAAS_E_LIMIT);
        bed_close(&b);
}

Test(store, a_refused_accept_is_refused_in_the_repeat_too) {
        const struct fa_store_cfg cfg = {.max_tasks = 1};
        struct bed b;

        bed_open(&b, &cfg);
        struct ep e = ep_start(&b, "a");
        struct fa_group *g = ep_group(&e);
        put_accept(g, e.epoch, 1, "x");
        put_accept(g, e.epoch, 2, "x");
        struct fa_group *again = group_again(g);
        cr_assert_eq(ep_run(&e, g), 0);
        cr_assert_eq(g->ops[0].r, 0);
        cr_assert_eq(g->ops[1].r, FAAS_E_LIMIT);
        cr_assert_eq(do_finish(&e, 1, "y"), 0); /* there is room by now */
        cr_assert_eq(ep_run(&e, again), 0);
        cr_assert_eq(again->ops[1].r, FAAS_E_LIMIT);
        cr_assert_eq(do_get(&b, 2, NULL), FAAS_E_NOENT);
        fa_group_free(g);
        fa_group_free(again);
        bed_close(&b);
}

Test(store, a_full_queue_refuses_tasks_by_bytes_and_recovers) {
        const struct fa_store_cfg cfg = {.max_bytes = 100000};
        char big[30001];
        unsigned n = 0;
        int r;
        struct bed b;

        memset(big, 'x', sizeof(big) - 1);
        big[sizeof(big) - 1] = 0;
        bed_open(&b, &cfg);
        struct ep e = ep_start(&b, "a");
        while ((r = do_accept(&e, n, big)) == 0)
                n++;
        cr_assert_eq(r, FAAS_E_LIMIT);
        cr_assert_eq(n, 3, "three payloads fit, %u were taken", n);
        cr_assert_eq(do_accept(&e, 100, "small"), 0);
        cr_assert_eq(do_finish(&e, 0, "y"), 0);
        cr_assert_eq(do_accept(&e, n, big), 0);
        bed_close(&b);
}

Test(store, the_first_finish_stays_and_the_second_is_told_it) {
        struct bed b;

        bed_open(&b, NULL);
        struct ep e = ep_start(&b, "a");
        cr_assert_eq(do_accept(&e, 1, "x"), 0);
        cr_assert_eq(do_finish(&e, 1, "first"), 0);
        struct fa_group *g = ep_group(&e);
        put_finish(g, e.epoch, 1, "second")->fence.n = 99;
        cr_assert_eq(ep_run(&e, g), 0);
        cr_assert_eq(g->ops[0].r, FAAS_E_EXISTS);
        cr_assert_eq(g->ops[0].rec->state, FAAS_COMPLETED);
        cr_assert(blob_is(g->ops[0].rec->outcome.payload, "first"));
        cr_assert_eq(g->ops[0].rec->fence.n, 1);
        fa_group_free(g);
        expect_final(&b, 1, "first");
        bed_close(&b);
}

Test(store, a_failure_is_kept_with_all_that_belongs_to_it) {
        struct fa_record *rec = NULL;
        struct bed b;

        bed_open(&b, NULL);
        struct ep e = ep_start(&b, "a");
        cr_assert_eq(do_accept(&e, 1, "x"), 0);
        struct fa_group *g = ep_group(&e);
        struct fa_op *op = put_finish(g, e.epoch, 1, "partial");
        op->strikes = 3;
        op->outcome.status = FAAS_FAILED;
        op->outcome.failure = FAAS_FAILURE_CRASHED;
        op->outcome.code = -11;
        op->outcome.text = blob_of("signal 11");
        op->outcome.log = blob_of("last words");
        cr_assert_eq(ep_run(&e, g), 0);
        fa_group_free(g);
        cr_assert_eq(do_get(&b, 1, &rec), 0);
        cr_assert_eq(rec->state, FAAS_FAILED);
        cr_assert_eq(rec->strikes, 3);
        cr_assert_eq(rec->outcome.status, FAAS_FAILED);
        cr_assert_eq(rec->outcome.failure, FAAS_FAILURE_CRASHED);
        cr_assert_eq(rec->outcome.code, -11);
        cr_assert(blob_is(rec->outcome.payload, "partial"));
        cr_assert(blob_is(rec->outcome.text, "signal 11"));
        cr_assert(blob_is(rec->outcome.log, "last words"));
        const struct fa_fence fence = {e.epoch, 1, 1};
        cr_assert(fa_fence_eq(&rec->fence, &fence));
        record_free(rec);
        bed_close(&b);
}

Test(store, finish_of_anothers_task_is_stale_and_of_an_absent_one_noent) {
        struct bed b;

        bed_open(&b, NULL);
        struct ep e = ep_start(&b, "a"), other = ep_start(&b, "b");
        cr_assert_eq(do_accept(&other, 1, "x"), 0);
        struct fa_group *g = ep_group(&e);
        put_finish(g, e.epoch, 1, "mine");
        put_finish(g, e.epoch, 2, "mine");
        cr_assert_eq(ep_run(&e, g), 0);
        cr_assert_eq(g->ops[0].r, FAAS_E_STALE);
        cr_assert_eq(g->ops[0].rec->partition, other.epoch);
        cr_assert_eq(g->ops[1].r, FAAS_E_NOENT);
        cr_assert_null(g->ops[1].rec);
        fa_group_free(g);
        expect_open(&b, 1);
        bed_close(&b);
}

Test(store, requeue_writes_absolute_numbers) {
        struct fa_record *rec = NULL;
        struct bed b;

        bed_open(&b, NULL);
        struct ep e = ep_start(&b, "a"), other = ep_start(&b, "b");
        cr_assert_eq(do_accept(&e, 1, "x"), 0);
        cr_assert_eq(do_requeue(&e, 1, 2, 5), 0);
        cr_assert_eq(do_requeue(&e, 1, 2, 5), 0);
        cr_assert_eq(do_get(&b, 1, &rec), 0);
        cr_assert_eq(rec->strikes, 2);
        cr_assert_eq(rec->retries, 5);
        cr_assert_eq(rec->strike_fence.n, 2);
        record_free(rec);
        cr_assert_eq(do_requeue(&e, 2, 1, 1), FAAS_E_NOENT);
        cr_assert_eq(do_requeue(&other, 1, 9, 9), FAAS_E_NOENT, "not a task of its partition");
        bed_close(&b);
}

Test(store, requeue_and_hint_leave_a_final_task_alone) {
        struct fa_record *rec = NULL;
        struct bed b;

        bed_open(&b, NULL);
        struct ep e = ep_start(&b, "a");
        cr_assert_eq(do_accept(&e, 1, "x"), 0);
        cr_assert_eq(do_finish(&e, 1, "y"), 0);
        cr_assert_eq(do_requeue(&e, 1, 2, 5), FAAS_E_EXISTS);
        do_hint(&e, 1);
        cr_assert_eq(do_get(&b, 1, &rec), 0);
        cr_assert_eq(rec->strikes + rec->retries + rec->hinted, 0);
        record_free(rec);
        expect_final(&b, 1, "y");
        bed_close(&b);
}

Test(store, a_hint_shows_in_load_for_the_tasks_of_its_partition_only) {
        struct bed b;

        bed_open(&b, NULL);
        struct ep e = ep_start(&b, "a"), other = ep_start(&b, "b");
        for (unsigned i = 0; i < 3; i++)
                cr_assert_eq(do_accept(&e, i, "x"), 0);
        do_hint(&e, 1);
        do_hint(&e, 77); /* of what is not there: nothing happens */
        do_hint(&other, 2);
        struct fa_group *g = ep_group(&e);
        struct fa_op *op = put(g, FA_OP_LOAD, e.epoch, 0);
        cr_assert_eq(ep_run(&e, g), 0);
        cr_assert_eq(op->more->n_recs, 3);
        for (unsigned i = 0; i < 3; i++)
                cr_assert_eq(op->more->recs[i].hinted, i == 1, "task %u", i);
        fa_group_free(g);
        bed_close(&b);
}

Test(store, load_tells_open_tasks_in_the_order_of_acceptance_however_many) {
        enum { MANY = 1000 };
        unsigned got[MANY], want[MANY];
        size_t n_want = 0;
        struct bed b;

        bed_open(&b, NULL);
        struct ep e = ep_start(&b, "a"), other = ep_start(&b, "b");
        for (unsigned i = 0; i < MANY; i += 100) {
                struct fa_group *g = ep_group(&e);
                for (unsigned k = i; k < i + 100; k++)
                        put_accept(g, e.epoch, MANY - k, "x"); /* not the order of the ids */
                cr_assert_eq(ep_run(&e, g), 0);
                fa_group_free(g);
                cr_assert_eq(do_accept(&other, MANY + 1 + i, "x"), 0);
        }
        for (unsigned i = 0; i < MANY; i++) {
                if (i % 7 == 3)
                        cr_assert_eq(do_finish(&e, MANY - i, "y"), 0);
                else
                        want[n_want++] = MANY - i;
        }
        cr_assert_eq(load_all(&e, e.epoch, got, MANY), n_want);
        cr_assert_eq(memcmp(got, want, n_want * sizeof(*got)), 0);
        bed_close(&b);
}

Test(store, load_ends_at_once_in_an_empty_partition_and_after_a_full_chunk) {
        enum { CHUNK = 256 };
        unsigned got[CHUNK];
        struct bed b;

        bed_open(&b, NULL);
        struct ep e = ep_start(&b, "a");
        cr_assert_eq(load_all(&e, e.epoch, got, CHUNK), 0);
        struct fa_group *g = ep_group(&e);
        for (unsigned i = 0; i < CHUNK; i++)
                put_accept(g, e.epoch, i, "x");
        cr_assert_eq(ep_run(&e, g), 0);
        fa_group_free(g);
        cr_assert_eq(load_all(&e, e.epoch, got, CHUNK), CHUNK);
        cr_assert_eq(got[CHUNK - 1], CHUNK - 1);
        bed_close(&b);
}

/* LOAD of a chunk behind the cursor; the id of its first record, and the cursor behind it. */
static unsigned load_chunk(struct ep *e, uint64_t *cursor, size_t *ret_n) {
        struct fa_group *g = ep_group(e);
        struct fa_op *op = put(g, FA_OP_LOAD, e->epoch, 0);

        op->cursor = *cursor;
        cr_assert_eq(ep_run(e, g), 0);
        cr_assert_gt(op->more->n_recs, 0);
        struct faas_id first = op->more->recs[0].id;
        *ret_n = op->more->n_recs;
        *cursor = op->cursor;
        fa_group_free(g);
        for (unsigned id = 0;; id++)
                if (memcmp(first.b, id_of(id).b, sizeof(first.b)) == 0)
                        return id;
}

Test(store, load_goes_on_behind_a_task_that_ended_meanwhile) {
        enum { CHUNK = 256, MANY = CHUNK + 10 };
        uint64_t cursor = 0;
        size_t n;
        struct bed b;

        bed_open(&b, NULL);
        struct ep e = ep_start(&b, "a");
        for (unsigned i = 0; i < MANY; i++)
                cr_assert_eq(do_accept(&e, i, "x"), 0);
        cr_assert_eq(load_chunk(&e, &cursor, &n), 0);
        cr_assert_eq(n, CHUNK);
        uint64_t at = cursor;
        cr_assert_eq(load_chunk(&e, &cursor, &n), CHUNK);
        cr_assert_eq(n, MANY - CHUNK);
        cursor = at;
        cr_assert_eq(load_chunk(&e, &cursor, &n), CHUNK, "an older cursor is as good");

        cursor = 0;
        cr_assert_eq(load_chunk(&e, &cursor, &n), 0);
        cr_assert_eq(do_finish(&e, CHUNK - 1, "y"), 0); /* the last one told */
        cr_assert_eq(do_finish(&e, CHUNK, "y"), 0);
        cr_assert_eq(load_chunk(&e, &cursor, &n), CHUNK + 1);
        cr_assert_eq(n, MANY - CHUNK - 1);
        cr_assert_eq(cursor, FA_CURSOR_END);
        bed_close(&b);
}

#define LONG_N 60
#define LONG_BYTES 30000 /* all together more than any store should answer in one piece */

/* The number, and bytes that are not looked at before the end. */
static const char *long_bytes(char kind, unsigned i) {
        static char text[LONG_BYTES + 1];

        memset(text, kind, LONG_BYTES);
        (void)snprintf(text + LONG_BYTES - 8, 9, "%08u", i);
        return text;
}

static bool is_absent(unsigned i) {
        return i % 7 == 0;
}

/* One group of an operation for each. */
static void run_long(struct ep *e, enum fa_op_kind kind, int absent) {
        struct fa_group *g = ep_group(e);

        for (unsigned i = 1; i <= LONG_N; i++) {
                if (kind == FA_OP_FINISH)
                        put_finish(g, e->epoch, i, long_bytes('r', i));
                else
                        put(g, kind, e->epoch, i);
        }
        cr_assert_eq(ep_run(e, g), 0);
        for (unsigned i = 0; i < LONG_N; i++) {
                const struct fa_op *op = &g->ops[i];
                cr_assert_eq(op->r, is_absent(i + 1) ? absent : 0, "%u: %d", i + 1, op->r);
                if (kind == FA_OP_GET && !op->r)
                        cr_assert(blob_is(op->rec->outcome.payload, long_bytes('r', i + 1)));
        }
        fa_group_free(g);
}

Test(store, many_long_records_in_one_group_are_each_their_own) {
        unsigned ids[LONG_N];
        struct bed b;

        bed_open(&b, NULL);
        struct ep e = ep_start(&b, "a");
        struct fa_group *g = ep_group(&e);
        for (unsigned i = 1; i <= LONG_N; i++)
                if (!is_absent(i))
                        put_accept(g, e.epoch, i, long_bytes('p', i));
        cr_assert_eq(ep_run(&e, g), 0);
        fa_group_free(g);
        run_long(&e, FA_OP_HINT, 0);
        cr_assert_eq(load_all(&e, e.epoch, ids, LONG_N), LONG_N - LONG_N / 7);
        for (unsigned i = 1, k = 0; i <= LONG_N; i++)
                if (!is_absent(i))
                        cr_assert_eq(ids[k++], i);
        run_long(&e, FA_OP_FINISH, FAAS_E_NOENT);
        run_long(&e, FA_OP_GET, FAAS_E_NOENT);
        run_long(&e, FA_OP_FORGET, FAAS_E_NOENT);
        cr_assert_eq(do_get(&b, 1, NULL), FAAS_E_GONE);
        cr_assert_eq(do_get(&b, LONG_N, NULL), FAAS_E_GONE);
        bed_close(&b);
}
