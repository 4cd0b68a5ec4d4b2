/*
 * zctx.c - the process's one ZeroMQ context
 *
 * The only mutable global of the library beside the log sink and the table of transports; guarded
 * by a lock that says who holds it, because a fork may happen while another thread does: its child
 * then finds the lock held by a process that it is not, and takes it.
 */
#include "transport/zctx.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdint.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/types.h>
#include <unistd.h>
#include <zmq.h>

#include "base/error.h"
#include "base/macros.h"

/* What a context takes (its reaper, one I/O thread, and the end of both), and slack for what other
 * threads open meanwhile. */
#define FDS_OF_CONTEXT 6
#define FDS_SPARE 10
#define FDS_MAX 64

/* Each transport has three sockets.  libzmq makes a table of so many, and defaults to 1,023. */
#define SOCKETS_MIN 1023
#define SOCKETS_MAX 16384

static _Atomic(pid_t) holder;
static struct {
        void *ctx;
        size_t refs;
        pid_t pid; /* whose the context is */
} shared;

static void lock(void) {
        const pid_t me = getpid();
        pid_t seen = 0;

        while (!atomic_compare_exchange_weak(&holder, &seen, me)) {
                if (seen == me) {
                        sched_yield();
                        seen = 0;
                }
                /* Else it is the parent's: the next turn takes it from there. */
        }
}

static void unlock(void) {
        atomic_store(&holder, 0);
}

/* Are n more descriptors to be had?  Only trying tells: limits, and what is open, can be anything.
 */
static int check_room(size_t n) {
        int fds[FDS_MAX];
        size_t got = 0;
        int r = 0;

        n = FA_MIN(n, (size_t)FDS_MAX);
        while (got < n) {
                fds[got] = got ? fcntl(fds[0], F_DUPFD_CLOEXEC, 0) : eventfd(0, EFD_CLOEXEC);
                if (fds[got] < 0) {
                        r = -errno;
                        break;
                }
                got++;
        }
        for (size_t i = 0; i < got; i++)
                close(fds[i]);
        if (r)
                return fa_errno(-r, "a socket needs %zu file descriptors, only %zu are free", n,
                                got);
        return 0;
}

static int make(void **ret) {
        struct rlimit limit = {0};
        int n = SOCKETS_MIN;

        void *ctx = zmq_ctx_new();
        if (!ctx)
                return fa_errno(errno, "zmq_ctx_new");
        if (getrlimit(RLIMIT_NOFILE, &limit) == 0)
                n = (int)FA_MAX(FA_MIN(limit.rlim_cur, (rlim_t)SOCKETS_MAX), (rlim_t)SOCKETS_MIN);
        (void)zmq_ctx_set(ctx, ZMQ_MAX_SOCKETS, n);
        (void)zmq_ctx_set(ctx, ZMQ_IO_THREADS, 1);
        *ret = ctx;
        return 0;
}

int fa_zctx_get(void **ret, size_t n_fds) {
        const pid_t me = getpid();
        int r;

        lock();
        if (shared.pid != me) { /* the first in this process: what is there is the parent's */
                shared.ctx = NULL;
                shared.refs = 0;
                shared.pid = me;
        }
        r = check_room(n_fds + FDS_SPARE + (shared.ctx ? 0 : FDS_OF_CONTEXT));
        if (!r && !shared.ctx)
                r = make(&shared.ctx);
        if (!r) {
                shared.refs++;
                *ret = shared.ctx;
        }
        unlock();
        return r;
}

void fa_zctx_put(void) {
        void *last = NULL;

        lock();
        if (--shared.refs == 0)
                last = fa_steal(shared.ctx);
        unlock();
        /* Outside the lock, as it takes as long as the sockets linger. */
        while (last && zmq_ctx_term(last) < 0 && errno == EINTR)
                continue;
}
