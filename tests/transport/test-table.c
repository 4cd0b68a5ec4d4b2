/* test-table.c - which transport a name or a URL means, and who may join the table */
#undef NDEBUG
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include <criterion/criterion.h>
#include <faas/error.h>

#include "transport/transport.h"

static int no_open(struct faas_transport **ret, const struct faas_transport_cfg *cfg) {
        return faas_transport_error(-EIO, "no %s today", cfg->url);
}
static void no_close(struct faas_transport *t) {
}
static int no_fd(const struct faas_transport *t) {
        return -1;
}
static int no_recv(struct faas_transport *t, struct faas_transport_event *ret) {
        return FAAS_E_AGAIN;
}
static int no_send(struct faas_transport *t, uint64_t peer, struct faas_message *m) {
        return FAAS_E_GONE;
}

static struct faas_transport_ops ops_named(const char *name, const char *scheme) {
        return (struct faas_transport_ops){
                .struct_size = sizeof(struct faas_transport_ops),
                .version = FAAS_TRANSPORT_VERSION,
                .name = name,
                .scheme = scheme,
                .open = no_open,
                .close = no_close,
                .fd = no_fd,
                .recv = no_recv,
                .send = no_send,
        };
}

Test(table, names_and_schemes_lead_to_their_transport) {
        static struct faas_transport_ops mine;
        struct fa_transport_row row = {0};
        int userdata;

        mine = ops_named("mine", "my-scheme");
        cr_assert_eq(fa_transport_by_name(&row, "push"), 0);
        cr_assert_eq(row.ops, &fa_transport_push);
        cr_assert_eq(fa_transport_by_name(&row, "pull"), 0);
        cr_assert_eq(row.ops, &fa_transport_pull);
        cr_assert_eq(fa_transport_by_url(&row, "ipc:///x"), 0);
        cr_assert_eq(row.ops, &fa_transport_push);
        cr_assert_eq(fa_transport_by_url(&row, "my-scheme://x"), FAAS_E_NOENT);
        cr_assert_eq(faas_transport_register(&mine, &userdata), 0);
        cr_assert_eq(fa_transport_by_url(&row, "my-scheme://x"), 0);
        cr_assert_eq(row.ops, &mine);
        cr_assert_eq(row.userdata, &userdata);
        row = (struct fa_transport_row){0};
        cr_assert_eq(fa_transport_by_name(&row, "mine"), 0);
        cr_assert_eq(row.ops, &mine);
        cr_assert(!fa_transport_at_door(&mine));
        cr_assert(fa_transport_at_door(&fa_transport_pull));
}

Test(table, what_is_unknown_is_said_to_be) {
        struct fa_transport_row row = {0};

        cr_assert_eq(fa_transport_by_name(&row, "pus"), FAAS_E_NOENT);
        cr_assert_not_null(strstr(faas_error_text(), "push, pull"), "%s", faas_error_text());
        cr_assert_eq(fa_transport_by_url(&row, "tc://x"), FAAS_E_NOENT);
        cr_assert_eq(fa_transport_by_url(&row, "://x"), -EINVAL);
        cr_assert_eq(fa_transport_by_url(&row, "x:5"), -EINVAL);
        cr_assert_eq(fa_transport_by_url(&row, NULL), -EINVAL);
        cr_assert_null(row.ops);
}

Test(table, what_is_taken_stays_taken) {
        static struct faas_transport_ops one, other;

        one = ops_named("one", "one");
        cr_assert_eq(faas_transport_register(&one, NULL), 0);
        cr_assert_eq(faas_transport_register(&one, NULL), FAAS_E_EXISTS);
        other = ops_named("other", "one");
        cr_assert_eq(faas_transport_register(&other, NULL), FAAS_E_EXISTS);
        for (unsigned i = 0; i < 4; i++) {
                static const char *const taken[] = {"tcp", "ipc", "inproc", "local"};
                other = ops_named("other", taken[i]);
                cr_assert_eq(faas_transport_register(&other, NULL), FAAS_E_EXISTS);
        }
        other = ops_named("pull", NULL);
        cr_assert_eq(faas_transport_register(&other, NULL), FAAS_E_EXISTS);
        other = ops_named("local", NULL);
        cr_assert_eq(faas_transport_register(&other, NULL), FAAS_E_EXISTS);
}

Test(table, a_table_that_is_not_whole_is_refused) {
        static const char *const bad[] = {
                "", "A", "-a", "1a", "a_b", "a b", "a23456789012345678901234567890123"};
        struct faas_transport_ops ops = ops_named("x", NULL);

        for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
                ops = ops_named(bad[i], NULL);
                cr_assert_eq(faas_transport_register(&ops, NULL), -EINVAL, "%s", bad[i]);
                ops = ops_named("x", bad[i]);
                cr_assert_eq(faas_transport_register(&ops, NULL), -EINVAL, "%s", bad[i]);
        }
        ops = ops_named("x", NULL);
        ops.version = 2;
        cr_assert_eq(faas_transport_register(&ops, NULL), FAAS_E_VERSION);
        ops = ops_named("x", NULL);
        ops.struct_size--;
        cr_assert_eq(faas_transport_register(&ops, NULL), FAAS_E_VERSION);
        ops = ops_named("x", NULL);
        ops.recv = NULL;
        cr_assert_eq(faas_transport_register(&ops, NULL), -EINVAL);
        cr_assert_eq(faas_transport_register(NULL, NULL), -EINVAL);
}

Test(table, there_is_room_for_sixteen) {
        static struct faas_transport_ops ops[17];
        static char names[17][8];

        for (unsigned i = 0; i < 17; i++) {
                snprintf(names[i], sizeof(names[i]), "t%u", i);
                ops[i] = ops_named(names[i], NULL);
                cr_assert_eq(faas_transport_register(&ops[i], NULL), i < 16 ? 0 : FAAS_E_LIMIT);
        }
}

Test(table, an_implementation_can_say_why_it_failed) {
        cr_assert_eq(faas_transport_error(-EIO, "no %s", "luck"), -EIO);
        cr_assert_str_eq(faas_error_text(), "no luck");
}
