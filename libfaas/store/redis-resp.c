/*
 * redis-resp.c - writes commands, reads what error replies mean
 *
 * A group of tasks is thousands of words: nothing here formats, and each word asks for room once.
 */
#include "store/redis-resp.h"

#include <string.h>

#include "base/macros.h"
#include "store/redis-url.h"

#define DIGITS_MAX 20 /* of a 64-bit number */

/* The digits of n, behind end; returns where they begin. */
static uint8_t *digits(uint8_t *end, uint64_t n) {
        do
                *--end = (uint8_t)('0' + n % 10);
        while (n /= 10);
        return end;
}

/* "$12\r\n"; returns what is behind it. */
static uint8_t *head(uint8_t *p, char type, size_t n) {
        uint8_t number[DIGITS_MAX];
        uint8_t *end = number + sizeof(number);
        const uint8_t *from = digits(end, n);
        size_t len = (size_t)(end - from);

        *p++ = (uint8_t)type;
        memcpy(p, from, len);
        p += len;
        *p++ = '\r';
        *p++ = '\n';
        return p;
}

void fa_redis_put_array(struct fa_buf *b, size_t n) {
        uint8_t *p = fa_buf_room(b, DIGITS_MAX + 3);

        if (p)
                b->len += (size_t)(head(p, '*', n) - p);
}

void fa_redis_begin_bulk(struct fa_buf *b, size_t len) {
        uint8_t *p = fa_buf_room(b, DIGITS_MAX + 5 + len);

        if (p)
                b->len += (size_t)(head(p, '$', len) - p);
}

void fa_redis_end_bulk(struct fa_buf *b) {
        fa_buf_put(b, "\r\n", 2);
}

void fa_redis_put_bulk(struct fa_buf *b, const void *p, size_t len) {
        uint8_t *begin = fa_buf_room(b, DIGITS_MAX + 5 + len);

        if (!begin)
                return;
        uint8_t *to = head(begin, '$', len);
        if (len)
                memcpy(to, p, len);
        to += len;
        *to++ = '\r';
        *to++ = '\n';
        b->len += (size_t)(to - begin);
}

void fa_redis_put_str(struct fa_buf *b, const char *s) {
        fa_redis_put_bulk(b, s, strlen(s));
}

void fa_redis_put_u64(struct fa_buf *b, uint64_t n) {
        uint8_t number[DIGITS_MAX];
        uint8_t *end = number + sizeof(number);
        const uint8_t *from = digits(end, n);

        fa_redis_put_bulk(b, from, (size_t)(end - from));
}

static const struct {
        const char *word;
        enum fa_redis_error error;
} words[] = {
        {"NOSCRIPT", FA_REDIS_NOSCRIPT},
        {"MOVED", FA_REDIS_MOVED},
        {"ASK", FA_REDIS_ASK},
        {"LOADING", FA_REDIS_LOADING},
        {"READONLY", FA_REDIS_READONLY},
        {"MASTERDOWN", FA_REDIS_MASTERDOWN},
        {"CLUSTERDOWN", FA_REDIS_CLUSTERDOWN},
        {"TRYAGAIN", FA_REDIS_TRYAGAIN},
        {"NOREPLICAS", FA_REDIS_NOREPLICAS},
        {"OOM", FA_REDIS_OOM},
        {"MISCONF", FA_REDIS_MISCONF},
        {"NOAUTH", FA_REDIS_NOAUTH},
        {"WRONGPASS", FA_REDIS_WRONGPASS},
        {"NOPERM", FA_REDIS_NOPERM},
        {"WRONGTYPE", FA_REDIS_WRONGTYPE},
        {"BUSY", FA_REDIS_BUSY},
        {"EXECABORT", FA_REDIS_EXECABORT},
        {"CROSSSLOT", FA_REDIS_CROSSSLOT},
};

/* Redis says these without a word of their own. */
static const struct {
        const char *begin;
        enum fa_redis_error error;
} phrases[] = {
        {"ERR max number of clients", FA_REDIS_MAXCLIENTS},
        {"ERR invalid password", FA_REDIS_WRONGPASS},
        {"ERR The user executing the script can't ", FA_REDIS_NOPERM}, /* 7.0 */
        {"ERR ACL failure in script: ", FA_REDIS_NOPERM},              /* from 7.2 on */
};

static enum fa_redis_error word_of(const char *text) {
        size_t len = strcspn(text, " ");

        for (size_t i = 0; i < FA_ARRAY_SIZE(words); i++)
                if (strlen(words[i].word) == len && memcmp(words[i].word, text, len) == 0)
                        return words[i].error;
        return FA_REDIS_OTHER;
}

static const char wrapped[] = "ERR Error running script";

const char *fa_redis_error_bare(const char *text) {
        if (strncmp(text, wrapped, sizeof(wrapped) - 1) == 0)
                for (const char *p = text; (p = strstr(p, ": -")); p += 3)
                        text = p + 3;
        return text;
}

enum fa_redis_error fa_redis_error_of(const char *text) {
        static const char no_right[] = ": The user executing the script can't ";
        enum fa_redis_error error = word_of(*text == '-' ? text + 1 : text);

        if (error)
                return error;
        for (size_t i = 0; i < FA_ARRAY_SIZE(phrases); i++)
                if (strncmp(text, phrases[i].begin, strlen(phrases[i].begin)) == 0)
                        return phrases[i].error;
        if (strncmp(text, wrapped, sizeof(wrapped) - 1) != 0)
                return FA_REDIS_OTHER;
        for (const char *p = text; !error && (p = strstr(p, ": -")); p += 3)
                error = word_of(p + 3);
        if (!error && strstr(text, no_right))
                error = FA_REDIS_NOPERM;
        return error;
}

/* A number of at most max; *p is then behind it. */
static bool number(const char **p, unsigned max, uint16_t *ret) {
        const char *begin = *p;
        unsigned n = 0;

        for (; **p >= '0' && **p <= '9' && n <= max; ++*p)
                n = n * 10 + (unsigned)(**p - '0');
        if (*p == begin || n > max)
                return false;
        *ret = (uint16_t)n;
        return true;
}

bool fa_redis_moved_of(const char *text, struct fa_redis_moved *ret) {
        struct fa_redis_moved m = {0};
        const char *p = text + (*text == '-');
        const char *colon;

        if (strncmp(p, "MOVED ", 6) != 0)
                return false;
        p += 6;
        if (!number(&p, 16383, &m.slot) || *p++ != ' ')
                return false;
        colon = strrchr(p, ':');
        if (!colon)
                return false;
        size_t len = (size_t)(colon - p);
        if (len >= 2 && p[0] == '[' && colon[-1] == ']') {
                p++;
                len -= 2;
        }
        if (len >= sizeof(m.host))
                return false;
        memcpy(m.host, p, len);
        /* It has no name that it could tell. */
        if (strcmp(m.host, "?") == 0)
                m.host[0] = 0;
        if (m.host[0] && !fa_redis_host_ok(m.host))
                return false;
        p = colon + 1;
        if (!number(&p, UINT16_MAX, &m.port) || *p || m.port == 0)
                return false;
        *ret = m;
        return true;
}
