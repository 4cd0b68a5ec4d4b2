/*
 * faas/task.h - the words of libfaas as C types: id, status, task, result, and the limits
 *
 * Part of libfaas (MIT).  Compiles as C99 and as C++.  Include <faas/faas.h> to get everything.
 */
#ifndef FAAS_TASK_H
#define FAAS_TASK_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Limits.  Those of a task are checked at submit, before anything is stored; a result over its own
 * has FAILED, and texts are cut. */
#define FAAS_PAYLOAD_MAX 4194304u /* bytes of a payload, and of a result */
#define FAAS_NAME_MAX 64u         /* bytes of a function's or queue's name */
#define FAAS_TEXT_MAX 1024u       /* bytes of a result's error text */
#define FAAS_LOG_MAX 4096u        /* last bytes of a slot's standard error kept */
#define FAAS_ID_TEXT_LEN 36u      /* characters of a printed id, without the NUL */

/* A task's name in the world: a UUIDv7 (RFC 9562) made by the client; bytes in network order. */
struct faas_id {
        unsigned char b[16];
};

/* Where a task is in its life.  The last three are final: they never change again. */
enum faas_status {
        FAAS_QUEUED,    /* accepted, waits for a slot */
        FAAS_RUNNING,   /* handed to a worker */
        FAAS_COMPLETED, /* its function returned 0 */
        FAAS_FAILED,    /* see enum faas_failure */
        FAAS_CANCELLED, /* faas_cancel() came first */
        _FAAS_STATUS_N
};

/* Why a task FAILED: FUNCTION is the function's doing, the others name what became of its slot. */
enum faas_failure {
        FAAS_FAILURE_NONE,     /* it did not fail */
        FAAS_FAILURE_FUNCTION, /* the function returned non-zero: struct faas_result.code */
        FAAS_FAILURE_CRASHED,  /* its slot died max_strikes times: .code is the signal's number */
        FAAS_FAILURE_EXITED,   /* the function ended its process: .code is the exit status */
        FAAS_FAILURE_TIMEOUT,  /* it ran longer than timeout_ms, max_strikes times */
        FAAS_FAILURE_WORKER_LOST, /* its worker died or went silent max_strikes times */
        FAAS_FAILURE_LIMIT, /* its result was over FAAS_PAYLOAD_MAX, or the slot had no memory */
        FAAS_FAILURE_NO_FUNCTION, /* the worker does not know the function */
        FAAS_FAILURE_LOST,        /* nobody knows it any more: its store is gone, or it expired */
        _FAAS_FAILURE_N
};

/*
 * What to run.  Start from { .function = ... } or from = {0}: a member left 0 takes its default.
 * All pointers are borrowed for the call that gets the struct.
 */
struct faas_task {
        const char *function; /* name, [a-z0-9._-]{1,64} */
        const void *payload;  /* the function's input; may be NULL when payload_len is 0 */
        size_t payload_len;   /* bytes, at most FAAS_PAYLOAD_MAX */
        const struct faas_id
                *id; /* NULL: a new id is made; else submit under this one, not all zeros */
        uint32_t
                timeout_ms; /* kill the slot when the function runs longer: a strike; 0: no limit */
        uint32_t max_strikes; /* hand-outs that may end with a dead slot or worker; 0: 3 */
        uint32_t max_retries; /* runs again after the function itself failed; 0: none */
        uint32_t flags;       /* 0 */
        uint64_t reserved[4]; /* 0 */
};

/*
 * What became of a task.  Start from FAAS_RESULT_INIT; free what it holds with
 * faas_result_clear().  Pointers are the result's own and are NUL-terminated behind their length.
 */
struct faas_result {
        struct faas_id id;
        enum faas_status status;
        enum faas_failure failure; /* FAAS_FAILURE_NONE unless status is FAAS_FAILED */
        int code;                  /* see enum faas_failure */
        uint32_t strikes;          /* hand-outs that ended with a dead slot or worker */
        size_t payload_len;
        const void *payload; /* what the function returned */
        size_t text_len;
        const char *text; /* what went wrong, one line, or "" */
        size_t log_len;
        const char *log; /* last bytes that a crashed slot wrote to its standard error, or "" */
        void *owner_;    /* the library's own */
        uint64_t reserved_[4];
};

/* clang-format off */
#define FAAS_RESULT_INIT                                                                           \
        { {{0}}, FAAS_QUEUED, FAAS_FAILURE_NONE, 0, 0, 0, NULL, 0, NULL, 0, NULL, NULL, {0} }
/* clang-format on */

#ifdef __cplusplus
}
#endif

#endif
