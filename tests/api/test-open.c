/* test-open.c - opening and closing a client, modules, options, and what is refused */
#undef NDEBUG
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <criterion/criterion.h>

#include "fn.h"
#include "th.h"

static void refused(const char *url,
                    const struct faas_function *functions,
                    const struct faas_client_cfg *cfg,
                    int expected,
                    const char *words) {
        struct faas_client *c = (struct faas_client *)&c;
        int fds = th_count_fds();
        int r = faas_client_open(&c, url, functions, cfg);

        cr_assert_eq(r, expected, "%d, not %d: %s", r, expected, faas_error_text());
        cr_assert(strstr(faas_error_text(), words), "\"%s\" in: %s", words, faas_error_text());
        cr_assert_eq((void *)c, (void *)&c, "touched");
        cr_assert_eq(th_count_fds(), fds);
}

Test(open, what_is_malformed_is_refused_with_its_name_and_leaves_nothing) {
        struct faas_client_cfg cfg = FAAS_CLIENT_CFG_INIT;

        refused("local:0", fn_table, NULL, -EINVAL, "0 slots");
        refused("local:x", fn_table, NULL, -EINVAL, "\"x\"");
        refused("redis://", fn_table, NULL, FAAS_E_NOENT, "redis:");
        refused("local:2000", fn_table, NULL, FAAS_E_LIMIT, "1024");
        refused(NULL, fn_table, NULL, -EINVAL, "NULL");
        refused("local:1", NULL, NULL, -EINVAL, "function");
        cfg.flags = 0x80;
        refused("local:1", fn_table, &cfg, -EINVAL, "0x80");
        cfg = (struct faas_client_cfg){0};
        refused("local:1", fn_table, &cfg, -EINVAL, "struct_size");
        cr_assert_eq(faas_client_open(NULL, "local:1", fn_table, NULL), -EINVAL);
}

Test(open, a_bad_table_of_functions_is_refused) {
        static int (*const f)(struct faas_call *) = NULL;
        const struct faas_function twice[] = {fn_table[0], fn_table[0], {NULL, NULL}};
        const struct faas_function name[] = {{"No Good", fn_table[0].fn}, {NULL, NULL}};
        const struct faas_function none[] = {{"none", f}, {NULL, NULL}};

        refused("local:1", twice, NULL, FAAS_E_EXISTS, "upper");
        refused("local:1", name, NULL, -EINVAL, "No Good");
        refused("local:1", none, NULL, -EINVAL, "none");
}

Test(open, a_newer_cfg_is_taken_as_long_as_it_asks_for_nothing_new) {
        struct {
                struct faas_client_cfg cfg;
                uint64_t more;
        } newer = {FAAS_CLIENT_CFG_INIT, 0};
        struct faas_client *c = NULL;

        newer.cfg.struct_size = sizeof(newer);
        cr_assert_eq(faas_client_open(&c, "local:1", fn_table, &newer.cfg), 0);
        fn_works(c);
        faas_client_close(c);
        newer.more = 1;
        refused("local:1", fn_table, &newer.cfg, -EINVAL, "newer");
}

Test(open, open_and_close_leave_no_descriptor_and_no_process) {
        int fds = th_count_fds();

        for (int i = 0; i < 3; i++) {
                struct faas_client *c = fn_open(3, NULL);
                fn_works(c);
                cr_assert_null(faas_client_close(c));
                cr_assert_eq(th_count_fds(), fds);
        }
        cr_assert_null(faas_client_close(NULL));
}

Test(open, without_a_number_there_is_a_slot_per_cpu) {
        struct faas_client *c = NULL;

        cr_assert_eq(faas_client_open(&c, "local:", fn_table, NULL), 0, "%s", faas_error_text());
        fn_works(c);
        faas_client_close(c);
}

Test(open, builtins_are_there_when_asked_for) {
        struct faas_client_cfg cfg = FAAS_CLIENT_CFG_INIT;
        struct faas_result r = FAAS_RESULT_INIT;
        struct faas_client *c;

        cfg.flags = FAAS_CLIENT_BUILTINS;
        c = fn_open(1, &cfg);
        fn_run(c, "echo", "again", &r);
        cr_assert_str_eq(r.payload, "again");
        fn_run(c, "noop", NULL, &r);
        cr_assert_eq(r.payload_len, 0);
        cr_assert_str_eq(r.payload, "");
        faas_result_clear(&r);
        fn_works(c);
        faas_client_close(c);
}

Test(open, a_module_brings_functions) {
        struct faas_result r = FAAS_RESULT_INIT;
        struct faas_client *c = NULL;
        int answer;

        cr_assert_eq(faas_client_open(&c, "local:2?load=" MODULE_DIR "/module-good.so", NULL, NULL),
                     0, "%s", faas_error_text());
        fn_run(c, "answer", NULL, &r);
        cr_assert_eq(r.status, FAAS_COMPLETED);
        cr_assert_eq(r.payload_len, sizeof(answer));
        memcpy(&answer, r.payload, sizeof(answer));
        cr_assert_eq(answer, 42);
        faas_result_clear(&r);
        faas_client_close(c);
}

Test(open, modules_and_the_programs_functions_go_together) {
        struct faas_result r = FAAS_RESULT_INIT;
        struct faas_client *c = NULL;

        cr_assert_eq(
                faas_client_open(&c, "local:2?load=" MODULE_DIR "/module-good.so", fn_table, NULL),
                0, "%s", faas_error_text());
        fn_run(c, "answer", NULL, &r);
        cr_assert_eq(r.status, FAAS_COMPLETED);
        faas_result_clear(&r);
        fn_works(c);
        faas_client_close(c);
}

Test(open, a_bad_module_is_refused_with_its_name) {
        refused("local:1?load=/nowhere/to/be.so", NULL, NULL, FAAS_E_NOENT, "/nowhere/to/be.so");
        refused("local:1?load=" MODULE_DIR "/module-empty.so", NULL, NULL, FAAS_E_NOENT,
                "module-empty.so");
        refused("local:1?load=" MODULE_DIR "/module-abi.so", NULL, NULL, FAAS_E_VERSION,
                "module-abi.so");
        refused("local:1?load=" MODULE_DIR "/module-good.so&load=" MODULE_DIR "/module-twice.so",
                NULL, NULL, FAAS_E_EXISTS, "answer");
}

Test(open, two_clients_live_side_by_side) {
        struct faas_client *a = fn_open(1, NULL), *b = fn_open(2, NULL);
        struct faas_id id = fn_submit(a, "upper", "mine");
        struct faas_result r = FAAS_RESULT_INIT;

        cr_assert_eq(faas_wait(b, &id, 0, &r), FAAS_E_NOENT);
        fn_works(b);
        faas_client_close(b);
        cr_assert_eq(faas_wait(a, &id, -1, &r), 0);
        cr_assert_str_eq(r.payload, "MINE");
        faas_result_clear(&r);
        faas_client_close(a);
}
