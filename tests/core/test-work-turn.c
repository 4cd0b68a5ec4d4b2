/*
 * test-work-turn.c - worker and dispatcher do not throw tasks to and fro: any turn ends
 *
 * Slots go up and down, end tasks and hand them back by a seed; time moves only between turns.
 * First a dispatcher that fills whatever room it was told of, then the real one.
 */
#undef NDEBUG
#include <stdio.h>
#include <string.h>

#include <criterion/criterion.h>

#include "bench.h"
#include "core/work.h"

enum { WORKER = 9, CLIENT = 8, SLOTS_MAX = 5, FRESH = 64, STEPS = 400, SEEDS = 200 };

static const char *names[2 + FRESH];
static char fresh_names[FRESH][8];

static struct rig {
        struct fa_work *w;
        struct bench bench; /* the second test's */
        uint64_t now_ns, rng;
        unsigned n_slots;
        struct slot {
                bool up, recalled;
                int n;
        } slots[SLOTS_MAX];
        /* the first test's dispatcher */
        uint64_t session, seq;
        uint32_t grant, held;
        bool now; /* it said the grant in its last answer */
        size_t n_returned, n_fresh;
        uint32_t next_id;
} rig;

static uint32_t pick(uint32_t n) {
        rig.rng = rig.rng * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
        return (uint32_t)(rig.rng >> 33) % n;
}

static void setup(uint64_t seed, uint32_t n_slots) {
        static const uint64_t retry_ns = 3600 * FA_NS_PER_S;

        rig = (struct rig){.now_ns = FA_NS_PER_S, .rng = seed, .n_slots = n_slots};
        names[0] = "f";
        names[1] = "g";
        for (size_t i = 0; i < FRESH; i++) {
                (void)snprintf(fresh_names[i], sizeof(fresh_names[i]), "x%zu", i);
                names[2 + i] = fresh_names[i];
        }
        const struct fa_work_cfg cfg = {.incarnation = 7,
                                        .n_slots = n_slots,
                                        .functions = names,
                                        .n_functions = FA_ARRAY_SIZE(names),
                                        .retry_ns = retry_ns,
                                        .seed = seed};
        cr_assert_eq(fa_work_new(&rig.w, &cfg), 0);
}

/* What the machine wants of its slots. */
static void run_ops(void) {
        struct fa_work_op op;

        while (fa_work_pop(rig.w, &op)) {
                struct slot *s = &rig.slots[op.slot];
                cr_assert(s->up);
                s->n += op.kind == FA_WORK_RUN;
                s->recalled |= op.kind == FA_WORK_RECALL;
        }
}

/* Something happens to a slot. */
static struct fa_event slot_event(const struct fa_outcome *o) {
        unsigned i = pick(rig.n_slots);
        struct slot *s = &rig.slots[i];
        struct fa_event ev = {.slot = i, .outcome = o};

        if (!s->up) {
                s->up = true;
                ev.kind = FA_EV_SLOT_UP;
        } else if (s->recalled) {
                s->recalled = false;
                ev.kind = FA_EV_SLOT_RETURNED;
                ev.n = s->n > 1 ? (int32_t)pick((uint32_t)s->n) : 0;
                s->n -= ev.n;
        } else if (s->n && pick(8)) {
                s->n--;
                ev.kind = FA_EV_SLOT_RESULT;
        } else {
                ev.kind = FA_EV_SLOT_DOWN;
                ev.n = s->n && pick(4) ? (int32_t)pick((uint32_t)s->n) : -1;
                *s = (struct slot){0};
        }
        return ev;
}

static void pass_time(void) {
        static const uint64_t steps[] = {0, FA_NS_PER_US, 100 * FA_NS_PER_US, 20 * FA_NS_PER_MS};

        rig.now_ns += steps[pick(FA_ARRAY_SIZE(steps))];
}

/* ---- a dispatcher that fills all room ---- */

