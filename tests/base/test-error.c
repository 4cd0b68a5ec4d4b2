#undef NDEBUG
#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <string.h>

#include <criterion/criterion.h>

#include "base/error.h"

Test(error, every_condition_has_a_text_of_its_own) {
        for (int i = 0; i < _FAAS_E_N; i++) {
                cr_assert_str_not_empty(faas_strerror(i));
                cr_assert_str_neq(faas_strerror(i), "unknown error", "no text for %d", i);
                for (int j = 0; j < i; j++)
                        cr_assert_str_neq(faas_strerror(i), faas_strerror(j), "%d and %d", i, j);
        }
}

Test(error, a_negative_errno_has_the_systems_text) {
        cr_assert_str_eq(faas_strerror(-ENOMEM), strerror(ENOMEM));
        cr_assert_str_eq(faas_strerror(-EINVAL), strerror(EINVAL));
}

Test(error, unknown_values_say_so) {
        cr_assert_str_eq(faas_strerror(_FAAS_E_N), "unknown error");
        cr_assert_str_eq(faas_strerror(INT_MAX), "unknown error");
        cr_assert_str_eq(faas_strerror(INT_MIN), "unknown error");
        cr_assert_str_eq(faas_strerror(-99999), "unknown error");
}

Test(error, the_text_is_empty_before_the_first_failure) {
        cr_assert_str_empty(faas_error_text());
}

Test(error, the_last_text_is_kept_and_the_value_handed_through) {
        cr_assert_eq(fa_error(FAAS_E_LIMIT, "%d bytes, at most %d", 9, 8), FAAS_E_LIMIT);
        cr_assert_str_eq(faas_error_text(), "9 bytes, at most 8");
        cr_assert_eq(fa_errno(ENOENT, "cannot open %s", "x.so"), -ENOENT);
        cr_assert_str_eq(faas_error_text(), "cannot open x.so: No such file or directory");
}

Test(error, a_text_may_quote_the_one_before) {
        fa_error(FAAS_E_PROTO, "bad length");
        fa_error(FAAS_E_PROTO, "worker 7: %s", faas_error_text());
        cr_assert_str_eq(faas_error_text(), "worker 7: bad length");
}

Test(error, long_texts_are_cut) {
        char text[2000];

        memset(text, 'x', sizeof(text) - 1);
        text[sizeof(text) - 1] = '\0';
        fa_error(FAAS_E_LIMIT, "%s", text);
        cr_assert_eq(strlen(faas_error_text()), 511);
        fa_errno(ENOMEM, "%s", text);
        cr_assert_eq(strlen(faas_error_text()), 511);
}

static void *other_thread(void *arg) {
        cr_assert_str_empty(faas_error_text());
        fa_error(FAAS_E_GONE, "theirs");
        return NULL;
}

Test(error, each_thread_has_its_own_text) {
        pthread_t thread;

        fa_error(FAAS_E_GONE, "mine");
        cr_assert_eq(pthread_create(&thread, NULL, other_thread, NULL), 0);
        cr_assert_eq(pthread_join(thread, NULL), 0);
        cr_assert_str_eq(faas_error_text(), "mine");
}

Test(error, a_text_said_aside_leaves_the_callers_own) {
        fa_error(FAAS_E_GONE, "mine");
        fa_error_aside(true);
        fa_error(FAAS_E_PROTO, "a peer's");
        cr_assert_str_eq(faas_error_text(), "a peer's");
        fa_error_aside(false);
        cr_assert_str_eq(faas_error_text(), "mine");
}
