#undef NDEBUG
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <criterion/criterion.h>

#include "th.h"

static const char *const sleeper[] = {"sleep", "1000", NULL};

Test(proc, the_exit_status_comes_back) {
        const char *const argv[] = {"sh", "-c", "exit 7", NULL};
        int before = th_count_fds(), status = th_wait(th_spawn(argv, -1), 5000);

        cr_assert(WIFEXITED(status));
        cr_assert_eq(WEXITSTATUS(status), 7);
        cr_assert_eq(th_count_fds(), before);
}

Test(proc, the_output_goes_where_it_should) {
        const char *const argv[] = {"echo", "hello", NULL};
        char buf[16] = "";
        int fds[2];

        cr_assert_eq(pipe(fds), 0);
        pid_t pid = th_spawn(argv, fds[1]);
        close(fds[1]);
        cr_assert_eq(read(fds[0], buf, sizeof(buf) - 1), 6);
        cr_assert_str_eq(buf, "hello\n");
        close(fds[0]);
        th_wait(pid, 5000);
}

Test(proc, a_killed_process_is_gone) {
        pid_t pid = th_spawn(sleeper, -1);

        cr_assert_not(th_gone(pid, 0));
        th_kill(pid);
        cr_assert(th_gone(pid, 0));
        cr_assert_eq(kill(pid, 0), -1);
}

Test(proc, a_zombie_counts_as_gone) {
        pid_t pid = th_spawn(sleeper, -1);

        kill(pid, SIGKILL);
        cr_assert(th_gone(pid, 5000));
        cr_assert(WIFSIGNALED(th_wait(pid, 0)));
}

static bool third_time(void *arg) {
        return ++*(int *)arg == 3;
}

static bool never(void *arg) {
        return false;
}

Test(proc, a_condition_is_waited_for_but_not_for_ever) {
        int n = 0;

        cr_assert(th_until(third_time, &n, 5000));
        cr_assert_eq(n, 3);
        cr_assert_not(th_until(never, NULL, 5));
}

/* What a process leaves behind: a child of ours plays the test and tells what it made. */
static void leave(int fd, bool crash) {
        pid_t pid = th_spawn(sleeper, -1);
        const char *dir = th_temp_dir();
        char path[96];

        snprintf(path, sizeof(path), "%s/sub", dir);
        cr_assert_eq(mkdir(path, 0700), 0);
        dprintf(fd, "%d %s\n", pid, dir);
        if (crash)
                raise(SIGKILL);
        exit(0);
}

static void check_left(bool crash) {
        char buf[128] = "", dir[64];
        int fds[2], pid;
        struct stat st;

        cr_assert_eq(pipe(fds), 0);
        pid_t child = fork();
        if (child == 0)
                leave(fds[1], crash);
        cr_assert_eq(waitpid(child, NULL, 0), child);
        cr_assert_gt(read(fds[0], buf, sizeof(buf) - 1), 0);
        cr_assert_eq(sscanf(buf, "%d %63s", &pid, dir), 2);
        cr_assert(th_gone(pid, 5000));
        if (!crash)
                cr_assert_eq(stat(dir, &st), -1);
        else
                cr_assert_eq(
                        th_wait(th_spawn((const char *const[]){"rm", "-r", dir, NULL}, -1), 5000),
                        0);
}

Test(proc, nothing_is_left_behind_at_exit) {
        check_left(false);
}

Test(proc, processes_die_with_a_crashed_test) {
        check_left(true);
}
