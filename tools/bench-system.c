/*
 * bench-system.c - a dispatcher and its workers, for one run: started, watched, and surely ended
 *
 * Each is the leader of a process group of its own, in which its slots are too: so what they used
 * can be added up, and Ctrl-C reaches only this program, which then ends them.  If this program is
 * killed they die with it.
 */
#include <dirent.h>
#include <errno.h>
#include <limits.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "bench.h"
#include "say.h"

/* No beat in this time: longer than any run. */
#define NO_BEAT_MS 3600000u

/* The programs lie beside this one. */
static bool program(char *to, size_t size, const char *name) {
        char self[PATH_MAX - 32]; /* room for a name */
        ssize_t n = readlink("/proc/self/exe", self, sizeof(self) - 1);
        char *slash;

        self[n > 0 ? n : 0] = '\0';
        slash = strrchr(self, '/');
        if (slash)
                *slash = '\0';
        (void)snprintf(to, size, "%s/%s", self, name);
        if (access(to, X_OK) == 0)
                return true;
        fa_say_error("%s is not there: it is expected beside faas-bench", to);
        return false;
}

static pid_t run(const char *const argv[]) {
        pid_t parent = getpid();
        pid_t pid = fork();

        if (pid == 0) {
                (void)setpgid(0, 0);
                (void)prctl(PR_SET_PDEATHSIG, SIGKILL);
                (void)signal(SIGINT, SIG_DFL);
                (void)signal(SIGTERM, SIG_DFL);
                (void)signal(SIGPIPE, SIG_DFL);
                if (getppid() == parent)
                        execv(argv[0],
                              (char *const *)(uintptr_t)argv); /* it does not write there */
                _exit(127);
        }
        if (pid < 0)
                fa_say_error("cannot start %s: %s", argv[0], fa_errno_text(errno));
        else
                (void)setpgid(pid, pid);
        return pid;
}

static bool
start_dispatcher(struct bench_system *s, const struct bench_row *row, const char *store) {
        char path[PATH_MAX], heartbeat[16], slots[16];
        const bool local = strcmp(row->mode, "local") == 0;
        const char *argv[] = {path,    "--mode",      row->mode, "--listen",
                              s->url,  "--store",     store,     "--log-level",
                              "error", "--heartbeat", heartbeat, local ? "--slots" : NULL,
                              slots,   NULL};
        unsigned ms = row->heartbeat > 0 ? (unsigned)(row->heartbeat * 1000 + 0.5) : NO_BEAT_MS;

        (void)snprintf(heartbeat, sizeof(heartbeat), "%u", ms);
        (void)snprintf(slots, sizeof(slots), "%u", row->workers * row->slots);
        if (!program(path, sizeof(path), "faas-dispatcher"))
                return false;
        s->dispatcher = run(argv);
        return s->dispatcher > 0;
}

static bool start_workers(struct bench_system *s, const struct bench_row *row) {
        char path[PATH_MAX], slots[16];
        const char *argv[] = {path, "--slots", slots, "--log-level", "error", s->url, NULL};

        if (strcmp(row->mode, "local") == 0)
                return true;
        (void)snprintf(slots, sizeof(slots), "%u", row->slots);
        if (!program(path, sizeof(path), "faas-worker"))
                return false;
        while (s->n_workers < row->workers) {
                pid_t pid = run(argv);
                if (pid < 0)
                        return false;
                s->workers[s->n_workers++] = pid;
        }
        return true;
}

bool bench_system_start(struct bench_system *s, const struct bench_row *row, const char *store) {
        *s = (struct bench_system){.dir = "/tmp/faas-bench-XXXXXX"};
        if (!mkdtemp(s->dir)) {
                fa_say_error("cannot make a folder %s: %s", s->dir, fa_errno_text(errno));
                s->dir[0] = '\0';
                return false;
        }
        (void)snprintf(s->url, sizeof(s->url), "ipc://%s/door", s->dir);
        if (start_dispatcher(s, row, store) && start_workers(s, row))
                return true;
        bench_system_end(s);
        return false;
}

/* Without reaping it: its number stays ours until the end. */
static bool is_gone(pid_t pid) {
        siginfo_t info = {.si_pid = 0};

        return waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG | WNOWAIT) || info.si_pid == pid;
}

bool bench_system_broken(const struct bench_system *s) {
        if (s->dispatcher > 0 && is_gone(s->dispatcher)) {
                fa_say_error("the dispatcher ended");
                return true;
        }
        for (unsigned i = 0; i < s->n_workers; i++) {
                if (is_gone(s->workers[i])) {
                        fa_say_error("worker %u of %u ended", i + 1, s->n_workers);
                        return true;
                }
        }
        return false;
}

static double cpu_of(pid_t pid) {
        struct timespec t;
        clockid_t clock;

        if (clock_getcpuclockid(pid, &clock) || clock_gettime(clock, &t))
                return 0;
        return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static double peak_of(pid_t pid) {
        unsigned long kib = 0;
        char path[64], line[256];
        FILE *f;

        (void)snprintf(path, sizeof(path), "/proc/%d/status", (int)pid);
        f = fopen(path, "re");
        if (!f)
                return 0;
        while (fgets(line, sizeof(line), f))
                if (sscanf(line, "VmHWM: %lu", &kib) == 1)
                        break;
        fclose(f);
        return (double)kib / 1024;
}

static bool in_group(pid_t pid, pid_t group) {
        return getpgid(pid) == group;
}

void bench_group_usage(pid_t group, double *ret_cpu, double *ret_peak_mib) {
        DIR *proc = opendir("/proc");

        *ret_cpu = *ret_peak_mib = 0;
        for (const struct dirent *e; proc && (e = readdir(proc));) { /* NOLINT(*-mt-unsafe) */
                pid_t pid = (pid_t)strtol(e->d_name, NULL, 10);
                if (pid <= 0 || !in_group(pid, group))
                        continue;
                *ret_cpu += cpu_of(pid);
                *ret_peak_mib += peak_of(pid);
        }
        if (proc)
                closedir(proc);
}

void bench_system_usage(const struct bench_system *s, struct bench_usage *ret) {
        double cpu, peak;

        *ret = (struct bench_usage){0};
        if (s->dispatcher > 0)
                bench_group_usage(s->dispatcher, &ret->dispatcher_cpu, &ret->peak_mib);
        for (unsigned i = 0; i < s->n_workers; i++) {
                bench_group_usage(s->workers[i], &cpu, &peak);
                ret->workers_cpu += cpu;
                ret->peak_mib += peak;
        }
}

static void end_one(pid_t pid) {
        if (pid <= 0)
                return;
        (void)kill(-pid, SIGKILL); /* its slots with it */
        (void)kill(pid, SIGKILL);
        while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
                continue;
}

void bench_system_end(struct bench_system *s) {
        char path[96];

        end_one(s->dispatcher); /* first, or it would say that it lost the others */
        for (unsigned i = 0; i < s->n_workers; i++)
                end_one(s->workers[i]);
        if (s->dir[0]) {
                (void)snprintf(path, sizeof(path), "%s/door", s->dir);
                (void)unlink(path);
                (void)rmdir(s->dir);
        }
        *s = (struct bench_system){.dir = ""};
}
