/*
 * naive.h - what the operations mean, once more, in plain arrays
 *
 * Written from op.h and not from memory.c: slow, bounded, obvious.  It has no
 * budget of bytes, and it remembers collected ids for ever.
 */
#pragma once

#include "store/store.h"

struct naive;

struct naive *naive_new(const struct fa_store_cfg *cfg);
struct naive *naive_free(struct naive *n);
void naive_run(struct naive *n, struct fa_group *g, uint64_t now_ns);
void naive_advance(struct naive *n, uint64_t now_ns);
void naive_restart(struct naive *n);
