/*
 * cli.c - the client machine
 *
 * A task of mine is SENT until its ACCEPTED comes, OPEN until its DONE comes, DONE until it is
 * taken.  After every WELCOME all that is SENT is sent again and all that is OPEN is asked for; the
 * dispatcher's beats carry how many it thinks I wait for, so a lost message is found out.
 */
#include "core/cli.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/cli-private.h"

#define REFUSED_NS FA_NS_PER_S

int fa_cli_new(struct fa_cli **ret, const struct fa_cli_cfg *cfg) {
        struct fa_cli *c = calloc(1, sizeof(*c));

        if (!c)
                return -ENOMEM;
        c->cfg = *cfg;
        if (!c->cfg.lost_ns)
                c->cfg.lost_ns = FA_NS_PER_S;
        fa_map_init(&c->tasks, cfg->seed, sizeof(struct ctask));
        fa_list_init(&c->unsaid);
        fa_list_init(&c->sent);
        c->window_tasks = UINT32_MAX;
        c->window_bytes = UINT64_MAX;
        fa_list_init(&c->open);
        fa_list_init(&c->done);
        fa_list_init(&c->refused);
        fa_outbox_init(&c->outbox);
        c->ask_missing_ns = FA_NEVER;
        *ret = c;
        return 0;
}

static void ctask_deinit(struct ctask *t) {
        fa_spec_unref(t->spec);
        fa_outcome_deinit(&t->outcome);
}

struct fa_cli *fa_cli_free(struct fa_cli *c) {
        size_t it = 0;

        if (!c)
                return NULL;
        for (struct ctask *t; (t = fa_map_next(&c->tasks, &it));)
                ctask_deinit(t);
        fa_map_deinit(&c->tasks);
        fa_outcome_deinit(&c->ask.done.outcome);
        fa_report_deinit(&c->query.report);
        fa_outbox_deinit(&c->outbox);
        free(c);
        return NULL;
}

struct ctask *fa_cli_find(const struct fa_cli *c, const struct faas_id *id) {
        return fa_map_find(&c->tasks, id);
}

static struct fa_item *
item(struct fa_cli *c, enum fa_msg_type type, size_t payload, uint64_t now_ns) {
        c->sent_ns = now_ns;
        return fa_outbox_item(&c->outbox, fa_cli_lane(c), type, c->epoch, 0, payload, 0, NULL);
}

/* Without memory it is lost on the way, and the beats tell. */
static void send_submit(struct fa_cli *c, struct ctask *t, uint64_t now_ns) {
        struct fa_item *it = item(c, FA_MSG_SUBMIT, fa_blob_len(fa_spec_payload(t->spec)), now_ns);

        c->n_submits++;
        t->left = true;
        if (!t->said) {
                t->said = true;
                c->n_said++;
                c->said_bytes += t->size;
        }
        if (!it)
                return;
        it->id = t->node.key;
        fa_spec_fill(t->spec, it);
}

void fa_cli_send_id(struct fa_cli *c,
                    enum fa_msg_type type,
                    const struct faas_id *id,
                    uint64_t now_ns) {
        struct fa_item *it = item(c, type, 0, now_ns);

        if (it)
                it->id = *id;
}

static bool expects(const struct fa_cli *c) {
        return c->n_sent || c->n_open || fa_cli_asking(c);
}

/* Silence counts from now on: while nothing was expected nobody spoke. */
void fa_cli_expect(struct fa_cli *c, uint64_t now_ns) {
        if (!expects(c))
                c->heard_ns = now_ns;
}

/*
 * Says what was not said yet as far as the dispatcher's window goes.  The window of this client is
 * within it, so this holds something back only when the dispatcher is another one than before, with
 * a smaller window.
 */
static void say(struct fa_cli *c, uint64_t now_ns) {
        struct fa_list *first;

        while (c->welcome && (first = fa_list_first(&c->unsaid))) {
                struct ctask *t = fa_list_entry(first, struct ctask, link);
                if (c->n_said &&
                    (c->n_said >= c->window_tasks || c->said_bytes + t->size > c->window_bytes))
                        return;
                fa_list_remove(first);
                fa_list_push_back(&c->sent, first);
                send_submit(c, t, now_ns);
        }
}

