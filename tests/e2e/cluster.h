/*
 * cluster.h - a dispatcher, workers and a client as separate processes, for tests that kill them
 *
 * The real programs, found in $FAAS_BIN.  Their functions are those of functions.c.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include <criterion/criterion.h>
#include <faas/faas.h>

#define WORKERS_MAX 16
#define FAR 60000 /* a heartbeat, in ms, that no test waits for */

struct cluster {
        const char *mode; /* "push", "pull", "local" */
        unsigned heartbeat_ms;
        const char *dir;      /* temporary */
        char door[128];       /* of the dispatcher */
        char url[280];        /* what clients and workers are told: the door, and perhaps others */
        const char *more[10]; /* further options of the dispatcher; ends with NULL */
        pid_t dispatcher;
        pid_t workers[WORKERS_MAX]; /* 0: none */
        struct faas_client *client;
        struct board *board;
};

/* Shared by the test and all slots. */
enum { BOARD_N = 100000 };
struct board {
        _Atomic uint32_t executed[BOARD_N];
        _Atomic uint32_t begun;               /* "hold", "first": how often one has begun */
        _Atomic uint32_t go;                  /* "hold": may end */
        _Atomic int32_t victims[WORKERS_MAX]; /* "murder": kills these */
};

/* What "work" answers to the 32-bit number i. */
struct answer {
        uint64_t value;
        uint64_t i;
};
static inline uint64_t right(uint32_t i) {
        return (uint64_t)i * UINT64_C(0x9e3779b97f4a7c15) ^ i;
}

/* A directory and a board, and nothing that runs. */
void cluster_init(struct cluster *c, const char *mode, unsigned heartbeat_ms);
/* A client of everything that c->url names. */
void cluster_client(struct cluster *c);
/* Dispatcher and client; the client's calls wait for it. */
void cluster_start(struct cluster *c, const char *mode, unsigned heartbeat_ms);
/* The dispatcher alone, again at the same address. */
void cluster_dispatcher(struct cluster *c);
/* One with these options, and those that all have. */
pid_t cluster_spawn(struct cluster *c, const char *door, const char *const more[]);
/* Worker number i (again), with n slots; returns before it has registered. */
void cluster_worker(struct cluster *c, unsigned i, unsigned n_slots);
/* Until n workers are registered. */
void cluster_await(struct cluster *c, unsigned n);
/* Until the board says that n "hold" or "first" have begun. */
void cluster_begun(struct cluster *c, unsigned n);
void cluster_stats(struct cluster *c, struct faas_stats *ret);
void cluster_kill_worker(struct cluster *c, unsigned i);
/* Ends everything; what has not ended before is killed. */
void cluster_end(struct cluster *c);

void cluster_submit(struct cluster *c,
                    const char *function,
                    const char *payload,
                    struct faas_id *ret_id);
/* Waits for it; it COMPLETED. */
void cluster_completed(struct cluster *c, const struct faas_id *id);

/* The CPU time of a process, all its threads, in ns. */
uint64_t proc_cpu_ns(pid_t pid);
