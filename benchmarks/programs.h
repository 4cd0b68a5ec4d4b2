/*
 * programs.h - starts faas-dispatcher, faas-worker and a Redis for a benchmark, and ends them
 *
 * The programs are looked for in $FAAS_BIN, else in ../tools beside the benchmark's own file.
 */
#ifndef BENCH_PROGRAMS_H
#define BENCH_PROGRAMS_H

#include <sys/types.h>

#include "redis-server.h"

#define DISPATCHERS_MAX 2
#define WORKERS_MAX 64

/* A member left 0 takes what stands in brackets. */
struct programs_cfg {
        const char *mode; /* "local", "push", "pull" */
        int tcp;          /* doors at ports of 127.0.0.1 instead of unix sockets */
        unsigned heartbeat_ms;
        unsigned n_slots;         /* local: of the dispatcher */
        unsigned n_dispatchers;   /* [1] of one store, named d1, d2; the second starts later */
        const char *store;        /* "memory", "redis": a server of its own; else a URL [memory] */
        const char *fsync;        /* of that server [everysec] */
        const char *const *extra; /* further options of the dispatchers, NULL at the end [none] */
};

struct programs {
        struct programs_cfg cfg;
        char dir[64]; /* temporary, for sockets and Redis's files */
        char bin[512];
        char store[160];                 /* the URL */
        char door[DISPATCHERS_MAX][128]; /* URLs */
        char url[260];                   /* all doors: for clients and workers */
        struct redis_server redis;       /* .pid 0: none of its own */
        pid_t dispatchers[DISPATCHERS_MAX];
        pid_t workers[WORKERS_MAX];
        unsigned n_workers;
};

/* Starts the store and the first dispatcher. 0; -1: a message was printed. programs_end() anyway.
 */
int programs_start(struct programs *p, const struct programs_cfg *cfg);

/* A dispatcher, the first is 0; also once more, at the same address. 0; -1. */
int programs_dispatcher(struct programs *p, unsigned which);

/* Starts one more worker, for all dispatchers, or for those at this URL. 0; -1. */
int programs_worker(struct programs *p, unsigned n_slots);
int programs_worker_at(struct programs *p, unsigned n_slots, const char *url);

/* A program that ends with this one, by its path. -1: a message was printed. */
pid_t programs_run(const char *const argv[]);

/* Kills with SIGKILL and reaps; nothing for 0. */
void programs_kill(pid_t pid);

/* Resident memory in bytes; 0: it is gone. */
unsigned long long programs_rss(pid_t pid);

/* Seconds of processor time that a process has used, all its threads; 0: this one. */
double programs_cpu(pid_t pid);

/* Kills and reaps all, removes the directory. */
void programs_end(struct programs *p);

/* Makes a temporary directory, in whose path "/faas-bench-" stands; removes one. 0; -1. */
int programs_dir(char ret[64]);
void programs_remove(const char *dir);

/* Seconds of a clock that never goes back. */
double programs_now(void);

void programs_sleep(double seconds);

#endif
