/*
 * chunk.h - the inputs and the results of NAME.map, as docs/PROTOCOL.md has them
 *
 * A chunk is the payload of a task: an array of bins, an input each.  Its result is an array with
 * as many elements: a bin, or [failure, code, text].  To the dispatcher both are bytes.
 */
#pragma once

#include <stdint.h>

#include <faas/map.h>

#include "wire/mp.h"

#define FA_MAP_SUFFIX ".map"
#define FA_MAP_SUFFIX_LEN (sizeof(FA_MAP_SUFFIX) - 1)

#define FA_CHUNK_HEAD 3u  /* bytes of the array's head, at most */
#define FA_CHUNK_BIN 5u   /* of the head of an input or result, at most */
#define FA_CHUNK_TEXT 10u /* of a failure without its text, at most */
#define FA_CHUNK_LEAST 4u /* of a failure with code 0 and no text */

static_assert(FAAS_CHUNK_MAX <= UINT16_MAX, "FA_CHUNK_HEAD is enough");
static_assert(FA_CHUNK_HEAD + FA_CHUNK_BIN + FAAS_INPUT_MAX <= FAAS_PAYLOAD_MAX, "one fits");

struct fa_chunk_result {
        uint8_t failure; /* enum faas_failure */
        int32_t code;
        struct fa_slice bytes; /* the result, or why it failed */
};

/* The next result of an open array: false if it is none, see r->what. */
bool fa_chunk_next(struct fa_mp_reader *r, struct fa_chunk_result *ret);

void fa_chunk_put(struct fa_mp_writer *w, const struct fa_chunk_result *result);
