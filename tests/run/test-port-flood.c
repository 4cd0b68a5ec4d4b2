/* test-port.c - a port in front of a transport that this test plays */
#undef NDEBUG
#include <criterion/criterion.h>

#include "base/clock.h"
#include "base/log.h"
#include "run/port.h"

enum { FLOOD = 10000 };

static unsigned n_lines, n_read;
static unsigned n_sent[2], n_tried; /* to peers 0 and 1 */
static bool full;                   /* peer 1 does not read */
static uint64_t last_seq;

static void sink(void *userdata, enum faas_log_level level, const char *line) {
        (void)userdata, (void)level, (void)line;
        n_lines++;
}

static int open_end(struct faas_transport **ret, const struct faas_transport_cfg *cfg) {
        (void)cfg;
        *ret = (struct faas_transport *)&n_read;
        return 0;
}

static void close_end(struct faas_transport *t) {
        (void)t;
}

static int fd(const struct faas_transport *t) {
        (void)t;
        return -1;
}

/* A thousand peers who speak something else. */
static int garbage(struct faas_transport *t, struct faas_transport_event *ret) {
        static const struct faas_frame frame = {.p = "GET / HTTP/1.1", .len = 14};

        (void)t;
        if (n_read == FLOOD)
                return FAAS_E_AGAIN;
        *ret = (struct faas_transport_event){.kind = FAAS_TRANSPORT_MESSAGE,
                                             .peer = n_read++ % 1000,
                                             .frames = &frame,
                                             .n_frames = 1};
        return 0;
}

static int swallow(struct faas_transport *t, uint64_t peer, struct faas_message *m) {
        (void)t, (void)peer;
        faas_message_free(m);
        return 0;
}

static int nothing(struct faas_transport *t, struct faas_transport_event *ret) {
        (void)t, (void)ret;
        return FAAS_E_AGAIN;
}

static int to_busy(struct faas_transport *t, uint64_t peer, struct faas_message *message) {
        const struct fa_msg *m = fa_message_in(message);

        n_tried++;
        if (peer == 1 && full)
                return FAAS_E_AGAIN;
        if (peer == 1)
                cr_assert_eq(m->seq, ++last_seq, "out of order");
        n_sent[peer]++;
        return swallow(t, peer, message);
}

static void beat(struct fa_port *p, uint64_t peer, uint64_t seq, uint64_t now_ns) {
        struct fa_msg *m;

        cr_assert_eq(fa_msg_new(&m, FA_MSG_BEAT), 0);
        m->seq = seq;
        fa_port_send(p, (UINT64_C(1) << 56) + peer, m, now_ns);
}

Test(port, a_peer_that_does_not_read_costs_few_attempts_and_gets_all_in_order) {
        static const struct faas_transport_ops ops = {.struct_size = sizeof(ops),
                                                      .version = FAAS_TRANSPORT_VERSION,
                                                      .name = "busy",
                                                      .open = open_end,
                                                      .close = close_end,
                                                      .fd = fd,
                                                      .recv = nothing,
                                                      .send = to_busy};
        const struct fa_transport_row row = {.ops = &ops};
        const struct faas_transport_cfg cfg = {.end = FAAS_TRANSPORT_LISTEN};
        uint64_t now_ns = FA_NS_PER_S;
        struct fa_port *p = NULL;

        cr_assert_eq(fa_port_open(&p, &row, &cfg, 0), 0);
        full = true;
        for (uint64_t i = 1; i <= 100; i++)
                beat(p, 1, i, now_ns);
        n_tried = 0;
        while (now_ns < 11 * FA_NS_PER_S) {
                now_ns = fa_port_deadline(p);
                fa_port_flush(p, now_ns);
        }
        cr_assert_leq(n_tried, 200);
        beat(p, 0, 1, now_ns);
        cr_assert_eq(n_sent[0], 1, "others do not wait");
        full = false;
        beat(p, 1, 101, now_ns);
        cr_assert_eq(n_sent[1], 0, "it does not overtake");
        cr_assert_leq(fa_port_deadline(p), now_ns + 100 * FA_NS_PER_MS);
        fa_port_flush(p, fa_port_deadline(p));
        cr_assert_eq(n_sent[1], 101);
        beat(p, 1, 102, now_ns);
        cr_assert_eq(n_sent[1], 102);
        fa_port_close(p);
}

Test(port, a_flood_of_garbage_is_counted_and_does_not_flood_the_log) {
        static const struct faas_transport_ops ops = {.struct_size = sizeof(ops),
                                                      .version = FAAS_TRANSPORT_VERSION,
                                                      .name = "garbage",
                                                      .open = open_end,
                                                      .close = close_end,
                                                      .fd = fd,
                                                      .recv = garbage,
                                                      .send = swallow};
        const struct fa_transport_row row = {.ops = &ops};
        const struct faas_transport_cfg cfg = {.end = FAAS_TRANSPORT_LISTEN};
        struct fa_port_stats stats;
        struct fa_port *p = NULL;
        struct fa_event ev;

        faas_set_log(sink, NULL, FAAS_LOG_DEBUG);
        cr_assert_eq(fa_port_open(&p, &row, &cfg, 0), 0);
        for (unsigned i = 0; i < FLOOD; i++)
                cr_assert_eq(fa_port_recv(p, &ev, FA_NS_PER_S), FAAS_E_PROTO);
        cr_assert_eq(fa_port_recv(p, &ev, FA_NS_PER_S), FAAS_E_AGAIN);
        fa_port_stats(p, &stats);
        cr_assert_eq(stats.bad, FLOOD);
        cr_assert_leq(n_lines, FA_LOG_LINES_MAX);
        cr_assert_gt(n_lines, 0);
        fa_port_close(p);
}
