/*
 * id.h - task ids: UUIDv7 (RFC 9562 section 5.7), monotonic per generator
 *
 * Layout: 48 bits of milliseconds since 1970, version 7, 12 bits, variant 10, 62 bits.  The 74
 * lower bits are one counter (RFC 9562 section 6.2, method 2): it starts at a random value and
 * grows by one with each id, so ids of one generator never repeat and sort by their making even
 * when the wall clock stands or goes back.  Then the time goes on by itself, a millisecond each
 * 1,024 ids (section 6.2 allows it to run ahead), because a store keeps what is of one time
 * together.
 */
#pragma once

#include <stdint.h>

#include <faas/task.h>

struct fa_idgen {
        uint64_t ms;     /* time of the last id: never goes back */
        uint32_t n;      /* how many others have it */
        uint64_t hi, lo; /* the counter: 12 and 62 bits */
};

/* seed: 16 random bytes. */
void fa_idgen_init(struct fa_idgen *g, const uint8_t seed[16]);
void fa_idgen_next(struct fa_idgen *g, uint64_t wall_ms, struct faas_id *ret);
