/* test-open.c - the table of back-ends: what is opened by which URL, and the wrappers' defaults */
#undef NDEBUG
#include <errno.h>
#include <string.h>

#include <criterion/criterion.h>

#include "base/clock.h"
#include "store/store.h"

/* Opening fails so, with a text that names the URL and what was wrong; *ret is untouched. */
static void expect_refused(const char *url, int want, const char *text) {
        struct fa_store *s = (struct fa_store *)&s;
        int r = fa_store_open(&s, url, NULL);

        cr_assert_eq(r, want, "%s: %d", url, r);
        cr_assert_eq((void *)s, (void *)&s);
        cr_assert(strstr(faas_error_text(), text), "%s: %s", url, faas_error_text());
        if (*url)
                cr_assert(strstr(faas_error_text(), url), "%s: %s", url, faas_error_text());
}

Test(store_open, a_url_without_a_scheme_is_refused_with_an_example) {
        expect_refused("", -EINVAL, "memory:");
        expect_refused("memory", -EINVAL, "expected SCHEME:");
        expect_refused("/tmp/store", -EINVAL, "expected SCHEME:");
}

Test(store_open, an_unknown_scheme_is_refused_with_those_that_are_known) {
        expect_refused("mem:", FAAS_E_NOENT, "known: memory:");
        expect_refused("memoryx:", FAAS_E_NOENT, "known: memory:");
        expect_refused("MEMORY:", FAAS_E_NOENT, "known: memory:");
        expect_refused("rabbit://localhost", FAAS_E_NOENT, "unknown scheme");
        expect_refused(":", FAAS_E_NOENT, "unknown scheme");
        expect_refused("://", FAAS_E_NOENT, "unknown scheme");
}

Test(store_open, the_memory_store_takes_nothing_behind_its_scheme) {
        expect_refused("memory:1", -EINVAL, "nothing may follow memory:");
        expect_refused("memory://", -EINVAL, "nothing may follow memory:");
}

Test(store_open, a_store_opens_without_a_configuration_and_needs_no_polling) {
        struct fa_store *s = NULL;

        cr_assert_eq(fa_store_open(&s, "memory:", NULL), 0);
        cr_assert_eq(fa_store_fd(s), -1);
        cr_assert_eq(fa_store_deadline(s), FA_NEVER);
        cr_assert_null(fa_store_reap(s, 0));
        fa_store_tick(s, 1);
        cr_assert_null(fa_store_close(s));
        cr_assert_null(fa_store_close(NULL));
}
