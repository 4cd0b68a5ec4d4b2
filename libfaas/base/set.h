/*
 * set.h - set of ids, each kept as a number of 64 bits
 *
 * For very many ids of which it is only asked whether they are there: 11 to 21 bytes each.  Two of
 * a million ids have the same number with a chance of 2^-25; whoever uses it must be able to bear
 * that.  Open addressing as in map.h.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <faas/task.h>

struct fa_set {
        uint64_t *v;    /* 0: free */
        size_t n, mask; /* mask = capacity - 1, or 0 with v == NULL */
};

/* The number of an id; seed is the same for all of one set. */
uint64_t fa_set_key(uint64_t seed, const struct faas_id *id);

/* 0 added; FAAS_E_EXISTS; -ENOMEM. */
int fa_set_add(struct fa_set *s, uint64_t key);

bool fa_set_has(const struct fa_set *s, uint64_t key);

/* false: it was not there. */
bool fa_set_remove(struct fa_set *s, uint64_t key);

/* Legal on a zeroed set, and leaves one. */
void fa_set_deinit(struct fa_set *s);
