/*
 * query.c - faas_status(), faas_result(), faas_cancel(): questions that the dispatcher answers
 *
 * What this client knows itself is not asked for.  In local mode the answer comes within the turn
 * of the question.
 */
#include <errno.h>

#include "api/client-private.h"
#include "base/clock.h"
#include "base/error.h"

/* Turns until the question is answered: 0; else as fa_client_await(); < 0. */
static int wait_for_answer(struct faas_client *c,
                           const char *what,
                           const struct fa_patience *p,
                           uint8_t *ret_state,
                           struct fa_cli_done *ret) {
        int r;

        for (;;) {
                r = fa_client_turn(c);
                if (r == 0 && fa_cli_answer(c->cli, ret_state, ret) == 0)
                        return 0;
                if (r == 0)
                        r = fa_client_await(c, what, p);
                if (r)
                        return r;
        }
}

/*
 * Turns until a dispatcher is there that can be told to cancel.  A question that cancels nothing
 * makes the machine look for one: a CANCEL that waited could strike long after the caller gave up.
 */
static int find_dispatcher(struct faas_client *c,
                           const char *what,
                           const struct faas_id *id,
                           const struct fa_patience *p) {
        int r = fa_cli_ready(c->cli) ? 0 : fa_cli_ask(c->cli, id, false, false, c->now_ns);

        while (r == 0 && !fa_cli_ready(c->cli)) {
                r = fa_client_turn(c);
                if (r == 0 && !fa_cli_ready(c->cli))
                        r = fa_client_await(c, what, p);
        }
        return r;
}

int fa_client_ask(struct faas_client *c,
                  const char *what,
                  const struct faas_id *id,
                  bool cancel,
                  uint8_t *ret_state,
                  struct fa_cli_done *ret) {
        const struct fa_patience p = fa_client_patience(c);
        uint8_t state = FAAS_QUEUED;
        bool again;
        int r;

        do {
                r = cancel ? find_dispatcher(c, what, id, &p) : 0;
                if (r == 0)
                        r = fa_cli_ask(c->cli, id, ret != NULL, cancel, c->now_ns);
                if (r == 0)
                        r = wait_for_answer(c, what, &p, &state, ret);
                if (r)
                        return r;
                /* CANCEL got lost, or this is the answer to the question before. */
                again = cancel && state < _FAAS_STATUS_N && !fa_state_final(state);
        } while (again && c->now_ns < p.until_ns);
        if (again)
                return fa_error(FAAS_E_TIMEOUT, "%s: no answer within %u ms", what,
                                c->submit_timeout_ms);
        if (state == FA_STATE_GONE)
                return fa_error(FAAS_E_GONE, "%s: the result was collected, or has expired", what);
        if (state >= _FAAS_STATUS_N)
                return fa_error(FAAS_E_NOENT, "%s: no such task", what);
        *ret_state = state;
        return 0;
}

FA_PUBLIC int
faas_status(struct faas_client *c, const struct faas_id *id, enum faas_status *ret_status) {
        int r = fa_client_enter(c, "faas_status");
        uint8_t state;

        if (r)
                return r;
        if (!id || !ret_status)
                return fa_error(-EINVAL, "faas_status: id and ret_status must not be NULL");
        state = fa_cli_peek(c->cli, id, NULL);
        if (!fa_state_final(state))
                r = fa_client_ask(c, "faas_status", id, false, &state, NULL);
        if (r == 0)
                *ret_status = (enum faas_status)state;
        fa_client_leave(c);
        return r;
}

FA_PUBLIC int
faas_result(struct faas_client *c, const struct faas_id *id, struct faas_result *ret) {
        struct fa_cli_done done = {.outcome = FA_OUTCOME_NULL};
        int r = fa_client_enter(c, "faas_result");
        uint8_t state;

        if (r)
                return r;
        if (!id || !ret)
                return fa_error(-EINVAL, "faas_result: id and ret must not be NULL");
        state = fa_cli_peek(c->cli, id, &done);
        if (!fa_state_final(state)) {
                r = fa_client_ask(c, "faas_result", id, false, &state, &done);
                if (r == 0 && !fa_state_final(state))
                        r = fa_error(FAAS_E_AGAIN, "faas_result: the task is not done yet");
        }
        if (r == 0)
                fa_result_fill(ret, &done);
        fa_outcome_deinit(&done.outcome);
        fa_client_leave(c);
        return r;
}

FA_PUBLIC int faas_cancel(struct faas_client *c, const struct faas_id *id) {
        int r = fa_client_enter(c, "faas_cancel");
        uint8_t state;

        if (r)
                return r;
        if (!id)
                return fa_error(-EINVAL, "faas_cancel: id must not be NULL");
        state = fa_cli_peek(c->cli, id, NULL);
        if (!fa_state_final(state)) {
                r = fa_client_ask(c, "faas_cancel", id, true, &state, NULL);
                if (r == 0 && state != FAAS_CANCELLED)
                        r = fa_error(FAAS_E_EXISTS, "faas_cancel: the task ended before");
        } else {
                r = fa_error(FAAS_E_EXISTS, "faas_cancel: the task ended before");
        }
        fa_client_leave(c);
        return r;
}
