/*
 * test-serve.c - a dispatcher and a worker in a program with a loop of its own: stopping, the fd,
 * stop_fd, and one thread for both ends
 */
#undef NDEBUG
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

#include <criterion/criterion.h>

#include <faas/faas.h>

#include "fn.h"
#include "th.h"

#define LONG_MS 20000 /* what should be there at once is waited for so long */

static struct faas_dispatcher *new_dispatcher(const char *listen, int stop_fd) {
        struct faas_dispatcher_cfg cfg = FAAS_DISPATCHER_CFG_INIT;
        struct faas_dispatcher *d = NULL;

        cfg.listen = listen;
        cfg.stop_fd = stop_fd;
        cr_assert_eq(faas_dispatcher_new(&d, &cfg), 0, "%s", faas_error_text());
        return d;
}

static struct faas_worker *new_worker(const char *url, int stop_fd) {
        struct faas_worker_cfg cfg = FAAS_WORKER_CFG_INIT;
        struct faas_worker *w = NULL;

        cfg.url = url;
        cfg.n_slots = 1;
        cfg.functions = fn_table;
        cfg.stop_fd = stop_fd;
        cr_assert_eq(faas_worker_new(&w, &cfg), 0, "%s", faas_error_text());
        return w;
}

static bool readable(int fd, int timeout_ms) {
        struct pollfd p = {.fd = fd, .events = POLLIN};

        return poll(&p, 1, timeout_ms) == 1;
}

/* ---- stopping ---- */

/* Nobody is connected and nothing is due: only the stop itself can end the wait. */
Test(serve, an_idle_dispatcher_that_is_stopped_does_not_wait, .timeout = 20) {
        struct faas_dispatcher *d = new_dispatcher("inproc://idle", -1);
        int r = 0;

        faas_dispatcher_stop(d);
        while (r == 0)
                r = faas_dispatcher_step(d, -1);
        cr_assert_eq(r, FAAS_E_GONE);
        cr_assert_eq(faas_dispatcher_step(d, -1), FAAS_E_GONE);
        faas_dispatcher_free(d);
}

Test(serve, an_idle_worker_that_is_stopped_does_not_wait, .timeout = 20) {
        struct faas_worker *w = new_worker("ipc:///nowhere/there.sock", -1);
        int r = 0;

        faas_worker_stop(w);
        while (r == 0)
                r = faas_worker_step(w, -1);
        cr_assert_eq(r, FAAS_E_GONE);
        cr_assert_eq(faas_worker_step(w, -1), FAAS_E_GONE);
        faas_worker_free(w);
}

Test(serve, stopping_makes_the_fd_readable, .timeout = 60) {
        struct faas_dispatcher *d = new_dispatcher("inproc://idle", -1);
        struct faas_worker *w = new_worker("inproc://idle", -1);
        int d_fd = faas_dispatcher_fd(d);
        int w_fd = faas_worker_fd(w);
        int r = 0;

        cr_assert(d_fd >= 0 && w_fd >= 0);
        /* Until both have nothing to do but to beat. */
        for (int quiet = 0; quiet < 3;) {
                bool any = false;
                if (readable(d_fd, 5))
                        any = faas_dispatcher_step(d, 0) == 0;
                if (readable(w_fd, 5))
                        any |= faas_worker_step(w, 0) == 0;
                quiet = any ? 0 : quiet + 1;
        }
        faas_worker_stop(w);
        while (r == 0) {
                if (readable(w_fd, 5))
                        r = faas_worker_step(w, 0);
                if (r == 0 && readable(d_fd, 5))
                        cr_assert_eq(faas_dispatcher_step(d, 0), 0);
        }
        cr_assert_eq(r, FAAS_E_GONE);
        faas_worker_free(w);

        while (readable(d_fd, 100))
                cr_assert_eq(faas_dispatcher_step(d, 0), 0);
        faas_dispatcher_stop(d);
        cr_assert(readable(d_fd, 0));
        cr_assert_eq(faas_dispatcher_step(d, 0), 0);
        cr_assert(readable(d_fd, 0), "the end is still to be told");
        cr_assert_eq(faas_dispatcher_step(d, 0), FAAS_E_GONE);
        faas_dispatcher_free(d);
}

/* ---- stop_fd ---- */

