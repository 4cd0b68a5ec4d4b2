/* call.h - one call of a function: what stands behind the public struct faas_call */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <faas/function.h>

#include "base/limits.h"

struct faas_call {
        const uint8_t *payload; /* aligned to 16, a NUL behind it */
        size_t payload_len;
        struct faas_id id;
        uint8_t *result; /* room for result_cap bytes, kept from call to call */
        size_t result_len;
        size_t result_cap;
        bool refused; /* what faas_call_reserve() was last asked for was refused: */
        int refused_errno;
        size_t refused_len;
        size_t text_len;
        char text[FA_TEXT_MAX + 1];
};

/* Between two calls: no result, no text; the room stays. */
static inline void fa_call_reset(struct faas_call *call) {
        call->result_len = 0;
        call->refused = false;
        call->text_len = 0;
}

/* What became of it, from what its function returned; if it FAILED, .text says why. */
enum faas_failure fa_call_outcome(struct faas_call *call, int code);
