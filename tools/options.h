/* options.h - command lines by one table per program, and messages that name what was wrong */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include <faas/log.h>

/* One option.  The tables end with a row without a name. */
struct fa_option {
        const char *name; /* the long form, without "--" */
        char letter;      /* the short form; 0: none */
        const char *arg;  /* what its argument is called; NULL: it takes none */
};

/* At most so many rows in a table, the last one included. */
enum { FA_OPTIONS_MAX = 32 };

/*
 * The next option: its row's number, and its argument in optarg; -1 when there are no more, and
 * argv[optind] is the first of the other arguments.  --help and --version need no row: they print
 * and end the program, and so does what is wrong.
 */
int fa_options_next(int argc, char **argv, const struct fa_option *table, const char *help);

/* The argument of @option as a number of @min to @max, or the end with FA_EXIT_USAGE. */
uint64_t fa_option_number(const char *option, const char *text, uint64_t min, uint64_t max);

/* The same for bytes; K, M and G behind the digits mean 2^10, 2^20 and 2^30. */
uint64_t fa_option_bytes(const char *option, const char *text);

/* Seconds as a decimal number, fractions allowed, above 0, in milliseconds rounded up. */
uint32_t fa_option_seconds(const char *option, const char *text);

enum faas_log_level fa_option_level(const char *option, const char *text);

/* --load: one more row in front of the NULL at the end of @modules, of FA_MODULES_MAX + 1. */
enum { FA_MODULES_MAX = 64 };
void fa_option_module(const char **modules, size_t *n, const char *file);
