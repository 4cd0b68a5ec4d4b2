/*
 * slots.h - a pool of N slots behind one zygote: the only part that forks and runs functions
 *
 * The owner (run/) hands tasks to numbered slots and takes events out; both never block.  The pool
 * owns the zygote, shared memory and a bell (a socketpair) per slot, and an epoll over all of them.
 *
 * Processes.  The zygote is double-forked when the pool opens, so it is nobody's child; of the
 * host's descriptors it keeps none.  It has its own socket, a signalfd and an eventfd (also the
 * slots', to wake it for an earlier deadline), the read end of each slot's standard error,
 * /dev/null on 0, 1 and 2, and whatever a module's constructor opened; a slot has its bell, the
 * eventfd, /dev/null on 0 and 1 and its standard error.  Signals are at their defaults, but SIGCHLD
 * is blocked in the zygote.  It ends with EOF on its socket.  It forks each slot, reaps it, keeps
 * the last FA_LOG_MAX bytes of its standard error, kills it when its task's time is over (also
 * while the host sleeps or is stopped), and ends whatever a dead slot left running (subreaper,
 * process group).
 *
 * Order.  A slot runs its tasks in the order in which they were given, and several may wait in its
 * ring.  Before a slot starts a task it claims it on the control page, one compare-and-swap on
 * {last task claimed, all up to here revoked}; so after a slot's death it is known exactly which
 * task had started, and fa_slots_recall() takes back those that had not.  The page is written by
 * the slot too: every number read from it is checked against what was handed out.
 *
 * Lost zygote (killed from outside): every slot is reported down, and it is started anew; with
 * functions of the host that is a new snapshot, of the host as it is then.  One that has not loaded
 * everything after 10 s is ended, and tried again after a pause.
 *
 * What a dead slot leaves running is ended: its process group at once, orphans of its session and
 * what left that session at the zygote's next look, which is at each death of a slot or an orphan.
 * If the zygote itself is killed, slots die with it, but not what they have forked.
 *
 * The host: a fork of it that does not exec shares the zygote's socket and so keeps the zygote
 * alive; its fa_slots_close() closes its copies only.  A host that is a subreaper or process 1 is
 * the zygote's parent after all, and gets its SIGCHLD.  Locks that other threads hold when the
 * zygote is forked stay locked in all slots, malloc's excepted.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <faas/function.h>

#include "model/outcome.h"

struct fa_slots;

struct fa_slots_cfg {
        unsigned n_slots; /* 1..FA_SLOTS_MAX */
        const struct faas_function
                *functions; /* of the host program: the zygote is its snapshot; may be NULL */
        const char *const *modules; /* shared objects to load, NULL-terminated; NULL: none. With
                                       modules and no functions the zygote is the helper program,
                                       started with posix_spawn: safe with threads */
        bool builtins;              /* noop, echo, sleep, heavy, xheavy, fail, crash */
        uint32_t first_seq;         /* for tests of the wrap; 0: 1 */
        uint32_t restart_ms; /* for tests: how long a zygote started anew may load; 0: 10 s */
};

/* A task on its way into a slot; borrowed for the call. */
struct fa_slot_task {
        const struct faas_id *id;
        const char *function; /* NUL-terminated */
        struct fa_blob *payload;
        uint32_t timeout_ms; /* 0: none */
};

enum fa_slot_event_kind {
        FA_SLOT_UP,       /* the slot is ready for tasks: at open, and after each replacement */
        FA_SLOT_RESULT,   /* task seq ended; .outcome is COMPLETED or FAILED (FUNCTION, LIMIT,
                             NO_FUNCTION) */
        FA_SLOT_RETURNED, /* answers fa_slots_recall(): the tasks after seq that were given before
                             it were not and will not be started.  The results that were ready then
                             come before it */
        FA_SLOT_DOWN, /* the slot is dead; its tasks without a RESULT are gone.  .started: one was
                         running, or was just about to be answered: .seq, and .outcome is its end
                         (FAILED: CRASHED with the signal, EXITED with the status, TIMEOUT; with
                         .log).  Tasks before .seq had ended without harm, and their results are
                         lost only if the slot died while it wrote them; tasks after it were not
                         begun, unless the slot was ended for rubbish that it wrote */
};

