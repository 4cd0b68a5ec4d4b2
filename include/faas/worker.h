/*
 * faas/worker.h - a worker in your program: slots that run functions for dispatchers
 *
 * A worker connects to one dispatcher or several, says which functions it has, and runs what it is
 * given in its slots (child processes, see faas/function.h).  It never runs a function itself, so
 * it answers while its functions run for an hour.  The program faas-worker is this header and an
 * option parser.
 *
 * Threads and fork(): as in faas/dispatcher.h.
 */
#ifndef FAAS_WORKER_H
#define FAAS_WORKER_H

#include <stddef.h>
#include <stdint.h>

#include <faas/function.h>

#ifdef __cplusplus
extern "C" {
#endif

struct faas_worker;

/* Options.  Start from FAAS_WORKER_CFG_INIT; a member left 0 takes its default. */
struct faas_worker_cfg {
        size_t struct_size; /* set by FAAS_WORKER_CFG_INIT */
        const char *url;    /* dispatchers, separated by commas, up to 16: "tcp://host:5555"; NULL:
                               tcp://127.0.0.1:5555 */
        unsigned n_slots;   /* 1 to 1,024; 0: one per CPU */
        const struct faas_function *functions; /* copied but for the code; NULL: none */
        const char *const *modules;            /* files, ends with NULL; NULL: none */
        uint32_t flags;                        /* FAAS_CLIENT_BUILTINS */
        const char *name;                      /* shown to operators; NULL: "host:pid" */
        int stop_fd;                           /* as in faas/dispatcher.h */
};

#define FAAS_WORKER_CFG_INIT                                                                       \
        { sizeof(struct faas_worker_cfg), NULL, 0, NULL, NULL, 0, NULL, -1 }

/* What a worker can say of itself. */
struct faas_worker_stats {
        uint64_t completed;   /* tasks whose function returned 0 */
        uint64_t failed;      /* tasks that ended otherwise */
        uint64_t held;        /* now: tasks waiting, running, or with a result not acknowledged */
        uint64_t dispatchers; /* now: registered with so many */
        uint64_t stale;       /* results that came too late, and were refused */
        uint64_t reserved[11];
};

/**
 * faas_worker_new() - start the slots, begin to connect
 * @ret:  where the worker goes
 * @cfg:  options; borrowed during the call
 *
 * The slots' common parent is forked here: see faas_client_open() for what that means for functions
 * of the program, and for modules.  Does not wait for a dispatcher, which may come later, go, and
 * come back: the worker registers whenever it is there.
 *
 * Blocking: as faas_client_open() of "local:".
 * Outputs:  @ret is set on 0 and untouched otherwise.
 *
 * Return: 0; FAAS_E_NOENT, FAAS_E_VERSION, FAAS_E_EXISTS, FAAS_E_LIMIT, -ENOENT, -ECHILD,
 *         -ETIMEDOUT as faas_client_open(); -EINVAL a malformed URL or @cfg, or no function at all;
 *         -EBADF, -EPERM cfg.stop_fd cannot be polled; -EMFILE, -EAGAIN, -ENOMEM.
 *         faas_error_text() names what was wrong.
 */
int faas_worker_new(struct faas_worker **ret, const struct faas_worker_cfg *cfg);

/**
 * faas_worker_step() - do what can be done, after waiting for it
 * @w:           worker
 * @timeout_ms:  how long to wait for something to do; 0: not at all; negative: as long as it takes
 *
 * Blocking: at most @timeout_ms; not at all when it was asked to stop and has nothing left to do.
 * Return:   0, also after a signal; FAAS_E_GONE it was stopped and is done: free it; FAAS_E_FORKED;
 *           negative errno: broken (its slots cannot be started, or a transport failed for good).
 */
int faas_worker_step(struct faas_worker *w, int timeout_ms);

/**
 * faas_worker_stop() - end in good order; the second time: at once
 * @w: worker
 *
 * The first call drains: takes no more tasks, gives back those that have not started, lets what
 * runs end, waits until the results are acknowledged, and says goodbye; then faas_worker_step()
 * returns FAAS_E_GONE.  Results are given up once no dispatcher could be reached for as long as a
 * dispatcher waits for a silent worker (heartbeat x liveness), at least a second: a living one has
 * given the tasks to others by then.  The second call ends it at once: what runs is killed with its
 * slots, and the dispatcher gives it to others.
 *
 * Blocking: never.
 */
void faas_worker_stop(struct faas_worker *w);

/**
 * faas_worker_free() - kill the slots, give everything back
 * @w: worker; NULL is fine
 *
 * Blocking: milliseconds.
 * Return:   NULL.
 */
struct faas_worker *faas_worker_free(struct faas_worker *w);

/**
 * faas_worker_run() - new, step until it is stopped, free
 * @cfg: as for faas_worker_new(); see cfg.stop_fd
 *
 * Blocking: until it is stopped.
 * Return: 0 it was stopped; else as faas_worker_new() and faas_worker_step().
 */
int faas_worker_run(const struct faas_worker_cfg *cfg);

/**
 * faas_worker_fd() - what an event loop polls
 * @w: worker
 *
 * Readable (level-triggered) when faas_worker_step(w, 0) has something to do.  The same for its
 * whole life; never read, write or close it.
 *
 * Return: a file descriptor; -EINVAL, also in a fork.
 */
int faas_worker_fd(const struct faas_worker *w);

/**
 * faas_worker_stats() - its numbers
 * @w:    worker
 * @ret:  filled
 *
 * Return: 0; FAAS_E_FORKED; -EINVAL.
 */
int faas_worker_stats(const struct faas_worker *w, struct faas_worker_stats *ret);

#ifdef __cplusplus
}
#endif

#endif
