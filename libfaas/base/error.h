/*
 * error.h - how the library says that something went wrong
 *
 * 0 success; > 0 a FAAS_E_ condition that the called function documents, handled by its caller at
 * once and not passed on by habit; < 0 a negated errno, fatal for the object, forwarded unchanged.
 */
#pragma once

#include <stdbool.h>

#include <faas/error.h>

#include "base/macros.h"

/*
 * Sets the text that faas_error_text() shows in this thread and returns r.  One line, cut at 511
 * bytes; the arguments may point into the present text.
 */
int fa_error(int r, const char *fmt, ...) FA_PRINTF(2, 3);

/*
 * true: texts of this thread go to another place until false, and faas_error_text() shows that one;
 * then again what it showed before.  For what fails inside a call that succeeds, such as a peer's
 * bytes.
 */
void fa_error_aside(bool on);

/*
 * As fa_error(-errno_value, ...), with ": " and the errno's own text behind the message.
 * errno_value is a positive errno.
 */
int fa_errno(int errno_value, const char *fmt, ...) FA_PRINTF(2, 3);

/* The analyser sees one file at a time, and not that what goes in comes out. */
#ifdef __clang_analyzer__
#define fa_error(r, ...) ((void)(fa_error)(0, __VA_ARGS__), (r))
#endif
