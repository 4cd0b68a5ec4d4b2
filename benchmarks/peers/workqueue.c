/*
 * workqueue.c - Work Queue's part (coop-computing-tools), by its C library
 *
 * A task of Work Queue is a command: "cat in", where the 16 bytes are a buffer that becomes the
 * file "in" and come back as what the command printed.  The manager is this program; it starts the
 * workers itself, since they are of no use before it listens.
 *
 *   --connect PORT:N    a free port, and how many work_queue_worker of one core each
 */
#include <cctools/work_queue.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "peer.h"

#define PATIENCE_S 30

extern char **environ;

#define WORKERS_MAX 64

static struct work_queue *queue;
static pid_t workers[WORKERS_MAX];
static int n_workers;

static int start_worker(int port) {
        char text[16];
        /* It ends with its manager. The rest is enough for a "cat", and nothing to look at first.
         */
        char *argv[] = {"work_queue_worker",
                        "--single-shot",
                        "--cores",
                        "1",
                        "--memory",
                        "100",
                        "--disk",
                        "100",
                        "--workdir",
                        ".",
                        "127.0.0.1",
                        text,
                        NULL};

        (void)snprintf(text, sizeof(text), "%d", port);
        return posix_spawnp(&workers[n_workers], argv[0], NULL, NULL, argv, environ)
                       ? peer_fail(argv[0], "cannot be started")
                       : (n_workers++, 0);
}

static void close_client(void) {
        if (queue)
                work_queue_delete(queue);
        for (int i = 0; i < n_workers; i++) {
                (void)kill(workers[i], SIGTERM);
                (void)waitpid(workers[i], NULL, 0);
        }
}

static int submit(const struct peer_task *task) {
        struct work_queue_task *t = work_queue_task_create("cat in");

        if (!t || !work_queue_task_specify_buffer(t, task->payload, (int)task->len, "in",
                                                  WORK_QUEUE_NOCACHE))
                return peer_fail("submit", "no task");
        work_queue_task_specify_cores(t, 1);
        return work_queue_submit(queue, t) > 0 ? 0 : peer_fail("submit", "refused");
}

/* An output is text: the last byte of the payload is its end. */
static int take(const struct peer_task *task) {
        struct work_queue_task *t = work_queue_wait(queue, PATIENCE_S);
        int right = t && t->result == WORK_QUEUE_RESULT_SUCCESS && t->return_status == 0 &&
                    t->output && memcmp(t->output, task->payload, task->len) == 0;

        if (t)
                work_queue_task_delete(t);
        return right ? 0 : peer_fail("result", "none, or not what was sent");
}

static int one(const struct peer_task *task) {
        return submit(task) || take(task);
}

static int open_client(const char *address) {
        const struct peer_task hello = {"echo", "hello", 5, 0};
        struct work_queue_stats stats = {0};
        int port = 0, n = 1;

        if (sscanf(address, "%d:%d", &port, &n) != 2 || n > WORKERS_MAX)
                return peer_fail(address, "not PORT:N");
        queue = work_queue_create(port);
        if (!queue)
                return peer_fail("work_queue_create", "no port");
        for (int i = 0; i < n; i++)
                if (start_worker(port))
                        return 1;
        /* Without a task it does not look for workers. */
        for (time_t end = time(NULL) + PATIENCE_S;
             stats.workers_connected < n && time(NULL) < end;) {
                if (one(&hello))
                        return 1;
                work_queue_get_stats(queue, &stats);
        }
        return stats.workers_connected == n ? 0 : peer_fail("workers", "do not come");
}

static int many(const struct peer_task *task, unsigned n, unsigned in_flight) {
        for (unsigned sent = 0, got = 0; got < n; got++) {
                for (; sent < n && sent - got < in_flight; sent++)
                        if (submit(task))
                                return 1;
                if (take(task))
                        return 1;
        }
        return 0;
}

int main(int argc, char **argv) {
        static const struct peer work_queue = {.name = "Work Queue",
                                               .open = open_client,
                                               .one = one,
                                               .many = many,
                                               .close = close_client};

        return peer_main(argc, argv, &work_queue);
}
