/* test-cli.c - the client machine alone: its dispatchers, its window, what it asks */
#undef NDEBUG
#include <stdlib.h>
#include <string.h>

#include <criterion/criterion.h>

#include "base/clock.h"
#include "core/cli.h"

enum { FIRST = 1, SECOND = 2, THIRD = 3 };

static struct fa_cli *c;
static uint64_t now_ns = FA_NS_PER_S;

static void start(unsigned n_lanes) {
        const struct fa_cli_cfg cfg = {
                .incarnation = 7, .window_tasks = 10, .window_bytes = 1000, .seed = 1};

        cr_assert_eq(fa_cli_new(&c, &cfg), 0);
        for (unsigned i = 1; i <= n_lanes; i++)
                cr_assert_eq(fa_cli_connect(c, i, now_ns), 0);
}

static void say(uint64_t from, struct fa_msg *m) {
        const struct fa_event ev = {.kind = FA_EV_MSG, .peer = from, .msg = m};

        cr_assert_eq(fa_cli_input(c, &ev, now_ns), 0);
}

static void link_is(enum fa_event_kind kind, uint64_t lane) {
        const struct fa_event ev = {.kind = kind, .peer = lane};

        cr_assert_eq(fa_cli_input(c, &ev, now_ns), 0);
}

static void welcome_by(uint64_t lane, uint32_t window) {
        struct fa_msg m = {.type = FA_MSG_WELCOME,
                           .epoch = 7,
                           .from = 40 + lane,
                           .interval_ms = 1000,
                           .liveness = 3,
                           .window_tasks = window,
                           .window_bytes = 1000};

        say(lane, &m);
}

/* Messages (items, if it has any) of this type to this dispatcher since the last call; all others
 * are dropped. */
static size_t said(uint64_t to, enum fa_msg_type type) {
        struct fa_msg *m;
        uint64_t dst;
        size_t n = 0;

        while (fa_outbox_pop(fa_cli_outbox(c), &dst, &m)) {
                if (dst == to && m->type == type)
                        n += m->n_items ? m->n_items : 1;
                fa_msg_free(m);
        }
        return n;
}

static int submit(uint8_t id) {
        const struct fa_item it = {.id = {{id}}, .function = {(const uint8_t *)"f", 1}};

        return fa_cli_submit(c, &it, now_ns);
}

static void answer(uint64_t from, enum fa_msg_type type, uint8_t id, uint8_t state) {
        struct fa_item it = {.id = {{id}}, .state = state};
        struct fa_msg m = {.type = (uint8_t)type,
                           .window_tasks = 2,
                           .window_bytes = 1000,
                           .items = &it,
                           .n_items = 1};

        say(from, &m);
}

/* Lets time pass as the machine wants it. */
static void pass(uint64_t ns) {
        uint64_t end_ns = now_ns + ns;

        while (fa_cli_deadline(c) <= end_ns) {
                now_ns = FA_MAX(now_ns, fa_cli_deadline(c));
                fa_cli_tick(c, now_ns);
        }
        now_ns = end_ns;
}

Test(cli, a_broken_connection_makes_it_go_on_with_the_next_at_once) {
        start(2);
        welcome_by(FIRST, 10);
        cr_assert_eq(submit(1), 0);
        cr_assert_eq(said(FIRST, FA_MSG_SUBMIT), 1);
        link_is(FA_EV_PEER_DOWN, FIRST);
        cr_assert_eq(said(SECOND, FA_MSG_HELLO), 1);
        welcome_by(SECOND, 10);
        cr_assert_eq(said(SECOND, FA_MSG_SUBMIT), 1);
        fa_cli_free(c);
}

