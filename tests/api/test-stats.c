/* test-stats.c - what a client of its own slots tells of the dispatcher inside it */
#undef NDEBUG
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <criterion/criterion.h>

#include "fn.h"

Test(stats, local_counts_its_tasks_and_lists_its_slots_as_one_worker) {
        struct faas_client *c = fn_open(3, NULL);
        struct faas_result r = FAAS_RESULT_INIT;
        struct faas_worker_info *workers = NULL;
        struct faas_stats stats;
        struct faas_id id;
        size_t n = 0;

        fn_works(c);
        fn_run(c, "fails", "x", &r);
        id = fn_submit(c, "upper", "y");
        if (faas_cancel(c, &id) == 0)
                cr_assert_eq(faas_wait(c, &id, -1, &r), 0);
        cr_assert_eq(faas_client_stats(c, &stats), 0, "%s", faas_error_text());
        cr_assert_eq(stats.accepted, 3);
        cr_assert_eq(stats.failed, 1);
        cr_assert_eq(stats.completed + stats.cancelled, 2);
        cr_assert_eq(stats.workers, 1);
        cr_assert_eq(stats.slots, 3);
        cr_assert_eq(stats.clients, 1);
        cr_assert_eq(faas_client_workers(c, &workers, &n), 0, "%s", faas_error_text());
        cr_assert_eq(n, 1);
        cr_assert_eq(workers[0].n_slots, 3);
        cr_assert_geq(workers[0].done, 2);
        free(workers);
        faas_result_clear(&r);
        faas_client_close(c);
}

Test(stats, missing_arguments_are_refused) {
        struct faas_client *c = fn_open(1, NULL);
        struct faas_worker_info *workers;
        struct faas_stats stats;
        size_t n;

        cr_assert_eq(faas_client_stats(NULL, &stats), -EINVAL);
        cr_assert_eq(faas_client_stats(c, NULL), -EINVAL);
        cr_assert_eq(faas_client_workers(c, NULL, &n), -EINVAL);
        cr_assert_eq(faas_client_workers(c, &workers, NULL), -EINVAL);
        faas_client_close(c);
}
