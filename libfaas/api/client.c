/*
 * client.c - a client between open and close: its turns, its fd, its callback
 *
 * Every public call enters here, takes turns of run/local.c or run/remote.c while it needs
 * something, and leaves with the fd telling whether there is more to do.  Nothing happens between
 * the calls, and nothing here knows what a message is.
 */
#include "api/client-private.h"

#include <errno.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/error.h"

#define DELIVER_MAX 1024 /* callbacks in one call: bounded, as a turn is */
/* That a result was taken goes out with the next turn; if the caller has no other reason for one,
 * then so soon. */
#define UNSAID_NS (10 * FA_NS_PER_MS)
/* A dispatcher that once sent this client away is asked anew, each interval: so long is waited for
 * another answer. */
#define ASKED_ANEW_NS (1500 * FA_NS_PER_MS)

/* ---- local or remote ---- */

static int turn(struct faas_client *c) {
        return c->local ? fa_local_turn(c->local, c->now_ns) : fa_remote_turn(c->remote, c->now_ns);
}

static uint64_t deadline(const struct faas_client *c) {
        return c->local ? fa_local_deadline(c->local) : fa_remote_deadline(c->remote);
}

int fa_client_inner_fd(const struct faas_client *c) {
        return c->local ? fa_local_fd(c->local) : fa_remote_fd(c->remote);
}

/* ---- what every call begins and ends with ---- */

int fa_client_enter(const struct faas_client *c, const char *what) {
        if (!c)
                return fa_error(-EINVAL, "%s: no client", what);
        if (c->guard->mark != FA_GUARD_MARK)
                return fa_error(FAAS_E_FORKED,
                                "%s: the client belongs to the process that forked this one", what);
        return 0;
}

int fa_client_enter_alone(const struct faas_client *c, const char *what) {
        int r = fa_client_enter(c, what);

        if (r == 0 && c->in_callback)
                return fa_error(-EINVAL, "%s: not from inside the callback", what);
        return r;
}

/* Has something to be said that no turn has sent: that a result was taken. */
static bool unsaid(const struct faas_client *c) {
        return !fa_outbox_empty(fa_cli_outbox(c->cli));
}

static void arm(struct faas_client *c) {
        uint64_t at = deadline(c);
        struct itimerspec t = {{0, 0}, {0, 0}};

        /* One that is armed for an earlier time stays: deadlines move with every result, and a
         * needless turn in some milliseconds costs less than a system call in each call. */
        if (unsaid(c))
                at = FA_MIN(at, c->now_ns + UNSAID_NS);
        if (c->armed_ns > c->now_ns && c->armed_ns <= at)
                return;
        if (at == c->armed_ns)
                return;
        if (at != FA_NEVER) {
                uint64_t ns = at ? at : 1; /* 0 would disarm it */
                t.it_value.tv_sec = (time_t)(ns / FA_NS_PER_S);
                t.it_value.tv_nsec = (long)(ns % FA_NS_PER_S);
        }
        if (timerfd_settime(c->timer_fd, TFD_TIMER_ABSTIME, &t, NULL) == 0)
                c->armed_ns = at;
}

void fa_client_leave(struct faas_client *c) {
        bool signal = c->more || c->broken || fa_cli_has_done(c->cli);
        uint64_t one = 1;

        if (!c->polled)
                return;
        if (c->turned || (unsaid(c) && c->armed_ns > c->now_ns + UNSAID_NS))
                arm(c);
        c->turned = false;
        if (signal == c->signalled)
                return;
        /* Neither can block or fail: the counter goes from 0 to 1 and back. */
        if (signal ? write(c->event_fd, &one, sizeof(one)) == (ssize_t)sizeof(one)
                   : read(c->event_fd, &one, sizeof(one)) == (ssize_t)sizeof(one))
                c->signalled = signal;
}

int fa_client_turn(struct faas_client *c) {
        int r;

        if (c->broken) /* what was done before can still be collected */
                return fa_error(c->broken, "the client of \"%s\" is broken: %s", c->url,
                                c->local ? "its slots cannot be started" : "its transport failed");
        c->now_ns = fa_now();
        r = turn(c);
        c->turned = true;
        c->more = r == FAAS_E_AGAIN;
        c->broken = r < 0 ? r : 0;
        return c->broken;
}