Test(cli, it_does_not_go_round_faster_than_ten_times_a_second) {
        size_t hellos = 0;

        start(3);
        cr_assert_eq(submit(1), 0);
        for (int i = 0; i < 100; i++) { /* all three break at once, again and again */
                for (uint64_t l = FIRST; l <= THIRD; l++) {
                        struct fa_msg bye = {.type = FA_MSG_DISCONNECT};
                        say(l, &bye);
                }
                pass(10 * FA_NS_PER_MS);
                for (struct fa_msg *m; fa_outbox_pop(fa_cli_outbox(c), &(uint64_t){0}, &m);) {
                        hellos += m->type == FA_MSG_HELLO;
                        fa_msg_free(m);
                }
        }
        cr_assert_leq(hellos, 12);
        cr_assert_geq(hellos, 5);
        fa_cli_free(c);
}

Test(cli, one_that_was_never_there_is_left_for_one_that_is) {
        start(3);
        cr_assert_eq(said(FIRST, FA_MSG_HELLO), 1);
        now_ns += FA_NS_PER_MS;
        link_is(FA_EV_PEER_UP, THIRD);
        cr_assert_eq(said(THIRD, FA_MSG_HELLO), 0, "the first one has a moment to connect");
        now_ns = fa_cli_deadline(c);
        cr_assert_leq(now_ns, FA_NS_PER_S + 100 * FA_NS_PER_MS);
        fa_cli_tick(c, now_ns);
        cr_assert_eq(said(THIRD, FA_MSG_HELLO), 1, "and the second is passed over");
        welcome_by(THIRD, 10);
        link_is(FA_EV_PEER_UP, FIRST);
        now_ns += FA_NS_PER_S;
        fa_cli_tick(c, now_ns);
        cr_assert_eq(said(FIRST, FA_MSG_HELLO), 0, "it stays where it is welcome");
        fa_cli_free(c);
}

Test(cli, the_first_one_is_taken_if_it_connects_soon) {
        start(2);
        link_is(FA_EV_PEER_UP, SECOND);
        now_ns += 50 * FA_NS_PER_MS;
        link_is(FA_EV_PEER_UP, FIRST);
        welcome_by(FIRST, 10);
        now_ns += FA_NS_PER_S;
        fa_cli_tick(c, now_ns);
        cr_assert_eq(said(SECOND, FA_MSG_HELLO), 0);
        fa_cli_free(c);
}

Test(cli, it_waits_for_one_that_comes_back_when_all_are_down) {
        start(2);
        welcome_by(FIRST, 10);
        link_is(FA_EV_PEER_DOWN, SECOND);
        link_is(FA_EV_PEER_DOWN, FIRST);
        pass(FA_NS_PER_S / 2);
        cr_assert_eq(said(SECOND, FA_MSG_HELLO), 0);
        link_is(FA_EV_PEER_UP, SECOND);
        cr_assert_eq(said(SECOND, FA_MSG_HELLO), 1);
        fa_cli_free(c);
}

Test(cli, hello_is_said_when_the_connection_is_back) {
        start(1);
        welcome_by(FIRST, 10);
        (void)said(FIRST, FA_MSG_HELLO);
        link_is(FA_EV_PEER_DOWN, FIRST);
        cr_assert_not(fa_cli_ready(c));
        cr_assert_eq(said(FIRST, FA_MSG_HELLO), 0);
        link_is(FA_EV_PEER_UP, FIRST);
        cr_assert_eq(said(FIRST, FA_MSG_HELLO), 1);
        fa_cli_free(c);
}

Test(cli, hello_is_repeated_while_something_is_expected) {
        start(1);
        (void)said(FIRST, FA_MSG_HELLO);
        pass(10 * FA_NS_PER_S);
        cr_assert_eq(said(FIRST, FA_MSG_HELLO), 0, "nothing is expected");
        cr_assert_eq(submit(1), 0);
        pass(10 * FA_NS_PER_S);
        cr_assert_geq(said(FIRST, FA_MSG_HELLO), 9);
        fa_cli_free(c);
}

