/*
 * loop.c - the steps of a dispatcher or worker, and an epoll over everything that can wake it
 *
 * The transports' descriptors say only that there may be something: what there is, the turn finds
 * out by reading until there is no more.  So events are not looked at here, but for the request to
 * stop.
 */
#include "run/loop.h"

#include <errno.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include <faas/error.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/macros.h"

static int watch(struct fa_loop *l, int fd, bool stop) {
        struct epoll_event ev = {.events = EPOLLIN, .data = {.u32 = stop}};

        if (epoll_ctl(l->epoll_fd, EPOLL_CTL_ADD, fd, &ev))
                return fa_errno(errno, stop ? "cfg.stop_fd" : "epoll_ctl");
        return 0;
}

int fa_loop_watch(struct fa_loop *l, int fd) {
        return watch(l, fd, false);
}

int fa_loop_init(struct fa_loop *l, int stop_fd) {
        int r;

        *l = (struct fa_loop)FA_LOOP_NULL;
        l->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
        l->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
        if (l->epoll_fd < 0 || l->timer_fd < 0)
                return fa_errno(errno, "no descriptors for a loop");
        r = watch(l, l->timer_fd, false);
        if (r == 0 && stop_fd >= 0)
                r = watch(l, stop_fd, true);
        if (r == 0)
                l->stop_fd = stop_fd;
        return r;
}

void fa_loop_deinit(struct fa_loop *l) {
        if (l->epoll_fd >= 0)
                (void)close(l->epoll_fd);
        if (l->timer_fd >= 0)
                (void)close(l->timer_fd);
        *l = (struct fa_loop)FA_LOOP_NULL;
}

/* ---- waiting ---- */

enum stop { STOP_NO, STOP_ASKED, STOP_NOW };

/* Takes one request out: a byte of a pipe, the count of an eventfd, a record of a signalfd. */
static enum stop read_stop(struct fa_loop *l) {
        char buf[128]; /* sizeof(struct signalfd_siginfo): a signalfd wants room for one */
        ssize_t n = read(l->stop_fd, buf, sizeof(buf));

        if (n > 0)
                return STOP_ASKED;
        if (n < 0 && (errno == EAGAIN || errno == EINTR))
                return STOP_NO;
        (void)epoll_ctl(l->epoll_fd, EPOLL_CTL_DEL, l->stop_fd, NULL);
        l->stop_fd = -1;
        return STOP_NOW;
}

/* Until a descriptor is readable, or that time has come. */
static enum stop sleep_until(struct fa_loop *l, uint64_t at_ns, uint64_t now_ns) {
        struct epoll_event ev[8];
        int n = epoll_wait(l->epoll_fd, ev, FA_ARRAY_SIZE(ev), fa_poll_ms(at_ns, now_ns));

        for (int i = 0; i < n; i++)
                if (ev[i].data.u32)
                        return read_stop(l);
        return STOP_NO;
}

static uint64_t due(const struct fa_loop *l, const struct fa_loop_ops *ops, void *shell) {
        return l->more || l->phase >= FA_STOPPING ? 0 : ops->deadline(shell);
}

/* Nobody who steps with a time-out needs the timer. */
static void arm(struct fa_loop *l, uint64_t deadline_ns) {
        struct itimerspec t = {{0, 0}, {0, 0}};

        if (!l->exposed || deadline_ns == l->armed_ns)
                return;
        if (deadline_ns != FA_NEVER) {
                uint64_t ns = deadline_ns ? deadline_ns : 1; /* 0 would disarm it */
                t.it_value.tv_sec = (time_t)(ns / FA_NS_PER_S);
                t.it_value.tv_nsec = (long)(ns % FA_NS_PER_S);
        }
        if (timerfd_settime(l->timer_fd, TFD_TIMER_ABSTIME, &t, NULL) == 0)
                l->armed_ns = deadline_ns;
}

/* ---- steps ---- */

void fa_loop_stop(struct fa_loop *l, const struct fa_loop_ops *ops, void *shell) {
        if (l->phase == FA_RUNNING) {
                l->phase = FA_DRAINING;
                ops->drain(shell);
        } else if (l->phase == FA_DRAINING) {
                l->phase = FA_STOPPING;
        }
        /* Perhaps there is nothing to drain; and if nobody is connected, nothing else wakes. */
        l->more = true;
        arm(l, 0);
}

int fa_loop_step(struct fa_loop *l, const struct fa_loop_ops *ops, void *shell, int timeout_ms) {
        uint64_t now_ns = fa_now();
        uint64_t until_ns =
                timeout_ms < 0 ? FA_NEVER : now_ns + (uint64_t)timeout_ms * FA_NS_PER_MS;
        enum stop stop;
        uint64_t at;

        if (l->broken)
                return l->broken;
        if (l->phase == FA_STOPPED)
                return FAAS_E_GONE;
        at = due(l, ops, shell);
        stop = sleep_until(l, FA_MIN(at, until_ns), now_ns);
        if (stop != STOP_NO)
                fa_loop_stop(l, ops, shell);
        if (stop == STOP_NOW)
                l->phase = FA_STOPPING;
        l->more = false;
        l->broken = ops->turn(shell, fa_now());
        if (l->exposed)
                arm(l, due(l, ops, shell));
        return l->broken;
}

int fa_loop_fd(struct fa_loop *l, const struct fa_loop_ops *ops, void *shell) {
        if (!l->exposed) {
                l->exposed = true;
                arm(l, due(l, ops, shell));
        }
        return l->epoll_fd;
}
