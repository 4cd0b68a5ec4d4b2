#undef NDEBUG
#include <stdarg.h>
#include <string.h>

#include <criterion/criterion.h>

#include "base/macros.h"
#include "base/text.h"

FA_PRINTF(3, 4)
static size_t format(char *buf, size_t size, const char *fmt, ...) {
        va_list args;

        va_start(args, fmt);
        size_t n = fa_text_vformat(buf, size, fmt, args);
        va_end(args);
        cr_assert_eq(n, strlen(buf));
        return n;
}

Test(text, control_characters_become_blanks) {
        char buf[64];

        format(buf, sizeof(buf), "%s", "a\nb\tc\x1b[31md\x7f");
        cr_assert_str_eq(buf, "a b c [31md ");
}

Test(text, eight_bit_control_characters_become_blanks) {
        char buf[64];

        /* U+009B is what ESC [ is to a terminal that takes UTF-8. */
        format(buf, sizeof(buf), "%s",
               "a\xc2\x9b"
               "31m\xc2\x80\xc2\xa0\xc3\x80");
        cr_assert_str_eq(buf, "a  31m  \xc2\xa0\xc3\x80");
}

Test(text, what_fits_is_kept_whole) {
        char buf[6];

        cr_assert_eq(format(buf, sizeof(buf), "%s", "12345"), 5);
        cr_assert_eq(format(buf, sizeof(buf), "%s", "123456"), 5);
        cr_assert_str_eq(buf, "12345");
        cr_assert_eq(format(buf, 1, "%s", "x"), 0);
}

Test(text, a_cut_does_not_split_a_character) {
        char buf[6]; /* five bytes and the NUL */

        format(buf, sizeof(buf), "%s", "abcdé"); /* é has two bytes */
        cr_assert_str_eq(buf, "abcd");
        format(buf, sizeof(buf), "%s", "abcéé");
        cr_assert_str_eq(buf, "abcé");
        format(buf, sizeof(buf), "%s", "abc€x"); /* three bytes */
        cr_assert_str_eq(buf, "abc");
        format(buf, sizeof(buf), "%s", "ab€xy");
        cr_assert_str_eq(buf, "ab€");
        format(buf, sizeof(buf), "%s", "ab😀x"); /* four bytes */
        cr_assert_str_eq(buf, "ab");
}

Test(text, bytes_that_are_no_utf_8_are_cut_anywhere) {
        char buf[6];

        cr_assert_eq(format(buf, sizeof(buf), "%s", "\x80\x80\x80\x80\x80\x80\x80"), 5);
        cr_assert_eq(format(buf, sizeof(buf), "%s", "\xff\xff\xff\xff\xff\xff\xff"), 4);
}
