/*
 * load.h - a client that offers so many tasks a second, and when their results came
 */
#ifndef BENCH_LOAD_H
#define BENCH_LOAD_H

#include <faas/faas.h>

#define LOAD_BINS_PER_S 100
#define LOAD_SECONDS_MAX 600

struct load {
        struct faas_client *client;
        double rate;               /* tasks a second */
        double began, due;         /* when it began, and when the next tasks are due */
        struct faas_id last;       /* the last accepted one: ids grow */
        struct faas_id mark;       /* as it was when load_mark() was called */
        double marked;             /* when, and when results of tasks up to the mark came since: */
        double first, end;         /* the first one, the last one; 0: none */
        unsigned long marked_open; /* tasks up to the mark that had no result then */
        unsigned long submitted, completed, errors;
        unsigned bins[LOAD_SECONDS_MAX * LOAD_BINS_PER_S]; /* results, by time */
};

/* What cannot be submitted within two minutes is an error. 0; -1: a message was printed. */
int load_open(struct load *l, const char *url, double rate);
void load_close(struct load *l);

/* Offers the load for so long; tasks that are due while a call waits are not made up for. */
void load_run(struct load *l, double seconds);

/* Submits n tasks now. */
void load_submit(struct load *l, unsigned n);

/* n tasks, some thousands of them at a time, and their results. */
void load_pass(struct load *l, unsigned long n);

/* From here on results of what is accepted so far are told from others. */
void load_mark(struct load *l);

/* Submits no more; until all results are there, or for so long.  How many are not. */
unsigned long load_finish(struct load *l, double seconds);

/* Results a second between two times of programs_now(). */
double load_rate(const struct load *l, double from, double to);

/* From then until the first 500 ms in which there were so many results a second; -1: never. */
double load_back(const struct load *l, double from, double rate);

#endif
