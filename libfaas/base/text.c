/*
 * text.c - one line for people
 *
 * Error texts and log lines quote what came from other processes.  Here is the one place that keeps
 * such bytes from breaking lines or steering a terminal.
 */
#include "base/text.h"

#include <stdio.h>

/* Where to cut s so that at most n bytes stay: not inside a UTF-8 character. */
static size_t cut(const char *s, size_t n) {
        size_t i = n;

        /* A character has at most three continuation bytes; more are no UTF-8, so cut anywhere. */
        while (i > 0 && n - i < 3 && ((unsigned char)s[i - 1] & 0xc0) == 0x80)
                i--;
        if (i == 0)
                return n;

        unsigned char lead = (unsigned char)s[i - 1];
        size_t need = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : lead >= 0xc0 ? 2 : 1;
        return n - (i - 1) < need ? i - 1 : n;
}

size_t fa_text_vformat(char *buf, size_t size, const char *fmt, va_list args) {
        int r = vsnprintf(buf, size, fmt, args);
        size_t n = r < 0 ? 0 : (size_t)r;

        if (n >= size)
                n = cut(buf, size - 1);
        buf[n] = '\0';
        for (size_t i = 0; i < n; i++)
                if ((unsigned char)buf[i] < 0x20 || buf[i] == 0x7f)
                        buf[i] = ' ';
                else if ((unsigned char)buf[i] == 0xc2 &&
                         ((unsigned char)buf[i + 1] & 0xe0) == 0x80)
                        buf[i] = buf[i + 1] = ' '; /* U+0080 to U+009F, which steer as well */
        return n;
}
