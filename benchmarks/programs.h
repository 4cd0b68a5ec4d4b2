/*
 * programs.h - starts faas-dispatcher and faas-worker for a benchmark, and ends them
 *
 * The programs are looked for in $FAAS_BIN, else in ../tools beside the benchmark's own file.
 */
#ifndef BENCH_PROGRAMS_H
#define BENCH_PROGRAMS_H

#include <sys/types.h>

#define WORKERS_MAX 64

struct programs {
        char dir[64];  /* temporary, for the socket */
        char url[128]; /* of the door */
        char bin[512];
        const char *mode;
        unsigned heartbeat_ms, n_slots;
        pid_t dispatcher;
        pid_t workers[WORKERS_MAX];
        unsigned n_workers;
};

/*
 * Starts a dispatcher.  mode: "local", "push", "pull"; tcp: at a port of 127.0.0.1 instead of a
 * unix socket; n_slots: in local mode.  0; -1: a message was printed.
 */
int programs_start(struct programs *p,
                   const char *mode,
                   int tcp,
                   unsigned heartbeat_ms,
                   unsigned n_slots);

/* The same dispatcher once more, at the same address. 0; -1. */
int programs_dispatcher(struct programs *p);

/* Kills with SIGKILL and reaps; nothing for 0. */
void programs_kill(pid_t pid);

/* Starts one more worker. 0; -1. */
int programs_worker(struct programs *p, unsigned n_slots);

/* Kills and reaps all, removes the directory. */
void programs_end(struct programs *p);

#endif
