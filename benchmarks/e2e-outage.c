/*
 * e2e-outage.c - a steady load of tasks, and a Redis that stops for a while, a dispatcher that dies
 * and another one that takes over, a dispatcher that dies and is started again
 *
 * One JSON line for each: how long until tasks of before the death are done (first_s, last_s) and
 * until there are 90 % as many results as before (back_s: where the first such 500 ms begin).
 *
 *   e2e-outage [--smoke] [--rate N] [--seconds N] [--how stopped|takeover|restart] [--runs N]
 *
 * --rate: tasks/s that are offered; --seconds: for which Redis is stopped.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "load.h"
#include "programs.h"

#define WORKERS 4
#define LEASE_S 3.0     /* the default */
#define BACKLOG 2000    /* accepted just before the dispatcher dies */
#define PATIENCE_S 60.0 /* until all tasks are done */

struct options {
        double rate, seconds, warm;
        unsigned runs;
};

static struct load load;
static double former; /* results a second before it happened */

static int ask(const char *url, struct faas_stats *ret) {
        struct faas_client *c = NULL;
        int r = faas_client_open(&c, url, NULL, NULL) || faas_client_stats(c, ret);

        if (r)
                fprintf(stderr, "e2e-outage: %s: %s\n", url, faas_error_text());
        faas_client_close(c);
        return r ? -1 : 0;
}

/* Until all slots are at each of the dispatchers. */
static int await(const struct programs *p) {
        unsigned n = p->cfg.n_dispatchers ? p->cfg.n_dispatchers : 1;
        struct faas_stats s = {.slots = 0};
        double start = programs_now();

        for (unsigned i = 0; i < n; i++)
                for (s.slots = 0; s.slots < WORKERS; programs_sleep(0.01))
                        if (ask(p->door[i], &s) || programs_now() - start > 30)
                                return -1;
        return 0;
}

static int begin(struct programs *p, unsigned n_dispatchers, const struct options *o) {
        const struct programs_cfg cfg = {.mode = "push",
                                         .heartbeat_ms = 1000,
                                         .n_dispatchers = n_dispatchers,
                                         .store = "redis"};
        int r = programs_start(p, &cfg);

        if (r == 0 && n_dispatchers > 1)
                r = programs_dispatcher(p, 1);
        for (unsigned i = 0; i < WORKERS && r == 0; i++)
                r = programs_worker(p, 1);
        if (r == 0)
                r = await(p);
        if (r == 0)
                r = load_open(&load, p->url, o->rate);
        if (r)
                return -1;
        load_run(&load, o->warm);
        former = load_rate(&load, programs_now() - o->warm / 2, programs_now());
        return 0;
}

/* The lines' common part; open: tasks that have no result at the end. */
static void print(const char *how, unsigned long open, unsigned long long lost_workers) {
        printf("{\"bench\": \"e2e-outage\", \"how\": \"%s\", \"rate\": %.0f, \"before_per_s\": "
               "%.0f, "
               "\"tasks\": %lu, \"errors\": %lu, \"without_result\": %lu, \"lost_workers\": %llu",
               how, load.rate, former, load.submitted, load.errors, open, lost_workers);
}

static int end(struct programs *p, int failed) {
        load_close(&load);
        programs_end(p);
        (void)fflush(stdout);
        return failed;
}

/* The client may be waiting in a call meanwhile, so another process has the watch. */
static pid_t stop_for(pid_t pid, double seconds) {
        pid_t child = fork();

        if (child)
                return child;
        kill(pid, SIGSTOP);
        programs_sleep(seconds);
        kill(pid, SIGCONT);
        _exit(0);
}

static int stopped(const struct options *o) {
        struct programs p;
        struct faas_stats s = {.lost_workers = 0};
        double cont;
        pid_t child;
        unsigned long open;
        int r = begin(&p, 1, o);

        if (r)
                return end(&p, 1);
        cont = programs_now() + o->seconds;
        child = stop_for(p.redis.pid, o->seconds);
        load_run(&load, o->seconds + 4);
        waitpid(child, NULL, 0);
        open = load_finish(&load, PATIENCE_S);
        r = ask(p.door[0], &s);
        print("redis stopped", open, s.lost_workers);
        printf(", \"seconds\": %.1f, \"results_meanwhile\": %.0f, \"back_s\": %.2f, \"allowed_s\": "
               "1.0}\n",
               o->seconds, load_rate(&load, cont - o->seconds + 0.1, cont) * (o->seconds - 0.1),
               load_back(&load, cont, 0.9 * former));
        return end(&p, r || open || load.errors ? 1 : 0);
}

static int died(const struct options *o, int restarted) {
        struct programs p;
        struct faas_stats s = {.completed = 0};
        unsigned long open;
        int r = begin(&p, restarted ? 1 : 2, o);

        if (r)
                return end(&p, 1);
        load_submit(&load, BACKLOG);
        load_mark(&load);
        programs_kill(p.dispatchers[0]);
        p.dispatchers[0] = 0;
        if (restarted && programs_dispatcher(&p, 0))
                return end(&p, 1);
        load_run(&load, restarted ? 4 : LEASE_S + 5);
        open = load_finish(&load, PATIENCE_S);
        r = ask(p.door[restarted ? 0 : 1], &s);
        print(restarted ? "dispatcher restarted" : "dispatcher taken over", open, s.lost_workers);
        printf(", \"waiting_then\": %lu, \"first_s\": %.3f, \"last_s\": %.3f, \"back_s\": %.2f, "
               "\"completed_there\": %llu, \"allowed_s\": %.1f}\n",
               load.marked_open, load.first - load.marked, load.end - load.marked,
               load_back(&load, load.marked, 0.9 * former), (unsigned long long)s.completed,
               restarted ? 2.0 : LEASE_S + 1);
        return end(&p, r || open || load.errors ? 1 : 0);
}

static int usage(void) {
        fprintf(stderr, "usage: e2e-outage [--smoke] [--rate N] [--seconds N] [--how "
                        "stopped|takeover|restart] [--runs N]\n");
        return 2;
}

int main(int argc, char **argv) {
        struct options o = {.rate = 5000, .seconds = 10, .warm = 4, .runs = 1};
        const char *how = NULL;
        int r = 0;

        for (int i = 1; i < argc; i++) {
                if (strcmp(argv[i], "--smoke") == 0)
                        o = (struct options){.rate = 500, .seconds = 1, .warm = 1, .runs = 1};
                else if (i + 1 < argc && strcmp(argv[i], "--rate") == 0)
                        o.rate = strtod(argv[++i], NULL);
                else if (i + 1 < argc && strcmp(argv[i], "--seconds") == 0)
                        o.seconds = strtod(argv[++i], NULL);
                else if (i + 1 < argc && strcmp(argv[i], "--runs") == 0)
                        o.runs = (unsigned)strtoul(argv[++i], NULL, 10);
                else if (i + 1 < argc && strcmp(argv[i], "--how") == 0)
                        how = argv[++i];
                else
                        return usage();
        }
        if (o.rate < 100 || o.rate > 200000 || o.seconds < 0.5 || o.seconds > 300)
                return usage();
        for (unsigned i = 0; i < o.runs; i++) {
                if (!how || strcmp(how, "stopped") == 0)
                        r |= stopped(&o);
                if (!how || strcmp(how, "takeover") == 0)
                        r |= died(&o, 0);
                if (!how || strcmp(how, "restart") == 0)
                        r |= died(&o, 1);
        }
        return r;
}
