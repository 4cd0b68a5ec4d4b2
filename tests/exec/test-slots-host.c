/* test-slots-host.c - the host's side of the promise: what it may do, and what may happen to it */
#undef NDEBUG
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/limits.h"
#include "pool.h"
#include "th.h"

/* What a host process of its own tells its test. */
struct host {
        pid_t pid;
        pid_t zygote, slots[2];
};

/* A forked host with a pool, whose slot 0 runs function with a time-out; it does nothing more. */
static struct host fork_host(const char *function, const char *path, uint32_t timeout_ms) {
        struct host h = {0};
        int fds[2];

        cr_assert_eq(pipe(fds), 0);
        h.pid = fork();
        cr_assert_geq(h.pid, 0);
        if (h.pid == 0) {
                struct pool p;

                pool_open(&p, 2);
                if (timeout_ms)
                        pool_queue_timed(&p, 0, function, timeout_ms);
                else
                        pool_queue(&p, 0, function, path);
                fa_slots_flush(p.s);
                h.zygote = fa_slots_zygote_pid(p.s);
                h.slots[0] = fa_slots_pid(p.s, 0);
                h.slots[1] = fa_slots_pid(p.s, 1);
                if (write(fds[1], &h, sizeof(h)) != sizeof(h))
                        _exit(1);
                for (;;)
                        pause();
        }
        close(fds[1]);
        pid_t pid = h.pid;
        cr_assert_eq((size_t)read(fds[0], &h, sizeof(h)), sizeof(h));
        h.pid = pid;
        close(fds[0]);
        return h;
}

Test(host, killed_host_leaves_nothing_behind) {
        char path[256];

        snprintf(path, sizeof(path), "%s/pid", th_temp_dir());
        struct host h = fork_host("announce-loop", path, 0);
        (void)read_number(path);
        kill(h.pid, SIGKILL);
        cr_assert(th_gone(h.pid, WAIT_MS));
        cr_assert(th_gone(h.zygote, WAIT_MS));
        cr_assert(th_gone(h.slots[0], WAIT_MS));
        cr_assert(th_gone(h.slots[1], WAIT_MS));
}

Test(host, time_outs_hold_while_the_host_is_stopped) {
        struct host h = fork_host("loop", "", 200);

        kill(h.pid, SIGSTOP);
        cr_assert(th_gone(h.slots[0], WAIT_MS));
        cr_assert_not(th_gone(h.slots[1], 0));
        kill(h.pid, SIGKILL);
        cr_assert(th_gone(h.slots[1], WAIT_MS));
}

Test(host, stopped_zygote_does_not_hang_close) {
        struct pool p;

        pool_open(&p, 2);
        pid_t zygote = fa_slots_zygote_pid(p.s);
        pid_t slot = fa_slots_pid(p.s, 0);
        kill(zygote, SIGSTOP);
        fa_slots_close(p.s);
        cr_assert(th_gone(zygote, WAIT_MS));
        cr_assert(th_gone(slot, WAIT_MS));
}

Test(host, has_no_child_to_reap) {
        struct pool p;

        pool_open(&p, 2);
        cr_assert_eq(waitpid(-1, NULL, WNOHANG), -1);
        cr_assert_eq(errno, ECHILD);
        fa_slots_close(p.s);
        cr_assert_eq(waitpid(-1, NULL, WNOHANG), -1);
}

Test(host, may_ignore_its_children) {
        struct pool p;

        signal(SIGCHLD, SIG_IGN);
        pool_open(&p, 1);
        pool_give(&p, 0, "exit-3", "");
        struct fa_slot_event ev = pool_expect_down(&p, 1, FAAS_FAILURE_EXITED);
        cr_assert_eq(ev.outcome.code, 3);
        fa_outcome_deinit(&ev.outcome);
        fa_slots_close(p.s);
}

