/* limit.c - see limit.h */
#include "limit.h"

#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

double limit_now(void) {
        struct timespec t;

        clock_gettime(CLOCK_MONOTONIC_RAW, &t);
        return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static int compare(const void *a, const void *b) {
        double x = *(const double *)a, y = *(const double *)b;

        return (x > y) - (x < y);
}

double limit_rank(double *v, unsigned n, unsigned percent) {
        qsort(v, n, sizeof(*v), compare);
        return v[(n * percent + 99) / 100 - 1];
}

int limit_one_core(void) {
        cpu_set_t all, one;

        CPU_ZERO(&one);
        if (sched_getaffinity(0, sizeof(all), &all)) {
                perror("sched_getaffinity");
                return -1;
        }
        for (int i = CPU_SETSIZE - 1; i >= 0; i--) {
                if (CPU_ISSET(i, &all)) {
                        CPU_SET(i, &one);
                        break;
                }
        }
        if (sched_setaffinity(0, sizeof(one), &one) == 0)
                return 0;
        perror("sched_setaffinity");
        return -1;
}

unsigned limit_number(const char *option, const char *text, unsigned max) {
        char *end;
        unsigned long v = strtoul(text, &end, 10);

        if (end != text && !*end && v >= 1 && v <= max)
                return (unsigned)v;
        fprintf(stderr, "%s: \"%s\" is not a number from 1 to %u\n", option, text, max);
        exit(2);
}
