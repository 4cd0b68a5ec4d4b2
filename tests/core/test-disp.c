/* test-disp.c - the dispatcher machine alone: windows, pull, drain, what it reports */
#undef NDEBUG
#include <string.h>

#include <criterion/criterion.h>

#include "bench.h"
#include "model/report.h"
#include "th-alloc.h"

enum { CLIENT = 1, OTHER = 2, WORKER = 3, SECOND = 4 };

static struct bench b;

static void start(struct fa_disp_cfg cfg) {
        bench_start(&b, &cfg);
        bench_hello(&b, CLIENT, FA_ROLE_CLIENT, "");
}

/* What the client is told of its submit. */
static uint8_t submit(uint8_t id, size_t len) {
        const struct fa_msg *m;

        bench_submit(&b, CLIENT, id, len);
        m = bench_take(&b, CLIENT, FA_MSG_ACCEPTED);
        cr_assert(m);
        cr_assert_eq(m->n_items, 1);
        cr_assert_eq(m->items[0].id.b[0], id);
        return m->items[0].state;
}

Test(disp, a_client_over_its_window_of_tasks_is_refused) {
        start((struct fa_disp_cfg){.window_tasks = 3});
        for (uint8_t i = 1; i <= 3; i++)
                cr_assert_eq(submit(i, 1), 0);
        cr_assert_eq(submit(4, 1), FAAS_E_LIMIT);
        cr_assert_eq(submit(1, 1), 0, "a repeat takes no room");
        bench_end(&b);
}

Test(disp, a_client_over_its_window_of_bytes_is_refused) {
        start((struct fa_disp_cfg){.window_bytes = 100});
        cr_assert_eq(submit(1, 60), 0);
        cr_assert_eq(submit(2, 41), FAAS_E_LIMIT);
        cr_assert_eq(submit(3, 40), 0);
        bench_end(&b);
}

Test(disp, one_task_is_taken_however_small_the_window_of_bytes) {
        start((struct fa_disp_cfg){.window_bytes = 100});
        cr_assert_eq(submit(1, 1000), 0);
        bench_end(&b);
}

Test(disp, windows_are_each_clients_own) {
        start((struct fa_disp_cfg){.window_tasks = 1});
        bench_hello(&b, OTHER, FA_ROLE_CLIENT, "");
        cr_assert_eq(submit(1, 1), 0);
        bench_submit(&b, OTHER, 2, 1);
        cr_assert_eq(bench_take(&b, OTHER, FA_MSG_ACCEPTED)->items[0].state, 0);
        bench_end(&b);
}

Test(disp, a_task_that_ended_makes_room_in_the_window) {
        const struct fa_msg *task;

        start((struct fa_disp_cfg){.mode = FA_MODE_PUSH, .window_tasks = 1});
        bench_register(&b, WORKER, 1, 1);
        bench_submit(&b, CLIENT, 1, 1);
        task = bench_take(&b, WORKER, FA_MSG_TASK);
        cr_assert(task);
        bench_result(&b, WORKER, &task->items[0], 1);
        cr_assert_eq(submit(2, 1), 0);
        bench_end(&b);
}

Test(disp, a_late_repeat_of_an_ended_task_takes_no_room_in_the_window) {
        const struct fa_msg *task;

        start((struct fa_disp_cfg){.mode = FA_MODE_PUSH, .window_tasks = 1});
        bench_register(&b, WORKER, 1, 1);
        bench_submit(&b, CLIENT, 1, 1);
        task = bench_take(&b, WORKER, FA_MSG_TASK);
        cr_assert(task);
        bench_result(&b, WORKER, &task->items[0], 0);
        b.store_stands = true; /* the repeat is not answered before the next submit comes */
        bench_submit(&b, CLIENT, 1, 1);
        bench_submit(&b, CLIENT, 2, 1);
        b.store_stands = false;
        bench_settle(&b);
        for (const struct fa_msg *m; (m = bench_take(&b, CLIENT, FA_MSG_ACCEPTED));)
                for (uint32_t i = 0; i < m->n_items; i++)
                        cr_assert_eq(m->items[i].state, 0, "task %d", m->items[i].id.b[0]);
        bench_end(&b);
}

