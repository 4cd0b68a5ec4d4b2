/* log.h - one callback sink; the library never writes by itself */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <faas/log.h>

#include "base/macros.h"

/* Formats and hands to the sink, if one is set; one line, cut at 1,023 bytes. */
void fa_log(enum faas_log_level level, const char *fmt, ...) FA_PRINTF(2, 3);

/* For lines that a peer can cause: so many a second, the others are counted.  All 0 is new. */
#define FA_LOG_LINES_MAX 10
struct fa_log_rate {
        uint64_t since_ns; /* of the second that n counts */
        uint32_t n;
        uint64_t hidden;
};

/* May another line be logged now?  Says first how many could not, if there were any. */
bool fa_log_rate(struct fa_log_rate *r, enum faas_log_level level, uint64_t now_ns);
