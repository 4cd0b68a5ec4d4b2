/*
 * log.c - one callback sink for the whole process
 *
 * A library that prints by itself cannot be embedded: without a sink nothing is even formatted.
 */
#include "base/log.h"

#include <stdarg.h>
#include <stddef.h>

#include "base/text.h"

static struct {
        void (*fn)(void *userdata, enum faas_log_level level, const char *line);
        void *userdata;
        enum faas_log_level level;
} sink;

FA_PUBLIC void faas_set_log(void (*fn)(void *userdata, enum faas_log_level level, const char *line),
                            void *userdata,
                            enum faas_log_level level) {
        sink.fn = fn;
        sink.userdata = userdata;
        sink.level = level;
}

void fa_log(enum faas_log_level level, const char *fmt, ...) {
        char line[1024];
        va_list args;

        if (!sink.fn || level > sink.level)
                return;

        va_start(args, fmt);
        fa_text_vformat(line, sizeof(line), fmt, args);
        va_end(args);

        sink.fn(sink.userdata, level, line);
}
