/*
 * bench-pool.c - the same tasks through Python's multiprocessing.Pool, for comparison
 *
 * The script is handed to python3 by -c: there is no file to be found or installed.
 */
#include <errno.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <faas/version.h>

#include "bench.h"
#include "say.h"

/* workers, tasks, optype, seconds; prints the time of each result, in the order they came. */
static const char script[] =
        "import multiprocessing as m, sys, time\n"
        "def work(a):\n"
        "    op, s = a\n"
        "    if op == 'sleep': time.sleep(s)\n"
        "    elif op == 'xheavy': time.sleep(10)\n"
        "    elif op == 'heavy': sum(i * i for i in range(1000000))\n"
        "n, k, op, s = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3], float(sys.argv[4])\n"
        "with m.Pool(n) as p:\n"
        "    p.map(work, [('noop', 0)] * n * 4, chunksize=1)\n"
        "    t = time.monotonic()\n"
        "    for r in p.imap_unordered(work, [(op, s)] * k, chunksize=1):\n"
        "        print(time.monotonic() - t)\n";

bool bench_has_pool(void) {
        if (bench_has_program("python3"))
                return true;
        fa_say(FAAS_LOG_WARNING, "python3 is not there: pool is skipped");
        return false;
}

/* python3 in a group of its own, in which its workers are too. */
static pid_t start(const struct bench_row *row, int *ret_fd) {
        char workers[16], tasks[16], seconds[32];
        const char *argv[] = {"python3", "-c", script, workers, tasks, row->optype, seconds, NULL};
        int fds[2];
        pid_t pid;

        (void)snprintf(workers, sizeof(workers), "%u", row->workers * row->slots);
        (void)snprintf(tasks, sizeof(tasks), "%u", row->tasks);
        (void)snprintf(seconds, sizeof(seconds), "%.9g", row->sleep);
        if (pipe(fds)) /* not O_CLOEXEC: the writing end is what it writes to */
                return -1;
        pid = fork();
        if (pid == 0) {
                (void)setpgid(0, 0);
                (void)close(fds[0]);
                if (dup2(fds[1], STDOUT_FILENO) >= 0)
                        execvp(argv[0], (char *const *)(uintptr_t)argv); /* it writes not there */
                _exit(127);
        }
        (void)close(fds[1]);
        if (pid > 0)
                (void)setpgid(pid, pid);
        else
                (void)close(fds[0]);
        *ret_fd = fds[0];
        return pid;
}

static size_t read_times(FILE *f, double *times, size_t n) {
        char line[64];
        size_t k = 0;

        while (k < n && !bench_stopped && fgets(line, sizeof(line), f))
                times[k++] = strtod(line, NULL);
        return k;
}

bool bench_run_pool(struct bench_row *row) {
        double *times = calloc(row->tasks, sizeof(*times));
        int fd = -1;
        pid_t pid = times ? start(row, &fd) : -1;
        FILE *f = pid > 0 ? fdopen(fd, "r") : NULL;
        size_t n = f ? read_times(f, times, row->tasks) : 0;
        bool ok = n == row->tasks;

        if (pid > 0) {
                bench_group_usage(pid, &row->workers_cpu, &row->peak_mib);
                (void)kill(-pid, SIGKILL);
                while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
                        continue;
        }
        if (f)
                fclose(f);
        if (ok) {
                row->total = times[n - 1];
                bench_percentiles(times, n, row);
        } else if (!bench_stopped) {
                fa_say_error("pool: %zu of %u results", n, row->tasks);
        }
        free(times);
        (void)snprintf(row->version, sizeof(row->version), "%s", faas_version());
        bench_date(row->date);
        return ok;
}
