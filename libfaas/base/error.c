/*
 * error.c - the texts of return values, and the last error's own text
 *
 * The text is kept per thread and not per handle, because the calls that need it most are those
 * that fail to make a handle.
 */
#include "base/error.h"

#include <limits.h>
#include <stdarg.h>
#include <stdbool.h>
#include <string.h>

#include "base/text.h"

#define ERROR_TEXT_SIZE 512

/* The caller's, and the one aside. */
static _Thread_local char error_texts[2][ERROR_TEXT_SIZE];
static _Thread_local bool aside;

static const char *const texts[_FAAS_E_N] = {
        [0] = "success",
        [FAAS_E_AGAIN] = "not now, try again",
        [FAAS_E_GONE] = "gone",
        [FAAS_E_STALE] = "replaced by something newer",
        [FAAS_E_NOENT] = "not found",
        [FAAS_E_EXISTS] = "exists already",
        [FAAS_E_LIMIT] = "over a limit",
        [FAAS_E_PROTO] = "protocol error",
        [FAAS_E_TIMEOUT] = "no answer in time",
        [FAAS_E_CANCELLED] = "cancelled",
        [FAAS_E_UNAVAILABLE] = "not available, nothing happened",
        [FAAS_E_UNKNOWN] = "outcome unknown, a repeat is harmless",
        [FAAS_E_VERSION] = "another version",
        [FAAS_E_FORKED] = "handle belongs to the parent process",
        [FAAS_E_FENCED] = "another dispatcher took over",
};

FA_PUBLIC const char *faas_strerror(int r) {
        const char *text = NULL;

        /* Not strerror(): its answer may change under the reader's eyes when another thread asks.
         */
        if (r < 0)
                text = r == INT_MIN ? NULL : strerrordesc_np(-r);
        else if (r < _FAAS_E_N)
                text = texts[r];
        return text ? text : "unknown error";
}

FA_PUBLIC const char *faas_error_text(void) {
        return error_texts[aside];
}

int(fa_error)(int r, const char *fmt, ...) {
        char buf[ERROR_TEXT_SIZE];
        va_list args;

        va_start(args, fmt);
        size_t n = fa_text_vformat(buf, sizeof(buf), fmt, args);
        va_end(args);

        memcpy(error_texts[aside], buf, n + 1);
        return r;
}

void fa_error_aside(bool on) {
        aside = on;
}

int fa_errno(int errno_value, const char *fmt, ...) {
        char buf[ERROR_TEXT_SIZE];
        va_list args;

        va_start(args, fmt);
        fa_text_vformat(buf, sizeof(buf), fmt, args);
        va_end(args);

        return fa_error(-errno_value, "%s: %s", buf, faas_strerror(-errno_value));
}
