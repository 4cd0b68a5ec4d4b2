/*
 * id.c - making, printing and reading task ids
 *
 * Randomness and the wall clock come as arguments: the generator is as testable as a counter.
 */
#include "base/id.h"

#include <errno.h>
#include <stdbool.h>

#include <faas/client.h>

#include "base/error.h"
#include "base/macros.h"

#define HI_MASK UINT64_C(0xfff)
#define LO_MASK ((UINT64_C(1) << 62) - 1)
#define MS_MASK ((UINT64_C(1) << 48) - 1)
#define IDS_PER_MS 1024u

static uint64_t get_be64(const uint8_t p[8]) {
        uint64_t v = 0;

        for (int i = 0; i < 8; i++)
                v = v << 8 | p[i];
        return v;
}

static void put_be64(unsigned char p[8], uint64_t v) {
        for (int i = 7; i >= 0; i--, v >>= 8)
                p[i] = (unsigned char)v;
}

void fa_idgen_init(struct fa_idgen *g, const uint8_t seed[16]) {
        /* The top bit starts at 0, so that the counter has 2^73 steps before it, too, needs a
         * carry. */
        g->ms = 0;
        g->n = 0;
        g->hi = get_be64(seed) & (HI_MASK >> 1);
        g->lo = get_be64(seed + 8) & LO_MASK;
}

void fa_idgen_next(struct fa_idgen *g, uint64_t wall_ms, struct faas_id *ret) {
        if (wall_ms > g->ms) {
                g->ms = wall_ms;
                g->n = 0;
        } else if (++g->n == IDS_PER_MS) {
                g->ms++;
                g->n = 0;
        }
        g->lo = (g->lo + 1) & LO_MASK;
        if (g->lo == 0) {
                g->hi = (g->hi + 1) & HI_MASK;
                if (g->hi == 0)
                        g->ms++;
        }

        put_be64(ret->b, (g->ms & MS_MASK) << 16 | UINT64_C(0x7000) | g->hi);
        put_be64(ret->b + 8, UINT64_C(1) << 63 | g->lo);
}

/* The text is 8-4-4-4-12 hex digits: hyphens stand before these bytes. */
static bool hyphen_before(size_t byte) {
        return byte == 4 || byte == 6 || byte == 8 || byte == 10;
}

FA_PUBLIC char *faas_id_format(const struct faas_id *id, char *buf) {
        static const char digits[] = "0123456789abcdef";
        char *p = buf;

        for (size_t i = 0; i < sizeof(id->b); i++) {
                if (hyphen_before(i))
                        *p++ = '-';
                *p++ = digits[id->b[i] >> 4];
                *p++ = digits[id->b[i] & 15];
        }
        *p = '\0';
        return buf;
}

static int hex_value(char c) {
        if (c >= '0' && c <= '9')
                return c - '0';
        if (c >= 'a' && c <= 'f')
                return c - 'a' + 10;
        if (c >= 'A' && c <= 'F')
                return c - 'A' + 10;
        return -1;
}

static bool parse(struct faas_id *id, const char *text) {
        for (size_t i = 0; i < sizeof(id->b); i++) {
                if (hyphen_before(i) && *text++ != '-')
                        return false;
                /* A NUL has no value, so the text is never read behind its end. */
                int high = hex_value(text[0]);
                int low = high < 0 ? -1 : hex_value(text[1]);
                if (low < 0)
                        return false;
                id->b[i] = (unsigned char)(high << 4 | low);
                text += 2;
        }
        return *text == '\0';
}

FA_PUBLIC int faas_id_parse(struct faas_id *ret, const char *text) {
        struct faas_id id;

        if (!ret || !text)
                return fa_error(-EINVAL, "faas_id_parse: ret and text must not be NULL");
        if (!parse(&id, text))
                return fa_error(-EINVAL,
                                "\"%.80s\" is no id; expected 32 hexadecimal digits as 8-4-4-4-12",
                                text);
        *ret = id;
        return 0;
}
