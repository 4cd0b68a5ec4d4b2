/*
 * keep.c - see keep.h
 *
 * A store that answers at once has answered when fa_keep_commit() returns; another one is polled by
 * the loop, and its answers are read in a later turn.  The store never blocks a turn.
 */
#include "run/keep.h"

#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/log.h"
#include "base/macros.h"

/* A quarter of it is for what waits; the rest for what is on its way, who waits for what is only in
 * the store, and what may still be lost with the store's tail. */
#define BACKLOG_BYTES (UINT64_C(256) << 20)
#define HINT_NS (10 * FA_NS_PER_MS) /* a hand-out of microseconds is over before it is told */

/* What the machine has to do because others share the store, or because it may forget. */
static void fit(struct fa_keep *k) {
        struct fa_disp_cfg *c = &k->disp_cfg;

        c->tick_ns = k->store->ops->shared ? k->store_cfg.tick_ns : FA_NEVER;
        c->lease_ticks = k->store_cfg.lease_ticks;
        c->keeps = k->store->ops->shared;
        c->backlog_bytes = 0; /* memory holds it anyway */
        if (k->store->ops->shared)
                c->backlog_bytes = (k->backlog_bytes ? k->backlog_bytes : BACKLOG_BYTES) / 4;
        c->hint_after_ns = k->store->ops->shared ? HINT_NS : FA_NEVER;
        c->retain_ns = fa_store_unsafe_ns(k->store);
}

/* Sleeps until the store may have something, or somebody wants to stop. */
static int sleep_for_store(const struct fa_keep *k, uint64_t until_ns, int stop_fd) {
        uint64_t now_ns = fa_now();
        uint64_t at = FA_MIN(fa_store_deadline(k->store), FA_MAX(until_ns, now_ns + FA_NS_PER_MS));
        struct pollfd p[] = {{.fd = fa_store_fd(k->store), .events = POLLIN},
                             {.fd = stop_fd, .events = POLLIN}};

        (void)poll(p, FA_ARRAY_SIZE(p), fa_poll_ms(at, now_ns));
        if (stop_fd >= 0 && p[1].revents)
                return fa_error(FAAS_E_CANCELLED, "stopped before the store was there");
        return 0;
}

/* Groups to the store, and answers back. */
static int carry(struct fa_keep *k, uint64_t now_ns) {
        struct fa_event ev = {.kind = FA_EV_GROUP};
        bool moved = true;

        while (moved) {
                moved = false;
                if (fa_store_lost(k->store)) {
                        const struct fa_event lost = {.kind = FA_EV_STORE_LOST};
                        int r = fa_disp_input(k->disp, &lost, now_ns);
                        if (r)
                                return r;
                }
                for (struct fa_group *g; (g = fa_disp_group(k->disp));)
                        fa_store_apply(k->store, g, now_ns);
                while ((ev.group = fa_store_reap(k->store, now_ns))) {
                        int r = fa_disp_input(k->disp, &ev, now_ns);
                        fa_disp_group_done(k->disp, ev.group);
                        if (r)
                                return r;
                        moved = true;
                }
        }
        return 0;
}

static void log_state(struct fa_keep *k) {
        const char *why;
        int state = fa_store_state(k->store, &why);

        if (state == k->trouble || state == FAAS_E_AGAIN)
                return;
        k->trouble = state;
        if (state)
                fa_log(FAAS_LOG_WARNING, "store: %s; it is tried again, and all tasks wait", why);
        else
                fa_log(FAAS_LOG_INFO, "store: it is there again");
}

/* The store is not there: 0 if it may come, after saying once that it is waited for; else why not.
 */
static int absent(struct fa_keep *k, int state, const char *why, bool late) {
        if (state == FAAS_E_AGAIN)
                return 0;
        if (state != FAAS_E_UNAVAILABLE || late) /* -EINVAL would be what the caller gave us */
                return fa_error(state == -EINVAL ? -ENOTSUP : state, "store: %s", why);
        if (k->trouble != state)
                fa_log(FAAS_LOG_WARNING, "store: %s; waiting for it", why);
        k->trouble = state;
        return 0;
}

/* Until the store is there and, with a machine, until it has its epoch. */
static int await(struct fa_keep *k, uint64_t until_ns, int stop_fd) {
        int r = 0;

        while (r == 0) {
                uint64_t now_ns = fa_now();
                const char *why = "";
                int state;
                if (k->disp)
                        r = carry(k, now_ns);
                else
                        fa_store_tick(k->store, now_ns);
                if (r)
                        return r;
                state = fa_store_state(k->store, &why);
                if (state)
                        r = absent(k, state, why, now_ns >= until_ns);
                else
                        log_state(k);
                if (state == 0 && (!k->disp || fa_disp_epoch(k->disp)))
                        return 0;
                if (r == 0)
                        r = sleep_for_store(k, until_ns, stop_fd);
        }
        return r;
}

int fa_keep_open(struct fa_keep *k, const char *store_url, uint64_t until_ns, int stop_fd) {
        int r;

        k->url = strdup(store_url);
        if (!k->url)
                return -ENOMEM;
        r = fa_store_open(&k->store, k->url, &k->store_cfg);
        if (r == 0)
                r = await(k, until_ns, stop_fd);
        if (r)
                return r;
        fit(k);
        r = fa_disp_new(&k->disp, &k->disp_cfg);
        return r ? r : await(k, until_ns, stop_fd);
}

void fa_keep_close(struct fa_keep *k) {
        k->disp = fa_disp_free(k->disp);
        k->store = fa_store_close(k->store);
        free(k->url);
        k->url = NULL;
}

int fa_keep_commit(struct fa_keep *k, uint64_t now_ns) {
        int r = carry(k, now_ns);

        if (r == 0)
                log_state(k);
        return r;
}

int fa_keep_again(struct fa_keep *k) {
        uint64_t was = fa_disp_epoch(k->disp);
        int r;

        fa_log(FAAS_LOG_WARNING,
               "another dispatcher has taken over from this one (epoch %llu): it was silent for "
               "too long, or a second process was started under its name; it begins anew",
               (unsigned long long)was);
        k->disp = fa_disp_free(k->disp);
        k->store = fa_store_close(k->store);
        k->disp_cfg.was_epoch = was;
        r = fa_store_open(&k->store, k->url, &k->store_cfg);
        return r ? r : fa_disp_new(&k->disp, &k->disp_cfg);
}

uint64_t fa_keep_deadline(const struct fa_keep *k) {
        return FA_MIN(fa_store_deadline(k->store), fa_disp_deadline(k->disp));
}

void fa_keep_tick(struct fa_keep *k, uint64_t now_ns) {
        if (fa_store_deadline(k->store) <= now_ns)
                fa_store_tick(k->store, now_ns);
}