struct fa_slot_event {
        enum fa_slot_event_kind kind;
        unsigned slot;
        uint32_t seq;
        bool started;              /* FA_SLOT_DOWN */
        struct fa_outcome outcome; /* the reader owns it */
};

/*
 * Starts the zygote and asks for all slots; waits until the zygote has answered that every module
 * is loaded (at most a few seconds; a module's constructor may run here).  FA_SLOT_UP events
 * follow.
 *
 * Return: 0; FAAS_E_NOENT a module cannot be read or has no faas_module; FAAS_E_VERSION another
 * FAAS_MODULE_ABI, or a helper program of another version; FAAS_E_EXISTS a name twice; FAAS_E_LIMIT
 * more than FA_FUNCTIONS_MAX; -EINVAL a bad name, no function at all, or a bad number of slots;
 * -ENOENT no helper program ($FAAS_SLOTS_HELPER, else where it was installed); -ECHILD it ended at
 * once; -ETIMEDOUT a module took over 10 s; -EMFILE, -EAGAIN (fork refused), -ENOMEM.  fa_error()
 * has the text.  On failure nothing is left behind.
 */
int fa_slots_open(struct fa_slots **ret, const struct fa_slots_cfg *cfg);

/* Kills all slots and the zygote and waits for their end.  NULL is fine; returns NULL. */
struct fa_slots *fa_slots_close(struct fa_slots *s);

/* The names of all functions, host's, modules' and built-in; *ret_n of them, valid until close. */
const char *const *fa_slots_functions(const struct fa_slots *s, size_t *ret_n);

/*
 * Queues a task for the slot and numbers it: *ret_seq, growing by one per slot, from 1 after each
 * FA_SLOT_UP.  Nothing is written before fa_slots_flush().  0; FAAS_E_GONE the slot is down (its
 * event comes or came); -ENOMEM.
 */
int fa_slots_run(struct fa_slots *s,
                 unsigned slot,
                 const struct fa_slot_task *t,
                 uint32_t *ret_seq);

/* Tells each slot what is queued, as far as its ring takes it, with a system call if it sleeps; the
 * rest follows by itself. */
void fa_slots_flush(struct fa_slots *s);

/*
 * Takes back all tasks of the slot that it has not claimed, and looks for the results that it has
 * ready: while it believes what it runs to be short it does not ring for them.  So whoever waits
 * longer for a slot's oldest task while it has others, recalls.
 * Answered by FA_SLOT_RETURNED, which is there at once.  0; FAAS_E_GONE the slot is down, or was
 * just found to have written over its control page; -ENOMEM.
 */
int fa_slots_recall(struct fa_slots *s, unsigned slot);

/* Kills the slot (cancel of a running task); FA_SLOT_DOWN follows, with signal 9. */
void fa_slots_kill(struct fa_slots *s, unsigned slot);

/*
 * The next event; never blocks.  0: *ret is filled and owned by the caller; FAAS_E_AGAIN: nothing
 * now; < 0: the pool is broken (cannot start a zygote again).
 */
int fa_slots_next(struct fa_slots *s, struct fa_slot_event *ret);

/*
 * Sleeps until there is something to read, timeout_ms (-1: no end) have passed, or a signal comes:
 * as poll() on fa_slots_fd(), but fa_slots_next() then need not look again.
 */
void fa_slots_wait(struct fa_slots *s, int timeout_ms);

/*
 * Level-triggered: readable when fa_slots_next() has something to do, provided that it was called
 * until FAAS_E_AGAIN: what is in hand only fa_slots_deadline() shows.  From the first call on the
 * slots ring their bells after each FAAS_E_AGAIN; before, only in fa_slots_wait().
 */
int fa_slots_fd(struct fa_slots *s);

/*
 * When fa_slots_next() must be called although the fd is silent: 0, at once, while it has events in
 * hand (after fa_slots_recall(), or if it was not called until FAAS_E_AGAIN); the end of the pause
 * when a slot or the zygote could not be forked and is to be tried again; the time by which a new
 * zygote must have started; FA_NEVER: not at all.
 */
uint64_t fa_slots_deadline(const struct fa_slots *s);

/* For tests: the pid of a slot (0: down) and of the zygote. */
int fa_slots_pid(const struct fa_slots *s, unsigned slot);
int fa_slots_zygote_pid(const struct fa_slots *s);
