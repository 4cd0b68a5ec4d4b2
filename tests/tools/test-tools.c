/* test-tools.c - the helpers of the programs: lines of any length, JSON */
#undef NDEBUG
#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <faas/task.h>

#include "json.h"
#include "lines.h"
#include "say.h"

/* What fa_json_bytes() writes; the caller frees it. */
static char *json(const void *p, size_t len) {
        char *text = NULL;
        size_t size;
        FILE *f = open_memstream(&text, &size);

        cr_assert_not_null(f);
        fa_json_bytes(f, "k", p, len);
        cr_assert_eq(fclose(f), 0);
        return text;
}

static void expect_json(const void *p, size_t len, const char *expected) {
        char *text = json(p, len);

        cr_assert_str_eq(text, expected);
        free(text);
}

Test(json, text_is_escaped_and_bytes_are_base64) {
        expect_json("", 0, "\"k\":\"\"");
        expect_json("a\"b\\c\n\t\0\x7f", 9, "\"k\":\"a\\\"b\\\\c\\n\\u0009\\u0000\\u007f\"");
        expect_json("\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80", 9,
                    "\"k\":\"\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80\"");
        expect_json("\xff", 1, "\"k_base64\":\"/w==\"");
        expect_json("\xff\xfe", 2, "\"k_base64\":\"//4=\"");
        expect_json("\xff\xfe\xfd", 3, "\"k_base64\":\"//79\"");
        expect_json("\xff\xfe\xfd\xfc", 4, "\"k_base64\":\"//79/A==\"");
}

Test(json, only_well_formed_utf8_is_text) {
        static const char *const bad[] = {
                "\x80",
                "\xc0\x80",
                "\xc1\xbf",
                "\xc3",
                "\xe0\x9f\xbf",
                "\xed\xa0\x80",
                "\xe2\x82",
                "\xf0\x8f\xbf\xbf",
                "\xf4\x90\x80\x80",
                "\xf5\x80\x80\x80",
                "\xc3(",
                "\xe2\x28\xa1",
        };
        static const char *const good[] = {
                "\x7f",         "\xc2\x80",         "\xdf\xbf",
                "\xe0\xa0\x80", "\xed\x9f\xbf",     "\xee\x80\x80",
                "\xef\xbf\xbf", "\xf0\x90\x80\x80", "\xf4\x8f\xbf\xbf",
        };

        for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
                cr_assert(!fa_json_utf8(bad[i], strlen(bad[i])), "bad %zu", i);
        for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
                cr_assert(fa_json_utf8(good[i], strlen(good[i])), "good %zu", i);
}

static void feed(int fd, const char *text) {
        cr_assert_eq(write(fd, text, strlen(text)), (ssize_t)strlen(text));
}

static void expect_line(struct fa_lines *l, const char *text) {
        struct fa_line line;

        cr_assert(fa_lines_next(l, &line));
        cr_assert(!line.too_long);
        cr_assert_eq(line.len, strlen(text));
        cr_assert_arr_eq(line.p, text, line.len);
}

Test(lines, a_line_is_given_when_it_is_whole) {
        struct fa_line line;
        int p[2];

        cr_assert_eq(pipe2(p, O_CLOEXEC), 0);
        struct fa_lines l = FA_LINES_INIT(p[0]);
        cr_assert(!fa_lines_next(&l, &line));
        feed(p[1], "one\n\ntw");
        cr_assert_eq(fa_lines_fill(&l), 0);
        expect_line(&l, "one");
        expect_line(&l, "");
        cr_assert(!fa_lines_next(&l, &line));
        feed(p[1], "o\nlast");
        cr_assert_eq(fa_lines_fill(&l), 0);
        expect_line(&l, "two");
        cr_assert(!fa_lines_next(&l, &line));
        close(p[1]);
        cr_assert_eq(fa_lines_fill(&l), 0);
        expect_line(&l, "last");
        cr_assert(!fa_lines_next(&l, &line));
        fa_lines_deinit(&l);
        close(p[0]);
}

/* Reads a file that holds @len bytes 'x', a newline, and "next". */
static void expect_limit(size_t len, bool too_long) {
        char name[] = "/tmp/faas-lines-XXXXXX";
        int fd = mkstemp(name);
        struct fa_line line;
        char *text = malloc(len + 6);

        cr_assert(fd >= 0 && text);
        cr_assert_eq(unlink(name), 0);
        memset(text, 'x', len);
        memcpy(text + len, "\nnext", 6);
        cr_assert_eq(write(fd, text, len + 5), (ssize_t)len + 5);
        cr_assert_eq(lseek(fd, 0, SEEK_SET), 0);
        cr_assert_eq(fa_lines_count(fd), 2);
        struct fa_lines l = FA_LINES_INIT(fd);
        while (!fa_lines_next(&l, &line))
                cr_assert_eq(fa_lines_fill(&l), 0);
        cr_assert_eq(line.too_long, too_long);
        cr_assert(too_long || line.len == len);
        while (!l.eof)
                cr_assert_eq(fa_lines_fill(&l), 0);
        expect_line(&l, "next");
        cr_assert(!fa_lines_next(&l, &line));
        cr_assert(l.cap <= 4 * (size_t)FAAS_PAYLOAD_MAX);
        fa_lines_deinit(&l);
        close(fd);
        free(text);
}

Test(lines, a_line_over_the_limit_is_passed_over_in_little_memory) {
        expect_limit(FAAS_PAYLOAD_MAX, false);
        expect_limit((size_t)FAAS_PAYLOAD_MAX + 1, true);
        expect_limit(5 * (size_t)FAAS_PAYLOAD_MAX, true);
}

Test(lines, what_cannot_be_read_is_an_error) {
        struct fa_lines l = FA_LINES_INIT(-1);

        cr_assert_eq(fa_lines_fill(&l), -EBADF);
        fa_lines_deinit(&l);
        int fd = open("/", O_RDONLY | O_CLOEXEC);
        l = (struct fa_lines)FA_LINES_INIT(fd);
        cr_assert_eq(fa_lines_fill(&l), -EISDIR);
        cr_assert_eq(fa_lines_count(fd), 0);
        fa_lines_deinit(&l);
        close(fd);
}

static void expect_shown(const char *url, const char *expected) {
        char text[256];

        fa_url_shown(text, sizeof(text), url);
        cr_assert_str_eq(text, expected, "%s: %s", url, text);
}

Test(url, is_shown_without_user_and_password) {
        expect_shown("memory:", "memory:");
        expect_shown("redis://h:1/2?prefix=a", "redis://h:1/2?prefix=a");
        expect_shown("redis://:hush@h", "redis://h");
        expect_shown("redis://u:hu@sh@h:1/2", "redis://h:1/2");
        expect_shown("redis://h?password=hush", "redis://h?password=");
        expect_shown("redis://h?password=hush&db=1", "redis://h?password=&db=1");
        expect_shown("redis+unix://u:hush@/a@b?db=1", "redis+unix:///a@b?db=1");
        expect_shown("redis+unix:///a@b", "redis+unix:///a@b");
}
