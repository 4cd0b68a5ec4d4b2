/* programs.c - see programs.h */
#include "programs.h"

#include <netinet/in.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

static pid_t start(const char *const argv[]) {
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
        if (n < 0)
                return -1;
        p->bin[n] = '\0';
        slash = strrchr(p->bin, '/');
        (void)snprintf(slash, 16, "/../tools");
        return 0;
}

int programs_start(struct programs *p,
                   const char *mode,
                   int tcp,
                   unsigned heartbeat_ms,
                   unsigned n_slots) {
        char program[600], heartbeat[16], slots[16]; /* p->bin and a name; numbers */
        const char *argv[] = {
                program,       "--mode", mode,          "--listen", p->url,
                "--log-level", "error",  "--heartbeat", heartbeat,  n_slots ? "--slots" : NULL,
                slots,         NULL};

        memset(p, 0, sizeof(*p));
        (void)snprintf(p->dir, sizeof(p->dir), "/tmp/faas-bench-XXXXXX");
        if (!mkdtemp(p->dir) || find_programs(p)) {
                perror("benchmark");
                return -1;
        }
        if (tcp)
                (void)snprintf(p->url, sizeof(p->url), "tcp://127.0.0.1:%d", free_port());
        else
                (void)snprintf(p->url, sizeof(p->url), "ipc://%s/door", p->dir);
        (void)snprintf(program, sizeof(program), "%s/faas-dispatcher", p->bin);
        (void)snprintf(heartbeat, sizeof(heartbeat), "%u", heartbeat_ms);
        (void)snprintf(slots, sizeof(slots), "%u", n_slots);
        p->dispatcher = start(argv);
        return p->dispatcher > 0 ? 0 : -1;
}

int programs_worker(struct programs *p, unsigned n_slots) {
        char program[600], slots[16]; /* p->bin and a name; a number */
        const char *argv[] = {program, "--slots", slots, "--log-level", "error", p->url, NULL};

        (void)snprintf(program, sizeof(program), "%s/faas-worker", p->bin);
        (void)snprintf(slots, sizeof(slots), "%u", n_slots);
        if (p->n_workers == WORKERS_MAX)
                return -1;
        p->workers[p->n_workers] = start(argv);
        return p->workers[p->n_workers++] > 0 ? 0 : -1;
}

static void end(pid_t pid) {
        if (pid <= 0)
                return;
        kill(pid, SIGKILL);
        waitpid(pid, NULL, 0);
}

void programs_end(struct programs *p) {
        char door[96]; /* p->dir and a name */

        for (unsigned i = 0; i < p->n_workers; i++)
                end(p->workers[i]);
        end(p->dispatcher);
        (void)snprintf(door, sizeof(door), "%s/door", p->dir);
        (void)unlink(door);
        (void)rmdir(p->dir);
}