void fa_client_sleep(struct faas_client *c, uint64_t until_ns) {
        int ms = fa_poll_ms(FA_MIN(until_ns, deadline(c)), c->now_ns);

        /* A signal ends the wait early, which does no harm. */
        if (c->more)
                return;
        if (c->local) {
                fa_local_wait(c->local, ms);
        } else {
                struct pollfd p = {.fd = fa_client_inner_fd(c), .events = POLLIN};
                (void)poll(&p, 1, ms);
        }
}

uint64_t fa_client_until(int timeout_ms) {
        return timeout_ms < 0 ? FA_NEVER : fa_now() + (uint64_t)timeout_ms * FA_NS_PER_MS;
}

/* ---- waiting for an answer ---- */

struct fa_patience fa_client_patience(struct faas_client *c) {
        const char *text;

        c->now_ns = fa_now(); /* what is said before the first turn is said now */
        return (struct fa_patience){
                .begin_ns = c->now_ns,
                .until_ns = c->now_ns + c->submit_timeout_ms * FA_NS_PER_MS,
                .refused = fa_cli_refusal(c->cli, &text) != 0,
        };
}

/* Whatever else the reason is, the one thing to do about it is to look at the text. */
static int sent_away(const struct faas_client *c, const char *what) {
        const char *text;
        int r = fa_cli_refusal(c->cli, &text);

        if (r == 0)
                return 0;
        return fa_error(r == FAAS_E_VERSION ? r : FAAS_E_UNAVAILABLE,
                        "%s: the dispatcher at \"%s\" sent this client away: %s", what, c->url,
                        text);
}

int fa_client_hopeless(const struct faas_client *c, const char *what) {
        const char *text;

        if (c->many || fa_cli_refusal(c->cli, &text) != FAAS_E_VERSION)
                return 0;
        return sent_away(c, what);
}

int fa_client_await(struct faas_client *c, const char *what, const struct fa_patience *p) {
        bool over = c->now_ns >= p->until_ns;
        bool fresh = !p->refused || c->now_ns - p->begin_ns >= ASKED_ANEW_NS;
        int r = over || (fresh && !c->many) ? sent_away(c, what) : 0;

        if (r)
                return r;
        if (over)
                return fa_error(FAAS_E_TIMEOUT, "%s: no %s \"%s\" within %u ms", what,
                                fa_cli_ready(c->cli) ? "answer from the dispatcher at"
                                                     : "dispatcher at",
                                c->url, c->submit_timeout_ms);
        fa_client_sleep(c, p->until_ns);
        return 0;
}

/* ---- results ---- */

bool fa_client_deliver(struct faas_client *c) {
        struct fa_cli_done done;
        bool any = false;

        for (unsigned i = 0; i < DELIVER_MAX && c->on_done; i++) {
                struct faas_result r = FAAS_RESULT_INIT;

                if (fa_cli_take(c->cli, NULL, &done))
                        break;
                any = true;
                fa_result_fill(&r, &done);
                c->in_callback = true;
                c->on_done(c, &r, c->userdata);
                c->in_callback = false;
                faas_result_clear(&r);
        }
        return any;
}

/* From now on somebody sleeps on it. */
static int poll_from_now_on(struct faas_client *c) {
        struct epoll_event ev = {.events = EPOLLIN};

        if (epoll_ctl(c->epoll_fd, EPOLL_CTL_ADD, fa_client_inner_fd(c), &ev) < 0)
                return fa_errno(errno, "faas_client_fd");
        c->polled = c->turned = true;
        fa_client_leave(c);
        return 0;
}

FA_PUBLIC int faas_client_fd(struct faas_client *c) {
        /* A condition is positive, and would be taken for a descriptor. */
        if (fa_client_enter(c, "faas_client_fd"))
                return -EINVAL;
        int r = c->polled ? 0 : poll_from_now_on(c);
        return r < 0 ? r : c->epoll_fd;
}

FA_PUBLIC int faas_client_process(struct faas_client *c) {
        int r = fa_client_enter_alone(c, "faas_client_process");

        if (r)
                return r;
        r = fa_client_turn(c);
        if (r == 0)
                (void)fa_client_deliver(c);
        fa_client_leave(c);
        return r;
}

FA_PUBLIC void
faas_client_on_done(struct faas_client *c,
                    void (*fn)(struct faas_client *c, struct faas_result *result, void *userdata),
                    void *userdata) {
        if (fa_client_enter(c, "faas_client_on_done"))
                return;
        c->on_done = fn;
        c->userdata = userdata;
}
