/*
 * options.c - getopt_long() with messages of our own: its are two lines where one is enough, and do
 * not say what was expected
 */
#include "options.h"

#include <assert.h>
#include <getopt.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <faas/version.h>

#include "say.h"

/* Above all letters. */
enum { LONG_FORM = 256, HELP = LONG_FORM + FA_OPTIONS_MAX, VERSION };

struct forms {
        struct option longs[FA_OPTIONS_MAX + 3]; /* and --help, --version, the end */
        char letters[2 * FA_OPTIONS_MAX + 3];    /* ':' in front, 'h', the NUL */
};

static void fill(struct forms *f, const struct fa_option *table) {
        size_t n = 0;
        char *c = f->letters;

        *c++ = ':'; /* tell a missing argument from an unknown option */
        for (; table[n].name; n++) {
                int has = table[n].arg ? required_argument : no_argument;

                assert(n + 1 < FA_OPTIONS_MAX);
                f->longs[n] = (struct option){table[n].name, has, NULL, LONG_FORM + (int)n};
                if (table[n].letter)
                        *c++ = table[n].letter;
                if (table[n].letter && table[n].arg)
                        *c++ = ':';
        }
        *c++ = 'h';
        *c = '\0';
        f->longs[n++] = (struct option){"help", no_argument, NULL, HELP};
        f->longs[n++] = (struct option){"version", no_argument, NULL, VERSION};
        f->longs[n] = (struct option){NULL, 0, NULL, 0};
}

static int row_of(const struct fa_option *table, int value) {
        if (value >= LONG_FORM)
                return value - LONG_FORM;
        for (int i = 0; table[i].name; i++) {
                if (table[i].letter == value)
                        return i;
        }
        return -1;
}

static _Noreturn void print_and_end(const char *text) {
        fputs(text, stdout);
        exit(fa_flush());
}

/* getopt_long() names a letter in optopt, and a long option only as what it has just read. */
static _Noreturn void refuse(char **argv, const struct fa_option *table) {
        const char *word = argv[optind - 1];

        if (optopt >= LONG_FORM) {
                int row = optopt - LONG_FORM;

                fa_usage("--%s takes no argument, but has one in \"%s\"",
                         optopt == HELP      ? "help"
                         : optopt == VERSION ? "version"
                                             : table[row].name,
                         word);
        }
        if (optopt)
                fa_usage("unknown option -%c; --help names those that there are", optopt);
        fa_usage("unknown or ambiguous option \"%s\"; --help names those that there are", word);
}

int fa_options_next(int argc, char **argv, const struct fa_option *table, const char *help) {
        struct forms f;
        int c;

        fill(&f, table);
        opterr = 0;
        optopt = 0;
        c = getopt_long(argc, argv, f.letters, f.longs, NULL); /* NOLINT(concurrency-mt-unsafe) */
        if (c == -1)
                return -1;
        if (c == HELP || c == 'h')
                print_and_end(help);
        if (c == VERSION) {
                printf("libfaas %s\n", faas_version());
                exit(fa_flush());
        }
        if (c == '?')
                refuse(argv, table);
        if (c == ':') {
                const struct fa_option *o = &table[row_of(table, optopt)];

                fa_usage("--%s: its argument is missing; expected --%s %s", o->name, o->name,
                         o->arg);
        }
        return row_of(table, c);
}

/* Digits alone: strtoull() takes blanks, signs and what wraps around.  The first that is none. */
static const char *digits(const char *text, uint64_t *ret) {
        uint64_t v = 0;
        const char *c = text;

        for (; *c >= '0' && *c <= '9'; c++) {
                if (__builtin_mul_overflow(v, 10, &v) ||
                    __builtin_add_overflow(v, (uint64_t)(*c - '0'), &v))
                        return text;
        }
        *ret = v;
        return c;
}

uint64_t fa_option_number(const char *option, const char *text, uint64_t min, uint64_t max) {
        uint64_t v = 0;
        const char *end = digits(text, &v);

        if (end == text || *end || v < min || v > max)
                fa_usage("%s: \"%s\" is not a number from %llu to %llu", option, text,
                         (unsigned long long)min, (unsigned long long)max);
        return v;
}

uint64_t fa_option_bytes(const char *option, const char *text) {
        static const char units[] = "KMG";
        uint64_t v = 0;
        const char *end = digits(text, &v);
        const char *unit = end != text && *end ? strchr(units, *end) : NULL;

        if (unit) {
                uint64_t factor = UINT64_C(1) << 10 * (unit - units + 1);

                end += !__builtin_mul_overflow(v, factor, &v);
        }
        if (end == text || *end || v == 0)
                fa_usage(
                        "%s: \"%s\" is not a number of bytes; expected for example 4096, 64M or 1G",
                        option, text);
        return v;
}

uint32_t fa_option_seconds(const char *option, const char *text) {
        uint64_t whole = 0;
        uint64_t ms = 0;
        const char *end = digits(text, &whole);
        bool some = end != text;

        if (*end == '.') {
                uint64_t unit = 100;

                for (end++; *end >= '0' && *end <= '9'; end++, some = true) {
                        /* What is smaller than a millisecond still is not nothing. */
                        ms += unit ? unit * (uint64_t)(*end - '0') : 0;
                        if (unit == 0 && *end != '0' && ms == 0)
                                ms = 1;
                        unit /= 10;
                }
        }
        /* In milliseconds it has to fit an int, which is what waiting calls take. */
        if (!some || *end || whole > 1000000 || whole * 1000 + ms == 0)
                fa_usage("%s: \"%s\" is not a number of seconds above 0 and up to 1000000", option,
                         text);
        return (uint32_t)(whole * 1000 + ms);
}

enum faas_log_level fa_option_level(const char *option, const char *text) {
        static const char *const names[] = {
                [FAAS_LOG_ERROR] = "error",
                [FAAS_LOG_WARNING] = "warning",
                [FAAS_LOG_INFO] = "info",
                [FAAS_LOG_DEBUG] = "debug",
        };

        for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
                if (strcmp(names[i], text) == 0)
                        return (enum faas_log_level)i;
        }
        fa_usage("%s: \"%s\" is no level; expected error, warning, info or debug", option, text);
}

void fa_option_module(const char **modules, size_t *n, const char *file) {
        if (*n == FA_MODULES_MAX)
                fa_usage("--load: \"%s\" is one too many; at most %d", file, FA_MODULES_MAX);
        modules[(*n)++] = file;
        modules[*n] = NULL;
}
