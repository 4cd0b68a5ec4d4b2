/*
 * process.c - small things that zygote and slots do to their own process
 *
 * Called only in processes that this library has forked, never in the host.
 */
#include "exec/process.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#define FDS_FALLBACK_MAX 65536

void fa_process_reset_signals(void) {
        struct sigaction dfl = {.sa_handler = SIG_DFL};
        sigset_t none;

        /* Those that cannot be changed refuse; that is fine. */
        for (int sig = 1; sig <= SIGRTMAX; sig++)
                (void)sigaction(sig, &dfl, NULL);
        sigemptyset(&none);
        (void)pthread_sigmask(SIG_SETMASK, &none, NULL);
}

static void close_from_to(unsigned from, unsigned to) {
        struct rlimit rl;

        if (from > to || close_range(from, to, 0) == 0)
                return;
        /* An old kernel, or a container that forbids what it does not know. */
        if (getrlimit(RLIMIT_NOFILE, &rl) < 0 || rl.rlim_cur > FDS_FALLBACK_MAX)
                rl.rlim_cur = FDS_FALLBACK_MAX;
        for (unsigned fd = from; fd <= to && fd < rl.rlim_cur; fd++)
                close((int)fd);
}

void fa_process_close_fds(const int *keep, size_t n) {
        unsigned from = 3;

        for (size_t i = 0; i < n; i++) {
                if (keep[i] < 3)
                        continue;
                if ((unsigned)keep[i] > from)
                        close_from_to(from, (unsigned)keep[i] - 1);
                from = (unsigned)keep[i] + 1;
        }
        close_from_to(from, UINT_MAX);
}

int fa_process_null_fds(int from, int to) {
        int null = open("/dev/null", O_RDWR | O_CLOEXEC);

        if (null < 0)
                return -errno;
        bool inside = null >= from && null <= to;
        for (int fd = from; fd <= to; fd++)
                if (fd != null && dup2(null, fd) < 0)
                        return -errno;
        if (inside)
                (void)fcntl(null, F_SETFD, 0);
        else
                close(null);
        return 0;
}

int fa_process_move_fd(int fd, int min) {
        int moved = fcntl(fd, F_DUPFD_CLOEXEC, min);

        if (moved < 0)
                return fd; /* over the limit of descriptors: the old number does as well */
        close(fd);
        return moved;
}

size_t fa_process_children(pid_t *ret, size_t max) {
        char text[4096];
        int fd = open("/proc/thread-self/children", O_RDONLY | O_CLOEXEC);
        size_t n = 0;
        pid_t pid = 0;
        ssize_t len;

        if (fd < 0)
                return 0; /* no /proc: process groups and sessions have to do */
        while ((len = read(fd, text, sizeof(text))) > 0) {
                for (ssize_t i = 0; i < len; i++) {
                        if (text[i] >= '0' && text[i] <= '9') {
                                pid = pid * 10 + (text[i] - '0');
                        } else if (pid > 0) {
                                if (n < max)
                                        ret[n++] = pid;
                                pid = 0;
                        }
                }
        }
        close(fd);
        return n;
}