/* Its dispatcher has nothing to do with it any more, or is to be told anew. */
static void unsay(struct fa_cli *c, struct ctask *t) {
        if (!t->said)
                return;
        t->said = false;
        c->n_said--;
        c->said_bytes -= t->size;
}

/* One of mine again: harmless if it is the same.  When it is done nobody can tell any more. */
static int submit_again(struct ctask *t, const struct fa_item *it) {
        struct fa_spec *spec = NULL;
        bool same;

        t->alone = false;
        if (!t->spec)
                return 0;
        if (fa_spec_new(&spec, it))
                return -ENOMEM;
        same = fa_spec_equal(spec, t->spec);
        fa_spec_unref(spec);
        return same ? 0 : FAAS_E_EXISTS;
}

int fa_cli_submit(struct fa_cli *c, const struct fa_item *it, uint64_t now_ns) {
        const bool full = fa_cli_full(c) ||
                          (c->tasks.n && c->bytes + fa_blob_len(it->payload) >
                                                 FA_MIN(c->cfg.window_bytes, c->window_bytes));
        bool added = false;
        struct ctask *t =
                full ? fa_cli_find(c, &it->id) : fa_map_find_or_add(&c->tasks, &it->id, &added);

        if (t && !added)
                return submit_again(t, it);
        if (!t)
                return full ? FAAS_E_AGAIN : -ENOMEM;
        if (fa_spec_new(&t->spec, it)) {
                fa_map_remove(&c->tasks, &t->node);
                return -ENOMEM;
        }
        fa_cli_expect(c, now_ns);
        t->size = (uint32_t)fa_blob_len(it->payload);
        c->bytes += t->size;
        c->n_sent++;
        fa_list_push_back(&c->unsaid, &t->link);
        say(c, now_ns);
        return 0;
}

static void leave(struct fa_cli *c, struct ctask *t) {
        fa_list_remove(&t->link);
        unsay(c, t);
        c->n_sent -= t->state == CT_SENT;
        c->n_open -= t->state == CT_OPEN;
        c->n_refused -= t->state == CT_REFUSED;
}

void fa_cli_drop(struct fa_cli *c, struct ctask *t) {
        leave(c, t);
        c->bytes -= t->size;
        ctask_deinit(t);
        fa_map_remove(&c->tasks, &t->node);
}

static void end(struct fa_cli *c,
                struct ctask *t,
                const struct fa_outcome *o,
                uint32_t strikes,
                uint64_t now_ns) {
        leave(c, t);
        t->done_ns = now_ns;
        t->state = CT_DONE;
        t->spec = fa_spec_unref(t->spec);
        fa_outcome_ref(&t->outcome, o);
        t->strikes = strikes;
        c->bytes -= t->size;
        t->size = (uint32_t)(fa_blob_len(o->payload) + fa_blob_len(o->text) + fa_blob_len(o->log));
        c->bytes += t->size;
        fa_list_push_back(&c->done, &t->link);
}

static void on_accepted(struct fa_cli *c, const struct fa_item *it, uint64_t now_ns) {
        struct ctask *t = fa_cli_find(c, &it->id);

        if (!t || t->state != CT_SENT)
                return;
        leave(c, t);
        if (it->state) {
                t->state = CT_REFUSED;
                t->refused = it->state;
                t->done_ns = now_ns;
                c->n_refused++;
                fa_list_push_back(&c->refused, &t->link);
                return;
        }
        /* Acknowledged: it is never submitted again, only asked for. */
        t->state = CT_OPEN;
        t->said = true;
        c->n_said++;
        c->said_bytes += t->size;
        c->n_open++;
        fa_list_push_back(&c->open, &t->link);
}

