/* peer.c - see peer.h */
#include "peer.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#define SAMPLES_MIN 20
#define SAMPLES_MAX 1000000
#define TASKS_MAX 50000000

struct options {
        const char *connect, *work;
        double one, many;
        unsigned in_flight, sleep_us, tasks;
};

static const char *program;

int peer_fail(const char *what, const char *why) {
        fprintf(stderr, "%s: %s: %s\n", program, what, why);
        return 1;
}

static double now(void) {
        struct timespec t;

        clock_gettime(CLOCK_MONOTONIC_RAW, &t);
        return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

int peer_right(const struct peer_task *task, const void *result, size_t len) {
        return task->sleep_us || (len == task->len && memcmp(result, task->payload, len) == 0);
}

void peer_sleep(const void *payload, size_t len) {
        char text[32];
        double s;

        if (len >= sizeof(text))
                return;
        memcpy(text, payload, len);
        text[len] = '\0';
        s = strtod(text, NULL);
        nanosleep(&(struct timespec){(time_t)s, (long)((s - (double)(time_t)s) * 1e9)}, NULL);
}

int peer_dial(const char *address) {
        struct sockaddr_un un = {.sun_family = AF_UNIX};
        struct sockaddr_in in = {.sin_family = AF_INET};
        const char *colon = strrchr(address, ':');
        int is_unix = strncmp(address, "unix:", 5) == 0, on = 1;
        char host[64];
        int fd = socket(is_unix ? AF_UNIX : AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        int r = -1;

        if (fd >= 0 && is_unix) {
                (void)snprintf(un.sun_path, sizeof(un.sun_path), "%s", address + 5);
                r = connect(fd, (const struct sockaddr *)&un, sizeof(un));
        } else if (fd >= 0 && colon && colon - address < (long)sizeof(host)) {
                memcpy(host, address, (size_t)(colon - address));
                host[colon - address] = '\0';
                in.sin_port = htons((unsigned short)strtoul(colon + 1, NULL, 10));
                (void)inet_pton(AF_INET, host, &in.sin_addr);
                (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
                r = connect(fd, (const struct sockaddr *)&in, sizeof(in));
        }
        if (r == 0)
                return fd;
        perror(address);
        if (fd >= 0)
                close(fd);
        return -1;
}

static int compare(const void *a, const void *b) {
        double x = *(const double *)a, y = *(const double *)b;

        return (x > y) - (x < y);
}

/* One task after the other; the first, and a tenth of the time, warm up. */
static int run_one(const struct peer *peer, const struct peer_task *task, double seconds) {
        double *v = calloc(SAMPLES_MAX, sizeof(*v));
        double begin = now(), sum = 0;
        size_t n = 0;

        if (!v)
                return peer_fail("memory", "none");
        for (double start = begin, end; n < SAMPLES_MAX; start = end) {
                if (peer->one(task)) {
                        free(v);
                        return 1;
                }
                end = now();
                if (start > begin && start - begin >= seconds / 10)
                        sum += v[n++] = end - start;
                if (end - begin > seconds && n >= SAMPLES_MIN)
                        break;
        }
        qsort(v, n, sizeof(*v), compare);
        printf("{\"system\": \"%s\", \"in_flight\": 1, \"samples\": %zu, \"p50_us\": %.2f, "
               "\"mean_us\": %.2f, \"p99_us\": %.2f}\n",
               peer->name, n, v[n / 2] * 1e6, sum / (double)n * 1e6, v[n * 99 / 100] * 1e6);
        free(v);
        return 0;
}

static int timed(const struct peer *peer,
                 const struct peer_task *task,
                 double n,
                 unsigned in_flight,
                 double *ret_took) {
        double start = now();

        if (peer->many(task, (unsigned)n, in_flight))
                return 1;
        *ret_took = now() - start;
        return 0;
}

/*
 * Growing rounds warm up, until one takes a tenth of the time; from its rate follows how many tasks
 * take all of it.  If that was too few, since something had held up the warm-up, more follow.
 */
static int run_many(const struct peer *peer,
                    const struct peer_task *task,
                    double seconds,
                    unsigned in_flight) {
        double rate = 0, n = in_flight, took = 0, total = 0, spent = 0;

        while (took < seconds / 10 && n < TASKS_MAX) {
                n = took > 0 ? n * 3 : n;
                if (timed(peer, task, n, in_flight, &took))
                        return 1;
                rate = n / took;
        }
        while (spent < seconds * 2 / 3) {
                n = rate * (seconds - spent);
                n = n < in_flight ? in_flight : n > TASKS_MAX ? TASKS_MAX : (unsigned)n;
                if (timed(peer, task, n, in_flight, &took))
                        return 1;
                total += n;
                spent += took;
                rate = n / took;
        }
        printf("{\"system\": \"%s\", \"in_flight\": %u, \"tasks\": %.0f, \"seconds\": %.4f, "
               "\"tasks_per_s\": %.0f}\n",
               peer->name, in_flight, total, spent, total / spent);
        return 0;
}

/* One task a worker first, several times, so that all are connected and have run one. */
static int
run_sleep(const struct peer *peer, const struct peer_task *task, const struct options *o) {
        double start;

        if (peer->many(task, o->tasks / 10 + 1, o->in_flight))
                return 1;
        start = now();
        if (peer->many(task, o->tasks, o->in_flight))
                return 1;
        printf("{\"system\": \"%s\", \"in_flight\": %u, \"sleep_us\": %u, \"tasks\": %u, "
               "\"seconds\": %.5f}\n",
               peer->name, o->in_flight, o->sleep_us, o->tasks, now() - start);
        return 0;
}

static int parse(int argc, char **argv, struct options *o) {
        for (int i = 1; i < argc; i += 2) {
                const char *name = argv[i], *value = i + 1 < argc ? argv[i + 1] : NULL;
                char *end = NULL;
                if (!value)
                        return -1;
                if (strcmp(name, "--connect") == 0)
                        o->connect = value;
                else if (strcmp(name, "--work") == 0)
                        o->work = value;
                else if (strcmp(name, "--one") == 0)
                        o->one = strtod(value, &end);
                else if (strcmp(name, "--many") == 0)
                        o->many = strtod(value, &end);
                else if (strcmp(name, "--in-flight") == 0)
                        o->in_flight = (unsigned)strtoul(value, &end, 10);
                else if (strcmp(name, "--sleep") == 0)
                        o->sleep_us = (unsigned)strtoul(value, &end, 10);
                else if (strcmp(name, "--tasks") == 0)
                        o->tasks = (unsigned)strtoul(value, &end, 10);
                else
                        return -1;
                if (end && (*end || end == value))
                        return -1;
        }
        if (o->work)
                return 0;
        return o->connect && o->in_flight &&
                               (o->one > 0 || o->many > 0 || (o->sleep_us && o->tasks))
                       ? 0
                       : -1;
}

int peer_main(int argc, char **argv, const struct peer *peer) {
        struct options o = {.in_flight = 1};
        struct peer_task task = {"echo", "0123456789abcde", PEER_BYTES, 0};
        char text[32];
        int r;

        program = peer->name;
        if (parse(argc, argv, &o)) {
                fprintf(stderr,
                        "usage: %s --connect ADDRESS --one SECONDS | --many SECONDS --in-flight K "
                        "|\n  --sleep US --tasks N --in-flight K; or --work ADDRESS\n",
                        peer->name);
                return 2;
        }
        if (o.work)
                return peer->work ? peer->work(o.work) : peer_fail("--work", "no worker here");
        if (o.sleep_us && !peer->sleeps)
                return peer_fail("--sleep", "not with this one");
        if (o.sleep_us) {
                (void)snprintf(text, sizeof(text), "%.6f", o.sleep_us / 1e6);
                task = (struct peer_task){"sleep", text, strlen(text), o.sleep_us};
        }
        r = peer->open(o.connect);
        if (!r && o.sleep_us)
                r = run_sleep(peer, &task, &o);
        else if (!r && o.one > 0)
                r = run_one(peer, &task, o.one);
        else if (!r)
                r = run_many(peer, &task, o.many, o.in_flight);
        peer->close();
        return r ? 1 : 0;
}
