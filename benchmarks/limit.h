/* limit.h - what programs that measure share: time, medians, one core */
#ifndef BENCH_LIMIT_H
#define BENCH_LIMIT_H

/* Seconds of a clock that never goes back. */
double limit_now(void);

/* Sorts; the nearest rank of so many per cent. */
double limit_rank(double *v, unsigned n, unsigned percent);

/* This process, and what it forks and starts from now on, on one core: the last of those that it
 * may use. 0; -1: a message was printed. */
int limit_one_core(void);

/* The argument as a number of 1 to max, or the end of the program. */
unsigned limit_number(const char *option, const char *text, unsigned max);

#endif