static void hear(void) {
        struct fa_msg *out;
        uint64_t to;

        run_ops();
        rig.now = false;
        while (fa_outbox_pop(fa_work_outbox(rig.w), &to, &out)) {
                if (out->type == FA_MSG_REGISTER)
                        rig.session = out->session;
                if (out->type == FA_MSG_RESULT || out->type == FA_MSG_RETURN)
                        rig.held -= out->n_items;
                if (out->type == FA_MSG_RETURN)
                        rig.n_returned += out->n_items;
                if (out->type != FA_MSG_STARTED && out->type != FA_MSG_HELLO) {
                        rig.grant = out->grant;
                        rig.now = true;
                }
                fa_msg_free(out);
        }
}

static void input(const struct fa_event *ev) {
        cr_assert_eq(fa_work_input(rig.w, ev, rig.now_ns), 0);
        hear();
}

static void give(const char *function, uint32_t n) {
        struct fa_item it[FA_BATCH_MAX];
        struct fa_msg task = {.type = FA_MSG_TASK, .session = rig.session, .n_items = n};

        cr_assert_leq(n, FA_ARRAY_SIZE(it));
        memset(it, 0, sizeof(it));
        for (uint32_t i = 0; i < n; i++) {
                it[i].function = (struct fa_slice){(const uint8_t *)function, strlen(function)};
                rig.next_id++;
                memcpy(it[i].id.b, &rig.next_id, sizeof(rig.next_id));
        }
        task.items = it;
        task.seq = rig.seq += n;
        rig.held += n;
        input(&(struct fa_event){.kind = FA_EV_MSG, .peer = WORKER, .msg = &task});
}

/*
 * Of a function that nobody has seen yet all must stay, if the grant is of this moment: one that is
 * told may be too much a moment later.  Long ones may return, but not twice.
 */
static void fill(uint64_t seed) {
        int passes = 0;

        while (rig.grant > rig.held) {
                uint32_t room = FA_MIN(rig.grant - rig.held, FA_BATCH_MAX);
                bool fresh = rig.n_fresh < FRESH && rig.now && pick(4) == 0;

                rig.n_returned = 0;
                give(fresh ? names[2 + rig.n_fresh++] : names[pick(2)], room);
                cr_assert(!fresh || !rig.n_returned, "seed %lu: of %u granted %zu came back", seed,
                          room, rig.n_returned);
                cr_assert_lt(++passes, 8, "seed %lu: it takes more and more", seed);
        }
}

Test(turn, no_room_is_granted_for_what_would_come_back_at_once) {
        const struct fa_outcome o = {.status = FAAS_COMPLETED};
        struct fa_msg welcome = {.type = FA_MSG_WELCOME, .epoch = 7, .from = 5};

        for (uint64_t seed = 1; seed <= SEEDS; seed++) {
                setup(seed, 1 + (uint32_t)(seed % SLOTS_MAX));
                cr_assert_eq(fa_work_connect(rig.w, WORKER, rig.now_ns), 0);
                input(&(struct fa_event){.kind = FA_EV_MSG, .peer = WORKER, .msg = &welcome});
                cr_assert_gt(rig.grant, 0, "before any slot is up");
                for (int i = 0; i < STEPS; i++) {
                        struct fa_event ev;
                        if (pick(2))
                                fill(seed);
                        ev = slot_event(&o);
                        pass_time();
                        input(&ev);
                        fa_work_tick(rig.w, rig.now_ns);
                        hear();
                }
                fa_work_free(rig.w);
        }
}

Test(turn, room_is_offered_when_a_slot_comes_up) {
        struct fa_msg welcome = {.type = FA_MSG_WELCOME, .epoch = 7, .from = 5};

        setup(1, 3);
        cr_assert_eq(fa_work_connect(rig.w, WORKER, rig.now_ns), 0);
        input(&(struct fa_event){.kind = FA_EV_MSG, .peer = WORKER, .msg = &welcome});
        for (unsigned i = 0; i < 3; i++) {
                rig.slots[i].up = true;
                input(&(struct fa_event){.kind = FA_EV_SLOT_UP, .slot = i});
                fill(1);
                cr_assert_eq(rig.slots[i].n, 1);
        }
        fa_work_free(rig.w);
}

