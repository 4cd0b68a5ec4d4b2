/*
 * call.c - what a function can do with its call
 *
 * Called by user code, in the slot, between the start and the return of one function.  It touches
 * nothing but the call: no descriptor, no clock, no global.
 */
#include "exec/call.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>

#include "base/macros.h"
#include "base/text.h"

#define RESULT_MAX ((size_t)FA_PAYLOAD_MAX)
#define ROOM_MIN ((size_t)256) /* the smallest result that is allocated */

FA_PUBLIC const void *faas_call_payload(const struct faas_call *call, size_t *ret_len) {
        if (ret_len)
                *ret_len = call->payload_len;
        return call->payload;
}

FA_PUBLIC const struct faas_id *faas_call_id(const struct faas_call *call) {
        return &call->id;
}

static void *refuse(struct faas_call *call, size_t len, int why) {
        call->refused = true;
        call->refused_len = len;
        call->refused_errno = why;
        return NULL;
}

/* Doubling, for functions that grow their result bit by bit. */
static size_t room_for(size_t len, size_t cap) {
        size_t twice = FA_MIN(cap * 2, RESULT_MAX);
        size_t least = FA_MAX(len, ROOM_MIN);

        return FA_MAX(twice, least);
}

FA_PUBLIC void *faas_call_reserve(struct faas_call *call, size_t len) {
        if (len > RESULT_MAX)
                return refuse(call, len, EMSGSIZE);
        if (len > call->result_cap || !call->result) {
                size_t cap = room_for(len, call->result_cap);
                uint8_t *p = realloc(call->result, cap);

                if (!p)
                        return refuse(call, len, ENOMEM);
                call->result = p;
                call->result_cap = cap;
        }
        call->refused = false;
        call->result_len = len;
        return call->result;
}

FA_PUBLIC int faas_call_fail(struct faas_call *call, const char *fmt, ...) {
        va_list args;

        va_start(args, fmt);
        call->text_len = fa_text_vformat(call->text, sizeof(call->text), fmt, args);
        va_end(args);
        return 1;
}

enum faas_failure fa_call_outcome(struct faas_call *call, int code) {
        if (code != 0) {
                if (call->text_len == 0)
                        (void)faas_call_fail(call, "the function returned %d", code);
                return FAAS_FAILURE_FUNCTION;
        }
        if (!call->refused)
                return FAAS_FAILURE_NONE;
        if (call->refused_errno == ENOMEM)
                (void)faas_call_fail(call, "no memory for a result of %zu bytes",
                                     call->refused_len);
        else
                (void)faas_call_fail(call, "a result of %zu bytes is over the limit of %u",
                                     call->refused_len, FA_PAYLOAD_MAX);
        return FAAS_FAILURE_LIMIT;
}
