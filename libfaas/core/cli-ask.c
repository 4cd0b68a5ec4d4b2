/*
 * cli-ask.c - what the client asks its dispatcher: one task's state, its numbers, its workers
 *
 * One question of each kind at a time.  A question is sent again after every WELCOME, and each
 * interval, until it is answered.
 */
#include <stdlib.h>
#include <string.h>

#include "core/cli-private.h"

static void send_ask(struct fa_cli *c, uint64_t now_ns) {
        struct fa_msg *m;
        struct fa_item *it;

        if (c->ask.cancel)
                fa_cli_send_id(c, FA_MSG_CANCEL, &c->ask.done.id, now_ns);
        it = fa_outbox_item(&c->outbox, fa_cli_lane(c), FA_MSG_STATUS, c->epoch, 0, 0, 0, &m);
        c->sent_ns = now_ns;
        if (!it)
                return;
        it->id = c->ask.done.id;
        /* The answer also ends a task of mine: then it must bring the result. */
        m->more |= c->ask.with_result || fa_cli_find(c, &it->id);
}

int fa_cli_ask(struct fa_cli *c,
               const struct faas_id *id,
               bool with_result,
               bool cancel,
               uint64_t now_ns) {
        if (cancel && !c->welcome)
                return FAAS_E_UNAVAILABLE;
        fa_cli_expect(c, now_ns);
        fa_outcome_deinit(&c->ask.done.outcome);
        c->ask.active = true;
        c->ask.answered = false;
        c->ask.with_result = with_result;
        c->ask.cancel = cancel;
        c->ask.done.id = *id;
        c->ask_ns = now_ns;
        if (c->welcome)
                send_ask(c, now_ns); /* else with the next WELCOME */
        return 0;
}

int fa_cli_answer(struct fa_cli *c, uint8_t *ret_state, struct fa_cli_done *ret) {
        if (!c->ask.answered)
                return FAAS_E_AGAIN;
        *ret_state = c->ask.state;
        if (ret) {
                *ret = c->ask.done;
                c->ask.done.outcome = (struct fa_outcome)FA_OUTCOME_NULL;
        }
        c->ask.active = c->ask.answered = false;
        return 0;
}

void fa_cli_answered(struct fa_cli *c, const struct fa_item *it, const struct fa_outcome *o) {
        if (!c->ask.active || c->ask.answered ||
            memcmp(&c->ask.done.id, &it->id, sizeof(it->id)) != 0)
                return;
        c->ask.answered = true;
        c->ask.state = it->state;
        c->ask.done.strikes = it->strikes;
        fa_outcome_deinit(&c->ask.done.outcome);
        fa_outcome_ref(&c->ask.done.outcome, o);
}

/* ---- the dispatcher's numbers and workers ---- */

static void send_query(struct fa_cli *c, uint64_t now_ns) {
        struct fa_msg *m = fa_outbox_msg(&c->outbox, fa_cli_lane(c), FA_MSG_QUERY);

        c->sent_ns = now_ns;
        fa_report_deinit(&c->query.report); /* the parts of an earlier answer do not count */
        if (!m)
                return;
        m->epoch = c->epoch;
        m->what = c->query.what;
}

int fa_cli_query(struct fa_cli *c, uint8_t what, uint64_t now_ns) {
        fa_cli_expect(c, now_ns);
        fa_report_deinit(&c->query.report);
        c->query.active = true;
        c->query.answered = false;
        c->query.what = what;
        c->ask_ns = now_ns;
        if (c->welcome)
                send_query(c, now_ns);
        return 0;
}

static void take_worker(struct fa_report_worker *w, const struct fa_item *it) {
        size_t len = fa_blob_len(it->text);

        *w = (struct fa_report_worker){
                .incarnation = it->from,
                .n_slots = it->n_slots,
                .held = it->held,
                .grant = it->grant,
                .silent_ms = it->silent_ms,
                .done = it->done,
        };
        memcpy(w->name, fa_blob_ptr(it->text), FA_MIN(len, sizeof(w->name) - 1));
}

/* false: no memory, or more workers than a dispatcher can have. */
static bool take_workers(struct fa_report *r, const struct fa_msg *m) {
        struct fa_report_worker *v;

        if (!m->n_items)
                return true;
        if (r->n_workers + m->n_items > FA_PEERS_MAX)
                return false;
        v = realloc(r->workers, (r->n_workers + m->n_items) * sizeof(*v));
        if (!v)
                return false;
        r->workers = v;
        for (uint32_t i = 0; i < m->n_items; i++)
                take_worker(&v[r->n_workers++], &m->items[i]);
        return true;
}

/* A part that was lost, or came twice, shows in the number of workers: then it is asked again, by
 * the interval. */
void fa_cli_reported(struct fa_cli *c, const struct fa_msg *m) {
        struct fa_report *r = &c->query.report;
        uint32_t n = FA_MIN(m->n_values, (uint32_t)FA_VALUES_MAX);

        if (!c->query.active || c->query.answered || m->what != c->query.what)
                return;
        if (n)
                memcpy(r->values, m->values, n * sizeof(r->values[0]));
        if (!take_workers(r, m))
                fa_report_deinit(r);
        else if (!m->more && (m->what != FA_QUERY_WORKERS || n <= FA_STAT_WORKERS ||
                              r->n_workers == r->values[FA_STAT_WORKERS]))
                c->query.answered = true;
}

int fa_cli_report(struct fa_cli *c, struct fa_report *ret) {
        if (!c->query.answered)
                return FAAS_E_AGAIN;
        *ret = c->query.report;
        c->query.report = (struct fa_report)FA_REPORT_NULL;
        c->query.active = c->query.answered = false;
        return 0;
}

/* ---- both ---- */

static bool query_open(const struct fa_cli *c) {
        return c->query.active && !c->query.answered;
}

static bool ask_open(const struct fa_cli *c) {
        return c->ask.active && !c->ask.answered;
}

bool fa_cli_asking(const struct fa_cli *c) {
        return ask_open(c) || query_open(c);
}

uint64_t fa_cli_ask_deadline(const struct fa_cli *c) {
        return c->welcome && c->interval_ns && fa_cli_asking(c) ? c->ask_ns + c->interval_ns
                                                                : FA_NEVER;
}

void fa_cli_ask_again(struct fa_cli *c, uint64_t now_ns) {
        c->ask_ns = now_ns;
        if (ask_open(c))
                send_ask(c, now_ns);
        if (query_open(c))
                send_query(c, now_ns);
}
