/* test-modules.c - shared objects in the helper program, and the built-in functions */
#undef NDEBUG
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/limits.h"
#include "pool.h"
#include "th.h"

static const char *module(const char *name) {
        static char path[512];

        cr_assert_not_null(getenv("FAAS_TEST_MODULES"), "run by meson test");
        snprintf(path, sizeof(path), "%s/%s.so", getenv("FAAS_TEST_MODULES"), name);
        return path;
}

static void
expect_refusal(const char *path, bool builtins, int want, const char *a, const char *b) {
        const char *modules[] = {path, NULL};
        struct fa_slots_cfg cfg = {.n_slots = 2, .modules = modules, .builtins = builtins};
        struct fa_slots *s = NULL;
        int fds = th_count_fds();
        int r = fa_slots_open(&s, &cfg);

        cr_assert_eq(r, want, "%d: %s", r, faas_error_text());
        cr_assert_null(s);
        cr_assert_not_null(strstr(faas_error_text(), path), "text: %s", faas_error_text());
        cr_assert_not_null(strstr(faas_error_text(), a), "text: %s", faas_error_text());
        cr_assert_not_null(strstr(faas_error_text(), b), "text: %s", faas_error_text());
        cr_assert_eq(th_count_fds(), fds);
}

Test(modules, good_module_runs_in_the_helper) {
        const char *modules[] = {module("good"), NULL};
        struct fa_slots_cfg cfg = {.n_slots = 2, .modules = modules, .builtins = true};
        struct pool p;
        size_t n;
        int fds = th_count_fds();

        pool_open_cfg(&p, &cfg);
        const char *const *names = fa_slots_functions(p.s, &n);
        cr_assert_eq(n, 2 * 8);
        cr_assert_str_eq(names[0], "noop");
        cr_assert_str_eq(names[7], "hello");
        cr_assert_str_eq(names[8], "noop.map");
        cr_assert_str_eq(names[15], "hello.map");
        pool_give(&p, 1, "hello", "");
        struct fa_slot_event ev = pool_expect(&p, FA_SLOT_RESULT);
        cr_assert_str_eq((const char *)fa_blob_ptr(ev.outcome.payload), "hello");
        fa_outcome_deinit(&ev.outcome);

        /* Another zygote loads it again. */
        kill(fa_slots_zygote_pid(p.s), SIGKILL);
        pool_expect(&p, FA_SLOT_DOWN);
        pool_expect(&p, FA_SLOT_DOWN);
        pool_wait_up(&p, 2);
        pool_give(&p, 0, "hello", "");
        ev = pool_expect(&p, FA_SLOT_RESULT);
        cr_assert_eq(ev.outcome.status, FAAS_COMPLETED);
        fa_outcome_deinit(&ev.outcome);
        fa_slots_close(p.s);
        cr_assert_eq(th_count_fds(), fds);
}

static int nothing(struct faas_call *call) {
        return 0;
}

/* So many names has a pool of n functions of the host, the first with a name of len bytes. */
static size_t names_of(size_t n, int len) {
        static struct faas_function table[FA_FUNCTIONS_MAX + 1];
        static char names[FA_FUNCTIONS_MAX][FA_NAME_MAX + 1];
        struct fa_slots_cfg cfg = {.n_slots = 1, .functions = table};
        struct fa_slots *s = NULL;
        size_t got;

        memset(table, 0, sizeof(table));
        for (size_t i = 0; i < n; i++) {
                (void)snprintf(names[i], sizeof(names[i]), "%0*zu", i ? 3 : len, i);
                table[i] = (struct faas_function){names[i], nothing};
        }
        cr_assert_eq(fa_slots_open(&s, &cfg), 0, "%s", faas_error_text());
        (void)fa_slots_functions(s, &got);
        fa_slots_close(s);
        return got;
}

Test(modules, maps_are_offered_if_all_have_room_and_their_names_too) {
        cr_assert_eq(names_of(FA_FUNCTIONS_MAX / 2, 3), FA_FUNCTIONS_MAX);
        cr_assert_eq(names_of(FA_FUNCTIONS_MAX / 2 + 1, 3), FA_FUNCTIONS_MAX / 2 + 1);
        cr_assert_eq(names_of(FA_FUNCTIONS_MAX, 3), FA_FUNCTIONS_MAX);
        cr_assert_eq(names_of(2, 60), 4);
        cr_assert_eq(names_of(2, 61), 3);
}

Test(modules, module_beside_functions_of_the_host) {
        const char *modules[] = {module("good"), NULL};
        struct fa_slots_cfg cfg = {.n_slots = 1, .modules = modules, .functions = bad_functions};
        struct pool p;

        pool_open_cfg(&p, &cfg);
        pool_give(&p, 0, "hello", "");
        struct fa_slot_event ev = pool_expect(&p, FA_SLOT_RESULT);
        cr_assert_str_eq((const char *)fa_blob_ptr(ev.outcome.payload), "hello");
        fa_outcome_deinit(&ev.outcome);
        fa_slots_close(p.s);
}

Test(modules, missing_file_is_named) {
        expect_refusal("/nonexistent/module.so", false, FAAS_E_NOENT, "No such file", "");
}

