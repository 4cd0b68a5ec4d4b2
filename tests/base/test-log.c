#undef NDEBUG
#include <string.h>

#include <criterion/criterion.h>

#include "base/log.h"

static struct {
        unsigned n;
        enum faas_log_level level;
        char line[2000];
} seen;

static void sink(void *userdata, enum faas_log_level level, const char *line) {
        cr_assert_eq(userdata, &seen);
        seen.n++;
        seen.level = level;
        cr_assert_lt(strlen(line), sizeof(seen.line));
        strcpy(seen.line, line);
}

Test(log, without_a_sink_nothing_happens) {
        fa_log(FAAS_LOG_ERROR, "%s", "nobody listens");
        faas_set_log(sink, &seen, FAAS_LOG_DEBUG);
        faas_set_log(NULL, NULL, FAAS_LOG_DEBUG);
        fa_log(FAAS_LOG_ERROR, "%s", "nobody listens");
        cr_assert_eq(seen.n, 0);
}

Test(log, the_sink_gets_lines_up_to_its_level) {
        faas_set_log(sink, &seen, FAAS_LOG_INFO);
        fa_log(FAAS_LOG_DEBUG, "too much");
        cr_assert_eq(seen.n, 0);
        fa_log(FAAS_LOG_INFO, "worker %d", 7);
        cr_assert_eq(seen.n, 1);
        cr_assert_eq(seen.level, FAAS_LOG_INFO);
        cr_assert_str_eq(seen.line, "worker 7");
        fa_log(FAAS_LOG_ERROR, "worse");
        cr_assert_eq(seen.n, 2);
        cr_assert_eq(seen.level, FAAS_LOG_ERROR);
}

Test(log, a_message_is_one_line_of_bounded_length) {
        char text[2000];

        memset(text, 'x', sizeof(text) - 1);
        text[sizeof(text) - 1] = '\0';
        text[3] = '\n';
        faas_set_log(sink, &seen, FAAS_LOG_INFO);
        fa_log(FAAS_LOG_INFO, "%s", text);
        cr_assert_eq(strlen(seen.line), 1023);
        cr_assert_null(strchr(seen.line, '\n'));
}

Test(log, lines_that_a_peer_can_cause_are_few_each_second_and_the_others_counted) {
        struct fa_log_rate rate = {0};
        unsigned said = 0;

        faas_set_log(sink, &seen, FAAS_LOG_INFO);
        for (int i = 0; i < 1000; i++)
                said += fa_log_rate(&rate, FAAS_LOG_INFO, 5000000000 + (uint64_t)i);
        cr_assert_eq(said, FA_LOG_LINES_MAX);
        cr_assert_eq(seen.n, 0);
        cr_assert(fa_log_rate(&rate, FAAS_LOG_INFO, 6000000000));
        cr_assert_str_eq(seen.line, "990 lines like the next were left out");
        cr_assert(fa_log_rate(&rate, FAAS_LOG_INFO, 7000000000));
        cr_assert_eq(seen.n, 1);
}