Test(host, port_is_free_again_while_slots_live) {
        struct sockaddr_in a = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
        socklen_t len = sizeof(a);
        struct pool p;

        int fd = socket(AF_INET, SOCK_STREAM, 0);
        cr_assert_eq(bind(fd, (struct sockaddr *)&a, sizeof(a)), 0);
        cr_assert_eq(listen(fd, 1), 0);
        cr_assert_eq(getsockname(fd, (struct sockaddr *)&a, &len), 0);
        pool_open(&p, 2);
        close(fd);
        fd = socket(AF_INET, SOCK_STREAM, 0);
        cr_assert_eq(bind(fd, (struct sockaddr *)&a, sizeof(a)), 0, "%s", strerror(errno));
        close(fd);
        fa_slots_close(p.s);
}

static atomic_bool stop;

static void *allocate_for_ever(void *arg) {
        while (!atomic_load(&stop)) {
                void *volatile p = malloc(1000);
                free(p);
        }
        return NULL;
}

Test(host, may_have_threads_that_are_busy_in_malloc) {
        pthread_t threads[2];

        for (int i = 0; i < 2; i++)
                cr_assert_eq(pthread_create(&threads[i], NULL, allocate_for_ever, NULL), 0);
        for (int i = 0; i < 20; i++) {
                struct pool p;

                pool_open(&p, 2);
                pool_give(&p, 1, "echo", "hello");
                struct fa_slot_event ev = pool_expect(&p, FA_SLOT_RESULT);
                cr_assert_eq(ev.outcome.status, FAAS_COMPLETED);
                fa_outcome_deinit(&ev.outcome);
                fa_slots_close(p.s);
        }
        atomic_store(&stop, true);
        for (int i = 0; i < 2; i++)
                pthread_join(threads[i], NULL);
}

/* Every number of descriptors that is not enough gives an error, and leaves as many as before. */
Test(host, lack_of_fds_is_an_error_of_open) {
        struct rlimit old;
        int fds = th_count_fds();
        struct fa_slots *s = NULL;
        int r = -1;

        cr_assert_eq(getrlimit(RLIMIT_NOFILE, &old), 0);
        int next = dup(0);
        close(next);
        for (int more = 0; r != 0; more++) {
                struct rlimit few = {(rlim_t)(next + more), old.rlim_max};
                struct fa_slots_cfg cfg = {.n_slots = 2, .functions = bad_functions};

                cr_assert_lt(more, 100);
                cr_assert_eq(setrlimit(RLIMIT_NOFILE, &few), 0);
                r = fa_slots_open(&s, &cfg);
                cr_assert_eq(setrlimit(RLIMIT_NOFILE, &old), 0);
                if (r != 0) {
                        cr_assert_eq(r, -EMFILE, "%s (%s)", faas_strerror(r), faas_error_text());
                        cr_assert_eq(th_count_fds(), fds);
                }
        }
        fa_slots_close(s);
        cr_assert_eq(th_count_fds(), fds);
}

/* The slots' parent must not poll() more than it may have, or it spins, deaf to its end. */
Test(host, many_more_slots_than_descriptors_are_refused_at_once) {
        struct fa_slots_cfg cfg = {.n_slots = FA_SLOTS_MAX, .functions = bad_functions};
        struct rlimit old;
        struct fa_slots *s = NULL;

        cr_assert_eq(getrlimit(RLIMIT_NOFILE, &old), 0);
        struct rlimit few = {64, old.rlim_max};
        uint64_t start_ns = fa_now();
        cr_assert_eq(setrlimit(RLIMIT_NOFILE, &few), 0);
        cr_assert_eq(fa_slots_open(&s, &cfg), -EMFILE);
        cr_assert_eq(setrlimit(RLIMIT_NOFILE, &old), 0);
        /* It is ended by force after two seconds. */
        cr_assert_lt(fa_now() - start_ns, 1500 * FA_NS_PER_MS);
}

