/*
 * e2e-remote.c - tasks through a dispatcher and workers: how many a second, how long one takes
 * alone, and how long a round of sleeping tasks takes
 *
 * Uses the public headers only, and the real programs.  One JSON line per run on standard output.
 *
 *   e2e-remote [--smoke] [--mode push|pull|local] [--store memory|redis|URL]
 *              [--fsync everysec|always|no] [--workers N] [--slots N] [--tasks N] [--single N]
 *              [--bytes N] [--sleep SECONDS] [--rounds N] [--mix N] [--heartbeat MS] [--tcp]
 *              [--in-flight N]
 *
 * --store redis: in a redis-server of its own, on a unix socket, with an append-only file.
 * --workers: processes, of --slots each (local: the dispatcher has them all).  --sleep: instead,
 * --rounds (5) tasks of that length for each slot, from the first submit to the last result; --mix:
 * with so many no-ops for each of them, in random order.  Then no slot should be idle while a
 * task waits behind a long one: it takes as long as the sleeping alone.  --in-flight: tasks without
 * a result at a time (4,096); large payloads want few, or all of them lie in the dispatcher.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <faas/faas.h>

#include "alone.h"
#include "programs.h"

#define CHUNK 4096
#define WINDOWS 4096 /* different payloads */

struct options {
        const char *mode, *store, *fsync, *sleep;
        unsigned workers, slots, tasks, single, bytes, rounds, mix, heartbeat_ms, in_flight;
        int tcp;
};

static int fail(const char *what) {
        fprintf(stderr, "e2e-remote: %s: %s\n", what, faas_error_text());
        return 1;
}

/*
 * A task's payload is seen through a window that moves by a byte from one to the next: zeros, or
 * the same bytes each time, compress and compare as no user's do.
 */
static char payload[FAAS_PAYLOAD_MAX + WINDOWS];

static void fill_payload(size_t bytes) {
        unsigned seed = 1;

        for (size_t i = 0; i < bytes + WINDOWS; i++)
                payload[i] = (char)rand_r(&seed);
}

/* All n tasks, at most so many at a time, a quarter of that in each call. */
static int
run_many(struct faas_client *c, const struct faas_task *task, unsigned n, unsigned in_flight) {
        const unsigned chunk = in_flight / 4 < CHUNK ? in_flight / 4 : CHUNK;
        static struct faas_task tasks[CHUNK];
        struct faas_result r = FAAS_RESULT_INIT;
        unsigned sent = 0, got = 0;

        for (int i = 0; i < CHUNK; i++)
                tasks[i] = *task;
        while (got < n) {
                while (sent < n && sent - got + chunk <= in_flight) {
                        unsigned k = n - sent < chunk ? n - sent : chunk;
                        for (unsigned i = 0; task->payload == payload && i < k; i++)
                                tasks[i].payload = payload + (sent + i) % WINDOWS;
                        if (faas_submit_many(c, tasks, k, NULL, NULL))
                                return fail("submit");
                        sent += k;
                }
                if (faas_wait_any(c, 60000, &r))
                        return fail("wait");
                if (r.status != FAAS_COMPLETED)
                        return fail("a task failed");
                got++;
        }
        faas_result_clear(&r);
        return 0;
}

/* Until all slots are there. */
static int await(struct faas_client *c, unsigned n_slots) {
        struct faas_stats s = {0};
        double start = programs_now();

        while (s.slots < n_slots) {
                if (faas_client_stats(c, &s))
                        return fail("stats");
                if (programs_now() - start > 30)
                        return fail("the workers do not come");
                programs_sleep(0.001);
        }
        return 0;
}

/* n sleeping tasks, and o->mix no-ops for each, shuffled, all submitted at once. */
static int run_mix(struct faas_client *c, const struct options *o, unsigned n) {
        const unsigned all = n * (1 + o->mix);
        struct faas_task *tasks = calloc(all, sizeof(*tasks));
        struct faas_result r = FAAS_RESULT_INIT;
        unsigned seed = 1;
        int failed = 0;

        if (!tasks)
                return fail("no memory");
        for (unsigned i = 0; i < all; i++) {
                unsigned k = (unsigned)rand_r(&seed) % (i + 1);
                tasks[i] = tasks[k];
                tasks[k] = (struct faas_task){.function = "noop"};
                if (i < n)
                        tasks[k] = (struct faas_task){.function = "sleep",
                                                      .payload = o->sleep,
                                                      .payload_len = strlen(o->sleep)};
        }
        if (faas_submit_many(c, tasks, all, NULL, NULL))
                failed = fail("submit");
        for (unsigned i = 0; i < all && !failed; i++)
                if (faas_wait_any(c, 60000, &r) || r.status != FAAS_COMPLETED)
                        failed = fail("wait");
        faas_result_clear(&r);
        free(tasks);
        return failed;
}

/* Processor time of a process since then, in us for each task. */
static double cost(pid_t pid, double since, unsigned tasks) {
        return pid ? (programs_cpu(pid) - since) * 1e6 / tasks : 0;
}

