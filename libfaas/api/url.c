/*
 * url.c - reads "local:4?load=a.so&load=b.so" and "tcp://a:5555,tcp://b:5555"
 *
 * Each refusal names the whole text, the part that is wrong, and what was expected there.  A file
 * name is taken as it stands, without escapes: it cannot contain '&'.  What a dispatcher's URL says
 * behind its scheme is its transport's business, but for the comma, which ends it.
 */
#include "api/url.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/limits.h"
#include "transport/transport.h"

#define SCHEME "local:"
#define SCHEME_LEN (sizeof(SCHEME) - 1)

static int parse_slots(struct fa_url *u, const char *text, const char *p, const char *end) {
        unsigned long n = 0;

        if (p == end)
                return 0;
        for (const char *c = p; c < end; c++) {
                if (*c < '0' || *c > '9')
                        return fa_error(-EINVAL,
                                        "\"%s\": \"%.*s\" is not a number of slots; expected 1 to "
                                        "%d, or nothing for one per CPU",
                                        text, (int)(end - p), p, FA_SLOTS_MAX);
                if (n <= FA_SLOTS_MAX)
                        n = n * 10 + (unsigned long)(*c - '0');
        }
        if (n == 0)
                return fa_error(-EINVAL, "\"%s\": 0 slots run nothing; expected 1 to %d", text,
                                FA_SLOTS_MAX);
        if (n > FA_SLOTS_MAX)
                return fa_error(FAAS_E_LIMIT, "\"%s\": too many slots; expected 1 to %d", text,
                                FA_SLOTS_MAX);
        u->n_slots = (unsigned)n;
        return 0;
}

/* One "load=FILE" of len bytes. */
static int parse_option(struct fa_url *u, const char *text, const char *p, size_t len) {
        static const char load[] = "load=";
        const size_t n_load = sizeof(load) - 1;
        char **modules;

        if (len <= n_load || memcmp(p, load, n_load) != 0)
                return fa_error(-EINVAL, "\"%s\": \"%.*s\" is no option; expected load=FILE.so",
                                text, (int)len, p);
        modules = realloc(u->modules, (u->n_modules + 2) * sizeof(*modules));
        if (!modules)
                return fa_error(-ENOMEM, "\"%s\": no memory", text);
        u->modules = modules;
        modules[u->n_modules] = strndup(p + n_load, len - n_load);
        modules[u->n_modules + 1] = NULL;
        if (!modules[u->n_modules])
                return fa_error(-ENOMEM, "\"%s\": no memory", text);
        u->n_modules++;
        return 0;
}

static int parse_local(struct fa_url *u, const char *text) {
        const char *p = text + SCHEME_LEN;
        const char *end = strchrnul(p, '?');
        const char *comma = memchr(p, ',', (size_t)(end - p));
        int r;

        if (comma)
                return fa_error(-EINVAL,
                                "\"%s\": \"%s\" behind local:; expected local:N alone, or "
                                "dispatchers only",
                                text, comma + 1);
        r = parse_slots(u, text, p, end);
        while (r == 0 && *end) {
                p = end + 1;
                end = strchrnul(p, '&');
                r = parse_option(u, text, p, (size_t)(end - p));
        }
        return r;
}

/* Is there a transport that connects to it?  The text of what is wrong comes from the look-up. */
static int look_up(const char *text, const char *url) {
        struct fa_transport_row row;
        int r = fa_transport_by_url(&row, url);

        if (r == 0 || strcmp(text, url) == 0)
                return r;
        return fa_error(r, "\"%s\": %s", text, faas_error_text());
}

/* One dispatcher's URL of len bytes. */
static int add_url(struct fa_url *u, const char *text, const char *p, size_t len) {
        char **urls;

        if (len == 0)
                return fa_error(-EINVAL, "\"%s\": URL %zu is empty; expected tcp://host:port", text,
                                u->n_urls + 1);
        if (strncmp(p, SCHEME, SCHEME_LEN) == 0)
                return fa_error(
                        -EINVAL,
                        "\"%s\": \"%.*s\" among dispatchers; expected local:N alone, and by "
                        "a client, or dispatchers only",
                        text, (int)len, p);
        if (len > FA_ENDPOINT_MAX)
                return fa_error(FAAS_E_LIMIT, "\"%s\": URL %zu has %zu bytes; expected at most %d",
                                text, u->n_urls + 1, len, FA_ENDPOINT_MAX);
        if (u->n_urls == FA_ENDPOINTS_MAX)
                return fa_error(FAAS_E_LIMIT, "\"%s\": too many URLs; expected 1 to %d", text,
                                FA_ENDPOINTS_MAX);
        urls = realloc(u->urls, (u->n_urls + 1) * sizeof(*urls));
        if (!urls)
                return fa_error(-ENOMEM, "\"%s\": no memory", text);
        u->urls = urls;
        urls[u->n_urls] = strndup(p, len);
        if (!urls[u->n_urls])
                return fa_error(-ENOMEM, "\"%s\": no memory", text);
        return look_up(text, urls[u->n_urls++]);
}

int fa_url_dispatchers(struct fa_url *ret, const char *text) {
        const char *p = text;

        for (;;) {
                size_t len = (size_t)(strchrnul(p, ',') - p);
                int r = add_url(ret, text, p, len);
                if (r || !p[len])
                        return r;
                p += len + 1;
        }
}

int fa_url_parse(struct fa_url *ret, const char *text) {
        if (strncmp(text, SCHEME, SCHEME_LEN) == 0)
                return parse_local(ret, text);
        if (!strchr(text, ':'))
                return fa_error(-EINVAL,
                                "\"%s\" has no scheme; expected local:N, or dispatchers as in "
                                "tcp://host:5555",
                                text);
        return fa_url_dispatchers(ret, text);
}

void fa_url_deinit(struct fa_url *u) {
        for (size_t i = 0; i < u->n_modules; i++)
                free(u->modules[i]);
        free(u->modules);
        for (size_t i = 0; i < u->n_urls; i++)
                free(u->urls[i]);
        free(u->urls);
        *u = (struct fa_url)FA_URL_NULL;
}
