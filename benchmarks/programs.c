/* programs.c - see programs.h */
#include "programs.h"

#include <ftw.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

pid_t programs_run(const char *const argv[]) {
        pid_t parent = getpid();
        pid_t pid = fork();

        if (pid == 0) {
                prctl(PR_SET_PDEATHSIG, SIGKILL);
                if (getppid() == parent)
                        execv(argv[0],
                              (char *const *)(uintptr_t)argv); /* it does not write there */
                perror(argv[0]);
                _exit(127);
        }
        if (pid < 0)
                perror("fork");
        return pid;
}

/* A port that was free a moment ago. */
static int free_port(void) {
        struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
        socklen_t len = sizeof(a);
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        int port = -1;

        if (fd >= 0 && bind(fd, (struct sockaddr *)&a, sizeof(a)) == 0 &&
            getsockname(fd, (struct sockaddr *)&a, &len) == 0)
                port = ntohs(a.sin_port);
        if (fd >= 0)
                close(fd);
        return port;
}

static int find_programs(struct programs *p) {
        const char *bin = getenv("FAAS_BIN");
        ssize_t n;
        char *slash;

        if (bin) {
                (void)snprintf(p->bin, sizeof(p->bin), "%s", bin);
                return 0;
        }
        n = readlink("/proc/self/exe", p->bin, sizeof(p->bin) - 16);
        if (n < 0) {
                perror("/proc/self/exe");
                return -1;
        }
        p->bin[n] = '\0';
        slash = strrchr(p->bin, '/');
        (void)snprintf(slash, 16, "/../tools");
        return 0;
}

int programs_dispatcher(struct programs *p, unsigned which) {
        char program[600], name[8], heartbeat[16], slots[16]; /* p->bin and a name; numbers */
        const char *argv[64];
        size_t n = 0;
        const char *const usual[] = {program,        "--mode",
                                     p->cfg.mode,    "--listen",
                                     p->door[which], "--name",
                                     name,           "--store",
                                     p->store,       "--log-level",
                                     "error",        "--heartbeat",
                                     heartbeat,      p->cfg.n_slots ? "--slots" : NULL,
                                     slots};

        (void)snprintf(program, sizeof(program), "%s/faas-dispatcher", p->bin);
        (void)snprintf(name, sizeof(name), "d%u", which + 1);
        (void)snprintf(heartbeat, sizeof(heartbeat), "%u", p->cfg.heartbeat_ms);
        (void)snprintf(slots, sizeof(slots), "%u", p->cfg.n_slots);
        while (n < sizeof(usual) / sizeof(usual[0]) && usual[n]) {
                argv[n] = usual[n];
                n++;
        }
        for (size_t i = 0; p->cfg.extra && p->cfg.extra[i] && n < 63; i++)
                argv[n++] = p->cfg.extra[i];
        argv[n] = NULL;
        p->dispatchers[which] = programs_run(argv);
        return p->dispatchers[which] > 0 ? 0 : -1;
}

static int start_store(struct programs *p) {
        const char *store = p->cfg.store ? p->cfg.store : "memory";

        if (strcmp(store, "redis") != 0) {
                (void)snprintf(p->store, sizeof(p->store), "%s",
                               strcmp(store, "memory") == 0 ? "memory:" : store);
                return 0;
        }
        if (redis_server_start(&p->redis, p->dir, p->cfg.fsync ? p->cfg.fsync : "everysec"))
                return -1;
        (void)snprintf(p->store, sizeof(p->store), "%s", p->redis.url);
        return 0;
}

static void choose_doors(struct programs *p) {
        unsigned n = p->cfg.n_dispatchers ? p->cfg.n_dispatchers : 1;
        size_t len = 0;

        for (unsigned i = 0; i < n; i++) {
                if (p->cfg.tcp)
                        (void)snprintf(p->door[i], sizeof(p->door[i]), "tcp://127.0.0.1:%d",
                                       free_port());
                else
                        (void)snprintf(p->door[i], sizeof(p->door[i]), "ipc://%s/door%u", p->dir,
                                       i + 1);
                (void)snprintf(p->url + len, sizeof(p->url) - len, "%s%s", i ? "," : "",
                               p->door[i]);
                len = strlen(p->url);
        }
}

int programs_start(struct programs *p, const struct programs_cfg *cfg) {
        *p = (struct programs){.cfg = *cfg};
        if (programs_dir(p->dir) || find_programs(p))
                return -1;
        choose_doors(p);
        return start_store(p) || programs_dispatcher(p, 0) ? -1 : 0;
}

int programs_worker_at(struct programs *p, unsigned n_slots, const char *url) {
        char program[600], slots[16]; /* p->bin and a name; a number */
        const char *argv[] = {program, "--slots", slots, "--log-level", "error", url, NULL};

        (void)snprintf(program, sizeof(program), "%s/faas-worker", p->bin);
        (void)snprintf(slots, sizeof(slots), "%u", n_slots);
        if (p->n_workers == WORKERS_MAX)
                return -1;
        p->workers[p->n_workers] = programs_run(argv);
        return p->workers[p->n_workers++] > 0 ? 0 : -1;
}

int programs_worker(struct programs *p, unsigned n_slots) {
        return programs_worker_at(p, n_slots, p->url);
}

void programs_kill(pid_t pid) {
        if (pid <= 0)
                return;
        kill(pid, SIGKILL);
        waitpid(pid, NULL, 0);
}

unsigned long long programs_rss(pid_t pid) {
        unsigned long long pages = 0;
        char path[64];
        FILE *f;

        (void)snprintf(path, sizeof(path), "/proc/%d/statm", (int)pid);
        f = fopen(path, "re");
        if (!f)
                return 0;
        if (fscanf(f, "%*u %llu", &pages) != 1)
                pages = 0;
        fclose(f);
        return pages * (unsigned long long)sysconf(_SC_PAGESIZE);
}

double programs_cpu(pid_t pid) {
        struct timespec t = {0, 0};
        clockid_t clock = CLOCK_PROCESS_CPUTIME_ID;

        if (pid && clock_getcpuclockid(pid, &clock))
                return 0;
        (void)clock_gettime(clock, &t);
        return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *at) {
        (void)remove(path);
        return 0;
}

void programs_remove(const char *dir) {
        if (strstr(dir, "/faas-bench-"))
                (void)nftw(dir, remove_one, 8, FTW_DEPTH | FTW_PHYS);
}

int programs_dir(char ret[64]) {
        (void)snprintf(ret, 64, "/tmp/faas-bench-XXXXXX");
        if (mkdtemp(ret))
                return 0;
        perror(ret);
        ret[0] = '\0';
        return -1;
}

void programs_end(struct programs *p) {
        for (unsigned i = 0; i < p->n_workers; i++)
                programs_kill(p->workers[i]);
        for (unsigned i = 0; i < DISPATCHERS_MAX; i++)
                programs_kill(p->dispatchers[i]);
        redis_server_kill(&p->redis);
        programs_remove(p->dir);
}

double programs_now(void) {
        struct timespec t;

        clock_gettime(CLOCK_MONOTONIC_RAW, &t);
        return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

void programs_sleep(double seconds) {
        time_t whole = (time_t)seconds;

        nanosleep(&(struct timespec){whole, (long)((seconds - (double)whole) * 1e9)}, NULL);
}
