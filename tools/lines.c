/*
 * lines.c - a line reader that never waits for more than it has: stdio would block for a full
 * buffer while results wait to be printed
 */
#include "lines.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <faas/task.h>

enum { FIRST_SIZE = 65536 };

void fa_lines_deinit(struct fa_lines *l) {
        free(l->buf);
        *l = (struct fa_lines)FA_LINES_INIT(-1);
}

bool fa_lines_next(struct fa_lines *l, struct fa_line *ret) {
        char *newline = l->end > l->seen ? memchr(l->buf + l->seen, '\n', l->end - l->seen) : NULL;

        if (!newline) {
                l->seen = l->end;
                if (!l->eof || (l->start == l->end && !l->skipping))
                        return false;
        }
        size_t stop = newline ? (size_t)(newline - l->buf) : l->end;
        size_t len = stop - l->start;
        *ret = (struct fa_line){.p = l->buf + l->start,
                                .len = len,
                                .too_long = l->skipping || len > FAAS_PAYLOAD_MAX};
        l->skipping = false;
        l->start = l->seen = newline ? stop + 1 : stop;
        return true;
}

/* Room behind end: by moving what is left to the front, or by growing. */
static int make_room(struct fa_lines *l) {
        if (l->end - l->start > FAAS_PAYLOAD_MAX) {
                l->skipping = true;
                l->start = l->end;
        }
        if (l->start > 0) {
                memmove(l->buf, l->buf + l->start, l->end - l->start);
                l->end -= l->start;
                l->start = 0;
        }
        l->seen = l->end;
        if (l->end < l->cap)
                return 0;
        size_t cap = l->cap ? 2 * l->cap : FIRST_SIZE;
        char *buf = realloc(l->buf, cap);
        if (!buf)
                return -ENOMEM;
        l->buf = buf;
        l->cap = cap;
        return 0;
}

int fa_lines_fill(struct fa_lines *l) {
        ssize_t n;
        int r = make_room(l);

        if (r)
                return r;
        do {
                n = read(l->fd, l->buf + l->end, l->cap - l->end);
        } while (n < 0 && errno == EINTR);
        /* Somebody who shares the descriptor may have made it non-blocking: ask again later. */
        if (n < 0)
                return errno == EAGAIN ? 0 : -errno;
        l->end += (size_t)n;
        l->eof = n == 0;
        return 0;
}

unsigned long long fa_lines_count(int fd) {
        static char block[FIRST_SIZE];
        struct stat st;
        off_t at = lseek(fd, 0, SEEK_CUR);
        unsigned long long lines = 0;
        char last = '\n';
        ssize_t n;

        if (at < 0 || fstat(fd, &st) < 0 || !S_ISREG(st.st_mode))
                return 0;
        for (; (n = pread(fd, block, sizeof(block), at)) > 0; at += n) {
                for (const char *c = block; (c = memchr(c, '\n', (size_t)(block + n - c))); c++)
                        lines++;
                last = block[n - 1];
        }
        return lines + (last != '\n');
}
