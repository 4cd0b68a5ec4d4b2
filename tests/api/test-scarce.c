/* test-scarce.c - a client that cannot have what it needs says so, and leaves the program as it was
 */
#undef NDEBUG
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <criterion/criterion.h>

#include "fn.h"
#include "th.h"

/* Every number of descriptors that is not enough. */
Test(scarce, open_without_descriptors_is_emfile_and_leaves_none_open) {
        struct faas_client *c = NULL;
        int fds = th_count_fds();
        struct rlimit old;
        int n_refused = 0;
        int r = -1;

        cr_assert_eq(getrlimit(RLIMIT_NOFILE, &old), 0);
        int next = dup(0);
        close(next);
        for (int more = 0; r != 0; more++) {
                struct rlimit few = {(rlim_t)(next + more), old.rlim_max};

                cr_assert_lt(more, 100);
                cr_assert_eq(setrlimit(RLIMIT_NOFILE, &few), 0);
                r = faas_client_open(&c, "local:2", fn_table, NULL);
                cr_assert_eq(setrlimit(RLIMIT_NOFILE, &old), 0);
                if (r == 0)
                        break;
                n_refused++;
                cr_assert_eq(r, -EMFILE, "%s (%s)", faas_strerror(r), faas_error_text());
                cr_assert(strstr(faas_error_text(), strerror(EMFILE)), "%s", faas_error_text());
                cr_assert_null(c);
                cr_assert_eq(th_count_fds(), fds);
        }
        cr_assert_gt(n_refused, 5);
        fn_works(c);
        faas_client_close(c);
        cr_assert_eq(th_count_fds(), fds);
}

/* As a user of its own who may have so many processes; a line number, or 0. */
static int refused_then_works(rlim_t n_processes) {
        struct rlimit few = {n_processes, 100};
        struct rlimit enough = {100, 100};
        struct faas_client *c = NULL;
        struct faas_result result = FAAS_RESULT_INIT;
        struct faas_task task = {.function = "upper", .payload = "on", .payload_len = 2};
        struct faas_id id;
        int fds = th_count_fds();

        uid_t uid = 2000000 + (uid_t)getpid();
        if (setrlimit(RLIMIT_NPROC, &few) < 0 || setgid(uid) < 0 || setuid(uid) < 0)
                return __LINE__;
        if (faas_client_open(&c, "local:2", fn_table, NULL) != -EAGAIN || c)
                return __LINE__;
        if (!strstr(faas_error_text(), "fork") || !strstr(faas_error_text(), strerror(EAGAIN)))
                return __LINE__;
        if (th_count_fds() != fds || waitpid(-1, NULL, WNOHANG) != -1 || errno != ECHILD)
                return __LINE__;

        if (setrlimit(RLIMIT_NPROC, &enough) < 0)
                return __LINE__;
        if (faas_client_open(&c, "local:2", fn_table, NULL) != 0)
                return __LINE__;
        if (faas_submit(c, &task, &id) != 0 || faas_wait(c, &id, 20000, &result) != 0 ||
            result.payload_len != 2 || memcmp(result.payload, "ON", 2) != 0)
                return __LINE__;
        faas_result_clear(&result);
        faas_client_close(c);
        return th_count_fds() == fds ? 0 : __LINE__;
}

static void check_refused(rlim_t n_processes) {
        int status;

        cr_assert_eq(getuid(), 0, "this test changes its user, and must be root");
        pid_t pid = fork();
        cr_assert_geq(pid, 0);
        if (pid == 0) {
                int line = refused_then_works(n_processes);
                _exit(line > 255 ? 255 : line);
        }
        cr_assert_eq(waitpid(pid, &status, 0), pid);
        cr_assert(WIFEXITED(status), "status %#x", status);
        cr_assert_eq(WEXITSTATUS(status), 0, "line %d", WEXITSTATUS(status));
}

Test(scarce, open_without_a_process_is_eagain_and_works_once_there_is_one) {
        check_refused(1); /* the program alone */
}

Test(scarce, open_without_a_second_process_is_eagain_as_well) {
        check_refused(2); /* and the one that is to fork the slots' parent */
}