Test(cli, a_refusal_is_told_until_the_next_welcome_and_not_answered_at_once) {
        struct fa_msg no = {.type = FA_MSG_DISCONNECT,
                            .reason = FAAS_E_VERSION,
                            .text = {(const uint8_t *)"no", 2}};
        const char *text = NULL;

        start(1);
        cr_assert_eq(fa_cli_refusal(c, &text), 0);
        cr_assert_eq(submit(1), 0);
        (void)said(FIRST, FA_MSG_HELLO);
        say(FIRST, &no);
        cr_assert_eq(fa_cli_refusal(c, &text), FAAS_E_VERSION);
        cr_assert_str_eq(text, "no");
        pass(FA_NS_PER_S / 2);
        cr_assert_eq(said(FIRST, FA_MSG_HELLO), 0);
        pass(FA_NS_PER_S);
        cr_assert_eq(said(FIRST, FA_MSG_HELLO), 1);
        welcome_by(FIRST, 10);
        cr_assert_eq(fa_cli_refusal(c, &text), 0);
        fa_cli_free(c);
}

Test(cli, it_keeps_to_the_dispatchers_window) {
        start(1);
        welcome_by(FIRST, 2);
        cr_assert_eq(submit(1), 0);
        cr_assert_eq(submit(2), 0);
        cr_assert_eq(submit(3), FAAS_E_AGAIN);
        cr_assert(fa_cli_full(c));
        fa_cli_free(c);
}

Test(cli, a_smaller_window_of_another_dispatcher_holds_submits_back) {
        struct fa_cli_done d;

        start(2);
        welcome_by(FIRST, 10);
        for (uint8_t i = 1; i <= 5; i++)
                cr_assert_eq(submit(i), 0);
        link_is(FA_EV_PEER_DOWN, FIRST);
        (void)said(SECOND, FA_MSG_HELLO);
        welcome_by(SECOND, 2);
        cr_assert_eq(said(SECOND, FA_MSG_SUBMIT), 2);
        answer(SECOND, FA_MSG_ACCEPTED, 1, 0);
        cr_assert_eq(said(SECOND, FA_MSG_SUBMIT), 0);
        answer(SECOND, FA_MSG_DONE, 1, FAAS_COMPLETED);
        cr_assert_eq(said(SECOND, FA_MSG_SUBMIT), 1);
        cr_assert_eq(fa_cli_take(c, NULL, &d), 0);
        fa_outcome_deinit(&d.outcome);
        fa_cli_free(c);
}

Test(cli, only_what_never_left_can_be_withdrawn) {
        const struct faas_id one = {{1}}, two = {{2}}, none = {{3}};

        start(1);
        cr_assert_eq(submit(1), 0);
        cr_assert_eq(fa_cli_withdraw(c, &one), 0);
        cr_assert_eq(fa_cli_open_count(c), 0);
        cr_assert_eq(fa_cli_withdraw(c, &none), FAAS_E_NOENT);
        cr_assert_eq(submit(2), 0);
        welcome_by(FIRST, 10);
        cr_assert_eq(said(FIRST, FA_MSG_SUBMIT), 1);
        cr_assert_eq(fa_cli_withdraw(c, &two), FAAS_E_UNKNOWN);
        cr_assert_eq(fa_cli_open_count(c), 1);
        fa_cli_free(c);
}

Test(cli, one_that_is_refused_after_its_submit_gave_up_is_forgotten) {
        const struct faas_id one = {{1}}, two = {{2}};

        start(1);
        welcome_by(FIRST, 10);
        cr_assert_eq(submit(1), 0);
        cr_assert_eq(submit(2), 0);
        cr_assert_eq(fa_cli_withdraw(c, &one), FAAS_E_UNKNOWN);
        answer(FIRST, FA_MSG_ACCEPTED, 1, FAAS_E_LIMIT);
        answer(FIRST, FA_MSG_ACCEPTED, 2, FAAS_E_LIMIT);
        fa_cli_tick(c, now_ns);
        cr_assert_eq(fa_cli_refused(c), 2, "who waits for it hears of it");
        now_ns = fa_cli_deadline(c);
        fa_cli_tick(c, now_ns);
        cr_assert_eq(fa_cli_refused(c), 1);
        cr_assert_eq(fa_cli_accepted(c, &one), FAAS_E_NOENT);
        now_ns += 100 * FA_NS_PER_S;
        fa_cli_tick(c, now_ns);
        cr_assert_eq(fa_cli_accepted(c, &two), FAAS_E_LIMIT, "its submit still waits");
        fa_cli_free(c);
}

