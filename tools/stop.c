/* stop.c - SIGTERM and SIGINT as something to poll; the library handles no signals */
#include "stop.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <sys/signalfd.h>

int fa_stop_fd(void) {
        sigset_t set;
        int r;
        int fd;

        (void)sigemptyset(&set);
        (void)sigaddset(&set, SIGTERM);
        (void)sigaddset(&set, SIGINT);
        /* Before libzmq starts its thread, which then has them blocked too. */
        r = pthread_sigmask(SIG_BLOCK, &set, NULL);
        if (r)
                return -r;
        fd = signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK);
        return fd < 0 ? -errno : fd;
}
