/* test-disp-backlog.c - the dispatcher machine with a backlog beyond its memory */
#undef NDEBUG
#include <string.h>

#include <criterion/criterion.h>

#include "bench.h"
#include "core/disp-private.h"
#include "th-alloc.h"

enum { CLIENT = 1, OTHER = 2, WORKER = 3, AGAIN = 4, BUDGET = 2000, N = 40 };

static struct bench b;

static void start(struct fa_disp_cfg cfg) {
        cfg.mode = FA_MODE_PUSH;
        cfg.backlog_bytes = BUDGET;
        cfg.load_max = 3;
        cfg.seed = 7;
        bench_start(&b, &cfg);
        bench_hello(&b, CLIENT, FA_ROLE_CLIENT, "");
}

static void submit_all(void) {
        for (uint8_t i = 1; i <= N; i++)
                bench_submit(&b, CLIENT, i, 16);
        cr_assert_eq(bench_count(&b, CLIENT, FA_MSG_ACCEPTED), N);
        cr_assert_lt(b.d->tasks.n, N / 3, "%zu tasks in memory", b.d->tasks.n);
}

static void say_id(uint64_t peer, enum fa_msg_type type, uint8_t id) {
        struct fa_item it = {.id = {{id}}};
        struct fa_msg m = {.type = (uint8_t)type, .items = &it, .n_items = 1};

        bench_say(&b, peer, &m);
}

/* What the dispatcher thinks that this client waits for. */
static uint32_t waits(uint64_t peer) {
        struct fa_msg m = {.type = FA_MSG_BEAT};
        const struct fa_msg *r;

        b.at = b.n;
        bench_say(&b, peer, &m);
        r = bench_take(&b, peer, FA_MSG_BEAT);
        cr_assert(r);
        return r->held;
}

/* Says the end of each hand-out, until there are none; in which order were they made? */
static unsigned run_all(uint8_t *order) {
        size_t at = b.at;
        unsigned n = 0;

        for (; at < b.n; at++) {
                const struct fa_msg *m = b.v[at].m;
                if (b.v[at].to != WORKER || m->type != FA_MSG_TASK)
                        continue;
                for (uint32_t i = 0; i < m->n_items; i++) {
                        if (order)
                                order[n] = m->items[i].id.b[0];
                        n++;
                        bench_result(&b, WORKER, &m->items[i], 1);
                        cr_assert_lt(b.d->tasks.n, N / 3, "%zu tasks in memory", b.d->tasks.n);
                }
        }
        return n;
}

/* How many ends was this client told? */
static unsigned ends(uint64_t peer, enum faas_status status) {
        unsigned n = 0;

        for (size_t i = 0; i < b.n; i++)
                for (uint32_t k = 0;
                     b.v[i].to == peer && b.v[i].m->type == FA_MSG_DONE && k < b.v[i].m->n_items;
                     k++)
                        n += b.v[i].m->items[k].state == status;
        return n;
}

Test(backlog, all_of_it_runs_once_and_in_its_order) {
        uint8_t order[2 * N];

        start((struct fa_disp_cfg){.name = "a"});
        submit_all();
        bench_register(&b, WORKER, 1, 1);
        b.at = 0;
        cr_assert_eq(run_all(order), N);
        for (unsigned i = 0; i < N; i++)
                cr_assert_eq(order[i], i + 1);
        cr_assert_eq(ends(CLIENT, FAAS_COMPLETED), N);
        cr_assert(fa_disp_idle(b.d));
        bench_end(&b);
}

