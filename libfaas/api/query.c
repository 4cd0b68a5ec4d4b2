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

int fa_client_ask(struct faas_client *c,
                  const char *what,
                  const struct faas_id *id,
                  bool cancel,
                  uint8_t *ret_state,
                  struct fa_cli_done *ret) {
        uint64_t until_ns = fa_now() + c->submit_timeout_ms * FA_NS_PER_MS;
        uint8_t state;
        int r;

        r = fa_cli_ask(c->cli, id, ret != NULL, cancel, c->now_ns);
        if (r)
                return fa_error(FAAS_E_TIMEOUT, "%s: the dispatcher is not there", what);
        for (;;) {
                int turn = fa_client_turn(c);
                if (turn)
                        return turn;
                r = fa_cli_answer(c->cli, &state, ret);
                if (r == 0)
                        break;
                if (c->now_ns >= until_ns)
                        return fa_error(FAAS_E_TIMEOUT, "%s: no answer in %u ms", what,
                                        c->submit_timeout_ms);
                fa_client_sleep(c, until_ns);
        }
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
