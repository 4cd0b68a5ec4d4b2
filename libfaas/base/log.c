/*
 * log.c - one callback sink for the whole process
 *
 * A library that prints by itself cannot be embedded: without a sink nothing is even formatted.
 */
#include "base/log.h"

#include <stdarg.h>
#include <stddef.h>

#include "base/clock.h"
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

bool fa_log_rate(struct fa_log_rate *r, enum faas_log_level level, uint64_t now_ns) {
        if (now_ns - r->since_ns >= FA_NS_PER_S) {
                if (r->hidden)
                        fa_log(level, "%llu lines like the next were left out",
                               (unsigned long long)r->hidden);
                *r = (struct fa_log_rate){.since_ns = now_ns};
        }
        if (r->n >= FA_LOG_LINES_MAX) {
                r->hidden++;
                return false;
        }
        r->n++;
        return true;
}
