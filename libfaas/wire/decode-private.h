/*
 * decode-private.h - what the files that decode a message share: decode.c reads the envelope,
 * decode-payload.c the frames behind it
 */
#pragma once

#include <stdint.h>

#include <faas/error.h>

#include "wire/mp.h"
#include "wire/msg.h"
#include "wire/table.h"

struct decoder {
        struct fa_mp_reader r;
        struct fa_msg *m;
        const struct fa_desc *d;
        const char *what;      /* what was wrong, if not .r.what */
        const char *field;     /* where: the name of a field or part */
        int item;              /* where: number of the item, or -1 */
        struct fa_slice named; /* a name that is valid: most items of a batch have the same */
        /* Where the payload of each item is; the frames are looked at when all are known. */
        struct place {
                uint32_t kind, len;
        } places[FA_BATCH_MAX];
};

static inline int fa_decode_bad(struct decoder *c, const char *what) {
        c->what = what;
        return FAAS_E_PROTO;
}

/* Gives each item its payload, by .places. 0, FAAS_E_PROTO or -ENOMEM. */
int fa_decode_payloads(struct decoder *c, const struct fa_frames *frames);
