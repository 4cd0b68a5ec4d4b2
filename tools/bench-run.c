/*
 * bench-run.c - one run: as many tasks as the row says, through a system
 *
 * As in the origin's test, all tasks are submitted at once and then waited for.
 */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <faas/client.h>
#include <faas/error.h>
#include <faas/version.h>

#include "bench.h"
#include "say.h"

#define READY_S 30.0  /* for all workers to be there: they are started now */
#define SILENT_S 60.0 /* no result for so long, beyond the longest task: it hangs */
#define LOOK_MS 100   /* how often to look whether all live, and whether to stop */

volatile sig_atomic_t bench_stopped;

/*
 * A signal just before a call that waits does not interrupt it: so from the first on one comes
 * every second until the end.
 */
static void on_signal(int sig) {
        if (sig != SIGALRM)
                bench_stopped = sig;
        (void)alarm(1);
}

void bench_catch_signals(void) {
        const struct sigaction sa = {.sa_handler = on_signal};

        (void)sigaction(SIGINT, &sa, NULL);
        (void)sigaction(SIGTERM, &sa, NULL);
        (void)sigaction(SIGHUP, &sa, NULL);
        (void)sigaction(SIGALRM, &sa, NULL);
}

double bench_now(void) {
        struct timespec t;

        (void)clock_gettime(CLOCK_MONOTONIC, &t);
        return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

bool bench_has_program(const char *name) {
        char command[64];
        int r;

        (void)snprintf(command, sizeof(command), "command -v %s >/dev/null 2>&1", name);
        r = system(command); /* NOLINT(cert-env33-c): names of our own */
        return r != -1 && WIFEXITED(r) && WEXITSTATUS(r) == 0;
}

void bench_date(char ret[24]) {
        struct tm tm;
        time_t t = time(NULL);

        (void)strftime(ret, 24, "%Y-%m-%dT%H:%M:%SZ", gmtime_r(&t, &tm));
}

static int compare(const void *a, const void *b) {
        double x = *(const double *)a, y = *(const double *)b;

        return (x > y) - (x < y);
}

void bench_percentiles(double *v, size_t n, struct bench_row *row) {
        qsort(v, n, sizeof(*v), compare);
        /* The nearest rank: the smallest that at least so many per cent are not above. */
        row->p50 = v[(n * 50 + 99) / 100 - 1];
        row->p90 = v[(n * 90 + 99) / 100 - 1];
        row->p99 = v[(n * 99 + 99) / 100 - 1];
        row->max = v[n - 1];
}

/* A call was interrupted by a signal that is for us. */
static bool stopped(int r) {
        return bench_stopped && (r == -EINTR || r == FAAS_E_AGAIN || r == 0);
}

/* All workers are there, or of a running system: how many slots there are. */
static bool await_workers(struct faas_client *c,
                          const struct bench_system *s,
                          struct bench_row *row,
                          bool own) {
        const struct timespec pause = {0, 2000000};
        const unsigned slots = row->workers * row->slots;
        double until = bench_now() + READY_S;
        struct faas_stats stats;

        for (;;) {
                int r = faas_client_stats(c, &stats);
                if (bench_stopped || (own && bench_system_broken(s)))
                        return false;
                if (r && r != -EINTR) {
                        fa_say_error("%s", faas_error_text());
                        return false;
                }
                if (r == 0 && own && stats.slots == slots)
                        return true;
                if (r == 0 && !own && stats.slots) {
                        row->workers = (unsigned)stats.workers;
                        row->slots = (unsigned)(stats.slots / stats.workers);
                        return true;
                }
                if (bench_now() > until) {
                        fa_say_error("%llu slots are there after %.0f s; expected %u",
                                     (unsigned long long)stats.slots, READY_S, own ? slots : 1);
                        return false;
                }
                (void)nanosleep(&pause, NULL);
        }
}

/* Takes results until n are there. */
static bool collect(struct faas_client *c,
                    const struct bench_system *s,
                    const struct bench_row *row,
                    double start,
                    double *times) {
        double last = bench_now(), longest = row->sleep + SILENT_S;
        struct faas_result r = FAAS_RESULT_INIT;
        unsigned n = 0;

        if (strcmp(row->optype, "xheavy") == 0)
                longest += 10;
        while (n < row->tasks) {
                int e = faas_wait_any(c, LOOK_MS, &r);
                if (e == 0) {
                        last = bench_now();
                        if (r.status != FAAS_COMPLETED) {
                                fa_say_error("a task failed: %s", r.text);
                                break;
                        }
                        times[n++] = last - start;
                        continue;
                }
                if (stopped(e) || bench_system_broken(s))
                        break;
                if (e != FAAS_E_AGAIN && e != -EINTR) {
                        fa_say_error("%s", faas_error_text());
                        break;
                }
                if (bench_now() - last > longest) {
                        fa_say_error("no result for %.0f s: %u of %u tasks are missing", longest,
                                     row->tasks - n, row->tasks);
                        break;
                }
        }
        faas_result_clear(&r);
        return n == row->tasks;
}

/* All at once, from one start: what the client needs to hand them over counts too. */
static bool
measure(struct faas_client *c, const struct bench_system *s, struct bench_row *row, double *times) {
        struct faas_task *tasks = calloc(row->tasks, sizeof(*tasks));
        char payload[32] = "";
        double start;
        bool ok;

        if (!tasks) {
                fa_say_error("no memory for %u tasks", row->tasks);
                return false;
        }
        if (row->sleep > 0)
                (void)snprintf(payload, sizeof(payload), "%.9g", row->sleep);
        for (unsigned i = 0; i < row->tasks; i++)
                tasks[i] = (struct faas_task){.function = row->optype,
                                              .payload = payload,
                                              .payload_len = strlen(payload)};
        start = bench_now();
        ok = faas_submit_many(c, tasks, row->tasks, NULL, NULL) == 0;
        free(tasks);
        if (!ok) {
                fa_say_error("%s", faas_error_text());
                return false;
        }
        if (!collect(c, s, row, start, times))
                return false;
        row->total = times[row->tasks - 1];
        bench_percentiles(times, row->tasks, row);
        return true;
}

static bool
run_on(struct bench_system *s, struct bench_row *row, const char *url, bool own, double *times) {
        struct faas_client_cfg cfg = FAAS_CLIENT_CFG_INIT;
        struct bench_usage before, after;
        struct faas_client *c = NULL;
        bool ok = false;

        cfg.submit_timeout_ms = 60000;
        if (faas_client_open(&c, url, NULL, &cfg)) {
                fa_say_error("%s", faas_error_text());
                return false;
        }
        if (await_workers(c, s, row, own)) {
                bench_system_usage(s, &before);
                ok = measure(c, s, row, times);
                bench_system_usage(s, &after);
                row->dispatcher_cpu = after.dispatcher_cpu - before.dispatcher_cpu;
                row->workers_cpu = after.workers_cpu - before.workers_cpu;
                row->peak_mib = after.peak_mib;
        }
        faas_client_close(c);
        return ok;
}

bool bench_run(struct bench_row *row, const char *url, const char *store) {
        struct bench_system s = {.dir = ""};
        double *times = calloc(row->tasks, sizeof(*times));
        bool ok = false;

        if (!times)
                fa_say_error("no memory for %u tasks", row->tasks);
        else if (url)
                ok = run_on(&s, row, url, false, times);
        else if (bench_system_start(&s, row, store))
                ok = run_on(&s, row, s.url, true, times);
        bench_system_end(&s);
        free(times);
        (void)snprintf(row->version, sizeof(row->version), "%s", faas_version());
        bench_date(row->date);
        return ok;
}
