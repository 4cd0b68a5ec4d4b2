/* cluster.c - see cluster.h */
#include "cluster.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "th.h"

#define LONG_MS 60000 /* a condition that does not come by then will not */

static const char *need_env(const char *name) {
        const char *value = getenv(name);

        cr_assert_not_null(value, "$%s is not set", name);
        return value;
}

static void make_board(struct cluster *c) {
        char path[128]; /* the directory's name is short */
        int fd;

        (void)snprintf(path, sizeof(path), "%s/board", c->dir);
        fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
        cr_assert_geq(fd, 0);
        cr_assert_eq(ftruncate(fd, sizeof(*c->board)), 0);
        c->board = mmap(NULL, sizeof(*c->board), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
        cr_assert_neq(c->board, MAP_FAILED);
        close(fd);
        cr_assert_eq(setenv("FAAS_E2E_BOARD", path, 1), 0);
}

pid_t cluster_spawn(struct cluster *c, const char *door, const char *const more[]) {
        char program[512], heartbeat[16]; /* a path of the build; a number */
        const char *argv[24] = {program,       "--mode",  c->mode,       "--listen", door,
                                "--heartbeat", heartbeat, "--log-level", "error"};
        size_t n = 9;

        (void)snprintf(program, sizeof(program), "%s/faas-dispatcher", need_env("FAAS_BIN"));
        (void)snprintf(heartbeat, sizeof(heartbeat), "%u", c->heartbeat_ms);
        if (strcmp(c->mode, "local") == 0) {
                argv[n++] = "--slots";
                argv[n++] = "4";
                argv[n++] = "--load";
                argv[n++] = need_env("FAAS_E2E_MODULE");
        }
        while (*more)
                argv[n++] = *more++;
        cr_assert_lt(n, sizeof(argv) / sizeof(argv[0]));
        return th_spawn(argv, -1);
}

void cluster_dispatcher(struct cluster *c) {
        c->dispatcher = cluster_spawn(c, c->door, c->more);
}

void cluster_init(struct cluster *c, const char *mode, unsigned heartbeat_ms) {
        memset(c, 0, sizeof(*c));
        c->mode = mode;
        c->heartbeat_ms = heartbeat_ms;
        c->dir = th_temp_dir();
        make_board(c);
        (void)snprintf(c->door, sizeof(c->door), "ipc://%s/door", c->dir);
        (void)snprintf(c->url, sizeof(c->url), "%s", c->door);
}

void cluster_client(struct cluster *c) {
        const struct faas_client_cfg cfg = {.struct_size = sizeof(cfg),
                                            .submit_timeout_ms = LONG_MS};

        cr_assert_eq(faas_client_open(&c->client, c->url, NULL, &cfg), 0, "%s", faas_error_text());
}

void cluster_start(struct cluster *c, const char *mode, unsigned heartbeat_ms) {
        cluster_init(c, mode, heartbeat_ms);
        cluster_dispatcher(c);
        cluster_client(c);
}

void cluster_worker(struct cluster *c, unsigned i, unsigned n_slots) {
        char program[512], slots[16]; /* a path of the build; a number */
        const char *argv[] = {
                program,       "--slots", slots,  "--load", need_env("FAAS_E2E_MODULE"),
                "--log-level", "error",   c->url, NULL};

        (void)snprintf(program, sizeof(program), "%s/faas-worker", need_env("FAAS_BIN"));
        (void)snprintf(slots, sizeof(slots), "%u", n_slots);
        c->workers[i] = th_spawn(argv, -1);
}

void cluster_stats(struct cluster *c, struct faas_stats *ret) {
        cr_assert_eq(faas_client_stats(c->client, ret), 0, "%s", faas_error_text());
}

struct wish {
        struct cluster *c;
        unsigned n;
};

static bool registered(void *arg) {
        struct wish *w = arg;
        struct faas_stats s;

        cluster_stats(w->c, &s);
        return s.workers == w->n;
}

void cluster_await(struct cluster *c, unsigned n) {
        struct wish w = {c, n};

        cr_assert(th_until(registered, &w, LONG_MS), "%u workers do not come", n);
}

static bool has_begun(void *arg) {
        struct wish *w = arg;

        return w->c->board->begun >= w->n;
}

void cluster_begun(struct cluster *c, unsigned n) {
        struct wish w = {c, n};

        cr_assert(th_until(has_begun, &w, LONG_MS), "%u begun, %u expected", c->board->begun, n);
}

void cluster_kill_worker(struct cluster *c, unsigned i) {
        th_kill(c->workers[i]);
        c->workers[i] = 0;
}

void cluster_end(struct cluster *c) {
        faas_client_close(c->client);
        for (unsigned i = 0; i < WORKERS_MAX; i++)
                if (c->workers[i])
                        th_kill(c->workers[i]);
        if (c->dispatcher)
                th_kill(c->dispatcher);
        munmap(c->board, sizeof(*c->board));
}

void cluster_submit(struct cluster *c,
                    const char *function,
                    const char *payload,
                    struct faas_id *ret_id) {
        const struct faas_task t = {
                .function = function, .payload = payload, .payload_len = strlen(payload)};

        cr_assert_eq(faas_submit(c->client, &t, ret_id), 0, "%s", faas_error_text());
}

void cluster_completed(struct cluster *c, const struct faas_id *id) {
        struct faas_result r = FAAS_RESULT_INIT;

        cr_assert_eq(faas_wait(c->client, id, LONG_MS, &r), 0, "%s", faas_error_text());
        cr_assert_eq(r.status, FAAS_COMPLETED, "%s", r.text);
        faas_result_clear(&r);
}

/* All threads: the first number of each one's schedstat is the time on a CPU. */
uint64_t proc_cpu_ns(pid_t pid) {
        unsigned long long user = 0, system = 0;
        char path[32]; /* a number of at most 10 digits */
        char line[1024];
        FILE *f;

        (void)snprintf(path, sizeof(path), "/proc/%d/stat", pid);
        f = fopen(path, "re");
        cr_assert_not_null(f);
        cr_assert_not_null(fgets(line, sizeof(line), f));
        fclose(f);
        /* Fields 14 and 15, counted behind the name in brackets, in ticks of 10 ms. */
        cr_assert_eq(sscanf(strrchr(line, ')'),
                            ") %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %llu %llu", &user,
                            &system),
                     2);
        return (user + system) * (UINT64_C(1000000000) / (uint64_t)sysconf(_SC_CLK_TCK));
}