Test(serve, each_time_the_stop_fd_is_readable_is_one_stop, .timeout = 60) {
        struct faas_dispatcher *d;
        int fds[2];
        int r = 0;

        cr_assert_eq(pipe2(fds, O_CLOEXEC), 0);
        d = new_dispatcher("inproc://stopped", fds[0]);
        cr_assert_eq(faas_dispatcher_step(d, 0), 0);
        cr_assert_eq(write(fds[1], "x", 1), 1);
        while (r == 0)
                r = faas_dispatcher_step(d, LONG_MS);
        cr_assert_eq(r, FAAS_E_GONE);
        faas_dispatcher_free(d);
        cr_assert_eq(fcntl(fds[0], F_GETFD), FD_CLOEXEC, "it stays the caller's");
        close(fds[0]);
        close(fds[1]);
}

Test(serve, the_end_of_the_stop_fd_ends_a_worker_at_once, .timeout = 60) {
        struct faas_worker *w;
        int fds[2];
        int r = 0;

        cr_assert_eq(pipe2(fds, O_CLOEXEC), 0);
        w = new_worker("inproc://stopped", fds[0]);
        close(fds[1]);
        while (r == 0)
                r = faas_worker_step(w, LONG_MS);
        cr_assert_eq(r, FAAS_E_GONE);
        faas_worker_free(w);
        close(fds[0]);
}

Test(serve, a_stop_fd_that_cannot_be_polled_is_refused) {
        struct faas_dispatcher_cfg cfg = FAAS_DISPATCHER_CFG_INIT;
        struct faas_dispatcher *d = NULL;

        cfg.listen = "inproc://refused";
        cfg.stop_fd = 999;
        cr_assert_eq(faas_dispatcher_new(&d, &cfg), -EBADF);
        cr_assert(strstr(faas_error_text(), "stop_fd"), "%s", faas_error_text());
        cr_assert_null(d);
}

/* ---- one loop for both ---- */

struct other {
        const char *url;
        atomic_bool done;
        int r;
};

static void *submit_one(void *userdata) {
        struct other *o = userdata;
        struct faas_task t = {.function = "upper", .payload = "x", .payload_len = 1};
        struct faas_result result = FAAS_RESULT_INIT;
        struct faas_client *c = NULL;
        struct faas_id id;

        o->r = faas_client_open(&c, o->url, NULL, NULL);
        if (o->r == 0)
                o->r = faas_submit(c, &t, &id);
        if (o->r == 0)
                o->r = faas_wait(c, &id, LONG_MS, &result);
        if (o->r == 0 && (result.payload_len != 1 || *(const char *)result.payload != 'X'))
                o->r = -EIO;
        faas_result_clear(&result);
        faas_client_close(c);
        o->done = true;
        return NULL;
}

Test(serve, one_thread_polls_dispatcher_and_worker_for_a_client_of_another, .timeout = 60) {
        struct faas_dispatcher *d = new_dispatcher("inproc://both", -1);
        struct faas_worker *w = new_worker("inproc://both", -1);
        struct other o = {.url = "inproc://both"};
        pthread_t thread;

        cr_assert_eq(pthread_create(&thread, NULL, submit_one, &o), 0);
        while (!o.done) {
                struct pollfd p[] = {{.fd = faas_dispatcher_fd(d), .events = POLLIN},
                                     {.fd = faas_worker_fd(w), .events = POLLIN}};

                (void)poll(p, 2, 100);
                if (p[0].revents)
                        cr_assert_eq(faas_dispatcher_step(d, 0), 0);
                if (p[1].revents)
                        cr_assert_eq(faas_worker_step(w, 0), 0);
        }
        cr_assert_eq(pthread_join(thread, NULL), 0);
        cr_assert_eq(o.r, 0);
        faas_worker_free(w);
        faas_dispatcher_free(d);
}

/* As faas/client.h says: nobody takes the dispatcher's turns while the client waits for it. */
Test(serve, a_client_in_the_thread_of_its_dispatcher_waits_in_vain, .timeout = 60) {
        struct faas_dispatcher *d = new_dispatcher("inproc://alone", -1);
        struct faas_client_cfg cfg = FAAS_CLIENT_CFG_INIT;
        struct faas_task t = {.function = "upper"};
        struct faas_client *c = NULL;
        struct faas_id id;

        cfg.submit_timeout_ms = 20;
        cr_assert_eq(faas_client_open(&c, "inproc://alone", NULL, &cfg), 0);
        cr_assert_eq(faas_submit(c, &t, &id), FAAS_E_UNAVAILABLE);
        faas_client_close(c);
        faas_dispatcher_free(d);
}
