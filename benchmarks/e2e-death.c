/*
 * e2e-death.c - how long until a dead worker is found: killed, and cut off without a word
 *
 * A worker runs a long task.  It is killed (its connection breaks), or stopped (it is silent), and
 * the dispatcher is asked until it says that it has lost one.  And how long until a dispatcher that
 * was killed, and started again at its address, has its worker back.  One JSON line per kind.
 *
 *   e2e-death [--smoke] [--runs N] [--heartbeat MS] [--tcp]
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <faas/faas.h>

#include "programs.h"

#define LIVENESS 3 /* the default */

static int compare(const void *a, const void *b) {
        double x = *(const double *)a, y = *(const double *)b;

        return (x > y) - (x < y);
}

static int ask(struct faas_client *c, struct faas_stats *ret) {
        if (faas_client_stats(c, ret) == 0)
                return 0;
        fprintf(stderr, "e2e-death: %s\n", faas_error_text());
        return -1;
}

/* One worker, one long task, one signal. */
static int one(int sig, unsigned heartbeat_ms, int tcp, double *ret_s) {
        const struct faas_task t = {.function = "sleep", .payload = "1000", .payload_len = 4};
        struct faas_client *c = NULL;
        struct faas_stats s = {0};
        const struct programs_cfg cfg = {.mode = "push", .tcp = tcp, .heartbeat_ms = heartbeat_ms};
        struct programs p;
        double start = 0;
        int r = programs_start(&p, &cfg);

        if (!r)
                r = programs_worker(&p, 1);
        if (!r && (faas_client_open(&c, p.url, NULL, NULL) || faas_submit(c, &t, NULL))) {
                fprintf(stderr, "e2e-death: %s\n", faas_error_text());
                r = -1;
        }
        while (!r && !s.running)
                r = ask(c, &s);
        if (!r) {
                start = programs_now();
                kill(p.workers[0], sig);
        }
        while (!r && !s.lost_workers)
                r = ask(c, &s);
        *ret_s = programs_now() - start;
        faas_client_close(c);
        programs_end(&p);
        return r;
}

/* From the start of the new dispatcher's program until its worker is registered. */
static int restart(unsigned heartbeat_ms, int tcp, double *ret_s) {
        struct faas_client *c = NULL;
        struct faas_stats s = {0};
        const struct programs_cfg cfg = {.mode = "push", .tcp = tcp, .heartbeat_ms = heartbeat_ms};
        struct programs p;
        double start = 0;
        int r = programs_start(&p, &cfg);

        if (!r)
                r = programs_worker(&p, 1);
        if (!r)
                r = faas_client_open(&c, p.url, NULL, NULL);
        while (!r && !s.workers)
                r = ask(c, &s);
        c = faas_client_close(c);
        if (!r) {
                programs_kill(p.dispatchers[0]);
                start = programs_now();
                r = programs_dispatcher(&p, 0) || faas_client_open(&c, p.url, NULL, NULL);
        }
        for (s.workers = 0; !r && !s.workers;)
                r = ask(c, &s);
        *ret_s = programs_now() - start;
        faas_client_close(c);
        programs_end(&p);
        return r;
}

static int measure_restart(unsigned runs, unsigned heartbeat_ms, int tcp) {
        double v[100];

        for (unsigned i = 0; i < runs; i++)
                if (restart(heartbeat_ms, tcp, &v[i]))
                        return 1;
        qsort(v, runs, sizeof(v[0]), compare);
        printf("{\"bench\": \"e2e-death\", \"how\": \"restarted\", \"over\": \"%s\", "
               "\"heartbeat_ms\": %u, \"runs\": %u, \"median_ms\": %.1f, \"max_ms\": %.1f, "
               "\"allowed_ms\": %.1f}\n",
               tcp ? "tcp" : "ipc", heartbeat_ms, runs, v[runs / 2] * 1e3, v[runs - 1] * 1e3,
               heartbeat_ms * 2.0);
        return 0;
}

static int measure(int sig, unsigned runs, unsigned heartbeat_ms, int tcp) {
        double v[100];

        for (unsigned i = 0; i < runs; i++)
                if (one(sig, heartbeat_ms, tcp, &v[i]))
                        return 1;
        qsort(v, runs, sizeof(v[0]), compare);
        printf("{\"bench\": \"e2e-death\", \"how\": \"%s\", \"over\": \"%s\", \"heartbeat_ms\": "
               "%u, "
               "\"runs\": %u, \"median_ms\": %.1f, \"max_ms\": %.1f",
               sig == SIGKILL ? "killed" : "silent", tcp ? "tcp" : "ipc", heartbeat_ms, runs,
               v[runs / 2] * 1e3, v[runs - 1] * 1e3);
        if (sig == SIGSTOP)
                printf(", \"allowed_ms\": %.1f", heartbeat_ms * LIVENESS * 1.1);
        printf("}\n");
        return 0;
}

int main(int argc, char **argv) {
        unsigned runs = 9, heartbeat_ms = 200;
        int tcp = 0;

        for (int i = 1; i < argc; i++) {
                if (strcmp(argv[i], "--smoke") == 0)
                        runs = 1;
                else if (strcmp(argv[i], "--tcp") == 0)
                        tcp = 1;
                else if (i + 1 < argc && strcmp(argv[i], "--runs") == 0)
                        runs = (unsigned)strtoul(argv[++i], NULL, 10);
                else if (i + 1 < argc && strcmp(argv[i], "--heartbeat") == 0)
                        heartbeat_ms = (unsigned)strtoul(argv[++i], NULL, 10);
                else
                        runs = 0;
        }
        if (!runs || runs > 100 || !heartbeat_ms) {
                fprintf(stderr,
                        "usage: e2e-death [--smoke] [--runs 1..100] [--heartbeat MS] [--tcp]\n");
                return 2;
        }
        /* Killed: a heartbeat of a minute shows that it is not silence that is found. */
        return measure(SIGKILL, runs, 60000, tcp) || measure(SIGSTOP, runs, heartbeat_ms, tcp) ||
               measure_restart(runs, heartbeat_ms, tcp);
}
