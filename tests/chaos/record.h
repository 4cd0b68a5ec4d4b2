/*
 * record.h - what clients, functions and the checker of the fault tests write down and read
 *
 * A record is one write() to a file with O_APPEND, so it is there as a whole or not at all, whoever
 * is killed.  Times are CLOCK_MONOTONIC, which all processes of a machine share.
 */
#pragma once

#include <fcntl.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <faas/task.h>

enum what {
        R_SUBMITTED,    /* the call begins */
        R_ACKNOWLEDGED, /* it said that the task is accepted */
        R_RESULT,       /* the client was given the result: status, failure, right */
        R_ASKED,        /* another client read it: status, failure, right */
        R_ERROR,        /* a call returned what it should not: status */
        R_BEGUN,        /* the function begins: who is the worker, pid the slot */
        R_ENDED,        /* it is about to return */
        _R_N
};

struct record {
        struct faas_id id;
        uint64_t ns;
        uint32_t who; /* number of the client or worker */
        int32_t pid;  /* the writer */
        uint8_t what;
        uint8_t failure; /* enum faas_failure */
        uint8_t right;   /* the result is that of the task */
        uint8_t again;   /* submitted: not for the first time */
        int32_t status;  /* enum faas_status, or what a call returned */
};

/* What a task brings, and what its function answers. */
struct question {
        struct faas_id id;
        uint32_t work_us; /* this long */
        uint32_t salt;
};
struct answer {
        struct faas_id id;
        uint64_t value;
};

static inline uint64_t now_ns(void) {
        struct timespec ts;

        clock_gettime(CLOCK_MONOTONIC, &ts);
        return (uint64_t)ts.tv_sec * UINT64_C(1000000000) + (uint64_t)ts.tv_nsec;
}

/* FNV-1a of all bytes of the question. */
static inline uint64_t right_value(const struct question *q) {
        const unsigned char *b = (const unsigned char *)q;
        uint64_t h = UINT64_C(0xcbf29ce484222325);

        for (size_t i = 0; i < sizeof(*q); i++)
                h = (h ^ b[i]) * UINT64_C(0x100000001b3);
        return h;
}

static inline int record_open(const char *path) {
        return open(path, O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
}

/* -1: not written, or not all. */
static inline int record_write(int fd, const struct record *r, size_t n) {
        return write(fd, r, n * sizeof(*r)) == (ssize_t)(n * sizeof(*r)) ? 0 : -1;
}
