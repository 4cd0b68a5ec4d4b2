/* test-work.c - the worker machine alone: which slot gets which task */
#undef NDEBUG
#include <string.h>

#include <criterion/criterion.h>

#include "base/clock.h"
#include "core/work.h"

enum { DISPATCHER = 1, ME = 7 };

static const char *const functions[] = {"long", "short"};

struct machine {
        struct fa_work *w;
        uint64_t now_ns;
        uint64_t session, seq;
        uint8_t next_id;
};

static void input(struct machine *m, const struct fa_event *ev) {
        uint64_t to;
        struct fa_msg *out;

        cr_assert_eq(fa_work_input(m->w, ev, m->now_ns), 0);
        while (fa_outbox_pop(fa_work_outbox(m->w), &to, &out)) {
                if (out->type == FA_MSG_REGISTER)
                        m->session = out->session;
                fa_msg_free(out);
        }
}

static void start(struct machine *m, unsigned n_slots) {
        const struct fa_work_cfg cfg = {.incarnation = ME,
                                        .n_slots = n_slots,
                                        .functions = functions,
                                        .n_functions = 2,
                                        .seed = 1};
        struct fa_msg welcome = {.type = FA_MSG_WELCOME, .epoch = ME, .from = 5};

        *m = (struct machine){.now_ns = FA_NS_PER_S};
        cr_assert_eq(fa_work_new(&m->w, &cfg), 0);
        cr_assert_eq(fa_work_connect(m->w, DISPATCHER, m->now_ns), 0);
        input(m, &(struct fa_event){.kind = FA_EV_MSG, .peer = DISPATCHER, .msg = &welcome});
        for (unsigned i = 0; i < n_slots; i++)
                input(m, &(struct fa_event){.kind = FA_EV_SLOT_UP, .slot = i});
}

static void give_item(struct machine *m, struct fa_item it) {
        struct fa_msg task = {.type = FA_MSG_TASK,
                              .session = m->session,
                              .seq = ++m->seq,
                              .items = &it,
                              .n_items = 1};

        input(m, &(struct fa_event){.kind = FA_EV_MSG, .peer = DISPATCHER, .msg = &task});
}

static void give(struct machine *m, const char *function) {
        give_item(m, (struct fa_item){.id = {{++m->next_id}},
                                      .function = {(const uint8_t *)function, strlen(function)}});
}

/* The slot that the next task was put into; -1: it waits. */
static int slot_of_next(struct machine *m) {
        struct fa_work_op op;

        if (!fa_work_pop(m->w, &op))
                return -1;
        cr_assert_eq(op.kind, FA_WORK_RUN);
        return (int)op.slot;
}

static void end(struct machine *m, int slot, uint64_t ran_ns) {
        const struct fa_outcome o = {.status = FAAS_COMPLETED};

        m->now_ns += ran_ns;
        input(m,
              &(struct fa_event){.kind = FA_EV_SLOT_RESULT, .slot = (unsigned)slot, .outcome = &o});
}

static void run(struct machine *m, const char *function, uint64_t ran_ns) {
        give(m, function);
        end(m, slot_of_next(m), ran_ns);
}

/* One busy slot has room for many short tasks. */
static void learn(struct machine *m) {
        run(m, "long", FA_NS_PER_S);
        for (int i = 0; i < 60; i++)
                run(m, "short", FA_NS_PER_US);
}

Test(work, short_tasks_gather_in_slots_that_run_short_ones) {
        struct machine m;

        start(&m, 2);
        learn(&m);
        for (int i = 0; i < 10; i++) {
                give(&m, "short");
                cr_assert_geq(slot_of_next(&m), 0);
        }
        fa_work_free(m.w);
}

/* Its table's key is made of both, and may be the same for two. */
Test(work, a_hand_out_is_known_by_its_id_and_its_fence) {
        struct fa_item one = {.fence = {.n = 1}, .function = {(const uint8_t *)"short", 5}};
        struct fa_item other = one;
        struct machine m;
        uint64_t lo = 1 ^ 2; /* what the other number of its fence takes back */

        start(&m, 2);
        memcpy(other.id.b + 8, &lo, sizeof(lo));
        other.fence.n = 2;
        give_item(&m, one);
        cr_assert_geq(slot_of_next(&m), 0);
        give_item(&m, one);
        cr_assert_eq(slot_of_next(&m), -1, "a duplicate");
        give_item(&m, other);
        cr_assert_geq(slot_of_next(&m), 0, "another one of the same key");
        fa_work_free(m.w);
}

Test(work, nothing_is_put_behind_a_task_that_is_known_to_be_long) {
        struct machine m;

        start(&m, 2);
        learn(&m);
        give(&m, "long");
        int busy = slot_of_next(&m);
        for (int i = 0; i < 10; i++) {
                give(&m, "short");
                cr_assert_eq(slot_of_next(&m), 1 - busy, "number %d", i);
        }
        fa_work_free(m.w);
}

Test(work, nothing_is_put_behind_a_task_that_turns_out_to_be_long) {
        struct machine m;

        start(&m, 2);
        learn(&m);
        give(&m, "short");
        int busy = slot_of_next(&m);
        m.now_ns += FA_NS_PER_MS;
        for (int i = 0; i < 10; i++) {
                give(&m, "short");
                cr_assert_eq(slot_of_next(&m), 1 - busy, "number %d", i);
        }
        fa_work_free(m.w);
}
