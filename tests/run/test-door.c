/* test-door.c - strangers at a dispatcher's door */
#undef NDEBUG
#include <criterion/criterion.h>
#include <faas/faas.h>

#include "base/clock.h"
#include "run/port.h"

static struct faas_dispatcher *d;
static struct fa_port *peer;

static void start(const char *mode) {
        struct faas_dispatcher_cfg cfg = FAAS_DISPATCHER_CFG_INIT;
        struct faas_transport_cfg end = {.end = FAAS_TRANSPORT_CONNECT};
        struct fa_transport_row row;

        cfg.transport = mode;
        cfg.listen = "tcp://127.0.0.1:*";
        cfg.flags = FAAS_CLIENT_BUILTINS;
        cfg.n_slots = mode[0] == 'l';
        cr_assert_eq(faas_dispatcher_new(&d, &cfg), 0, "%s", faas_error_text());
        end.url = faas_dispatcher_url(d);
        cr_assert_eq(fa_transport_by_url(&row, end.url), 0);
        cr_assert_eq(fa_port_open(&peer, &row, &end, 0), 0);
}

/* What the peer hears next; the caller's. */
static struct fa_msg *hear(void) {
        const uint64_t until_ns = fa_now() + 20 * FA_NS_PER_S;

        for (;;) {
                struct fa_event ev;
                int r = fa_port_recv(peer, &ev, fa_now());

                if (r == 0 && ev.kind == FA_EV_MSG)
                        return ev.msg;
                if (r == 0 && ev.kind == FA_EV_PEER_UP)
                        return NULL;
                cr_assert(r == 0 || r == FAAS_E_AGAIN);
                cr_assert_lt(fa_now(), until_ns, "it hears nothing");
                cr_assert_eq(faas_dispatcher_step(d, 1), 0);
        }
}

static void say(struct fa_msg *m) {
        fa_port_send(peer, UINT64_C(1) << 56, m, fa_now());
        fa_port_flush(peer, fa_now());
}

static void say_register(void) {
        static const struct fa_slice echo = {(const uint8_t *)"echo", 4};
        struct fa_msg *m;

        cr_assert_eq(fa_msg_new(&m, FA_MSG_REGISTER), 0);
        m->from = 5;
        m->session = m->n_slots = m->grant = 1;
        m->names = &echo;
        m->n_names = 1;
        say(m);
}

static void end(void) {
        fa_port_close(peer);
        faas_dispatcher_free(d);
}

Test(door, a_worker_that_does_not_say_hello_is_sent_away_where_tasks_run_here) {
        struct faas_stats stats = {0};
        struct fa_msg *m;

        start("local");
        cr_assert_null(hear());
        say_register();
        m = hear();
        cr_assert_eq(m->type, FA_MSG_DISCONNECT);
        cr_assert_eq(m->reason, FAAS_E_UNAVAILABLE);
        fa_msg_free(m);
        /* Its own slots may still be on their way; nobody else comes. */
        while (stats.workers == 0) {
                cr_assert_eq(faas_dispatcher_step(d, 1), 0);
                cr_assert_eq(faas_dispatcher_stats(d, &stats), 0);
        }
        cr_assert_eq(stats.workers, 1, "only its own slots");
        cr_assert_eq(stats.slots, 1);
        end();
}
