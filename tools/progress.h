/* progress.h - a bar on standard error, if that is a terminal; else nothing at all */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/* There is one in a program, because signals clean it up. */
void fa_progress_start(void);

/* Is there a bar to keep up to date? */
bool fa_progress_on(void);

/* Draws it if that was not done in the last tenth of a second.  @total: 0: not known yet. */
void fa_progress_show(uint64_t done, uint64_t total, uint64_t failed);

/* Takes it away for good: the line is empty again. */
void fa_progress_end(void);
