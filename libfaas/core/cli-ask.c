/*
 * cli-ask.c - what the client asks its dispatcher: one task's state, its numbers, its workers
 *
 * One question of each kind at a time.  A question is sent again after every WELCOME until it is
 * answered.
 */
#include <string.h>

#include "core/cli-private.h"

int fa_cli_query(struct fa_cli *c, uint8_t what, uint64_t now_ns) {
        (void)c;
        (void)what;
        (void)now_ns;
        return FAAS_E_UNAVAILABLE;
}

int fa_cli_report(struct fa_cli *c, struct fa_report *ret) {
        (void)c;
        (void)ret;
        return FAAS_E_AGAIN;
}

static void send_ask(struct fa_cli *c, uint64_t now_ns) {
        struct fa_msg *m;
        struct fa_item *it;

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
        fa_cli_expect(c, now_ns);
        fa_outcome_deinit(&c->ask.done.outcome);
        c->ask.active = true;
        c->ask.answered = false;
        c->ask.with_result = with_result;
        c->ask.done.id = *id;
        if (!c->welcome)
                return cancel ? FAAS_E_UNAVAILABLE : 0; /* it goes out with the next WELCOME */
        if (cancel)
                fa_cli_send_id(c, FA_MSG_CANCEL, id, now_ns);
        send_ask(c, now_ns);
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

void fa_cli_ask_again(struct fa_cli *c, uint64_t now_ns) {
        if (c->ask.active && !c->ask.answered)
                send_ask(c, now_ns);
}

bool fa_cli_asking(const struct fa_cli *c) {
        return c->ask.active && !c->ask.answered;
}