Test(disp, a_flood_while_the_store_stands_still_takes_bounded_memory) {
        struct fa_disp_stats s;

        start((struct fa_disp_cfg){.window_tasks = 10});
        b.store_stands = true;
        for (int i = 0; i < 2000; i++) {
                struct fa_item it = {.id = {{(uint8_t)i, (uint8_t)(i >> 8)}},
                                     .function = {(const uint8_t *)"f", 1}};
                struct fa_msg m = {
                        .type = i % 2 ? FA_MSG_SUBMIT : FA_MSG_WAIT, .items = &it, .n_items = 1};
                bench_say(&b, CLIENT, &m);
        }
        fa_disp_stats(b.d, &s);
        cr_assert_leq(s.n_tasks, 2 * 10 + FA_BATCH_MAX);
        bench_end(&b);
}

Test(disp, a_request_is_answered_once) {
        start((struct fa_disp_cfg){.mode = FA_MODE_PULL});
        bench_register(&b, WORKER, 4, 4);
        bench_submit(&b, CLIENT, 1, 1);
        cr_assert_eq(bench_count(&b, WORKER, FA_MSG_TASK), 1);
        bench_submit(&b, CLIENT, 2, 1);
        cr_assert_eq(bench_count(&b, WORKER, FA_MSG_TASK), 0, "it has not asked again");
        bench_request(&b, WORKER, 4);
        cr_assert_eq(bench_count(&b, WORKER, FA_MSG_TASK), 1);
        bench_end(&b);
}

Test(disp, a_request_waits_until_there_is_work) {
        start((struct fa_disp_cfg){.mode = FA_MODE_PULL});
        bench_register(&b, WORKER, 2, 2);
        cr_assert_eq(bench_count(&b, WORKER, FA_MSG_TASK), 0);
        bench_submit(&b, CLIENT, 1, 1);
        cr_assert_eq(bench_count(&b, WORKER, FA_MSG_TASK), 1);
        bench_end(&b);
}

Test(disp, a_result_does_not_renew_a_request) {
        const struct fa_msg *task;

        start((struct fa_disp_cfg){.mode = FA_MODE_PULL});
        bench_register(&b, WORKER, 1, 1);
        bench_submit(&b, CLIENT, 1, 1);
        task = bench_take(&b, WORKER, FA_MSG_TASK);
        cr_assert(task);
        bench_result(&b, WORKER, &task->items[0], 5);
        bench_submit(&b, CLIENT, 2, 1);
        cr_assert_eq(bench_count(&b, WORKER, FA_MSG_TASK), 0);
        bench_end(&b);
}

Test(disp, a_beat_repairs_a_lost_request_but_not_one_that_crossed_its_answer) {
        struct fa_msg beat = {.type = FA_MSG_BEAT, .session = 1, .seq = 0, .grant = 4, .held = 0};

        start((struct fa_disp_cfg){.mode = FA_MODE_PULL});
        bench_register(&b, WORKER, 4, 4);
        bench_submit(&b, CLIENT, 1, 1);
        bench_submit(&b, CLIENT, 2, 1);
        cr_assert_eq(bench_count(&b, WORKER, FA_MSG_TASK), 1);
        bench_say(&b, WORKER, &beat); /* sent before it saw the task */
        cr_assert_eq(bench_count(&b, WORKER, FA_MSG_TASK), 0);
        beat.seq = beat.held = 1;
        bench_say(&b, WORKER, &beat);
        cr_assert_eq(bench_count(&b, WORKER, FA_MSG_TASK), 1);
        bench_end(&b);
}

Test(disp, workers_with_slots_that_have_nothing_are_served_first) {
        start((struct fa_disp_cfg){.mode = FA_MODE_PUSH});
        bench_register(&b, WORKER, 1, 100);
        bench_submit(&b, CLIENT, 1, 1);
        cr_assert_eq(bench_count(&b, WORKER, FA_MSG_TASK), 1);
        bench_register(&b, SECOND, 3, 3);
        for (uint8_t i = 2; i <= 4; i++)
                bench_submit(&b, CLIENT, i, 1);
        cr_assert_eq(bench_count(&b, SECOND, FA_MSG_TASK), 3);
        bench_submit(&b, CLIENT, 5, 1);
        cr_assert_eq(bench_count(&b, WORKER, FA_MSG_TASK), 1);
        bench_end(&b);
}

