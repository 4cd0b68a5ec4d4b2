/* outcome.h - how a task ended: shared, counted, immutable once made */
#pragma once

#include <stdint.h>

#include <faas/task.h>

#include "base/blob.h"
#include "base/macros.h"

/*
 * Held by value; the blobs carry one reference each.  Only a failure has text and log.
 */
struct fa_outcome {
        uint8_t status;  /* enum faas_status: FAAS_COMPLETED, _FAILED or _CANCELLED */
        uint8_t failure; /* enum faas_failure */
        int32_t code;
        struct fa_blob *payload;
        struct fa_blob *text; /* at most FA_TEXT_MAX bytes */
        struct fa_blob *log;  /* at most FA_LOG_MAX bytes */
};

#define FA_OUTCOME_NULL                                                                            \
        { 0, 0, 0, NULL, NULL, NULL }

static inline void fa_outcome_ref(struct fa_outcome *dst, const struct fa_outcome *src) {
        *dst = *src;
        fa_blob_ref(dst->payload);
        fa_blob_ref(dst->text);
        fa_blob_ref(dst->log);
}

static inline void fa_outcome_deinit(struct fa_outcome *o) {
        o->payload = fa_blob_unref(o->payload);
        o->text = fa_blob_unref(o->text);
        o->log = fa_blob_unref(o->log);
}

/* A failure with a text of its own; on lack of memory the text is missing, nothing else. */
static inline void
fa_outcome_fail(struct fa_outcome *o, enum faas_failure failure, int32_t code, const char *text) {
        *o = (struct fa_outcome){.status = FAAS_FAILED, .failure = (uint8_t)failure, .code = code};
        (void)fa_blob_new(&o->text, text, __builtin_strlen(text));
}
