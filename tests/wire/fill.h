/* fill.h - messages of every type with something in each field, by the table that drives the wire
 */
#pragma once

#include "wire/msg.h"

/* len times this byte; NULL for 0. */
struct fa_blob *blob_of(size_t len, int byte);

/* Some role that may send the type. */
enum fa_role fill_sender(unsigned type);

/* Each field is set to its upper bound (max), or to something in the middle. */
struct fa_msg *filled(unsigned type, uint32_t n_items, bool max);