static int measure(const struct options *o, const struct programs *p, struct faas_client *c) {
        struct faas_task t = {.function = "echo", .payload = payload, .payload_len = o->bytes};
        double start, seconds, redis, dispatcher, cpu;
        struct alone alone;

        if (o->sleep) {
                unsigned n = o->rounds * o->workers * o->slots;
                t = (struct faas_task){
                        .function = "sleep", .payload = o->sleep, .payload_len = strlen(o->sleep)};
                start = programs_now();
                if (o->mix ? run_mix(c, o, n) : run_many(c, &t, n, o->in_flight))
                        return 1;
                printf("{\"bench\": \"e2e-remote\", \"mode\": \"%s\", \"store\": \"%s\", "
                       "\"workers\": %u, \"slots\": %u, \"heartbeat_ms\": %u, \"tasks\": %u, "
                       "\"mix\": %u, "
                       "\"sleep\": %s, \"seconds\": %.4f}\n",
                       o->mode, o->store, o->workers, o->slots, o->heartbeat_ms, n, o->mix,
                       o->sleep, programs_now() - start);
                return 0;
        }
        fill_payload(o->bytes);
        if (run_many(c, &t, o->tasks / 10 + 1, o->in_flight)) /* warm */
                return 1;
        redis = programs_cpu(p->redis.pid);
        dispatcher = programs_cpu(p->dispatchers[0]);
        cpu = alone_machine_cpu();
        start = programs_now();
        if (run_many(c, &t, o->tasks, o->in_flight))
                return 1;
        seconds = programs_now() - start;
        cpu = alone_machine_cpu() - cpu;
        redis = cost(p->redis.pid, redis, o->tasks);
        dispatcher = cost(p->dispatchers[0], dispatcher, o->tasks);
        if (alone_run(c, &t, o->single, &alone))
                return 1;
        printf("{\"bench\": \"e2e-remote\", \"mode\": \"%s\", \"over\": \"%s\", \"store\": \"%s\", "
               "\"fsync\": \"%s\", \"workers\": %u, \"slots\": %u, \"tasks\": %u, \"bytes\": %u, "
               "\"seconds\": %.4f, \"tasks_per_s\": %.0f, \"cpu_us\": %.2f, "
               "\"dispatcher_us\": %.2f, \"redis_us\": %.2f, ",
               o->mode, o->tcp ? "tcp" : "ipc", o->store,
               strcmp(o->store, "redis") == 0 ? o->fsync : "", o->workers, o->slots, o->tasks,
               o->bytes, seconds, o->tasks / seconds, cpu * 1e6 / o->tasks, dispatcher, redis);
        alone_print(&alone);
        printf("}\n");
        return 0;
}

static int run(const struct options *o) {
        const struct faas_client_cfg cfg = {.struct_size = sizeof(cfg)};
        int local = strcmp(o->mode, "local") == 0;
        struct faas_client *c = NULL;
        const struct programs_cfg programs = {.mode = o->mode,
                                              .tcp = o->tcp,
                                              .heartbeat_ms = o->heartbeat_ms,
                                              .n_slots = local ? o->workers * o->slots : 0,
                                              .store = o->store,
                                              .fsync = o->fsync};
        struct programs p;
        int r = programs_start(&p, &programs);

        for (unsigned i = 0; i < o->workers && !local && !r; i++)
                r = programs_worker(&p, o->slots);
        if (!r && faas_client_open(&c, p.url, NULL, &cfg))
                r = fail(p.url);
        if (!r)
                r = await(c, o->workers * o->slots) || measure(o, &p, c);
        faas_client_close(c);
        programs_end(&p);
        return r ? 1 : 0;
}

static int usage(void) {
        fprintf(stderr,
                "usage: e2e-remote [--smoke] [--mode push|pull|local] [--store memory|redis|URL]\n"
                "                  [--fsync everysec|always|no] [--workers N] [--slots N] "
                "[--tasks N]\n"
                "                  [--single N] [--bytes N] [--sleep SECONDS] [--rounds N] "
                "[--mix N]\n"
                "                  [--heartbeat MS] [--in-flight N] [--tcp]\n");
        return 2;
}

int main(int argc, char **argv) {
        struct options o = {.mode = "push",
                            .store = "memory",
                            .fsync = "everysec",
                            .workers = 4,
                            .slots = 1,
                            .tasks = 1000000,
                            .single = 5000,
                            .bytes = 16,
                            .rounds = 5,
                            .heartbeat_ms = 1000,
                            .in_flight = 4096};
        const struct {
                const char *name;
                unsigned *to;
        } numbers[] = {{"--workers", &o.workers},
                       {"--slots", &o.slots},
                       {"--tasks", &o.tasks},
                       {"--single", &o.single},
                       {"--bytes", &o.bytes},
                       {"--rounds", &o.rounds},
                       {"--mix", &o.mix},
                       {"--heartbeat", &o.heartbeat_ms},
                       {"--in-flight", &o.in_flight}};

        const struct {
                const char *name, **to;
        } texts[4] = {{"--mode", &o.mode},
                      {"--store", &o.store},
                      {"--fsync", &o.fsync},
                      {"--sleep", &o.sleep}};

        for (int i = 1; i < argc; i++) {
                const char *next = i + 1 < argc ? argv[i + 1] : NULL;
                size_t k = 0;
                if (strcmp(argv[i], "--smoke") == 0) {
                        o.tasks = 2000;
                        o.single = 20;
                        continue;
                }
                if (strcmp(argv[i], "--tcp") == 0) {
                        o.tcp = 1;
                        continue;
                }
                if (!next)
                        return usage();
                i++;
                for (k = 0; k < 4 && strcmp(argv[i - 1], texts[k].name) != 0; k++)
                        ;
                if (k < 4) {
                        *texts[k].to = next;
                        continue;
                }
                k = 0;
                while (k < sizeof(numbers) / sizeof(numbers[0]) &&
                       strcmp(argv[i - 1], numbers[k].name) != 0)
                        k++;
                if (k == sizeof(numbers) / sizeof(numbers[0]))
                        return usage();
                *numbers[k].to = (unsigned)strtoul(next, NULL, 10);
        }
        if (o.in_flight < 4)
                return usage();
        return run(&o);
}
