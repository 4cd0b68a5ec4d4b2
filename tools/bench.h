/*
 * bench.h - what the files of the program faas-bench share
 *
 * A study is a list of runs.  Each run is one row: measured by bench-run.c on a system that
 * bench-system.c started, kept in a CSV file by bench-csv.c, summed up by bench-sum.c, and shown by
 * bench-report.c and bench-plot.c.
 */
#pragma once

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/types.h>

/* One run: a line of the CSV file.  Times in seconds. */
struct bench_row {
        char mode[16];   /* local, push, pull, or of another system: pool, gearman */
        char optype[16]; /* noop, sleep, heavy, xheavy */
        unsigned workers;
        unsigned tasks;
        double total;              /* from the first submit to the last result */
        char study[16];            /* weak, strong */
        double sleep;              /* sleep: of each task; else 0 */
        unsigned slots;            /* of each worker */
        char store[16];            /* memory, redis, ...: the scheme of the URL */
        double heartbeat;          /* 0: off */
        double p50, p90, p99, max; /* from a task's submit to its result, waiting included */
        double dispatcher_cpu, workers_cpu;
        double peak_mib; /* resident memory of dispatcher, workers and slots, each at its highest */
        char version[16];
        char date[24]; /* of the end, UTC */
};

/* Set by SIGINT and SIGTERM: everything ends as soon as it can. */
extern volatile sig_atomic_t bench_stopped;
void bench_catch_signals(void);

/* ---- bench-csv.c ---- */

/* Opens the file for further rows; writes the header if it is new.  NULL: said. */
FILE *bench_csv_open(const char *path);
/* false: said. */
bool bench_csv_append(FILE *f, const char *path, const struct bench_row *row);
/* All rows; free() them.  A line that is none is said and passed over.  false: said. */
bool bench_csv_read(const char *path, struct bench_row **ret, size_t *ret_n);

/* ---- bench-system.c: a dispatcher and its workers ---- */

enum { BENCH_WORKERS_MAX = 256 };

struct bench_system {
        char dir[64];
        char url[160];
        pid_t dispatcher;
        pid_t workers[BENCH_WORKERS_MAX];
        unsigned n_workers;
};

/* What is used up by the processes of a system. */
struct bench_usage {
        double dispatcher_cpu, workers_cpu, peak_mib;
};

/* The row says mode, workers, slots and heartbeat.  false: said, and nothing is left. */
bool bench_system_start(struct bench_system *s, const struct bench_row *row, const char *store);
/* Is one of its processes gone?  Says which. */
bool bench_system_broken(const struct bench_system *s);
void bench_system_usage(const struct bench_system *s, struct bench_usage *ret);
void bench_system_end(struct bench_system *s);

/* Resident and used up until now by all processes of a process group. */
void bench_group_usage(pid_t group, double *ret_cpu, double *ret_peak_mib);

/* ---- bench-run.c ---- */

/*
 * Runs row->tasks tasks and fills the rest in.  url: of a running system, else one is started with
 * this store.  false: said.
 */
bool bench_run(struct bench_row *row, const char *url, const char *store);

/* The same with Python's multiprocessing.Pool (bench-pool.c).  false: said. */
bool bench_run_pool(struct bench_row *row);
/* Can it run here?  Else why not is said. */
bool bench_has_pool(void);

/* Seconds of a clock that never goes back. */
double bench_now(void);
/* Can it be started, by $PATH? */
bool bench_has_program(const char *name);
/* p50, p90, p99 and max of n times, which are sorted by it. */
void bench_percentiles(double *v, size_t n, struct bench_row *row);
void bench_date(char ret[24]);

/* The same with gearmand (bench-gearman.c). */
bool bench_run_gearman(struct bench_row *row);
bool bench_has_gearman(void);

/* ---- bench-sum.c ---- */

/* All runs of one point of a study, and the origin's metrics of it (docs/BENCH.md). */
struct bench_point {
        struct bench_row row; /* the best run */
        unsigned n;
        double median, worst; /* of total */
        double latency;       /* formula 5.2 as the origin measured it: s a task and worker */
        double latency_median, latency_worst;
        double throughput;       /* 5.3: tasks a second */
        double overhead;         /* 5.1: s; NAN without a local point */
        double efficiency;       /* 5.4: % of local; NAN without one */
        double ideal_efficiency; /* % of the time that the tasks alone would take; NAN: not known */
};

/* Points in the order of the first run of each; free() them. */
bool bench_sum(const struct bench_row *rows, size_t n, struct bench_point **ret, size_t *ret_n);
/* A Markdown table. */
void bench_table(FILE *f, const struct bench_point *p, size_t n);

/* ---- bench-report.c, bench-plot.c ---- */

/* Writes report.html, report.md and the plots into dir.  The exit code. */
int bench_report(const char *csv, const char *dir);

/* A picture: its file's name without ending, what it shows. */
struct bench_plot {
        const char *name, *title;
        bool drawn;
};
/* Draws all that there are points for, as SVG and PNG.  How many are in *ret; 0: said why. */
size_t bench_plots(const char *dir,
                   const struct bench_point *p,
                   size_t n,
                   struct bench_plot *ret,
                   size_t max);