Test(backlog, what_comes_while_it_is_read_comes_after_it) {
        uint8_t order[2 * N];
        unsigned n = 0;

        start((struct fa_disp_cfg){.name = "a"});
        submit_all();
        bench_register(&b, WORKER, 1, 1);
        b.at = 0;
        for (const struct fa_msg *m; (m = bench_take(&b, WORKER, FA_MSG_TASK));) {
                size_t at = b.at;
                order[n++] = m->items[0].id.b[0];
                if (n <= 20)
                        bench_submit(&b, CLIENT, (uint8_t)(N + n), 16);
                bench_result(&b, WORKER, &m->items[0], 1);
                b.at = at;
        }
        cr_assert_eq(n, N + 20);
        for (unsigned i = 0; i < n; i++)
                cr_assert_eq(order[i], i + 1);
        cr_assert_eq(b.d->home->whole, true, "it is kept in memory again");
        bench_end(&b);
}

Test(backlog, it_counts_to_its_client) {
        struct fa_disp_stats s;

        start((struct fa_disp_cfg){.name = "a"});
        submit_all();
        cr_assert_eq(waits(CLIENT), N);
        for (uint8_t i = 1; i <= N; i++)
                say_id(CLIENT, FA_MSG_WAIT, i);
        cr_assert_eq(waits(CLIENT), N, "however often it is asked for");
        bench_submit(&b, CLIENT, N, 16);
        cr_assert_eq(waits(CLIENT), N);
        fa_disp_stats(b.d, &s);
        cr_assert_eq(s.n_queued, N);
        cr_assert_eq(s.n_tasks, N);
        bench_end(&b);
}

Test(backlog, it_counts_against_its_clients_window) {
        start((struct fa_disp_cfg){.name = "a", .window_tasks = N});
        submit_all();
        bench_submit(&b, CLIENT, N + 1, 16);
        cr_assert_eq(bench_take(&b, CLIENT, FA_MSG_ACCEPTED)->items[0].state, FAAS_E_LIMIT);
        bench_submit(&b, CLIENT, N, 16);
        cr_assert_eq(bench_take(&b, CLIENT, FA_MSG_ACCEPTED)->items[0].state, 0);
        bench_end(&b);
}

Test(backlog, an_id_in_it_names_one_content) {
        start((struct fa_disp_cfg){.name = "a"});
        submit_all();
        bench_submit(&b, CLIENT, N, 17);
        cr_assert_eq(bench_take(&b, CLIENT, FA_MSG_ACCEPTED)->items[0].state, FAAS_E_EXISTS);
        bench_end(&b);
}

Test(backlog, its_client_may_come_back_by_another_connection) {
        struct fa_msg hello = {.type = FA_MSG_HELLO, .role = FA_ROLE_CLIENT, .from = CLIENT + 100};

        start((struct fa_disp_cfg){.name = "a"});
        submit_all();
        bench_say(&b, AGAIN, &hello);
        bench_event(&b, &(struct fa_event){.kind = FA_EV_PEER_DOWN, .peer = CLIENT});
        for (uint8_t i = 1; i <= N; i++)
                say_id(AGAIN, FA_MSG_WAIT, i);
        cr_assert_eq(waits(AGAIN), N);
        bench_register(&b, WORKER, 1, 1);
        b.at = 0;
        cr_assert_eq(run_all(NULL), N);
        cr_assert_eq(ends(AGAIN, FAAS_COMPLETED), N);
        bench_end(&b);
}

Test(backlog, its_client_may_come_back_after_it_was_given_up) {
        start((struct fa_disp_cfg){.name = "a"});
        submit_all();
        bench_event(&b, &(struct fa_event){.kind = FA_EV_PEER_DOWN, .peer = CLIENT});
        bench_hello(&b, CLIENT, FA_ROLE_CLIENT, "");
        cr_assert_eq(waits(CLIENT), 0);
        for (uint8_t i = 1; i <= N; i++)
                say_id(CLIENT, FA_MSG_WAIT, i);
        cr_assert_eq(waits(CLIENT), N);
        cr_assert_lt(b.d->tasks.n, N / 3, "asking brings nothing into memory");
        bench_register(&b, WORKER, 1, 1);
        b.at = 0;
        cr_assert_eq(run_all(NULL), N);
        cr_assert_eq(ends(CLIENT, FAAS_COMPLETED), N);
        bench_end(&b);
}

