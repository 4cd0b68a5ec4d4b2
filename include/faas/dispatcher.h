/*
 * faas/dispatcher.h - a dispatcher in your program: takes tasks from clients, gives them to workers
 *
 * A dispatcher has one door (a URL) for clients, and for workers too when it pushes or is pulled
 * from.  It keeps what it accepted in a store and never runs a function itself.  The program
 * faas-dispatcher is this header and an option parser.
 *
 * Threads: one thread at a time per dispatcher; different ones are independent, also in one
 * process.  A client or worker of the same process may reach it by "inproc://", but a client needs
 * another thread: its calls wait for this one's turns (faas/client.h).  After fork() the child must
 * not use it: FAAS_E_FORKED; faas_dispatcher_free() frees the child's memory only, and what ZeroMQ
 * had opened stays open in the child until it ends or calls exec.
 */
#ifndef FAAS_DISPATCHER_H
#define FAAS_DISPATCHER_H

#include <stddef.h>
#include <stdint.h>

#include <faas/function.h>
#include <faas/stats.h>

#ifdef __cplusplus
extern "C" {
#endif

struct faas_dispatcher;

/* Options.  Start from FAAS_DISPATCHER_CFG_INIT; a member left 0 takes its default.  All pointers
 * are borrowed for the call. */
struct faas_dispatcher_cfg {
        size_t struct_size;    /* set by FAAS_DISPATCHER_CFG_INIT */
        const char *transport; /* "local", "push", "pull", or a registered one; NULL: "push" */
        const char
                *listen;     /* the door: "tcp://127.0.0.1:5555", with "*" for a free port,
                                "ipc:///run/faas.sock", "inproc://name"; NULL: tcp://127.0.0.1:5555 */
        const char *workers; /* registered transports: the URL of their listening end; else NULL */
        const char *store; /* "memory:", "redis://[[user]:password@]host[:port][/db][?prefix=NAME]",
                              "redis+unix:///path[?db=N&prefix=NAME]"; NULL: "memory:" */
        const char *name;  /* of this dispatcher among those of one store, 1 to 64 bytes; NULL: host
                              and URL.  Who starts under a name takes over from who had it */
        uint32_t heartbeat_ms; /* beat when silent for so long; 0: 1,000; at least 10 */
        uint32_t liveness;     /* dead after so many intervals of silence, 1 to 1,000; 0: 3 */
        uint32_t max_strikes;  /* for tasks that do not say; 0: 3 */
        /* "local": the dispatcher's own slots, as in faas_client_open() */
        unsigned n_slots;                      /* 1 to 1,024; 0: one per CPU */
        const struct faas_function *functions; /* copied but for the code; NULL: none */
        const char *const *modules;            /* files, ends with NULL; NULL: none */
        uint32_t flags; /* FAAS_CLIENT_BUILTINS, FAAS_DISPATCHER_EVICTION_OK */
        /* limits */
        uint32_t queue_tasks;   /* tasks in the store; 0: 4,194,304 */
        uint64_t queue_bytes;   /* bytes of the open ones, payloads and records; 0: 1 GiB */
        uint64_t result_bytes;  /* bytes of uncollected results; the oldest go first; 0: 256 MiB */
        uint32_t result_ttl_ms; /* how long an uncollected result is kept; 0: 3,600,000 */
        uint32_t window_tasks;  /* what each client may have open; 0: 1,048,576 */
        uint64_t window_bytes;  /* bytes of their payloads; 0: 512 MiB */
        int stop_fd; /* -1, or a pipe, eventfd or signalfd that is this dispatcher's alone and stays
                        open as long as it, and the caller's.  run() and step() read it: each time
                        it is readable is one faas_dispatcher_stop(), end of file ends it at once */
        /* a store that others share: redis */
        uint32_t store_wait_ms; /* how long faas_dispatcher_new() waits for it; 0: not at all */
        uint64_t backlog_bytes; /* memory for what waits: a quarter for tasks, the rest for what is
                                   known of others, which stay in the store until their turn comes,
                                   and for what is on its way; 0: 256 MiB */
        uint32_t lease_ms; /* who has not written for so long is taken over from, 300 to 3,600,000;
                              the same for all dispatchers of a store; 0: 3,000 */
};

/* Use a Redis although it evicts keys when its memory is full: what it evicts is lost. */
#define FAAS_DISPATCHER_EVICTION_OK 0x100u

#define FAAS_DISPATCHER_CFG_INIT                                                                   \
        {                                                                                          \
                sizeof(struct faas_dispatcher_cfg), NULL, NULL, NULL, NULL, NULL, 0, 0, 0, 0,      \
                        NULL, NULL, 0, 0, 0, 0, 0, 0, 0, -1, 0, 0, 0                               \
        }

/**
 * faas_dispatcher_new() - open the door
 * @ret:  where the dispatcher goes
 * @cfg:  NULL, or options; borrowed during the call
 *
 * Peers can connect from now on; they are heard in faas_dispatcher_step().  A file that an earlier
 * dispatcher left behind at an ipc:// address is removed if nobody listens there.  "local" forks a
 * zygote: see faas_client_open().
 *
 * Blocking: milliseconds; with a store in Redis until that has answered, at most some 2 s and
 *           cfg.store_wait_ms.
 * Outputs:  @ret is set on 0 and untouched otherwise.
 *
 * Return: 0; FAAS_E_NOENT unknown transport, store or scheme, or no such module; FAAS_E_VERSION,
 *         FAAS_E_EXISTS, FAAS_E_LIMIT of functions, modules and slots as in faas_client_open();
 *         the store: FAAS_E_UNAVAILABLE it is not there, or loads its data; FAAS_E_VERSION a Redis
 *         before 6.2, or another version's data; -EACCES a wrong password, or a right is missing;
 *         -ENOTSUP no such database, it may evict keys, other data under our names, or no Redis;
 *         FAAS_E_CANCELLED cfg.stop_fd was readable before it was there;
 *         -EADDRINUSE somebody listens there; -EACCES, -EADDRNOTAVAIL; -EINVAL a malformed URL or
 *         @cfg; -EBADF, -EPERM cfg.stop_fd cannot be polled; "local": -ENOENT, -ECHILD, -ETIMEDOUT,
 *         -EAGAIN as faas_client_open(); -EMFILE, -ENOMEM; what a registered transport's open()
 *         returns.  faas_error_text() names what was wrong.
 */
int faas_dispatcher_new(struct faas_dispatcher **ret, const struct faas_dispatcher_cfg *cfg);

/**
 * faas_dispatcher_step() - do what can be done, after waiting for it
 * @d:           dispatcher
 * @timeout_ms:  how long to wait for something to do; 0: not at all; negative: as long as it takes
 *
 * One turn: a bounded number of messages is read, judged, committed to the store and answered.  A
 * signal ends the wait early.
 *
 * Blocking: at most @timeout_ms; not at all when it was asked to stop and has nothing left to do.
 * Return:   0; FAAS_E_GONE it was stopped and is done: free it; FAAS_E_FENCED another process runs
 *           under its name: free it; FAAS_E_FORKED; negative errno: broken.
 */
int faas_dispatcher_step(struct faas_dispatcher *d, int timeout_ms);

/**
 * faas_dispatcher_stop() - end in good order; the second time: at once
 * @d: dispatcher
 *
 * The first call drains: new tasks are refused with FAAS_E_UNAVAILABLE, accepted ones run to their
 * end and their clients are told; when none is left, or by the second call, the peers are told
 * goodbye and faas_dispatcher_step() returns FAAS_E_GONE.  With "memory:" what has not ended by
 * then is lost.  A store that others share keeps it, so there only what workers hold is waited for;
 * what waits is taken over, or goes on when this dispatcher is started again.
 *
 * Blocking: never.
 */
void faas_dispatcher_stop(struct faas_dispatcher *d);

/**
 * faas_dispatcher_free() - close the door
 * @d: dispatcher; NULL is fine
 *
 * Blocking: milliseconds, to send what is on its way.
 * Return:   NULL.
 */
struct faas_dispatcher *faas_dispatcher_free(struct faas_dispatcher *d);

/**
 * faas_dispatcher_run() - new, step until it is stopped, free
 * @cfg: as for faas_dispatcher_new(); see cfg.stop_fd
 *
 * Blocking: until it is stopped.
 * Return:   0 it was stopped; else as faas_dispatcher_new() and faas_dispatcher_step().
 */
int faas_dispatcher_run(const struct faas_dispatcher_cfg *cfg);

/**
 * faas_dispatcher_fd() - what an event loop polls
 * @d: dispatcher
 *
 * Readable (level-triggered) when faas_dispatcher_step(d, 0) has something to do.  The same for its
 * whole life; never read, write or close it.
 *
 * Return: a file descriptor; -EINVAL, also in a fork.
 */
int faas_dispatcher_fd(const struct faas_dispatcher *d);

/**
 * faas_dispatcher_url() - where the door is
 * @d: dispatcher
 *
 * With the real port where cfg.listen said "*".
 *
 * Return: the dispatcher's, valid until it is freed; "" for NULL.  Also in a fork.
 */
const char *faas_dispatcher_url(const struct faas_dispatcher *d);

/**
 * faas_dispatcher_stats() - its numbers
 * @d:    dispatcher
 * @ret:  filled
 *
 * Return: 0; FAAS_E_FORKED; -EINVAL.
 */
int faas_dispatcher_stats(const struct faas_dispatcher *d, struct faas_stats *ret);

#ifdef __cplusplus
}
#endif

#endif
