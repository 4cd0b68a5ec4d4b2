/*
 * bench-sum.c - all runs of each point of a study as one, by the origin's formulas
 *
 * docs/BENCH.md explains them, and where the origin's text and its figures differ.
 */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "bench.h"
#include "say.h"

static bool same_work(const struct bench_row *a, const struct bench_row *b) {
        return strcmp(a->study, b->study) == 0 && strcmp(a->optype, b->optype) == 0 &&
               fabs(a->sleep - b->sleep) < 1e-9 && a->workers == b->workers &&
               a->tasks == b->tasks && a->slots == b->slots;
}

static bool same_point(const struct bench_row *a, const struct bench_row *b) {
        return same_work(a, b) && strcmp(a->mode, b->mode) == 0 &&
               strcmp(a->store, b->store) == 0 && fabs(a->heartbeat - b->heartbeat) < 1e-9;
}

/* Weak scaling: seconds that a task keeps a slot, which is what the origin's figures show.  Strong
 * scaling: formula 5.2 as it is printed. */
static double latency(const struct bench_row *r, double total) {
        double each = total / r->tasks;

        return strcmp(r->study, "strong") == 0 ? each : each * r->workers * r->slots;
}

static int compare(const void *a, const void *b) {
        double x = *(const double *)a, y = *(const double *)b;

        return (x > y) - (x < y);
}

static double median(double *v, size_t n) {
        qsort(v, n, sizeof(*v), compare);
        return n % 2 ? v[n / 2] : (v[n / 2 - 1] + v[n / 2]) / 2;
}

static void sum_one(struct bench_point *p, const struct bench_row *rows, size_t n, double *totals) {
        const struct bench_row key = p->row;
        size_t k = 0;

        for (size_t i = 0; i < n; i++) {
                if (!same_point(&rows[i], &key))
                        continue;
                totals[k++] = rows[i].total;
                if (rows[i].total < p->row.total)
                        p->row = rows[i];
        }
        p->n = (unsigned)k;
        p->median = median(totals, k);
        p->worst = totals[k - 1];
        p->latency = latency(&p->row, p->row.total);
        p->latency_median = latency(&p->row, p->median);
        p->latency_worst = latency(&p->row, p->worst);
        p->throughput = p->row.tasks / p->row.total;
        p->ideal_efficiency = p->row.sleep > 0
                                      ? 100 * p->row.sleep * p->row.tasks /
                                                (p->row.workers * p->row.slots) / p->row.total
                                      : NAN;
}

/* The local run that this one is compared with: of the same store if there is one. */
static const struct bench_point *
local_of(const struct bench_point *v, size_t n, const struct bench_point *p) {
        const struct bench_point *found = NULL;

        for (size_t i = 0; i < n; i++) {
                if (strcmp(v[i].row.mode, "local") != 0 || !same_work(&v[i].row, &p->row))
                        continue;
                if (!found || strcmp(v[i].row.store, p->row.store) == 0)
                        found = &v[i];
        }
        return found;
}

bool bench_sum(const struct bench_row *rows, size_t n, struct bench_point **ret, size_t *ret_n) {
        struct bench_point *v = calloc(n, sizeof(*v));
        double *totals = calloc(n, sizeof(*totals));
        size_t k = 0;

        if (!v || !totals) {
                fa_say_error("no memory for %zu runs", n);
                free(v);
                free(totals);
                return false;
        }
        for (size_t i = 0; i < n; i++) {
                size_t j = 0;
                while (j < k && !same_point(&v[j].row, &rows[i]))
                        j++;
                if (j == k)
                        v[k++].row = rows[i];
        }
        for (size_t i = 0; i < k; i++)
                sum_one(&v[i], rows, n, totals);
        for (size_t i = 0; i < k; i++) {
                const struct bench_point *local = local_of(v, k, &v[i]);
                v[i].overhead = local ? v[i].latency - local->latency : NAN;
                v[i].efficiency = local ? 100 * local->latency / v[i].latency : NAN;
        }
        free(totals);
        *ret = v;
        *ret_n = k;
        return true;
}

/* NAN is "-". */
static void cell(FILE *f, int width, int decimals, double v) {
        if (isnan(v))
                fprintf(f, " %*s |", width, "-");
        else
                fprintf(f, " %*.*f |", width, decimals, v);
}

/* A time in ms, with four digits that count. */
static void ms(FILE *f, int width, double s) {
        cell(f, width, fabs(s) >= 0.1 ? 1 : 3, s * 1000);
}

void bench_table(FILE *f, const struct bench_point *p, size_t n) {
        fputs("| study  | mode    | task         | workers | tasks | beat s | runs |  best s | "
              "median s | latency ms | overhead ms |   tasks/s | efficiency % | of ideal % |  p50 "
              "ms |  p99 ms |  max ms | dispatcher CPU ms | workers CPU ms | MiB |\n"
              "|:-------|:--------|:-------------|--------:|------:|-------:|-----:|--------:|"
              "---------:|-----------:|------------:|----------:|-------------:|-----------:|------"
              "---:|--------:|--------:|------------------:|---------------:|----:|\n",
              f);
        for (size_t i = 0; i < n; i++) {
                const struct bench_row *r = &p[i].row;
                char task[40];

                if (r->sleep > 0)
                        (void)snprintf(task, sizeof(task), "%s %g s", r->optype, r->sleep);
                else
                        (void)snprintf(task, sizeof(task), "%s", r->optype);
                fprintf(f, "| %-6s | %-7s | %-12s | %7u | %5u |", r->study, r->mode, task,
                        r->workers, r->tasks);
                if (r->heartbeat > 0)
                        fprintf(f, " %6g |", r->heartbeat);
                else
                        fprintf(f, " %6s |", "off");
                cell(f, 4, 0, p[i].n);
                cell(f, 7, 4, r->total);
                cell(f, 8, 4, p[i].median);
                ms(f, 10, p[i].latency);
                ms(f, 11, p[i].overhead);
                cell(f, 9, 1, p[i].throughput);
                cell(f, 12, 1, p[i].efficiency);
                cell(f, 10, 1, p[i].ideal_efficiency);
                ms(f, 7, r->p50);
                ms(f, 7, r->p99);
                ms(f, 7, r->max);
                ms(f, 17, r->dispatcher_cpu);
                ms(f, 14, r->workers_cpu);
                cell(f, 3, 0, r->peak_mib);
                putc('\n', f);
        }
}
