/* clock.h - the one place that reads the clock; everything below run/ gets time as an argument */
#pragma once

#include <stdint.h>

#define FA_NS_PER_US UINT64_C(1000)
#define FA_NS_PER_MS UINT64_C(1000000)
#define FA_NS_PER_S UINT64_C(1000000000)
#define FA_NEVER UINT64_MAX /* a deadline that does not come */

/* CLOCK_MONOTONIC in nanoseconds. */
uint64_t fa_now(void);

/* CLOCK_REALTIME in milliseconds since 1970: only for ids, never for time-outs. */
uint64_t fa_wall_ms(void);

/*
 * The poll() time-out from now to deadline: milliseconds rounded up, so that a deadline less than
 * 1 ms away does not spin; 0 when it has passed, -1 for FA_NEVER, capped at INT32_MAX.
 */
int fa_poll_ms(uint64_t deadline_ns, uint64_t now_ns);
