/*
 * bench-gearman.c - the same tasks through gearmand, for comparison
 *
 * Workers and client speak its protocol (12 bytes of header: magic, type, length; big-endian) by
 * themselves, so nothing but gearmand has to be there: foreground jobs of as many workers as the
 * row says, one at a time in each, all submitted at once.  All belong to one process group.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <faas/version.h>

#include "bench.h"
#include "say.h"

enum { HEADER = 12, BODY_MAX = 1024, START_WAIT_MS = 10000 };

/* https://gearman.org/protocol/ */
enum {
        CAN_DO = 1,
        PRE_SLEEP = 4,
        NOOP = 6,
        SUBMIT_JOB = 7,
        JOB_CREATED = 8,
        GRAB_JOB = 9,
        NO_JOB = 10,
        JOB_ASSIGN = 11,
        WORK_COMPLETE = 13,
};

static const char function[] = "task";

struct packet {
        uint32_t type, len;
        char body[BODY_MAX + 1];
};

struct gearman {
        struct bench_row *row;
        pid_t server; /* leader of the group */
        pid_t workers[BENCH_WORKERS_MAX];
        unsigned n_workers;
        uint16_t port;
        int fd;        /* the client's */
        double *times; /* of each result since the first submit */
};

bool bench_has_gearman(void) {
        if (bench_has_program("gearmand"))
                return true;
        fa_say(FAAS_LOG_WARNING, "gearmand is not there (package gearman-job-server): "
                                 "gearman is skipped");
        return false;
}

/* ---- the protocol ---- */

static bool send_packet(int fd, uint32_t type, const void *body, size_t len) {
        char buf[HEADER + BODY_MAX] = {'\0', 'R', 'E', 'Q'};
        const uint32_t words[2] = {htonl(type), htonl((uint32_t)len)};

        if (len > BODY_MAX)
                return false;
        memcpy(buf + 4, words, sizeof(words));
        if (len)
                memcpy(buf + HEADER, body, len);
        return send(fd, buf, HEADER + len, MSG_NOSIGNAL) == (ssize_t)(HEADER + len);
}

static bool read_all(int fd, void *to, size_t len) {
        for (size_t done = 0; done < len;) {
                ssize_t n = recv(fd, (char *)to + done, len - done, 0);

                if (n < 0 && errno == EINTR && !bench_stopped)
                        continue;
                if (n <= 0)
                        return false;
                done += (size_t)n;
        }
        return true;
}

static bool read_packet(int fd, struct packet *p) {
        char head[HEADER];
        uint32_t words[2];

        if (!read_all(fd, head, sizeof(head)) || memcmp(head, "\0RES", 4) != 0)
                return false;
        memcpy(words, head + 4, sizeof(words));
        p->type = ntohl(words[0]);
        p->len = ntohl(words[1]);
        if (p->len > BODY_MAX || !read_all(fd, p->body, p->len))
                return false;
        p->body[p->len] = '\0';
        return true;
}

/* Of which what is received is waited for so long at most. */
static int connect_to(uint16_t port, time_t patience_s) {
        const struct sockaddr_in at = {.sin_family = AF_INET,
                                       .sin_port = htons(port),
                                       .sin_addr = {htonl(INADDR_LOOPBACK)}};
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        const struct timeval patience = {.tv_sec = patience_s};
        int one = 1;

        if (fd >= 0 && setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)) == 0 &&
            connect(fd, (const struct sockaddr *)&at, sizeof(at)) == 0) {
                (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
                return fd;
        }
        if (fd >= 0)
                (void)close(fd);
        return -1;
}

/* ---- a worker ---- */

static void work(const struct bench_row *row) {
        struct timespec t = {.tv_sec = (time_t)row->sleep};
        volatile uint64_t sum = 0;

        t.tv_nsec = (long)((row->sleep - (double)t.tv_sec) * 1e9);
        if (strcmp(row->optype, "xheavy") == 0)
                t.tv_sec = 10;
        if (t.tv_sec || t.tv_nsec)
                (void)nanosleep(&t, NULL);
        if (strcmp(row->optype, "heavy") == 0)
                for (uint64_t i = 0; i < 1000000; i++)
                        sum += i * i;
        (void)sum;
}

static bool be_worker(int fd, const struct bench_row *row) {
        struct packet p;
        bool ok = send_packet(fd, CAN_DO, function, strlen(function)) &&
                  send_packet(fd, GRAB_JOB, NULL, 0);

        while (ok && read_packet(fd, &p)) {
                if (p.type == JOB_ASSIGN) {
                        work(row);
                        /* The handle, its NUL, and no result. */
                        ok = send_packet(fd, WORK_COMPLETE, p.body, strlen(p.body) + 1) &&
                             send_packet(fd, GRAB_JOB, NULL, 0);
                } else if (p.type == NO_JOB) {
                        ok = send_packet(fd, PRE_SLEEP, NULL, 0);
                } else if (p.type == NOOP) {
                        ok = send_packet(fd, GRAB_JOB, NULL, 0);
                }
        }
        return ok;
}

/* ---- processes ---- */

