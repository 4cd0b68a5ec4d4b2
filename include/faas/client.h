/*
 * faas/client.h - submit tasks, wait for results
 *
 * A client submits calls of functions and gets their results.  "local:4" runs them in four slots
 * (child processes) of its own: no server, no thread, no port; the library works only inside the
 * caller's calls, and between them the slots go on with what they were given.
 *
 * "tcp://host:5555" gives the tasks to a dispatcher (faas/dispatcher.h), whose workers run them;
 * "ipc://", "inproc://" and the schemes of registered transports (faas/transport.h) do the same.
 * The calls are the same too.  The dispatcher need not be there: it may come later, die and be
 * started again while the client goes on.  What was not acknowledged is submitted again, under the
 * same id; of what was acknowledged, a task that the dispatcher has forgotten ("memory:" does not
 * outlive it) ends with FAAS_FAILURE_LOST about two seconds after its return.  Between the caller's
 * calls nothing is sent or read: a program with open tasks calls faas_client_process() whenever
 * faas_client_fd() is readable, or waits.
 *
 * A call that needs an answer waits for it, also over "inproc://".  So a thread that steps the
 * dispatcher itself must not be the client's too: nobody would take the dispatcher's turns
 * meanwhile, and a submit would end with FAAS_E_UNAVAILABLE.  Give the dispatcher a thread, or use
 * "local:", which has one inside that the client's own calls step.
 *
 * Threads, for every call here: one thread at a time per client; different clients are independent.
 * After fork() the child must not use a client of the parent: every call gives FAAS_E_FORKED, and
 * only faas_client_close() frees its memory (the parent's slots are left alone).
 */
#ifndef FAAS_CLIENT_H
#define FAAS_CLIENT_H

#include <stddef.h>
#include <stdint.h>

#include <faas/function.h>
#include <faas/stats.h>
#include <faas/task.h>

