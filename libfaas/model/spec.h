/* spec.h - what was submitted: immutable, counted, shared by core and store */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "base/blob.h"
#include "base/macros.h"
#include "wire/msg.h"

#define FA_SPEC_INSIDE_MAX 64 /* bytes of a payload that is copied, not referred to */

struct fa_spec {
        uint32_t refs;  /* first: a payload inside is counted here too */
        uint32_t place; /* the store's own: where it has written this down; 0: not known */
        union {
                struct fa_blob *blob;
                uint64_t blob_inside[2]; /* the blob itself; its bytes follow */
        } payload;                       /* fa_spec_payload() */
        uint8_t priority;
        uint8_t function_len;
        uint8_t queue_len;
        uint8_t digest_len;
        bool inside : 1;     /* the payload is small */
        bool has_limits : 1; /* one of them is not 0 */
        char text[];         /* function, NUL, queue, NUL, digest, limits if it has them, the bytes
                                of a payload inside */
};

/* How long it may take, and how often it may fail. */
struct fa_spec_limits {
        uint32_t timeout_ms;  /* 0: none */
        uint32_t max_strikes; /* 0: the dispatcher's default */
        uint32_t max_retries;
};

/* From a SUBMIT item, which is valid. *ret holds one reference. 0 or -ENOMEM. */
int fa_spec_new(struct fa_spec **ret, const struct fa_item *it);

/* The same; an item that fa_spec_fill() filled gives the spec that it came from. */
int fa_spec_of(struct fa_spec **ret, const struct fa_item *it);

/* NULL is fine; returns NULL. */
struct fa_spec *fa_spec_unref(struct fa_spec *s);

static inline struct fa_spec *fa_spec_ref(struct fa_spec *s) {
        s->refs++;
        return s;
}

/* The same bytes submitted?  An id names one content for ever (FAAS_E_EXISTS). */
bool fa_spec_equal(const struct fa_spec *a, const struct fa_spec *b);

/* A number that two specs with other bytes share with a chance of 2^-64. */
uint64_t fa_spec_hash(const struct fa_spec *s, uint64_t seed);

/* Bytes that it occupies, payload included: for budgets. */
size_t fa_spec_size(const struct fa_spec *s);

/* Fills the fields of a SUBMIT or TASK item, which keeps a reference to the spec, whose its slices
 * are, and one to the payload. */
void fa_spec_fill(struct fa_spec *s, struct fa_item *it);

static inline struct fa_blob *fa_spec_payload(const struct fa_spec *s) {
        return s->inside ? fa_unconst(s->payload.blob_inside) : s->payload.blob;
}

struct fa_spec_limits fa_spec_limits(const struct fa_spec *s);

static inline struct fa_slice fa_spec_function(const struct fa_spec *s) {
        return (struct fa_slice){(const uint8_t *)s->text, s->function_len};
}
