/*
 * leak.c - tests with planted errors: check-leak.sh demands that each but the first is noticed
 */
#undef NDEBUG
#include <limits.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

#include <criterion/criterion.h>

static void *volatile lost;
static volatile int most = INT_MAX;

static void leak(void) {
        lost = malloc(1234);
        lost = NULL;
}

static int status_of(pid_t pid) {
        int status = 0;

        cr_assert_eq(waitpid(pid, &status, 0), pid);
        return status;
}

/* That a slot dies of a signal is no error, and the signal must be seen. */
Test(planted, nothing) {
        pid_t pid = fork();

        if (pid == 0)
                raise(SIGSEGV);
        int status = status_of(pid);
        cr_assert(WIFSIGNALED(status));
        cr_assert_eq(WTERMSIG(status), SIGSEGV);
}

Test(planted, leak) {
        leak();
}

/* Of a child at whose status nobody looks, like a slot's. */
Test(planted, leak_in_child) {
        pid_t pid = fork();

        if (pid == 0) {
                leak();
                exit(0);
        }
        status_of(pid);
}

Test(planted, use_after_free_in_child) {
        pid_t pid = fork();

        if (pid == 0) {
                char *volatile p = malloc(8);
                free(p);
                _exit(p[0]);
        }
        status_of(pid);
}

Test(planted, overflow_in_child) {
        pid_t pid = fork();

        if (pid == 0) {
                most++;
                _exit(0);
        }
        status_of(pid);
}