#ifdef __cplusplus
extern "C" {
#endif

struct faas_client;

/* Options of a client.  Start from FAAS_CLIENT_CFG_INIT; a member left 0 takes its default. */
struct faas_client_cfg {
        size_t struct_size;         /* set by FAAS_CLIENT_CFG_INIT */
        uint32_t submit_timeout_ms; /* how long a call waits for room, and for a dispatcher's
                                       answer; 0: 10,000 */
        uint32_t window_tasks;      /* tasks open or not yet collected; 0: 1,048,576 */
        uint64_t window_bytes;      /* bytes of their payloads and results; 0: 512 MiB */
        uint32_t queue_tasks;       /* local: tasks in the store; 0: 4,194,304 */
        uint64_t queue_bytes;   /* local: bytes of the open ones, payloads and records; 0: 1 GiB */
        uint32_t result_ttl_ms; /* local: how long an uncollected result is kept; 0: 3,600,000 */
        uint32_t flags;         /* local: FAAS_CLIENT_BUILTINS */
};

#define FAAS_CLIENT_CFG_INIT                                                                       \
        { sizeof(struct faas_client_cfg), 0, 0, 0, 0, 0, 0, 0 }

/**
 * faas_client_open() - get ready to submit
 * @ret:        where the client goes
 * @url:        "local:N": N slots, 1 to 1024, "local:" one per CPU;
 *              "local:N?load=FILE.so", any number of "&load=FILE.so": functions from modules, a
 * path from the root or from the present directory; "tcp://host:5555" and the like: a dispatcher;
 * "tcp://a:5555,tcp://b:5555", up to 16: the first that answers, and another one when it falls
 * silent
 * @functions:  local: the program's own functions, ends with a row of NULLs; NULL: none.  Copied,
 *              except the code itself.  Elsewhere NULL: workers bring the functions
 * @cfg:        NULL, or options; borrowed during the call
 *
 * With @functions the slots' common parent (the zygote) is forked from the program as it is now: it
 * sees the memory of this moment and nothing later, and a lock that another thread holds at this
 * moment stays locked for ever in the slots (except malloc's).  Open clients early, before threads
 * start.  With modules alone a helper program is started instead, which is safe at any time. In the
 * slots all descriptors of the program are closed, 0 and 1 are /dev/null, signals are at their
 * defaults.
 *
 * With dispatchers it does not wait for one: the first call that needs one does.
 *
 * Blocking: local: until the slots' parent has started and loaded the modules: milliseconds, unless
 *           a module's constructor takes longer; that is given up after 10 s.  Else: no.
 * Outputs:  @ret is set on 0 and untouched otherwise.
 * Errors:   faas_error_text() names what was wrong.
 *
 * Return: 0; FAAS_E_NOENT unknown scheme, or a module that cannot be read or is none;
 *         FAAS_E_VERSION a module of another ABI; FAAS_E_EXISTS a function name twice;
 *         FAAS_E_LIMIT too many slots, functions or dispatchers; -EINVAL a malformed @url, name or
 *         @cfg, local: among dispatchers, functions or FAAS_CLIENT_BUILTINS without local:;
 *         -ENOENT no helper program; -ECHILD the slots' parent ended at once, as when a module's
 *         constructor exits or crashes; -ETIMEDOUT a constructor took over 10 s; -EMFILE, -EAGAIN
 * (no process), -ENOMEM.
 */
int faas_client_open(struct faas_client **ret,
                     const char *url,
                     const struct faas_function *functions,
                     const struct faas_client_cfg *cfg);

/**
 * faas_client_close() - give everything back
 * @c: client; NULL is fine
 *
 * Local: kills the slots and waits for their end; tasks that are not done are forgotten.  Else:
 * tells the dispatcher goodbye, if it is there; accepted tasks go on, and their results can be had
 * from faas_result() of another client.
 *
 * Blocking: milliseconds.
 * Return:   NULL, so that "c = faas_client_close(c)" leaves nothing dangling; @c itself, still
 *           open, inside the callback, where this may not be called.
 */
struct faas_client *faas_client_close(struct faas_client *c);

/**
 * faas_submit() - queue one call of a function
 * @c:       client
 * @task:    what to run; borrowed until return
 * @ret_id:  NULL, or where the task's id goes
 *
 * On 0 the task is accepted as durably as the store promises, and may already be running.  With a
 * window full of bytes the call waits for room, up to cfg.submit_timeout_ms, as long as tasks are
 * running whose end can make some.  A window full of tasks is FAAS_E_AGAIN at once: only collecting
 * results, by faas_wait(), faas_wait_any() or the callback, makes room there.
 *
 * A dispatcher is waited for as long, until it is there and has answered.  FAAS_E_UNKNOWN means
 * that the task was sent and not answered: it is this client's nevertheless and is sent again when
 * a dispatcher comes back, so it can be waited for.  To submit it again under the same id is
 * harmless.  If it is refused later it is queued nowhere and forgotten: faas_wait() for it says
 * FAAS_E_NOENT, faas_wait_any() and the callback never bring it, and its place in the window is
 * free again a second later.
 *
 * Blocking: local: only for room; else at most cfg.submit_timeout_ms.
 * Outputs:  @ret_id is set on 0 and on FAAS_E_UNKNOWN, untouched otherwise.
 *
 * Return: 0; FAAS_E_NOENT no such function (local; elsewhere the task waits for a worker that has
 *         it); FAAS_E_LIMIT payload over FAAS_PAYLOAD_MAX, or the queue is full;
 *         FAAS_E_EXISTS task->id was used for something else; FAAS_E_AGAIN no room in time;
 *         FAAS_E_GONE a task of this id is done and was collected;
 *         FAAS_E_UNAVAILABLE no dispatcher in time, or it takes no tasks: the task is queued
 *         nowhere; FAAS_E_UNKNOWN no answer in time; FAAS_E_VERSION the dispatcher speaks another
 *         version: the task is queued nowhere; FAAS_E_FORKED;
 *         -EINVAL a bad name or reserved member; -ENOMEM, another negative errno.
 */
int faas_submit(struct faas_client *c, const struct faas_task *task, struct faas_id *ret_id);

/**
 * faas_submit_many() - queue many calls in one trip
 * @c:        client
 * @tasks:    @n tasks; borrowed until return
 * @n:        how many
 * @ret_ids:  NULL, or room for @n ids: all zeros for a task that is not queued
 * @ret_n:    NULL, or where the number of accepted tasks goes, also on failure
 *
 * As faas_submit() for each; stops at the first that is not accepted and returns its error.
 *
 * It waits for one trip to the dispatcher, and with a durable store for a commit of that one: who
 * submits thousands of short tasks does so a thousand or more in a call.
 *
 * Local: tasks before it are accepted, those after it were not looked at.
 *
 * With dispatchers several thousand tasks are on their way at a time.  When one is refused, no more
 * are sent, the answers to those on their way are waited for, and some behind the refused one can
 * have been accepted: @ret_n counts them, and their ids in @ret_ids tell which.  So what is to be
 * submitted again is what has an id of zeros.  With FAAS_E_UNKNOWN, and with a negative errno, an
 * id that is not zeros stands for an accepted task or for one without an answer, which goes on as
 * faas_submit() says, and @ret_n counts the former only.
 *
 * Blocking: local: only for room; else as long as answers come, and cfg.submit_timeout_ms without
 *           one.
 * Return:   0 when all are accepted; FAAS_E_UNKNOWN if the outcome of any is unknown; else as
 *           faas_submit().
 */
int faas_submit_many(struct faas_client *c,
                     const struct faas_task *tasks,
                     size_t n,
                     struct faas_id *ret_ids,
                     size_t *ret_n);

/**
 * faas_wait() - the result of one of my tasks
 * @c:           client
 * @id:          a task that this client submitted
 * @timeout_ms:  how long to wait; 0: not at all; negative: for ever
 * @ret:         initialised result; what it held is freed first, and only on 0
 *
 * On 0 the result is collected: it is @ret's, and the library forgets it.  (The
 * dispatcher is told so by the next call, or by faas_client_process() some milliseconds later.)  A
 * task that FAILED is no failure of this call: look at ret->status.  A dispatcher that is away is
 * no failure either: it may come back, and only @timeout_ms ends the wait.
 *
 * Blocking: at most @timeout_ms; an @id that is not one of this client's is asked for, as in
 *           faas_status().
 * Return:   0; FAAS_E_AGAIN not done in time; FAAS_E_NOENT never heard of it, or it was refused
 *           after its submit had returned FAAS_E_UNKNOWN; FAAS_E_GONE it was collected before;
 *           FAAS_E_VERSION the only dispatcher speaks another version now; FAAS_E_TIMEOUT,
 *           FAAS_E_UNAVAILABLE not one of this client's, and as faas_status(); FAAS_E_FORKED;
 *           negative errno.
 */
int faas_wait(struct faas_client *c,
              const struct faas_id *id,
              int timeout_ms,
              struct faas_result *ret);

/**
 * faas_wait_any() - the next finished one of my tasks
 * @c:           client
 * @timeout_ms:  as for faas_wait()
 * @ret:         as for faas_wait(); ret->id tells which
 *
 * Each result is given once, in the order in which the tasks ended.
 *
 * Blocking: at most @timeout_ms.
 * Return:   0; FAAS_E_AGAIN none in time; FAAS_E_NOENT no task is open and no result is left;
 *           FAAS_E_VERSION as faas_wait(); FAAS_E_FORKED; negative errno.
 */
int faas_wait_any(struct faas_client *c, int timeout_ms, struct faas_result *ret);

/**
 * faas_status() - where a task is
 * @c:           client
 * @id:          any task of the dispatcher
 * @ret_status:  where the answer goes
 *
 * What this client knows itself (its own tasks that are done) is told at once.
 *
 * Blocking: at most cfg.submit_timeout_ms; local: not at all.
 * Return:   0; FAAS_E_NOENT; FAAS_E_GONE collected or expired; FAAS_E_TIMEOUT no dispatcher is
 *           there, or it did not answer in time; FAAS_E_VERSION it speaks another version;
 *           FAAS_E_UNAVAILABLE it sent this client away; FAAS_E_FORKED; negative errno.
 */
int faas_status(struct faas_client *c, const struct faas_id *id, enum faas_status *ret_status);

/**
 * faas_result() - read the result of a task without collecting it
 * @c:    client
 * @id:   any task of the dispatcher
 * @ret:  as for faas_wait()
 *
 * Blocking: as faas_status().
 * Return:   0; FAAS_E_AGAIN not done yet; else as faas_status().
 */
int faas_result(struct faas_client *c, const struct faas_id *id, struct faas_result *ret);

/**
 * faas_cancel() - end a task that is not done yet
 * @c:   client
 * @id:  any task of the dispatcher
 *
 * A queued task becomes CANCELLED and never runs; a running one too, and its slot is killed.  Its
 * result is delivered as any other.  A task that is final stays what it is.
 *
 * Blocking: as faas_status().
 * Return:   0 the task is CANCELLED now; FAAS_E_EXISTS it ended before; else as faas_status().
 *           After FAAS_E_TIMEOUT it may be cancelled or not.
 */
int faas_cancel(struct faas_client *c, const struct faas_id *id);

/* One worker, as its dispatcher sees it. */
struct faas_worker_info {
        uint64_t incarnation; /* another one at each start of a worker */
        uint32_t n_slots;
        uint32_t held;      /* tasks that it has */
        uint32_t grant;     /* tasks that it wants to have in all */
        uint32_t silent_ms; /* since it was last heard */
        uint64_t done;      /* results of it that counted */
        char name[129];     /* as it calls itself: "host:pid" */
        uint64_t reserved[4];
};

/**
 * faas_client_stats() - the dispatcher's numbers
 * @c:    client
 * @ret:  filled, on 0
 *
 * Local: those of the dispatcher inside this client.
 *
 * Blocking: as faas_status().
 * Return:   0; FAAS_E_TIMEOUT, FAAS_E_VERSION, FAAS_E_UNAVAILABLE as faas_status(); FAAS_E_FORKED;
 *           negative errno.
 */
int faas_client_stats(struct faas_client *c, struct faas_stats *ret);

/**
 * faas_client_workers() - the dispatcher's workers
 * @c:      client
 * @ret:    where an array goes, in no particular order; free() it; NULL if there are none
 * @ret_n:  how many
 *
 * Local: one, with the slots of this client.
 *
 * Blocking: as faas_status().
 * Outputs:  set on 0 and untouched otherwise.
 * Return:   as faas_client_stats().
 */
int faas_client_workers(struct faas_client *c, struct faas_worker_info **ret, size_t *ret_n);

/**
 * faas_client_fd() - what an event loop polls
 * @c: client
 *
 * Readable (level-triggered) while faas_client_process() has something to do or a result waits to
 * be collected.  The same number for the client's whole life; never read, write or close it.  It
 * costs the client's calls some system calls, but only from the first time on that it was asked
 * for.
 *
 * Return: a file descriptor; -EINVAL no client, or it belongs to the process that forked this one;
 *         -ENOMEM, -ENOSPC it cannot be watched.
 */
int faas_client_fd(struct faas_client *c);

/**
 * faas_client_process() - do what can be done now
 * @c: client
 *
 * Moves tasks and results, gives finished ones to the callback if there is one.  With dispatchers
 * it also beats: while tasks are open the fd becomes readable when a beat is due.  Bounded: after a
 * batch of work it returns with the fd still readable.
 *
 * Blocking: never.
 * Return:   0; FAAS_E_FORKED; negative errno when the client is broken.
 */
int faas_client_process(struct faas_client *c);

/**
 * faas_client_on_done() - have results given to a function
 * @c:         client
 * @fn:        called once for each finished task; NULL: back to collecting by hand
 * @userdata:  handed to @fn
 *
 * @fn runs only inside faas_client_process(), faas_wait() and faas_wait_any(), never inside a
 * submit.  The result is @fn's to look at during the call and counts as collected; to keep it,
 * take the struct and put FAAS_RESULT_INIT in its place.  @fn may submit, cancel and ask for
 * status; it must not close the client, nor process, nor wait.  With a callback faas_wait()
 * returns FAAS_E_GONE once its task was given to @fn, and faas_wait_any() gives FAAS_E_NOENT when
 * nothing is open any more.
 */
void faas_client_on_done(struct faas_client *c,
                         void (*fn)(struct faas_client *c,
                                    struct faas_result *result,
                                    void *userdata),
                         void *userdata);

/**
 * faas_result_clear() - free what a result holds
 * @r: result; NULL is fine.  FAAS_RESULT_INIT afterwards
 */
void faas_result_clear(struct faas_result *r);

/**
 * faas_id_format() - an id as text, "018f3c2e-....": 36 characters
 * @id:   id
 * @buf:  room for FAAS_ID_TEXT_LEN + 1 bytes
 *
 * Threads: safe everywhere.
 * Return:  @buf.
 */
char *faas_id_format(const struct faas_id *id, char *buf);

/**
 * faas_id_parse() - an id from its text
 * @ret:   where it goes
 * @text:  36 characters as faas_id_format() gives, upper case allowed
 *
 * Threads: safe everywhere.
 * Return:  0; -EINVAL, with @ret untouched.
 */
int faas_id_parse(struct faas_id *ret, const char *text);

#ifdef __cplusplus
}
#endif

#endif
