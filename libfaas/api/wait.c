/*
 * wait.c - faas_wait(), faas_wait_any(), and the result that they give
 *
 * A result is not copied: its bytes are the blobs that came out of the slot's socket, and the
 * struct holds one reference each.
 */
#include <errno.h>
#include <string.h>

#include "api/client-private.h"
#include "base/clock.h"
#include "base/error.h"

#define BETWEEN_TURNS_NS                                                                           \
        (200 * FA_NS_PER_US) /* the slots wait for new work no longer than this                    \
                              */

/* struct faas_result keeps its references in its own members: filling it cannot fail. */
static void keep(uint64_t *place, struct fa_blob *b) {
        static_assert(sizeof(void *) <= sizeof(*place), "a pointer fits");
        memcpy(place, &b, sizeof(void *));
}

static struct fa_blob *kept(const uint64_t *place) {
        struct fa_blob *b;

        memcpy(&b, place, sizeof(void *));
        return b;
}

FA_PUBLIC void faas_result_clear(struct faas_result *r) {
        static const struct faas_result init = FAAS_RESULT_INIT;

        if (!r)
                return;
        fa_blob_unref(r->owner_);
        fa_blob_unref(kept(&r->reserved_[0]));
        fa_blob_unref(kept(&r->reserved_[1]));
        *r = init;
}

void fa_result_fill(struct faas_result *ret, struct fa_cli_done *done) {
        struct fa_outcome *o = &done->outcome;

        faas_result_clear(ret);
        ret->id = done->id;
        ret->status = (enum faas_status)o->status;
        ret->failure = (enum faas_failure)o->failure;
        ret->code = o->code;
        ret->strikes = done->strikes;
        ret->payload_len = fa_blob_len(o->payload);
        ret->payload = fa_blob_ptr(o->payload);
        ret->text_len = fa_blob_len(o->text);
        ret->text = (const char *)fa_blob_ptr(o->text);
        ret->log_len = fa_blob_len(o->log);
        ret->log = (const char *)fa_blob_ptr(o->log);
        ret->owner_ = o->payload;
        keep(&ret->reserved_[0], o->text);
        keep(&ret->reserved_[1], o->log);
        *o = (struct fa_outcome)FA_OUTCOME_NULL;
}

/* One that was submitted without an answer in time can still be refused. */
static bool refused_since(struct faas_client *c, const struct faas_id *id) {
        if (!id || fa_cli_peek(c->cli, id, NULL) != FA_STATE_NOT_FOUND)
                return false;
        (void)fa_cli_accepted(c->cli, id); /* forgets it */
        return true;
}

/*
 * Takes turns until the task named (NULL: any) can be taken, or the time is over. 0;
 * FAAS_E_AGAIN; FAAS_E_NOENT as fa_cli_take(); FAAS_E_STALE it was refused after all;
 * FAAS_E_VERSION, with a text; < 0.
 */
static int take(struct faas_client *c,
                const char *what,
                const struct faas_id *id,
                int timeout_ms,
                struct fa_cli_done *ret) {
        uint64_t until_ns = fa_client_until(timeout_ms);
        int r;

        for (;;) {
                int turn = fa_client_turn(c);
                if (turn == 0)
                        (void)fa_client_deliver(c);
                r = fa_cli_take(c->cli, id, ret);
                if (r != FAAS_E_AGAIN)
                        return r;
                if (refused_since(c, id))
                        return FAAS_E_STALE;
                if (turn == 0)
                        turn = fa_client_hopeless(c, what);
                if (turn)
                        return turn;
                if (c->now_ns >= until_ns)
                        return FAAS_E_AGAIN;
                fa_client_sleep(c, until_ns);
        }
}

/* It is not one of mine, or not any more. */
static int not_mine(struct faas_client *c, const struct faas_id *id, bool was_mine) {
        static const char what[] = "faas_wait";
        uint8_t state;
        int r;

        if (was_mine)
                return fa_error(FAAS_E_GONE, "%s: the callback had this result", what);
        r = fa_client_ask(c, what, id, false, &state, NULL);
        return r ? r : fa_error(FAAS_E_NOENT, "%s: this client did not submit the task", what);
}

FA_PUBLIC int faas_wait(struct faas_client *c,
                        const struct faas_id *id,
                        int timeout_ms,
                        struct faas_result *ret) {
        struct fa_cli_done done;
        struct faas_id copy;
        bool mine;
        int r = fa_client_enter_alone(c, "faas_wait");

        if (r)
                return r;
        if (!id || !ret)
                return fa_error(-EINVAL, "faas_wait: id and ret must not be NULL");
        copy = *id; /* it may be ret->id */
        mine = fa_cli_peek(c->cli, &copy, NULL) != FA_STATE_NOT_FOUND;
        r = mine ? take(c, "faas_wait", &copy, timeout_ms, &done) : FAAS_E_NOENT;
        if (r == 0)
                fa_result_fill(ret, &done);
        else if (r == FAAS_E_AGAIN)
                r = fa_error(r, "faas_wait: not done yet");
        else if (r == FAAS_E_NOENT)
                r = not_mine(c, &copy, mine);
        else if (r == FAAS_E_STALE)
                r = fa_error(FAAS_E_NOENT, "faas_wait: the dispatcher has refused the task");
        fa_client_leave(c);
        return r;
}

FA_PUBLIC int faas_wait_any(struct faas_client *c, int timeout_ms, struct faas_result *ret) {
        struct fa_cli_done done;
        int r = fa_client_enter_alone(c, "faas_wait_any");

        if (r)
                return r;
        if (!ret)
                return fa_error(-EINVAL, "faas_wait_any: ret must not be NULL");
        /* While results are there the slots must not run dry, but a turn for each is too much. */
        if (c->on_done || !fa_cli_has_done(c->cli) || fa_now() - c->now_ns > BETWEEN_TURNS_NS)
                r = take(c, "faas_wait_any", NULL, timeout_ms, &done);
        else
                r = fa_cli_take(c->cli, NULL, &done);
        if (r == 0)
                fa_result_fill(ret, &done);
        else if (r == FAAS_E_AGAIN)
                r = fa_error(r, "faas_wait_any: none is done yet");
        else if (r == FAAS_E_NOENT)
                r = fa_error(r, "faas_wait_any: no task is open");
        fa_client_leave(c);
        return r;
}
