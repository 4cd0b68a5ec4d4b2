/*
 * test-refused.c - a dispatcher that does not do what is wanted: what the client's callers hear
 *
 * The dispatcher is a thread with a port that answers as the test says.
 */
#undef NDEBUG
#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include <criterion/criterion.h>

#include <faas/faas.h>

#include "base/clock.h"
#include "run/port.h"

/* What it does. */
struct fake {
        char url[64];
        struct fa_port *port;
        pthread_t thread;
        atomic_bool end;
        atomic_int reason;  /* not 0: HELLO is answered with DISCONNECT */
        atomic_uint refuse; /* each so manieth task is refused */
        atomic_int state;   /* ... with this */
        atomic_bool hold;   /* SUBMITs are kept, and answered when it is false */
        atomic_bool forget; /* answers a BEAT as one that never heard of the client */
        unsigned n;
        struct fa_msg *held[64];
        size_t n_held;
};

static struct fa_msg *message(enum fa_msg_type type) {
        struct fa_msg *m;

        cr_assert_eq(fa_msg_new(&m, type), 0);
        m->epoch = 1;
        return m;
}

static void answer_hello(struct fake *f, uint64_t peer, uint64_t now_ns) {
        static const char text[] = "go away";
        struct fa_msg *m;

        if (f->reason) {
                m = message(FA_MSG_DISCONNECT);
                m->reason = (uint8_t)f->reason;
                m->text = (struct fa_slice){(const uint8_t *)text, sizeof(text) - 1};
        } else {
                m = message(FA_MSG_WELCOME);
                m->from = 77;
                m->interval_ms = 50;
                m->liveness = 1000;
        }
        fa_port_send(f->port, peer, m, now_ns);
}

static void answer_submit(struct fake *f, uint64_t peer, const struct fa_msg *in, uint64_t now_ns) {
        struct fa_msg *m = message(FA_MSG_ACCEPTED);

        for (uint32_t i = 0; i < in->n_items; i++) {
                struct fa_item *it = fa_msg_add(m);
                cr_assert(it);
                it->id = in->items[i].id;
                it->state = f->refuse && ++f->n % f->refuse == 0 ? (uint8_t)f->state : 0;
        }
        fa_port_send(f->port, peer, m, now_ns);
}

static void hear(struct fake *f, struct fa_event *ev, uint64_t now_ns) {
        if (ev->kind != FA_EV_MSG)
                return;
        if (ev->msg->type == FA_MSG_HELLO)
                answer_hello(f, ev->peer, now_ns);
        if (ev->msg->type == FA_MSG_BEAT && f->forget) {
                struct fa_msg *m = message(FA_MSG_WELCOME);
                m->epoch = 0;
                m->from = 78;
                m->interval_ms = 50;
                m->liveness = 1000;
                fa_port_send(f->port, ev->peer, m, now_ns);
        }
        if (ev->msg->type == FA_MSG_SUBMIT && f->hold) {
                cr_assert_lt(f->n_held, 64);
                f->held[f->n_held++] = ev->msg;
                return;
        }
        if (ev->msg->type == FA_MSG_SUBMIT)
                answer_submit(f, ev->peer, ev->msg, now_ns);
        fa_msg_free(ev->msg);
}

static void *thread(void *arg) {
        struct fake *f = arg;
        uint64_t last = 0;

        while (!f->end) {
                struct pollfd p = {.fd = fa_port_fd(f->port), .events = POLLIN};
                uint64_t now_ns = fa_now();
                struct fa_event ev;

                while (fa_port_recv(f->port, &ev, now_ns) == 0) {
                        last = ev.peer;
                        hear(f, &ev, now_ns);
                }
                while (!f->hold && f->n_held) {
                        answer_submit(f, last, f->held[--f->n_held], now_ns);
                        fa_msg_free(f->held[f->n_held]);
                }
                fa_port_flush(f->port, now_ns);
                if (fa_port_deadline(f->port) > now_ns)
                        (void)poll(&p, 1, 5);
        }
        return NULL;
}

static void start(struct fake *f) {
        struct faas_transport_cfg cfg = {.end = FAAS_TRANSPORT_LISTEN, .url = f->url};
        struct fa_transport_row row;

        (void)snprintf(f->url, sizeof(f->url), "inproc://fake");
        cr_assert_eq(fa_transport_by_url(&row, f->url), 0);
        cr_assert_eq(fa_port_open(&f->port, &row, &cfg, 0), 0, "%s", faas_error_text());
        cr_assert_eq(pthread_create(&f->thread, NULL, thread, f), 0);
}

static void end(struct fake *f) {
        f->end = true;
        cr_assert_eq(pthread_join(f->thread, NULL), 0);
        while (f->n_held)
                fa_msg_free(f->held[--f->n_held]);
        fa_port_close(f->port);
}

static struct faas_client *client(const struct fake *f, uint32_t timeout_ms) {
        struct faas_client_cfg cfg = FAAS_CLIENT_CFG_INIT;
        struct faas_client *c = NULL;

        cfg.submit_timeout_ms = timeout_ms;
        cr_assert_eq(faas_client_open(&c, f->url, NULL, &cfg), 0, "%s", faas_error_text());
        return c;
}