Test(modules, file_that_is_no_shared_object_is_named) {
        char path[256];

        snprintf(path, sizeof(path), "%s/text.so", th_temp_dir());
        FILE *f = fopen(path, "w");
        cr_assert_not_null(f);
        fputs("#!/bin/sh\n", f);
        fclose(f);
        expect_refusal(path, false, FAAS_E_NOENT, "", "");
}

Test(modules, shared_object_without_a_table_is_no_module) {
        expect_refusal(module("no-table"), false, FAAS_E_NOENT, "faas_module", "");
}

Test(modules, other_abi_names_both_versions) {
        expect_refusal(module("other-abi"), false, FAAS_E_VERSION, "ABI 42", "wants 1");
}

Test(modules, cut_off_table_is_another_version) {
        expect_refusal(module("small"), false, FAAS_E_VERSION, "4 bytes", "");
}

Test(modules, name_of_a_builtin_names_both_origins) {
        expect_refusal(module("takes-echo"), true, FAAS_E_EXISTS, "function echo", "built-in");
}

Test(modules, bad_name_is_quoted) {
        expect_refusal(module("bad-name"), false, -EINVAL, "\"No Name\"", "");
}

Test(modules, unresolved_symbol_is_named) {
        expect_refusal(module("unresolved"), false, FAAS_E_NOENT, "nobody_has_this", "");
}

/* The second of two, the first of which is fine. */
static void expect_end(const char *name, int want, const char *words) {
        char *bad = strdup(module(name)), *good = strdup(module("good"));
        const char *modules[] = {good, bad, NULL};
        struct fa_slots_cfg cfg = {.n_slots = 1, .modules = modules};
        struct fa_slots *s = NULL;
        int fds = th_count_fds();

        cr_assert_eq(fa_slots_open(&s, &cfg), want, "%s", faas_error_text());
        cr_assert_not_null(strstr(faas_error_text(), bad), "text: %s", faas_error_text());
        cr_assert_not_null(strstr(faas_error_text(), words), "text: %s", faas_error_text());
        cr_assert_eq(th_count_fds(), fds);
        free(bad);
        free(good);
}

Test(modules, constructor_that_exits_is_named) {
        expect_end("exits", -ECHILD, "ended the slots' parent");
}

Test(modules, constructor_that_crashes_is_named) {
        expect_end("crashes", -ECHILD, "ended the slots' parent");
}

Test(modules, constructor_that_hangs_is_named) {
        expect_end("hangs", -ETIMEDOUT, "10 s");
}

/* Only when it is loaded the second time. */
Test(modules, zygote_that_hangs_when_it_is_started_anew_is_given_up) {
        const char *modules[] = {module("sticks"), NULL};
        struct fa_slots_cfg cfg = {.n_slots = 1, .modules = modules, .restart_ms = 300};
        struct pool p;
        char path[256];

        snprintf(path, sizeof(path), "%s/here", th_temp_dir());
        pool_open_cfg(&p, &cfg);
        setenv("FAAS_TEST_STICK", path, 1);
        kill(fa_slots_zygote_pid(p.s), SIGKILL);
        cr_assert_not(pool_expect(&p, FA_SLOT_DOWN).started);
        struct fa_slot_event ev;
        while (!file_exists(path)) {
                struct pollfd fd = {fa_slots_fd(p.s), POLLIN, 0};

                cr_assert_eq(fa_slots_next(p.s, &ev), FAAS_E_AGAIN);
                poll(&fd, 1, 1);
        }
        pid_t stuck = (pid_t)read_number(path);
        unsetenv("FAAS_TEST_STICK");
        pool_expect(&p, FA_SLOT_UP);
        cr_assert(th_gone(stuck, WAIT_MS));
        fa_slots_close(p.s);
}

Test(modules, same_module_twice_is_a_duplicate) {
        const char *modules[] = {module("good"), module("good"), NULL};
        struct fa_slots_cfg cfg = {.n_slots = 1, .modules = modules};
        struct fa_slots *s = NULL;

        cr_assert_eq(fa_slots_open(&s, &cfg), FAAS_E_EXISTS);
}

Test(modules, missing_helper_is_named) {
        struct fa_slots_cfg cfg = {.n_slots = 1, .builtins = true};
        struct fa_slots *s = NULL;
        int fds = th_count_fds();

        setenv("FAAS_SLOTS_HELPER", "/nonexistent/faas-slots", 1);
        cr_assert_eq(fa_slots_open(&s, &cfg), -ENOENT);
        cr_assert_not_null(strstr(faas_error_text(), "/nonexistent/faas-slots"));
        /* A program that is there, but is no helper. */
        setenv("FAAS_SLOTS_HELPER", "/bin/true", 1);
        cr_assert_eq(fa_slots_open(&s, &cfg), -ECHILD);
        cr_assert_eq(th_count_fds(), fds);
}

