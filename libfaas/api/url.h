/* url.h - the text that says where tasks go */
#pragma once

#include <stddef.h>

struct fa_url {
        /* local: */
        unsigned n_slots; /* 0: one per CPU */
        char **modules;   /* NULL-terminated; NULL: none */
        size_t n_modules;
        /* dispatchers elsewhere; 0: local */
        char **urls;
        size_t n_urls;
};

#define FA_URL_NULL                                                                                \
        { 0, NULL, 0, NULL, 0 }

/*
 * "local:", "local:N", "local:N?load=FILE&load=FILE"; or 1 to FA_ENDPOINTS_MAX URLs of dispatchers,
 * separated by commas, each with the scheme of a known transport.  0; FAAS_E_NOENT unknown scheme;
 * FAAS_E_LIMIT too many slots or URLs, or a long one; -EINVAL malformed, or local: among others;
 * -ENOMEM.  fa_error() has the text.  ret is FA_URL_NULL before, and deinit is legal in any case.
 */
int fa_url_parse(struct fa_url *ret, const char *text);
/* As fa_url_parse(), dispatchers only: where a worker goes. */
int fa_url_dispatchers(struct fa_url *ret, const char *text);
void fa_url_deinit(struct fa_url *u);
