/* mark.h - is this still the process that made it, or a fork of it?  Without asking the kernel */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define FA_MARK UINT64_C(0x6661617320686572) /* anything but 0 */

/* On a page of its own, which the kernel empties in a child of fork().  0; -ENOMEM or the like. */
int fa_mark_new(const uint64_t **ret);
void fa_mark_free(const uint64_t *mark); /* NULL is fine */

static inline bool fa_mark_here(const uint64_t *mark) {
        return *mark == FA_MARK;
}