Test(cli, goodbye_is_said_to_a_dispatcher_that_is_there) {
        start(1);
        (void)said(FIRST, FA_MSG_HELLO);
        fa_cli_goodbye(c);
        cr_assert_eq(said(FIRST, FA_MSG_DISCONNECT), 0);
        welcome_by(FIRST, 10);
        fa_cli_goodbye(c);
        cr_assert_eq(said(FIRST, FA_MSG_DISCONNECT), 1);
        fa_cli_free(c);
}

Test(cli, a_question_that_got_lost_is_asked_again) {
        const struct faas_id id = {{9}};
        uint8_t state = 0;

        start(1);
        welcome_by(FIRST, 10);
        cr_assert_eq(fa_cli_ask(c, &id, false, false, now_ns), 0);
        cr_assert_eq(said(FIRST, FA_MSG_STATUS), 1);
        pass(FA_NS_PER_S + FA_NS_PER_MS);
        cr_assert_eq(said(FIRST, FA_MSG_STATUS), 1);
        answer(FIRST, FA_MSG_DONE, 9, FAAS_RUNNING);
        cr_assert_eq(fa_cli_answer(c, &state, NULL), 0);
        cr_assert_eq(state, FAAS_RUNNING);
        fa_cli_free(c);
}

/* A REPORT of workers from..to-1, of n in all. */
static void report(uint64_t from, uint64_t to, uint64_t n, uint8_t more) {
        uint64_t values[_FA_STAT_N] = {[FA_STAT_WORKERS] = n};
        struct fa_msg *m = NULL;

        cr_assert_eq(fa_msg_new(&m, FA_MSG_REPORT), 0);
        m->what = FA_QUERY_WORKERS;
        m->more = more;
        m->values = malloc(sizeof(values));
        cr_assert(m->values);
        memcpy(m->values, values, sizeof(values));
        m->n_values = _FA_STAT_N;
        for (; from < to; from++)
                fa_msg_add(m)->from = from;
        say(FIRST, m);
        fa_msg_free(m);
}

Test(cli, a_report_in_parts_is_whole_or_asked_for_again) {
        struct fa_report r = FA_REPORT_NULL;

        start(1);
        welcome_by(FIRST, 10);
        cr_assert_eq(fa_cli_query(c, FA_QUERY_WORKERS, now_ns), 0);
        cr_assert_eq(said(FIRST, FA_MSG_QUERY), 1);
        report(0, 5, 12, 1); /* the second part is lost */
        report(10, 12, 12, 0);
        cr_assert_eq(fa_cli_report(c, &r), FAAS_E_AGAIN);
        pass(FA_NS_PER_S + FA_NS_PER_MS);
        cr_assert_eq(said(FIRST, FA_MSG_QUERY), 1);
        report(0, 5, 12, 1);
        report(5, 10, 12, 1);
        cr_assert_eq(fa_cli_report(c, &r), FAAS_E_AGAIN);
        report(10, 12, 12, 0);
        cr_assert_eq(fa_cli_report(c, &r), 0);
        cr_assert_eq(r.n_workers, 12);
        for (uint64_t i = 0; i < 12; i++)
                cr_assert_eq(r.workers[i].incarnation, i);
        fa_report_deinit(&r);
        fa_cli_free(c);
}

Test(cli, a_report_without_end_takes_bounded_memory) {
        struct fa_report r = FA_REPORT_NULL;

        start(1);
        welcome_by(FIRST, 10);
        cr_assert_eq(fa_cli_query(c, FA_QUERY_WORKERS, now_ns), 0);
        for (uint64_t i = 0; i < 2 * FA_PEERS_MAX / FA_BATCH_MAX; i++)
                report(0, FA_BATCH_MAX, UINT64_MAX, 1);
        report(0, 1, FA_PEERS_MAX * UINT64_C(2) + 1, 0);
        cr_assert_eq(fa_cli_report(c, &r), FAAS_E_AGAIN);
        fa_cli_free(c);
}
