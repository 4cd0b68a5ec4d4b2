/* log.h - one callback sink; the library never writes by itself */
#pragma once

#include <faas/log.h>

#include "base/macros.h"

/* Formats and hands to the sink, if one is set; one line, cut at 1,023 bytes. */
void fa_log(enum faas_log_level level, const char *fmt, ...) FA_PRINTF(2, 3);
