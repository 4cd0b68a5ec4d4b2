/*
 * url.c - reads "local:4?load=a.so&load=b.so"
 *
 * Each refusal names the whole text, the part that is wrong, and what was expected there.  A file
 * name is taken as it stands, without escapes: it cannot contain '&'.
 */
#include "api/url.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/error.h"
#include "base/limits.h"

#define SCHEME "local:"

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

int fa_url_parse(struct fa_url *ret, const char *text) {
        const char *p = text + sizeof(SCHEME) - 1;
        const char *end;
        int r;

        if (strncmp(text, SCHEME, sizeof(SCHEME) - 1) != 0) {
                const char *colon = strchr(text, ':');
                if (!colon)
                        return fa_error(-EINVAL, "\"%s\" has no scheme; expected local:N", text);
                return fa_error(FAAS_E_NOENT,
                                "\"%s\": unknown scheme \"%.*s\"; known: local:", text,
                                (int)(colon - text + 1), text);
        }
        end = strchrnul(p, '?');
        r = parse_slots(ret, text, p, end);
        while (r == 0 && *end) {
                p = end + 1;
                end = strchrnul(p, '&');
                r = parse_option(ret, text, p, (size_t)(end - p));
        }
        return r;
}

void fa_url_deinit(struct fa_url *u) {
        for (size_t i = 0; i < u->n_modules; i++)
                free(u->modules[i]);
        free(u->modules);
        *u = (struct fa_url)FA_URL_NULL;
}
