/* test-disp-store.c - the dispatcher machine and its store: binding again, names, hints */
#undef NDEBUG
#include <string.h>

#include <criterion/criterion.h>

#include "bench.h"

enum { CLIENT = 1, WORKER = 2 };

static struct bench b;

static void start(struct fa_disp_cfg cfg) {
        bench_start(&b, &cfg);
        bench_hello(&b, CLIENT, FA_ROLE_CLIENT, "");
}

static void submit_many(unsigned n, size_t len) {
        for (unsigned i = 0; i < n; i++) {
                struct fa_item it = {.id = {{(uint8_t)(i + 1), (uint8_t)((i + 1) >> 8)}},
                                     .function = {(const uint8_t *)"f", 1}};
                struct fa_msg m = {.type = FA_MSG_SUBMIT, .items = &it, .n_items = 1};
                uint8_t *p;
                cr_assert_eq(fa_blob_new_uninit(&it.payload, &p, len), 0);
                memset(p, 'x', len);
                bench_say(&b, CLIENT, &m);
                fa_blob_unref(it.payload);
        }
}

/* The store comes back; how many groups of RESTORE, and of how many ops in all? */
static size_t rebind(size_t *ret_ops) {
        struct fa_event lost = {.kind = FA_EV_STORE_LOST};
        struct fa_group *g;
        size_t n = 0;

        *ret_ops = 0;
        fa_memory_restarted(b.store);
        cr_assert_eq(fa_disp_input(b.d, &lost, b.now_ns), 0);
        while ((g = fa_disp_group(b.d))) {
                struct fa_event ev = {.kind = FA_EV_GROUP, .group = g};
                n += g->ops[0].kind == FA_OP_RESTORE;
                *ret_ops += g->ops[0].kind == FA_OP_RESTORE ? g->n : 0;
                fa_memory_run(b.store, g, b.now_ns);
                cr_assert_eq(fa_disp_input(b.d, &ev, b.now_ns), 0);
                fa_group_free(g);
        }
        return n;
}

/* It has forgotten everything. */
static void lose_all(void) {
        const struct fa_store_cfg cfg = {
                .max_tasks = 10000, .max_bytes = 1 << 30, .tick_ns = FA_NS_PER_S, .lease_ticks = 3};

        fa_memory_free(b.store);
        cr_assert_eq(fa_memory_new(&b.store, &cfg), 0);
}

Test(disp_store, what_the_store_forgot_is_written_again_in_batches) {
        size_t ops;
        uint64_t open;
        uint64_t final;
        uint64_t bytes;

        start((struct fa_disp_cfg){.name = "a"});
        submit_many(600, 10);
        lose_all();
        cr_assert_eq(rebind(&ops), 3);
        cr_assert_eq(ops, 600);
        fa_memory_count(b.store, &open, &final, &bytes);
        cr_assert_eq(open, 600);
        bench_end(&b);
}

Test(disp_store, a_batch_is_bounded_by_its_bytes) {
        size_t ops;

        start((struct fa_disp_cfg){.name = "a"});
        submit_many(10, 400000);
        lose_all();
        cr_assert_eq(rebind(&ops), 5);
        cr_assert_eq(ops, 10);
        bench_end(&b);
}

Test(disp_store, a_store_that_lost_nothing_is_not_written_again) {
        size_t ops;

        start((struct fa_disp_cfg){.name = "a"});
        submit_many(10, 10);
        cr_assert_eq(rebind(&ops), 0);
        submit_many(20, 10);
        cr_assert_eq(bench_count(&b, CLIENT, FA_MSG_ACCEPTED), 30);
        bench_end(&b);
}

/* A machine that was epoch was before; what becomes of its START. */
static int start_again(const char *name, uint64_t was) {
        struct fa_disp_cfg cfg = {.was_epoch = was};
        struct fa_disp *d;
        struct fa_event ev = {.kind = FA_EV_GROUP};
        int r;

        strcpy(cfg.name, name);
        cr_assert_eq(fa_disp_new(&d, &cfg), 0);
        ev.group = fa_disp_group(d);
        cr_assert(ev.group);
        fa_memory_run(b.store, ev.group, b.now_ns);
        r = fa_disp_input(d, &ev, b.now_ns);
        cr_assert_eq(fa_disp_epoch(d) != 0, r == 0);
        fa_group_free(ev.group);
        fa_disp_free(d);
        return r;
}

