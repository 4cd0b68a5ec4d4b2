/* test-work-grant.c - the worker machine alone: how much it asks for, and what it gives back */
#undef NDEBUG
#include <string.h>

#include <criterion/criterion.h>

#include "base/clock.h"
#include "core/work.h"

enum { DISPATCHER = 1, OTHER = 2, ME = 7 };

static const char *const functions[] = {"long", "short"};

static struct machine {
        struct fa_work *w;
        uint64_t now_ns;
        uint64_t session[3], seq[3];
        uint32_t grant[3]; /* as it said last */
        size_t said[64];   /* by type, items or messages, since forget() */
        uint16_t next_id;
        char text[256]; /* of HELLO */
} m;

static void drain_outbox(void) {
        struct fa_msg *out;
        uint64_t to;

        while (fa_outbox_pop(fa_work_outbox(m.w), &to, &out)) {
                if (out->type == FA_MSG_REGISTER)
                        m.session[to] = out->session, m.seq[to] = 0;
                if (out->type == FA_MSG_REGISTER || out->type == FA_MSG_REQUEST ||
                    out->type == FA_MSG_RESULT || out->type == FA_MSG_RETURN)
                        m.grant[to] = out->grant;
                if (out->type == FA_MSG_HELLO && out->text.len) {
                        memcpy(m.text, out->text.p, out->text.len);
                        m.text[out->text.len] = 0;
                }
                m.said[out->type] += out->n_items ? out->n_items : 1;
                fa_msg_free(out);
        }
}

static void forget(void) {
        memset(m.said, 0, sizeof(m.said));
}

static void input(const struct fa_event *ev) {
        cr_assert_eq(fa_work_input(m.w, ev, m.now_ns), 0);
        drain_outbox();
}

static void say(uint64_t from, struct fa_msg *msg) {
        input(&(struct fa_event){.kind = FA_EV_MSG, .peer = from, .msg = msg});
}

static void welcome_by(uint64_t from, uint8_t mode) {
        struct fa_msg welcome = {.type = FA_MSG_WELCOME,
                                 .epoch = ME,
                                 .from = 5 + from,
                                 .mode = mode,
                                 .interval_ms = 1000,
                                 .liveness = 3};

        say(from, &welcome);
}

static void start(unsigned n_slots, uint8_t mode) {
        const struct fa_work_cfg cfg = {.incarnation = ME,
                                        .n_slots = n_slots,
                                        .functions = functions,
                                        .n_functions = 2,
                                        .name = "host:1",
                                        .seed = 1};

        m = (struct machine){.now_ns = FA_NS_PER_S};
        cr_assert_eq(fa_work_new(&m.w, &cfg), 0);
        cr_assert_eq(fa_work_connect(m.w, DISPATCHER, m.now_ns), 0);
        drain_outbox();
        cr_assert_str_eq(m.text, "host:1");
        welcome_by(DISPATCHER, mode);
        for (unsigned i = 0; i < n_slots; i++)
                input(&(struct fa_event){.kind = FA_EV_SLOT_UP, .slot = i});
}

static struct faas_id id_of(int n, uint64_t from) {
        return (struct faas_id){{(uint8_t)n, (uint8_t)(n >> 8), (uint8_t)from}};
}

/* n tasks in one message. */
static void give(uint64_t from, const char *function, uint32_t n) {
        struct fa_item it[FA_BATCH_MAX];
        struct fa_msg task = {
                .type = FA_MSG_TASK, .session = m.session[from], .items = it, .n_items = n};

        memset(it, 0, sizeof(it));
        for (uint32_t i = 0; i < n; i++)
                it[i] = (struct fa_item){.id = id_of(++m.next_id, from),
                                         .function = {(const uint8_t *)function, strlen(function)}};
        task.seq = m.seq[from] += n;
        say(from, &task);
}

static int slot_of_next(void) {
        struct fa_work_op op;

        return fa_work_pop(m.w, &op) && op.kind == FA_WORK_RUN ? (int)op.slot : -1;
}

static void end(int slot, uint64_t ran_ns) {
        const struct fa_outcome o = {.status = FAAS_COMPLETED};

        m.now_ns += ran_ns;
        input(&(struct fa_event){.kind = FA_EV_SLOT_RESULT, .slot = (unsigned)slot, .outcome = &o});
}

