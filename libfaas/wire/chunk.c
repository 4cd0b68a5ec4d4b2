/*
 * chunk.c - results of NAME.map: read without trust, and written
 */
#include "wire/chunk.h"

bool fa_chunk_next(struct fa_mp_reader *r, struct fa_chunk_result *ret) {
        struct fa_mp_value v;

        if (!fa_mp_next(r, &v))
                return false;
        if (fa_likely(v.kind == FA_MP_BIN)) {
                *ret = (struct fa_chunk_result){.bytes = v.s};
                return true;
        }
        if (v.kind != FA_MP_ARRAY) {
                r->what = "neither a result nor a failure";
                return false;
        }
        uint64_t failure = fa_mp_uint(r);
        int64_t code = fa_mp_int(r);
        struct fa_slice text = fa_mp_str(r);

        fa_mp_close(r);
        if (!r->what && (failure == 0 || failure >= _FAAS_FAILURE_N || code != (int32_t)code ||
                         text.len > FA_TEXT_MAX))
                r->what = "no failure";
        *ret = (struct fa_chunk_result){(uint8_t)failure, (int32_t)code, text};
        return !r->what;
}

void fa_chunk_put(struct fa_mp_writer *w, const struct fa_chunk_result *result) {
        if (fa_likely(!result->failure)) {
                fa_mp_put_bin(w, result->bytes.p, result->bytes.len);
                return;
        }
        fa_mp_put_array(w, 3);
        fa_mp_put_uint(w, result->failure);
        fa_mp_put_int(w, result->code);
        fa_mp_put_str(w, result->bytes.p, result->bytes.len);
}
