/* alone.h - one task in flight: submit, wait, again */
#ifndef BENCH_ALONE_H
#define BENCH_ALONE_H

#include <faas/client.h>

/* Microseconds a task; cpu: processor time of the whole machine, so nothing else should run. */
struct alone {
        unsigned n;
        double p50, p99, mean, cpu;
};

/* n times; with n 0 all is 0.  0; -1: a message was printed. */
int alone_run(struct faas_client *c, const struct faas_task *task, unsigned n, struct alone *ret);

/* Members of a JSON object: "single", "single_p50_us", ... */
void alone_print(const struct alone *a);

/* Seconds that all processors were busy since the machine came up; to 10 ms. */
double alone_machine_cpu(void);

#endif
