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