static void run(const char *function, uint64_t ran_ns, int n) {
        while (n--) {
                give(DISPATCHER, function, 1);
                end(slot_of_next(), ran_ns);
        }
}

Test(grant, it_grows_quickly_with_short_tasks_and_is_one_a_slot_after_a_long_one) {
        start(2, FA_MODE_PUSH);
        cr_assert_eq(m.grant[DISPATCHER], 2);
        run("short", FA_NS_PER_US, 20);
        cr_assert_eq(m.grant[DISPATCHER], 2 + 2 * 20);
        run("short", FA_NS_PER_US, 200);
        cr_assert_eq(m.grant[DISPATCHER], 2 * 2 * 64);
        run("long", FA_NS_PER_S, 1);
        cr_assert_eq(m.grant[DISPATCHER], 2);
        run("short", FA_NS_PER_US, 5);
        cr_assert_eq(m.grant[DISPATCHER], 2 + 2 * 5);
        fa_work_free(m.w);
}

Test(grant, a_slot_that_runs_something_long_counts_one) {
        start(2, FA_MODE_PUSH);
        run("long", FA_NS_PER_S, 1);
        run("short", FA_NS_PER_US, 200);
        give(DISPATCHER, "long", 1);
        cr_assert_geq(slot_of_next(), 0);
        give(DISPATCHER, "short", 1);
        end(slot_of_next(), FA_NS_PER_US);
        cr_assert_eq(m.grant[DISPATCHER], 1 + 2 * 64);
        fa_work_free(m.w);
}

Test(grant, what_waits_behind_nothing_but_long_tasks_goes_back_at_once) {
        start(2, FA_MODE_PUSH);
        run("long", FA_NS_PER_S, 1);
        run("short", FA_NS_PER_US, 200);
        give(DISPATCHER, "long", 2);
        forget();
        give(DISPATCHER, "short", 10);
        cr_assert_eq(m.said[FA_MSG_RETURN], 10);
        cr_assert_eq(m.grant[DISPATCHER], 2, "and is not asked for again");
        fa_work_free(m.w);
}

Test(grant, what_waits_behind_tasks_that_turn_out_long_goes_back) {
        start(1, FA_MODE_PUSH);
        run("short", FA_NS_PER_US, 200);
        give(DISPATCHER, "short", 10);
        cr_assert_eq(slot_of_next(), 0);
        forget();
        m.now_ns += 6 * FA_NS_PER_MS;
        fa_work_tick(m.w, m.now_ns);
        struct fa_work_op op;
        while (fa_work_pop(m.w, &op) && op.kind != FA_WORK_RECALL)
                ;
        cr_assert_eq(op.kind, FA_WORK_RECALL);
        input(&(struct fa_event){.kind = FA_EV_SLOT_RETURNED, .slot = 0, .n = 9});
        cr_assert_eq(m.said[FA_MSG_RETURN], 9);
        cr_assert_eq(m.grant[DISPATCHER], 1);
        fa_work_free(m.w);
}

Test(grant, two_dispatchers_are_granted_what_the_other_leaves) {
        start(4, FA_MODE_PUSH);
        cr_assert_eq(fa_work_connect(m.w, OTHER, m.now_ns), 0);
        give(DISPATCHER, "long", 3);
        welcome_by(OTHER, FA_MODE_PUSH);
        cr_assert_eq(m.grant[OTHER], 1);
        give(OTHER, "long", 1);
        cr_assert_eq(m.grant[OTHER], 1);
        for (int i = 0; i < 3; i++) /* the first one's results leave room, which the other hears */
                end(slot_of_next(), FA_NS_PER_S);
        cr_assert_gt(m.grant[OTHER], 1);
        fa_work_free(m.w);
}

Test(grant, pull_asks_once_and_again_when_it_was_answered) {
        start(2, FA_MODE_PULL);
        cr_assert_eq(m.grant[DISPATCHER], 2, "REGISTER asks");
        forget();
        fa_work_tick(m.w, m.now_ns);
        drain_outbox();
        cr_assert_eq(m.said[FA_MSG_REQUEST], 0);
        give(DISPATCHER, "long", 1); /* a slot is still free */
        cr_assert_eq(m.said[FA_MSG_REQUEST], 1);
        cr_assert_eq(m.grant[DISPATCHER], 2);
        give(DISPATCHER, "long", 1);
        cr_assert_eq(m.said[FA_MSG_REQUEST], 1, "both slots are busy with what may be long");
        end(slot_of_next(), FA_NS_PER_S);
        cr_assert_eq(m.said[FA_MSG_REQUEST], 2);
        fa_work_free(m.w);
}

