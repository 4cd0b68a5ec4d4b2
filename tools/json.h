/* json.h - values as JSON; errors of writing stay in the FILE, where fa_flush() finds them */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

/* "key":"text" if the bytes are UTF-8, else "key_base64":"...". */
void fa_json_bytes(FILE *f, const char *key, const void *p, size_t len);

/* Well-formed by RFC 3629: no overlong forms, no surrogates, nothing above U+10FFFF. */
bool fa_json_utf8(const void *p, size_t len);