Test(disp, a_draining_dispatcher_takes_nothing_new_and_ends_what_it_has) {
        const struct fa_msg *task;

        start((struct fa_disp_cfg){.mode = FA_MODE_PUSH});
        cr_assert_eq(submit(1, 1), 0);
        fa_disp_drain(b.d);
        cr_assert_eq(submit(2, 1), FAAS_E_UNAVAILABLE);
        cr_assert_eq(submit(1, 1), 0, "a repeat is still answered");
        cr_assert_not(fa_disp_idle(b.d));
        bench_register(&b, WORKER, 1, 1);
        b.at = 0;
        task = bench_take(&b, WORKER, FA_MSG_TASK);
        cr_assert(task);
        bench_result(&b, WORKER, &task->items[0], 1);
        cr_assert(bench_take(&b, CLIENT, FA_MSG_DONE));
        cr_assert(fa_disp_idle(b.d));
        fa_disp_goodbye(b.d);
        bench_settle(&b);
        cr_assert(bench_take(&b, CLIENT, FA_MSG_DISCONNECT));
        bench_end(&b);
}

Test(disp, a_draining_dispatcher_answers_the_repeat_of_a_task_that_has_ended) {
        const struct fa_msg *task;

        start((struct fa_disp_cfg){.mode = FA_MODE_PUSH});
        bench_register(&b, WORKER, 1, 1);
        bench_submit(&b, CLIENT, 1, 1);
        task = bench_take(&b, WORKER, FA_MSG_TASK);
        cr_assert(task);
        bench_result(&b, WORKER, &task->items[0], 1);
        fa_disp_drain(b.d);
        b.at = b.n;
        cr_assert_eq(submit(1, 1), 0);
        bench_end(&b);
}

Test(disp, a_task_that_does_not_say_has_the_dispatchers_strikes) {
        const struct fa_msg *task;
        const struct fa_msg *done;

        start((struct fa_disp_cfg){.mode = FA_MODE_PUSH, .max_strikes = 1});
        bench_register(&b, WORKER, 1, 1);
        bench_submit(&b, CLIENT, 1, 1);
        task = bench_take(&b, WORKER, FA_MSG_TASK);
        cr_assert(task);
        struct fa_item it = {.id = task->items[0].id,
                             .fence = task->items[0].fence,
                             .final = 1,
                             .state = FAAS_FAILED,
                             .failure = FAAS_FAILURE_CRASHED};
        struct fa_msg m = {.type = FA_MSG_RESULT, .session = 1, .items = &it, .n_items = 1};
        bench_say(&b, WORKER, &m);
        done = bench_take(&b, CLIENT, FA_MSG_DONE);
        cr_assert(done);
        cr_assert_eq(done->items[0].failure, FAAS_FAILURE_CRASHED);
        bench_end(&b);
}

Test(disp, it_reports_its_numbers) {
        struct fa_msg query = {.type = FA_MSG_QUERY, .what = FA_QUERY_STATS};
        const struct fa_msg *r;

        start((struct fa_disp_cfg){.mode = FA_MODE_PUSH, .window_tasks = 2});
        bench_register(&b, WORKER, 3, 1);
        for (uint8_t i = 1; i <= 3; i++)
                bench_submit(&b, CLIENT, i, 1);
        bench_event(&b, &(struct fa_event){.kind = FA_EV_PEER_DOWN, .peer = WORKER});
        fa_disp_note(b.d, 5, 6);
        bench_register(&b, SECOND, 2, 1);
        b.now_ns += 2 * FA_NS_PER_S;
        bench_say(&b, CLIENT, &query);
        r = bench_take(&b, CLIENT, FA_MSG_REPORT);
        cr_assert(r);
        cr_assert_eq(r->more, 0);
        cr_assert_eq(r->n_values, _FA_STAT_N);
        cr_assert_eq(r->values[FA_STAT_EPOCH], fa_disp_epoch(b.d));
        cr_assert_eq(r->values[FA_STAT_UPTIME_MS], 2000);
        cr_assert_eq(r->values[FA_STAT_ACCEPTED], 2);
        cr_assert_eq(r->values[FA_STAT_REFUSED], 1);
        cr_assert_eq(r->values[FA_STAT_HANDED_OUT], 2);
        cr_assert_eq(r->values[FA_STAT_REQUEUED], 1);
        cr_assert_eq(r->values[FA_STAT_LOST_WORKERS], 1);
        cr_assert_eq(r->values[FA_STAT_BAD_MESSAGES], 5);
        cr_assert_eq(r->values[FA_STAT_DROPPED], 6);
        cr_assert_eq(r->values[FA_STAT_TASKS], 2);
        cr_assert_eq(r->values[FA_STAT_QUEUED], 1);
        cr_assert_eq(r->values[FA_STAT_RUNNING], 1);
        cr_assert_eq(r->values[FA_STAT_WORKERS], 1);
        cr_assert_eq(r->values[FA_STAT_SLOTS], 2);
        cr_assert_eq(r->values[FA_STAT_CLIENTS], 1);
        bench_end(&b);
}