Test(grant, pull_asks_early_when_tasks_are_short) {
        start(1, FA_MODE_PULL);
        run("short", FA_NS_PER_US, 200);
        give(DISPATCHER, "short", 100);
        forget();
        for (int i = 0; i < 36; i++) {
                while (slot_of_next() == 0)
                        ;
                end(0, FA_NS_PER_US);
        }
        cr_assert_eq(m.said[FA_MSG_REQUEST], 1, "with 64 of 128 left");
        cr_assert_eq(m.grant[DISPATCHER], 128);
        fa_work_free(m.w);
}

Test(grant, a_drain_asks_for_nothing_and_gives_back) {
        start(1, FA_MODE_PUSH);
        give(DISPATCHER, "long", 1);
        (void)slot_of_next();
        give(DISPATCHER, "long", 2);
        forget();
        cr_assert_not(fa_work_drain(m.w, m.now_ns));
        drain_outbox();
        cr_assert_eq(m.grant[DISPATCHER], 0);
        cr_assert_eq(m.said[FA_MSG_RETURN], 2);
        forget();
        end(0, FA_NS_PER_MS);
        cr_assert_eq(m.said[FA_MSG_REQUEST], 0);
        fa_work_goodbye(m.w);
        drain_outbox();
        cr_assert_eq(m.said[FA_MSG_DISCONNECT], 1);
        fa_work_free(m.w);
}

Test(grant, a_drain_gives_up_results_when_no_dispatcher_was_there_for_its_liveness) {
        uint64_t gone_ns;

        start(1, FA_MODE_PUSH);
        give(DISPATCHER, "long", 1);
        int slot = slot_of_next();
        cr_assert_not(fa_work_drain(m.w, m.now_ns));
        m.now_ns += FA_NS_PER_S;
        gone_ns = m.now_ns;
        cr_assert_not(fa_work_drain(m.w, m.now_ns));
        input(&(struct fa_event){.kind = FA_EV_PEER_DOWN, .peer = DISPATCHER});
        m.now_ns += 3600 * FA_NS_PER_S;
        cr_assert_not(fa_work_drain(m.w, m.now_ns), "it still runs");
        m.now_ns = gone_ns;
        end(slot, FA_NS_PER_MS);
        m.now_ns = gone_ns + 3 * FA_NS_PER_S - 1;
        cr_assert_not(fa_work_drain(m.w, m.now_ns));
        fa_work_tick(m.w, m.now_ns);
        cr_assert_leq(fa_work_deadline(m.w), gone_ns + 3 * FA_NS_PER_S);
        cr_assert(fa_work_drain(m.w, gone_ns + 3 * FA_NS_PER_S));
        /* One that comes back has the time again to acknowledge it. */
        welcome_by(DISPATCHER, FA_MODE_PUSH);
        cr_assert_not(fa_work_drain(m.w, gone_ns + 4 * FA_NS_PER_S));
        fa_work_free(m.w);
}

/* The newest task, whoever gave it. */
static void stale(uint64_t by, uint64_t giver) {
        struct fa_item it = {.id = id_of(m.next_id, giver)};
        struct fa_msg msg = {.type = FA_MSG_STALE, .items = &it, .n_items = 1};

        say(by, &msg);
}

Test(grant, one_dispatcher_calls_nothing_void_of_another_that_is_there) {
        struct fa_msg beat = {.type = FA_MSG_BEAT, .session = 1};
        struct fa_work_op op;

        start(1, FA_MODE_PUSH);
        cr_assert_eq(fa_work_connect(m.w, OTHER, m.now_ns), 0);
        welcome_by(OTHER, FA_MODE_PUSH);
        give(DISPATCHER, "long", 1);
        cr_assert(fa_work_pop(m.w, &op));
        m.now_ns += 2 * FA_NS_PER_S;
        say(DISPATCHER, &beat);
        input(&(struct fa_event){.kind = FA_EV_PEER_DOWN, .peer = DISPATCHER});
        m.now_ns += 3 * FA_NS_PER_S - 1;
        stale(OTHER, DISPATCHER);
        cr_assert_not(fa_work_pop(m.w, &op), "it may come back");
        m.now_ns += 1;
        stale(OTHER, DISPATCHER);
        cr_assert(fa_work_pop(m.w, &op));
        cr_assert_eq(op.kind, FA_WORK_RECALL);
        input(&(struct fa_event){.kind = FA_EV_SLOT_RETURNED, .slot = 0, .n = 0});
        cr_assert(fa_work_pop(m.w, &op));
        cr_assert_eq(op.kind, FA_WORK_KILL);
        fa_work_free(m.w);
}