static pid_t fork_into_group(pid_t group) {
        pid_t parent = getpid();
        pid_t pid = fork();

        if (pid == 0) {
                (void)setpgid(0, group);
                (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
                (void)signal(SIGINT, SIG_DFL);
                (void)signal(SIGTERM, SIG_DFL);
                if (getppid() != parent)
                        _exit(1);
        } else if (pid > 0) {
                (void)setpgid(pid, group ? group : pid);
        }
        return pid;
}

/* One that nobody has at this moment. */
static uint16_t free_port(void) {
        struct sockaddr_in at = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
        socklen_t len = sizeof(at);
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

        if (fd < 0 || bind(fd, (const struct sockaddr *)&at, sizeof(at)) ||
            getsockname(fd, (struct sockaddr *)&at, &len))
                at.sin_port = 0;
        if (fd >= 0)
                (void)close(fd);
        return ntohs(at.sin_port);
}

static bool start_server(struct gearman *g) {
        /* No result for so long, beyond the longest task: it hangs. */
        const time_t silent = 60 + (time_t)g->row->sleep;
        char port[8];
        const char *argv[] = {"gearmand", "-L", "127.0.0.1", "-p", port,        "-t",
                              "4",        "-l", "none",      "-P", "/dev/null", NULL};

        g->port = free_port();
        (void)snprintf(port, sizeof(port), "%u", g->port);
        g->server = fork_into_group(0);
        if (g->server == 0) {
                execvp(argv[0], (char *const *)(uintptr_t)argv); /* it writes not there */
                _exit(127);
        }
        for (int i = 0; g->server > 0 && g->port && i < START_WAIT_MS && !bench_stopped; i++) {
                g->fd = connect_to(g->port, silent);
                if (g->fd >= 0)
                        return true;
                if (waitpid(g->server, NULL, WNOHANG) == g->server) {
                        g->server = 0;
                        break;
                }
                (void)poll(NULL, 0, 1);
        }
        return false;
}

static bool start_workers(struct gearman *g) {
        while (g->n_workers < g->row->workers * g->row->slots) {
                pid_t pid = fork_into_group(g->server);

                if (pid == 0) {
                        int fd = connect_to(g->port, 0); /* for ever */
                        _exit(fd >= 0 && be_worker(fd, g->row) ? 0 : 1);
                }
                if (pid < 0)
                        return false;
                g->workers[g->n_workers++] = pid;
        }
        return true;
}

static void end(struct gearman *g) {
        if (g->fd >= 0)
                (void)close(g->fd);
        if (g->server > 0)
                (void)kill(-g->server, SIGKILL);
        for (unsigned i = 0; i < g->n_workers; i++)
                while (waitpid(g->workers[i], NULL, 0) < 0 && errno == EINTR)
                        continue;
        while (g->server > 0 && waitpid(g->server, NULL, 0) < 0 && errno == EINTR)
                continue;
        free(g->times);
}

/* ---- the run ---- */

/* Submits n jobs and waits for their ends, of which each has its time in times. */
static bool run_jobs(struct gearman *g, unsigned n, double *times) {
        static const char job[] = "task\0\0"; /* function, unique id, and no payload */
        struct packet p;
        double start = bench_now();
        unsigned got = 0;

        for (unsigned i = 0; i < n; i++)
                if (!send_packet(g->fd, SUBMIT_JOB, job, sizeof(job) - 1))
                        return false;
        while (got < n) {
                if (!read_packet(g->fd, &p))
                        return false;
                if (p.type == WORK_COMPLETE)
                        times[got++] = bench_now() - start;
                else if (p.type != JOB_CREATED)
                        return false;
        }
        return true;
}

/* How many workers gearmand has for the function, by its line in the answer to "status". */
static unsigned count_workers(uint16_t port) {
        char text[4096], *line;
        size_t len = 0;
        unsigned n = 0;
        int fd = connect_to(port, START_WAIT_MS / 1000);

        text[0] = '\0';
        if (fd >= 0 && send(fd, "status\n", 7, MSG_NOSIGNAL) == 7) {
                while (len < sizeof(text) - 1 && !strstr(text, ".\n")) {
                        ssize_t got = recv(fd, text + len, sizeof(text) - 1 - len, 0);
                        if (got <= 0)
                                break;
                        len += (size_t)got;
                        text[len] = '\0';
                }
        }
        if (fd >= 0)
                (void)close(fd);
        line = strstr(text, function);
        if (!line || sscanf(line, "%*s %*u %*u %u", &n) != 1)
                return 0;
        return n;
}

static bool await_workers(const struct gearman *g) {
        const double until = bench_now() + START_WAIT_MS / 1e3;

        while (!bench_stopped && bench_now() < until) {
                if (count_workers(g->port) == g->n_workers)
                        return true;
                (void)poll(NULL, 0, 10);
        }
        return false;
}

bool bench_run_gearman(struct bench_row *row) {
        if (row->workers * row->slots > BENCH_WORKERS_MAX) {
                fa_say_error("gearman: %u workers; expected at most %d in all",
                             row->workers * row->slots, BENCH_WORKERS_MAX);
                return false;
        }
        struct gearman g = {.row = row, .fd = -1, .times = calloc(row->tasks, sizeof(*g.times))};
        bool ok = g.times && start_server(&g) && start_workers(&g) && await_workers(&g) &&
                  run_jobs(&g, row->tasks, g.times);

        if (g.server > 0)
                bench_group_usage(g.server, &row->workers_cpu, &row->peak_mib);
        if (ok) {
                row->total = g.times[row->tasks - 1];
                bench_percentiles(g.times, row->tasks, row);
        } else if (!bench_stopped) {
                fa_say_error("gearman: %s", g.server > 0 && g.fd >= 0
                                                    ? "gearmand or one of its workers failed"
                                                    : "gearmand could not be started");
        }
        end(&g);
        (void)snprintf(row->version, sizeof(row->version), "%s", faas_version());
        bench_date(row->date);
        return ok;
}
