/* far.c - dispatchers and workers as processes and threads */
#undef NDEBUG
#include "far.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <criterion/criterion.h>

#include "fn.h"
#include "th.h"

const char *const far_schemes[] = {"inproc", "ipc", "tcp", NULL};

void far_place(struct far *f, const char *scheme) {
        static unsigned n;

        *f = (struct far){.threads = strcmp(scheme, "inproc") == 0};
        n++;
        if (f->threads)
                (void)snprintf(f->url, sizeof(f->url), "inproc://far-%u", n);
        else if (strcmp(scheme, "ipc") == 0)
                (void)snprintf(f->url, sizeof(f->url), "ipc://%s/%u", th_temp_dir(), n);
        else
                (void)snprintf(f->url, sizeof(f->url), "tcp://127.0.0.1:*");
}

/* ---- threads ---- */

static void *thread(void *arg) {
        struct far_end *e = arg;
        int r = 0;

        while (r == 0)
                r = e->disp ? faas_dispatcher_step(e->disp, -1) : faas_worker_step(e->worker, -1);
        return (void *)(long)r;
}

static void start_thread(struct far_end *e) {
        cr_assert_eq(pthread_create(&e->thread, NULL, thread, e), 0);
}

static void end_thread(struct far_end *e) {
        void *r;

        close(e->stop_fd);
        cr_assert_eq(pthread_join(e->thread, &r), 0);
        cr_assert_eq((long)r, FAAS_E_GONE);
        faas_dispatcher_free(e->disp);
        faas_worker_free(e->worker);
}

/* A descriptor that is readable, with end of file, when *ret_other is closed. */
static int stop_pipe(int *ret_other) {
        int fds[2];

        cr_assert_eq(pipe(fds), 0);
        *ret_other = fds[1];
        return fds[0];
}

/* ---- processes ---- */

/* In the child: tells that it is there, and runs until it is killed. */
static int run_dispatcher(struct faas_dispatcher_cfg *cfg, int tell_fd) {
        struct faas_dispatcher *d = NULL;
        int r = faas_dispatcher_new(&d, cfg);

        if (r) {
                (void)dprintf(tell_fd, "!%s", faas_error_text());
                return 1;
        }
        (void)dprintf(tell_fd, "%s", faas_dispatcher_url(d));
        close(tell_fd);
        while (r == 0)
                r = faas_dispatcher_step(d, -1);
        return 1;
}

static int run_worker(struct faas_worker_cfg *cfg, int tell_fd) {
        struct faas_worker *w = NULL;
        int r = faas_worker_new(&w, cfg);

        if (r) {
                (void)dprintf(tell_fd, "!%s", faas_error_text());
                return 1;
        }
        close(tell_fd);
        while (r == 0)
                r = faas_worker_step(w, -1);
        return 1;
}

/* What the child says goes to told. */
static void start_process(struct far_end *e,
                          struct faas_dispatcher_cfg *disp,
                          struct faas_worker_cfg *worker,
                          char *told,
                          size_t size) {
        int fds[2];
        size_t n = 0;
        ssize_t got;
        pid_t parent = getpid();

        cr_assert_eq(pipe(fds), 0);
        e->pid = fork();
        cr_assert_geq(e->pid, 0);
        if (e->pid == 0) {
                close(fds[0]);
                if (prctl(PR_SET_PDEATHSIG, SIGKILL) || getppid() != parent)
                        _exit(1);
                _exit(disp ? run_dispatcher(disp, fds[1]) : run_worker(worker, fds[1]));
        }
        close(fds[1]);
        while ((got = read(fds[0], told + n, size - 1 - n)) > 0)
                n += (size_t)got;
        told[n] = '\0';
        close(fds[0]);
        cr_assert_neq(told[0], '!', "%s", told);
}

void far_kill(struct far_end *e) {
        cr_assert_gt(e->pid, 0);
        cr_assert_eq(kill(e->pid, SIGKILL), 0);
        cr_assert_eq(waitpid(e->pid, NULL, 0), e->pid);
        e->pid = 0;
}

void far_pause(struct far_end *e) {
        cr_assert_eq(kill(e->pid, SIGSTOP), 0);
}

void far_resume(struct far_end *e) {
        cr_assert_eq(kill(e->pid, SIGCONT), 0);
}

/* ---- both ---- */

void far_dispatcher(struct far *f, const char *scheme, const struct faas_dispatcher_cfg *cfg) {
        struct faas_dispatcher_cfg c = FAAS_DISPATCHER_CFG_INIT;
        char told[sizeof(f->url)];

        if (!f->url[0])
                far_place(f, scheme);
        if (cfg)
                c = *cfg;
        c.listen = f->url;
        /* A lost connection is seen at once; silence is for what the test does on purpose, and a
         * busy machine may be silent for long. */
        c.heartbeat_ms = 100;
        c.liveness = c.liveness ? c.liveness : 50;
        if (!f->threads) {
                start_process(&f->disp, &c, NULL, told, sizeof(told));
                memcpy(f->url, told, sizeof(told));
                return;
        }
        c.stop_fd = stop_pipe(&f->disp.stop_fd);
        cr_assert_eq(faas_dispatcher_new(&f->disp.disp, &c), 0, "%s", faas_error_text());
        start_thread(&f->disp);
}

void far_worker(struct far *f, unsigned n_slots) {
        struct faas_worker_cfg c = FAAS_WORKER_CFG_INIT;
        char told[200];

        c.url = f->url;
        c.n_slots = n_slots;
        c.functions = fn_table;
        c.name = "far";
        if (!f->threads) {
                start_process(&f->worker, NULL, &c, told, sizeof(told));
                return;
        }
        c.stop_fd = stop_pipe(&f->worker.stop_fd);
        cr_assert_eq(faas_worker_new(&f->worker.worker, &c), 0, "%s", faas_error_text());
        start_thread(&f->worker);
}

void far_start(struct far *f, const char *scheme) {
        *f = (struct far){.url = ""};
        far_dispatcher(f, scheme, NULL);
        far_worker(f, 2);
}

static void end_one(struct far_end *e) {
        if (e->pid > 0)
                far_kill(e);
        else if (e->disp || e->worker)
                end_thread(e);
        *e = (struct far_end){.pid = 0};
}

void far_end(struct far *f) {
        end_one(&f->worker);
        end_one(&f->disp);
}

struct faas_client *far_open(const char *url, const struct faas_client_cfg *cfg) {
        struct faas_client *c = NULL;

        cr_assert_eq(faas_client_open(&c, url, NULL, cfg), 0, "%s", faas_error_text());
        return c;
}