static const struct faas_task task = {.function = "upper"};

/* Each call ends long before the time that it may wait, which is longer than this test may run. */
static void ends_with(int reason, int r) {
        struct fake f = {.reason = reason};
        struct faas_client *c;
        struct faas_worker_info *workers;
        struct faas_stats stats;
        struct faas_id id = {{1}};
        enum faas_status status;
        size_t n;

        start(&f);
        c = client(&f, 3600000);
        cr_assert_eq(faas_submit(c, &task, NULL), r, "%s", faas_error_text());
        cr_assert(strstr(faas_error_text(), f.url) && strstr(faas_error_text(), "go away"), "%s",
                  faas_error_text());
        cr_assert_eq(faas_status(c, &id, &status), r);
        cr_assert_eq(faas_cancel(c, &id), r);
        cr_assert_eq(faas_client_stats(c, &stats), r);
        cr_assert_eq(faas_client_workers(c, &workers, &n), r);
        f.reason = 0;
        while (faas_submit(c, &task, NULL))
                ; /* it is asked anew, and has changed its mind */
        faas_client_close(c);
        end(&f);
}

Test(refused, another_version_ends_calls_early_until_it_is_gone) {
        ends_with(FAAS_E_VERSION, FAAS_E_VERSION);
}

Test(refused, any_other_reason_is_told_as_unavailable) {
        ends_with(FAAS_E_LIMIT, FAAS_E_UNAVAILABLE);
}

Test(refused, a_wait_ends_when_the_dispatcher_turns_out_to_be_of_another_version) {
        struct fake f = {.reason = 0};
        struct faas_result r = FAAS_RESULT_INIT;
        struct faas_client *c;
        struct faas_id id;

        start(&f);
        c = client(&f, 3600000);
        cr_assert_eq(faas_submit(c, &task, &id), 0);
        cr_assert_eq(faas_wait(c, &id, 0, &r), FAAS_E_AGAIN);
        f.reason = FAAS_E_VERSION;
        f.forget = true; /* as if it had been started anew */
        cr_assert_eq(faas_wait(c, &id, -1, &r), FAAS_E_VERSION);
        cr_assert(strstr(faas_error_text(), "go away"), "%s", faas_error_text());
        cr_assert_eq(faas_wait_any(c, -1, &r), FAAS_E_VERSION);
        faas_client_close(c);
        end(&f);
}

Test(refused, of_those_on_their_way_the_ids_tell_which_are_accepted) {
        static struct faas_task tasks[20000];
        static struct faas_id ids[20000];
        struct fake f = {.refuse = 700, .state = FAAS_E_LIMIT};
        struct faas_id none = {{0}};
        struct faas_client *c;
        size_t n, m = 0;

        start(&f);
        c = client(&f, 3600000);
        for (size_t i = 0; i < 20000; i++)
                tasks[i] = task;
        cr_assert_eq(faas_submit_many(c, tasks, 20000, ids, &n), FAAS_E_LIMIT);
        cr_assert_geq(n, 699);
        cr_assert_lt(n, 20000, "it stops");
        for (size_t i = 0; i < 20000; i++)
                m += memcmp(&ids[i], &none, sizeof(none)) != 0;
        cr_assert_eq(m, n);
        cr_assert_eq(memcmp(&ids[699], &none, sizeof(none)), 0);
        for (size_t i = 0; i < 699; i++)
                cr_assert_neq(memcmp(&ids[i], &none, sizeof(none)), 0);
        faas_client_close(c);
        end(&f);
}

Test(refused, a_dispatcher_that_takes_no_tasks_is_unavailable_and_nothing_is_left_open) {
        struct fake f = {.refuse = 1, .state = FAAS_E_UNAVAILABLE};
        struct faas_result r = FAAS_RESULT_INIT;
        struct faas_client *c;

        start(&f);
        c = client(&f, 3600000);
        cr_assert_eq(faas_submit(c, &task, NULL), FAAS_E_UNAVAILABLE);
        cr_assert(strstr(faas_error_text(), f.url), "%s", faas_error_text());
        cr_assert_eq(faas_wait_any(c, -1, &r), FAAS_E_NOENT);
        faas_client_close(c);
        end(&f);
}

Test(refused, one_that_is_refused_after_its_submit_gave_up_is_not_waited_for) {
        struct fake f = {.hold = true, .refuse = 1, .state = FAAS_E_LIMIT};
        struct faas_result r = FAAS_RESULT_INIT;
        struct faas_client *c;
        struct faas_id id;
        int got;

        start(&f);
        c = client(&f, 300);
        /* On a machine that stands still the dispatcher may not even have been heard in time. */
        while ((got = faas_submit(c, &task, &id)) == FAAS_E_UNAVAILABLE)
                ;
        cr_assert_eq(got, FAAS_E_UNKNOWN);
        cr_assert_eq(faas_wait(c, &id, 0, &r), FAAS_E_AGAIN);
        f.hold = false;
        cr_assert_eq(faas_wait(c, &id, -1, &r), FAAS_E_NOENT, "%s", faas_error_text());
        cr_assert_eq(faas_wait_any(c, -1, &r), FAAS_E_NOENT);
        faas_client_close(c);
        end(&f);
}
