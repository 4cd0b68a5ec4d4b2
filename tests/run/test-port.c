/*
 * test-port.c - a port over a transport that brings what no peer should send
 */
#undef NDEBUG
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <criterion/criterion.h>

#include <faas/error.h>

#include "run/port.h"
#include "th-alloc.h"

enum { FRAMES = 3 };

static const char garbage[] = "no message of ours";
static unsigned n_released[FRAMES];
static struct faas_frame frames[FRAMES];

static void release(void *owner) {
        ++*(unsigned *)owner;
}

static int fake_open(struct faas_transport **ret, const struct faas_transport_cfg *cfg) {
        (void)cfg;
        *ret = (struct faas_transport *)frames; /* any pointer */
        return 0;
}

static void fake_close(struct faas_transport *t) {
        (void)t;
}

static int fake_fd(const struct faas_transport *t) {
        (void)t;
        return -1;
}

/* There is always one more. */
static int fake_recv(struct faas_transport *t, struct faas_transport_event *ret) {
        (void)t;
        for (unsigned i = 0; i < FRAMES; i++)
                frames[i] = (struct faas_frame){garbage, sizeof(garbage), release, &n_released[i]};
        *ret = (struct faas_transport_event){
                .kind = FAAS_TRANSPORT_MESSAGE, .peer = 7, .frames = frames, .n_frames = FRAMES};
        return 0;
}

static int fake_send(struct faas_transport *t, uint64_t peer, struct faas_message *m) {
        (void)t;
        (void)peer;
        faas_message_free(m);
        return 0;
}

static const struct faas_transport_ops fake = {
        .struct_size = sizeof(fake),
        .version = FAAS_TRANSPORT_VERSION,
        .name = "fake",
        .open = fake_open,
        .close = fake_close,
        .fd = fake_fd,
        .recv = fake_recv,
        .send = fake_send,
};

static struct fa_port *open_port(void) {
        const struct fa_transport_row row = {.ops = &fake};
        const struct faas_transport_cfg cfg = {.end = FAAS_TRANSPORT_LISTEN};
        struct fa_port *p = NULL;

        cr_assert_eq(fa_port_open(&p, &row, &cfg, 0), 0);
        memset(n_released, 0, sizeof(n_released));
        return p;
}

/* Else a turn that reads a bounded number of messages would have no bound. */
Test(port, who_sends_nothing_but_garbage_does_not_keep_the_reader, .timeout = 20) {
        struct fa_port *p = open_port();
        struct fa_port_stats stats;
        struct fa_event ev;

        for (unsigned i = 1; i <= 10; i++) {
                cr_assert_eq(fa_port_recv(p, &ev, 1), FAAS_E_PROTO);
                fa_port_stats(p, &stats);
                cr_assert_eq(stats.bad, i);
        }
        fa_port_close(p);
}

Test(port, each_frame_is_given_back_once_whatever_allocation_fails) {
        bool failed = true;

        for (uint64_t k = 1; failed; k++) {
                struct fa_port *p = open_port();
                struct fa_event ev;

                th_alloc_fail_at(k);
                cr_assert_eq(fa_port_recv(p, &ev, 1), FAAS_E_PROTO);
                failed = th_alloc_failed();
                th_alloc_fail_at(0);
                for (unsigned i = 0; i < FRAMES; i++)
                        cr_assert_eq(n_released[i], 1, "allocation %d: frame %u: %u times", (int)k,
                                     i, n_released[i]);
                fa_port_close(p);
        }
}
