/* client-private.h - the inside of a client handle, shared by the files of api/ */
#pragma once

#include <stdbool.h>

#include <faas/client.h>

#include "base/id.h"
#include "run/local.h"
#include "run/remote.h"

/*
 * On a page of its own that the kernel empties in a child of fork(): there .mark is 0, and the ids
 * that the parent goes on to make cannot be made twice.
 */
#define FA_GUARD_MARK UINT64_C(0x6661617320636c69) /* anything but 0 */
struct fa_guard {
        uint64_t mark;
        struct fa_idgen ids;
};

/* A task that was handed to the client machine, until it is accepted or refused. */
struct fa_sent {
        struct faas_id id;
        uint32_t len; /* of its payload */
};

struct faas_client {
        struct fa_guard *guard;
        struct faas_function *table; /* a copy of the program's own */
        char *url;                   /* as it was given */
        struct fa_local *local;      /* one of these two */
        struct fa_remote *remote;
        bool many;            /* remote: dispatchers to choose from */
        struct fa_cli *cli;   /* local's or remote's */
        struct fa_sent *sent; /* n_sent of them: tasks of a submit without an answer, a ring */
        size_t n_sent;
        const char *const *functions; /* local's */
        size_t n_functions;
        size_t last_function; /* most callers ask for the same one again */
        uint32_t submit_timeout_ms;
        uint64_t queue_tasks, queue_bytes;
        uint64_t now_ns;   /* of the last turn */
        bool turned;       /* since the last call was left: deadlines may have moved */
        bool more;         /* the last turn left something to read */
        int broken;        /* < 0: what every turn returns from now on */
        bool in_callback;  /* on_done is running */
        bool polled;       /* the caller has asked for epoll_fd, and may sleep on it */
        int epoll_fd;      /* what the caller polls: the slots' or ports' fd, and these two */
        int timer_fd;      /* a turn is due */
        int event_fd;      /* a result waits, or c->more */
        uint64_t armed_ns; /* when timer_fd fires; FA_NEVER */
        bool signalled;    /* event_fd is readable */
        void (*on_done)(struct faas_client *c, struct faas_result *result, void *userdata);
        void *userdata;
};

/*
 * The first lines of each call: -EINVAL for no client, FAAS_E_FORKED in a child.
 * what: the call's name, for the text.
 */
int fa_client_enter(const struct faas_client *c, const char *what);
/* The same for calls that a callback may not make. */
int fa_client_enter_alone(const struct faas_client *c, const char *what);
/* The last line of each call that may have moved something: the fd tells what is left to do. */
void fa_client_leave(struct faas_client *c);

/* Reads the clock and takes a turn: 0, or < 0 and the client is broken. */
int fa_client_turn(struct faas_client *c);
/* What tells that a turn has something to read. */
int fa_client_inner_fd(const struct faas_client *c);
/* Waits until a turn has something to do, at most until then. */
void fa_client_sleep(struct faas_client *c, uint64_t until_ns);
/* From the caller's time-out: a point in time, FA_NEVER for negative ones. */
uint64_t fa_client_until(int timeout_ms);

/* How long one call waits for its dispatcher. */
struct fa_patience {
        uint64_t begin_ns, until_ns;
        bool refused; /* the dispatcher had sent this client away before the call */
};
/* cfg.submit_timeout_ms from now; reads the clock. */
struct fa_patience fa_client_patience(struct faas_client *c);
/*
 * After a turn that did not bring the answer: 0 after some sleep, take another one; else why there
 * is no sense in it, with a text: FAAS_E_TIMEOUT; FAAS_E_VERSION or FAAS_E_UNAVAILABLE the
 * dispatcher sent this client away.
 */
int fa_client_await(struct faas_client *c, const char *what, const struct fa_patience *p);
/* Has the only dispatcher said that it does not speak with this version?  Then that, with a text.
 */
int fa_client_hopeless(const struct faas_client *c, const char *what);

/* Gives finished tasks to the callback, if there is one; true if any. */
bool fa_client_deliver(struct faas_client *c);

/* What *ret held is freed; done's references move into it. */
void fa_result_fill(struct faas_result *ret, struct fa_cli_done *done);

/* Asks the dispatcher. 0; FAAS_E_NOENT, FAAS_E_GONE: no such task, with the text of what;
 * FAAS_E_TIMEOUT. */
int fa_client_ask(struct faas_client *c,
                  const char *what,
                  const struct faas_id *id,
                  bool cancel,
                  uint8_t *ret_state,
                  struct fa_cli_done *ret);
