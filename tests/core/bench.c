/* bench.c - see bench.h */
#undef NDEBUG
#include "bench.h"

#include <string.h>

#include <criterion/criterion.h>

void bench_event(struct bench *b, const struct fa_event *ev) {
        cr_assert_eq(fa_disp_input(b->d, ev, b->now_ns), 0);
        bench_settle(b);
}

void bench_settle(struct bench *b) {
        struct fa_group *g;
        struct fa_msg *m;
        uint64_t to;

        while (!b->store_stands && (g = fa_disp_group(b->d))) {
                struct fa_event ev = {.kind = FA_EV_GROUP, .group = g};
                fa_memory_run(b->store, g, b->now_ns);
                cr_assert_eq(fa_disp_input(b->d, &ev, b->now_ns), 0);
                fa_group_free(g);
        }
        while (fa_outbox_pop(fa_disp_outbox(b->d), &to, &m)) {
                cr_assert_lt(b->n, FA_ARRAY_SIZE(b->v));
                b->v[b->n++] = (struct heard){to, m};
        }
}

void bench_start(struct bench *b, const struct fa_disp_cfg *cfg) {
        const struct fa_store_cfg store_cfg = {.max_tasks = 10000,
                                               .max_bytes = 1 << 30,
                                               .result_bytes = 1 << 30,
                                               .result_ttl_ns = 3600 * FA_NS_PER_S,
                                               .tick_ns = FA_NS_PER_S,
                                               .lease_ticks = 3,
                                               .seed = 1};

        memset(b, 0, sizeof(*b));
        b->now_ns = FA_NS_PER_S;
        cr_assert_eq(fa_memory_new(&b->store, &store_cfg), 0);
        cr_assert_eq(fa_disp_new(&b->d, cfg), 0);
        bench_settle(b);
        cr_assert_neq(fa_disp_epoch(b->d), 0);
}

void bench_end(struct bench *b) {
        for (size_t i = 0; i < b->n; i++)
                fa_msg_free(b->v[i].m);
        fa_disp_free(b->d);
        fa_memory_free(b->store);
}

void bench_say(struct bench *b, uint64_t peer, struct fa_msg *m) {
        bench_event(b, &(struct fa_event){.kind = FA_EV_MSG, .peer = peer, .msg = m});
}

const struct fa_msg *bench_take(struct bench *b, uint64_t peer, enum fa_msg_type type) {
        while (b->at < b->n) {
                const struct heard *h = &b->v[b->at++];
                if (h->to == peer && h->m->type == type)
                        return h->m;
        }
        return NULL;
}

size_t bench_count(struct bench *b, uint64_t peer, enum fa_msg_type type) {
        const struct fa_msg *m;
        size_t n = 0;

        while ((m = bench_take(b, peer, type)))
                n += m->n_items;
        return n;
}

void bench_hello(struct bench *b, uint64_t peer, enum fa_role role, const char *name) {
        struct fa_msg m = {.type = FA_MSG_HELLO,
                           .role = (uint8_t)role,
                           .from = peer + 100,
                           .text = {(const uint8_t *)name, strlen(name)}};

        bench_say(b, peer, &m);
        cr_assert(bench_take(b, peer, FA_MSG_WELCOME));
}

void bench_register(struct bench *b, uint64_t peer, uint32_t n_slots, uint32_t grant) {
        const struct fa_slice f = {(const uint8_t *)"f", 1};
        struct fa_msg m = {.type = FA_MSG_REGISTER,
                           .from = peer + 100,
                           .session = 1,
                           .n_slots = n_slots,
                           .grant = grant,
                           .names = &f,
                           .n_names = 1};

        bench_hello(b, peer, FA_ROLE_WORKER, "worker");
        bench_say(b, peer, &m);
}

void bench_request(struct bench *b, uint64_t peer, uint32_t grant) {
        struct fa_msg m = {.type = FA_MSG_REQUEST, .session = 1, .grant = grant};

        bench_say(b, peer, &m);
}

void bench_submit(struct bench *b, uint64_t peer, uint8_t id, size_t len) {
        struct fa_item it = {.id = {{id}}, .function = {(const uint8_t *)"f", 1}};
        struct fa_msg m = {.type = FA_MSG_SUBMIT, .items = &it, .n_items = 1};
        uint8_t *p;

        cr_assert_eq(fa_blob_new_uninit(&it.payload, &p, len), 0);
        if (len)
                memset(p, 'x', len);
        bench_say(b, peer, &m);
        fa_blob_unref(it.payload);
}

void bench_result(struct bench *b, uint64_t peer, const struct fa_item *task, uint32_t grant) {
        struct fa_item it = {
                .id = task->id, .fence = task->fence, .final = 1, .state = FAAS_COMPLETED};
        struct fa_msg m = {
                .type = FA_MSG_RESULT, .session = 1, .grant = grant, .items = &it, .n_items = 1};

        bench_say(b, peer, &m);
}
