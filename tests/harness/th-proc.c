/* th-proc.c - processes and directories that do not outlive their test */
#include "th.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <criterion/criterion.h>

#define MAX 64

static pid_t owner; /* children of the test inherit the exit handler, too, and must not run it */
static pid_t pids[MAX];
static char dirs[MAX][64];

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw) {
        return remove(path);
}

static void at_exit(void) {
        if (getpid() != owner)
                return;
        for (size_t i = 0; i < MAX; i++)
                if (pids[i])
                        th_kill(pids[i]);
        for (size_t i = 0; i < MAX; i++)
                if (dirs[i][0])
                        nftw(dirs[i], remove_one, 16, FTW_DEPTH | FTW_PHYS);
}

static void own(void) {
        if (owner == getpid())
                return;
        /* After a fork the lists are the parent's. */
        memset(pids, 0, sizeof(pids));
        memset(dirs, 0, sizeof(dirs));
        if (!owner)
                cr_assert_eq(atexit(at_exit), 0);
        owner = getpid();
}

static long now_ms(void) {
        struct timespec ts;

        clock_gettime(CLOCK_MONOTONIC, &ts);
        return ts.tv_sec * 1000 + ts.tv_nsec / 1000000;
}

bool th_until(bool (*done)(void *arg), void *arg, int timeout_ms) {
        long end = now_ms() + timeout_ms;

        while (!done(arg)) {
                if (now_ms() >= end)
                        return false;
                nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
        }
        return true;
}

const char *th_temp_dir(void) {
        size_t i = 0;

        own();
        while (i < MAX && dirs[i][0])
                i++;
        cr_assert_lt(i, MAX, "too many directories");
        /* Not TMPDIR: it may be too long for a socket. */
        strcpy(dirs[i], "/tmp/faas-test-XXXXXX");
        cr_assert(mkdtemp(dirs[i]), "cannot make %s: %s", dirs[i], strerror(errno));
        return dirs[i];
}

/* In the child: becomes the program, or writes the errno. */
static void run(const char *const argv[], int out_fd, int error_fd, pid_t parent) {
        sigset_t none;

        sigemptyset(&none);
        sigprocmask(SIG_SETMASK, &none, NULL);
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        if (getppid() != parent) /* it died before we asked to die with it */
                _exit(127);
        if (out_fd < 0 || dup2(out_fd, STDOUT_FILENO) >= 0)
                execvp(argv[0], (char *const *)(uintptr_t)argv); /* it does not write there */
        int error = errno;
        (void)!write(error_fd, &error, sizeof(error));
        _exit(127);
}

pid_t th_spawn(const char *const argv[], int out_fd) {
        size_t i = 0;
        int error = 0, fds[2];
        pid_t parent = getpid();

        own();
        while (i < MAX && pids[i])
                i++;
        cr_assert_lt(i, MAX, "too many processes");
        cr_assert_eq(pipe2(fds, O_CLOEXEC), 0);
        pid_t pid = fork();
        cr_assert_geq(pid, 0, "cannot fork: %s", strerror(errno));
        if (pid == 0)
                run(argv, out_fd, fds[1], parent);

        pids[i] = pid;
        close(fds[1]);
        /* The pipe closes when the program runs; until then there may come an errno. */
        ssize_t n = read(fds[0], &error, sizeof(error));
        close(fds[0]);
        cr_assert_eq(n, 0, "cannot start %s: %s", argv[0], strerror(error));
        return pid;
}

bool th_gone(pid_t pid, int timeout_ms) {
        int fd = pidfd_open(pid, 0);

        if (fd < 0) {
                cr_assert_eq(errno, ESRCH, "pidfd_open: %s", strerror(errno));
                return true;
        }
        struct pollfd p = {.fd = fd, .events = POLLIN};
        int n;
        do
                n = poll(&p, 1, timeout_ms);
        while (n < 0 && errno == EINTR);
        close(fd);
        return n > 0;
}

static int reap(pid_t pid) {
        int status = 0;

        cr_assert_eq(waitpid(pid, &status, 0), pid);
        for (size_t i = 0; i < MAX; i++)
                if (pids[i] == pid)
                        pids[i] = 0;
        return status;
}

int th_wait(pid_t pid, int timeout_ms) {
        cr_assert(th_gone(pid, timeout_ms), "process %d did not end in %d ms", pid, timeout_ms);
        return reap(pid);
}

void th_kill(pid_t pid) {
        kill(pid, SIGKILL);
        reap(pid);
}

long th_status_kb(pid_t pid, const char *key) {
        char path[32], line[256]; /* a number of at most 10 digits; the lines are short */
        long kb = -1;
        FILE *f;

        (void)snprintf(path, sizeof(path), "/proc/%d/status", pid);
        f = fopen(path, "re");
        cr_assert_not_null(f);
        while (kb < 0 && fgets(line, sizeof(line), f))
                if (strncmp(line, key, strlen(key)) == 0)
                        kb = strtol(line + strlen(key), NULL, 10);
        fclose(f);
        return kb;
}