Test(disp_store, a_process_whose_name_another_has_is_told_so) {
        uint64_t epoch;

        start((struct fa_disp_cfg){.name = "a"});
        epoch = fa_disp_epoch(b.d);
        cr_assert_eq(start_again("a", epoch), 0, "fenced, but nobody else has its name");
        cr_assert_eq(start_again("a", epoch), FAAS_E_EXISTS);
        cr_assert_eq(start_again("a", 0), 0, "a new process takes over at once");
        bench_end(&b);
}

static bool hinted(const struct fa_item *task) {
        struct fa_record rec = {0};

        return fa_memory_peek(b.store, &task->id, &rec) == FAAS_QUEUED && rec.hinted;
}

static void pass(uint64_t ns) {
        b.now_ns += ns;
        fa_disp_tick(b.d, b.now_ns);
        bench_settle(&b);
}

static const struct fa_item *given(void) {
        const struct fa_msg *m = bench_take(&b, WORKER, FA_MSG_TASK);

        cr_assert(m);
        return &m->items[0];
}

Test(disp_store, a_hand_out_is_hinted_at_once_unless_told_otherwise) {
        start((struct fa_disp_cfg){.mode = FA_MODE_PUSH});
        bench_register(&b, WORKER, 1, 1);
        bench_submit(&b, CLIENT, 1, 1);
        cr_assert(hinted(given()));
        bench_end(&b);
}

Test(disp_store, a_hand_out_is_hinted_when_it_is_out_for_long_enough) {
        const struct fa_item *first;
        const struct fa_item *second;

        start((struct fa_disp_cfg){.mode = FA_MODE_PUSH,
                                   .tick_ns = FA_NEVER,
                                   .heartbeat_ns = FA_NEVER,
                                   .hint_after_ns = 10 * FA_NS_PER_MS});
        bench_register(&b, WORKER, 2, 2);
        bench_submit(&b, CLIENT, 1, 1);
        first = given();
        pass(6 * FA_NS_PER_MS);
        bench_submit(&b, CLIENT, 2, 1);
        second = given();
        cr_assert_not(hinted(first));
        cr_assert_eq(fa_disp_deadline(b.d), b.now_ns + 4 * FA_NS_PER_MS);
        pass(4 * FA_NS_PER_MS);
        cr_assert(hinted(first));
        cr_assert_not(hinted(second));
        cr_assert_eq(fa_disp_deadline(b.d), b.now_ns + 6 * FA_NS_PER_MS);
        pass(6 * FA_NS_PER_MS);
        cr_assert(hinted(second));
        cr_assert_eq(fa_disp_deadline(b.d), FA_NEVER);
        bench_end(&b);
}

Test(disp_store, what_ends_soon_is_never_hinted) {
        const struct fa_item *task;

        start((struct fa_disp_cfg){.mode = FA_MODE_PUSH, .hint_after_ns = 10 * FA_NS_PER_MS});
        bench_register(&b, WORKER, 2, 2);
        for (uint8_t i = 1; i <= 3; i++) {
                bench_submit(&b, CLIENT, i, 1);
                task = given();
                pass(9 * FA_NS_PER_MS);
                cr_assert_not(hinted(task));
                bench_result(&b, WORKER, task, 2);
        }
        pass(FA_NS_PER_MS);
        bench_end(&b);
}

Test(disp_store, what_another_connection_of_its_worker_brings_is_hinted_too) {
        const struct fa_item *task;

        start((struct fa_disp_cfg){.mode = FA_MODE_PUSH, .hint_after_ns = 10 * FA_NS_PER_MS});
        bench_register(&b, WORKER, 2, 2);
        bench_submit(&b, CLIENT, 1, 1);
        task = given();
        struct fa_slice f = {(const uint8_t *)"f", 1};
        struct fa_item held = {.id = task->id, .fence = task->fence, .state = FA_HELD_STARTED};
        struct fa_msg m = {.type = FA_MSG_REGISTER,
                           .from = WORKER + 100,
                           .session = 2,
                           .n_slots = 2,
                           .grant = 2,
                           .names = &f,
                           .n_names = 1,
                           .items = &held,
                           .n_items = 1};
        bench_say(&b, WORKER + 1, &m);
        bench_event(&b, &(struct fa_event){.kind = FA_EV_PEER_DOWN, .peer = WORKER});
        pass(10 * FA_NS_PER_MS);
        cr_assert(hinted(task));
        bench_end(&b);
}

/* The next group with an op of this kind, which is *ret; all before it run.  The store has written
 * the tasks down here. */
