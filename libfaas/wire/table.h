/*
 * table.h - the description of every message: who may send it, and its fields in wire order
 *
 * One table drives encoding, decoding, validation and rights; docs/PROTOCOL.md shows the same one
 * (tests/meta/check-protocol.sh compares).  A new message is a row here, a row there, two vectors.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "wire/msg.h"

enum fa_kind {
        FA_KIND_U8,     /* integer in [min, max], a uint8_t member */
        FA_KIND_U32,    /* the same, uint32_t */
        FA_KIND_U64,    /* the same, uint64_t */
        FA_KIND_I32,    /* integer, int32_t */
        FA_KIND_SET,    /* integer v with bit v set in max, uint8_t */
        FA_KIND_ID,     /* bin of 16 bytes */
        FA_KIND_FENCE,  /* [partition, gen, n] */
        FA_KIND_STR,    /* str of min to max bytes, a slice */
        FA_KIND_NAME,   /* str, a valid name; also empty if min is 0; a slice */
        FA_KIND_DIGEST, /* bin of 0 or max bytes, a slice */
        FA_KIND_NAMES,  /* array of at most max names: .names, .n_names */
        FA_KIND_STRS,   /* array of at most max strs of 1 to FA_ENDPOINT_MAX bytes: the same members
                         */
        FA_KIND_VALUES, /* array of at most max u64: .values, .n_values */
        FA_KIND_TEXT,   /* str of at most max bytes, a blob */
        FA_KIND_BIN,    /* bin of at most max bytes, a blob */
        FA_KIND_PAYLOAD, /* [kind, length]; the bytes are in another frame; a blob */
};

struct fa_field {
        const char *name; /* NULL ends a list */
        uint8_t kind;
        uint16_t offset; /* in struct fa_msg or struct fa_item */
        uint32_t min;
        uint64_t max;
};

struct fa_desc {
        const char *name;
        uint8_t senders;               /* bit 1 << role; 0: reserved, known by name only */
        bool has_payload;              /* frames may follow the envelope */
        bool has_outcome;              /* items have a state and a failure, which must agree */
        bool has_ext;                  /* the envelope ends in an array for later extensions */
        const struct fa_field *header; /* behind version, type and epoch */
        const struct fa_field *item;   /* NULL: no items */
};

/* NULL for a type that is unknown or only reserved. */
const struct fa_desc *fa_desc_of(unsigned type);

/* The first field of this kind in a list, or NULL. */
const struct fa_field *fa_field_find(const struct fa_field *f, enum fa_kind kind);

/* [state, failure] of an item: a failure has a reason, and only a failure. */
bool fa_outcome_agrees(const struct fa_item *it);
