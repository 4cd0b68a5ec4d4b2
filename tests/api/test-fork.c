/* test-fork.c - the host forks: the child has no client, the parent's is not harmed */
#undef NDEBUG
#include <errno.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <criterion/criterion.h>

#include "fn.h"

/* What a child of the host finds; the exit status is the number of the check that failed. */
static int child(struct faas_client *c, struct faas_id id) {
        const struct faas_task t = {.function = "upper"};
        struct faas_result r = FAAS_RESULT_INIT;
        enum faas_status status;

        if (faas_submit(c, &t, NULL) != FAAS_E_FORKED)
                return 1;
        if (faas_submit_many(c, &t, 1, NULL, NULL) != FAAS_E_FORKED)
                return 2;
        if (faas_wait(c, &id, 0, &r) != FAAS_E_FORKED)
                return 3;
        if (faas_wait_any(c, -1, &r) != FAAS_E_FORKED)
                return 4;
        if (faas_status(c, &id, &status) != FAAS_E_FORKED)
                return 5;
        if (faas_result(c, &id, &r) != FAAS_E_FORKED)
                return 6;
        if (faas_cancel(c, &id) != FAAS_E_FORKED)
                return 7;
        if (faas_client_process(c) != FAAS_E_FORKED || faas_client_fd(c) != -EINVAL)
                return 8;
        if (!strstr(faas_error_text(), "forked"))
                return 9;
        if (faas_client_close(c))
                return 10;
        return 0;
}

Test(fork, in_a_child_every_call_says_so_and_close_leaves_the_parents_slots_alone) {
        struct faas_client *c = fn_open(2, NULL);
        struct faas_result r = FAAS_RESULT_INIT;
        struct fn_gate g;
        int status;

        fn_gate_make(&g, "gate");
        struct faas_id id = fn_submit(c, "gate", g.path);
        fn_gate_reached(&g, c);
        pid_t pid = fork();
        if (pid == 0)
                _exit(child(c, id));
        cr_assert_eq(waitpid(pid, &status, 0), pid);
        cr_assert(WIFEXITED(status));
        cr_assert_eq(WEXITSTATUS(status), 0, "check %d", WEXITSTATUS(status));
        fn_gate_open(&g, c);
        cr_assert_eq(faas_wait(c, &id, -1, &r), 0);
        cr_assert_eq(r.status, FAAS_COMPLETED);
        cr_assert_eq(r.strikes, 0, "the same slot went on");
        for (int i = 0; i < 100; i++)
                fn_works(c);
        faas_result_clear(&r);
        faas_client_close(c);
}

Test(fork, a_child_may_open_a_client_of_its_own) {
        struct faas_client *c = fn_open(1, NULL);
        int status;

        pid_t pid = fork();
        if (pid == 0) {
                struct faas_client *own = NULL;
                faas_client_close(c);
                if (faas_client_open(&own, "local:1", fn_table, NULL))
                        _exit(1);
                fn_works(own);
                faas_client_close(own);
                _exit(0);
        }
        cr_assert_eq(waitpid(pid, &status, 0), pid);
        cr_assert_eq(status, 0);
        fn_works(c);
        faas_client_close(c);
}

/* The host's waitpid(-1) finds its own children, and none of ours. */
Test(fork, the_host_has_no_child_of_the_librarys) {
        struct faas_client *c = fn_open(3, NULL);

        fn_works(c);
        cr_assert_eq(waitpid(-1, NULL, WNOHANG), -1);
        cr_assert_eq(errno, ECHILD);
        faas_client_close(c);
        cr_assert_eq(waitpid(-1, NULL, WNOHANG), -1);
        cr_assert_eq(errno, ECHILD);
}