Test(backlog, another_client_may_wait_for_a_task_of_it) {
        start((struct fa_disp_cfg){.name = "a"});
        submit_all();
        bench_hello(&b, OTHER, FA_ROLE_CLIENT, "");
        say_id(OTHER, FA_MSG_WAIT, N);
        cr_assert_eq(waits(OTHER), 1);
        bench_register(&b, WORKER, 1, 1);
        b.at = 0;
        run_all(NULL);
        cr_assert_eq(ends(OTHER, FAAS_COMPLETED), 1);
        bench_end(&b);
}

Test(backlog, the_state_of_a_task_of_it_can_be_asked) {
        size_t before;

        start((struct fa_disp_cfg){.name = "a"});
        submit_all();
        before = b.d->tasks.n;
        bench_hello(&b, OTHER, FA_ROLE_CLIENT, "");
        say_id(OTHER, FA_MSG_STATUS, N);
        cr_assert_eq(bench_take(&b, OTHER, FA_MSG_DONE)->items[0].state, FAAS_QUEUED);
        cr_assert_eq(b.d->tasks.n, before);
        bench_end(&b);
}

Test(backlog, a_task_of_it_can_be_cancelled) {
        start((struct fa_disp_cfg){.name = "a"});
        submit_all();
        say_id(CLIENT, FA_MSG_CANCEL, N);
        cr_assert_eq(ends(CLIENT, FAAS_CANCELLED), 1);
        cr_assert_eq(waits(CLIENT), N - 1);
        bench_register(&b, WORKER, 1, 1);
        b.at = 0;
        cr_assert_eq(run_all(NULL), N - 1);
        bench_end(&b);
}

Test(backlog, what_is_not_there_cannot_be_cancelled) {
        size_t before;

        start((struct fa_disp_cfg){.name = "a"});
        submit_all();
        before = b.d->tasks.n;
        say_id(CLIENT, FA_MSG_CANCEL, 200);
        cr_assert_eq(b.d->tasks.n, before);
        cr_assert_eq(b.d->n_wants, 0);
        bench_end(&b);
}

Test(backlog, what_the_store_could_lose_stays_in_memory) {
        const struct fa_store_cfg cfg = {
                .max_tasks = 10000, .max_bytes = 1 << 30, .tick_ns = FA_NS_PER_S, .lease_ticks = 3};
        uint64_t open;
        uint64_t final;
        uint64_t bytes;

        start((struct fa_disp_cfg){
                .name = "a", .retain_ns = FA_NS_PER_S, .heartbeat_ns = FA_NEVER});
        for (uint8_t i = 1; i <= N; i++)
                bench_submit(&b, CLIENT, i, 16);
        cr_assert_eq(b.d->tasks.n, N);
        cr_assert_eq(waits(CLIENT), N);
        fa_memory_free(b.store);
        cr_assert_eq(fa_memory_new(&b.store, &cfg), 0);
        fa_memory_restarted(b.store);
        bench_event(&b, &(struct fa_event){.kind = FA_EV_STORE_LOST});
        fa_memory_count(b.store, &open, &final, &bytes);
        cr_assert_eq(open, N);
        b.now_ns += FA_NS_PER_S - 1;
        fa_disp_tick(b.d, b.now_ns);
        bench_settle(&b);
        cr_assert_eq(b.d->tasks.n, N, "it could lose them again");
        b.now_ns += FA_NS_PER_S;
        fa_disp_tick(b.d, b.now_ns);
        bench_settle(&b);
        cr_assert_lt(b.d->tasks.n, N / 3);
        cr_assert_eq(waits(CLIENT), N);
        bench_register(&b, WORKER, 1, 1);
        b.at = 0;
        for (const struct fa_msg *m; (m = bench_take(&b, WORKER, FA_MSG_TASK));) {
                size_t at = b.at;
                bench_result(&b, WORKER, &m->items[0], 1);
                b.at = at;
        }
        cr_assert_eq(ends(CLIENT, FAAS_COMPLETED), N);
        bench_end(&b);
}