/* To look for children after each one that has ended would take longer than close waits. */
Test(host, close_of_a_thousand_slots_is_not_by_force) {
#ifdef __SANITIZE_ADDRESS__
        enum { N = 64 }; /* where a process is too heavy to be made a thousand times */
#else
        enum { N = FA_SLOTS_MAX };
#endif
        struct fa_slots_cfg cfg = {.n_slots = N, .functions = bad_functions};
        struct fa_slots *s = NULL;
        struct rlimit old;
        unsigned up = 0;

        cr_assert_eq(getrlimit(RLIMIT_NOFILE, &old), 0);
        struct rlimit more = {N + 100, old.rlim_max};
        if (old.rlim_cur < more.rlim_cur)
                cr_assert_eq(setrlimit(RLIMIT_NOFILE, &more), 0);
        cr_assert_eq(fa_slots_open(&s, &cfg), 0, "%s", faas_error_text());
        while (up < N) {
                struct pollfd p = {fa_slots_fd(s), POLLIN, 0};
                struct fa_slot_event ev;

                cr_assert_eq(poll(&p, 1, 20000), 1);
                while (fa_slots_next(s, &ev) == 0)
                        up += ev.kind == FA_SLOT_UP;
        }
        uint64_t start_ns = fa_now();
        fa_slots_close(s);
        cr_assert_lt(fa_now() - start_ns, 1900 * FA_NS_PER_MS);
}

Test(host, fork_of_the_host_does_not_own_the_pool) {
        struct pool p;

        pool_open(&p, 1);
        pid_t pid = fork();
        if (pid == 0) {
                fa_slots_close(p.s);
                _exit(0);
        }
        cr_assert_eq(waitpid(pid, NULL, 0), pid);
        pool_give(&p, 0, "echo", "still here");
        struct fa_slot_event ev = pool_expect(&p, FA_SLOT_RESULT);
        fa_outcome_deinit(&ev.outcome);
        fa_slots_close(p.s);
}

/* As a user who may have three processes: host, zygote, one slot.  Returns a line number, or 0. */
static int with_too_few_processes(void) {
        struct rlimit few = {3, 100};
        struct rlimit enough = {100, 100};
        struct fa_slots_cfg cfg = {.n_slots = 2, .functions = bad_functions};
        struct fa_slots *s = NULL;
        struct fa_slot_event ev;
        uint64_t last_ns = 0;
        unsigned n_up = 0;
        unsigned n_calls = 0;
        unsigned n_pauses = 0;

        /* Of this run alone: another one's zombies would count. */
        uid_t uid = 1000000 + (uid_t)getpid();
        if (setrlimit(RLIMIT_NPROC, &few) < 0 || setgid(uid) < 0 || setuid(uid) < 0)
                return __LINE__;
        if (fa_slots_open(&s, &cfg) != 0)
                return __LINE__;
        while (n_up < 2) {
                int r = fa_slots_next(s, &ev);
                uint64_t at_ns = fa_slots_deadline(s);

                if (r == 0)
                        n_up += ev.kind == FA_SLOT_UP;
                else if (r != FAAS_E_AGAIN || n_calls++ > 100)
                        return __LINE__;
                if (at_ns != 0 && at_ns != FA_NEVER && at_ns > last_ns) {
                        last_ns = at_ns;
                        n_pauses++;
                }
                if (n_pauses == 5 &&
                    prlimit(fa_slots_zygote_pid(s), RLIMIT_NPROC, &enough, NULL) < 0)
                        return __LINE__;
                struct pollfd fd = {fa_slots_fd(s), POLLIN, 0};
                poll(&fd, 1, fa_poll_ms(FA_MIN(at_ns, fa_now() + FA_NS_PER_S), fa_now()));
        }
        /* 10 + 20 + 40 + 80 ms have gone by at least, in a few dozen calls. */
        fa_slots_close(s);
        return n_pauses >= 5 ? 0 : __LINE__;
}

Test(host, refused_fork_is_tried_again_with_growing_pauses) {
        int status;

        cr_assert_eq(getuid(), 0, "this test changes its user, and must be root");
        pid_t pid = fork();
        if (pid == 0) {
                int line = with_too_few_processes();
                if (line)
                        fprintf(stderr, "%s:%d: failed\n", __FILE__, line);
                _exit(line != 0);
        }
        cr_assert_eq(waitpid(pid, &status, 0), pid);
        cr_assert_eq(status, 0);
}

