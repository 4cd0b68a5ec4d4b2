/* say.h - what the programs say: lines on standard error, exit codes, and a sure end of output */
#pragma once

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>

#include <faas/log.h>

/* What a script can ask "$?" for; faas.1 lists them. */
enum {
        FA_EXIT_OK,
        FA_EXIT_ERROR,
        FA_EXIT_USAGE,
        FA_EXIT_FAILED,       /* a task FAILED or was CANCELLED */
        FA_EXIT_NO_TASK,      /* no such task, or its result was collected or has expired */
        FA_EXIT_NOT_DONE,     /* the task has not ended yet */
        FA_EXIT_NO_DISPATCHER /* no dispatcher answered in time */
};

/*
 * First of all calls, before any thread.  Finds the helper program of the library beside this one,
 * in a build tree or an installation that was moved, unless $FAAS_SLOTS_HELPER says where.  Makes a
 * closed standard output or error an error instead of a trap for the next file that is opened, and
 * a closed pipe an error of write() instead of a signal.
 */
void fa_say_init(const char *program);

/* From now on the library's lines of @level and above go to standard error; json: one object each,
 * also for fa_say(). */
void fa_say_log(enum faas_log_level level, bool json);

/* Called before each line, so that a progress bar can make room; NULL: nothing. */
void fa_say_before(void (*hide)(void));

/* One line: "program: text".  Control characters become '?': a text may be of a foreign function.
 */
void fa_say(enum faas_log_level level, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#define fa_say_error(...) fa_say(FAAS_LOG_ERROR, __VA_ARGS__)

/* Says what is wrong with the command line and ends the program with FA_EXIT_USAGE. */
_Noreturn void fa_usage(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

/* A URL as it may be shown: without what stands before an @, and without a password=. */
void fa_url_shown(char *to, size_t size, const char *url);

/* "listening on URL, MODE, store STORE"; who waits for it in a script takes --print-url. */
void fa_say_ready(const char *url, const char *mode, const char *store_url);

/* Standard output so far is written: FA_EXIT_OK; else says why not: FA_EXIT_ERROR. */
int fa_flush(void);

/* The text of errno value @e: strerror() that is safe to have in a tool, "" never. */
const char *fa_errno_text(int e);