Test(grant, the_next_dispatcher_at_its_place_calls_what_a_dead_one_left_void) {
        struct fa_msg welcome = {.type = FA_MSG_WELCOME, .epoch = ME, .from = 99};
        struct fa_work_op op;

        start(1, FA_MODE_PUSH);
        give(DISPATCHER, "long", 1);
        cr_assert(fa_work_pop(m.w, &op));
        give(DISPATCHER, "long", 1);
        say(DISPATCHER, &welcome);
        stale(DISPATCHER, DISPATCHER); /* the one that waits */
        cr_assert_eq(fa_work_held(m.w), 1);
        m.next_id--;
        stale(DISPATCHER, DISPATCHER);
        cr_assert(fa_work_pop(m.w, &op));
        cr_assert_eq(op.kind, FA_WORK_RECALL);
        fa_work_free(m.w);
}

Test(grant, a_cancelled_task_that_had_not_started_costs_its_slot_nothing) {
        struct fa_work_op op;

        start(1, FA_MODE_PUSH);
        run("short", FA_NS_PER_US, 200);
        give(DISPATCHER, "short", 5);
        while (fa_work_pop(m.w, &op))
                ;
        struct fa_item it = {.id = id_of(m.next_id, DISPATCHER)}; /* the last one */
        struct fa_msg cancel = {.type = FA_MSG_CANCEL,
                                .session = m.session[DISPATCHER],
                                .items = &it,
                                .n_items = 1};
        say(DISPATCHER, &cancel);
        cr_assert(fa_work_pop(m.w, &op));
        cr_assert_eq(op.kind, FA_WORK_RECALL);
        input(&(struct fa_event){.kind = FA_EV_SLOT_RETURNED, .slot = 0, .n = 4});
        for (int i = 0; i < 3; i++)
                cr_assert_eq(slot_of_next(), 0, "the others go back into the slot at once");
        cr_assert_not(fa_work_pop(m.w, &op), "and it is not killed");
        fa_work_free(m.w);
}

Test(grant, a_cancelled_task_that_runs_costs_its_slot_one_kill) {
        struct fa_work_op op;

        start(1, FA_MODE_PUSH);
        run("short", FA_NS_PER_US, 200);
        give(DISPATCHER, "short", 3);
        while (fa_work_pop(m.w, &op))
                ;
        for (int i = 2; i >= 0; i -= 2) { /* the last one, and the one that runs */
                struct fa_item it = {.id = id_of(m.next_id - i, DISPATCHER)};
                struct fa_msg cancel = {.type = FA_MSG_CANCEL,
                                        .session = m.session[DISPATCHER],
                                        .items = &it,
                                        .n_items = 1};
                say(DISPATCHER, &cancel);
        }
        cr_assert(fa_work_pop(m.w, &op));
        cr_assert_eq(op.kind, FA_WORK_RECALL);
        cr_assert_not(fa_work_pop(m.w, &op));
        input(&(struct fa_event){.kind = FA_EV_SLOT_RETURNED, .slot = 0, .n = 2});
        cr_assert(fa_work_pop(m.w, &op));
        cr_assert_eq(op.kind, FA_WORK_KILL);
        cr_assert_not(fa_work_pop(m.w, &op), "nothing goes into a slot that dies");
        fa_work_free(m.w);
}

static void pass(uint64_t ns) {
        m.now_ns += ns;
        fa_work_tick(m.w, m.now_ns);
        drain_outbox();
}

