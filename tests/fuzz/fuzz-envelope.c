/*
 * libFuzzer target: any bytes as a message from any role.
 *
 * Input: one byte for the role, then frames, each with its length in 4 bytes, little-endian; a
 * length beyond the end takes what is left.  What decodes must encode, and then decode and encode
 * to the same bytes again.
 */
#undef NDEBUG
#include <assert.h>
#include <stdint.h>
#include <string.h>

#include <faas/error.h>

#include "base/macros.h"
#include "wire/msg.h"

#define FRAMES_MAX 512 /* more than any message has */

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t len);

static void cut_frames(struct fa_frames *ret, const uint8_t *p, size_t len) {
        while (len >= 4 && ret->n < FRAMES_MAX) {
                struct fa_blob *b = NULL;
                const size_t said =
                        p[0] | (size_t)p[1] << 8 | (size_t)p[2] << 16 | (size_t)p[3] << 24;
                const size_t n = FA_MIN(said, len - 4);

                assert(fa_blob_new(&b, p + 4, n) == 0);
                assert(fa_frames_push(ret, b) == 0);
                p += 4 + n;
                len -= 4 + n;
        }
}

static void check_same(const struct fa_frames *a, const struct fa_frames *b) {
        assert(a->n == b->n);
        for (size_t i = 0; i < a->n; i++) {
                const size_t len = fa_blob_len(a->v[i]);

                assert(len == fa_blob_len(b->v[i]));
                assert(memcmp(fa_blob_ptr(a->v[i]), fa_blob_ptr(b->v[i]), len) == 0);
        }
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t len) {
        FA_CLEANUP(fa_frames_deinit) struct fa_frames in = FA_FRAMES_NULL;
        FA_CLEANUP(fa_frames_deinit) struct fa_frames once = FA_FRAMES_NULL;
        FA_CLEANUP(fa_frames_deinit) struct fa_frames twice = FA_FRAMES_NULL;
        FA_CLEANUP(fa_msg_freep) struct fa_msg *m = NULL;
        FA_CLEANUP(fa_msg_freep) struct fa_msg *again = NULL;
        enum fa_role role;
        int r;

        if (len == 0)
                return 0;
        role = (enum fa_role)(p[0] % _FA_ROLE_N);
        cut_frames(&in, p + 1, len - 1);
        r = fa_msg_decode(&m, &in, role, NULL);
        assert(r == 0 || r == FAAS_E_PROTO || r == FAAS_E_VERSION);
        if (r)
                return 0;
        assert(fa_msg_encode(m, &once) == 0);
        assert(fa_msg_decode(&again, &once, role, NULL) == 0);
        assert(fa_msg_encode(again, &twice) == 0);
        check_same(&once, &twice);
        return 0;
}