#define N_TASKS 20000
#define N_SLOTS 4
#define WINDOW 32

/* What is outstanding in one slot, in order: numbers of tasks, and their starts before. */
struct given {
        unsigned task[WINDOW], starts[WINDOW];
        uint32_t seq[WINDOW];
        unsigned n;
};

static unsigned todo[N_TASKS];
static unsigned n_todo;

static void give_all(struct pool *p, struct given *g, unsigned slot) {
        while (g->n < WINDOW && n_todo > 0 && fa_slots_pid(p->s, slot)) {
                unsigned task = todo[--n_todo];
                char text[16];

                snprintf(text, sizeof(text), "%u", task);
                g->task[g->n] = task;
                g->starts[g->n] = atomic_load(&pool_marks[task].starts);
                g->seq[g->n++] = pool_queue(p, slot, "mark", text);
        }
}

/* What was not begun has left no mark, and is done by somebody else. */
static void check_down(struct given *g, const struct fa_slot_event *ev) {
        bool begun = ev->started;
        bool found = !ev->started;

        for (unsigned i = 0; i < g->n; i++) {
                unsigned starts = atomic_load(&pool_marks[g->task[i]].starts);

                if (!begun)
                        cr_assert_eq(starts, g->starts[i], "task %u was begun", g->task[i]);
                if (ev->started && g->seq[i] == ev->seq) {
                        begun = false;
                        found = true;
                }
                todo[n_todo++] = g->task[i];
        }
        cr_assert(found);
        g->n = 0;
}

Test(host, every_task_has_its_end_while_slots_are_killed) {
        struct given given[N_SLOTS] = {{.n = 0}};
        struct pool p;
        unsigned n_done = 0, n_down = 0, n_kills = 0;
        unsigned random = 1;
        int fds = th_count_fds();

        pool_marks = mmap(NULL, N_TASKS * sizeof(*pool_marks), PROT_READ | PROT_WRITE,
                          MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        cr_assert_neq(pool_marks, MAP_FAILED);
        for (unsigned i = 0; i < N_TASKS; i++)
                todo[n_todo++] = i;
        pool_open(&p, N_SLOTS);
        while (n_done < N_TASKS) {
                for (unsigned i = 0; i < N_SLOTS; i++)
                        give_all(&p, &given[i], i);
                fa_slots_flush(p.s);
                struct fa_slot_event ev = pool_next(&p);
                struct given *g = &given[ev.slot];

                if (ev.kind == FA_SLOT_RESULT) {
                        cr_assert_eq(ev.seq, g->seq[0]);
                        cr_assert_geq(atomic_load(&pool_marks[g->task[0]].ends), 1);
                        g->n--;
                        memmove(g->seq, g->seq + 1, g->n * sizeof(g->seq[0]));
                        memmove(g->task, g->task + 1, g->n * sizeof(g->task[0]));
                        memmove(g->starts, g->starts + 1, g->n * sizeof(g->starts[0]));
                        n_done++;
                        random = random * 1103515245u + 12345u;
                        if (random >> 16 & 255)
                                continue;
                        pid_t pid = fa_slots_pid(p.s, random >> 24 & (N_SLOTS - 1));
                        if (pid > 0) {
                                kill(pid, SIGKILL);
                                n_kills++;
                        }
                } else if (ev.kind == FA_SLOT_DOWN) {
                        check_down(g, &ev);
                        n_down++;
                }
                fa_outcome_deinit(&ev.outcome);
        }
        for (unsigned i = 0; i < N_TASKS; i++)
                cr_assert_geq(atomic_load(&pool_marks[i].ends), 1);
        cr_assert_gt(n_kills, 20);
        cr_assert_gt(n_down, 20);
        fa_slots_close(p.s);
        cr_assert_eq(th_count_fds(), fds);
}