/* The next dispatcher of this name; what the worker was given by the one before. */
static struct fa_item taken_over(const struct fa_item *held) {
        const struct fa_disp_cfg cfg = {.name = "a",
                                        .mode = FA_MODE_PUSH,
                                        .backlog_bytes = BUDGET,
                                        .load_max = 3,
                                        .heartbeat_ns = FA_NEVER};
        struct fa_item it = {.id = held->id, .fence = held->fence, .state = FA_HELD_STARTED};

        fa_disp_free(b.d);
        cr_assert_eq(fa_disp_new(&b.d, &cfg), 0);
        bench_settle(&b);
        cr_assert_lt(b.d->tasks.n, N / 3, "%zu tasks in memory", b.d->tasks.n);
        return it;
}

/* The last of N tasks is at a worker, and the dispatcher that gave it is gone. */
static struct fa_item last_is_out(void) {
        const struct fa_msg *task;
        struct fa_item it;

        start((struct fa_disp_cfg){.name = "a"});
        for (uint8_t i = 1; i < N; i++)
                bench_submit(&b, CLIENT, i, 16);
        b.d->cfg.backlog_bytes = 0; /* a hand-out of a task behind the others */
        b.d->home->whole = true;
        b.d->n_partial = 0;
        for (uint8_t i = 1; i < N; i++)
                if (fa_disp_task_find(b.d, &(struct faas_id){{i}}))
                        fa_disp_task_free(b.d, fa_disp_task_find(b.d, &(struct faas_id){{i}}));
        bench_register(&b, WORKER, 1, 1);
        bench_submit(&b, CLIENT, N, 16);
        b.at = 0;
        task = bench_take(&b, WORKER, FA_MSG_TASK);
        cr_assert(task);
        cr_assert_eq(task->items[0].id.b[0], N);
        it = taken_over(&task->items[0]);
        b.at = b.n;
        return it;
}

Test(backlog, a_hand_out_of_a_task_that_was_not_read_yet_goes_on) {
        const struct fa_slice f = {(const uint8_t *)"f", 1};
        struct fa_item held = last_is_out();
        struct fa_msg m = {.type = FA_MSG_REGISTER,
                           .from = WORKER + 100,
                           .session = 1,
                           .n_slots = 1,
                           .grant = 1,
                           .names = &f,
                           .n_names = 1,
                           .items = &held,
                           .n_items = 1};
        const struct fa_msg *adopt;

        bench_hello(&b, WORKER, FA_ROLE_WORKER, "");
        bench_say(&b, WORKER, &m);
        adopt = bench_take(&b, WORKER, FA_MSG_ADOPT);
        cr_assert(adopt);
        cr_assert_eq(adopt->items[0].id.b[0], N);
        cr_assert_eq(fa_disp_task_find(b.d, &held.id)->state, TASK_HANDED);
        cr_assert(fa_disp_run_of(fa_disp_task_find(b.d, &held.id))->started);
        bench_result(&b, WORKER, &held, 1);
        cr_assert(bench_take(&b, WORKER, FA_MSG_ACK));
        b.at = 0;
        cr_assert_eq(fa_memory_peek(b.store, &held.id, NULL), FAAS_COMPLETED);
        bench_end(&b);
}

Test(backlog, a_result_of_a_task_that_was_not_read_yet_counts) {
        struct fa_item held = last_is_out();

        bench_hello(&b, WORKER, FA_ROLE_WORKER, "");
        bench_result(&b, WORKER, &held, 1);
        cr_assert_null(bench_take(&b, WORKER, FA_MSG_STALE));
        bench_result(&b, WORKER, &held, 1);
        b.at = 0;
        cr_assert(bench_take(&b, WORKER, FA_MSG_ACK));
        cr_assert_eq(fa_memory_peek(b.store, &held.id, NULL), FAAS_COMPLETED);
        bench_end(&b);
}

