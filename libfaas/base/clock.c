/*
 * clock.c - reading the clocks, and nanoseconds as poll() wants them
 */
#include "base/clock.h"

#include <assert.h>
#include <time.h>

static uint64_t read_clock(clockid_t id) {
        struct timespec ts;
        int r = clock_gettime(id, &ts);

        /* Both clocks exist on every Linux: a failure is a broken machine, not a condition. */
        assert(r == 0);
        (void)r;
        return (uint64_t)ts.tv_sec * FA_NS_PER_S + (uint64_t)ts.tv_nsec;
}

uint64_t fa_now(void) {
        return read_clock(CLOCK_MONOTONIC);
}

uint64_t fa_wall_ms(void) {
        return read_clock(CLOCK_REALTIME) / FA_NS_PER_MS;
}

int fa_poll_ms(uint64_t deadline_ns, uint64_t now_ns) {
        if (deadline_ns == FA_NEVER)
                return -1;
        if (deadline_ns <= now_ns)
                return 0;

        uint64_t left = deadline_ns - now_ns;
        uint64_t ms = left / FA_NS_PER_MS + (left % FA_NS_PER_MS != 0);
        return ms > INT32_MAX ? INT32_MAX : (int)ms;
}
