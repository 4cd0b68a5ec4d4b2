/* alone.c - one task in flight */
#include "alone.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <faas/error.h>

#include "limit.h"

double alone_machine_cpu(void) {
        /* user nice system idle iowait irq softirq */
        unsigned long long v[7] = {0};
        FILE *f = fopen("/proc/stat", "re");

        if (!f)
                return 0;
        if (fscanf(f, "cpu %llu %llu %llu %llu %llu %llu %llu", &v[0], &v[1], &v[2], &v[3], &v[4],
                   &v[5], &v[6]) != 7)
                v[0] = 0;
        fclose(f);
        return (double)(v[0] + v[1] + v[2] + v[5] + v[6]) / (double)sysconf(_SC_CLK_TCK);
}

int alone_run(struct faas_client *c, const struct faas_task *task, unsigned n, struct alone *ret) {
        struct faas_result r = FAAS_RESULT_INIT;
        double *v = calloc(n ? n : 1, sizeof(*v)), start = limit_now(), cpu = alone_machine_cpu();
        struct faas_id id;
        int failed = !v;

        *ret = (struct alone){.n = n};
        for (unsigned i = 0; i < n && !failed; i++) {
                double t = limit_now();
                failed = faas_submit(c, task, &id) || faas_wait(c, &id, -1, &r) ||
                         r.status != FAAS_COMPLETED;
                v[i] = limit_now() - t;
        }
        if (failed)
                fprintf(stderr, "one task alone: %s\n", faas_error_text());
        if (n && !failed) {
                ret->mean = (limit_now() - start) / n * 1e6;
                ret->cpu = (alone_machine_cpu() - cpu) / n * 1e6;
                ret->p50 = limit_rank(v, n, 50) * 1e6;
                ret->p99 = limit_rank(v, n, 99) * 1e6;
        }
        faas_result_clear(&r);
        free(v);
        return failed ? -1 : 0;
}

void alone_print(const struct alone *a) {
        printf("\"single\": %u, \"single_p50_us\": %.1f, \"single_p99_us\": %.1f, "
               "\"single_mean_us\": %.1f, \"single_cpu_us\": %.1f",
               a->n, a->p50, a->p99, a->mean, a->cpu);
}
