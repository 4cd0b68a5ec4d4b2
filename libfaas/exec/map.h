/* map.h - NAME.map: a function called for each input of a chunk */
#pragma once

#include "exec/call.h"

struct fa_map_room {
        struct faas_call item; /* what the function sees */
        uint8_t *input;        /* item.payload: aligned, and a NUL behind it */
        size_t cap;
};

/*
 * Calls fn for each input of call's payload; call's result is then that of a chunk.  *mine becomes
 * 0 in a process that fn forked: there nothing more is called.  As a function: 0, or 1 with a text.
 */
int fa_call_map(struct faas_call *call,
                faas_function_fn *fn,
                struct fa_map_room *room,
                const volatile uint8_t *mine);
