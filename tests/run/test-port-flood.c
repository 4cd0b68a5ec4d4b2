/* test-port.c - a port in front of a transport that this test plays */
#undef NDEBUG
#include <criterion/criterion.h>

#include "base/clock.h"
#include "base/log.h"
#include "run/port.h"

enum { FLOOD = 10000 };

static unsigned n_lines, n_read;

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