/* So that a slot has something to do while its result and the next task are on their way. */
Test(grant, a_long_task_has_its_successor_asked_for_just_before_its_end) {
        for (int mode = 0; mode < 2; mode++) {
                start(1, mode ? FA_MODE_PULL : FA_MODE_PUSH);
                run("long", 100 * FA_NS_PER_MS, 1);
                give(DISPATCHER, "long", 1);
                cr_assert_eq(slot_of_next(), 0);
                pass(94 * FA_NS_PER_MS);
                cr_assert_eq(m.said[FA_MSG_RETURN], 0);
                forget();
                cr_assert_leq(fa_work_deadline(m.w), m.now_ns + FA_NS_PER_MS);
                pass(FA_NS_PER_MS);
                cr_assert_eq(m.said[FA_MSG_REQUEST], 1);
                cr_assert_eq(m.grant[DISPATCHER], 2);
                give(DISPATCHER, "long", 1);
                cr_assert_eq(slot_of_next(), 0); /* behind the other: it begins at once */
                end(0, 5 * FA_NS_PER_MS);
                cr_assert_eq(slot_of_next(), -1);
                cr_assert_eq(m.said[FA_MSG_RETURN], 0);
                fa_work_free(m.w);
        }
}

/* The mean was wrong: it does not wait for long. */
Test(grant, the_successor_of_a_task_that_does_not_end_goes_back) {
        struct fa_work_op op;

        start(1, FA_MODE_PUSH);
        run("long", 100 * FA_NS_PER_MS, 1);
        give(DISPATCHER, "long", 1);
        cr_assert_eq(slot_of_next(), 0);
        pass(96 * FA_NS_PER_MS);
        give(DISPATCHER, "short", 1);
        cr_assert_eq(slot_of_next(), 0);
        pass(0);
        cr_assert_not(fa_work_pop(m.w, &op)); /* it need not go back yet */
        cr_assert_leq(fa_work_deadline(m.w), m.now_ns + 9 * FA_NS_PER_MS);
        pass(9 * FA_NS_PER_MS);
        cr_assert(fa_work_pop(m.w, &op) && op.kind == FA_WORK_RECALL);
        input(&(struct fa_event){.kind = FA_EV_SLOT_RETURNED, .n = 1});
        cr_assert_eq(m.said[FA_MSG_RETURN], 1);
        cr_assert_eq(m.grant[DISPATCHER], 1);
        forget();
        pass(FA_NS_PER_S);
        cr_assert_eq(m.said[FA_MSG_REQUEST] + m.said[FA_MSG_RETURN], 0);
        fa_work_free(m.w);
}

Test(grant, behind_each_task_of_a_millisecond_stands_another_one) {
        start(1, FA_MODE_PUSH);
        run("short", FA_NS_PER_MS, 20);
        give(DISPATCHER, "short", 3);
        cr_assert_eq(slot_of_next(), 0);
        cr_assert_eq(slot_of_next(), 0);
        cr_assert_eq(slot_of_next(), -1);
        fa_work_free(m.w);
}

/* The mean falls below what is long: what stands behind the long one goes back all the same. */
Test(grant, a_mean_that_falls_meanwhile_keeps_no_successor_waiting) {
        struct fa_work_op op;

        start(2, FA_MODE_PUSH);
        run("long", 100 * FA_NS_PER_MS, 1);
        give(DISPATCHER, "long", 1);
        const int slot = slot_of_next();
        pass(96 * FA_NS_PER_MS);
        give(DISPATCHER, "long", 1);
        const int other = slot_of_next();
        cr_assert_eq(other, 1 - slot);
        give(DISPATCHER, "long", 1);
        cr_assert_eq(slot_of_next(), slot); /* behind the one that should end */
        for (int i = 0; i < 40; i++) {
                end(other, FA_NS_PER_US);
                while (fa_work_pop(m.w, &op))
                        cr_assert_eq(op.kind, FA_WORK_RUN);
                give(DISPATCHER, "long", 1);
                while (fa_work_pop(m.w, &op))
                        cr_assert_eq(op.kind, FA_WORK_RUN);
        }
        cr_assert_leq(fa_work_deadline(m.w), m.now_ns + 10 * FA_NS_PER_MS);
        pass(10 * FA_NS_PER_MS);
        bool recalled = false;
        while (fa_work_pop(m.w, &op))
                recalled |= op.kind == FA_WORK_RECALL && op.slot == (unsigned)slot;
        cr_assert(recalled);
        fa_work_free(m.w);
}