/* ---- the real dispatcher ---- */

/* Both machines until nothing moves any more; how many passes that took. */
static int turn(void) {
        struct fa_event ev = {.kind = FA_EV_MSG};
        bool moved = true;
        uint64_t to;
        int passes;

        for (passes = 0; moved && passes < 20; passes++) {
                moved = false;
                run_ops();
                ev.peer = WORKER;
                while (fa_outbox_pop(fa_work_outbox(rig.w), &to, &ev.msg)) {
                        moved = true;
                        cr_assert_eq(fa_disp_input(rig.bench.d, &ev, rig.now_ns), 0);
                        fa_msg_free(ev.msg);
                }
                bench_settle(&rig.bench);
                for (size_t i = 0; i < rig.bench.n; i++) {
                        ev.msg = rig.bench.v[i].m;
                        if (rig.bench.v[i].to == WORKER) {
                                moved = true;
                                cr_assert_eq(fa_work_input(rig.w, &ev, rig.now_ns), 0);
                        }
                        fa_msg_free(ev.msg);
                }
                rig.bench.n = rig.bench.at = 0;
        }
        return passes;
}

static void cancel(uint32_t number) {
        struct fa_item it = {.id = {{0}}};
        struct fa_msg m = {.type = FA_MSG_CANCEL, .items = &it, .n_items = 1};

        memcpy(it.id.b, &number, sizeof(number));
        bench_say(&rig.bench, CLIENT, &m);
}

static void submit(const char *function) {
        struct fa_item it = {.function = {(const uint8_t *)function, 1}};
        struct fa_msg m = {.type = FA_MSG_SUBMIT, .items = &it, .n_items = 1};

        rig.next_id++;
        memcpy(it.id.b, &rig.next_id, sizeof(rig.next_id));
        bench_say(&rig.bench, CLIENT, &m);
}

Test(turn, a_turn_of_dispatcher_and_worker_ends) {
        const struct fa_disp_cfg cfg = {
                .name = "a", .heartbeat_ns = FA_NEVER, .tick_ns = FA_NEVER, .seed = 1};
        const struct fa_outcome o = {.status = FAAS_COMPLETED};
        struct fa_disp_stats stats;
        uint64_t n_done = 0;

        for (uint64_t seed = 1; seed <= SEEDS; seed++) {
                setup(seed, 1 + (uint32_t)(seed % SLOTS_MAX));
                bench_start(&rig.bench, &cfg);
                bench_hello(&rig.bench, CLIENT, FA_ROLE_CLIENT, "client");
                cr_assert_eq(fa_work_connect(rig.w, WORKER, rig.now_ns), 0);
                for (int i = 0; i < STEPS; i++) {
                        struct fa_event ev;
                        for (uint32_t n = pick(4); n; n--)
                                submit(names[pick(2)]);
                        if (rig.next_id && !pick(8))
                                cancel(rig.next_id - pick(FA_MIN(rig.next_id, 8)));
                        ev = slot_event(&o);
                        pass_time();
                        rig.bench.now_ns = rig.now_ns;
                        cr_assert_eq(fa_work_input(rig.w, &ev, rig.now_ns), 0);
                        fa_work_tick(rig.w, rig.now_ns);
                        cr_assert_lt(turn(), 20, "seed %lu, step %d", seed, i);
                }
                fa_disp_stats(rig.bench.d, &stats);
                n_done += stats.completed;
                bench_end(&rig.bench);
                fa_work_free(rig.w);
        }
        cr_assert_gt(n_done, SEEDS * STEPS / 4, "only %lu", n_done);
}
