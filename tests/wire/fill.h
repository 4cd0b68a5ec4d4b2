/* fill.h - messages of every type with something in each field, by the table that drives the wire
 */
#pragma once

#include "wire/table.h"

/* len times this byte; NULL for 0. */
struct fa_blob *blob_of(size_t len, int byte);

/* Some role that may send the type. */
enum fa_role fill_sender(unsigned type);

/* Each field is set to its upper bound (max), or to something in the middle. */
struct fa_msg *filled(unsigned type, uint32_t n_items, bool max);

/* A field of a message or an item: its upper bound, or something in the middle that goes with k.
 * Blobs that were there are not given back. */
void fill_field(const struct fa_field *f, void *base, bool max, unsigned k);

/* Makes item i >= 1 follow the one before it, with a payload as long. */
void fill_next(struct fa_msg *m, uint32_t i);