Test(backlog, a_result_that_is_stored_already_is_acknowledged) {
        struct fa_item held = last_is_out();

        bench_hello(&b, WORKER, FA_ROLE_WORKER, "");
        for (int i = 0; i < 2; i++)
                bench_result(&b, WORKER, &held, 1);
        b.at = b.n;
        bench_result(&b, WORKER, &held, 1);
        cr_assert(bench_take(&b, WORKER, FA_MSG_ACK));
        held.fence.n++;
        bench_result(&b, WORKER, &held, 1);
        cr_assert(bench_take(&b, WORKER, FA_MSG_STALE));
        cr_assert_eq(b.d->n_wants, 0);
        bench_end(&b);
}

Test(backlog, a_large_chunk_is_cut) {
        struct fa_disp_cfg cfg = {.name = "b"};

        bench_start(&b, &cfg);
        bench_hello(&b, CLIENT, FA_ROLE_CLIENT, "");
        for (uint8_t i = 1; i <= 8; i++)
                bench_submit(&b, CLIENT, i, 600000);
        struct fa_group *g;
        cr_assert_eq(fa_group_new(&g), 0);
        struct fa_op *op = fa_group_add(g, FA_OP_LOAD);
        op->partition = g->epoch = fa_disp_epoch(b.d);
        fa_memory_run(b.store, g, b.now_ns);
        cr_assert_eq(g->r, 0);
        cr_assert_eq(op->more->n_recs, 2);
        fa_group_free(g);
        bench_end(&b);
}

/* The k-th allocation while the first tasks end fails; then all goes on.  false: there are fewer.
 */
static bool reads_without(uint64_t k) {
        const struct fa_msg *task;
        bool failed;

        start((struct fa_disp_cfg){.name = "a", .heartbeat_ns = FA_NEVER, .tick_ns = FA_NEVER});
        submit_all();
        bench_register(&b, WORKER, 1, 1);
        b.at = 0;
        th_alloc_fail_at(k);
        for (int i = 0; i < 8 && (task = bench_take(&b, WORKER, FA_MSG_TASK)); i++) {
                size_t at = b.at;
                if (task->n_items) /* else without memory for the item */
                        bench_result(&b, WORKER, &task->items[0], 1);
                b.at = at;
        }
        failed = th_alloc_failed();
        th_alloc_fail_at(0);
        for (int round = 0; round < 20; round++) { /* what was lost on the way is said again */
                struct fa_msg m = {.type = FA_MSG_REGISTER, .from = WORKER + 100};
                const struct fa_slice f = {(const uint8_t *)"f", 1};
                b.now_ns += FA_NS_PER_S;
                fa_disp_tick(b.d, b.now_ns);
                bench_settle(&b);
                m.session = 2 + (uint64_t)round;
                m.n_slots = m.grant = 1;
                m.names = &f;
                m.n_names = 1;
                b.at = b.n;
                bench_say(&b, WORKER, &m);
                for (const struct fa_msg *t; (t = bench_take(&b, WORKER, FA_MSG_TASK));) {
                        struct fa_item it = {.id = t->items[0].id,
                                             .fence = t->items[0].fence,
                                             .final = 1,
                                             .state = FAAS_COMPLETED};
                        struct fa_msg r = {.type = FA_MSG_RESULT,
                                           .session = m.session,
                                           .grant = 1,
                                           .items = &it,
                                           .n_items = 1};
                        size_t at = b.at;
                        bench_say(&b, WORKER, &r);
                        b.at = at;
                }
        }
        for (uint8_t i = 1; i <= N; i++)
                cr_assert_eq(fa_memory_peek(b.store, &(struct faas_id){{i}}, NULL), FAAS_COMPLETED,
                             "task %d without allocation %llu", i, (unsigned long long)k);
        cr_assert(fa_disp_idle(b.d));
        bench_end(&b);
        return failed;
}

Test(backlog, it_is_read_whatever_memory_is_short) {
        uint64_t k = 1;

        while (reads_without(k))
                k++;
        cr_assert_gt(k, 20);
}