/* Nobody knows a task that was acknowledged: after a restart of the store it may come back. */
static void on_missing(struct fa_cli *c, struct ctask *t, uint8_t state, uint64_t now_ns) {
        struct fa_outcome o;

        if (t->state != CT_OPEN)
                return;
        if (!t->missing_ns)
                t->missing_ns = now_ns;
        if (state == FA_STATE_NOT_FOUND && now_ns - t->missing_ns < c->cfg.lost_ns &&
            fa_rule(LOST_LATER)) {
                c->ask_missing_ns = FA_MIN(c->ask_missing_ns, now_ns + c->cfg.lost_ns);
                return;
        }
        fa_outcome_fail(&o, FAAS_FAILURE_LOST, 0,
                        state == FA_STATE_GONE ? "its result expired, or was collected by another"
                                               : "the dispatcher does not know this task any more");
        end(c, t, &o, 0, now_ns);
        fa_outcome_deinit(&o);
}

static void on_done(struct fa_cli *c, const struct fa_item *it, uint64_t now_ns) {
        struct ctask *t = fa_cli_find(c, &it->id);
        const struct fa_outcome o = {
                .status = it->state,
                .failure = it->failure,
                .code = it->code,
                .payload = it->payload,
                .text = it->text,
                .log = it->log,
        };

        fa_cli_answered(c, it, &o);
        if (!t || t->state == CT_DONE || t->state == CT_REFUSED)
                return;
        if (fa_state_final(it->state)) {
                end(c, t, &o, it->strikes, now_ns);
        } else if (it->state == FA_STATE_NOT_FOUND || it->state == FA_STATE_GONE) {
                on_missing(c, t, it->state, now_ns);
        } else {
                t->missing_ns = 0;
        }
}

/* Says everything anew: to a dispatcher that may know nothing of it. */
static void resync(struct fa_cli *c, uint64_t now_ns) {
        struct fa_list *it;

        while (fa_rule(RESUBMIT) && !fa_list_empty(&c->sent)) { /* in their order */
                it = c->sent.prev;
                fa_list_remove(it);
                fa_list_push_front(&c->unsaid, it);
                unsay(c, fa_list_entry(it, struct ctask, link));
        }
        say(c, now_ns);
        if (fa_rule(WAIT_ALL))
                fa_list_for_each (it, &c->open)
                        fa_cli_send_id(c, FA_MSG_WAIT,
                                       &fa_list_entry(it, struct ctask, link)->node.key, now_ns);
}

static void windows(struct fa_cli *c, const struct fa_msg *m) {
        c->window_tasks = m->window_tasks ? m->window_tasks : UINT32_MAX;
        c->window_bytes = m->window_bytes ? m->window_bytes : UINT64_MAX;
}

static void on_welcome(struct fa_cli *c, const struct fa_msg *m, uint64_t now_ns) {
        c->welcome = true;
        c->leave = false;
        c->refusal = 0;
        c->epoch = m->from;
        c->interval_ns = m->interval_ms * FA_NS_PER_MS;
        c->liveness = m->liveness;
        windows(c, m);
        resync(c, now_ns);
        fa_cli_ask_again(c, now_ns);
}

static void on_msg(struct fa_cli *c, const struct fa_msg *m, uint64_t now_ns) {
        if (m->type == FA_MSG_WELCOME && m->epoch == 0) {
                fa_cli_hello(c, now_ns); /* it does not know me */
                return;
        }
        c->heard_ns = now_ns;
        c->lanes[c->at].up = true;
        if (m->type == FA_MSG_WELCOME)
                on_welcome(c, m, now_ns);
        else if (m->type == FA_MSG_DISCONNECT)
                fa_cli_disconnected(c, m, now_ns);
        else if (m->type == FA_MSG_BEAT && c->submits_at_beat == c->n_submits &&
                 m->held != c->n_said && fa_rule(BEAT_COUNT))
                resync(c, now_ns); /* something was lost on the way */
        if (m->type == FA_MSG_REPORT)
                fa_cli_reported(c, m);
        if (m->type == FA_MSG_ACCEPTED)
                windows(c, m);
        for (uint32_t i = 0; i < m->n_items; i++) {
                if (m->type == FA_MSG_ACCEPTED)
                        on_accepted(c, &m->items[i], now_ns);
                else if (m->type == FA_MSG_DONE)
                        on_done(c, &m->items[i], now_ns);
        }
        say(c, now_ns);
}