Test(disp, it_reports_its_workers_in_parts) {
        struct fa_msg query = {.type = FA_MSG_QUERY, .what = FA_QUERY_WORKERS};
        const struct fa_msg *r;
        size_t n = 0;

        start((struct fa_disp_cfg){.mode = FA_MODE_PUSH});
        for (uint64_t i = 0; i < 300; i++)
                bench_register(&b, 10 + i, 1, 1);
        bench_say(&b, CLIENT, &query);
        do {
                FA_CLEANUP(fa_frames_deinit) struct fa_frames f = FA_FRAMES_NULL;
                r = bench_take(&b, CLIENT, FA_MSG_REPORT);
                cr_assert(r);
                cr_assert_eq(fa_msg_encode(r, &f), 0);
                n += r->n_items;
                cr_assert_eq(fa_blob_len(r->items[0].text), strlen("worker"));
        } while (r->more);
        cr_assert_eq(n, 300);
        bench_end(&b);
}

Test(disp, the_name_of_a_worker_is_kept_cut) {
        struct fa_msg query = {.type = FA_MSG_QUERY, .what = FA_QUERY_WORKERS};
        char name[301] = "";
        const struct fa_msg *r;

        memset(name, 'n', 300);
        start((struct fa_disp_cfg){.mode = FA_MODE_PUSH});
        bench_register(&b, WORKER, 1, 1);
        bench_hello(&b, WORKER, FA_ROLE_WORKER, name);
        bench_say(&b, CLIENT, &query);
        r = bench_take(&b, CLIENT, FA_MSG_REPORT);
        cr_assert(r);
        cr_assert_eq(fa_blob_len(r->items[0].text), FA_PEER_NAME_MAX);
        bench_end(&b);
}

Test(disp, what_is_on_its_way_to_a_worker_outlives_its_task) {
        struct fa_item cancel = {.id = {{1}}};
        struct fa_msg m = {.type = FA_MSG_CANCEL, .items = &cancel, .n_items = 1};
        const struct fa_msg *task;

        start((struct fa_disp_cfg){.mode = FA_MODE_PUSH});
        bench_register(&b, WORKER, 1, 1);
        bench_submit(&b, CLIENT, 1, 1);
        task = bench_take(&b, WORKER, FA_MSG_TASK);
        cr_assert(task);
        bench_say(&b, CLIENT, &m); /* the message still waits for room at its worker */
        cr_assert(fa_slice_eq(task->items[0].function, (struct fa_slice){(const uint8_t *)"f", 1}));
        bench_end(&b);
}

/* The store comes back, and the k-th allocation from then on fails; false: there are fewer. */
static bool rebinds_without(uint64_t k) {
        bool failed;

        start((struct fa_disp_cfg){.name = "a"});
        for (uint8_t i = 1; i <= 3; i++)
                cr_assert_eq(submit(i, 1), 0);
        th_alloc_fail_at(k);
        bench_event(&b, &(struct fa_event){.kind = FA_EV_STORE_LOST});
        failed = th_alloc_failed();
        th_alloc_fail_at(0);
        for (int i = 0; i < 5; i++) { /* not later than when it wants to */
                uint64_t at = fa_disp_deadline(b.d);
                b.now_ns = FA_MAX(b.now_ns, FA_MIN(at, b.now_ns + 100 * FA_NS_PER_MS));
                fa_disp_tick(b.d, b.now_ns);
                bench_settle(&b);
        }
        bench_submit(&b, CLIENT, 4, 1);
        cr_assert(bench_take(&b, CLIENT, FA_MSG_ACCEPTED), "without allocation %llu",
                  (unsigned long long)k);
        bench_end(&b);
        return failed;
}

Test(disp, a_store_that_comes_back_is_bound_again_whatever_memory_is_short) {
        uint64_t k = 1;

        while (rebinds_without(k))
                k++;
        cr_assert_gt(k, 8);
}
