/* text.h - one line for people, made from a format, in a buffer of fixed size */
#pragma once

#include <stdarg.h>
#include <stddef.h>

#include "base/macros.h"

/*
 * As vsnprintf(), but the result is one line that can be shown: control characters (a peer's text
 * may have some, those of Latin-1 in UTF-8 too) become blanks, and what is too long is cut between
 * UTF-8 characters.  size > 0. Returns the number of bytes in buf without the NUL.
 */
size_t fa_text_vformat(char *buf, size_t size, const char *fmt, va_list args) FA_PRINTF(3, 0);
