/* lines.h - lines of any length from a descriptor, read only when there is something */
#pragma once

#include <stdbool.h>
#include <stddef.h>

/* A line without its newline; valid until the next fa_lines_fill(). */
struct fa_line {
        const char *p;
        size_t len;
        bool too_long; /* more than FAAS_PAYLOAD_MAX bytes: they were passed over */
};

struct fa_lines {
        int fd;
        char *buf;
        size_t cap;
        size_t start; /* of the line that comes next */
        size_t seen;  /* up to here there is no newline after start */
        size_t end;
        bool skipping; /* inside a line that is too long */
        bool eof;
};

#define FA_LINES_INIT(fd)                                                                          \
        { (fd), NULL, 0, 0, 0, 0, false, false }

void fa_lines_deinit(struct fa_lines *l);

/* The next line that is there as a whole; the last one needs no newline. */
bool fa_lines_next(struct fa_lines *l, struct fa_line *ret);

/* One read().  Only when fa_lines_next() has no more.  Return: 0; -ENOMEM; another errno of read().
 */
int fa_lines_fill(struct fa_lines *l);

/* Newlines from here to the end of a plain file; 0: not known, as of a pipe. */
unsigned long long fa_lines_count(int fd);
