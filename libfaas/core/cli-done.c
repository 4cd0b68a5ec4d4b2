/*
 * cli-done.c - what the client machine knows of its tasks, and the results that are taken out of it
 *
 * The shell asks after its turns.  Nothing here sends anything.
 */
#include "core/cli-private.h"

bool fa_cli_full(const struct fa_cli *c) {
        return c->tasks.n >= FA_MIN(c->cfg.window_tasks, c->window_tasks);
}

uint64_t fa_cli_bytes(const struct fa_cli *c) {
        return c->bytes;
}

int fa_cli_accepted(struct fa_cli *c, const struct faas_id *id) {
        struct ctask *t = fa_cli_find(c, id);
        int r;

        if (!t)
                return FAAS_E_NOENT;
        if (t->state == CT_SENT)
                return FAAS_E_AGAIN;
        if (t->state != CT_REFUSED)
                return 0;
        r = t->refused;
        fa_cli_drop(c, t);
        return r;
}

int fa_cli_withdraw(struct fa_cli *c, const struct faas_id *id) {
        struct ctask *t = fa_cli_find(c, id);

        if (!t)
                return FAAS_E_NOENT;
        if (t->state != CT_REFUSED && (t->state != CT_SENT || t->left)) {
                t->alone = t->state == CT_SENT;
                return FAAS_E_UNKNOWN;
        }
        fa_cli_drop(c, t);
        return 0;
}

size_t fa_cli_unanswered(const struct fa_cli *c) {
        return c->n_sent + c->n_refused;
}

size_t fa_cli_refused(const struct fa_cli *c) {
        return c->n_refused;
}

/*
 * Only now the store may forget the result: who ends before it has taken it can ask for it again,
 * as another process may.  It goes out with the next turn; if it is lost, the result expires.
 */
static void say_collected(struct fa_cli *c, const struct faas_id *id) {
        struct fa_item *it;

        if (!c->welcome)
                return;
        it = fa_outbox_item(&c->outbox, fa_cli_lane(c), FA_MSG_COLLECTED, c->epoch, 0, 0, 0, NULL);
        if (it)
                it->id = *id;
}

static void take(struct fa_cli *c, struct ctask *t, struct fa_cli_done *ret) {
        say_collected(c, &t->node.key);
        ret->id = t->node.key;
        ret->strikes = t->strikes;
        ret->outcome = t->outcome;
        t->outcome = (struct fa_outcome)FA_OUTCOME_NULL;
        fa_cli_drop(c, t);
}

int fa_cli_take(struct fa_cli *c, const struct faas_id *id, struct fa_cli_done *ret) {
        struct fa_list *first = fa_list_first(&c->done);
        struct ctask *t;

        if (!id) {
                if (first)
                        take(c, fa_list_entry(first, struct ctask, link), ret);
                else
                        return c->n_sent + c->n_open ? FAAS_E_AGAIN : FAAS_E_NOENT;
                return 0;
        }
        t = fa_cli_find(c, id);
        if (!t)
                return FAAS_E_NOENT;
        if (t->state != CT_DONE)
                return FAAS_E_AGAIN;
        take(c, t, ret);
        return 0;
}

bool fa_cli_has_done(const struct fa_cli *c) {
        return !fa_list_empty(&c->done);
}

uint8_t fa_cli_peek(const struct fa_cli *c, const struct faas_id *id, struct fa_cli_done *ret_ref) {
        const struct ctask *t = fa_cli_find(c, id);

        if (!t || t->state == CT_REFUSED)
                return FA_STATE_NOT_FOUND;
        if (t->state != CT_DONE)
                return FAAS_QUEUED;
        if (ret_ref) {
                ret_ref->id = *id;
                ret_ref->strikes = t->strikes;
                fa_outcome_ref(&ret_ref->outcome, &t->outcome);
        }
        return t->outcome.status;
}

size_t fa_cli_open_count(const struct fa_cli *c) {
        return c->n_sent + c->n_open;
}
