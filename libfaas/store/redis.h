/*
 * redis.h - what tests see of the Redis store besides its table
 */
#pragma once

#include "store/store.h"

/*
 * For the suite of all stores: times come from *now_ns instead of the server, and a group that is
 * told "not now" (FAAS_E_UNAVAILABLE, FAAS_E_AGAIN) comes back so instead of being sent again.
 * Each call makes clearing up due, after which it is known when it is due again.
 */
void fa_redis_for_tests(struct fa_store *s, const uint64_t *now_ns);

/* Is the clearing up that is due done? */
bool fa_redis_settled(const struct fa_store *s, uint64_t now_ns);