Test(modules, pool_without_functions_is_refused) {
        struct fa_slots_cfg cfg = {.n_slots = 1};
        struct fa_slots *s = NULL;

        cr_assert_eq(fa_slots_open(&s, &cfg), -EINVAL);
        cr_assert_not_null(strstr(faas_error_text(), "no function"), "%s", faas_error_text());
        cr_assert_null(strstr(faas_error_text(), "slots"), "%s", faas_error_text());
        cfg = (struct fa_slots_cfg){.n_slots = 1025, .builtins = true};
        cr_assert_eq(fa_slots_open(&s, &cfg), -EINVAL);
        cr_assert_not_null(strstr(faas_error_text(), "1025 slots"), "%s", faas_error_text());
}

/* Not where libraries are looked for, and not where the host is later. */
Test(modules, name_without_a_folder_is_a_file_here) {
        const char *modules[] = {"mine.so", NULL};
        struct fa_slots_cfg cfg = {.n_slots = 1, .modules = modules};
        struct pool p;

        cr_assert_eq(chdir(th_temp_dir()), 0);
        cr_assert_eq(symlink(module("good"), "mine.so"), 0);
        pool_open_cfg(&p, &cfg);
        cr_assert_eq(chdir("/"), 0);
        kill(fa_slots_zygote_pid(p.s), SIGKILL);
        pool_expect(&p, FA_SLOT_DOWN);
        pool_wait_up(&p, 1);
        pool_give(&p, 0, "hello", "");
        struct fa_slot_event ev = pool_expect(&p, FA_SLOT_RESULT);
        cr_assert_eq(ev.outcome.status, FAAS_COMPLETED);
        fa_outcome_deinit(&ev.outcome);
        fa_slots_close(p.s);
}

static struct fa_slot_event run_builtin(struct pool *p, const char *function, const char *payload) {
        pool_give(p, 0, function, payload);
        return pool_expect(p, FA_SLOT_RESULT);
}

static void
expect_bytes(struct pool *p, const char *function, const char *payload, const char *want) {
        struct fa_slot_event ev = run_builtin(p, function, payload);

        cr_assert_eq(ev.outcome.status, FAAS_COMPLETED, "%s", outcome_text(&ev));
        cr_assert_str_eq((const char *)fa_blob_ptr(ev.outcome.payload), want);
        fa_outcome_deinit(&ev.outcome);
}

static void
expect_text(struct pool *p, const char *function, const char *payload, const char *want) {
        struct fa_slot_event ev = run_builtin(p, function, payload);

        cr_assert_eq(ev.outcome.failure, FAAS_FAILURE_FUNCTION);
        cr_assert_not_null(strstr(outcome_text(&ev), want), "text: %s", outcome_text(&ev));
        fa_outcome_deinit(&ev.outcome);
}

Test(builtins, do_what_they_say) {
        struct fa_slots_cfg cfg = {.n_slots = 1, .builtins = true};
        struct pool p;

        pool_open_cfg(&p, &cfg);
        expect_bytes(&p, "noop", "anything", "");
        expect_bytes(&p, "echo", "hello", "hello");
        expect_bytes(&p, "echo", "", "");
        expect_bytes(&p, "heavy", "", "333332833333500000");
        expect_bytes(&p, "sleep", "0", "");
        expect_text(&p, "fail", "as you wish", "as you wish");
        const char *nonsense[] = {"x", "-1", "1e3", "1 ", ".", "0x1", "nan", "99999999999"};
        for (size_t i = 0; i < FA_ARRAY_SIZE(nonsense); i++)
                expect_text(&p, "sleep", nonsense[i], nonsense[i]);
        uint64_t start_ns = fa_now();
        expect_bytes(&p, "sleep", "0.05", "");
        cr_assert_geq(fa_now() - start_ns, 50 * FA_NS_PER_MS);
        fa_slots_close(p.s);
}

static void expect_crash(const char *payload, int sig) {
        struct fa_slots_cfg cfg = {.n_slots = 1, .builtins = true};
        struct pool p;

        pool_open_cfg(&p, &cfg);
        pool_give(&p, 0, "crash", payload);
        struct fa_slot_event ev = pool_expect_down(&p, 1, FAAS_FAILURE_CRASHED);
        cr_assert_eq(ev.outcome.code, sig);
        fa_outcome_deinit(&ev.outcome);
        pool_expect_alive(&p);
        fa_slots_close(p.s);
}

Test(builtins, crash_crashes) {
        expect_crash("", SIGSEGV);
        expect_crash("abort", SIGABRT);
}

/* The two that sleep for seconds are asked to be killed instead. */
Test(builtins, sleepers_sleep) {
        const char *sleepers[] = {"sleep", "xheavy"};
        struct fa_slots_cfg cfg = {.n_slots = 1, .builtins = true};
        struct pool p;

        pool_open_cfg(&p, &cfg);
        for (size_t i = 0; i < FA_ARRAY_SIZE(sleepers); i++) {
                uint32_t seq = pool_queue_timed(&p, 0, sleepers[i], 30);
                fa_slots_flush(p.s);
                struct fa_slot_event ev = pool_expect_down(&p, seq, FAAS_FAILURE_TIMEOUT);
                fa_outcome_deinit(&ev.outcome);
                pool_expect_alive(&p);
        }
        fa_slots_close(p.s);
}
