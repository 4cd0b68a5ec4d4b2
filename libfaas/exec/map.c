/*
 * map.c - NAME.map: a function called for each input of a chunk
 *
 * To the rest of the slot this is one call, with one deadline and one result.  The function sees
 * an ordinary call, with the id of the chunk.
 */
#include "exec/map.h"

#include <stdlib.h>
#include <string.h>

#include "base/macros.h"
#include "wire/chunk.h"

#define RESULT_MAX ((size_t)FA_PAYLOAD_MAX)
#define INPUT_MIN ((size_t)256)

/* An input lies anywhere in the chunk; functions want it aligned, with a NUL behind it. */
static bool set_input(struct fa_map_room *m, struct fa_slice s) {
        if (s.len >= m->cap) {
                size_t cap = FA_MAX((s.len + 64u) & ~(size_t)63, INPUT_MIN);
                uint8_t *p = aligned_alloc(64, cap);

                if (!p)
                        return false;
                free(m->input);
                m->input = p;
                m->cap = cap;
        }
        if (s.len)
                memcpy(m->input, s.p, s.len);
        m->input[s.len] = 0;
        m->item.payload = m->input;
        m->item.payload_len = s.len;
        return true;
}

/*
 * Adds a result to the len bytes that there are, for which rest more must have room at least: 0,
 * or 1 with a text.
 */
static int add(struct faas_call *call, size_t *len, struct fa_chunk_result *result, size_t rest) {
        size_t head = result->failure ? FA_CHUNK_TEXT : FA_CHUNK_BIN;

        if (*len + head + result->bytes.len + rest * FA_CHUNK_LEAST > RESULT_MAX)
                *result = (struct fa_chunk_result){.failure = FAAS_FAILURE_LIMIT};
        size_t need = *len + FA_CHUNK_TEXT + result->bytes.len;
        need = FA_MIN(need, RESULT_MAX);
        if (call->result_cap < need) {
                call->result_len = *len;
                if (!faas_call_reserve(call, need))
                        return faas_call_fail(call, "no memory for the results of a chunk");
        }
        struct fa_mp_writer w = {.p = call->result + *len, .end = call->result + call->result_cap};
        fa_chunk_put(&w, result);
        *len = (size_t)(w.p - call->result);
        return 0;
}

int fa_call_map(struct faas_call *call,
                faas_function_fn *fn,
                struct fa_map_room *m,
                const volatile uint8_t *mine) {
        struct fa_mp_reader r;
        size_t len = 0;

        fa_mp_read(&r, call->payload, call->payload_len);
        uint32_t n = fa_mp_open(&r);
        if (r.what || n > FAAS_CHUNK_MAX)
                return faas_call_fail(call, "the payload is no array of at most %u inputs",
                                      FAAS_CHUNK_MAX);
        if (!faas_call_reserve(call, FA_CHUNK_HEAD))
                return faas_call_fail(call, "no memory for the results of a chunk");
        struct fa_mp_writer head = {.p = call->result, .end = call->result + call->result_cap};
        fa_mp_put_array(&head, n);
        len = (size_t)(head.p - call->result);

        m->item.id = call->id;
        for (uint32_t i = 0; i < n; i++) {
                struct fa_slice input = fa_mp_bin(&r);
                struct fa_chunk_result result = {0};

                if (r.what)
                        return faas_call_fail(call, "input %u of the chunk is no bin: %s", i,
                                              r.what);
                fa_call_reset(&m->item);
                if (!set_input(m, input))
                        return faas_call_fail(call, "no memory for an input of %zu bytes",
                                              input.len);
                int code = fn(&m->item);
                if (!*mine)
                        return 0;
                result.failure = (uint8_t)fa_call_outcome(&m->item, code);
                result.code = result.failure == FAAS_FAILURE_FUNCTION ? code : 0;
                result.bytes =
                        result.failure
                                ? (struct fa_slice){(uint8_t *)m->item.text, m->item.text_len}
                                : (struct fa_slice){m->item.result, m->item.result_len};
                if (add(call, &len, &result, n - 1 - i))
                        return 1;
        }
        fa_mp_close(&r);
        if (!fa_mp_done(&r))
                return faas_call_fail(call, "bytes behind the %u inputs of the chunk", n);
        call->result_len = len;
        return 0;
}