static struct fa_group *run_to(enum fa_op_kind kind, uint32_t place, const struct fa_op **ret) {
        struct fa_event ev = {.kind = FA_EV_GROUP};

        for (*ret = NULL;; fa_group_free(ev.group)) {
                ev.group = fa_disp_group(b.d);
                cr_assert(ev.group, "no such op");
                for (size_t i = 0; i < ev.group->n; i++) {
                        const struct fa_op *op = &ev.group->ops[i];
                        if (op->kind == kind && !*ret)
                                *ret = op;
                        if (op->kind == FA_OP_ACCEPT)
                                op->spec->place = place;
                }
                fa_memory_run(b.store, ev.group, b.now_ns);
                cr_assert_eq(fa_disp_input(b.d, &ev, b.now_ns), 0);
                bench_settle(&b);
                if (*ret)
                        return ev.group;
        }
}

/* A task of one retry is submitted, fails so often, and ends: does its end name the spec? */
static bool end_names_spec(uint8_t id, uint32_t place, unsigned fails) {
        struct fa_item it = {.id = {{id}}, .function = {(const uint8_t *)"f", 1}, .max_retries = 1};
        struct fa_msg m = {.type = FA_MSG_SUBMIT, .items = &it, .n_items = 1};
        const struct fa_op *op;

        bench_say(&b, CLIENT, &m);
        fa_group_free(run_to(FA_OP_ACCEPT, place, &op));
        for (; fails; fails--) {
                const struct fa_msg *task = bench_take(&b, WORKER, FA_MSG_TASK);
                struct fa_item failed = {.id = task->items[0].id,
                                         .fence = task->items[0].fence,
                                         .final = 1,
                                         .state = FAAS_FAILED,
                                         .failure = FAAS_FAILURE_FUNCTION};
                struct fa_msg result = {.type = FA_MSG_RESULT,
                                        .session = 1,
                                        .grant = 1,
                                        .items = &failed,
                                        .n_items = 1};
                bench_say(&b, WORKER, &result);
                fa_group_free(run_to(FA_OP_REQUEUE, 0, &op));
        }
        bench_result(&b, WORKER, &bench_take(&b, WORKER, FA_MSG_TASK)->items[0], 1);
        struct fa_group *g = run_to(FA_OP_FINISH, 0, &op);
        bool names = op->spec;
        cr_assert(!names || op->spec->place == place);
        fa_group_free(g);
        return names;
}

Test(disp_store, the_end_of_a_task_names_its_spec_if_the_record_is_as_it_was_accepted) {
        start((struct fa_disp_cfg){.name = "a", .mode = FA_MODE_PUSH});
        bench_register(&b, WORKER, 1, 1);
        b.store_stands = true;
        cr_assert(end_names_spec(1, 5, 0));
        cr_assert_not(end_names_spec(2, 5, 1), "its record has a retry");
        cr_assert_not(end_names_spec(3, 0, 0), "the store does not know where it is");
        bench_end(&b);
}

/* The client has it: does the store hear what it was? */
static bool forget_names_spec(uint8_t id) {
        struct fa_item it = {.id = {{id}}};
        struct fa_msg m = {.type = FA_MSG_COLLECTED, .items = &it, .n_items = 1};
        const struct fa_op *op;

        bench_say(&b, CLIENT, &m);
        struct fa_group *g = run_to(FA_OP_FORGET, 0, &op);
        bool names = op->spec;
        cr_assert_eq(names, op->outcome.status == FAAS_COMPLETED);
        fa_group_free(g);
        return names;
}

Test(disp_store, what_is_collected_names_its_spec_once_while_it_is_kept) {
        start((struct fa_disp_cfg){
                .name = "a", .mode = FA_MODE_PUSH, .retain_ns = 2 * FA_NS_PER_S});
        bench_register(&b, WORKER, 1, 1);
        b.store_stands = true;
        cr_assert(end_names_spec(1, 5, 0));
        cr_assert(forget_names_spec(1));
        cr_assert_not(forget_names_spec(1), "it knows that it said so before");
        cr_assert_not(end_names_spec(2, 0, 0));
        cr_assert_not(forget_names_spec(2), "the store does not know where it is");
        cr_assert(end_names_spec(3, 5, 0));
        pass(5 * FA_NS_PER_S);
        cr_assert(end_names_spec(4, 5, 0)); /* its answer lets the older ones go */
        cr_assert_not(forget_names_spec(3), "it is kept no more");
        bench_end(&b);
}
