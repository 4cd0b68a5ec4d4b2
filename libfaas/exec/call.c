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

FA_PUBLIC const void *faas_call_payload(const struct faas_call *call, size_t *ret_len) {
        if (ret_len)
                *ret_len = call->payload_len;
        return call->payload;
}

FA_PUBLIC const struct faas_id *faas_call_id(const struct faas_call *call) {
        return &call->id;
}

FA_PUBLIC void *faas_call_reserve(struct faas_call *call, size_t len) {
        if (len > FA_PAYLOAD_MAX) {
                call->refused = len;
                call->refused_errno = EMSGSIZE;
                return NULL;
        }
        if (len > call->result_cap || !call->result) {
                /* Doubling, for functions that grow their result bit by bit. */
                size_t cap = FA_MIN(FA_MAX(FA_MAX(len, call->result_cap * 2), 256), FA_PAYLOAD_MAX);
                uint8_t *p = realloc(call->result, cap);

                if (!p) {
                        call->refused = len ? len : 1;
                        call->refused_errno = ENOMEM;
                        return NULL;
                }
                call->result = p;
                call->result_cap = cap;
        }
        call->refused = 0;
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
