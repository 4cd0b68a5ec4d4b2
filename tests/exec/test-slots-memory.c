/* test-slots-memory.c - functions under RLIMIT_AS; AddressSanitizer cannot live under it */
#undef NDEBUG
#include <string.h>

#include "pool.h"

static void expect_failure(const char *function, enum faas_failure failure, const char *text) {
        struct pool p;

        pool_open(&p, 1);
        pool_give(&p, 0, function, "");
        struct fa_slot_event ev = pool_expect(&p, FA_SLOT_RESULT);
        cr_assert_eq(ev.outcome.failure, failure);
        cr_assert_not_null(strstr(outcome_text(&ev), text), "text: %s", outcome_text(&ev));
        fa_outcome_deinit(&ev.outcome);
        /* The slot lives, hungry as it is. */
        pool_give(&p, 0, "fail-7", "");
        ev = pool_expect(&p, FA_SLOT_RESULT);
        cr_assert_eq(ev.outcome.code, 7);
        fa_outcome_deinit(&ev.outcome);
        fa_slots_close(p.s);
}

Test(memory, hungry_function_gets_null_from_reserve) {
        expect_failure("hungry", FAAS_FAILURE_FUNCTION, "as it should be");
}

Test(memory, function_that_ignores_lack_of_memory_fails) {
        expect_failure("hungry-and-happy", FAAS_FAILURE_LIMIT, "no memory");
}