int fa_cli_input(struct fa_cli *c, const struct fa_event *ev, uint64_t now_ns) {
        if (ev->kind == FA_EV_MSG && ev->peer == fa_cli_lane(c)->to)
                on_msg(c, ev->msg, now_ns);
        else if (ev->kind == FA_EV_PEER_UP)
                fa_cli_up(c, ev->peer, now_ns);
        else if (ev->kind == FA_EV_PEER_DOWN)
                fa_cli_down(c, ev->peer, now_ns);
        return 0;
}

/* When the oldest result that nobody took is forgotten. */
static uint64_t expiry(const struct fa_cli *c) {
        struct fa_list *first = fa_list_first(&c->done);

        if (!first || !c->cfg.done_ttl_ns)
                return FA_NEVER;
        return fa_list_entry(first, struct ctask, link)->done_ns + c->cfg.done_ttl_ns;
}

/*
 * A refusal is for its submit to hear.  If that one has returned with UNKNOWN, whoever waits for
 * the task now hears of it within a moment; after that nobody will, and it must not fill the
 * window.
 */
static uint64_t refused_expiry(const struct fa_cli *c) {
        uint64_t at = FA_NEVER;
        struct fa_list *it;

        fa_list_for_each (it, &c->refused) {
                const struct ctask *t = fa_list_entry(it, struct ctask, link);
                if (t->alone)
                        at = FA_MIN(at, t->done_ns + REFUSED_NS);
        }
        return at;
}

static void forget_refused(struct fa_cli *c, uint64_t now_ns) {
        struct fa_list *it;
        struct fa_list *tmp;

        fa_list_for_each_safe (it, tmp, &c->refused) {
                struct ctask *t = fa_list_entry(it, struct ctask, link);
                if (t->alone && now_ns >= t->done_ns + REFUSED_NS)
                        fa_cli_drop(c, t);
        }
}

static void beat(struct fa_cli *c, uint64_t now_ns) {
        struct fa_msg *m = fa_outbox_msg(&c->outbox, fa_cli_lane(c), FA_MSG_BEAT);

        c->sent_ns = now_ns;
        c->submits_at_beat = c->n_submits;
        if (!m)
                return;
        m->epoch = c->epoch;
        m->held = (uint32_t)(c->n_sent + c->n_open);
}

void fa_cli_tick(struct fa_cli *c, uint64_t now_ns) {
        struct fa_list *it;

        while (expiry(c) <= now_ns)
                fa_cli_drop(c, fa_list_entry(fa_list_first(&c->done), struct ctask, link));
        forget_refused(c, now_ns);
        if (now_ns >= c->ask_missing_ns) {
                c->ask_missing_ns = FA_NEVER;
                fa_list_for_each (it, &c->open) {
                        const struct ctask *t = fa_list_entry(it, struct ctask, link);
                        if (t->missing_ns)
                                fa_cli_send_id(c, FA_MSG_WAIT, &t->node.key, now_ns);
                }
        }
        fa_cli_lane_tick(c, now_ns);
        if (fa_cli_ask_deadline(c) <= now_ns)
                fa_cli_ask_again(c, now_ns);
        if (!c->interval_ns || !expects(c) || !c->n_lanes)
                return;
        if (now_ns >= c->heard_ns + c->interval_ns * c->liveness)
                fa_cli_silent(c, now_ns); /* another one may have taken over */
        else if (now_ns < c->sent_ns + c->interval_ns)
                return;
        else if (!c->welcome)
                fa_cli_hello(c, now_ns);
        else
                beat(c, now_ns);
}

uint64_t fa_cli_deadline(const struct fa_cli *c) {
        uint64_t at = FA_MIN(FA_MIN(c->ask_missing_ns, expiry(c)),
                             FA_MIN(fa_cli_lane_deadline(c), fa_cli_ask_deadline(c)));

        at = FA_MIN(at, refused_expiry(c));

        if (!c->interval_ns || !expects(c))
                return at;
        return FA_MIN(at, FA_MIN(c->sent_ns + c->interval_ns,
                                 c->heard_ns + c->interval_ns * c->liveness));
}

struct fa_outbox *fa_cli_outbox(struct fa_cli *c) {
        return &c->outbox;
}
