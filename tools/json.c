/* json.c - the little JSON that the programs write; they read none */
#include "json.h"

#include <stdint.h>

/* The length of the well-formed character at s, 0 if there is none. */
static size_t utf8_char(const unsigned char *s, size_t len) {
        size_t n = s[0] < 0x80                   ? 1
                   : s[0] >= 0xc2 && s[0] < 0xe0 ? 2
                   : s[0] >= 0xe0 && s[0] < 0xf0 ? 3
                   : s[0] >= 0xf0 && s[0] < 0xf5 ? 4
                                                 : 0;

        if (n == 0 || n > len)
                return 0;
        for (size_t i = 1; i < n; i++) {
                if ((s[i] & 0xc0) != 0x80)
                        return 0;
        }
        if ((s[0] == 0xe0 && s[1] < 0xa0) || (s[0] == 0xed && s[1] > 0x9f) ||
            (s[0] == 0xf0 && s[1] < 0x90) || (s[0] == 0xf4 && s[1] > 0x8f))
                return 0;
        return n;
}

bool fa_json_utf8(const void *p, size_t len) {
        const unsigned char *s = p;

        for (size_t i = 0; i < len;) {
                size_t n = utf8_char(s + i, len - i);

                if (n == 0)
                        return false;
                i += n;
        }
        return true;
}

static void put_text(FILE *f, const unsigned char *s, size_t len) {
        for (size_t i = 0; i < len; i++) {
                if (s[i] == '"' || s[i] == '\\')
                        fprintf(f, "\\%c", s[i]);
                else if (s[i] == '\n')
                        fputs("\\n", f);
                else if (s[i] < ' ' || s[i] == 0x7f)
                        fprintf(f, "\\u%04x", s[i]);
                else
                        putc(s[i], f);
        }
}

static void put_base64(FILE *f, const unsigned char *s, size_t len) {
        static const char digits[] =
                "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

        for (size_t i = 0; i < len; i += 3) {
                size_t left = len - i;
                uint32_t v = (uint32_t)s[i] << 16 | (uint32_t)(left > 1 ? s[i + 1] : 0) << 8 |
                             (uint32_t)(left > 2 ? s[i + 2] : 0);

                putc(digits[v >> 18], f);
                putc(digits[v >> 12 & 63], f);
                putc(left > 1 ? digits[v >> 6 & 63] : '=', f);
                putc(left > 2 ? digits[v & 63] : '=', f);
        }
}

void fa_json_bytes(FILE *f, const char *key, const void *p, size_t len) {
        bool text = fa_json_utf8(p, len);

        fprintf(f, "\"%s%s\":\"", key, text ? "" : "_base64");
        if (text)
                put_text(f, p, len);
        else
                put_base64(f, p, len);
        putc('"', f);
}
