/* pool.c - a pool under test */
#undef NDEBUG
#include "pool.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "th.h"

static const struct faas_id id = {{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16}};

void pool_wait_up(struct pool *p, unsigned n) {
        for (unsigned up = 0; up < n; up++)
                pool_expect(p, FA_SLOT_UP);
}

void pool_open_cfg(struct pool *p, const struct fa_slots_cfg *cfg) {
        *p = (struct pool){.n = cfg->n_slots};
        int r = fa_slots_open(&p->s, cfg);
        cr_assert_eq(r, 0, "open: %s (%s)", faas_strerror(r), faas_error_text());
        pool_wait_up(p, p->n);
}

void pool_open(struct pool *p, unsigned n_slots) {
        pool_open_cfg(p, &(struct fa_slots_cfg){.n_slots = n_slots, .functions = bad_functions});
}

static uint32_t
queue(struct pool *p, unsigned slot, const char *function, const char *text, uint32_t ms) {
        struct fa_blob *payload = NULL;
        uint32_t seq = 0;

        cr_assert_eq(fa_blob_new(&payload, text, strlen(text)), 0);
        struct fa_slot_task t = {
                .id = &id, .function = function, .payload = payload, .timeout_ms = ms};
        cr_assert_eq(fa_slots_run(p->s, slot, &t, &seq), 0);
        fa_blob_unref(payload);
        return seq;
}

uint32_t pool_queue(struct pool *p, unsigned slot, const char *function, const char *text) {
        return queue(p, slot, function, text, 0);
}

uint32_t
pool_queue_timed(struct pool *p, unsigned slot, const char *function, uint32_t timeout_ms) {
        return queue(p, slot, function, "", timeout_ms);
}

uint32_t pool_give(struct pool *p, unsigned slot, const char *function, const char *text) {
        uint32_t seq = pool_queue(p, slot, function, text);

        fa_slots_flush(p->s);
        return seq;
}

struct fa_slot_event pool_next(struct pool *p) {
        uint64_t until_ns = fa_now() + WAIT_MS * FA_NS_PER_MS;
        struct fa_slot_event ev;
        int r;

        while ((r = fa_slots_next(p->s, &ev)) == FAAS_E_AGAIN) {
                struct pollfd fd = {fa_slots_fd(p->s), POLLIN, 0};
                uint64_t now_ns = fa_now();

                cr_assert(now_ns < until_ns, "no event came");
                poll(&fd, 1, fa_poll_ms(FA_MIN(until_ns, fa_slots_deadline(p->s)), now_ns));
        }
        cr_assert_eq(r, 0, "next: %s (%s)", faas_strerror(r), faas_error_text());
        return ev;
}

struct fa_slot_event pool_expect(struct pool *p, enum fa_slot_event_kind kind) {
        struct fa_slot_event ev = pool_next(p);

        cr_assert_eq(ev.kind, kind, "event %d came, not %d; seq %u: %s", ev.kind, kind, ev.seq,
                     (const char *)fa_blob_ptr(ev.outcome.text));
        return ev;
}

struct fa_slot_event pool_expect_down(struct pool *p, uint32_t seq, enum faas_failure failure) {
        struct fa_slot_event ev = pool_expect(p, FA_SLOT_DOWN);

        cr_assert(ev.started);
        cr_assert_eq(ev.seq, seq);
        cr_assert_eq(ev.outcome.status, FAAS_FAILED);
        cr_assert_eq(ev.outcome.failure, failure, "failure %d, not %d: %s", ev.outcome.failure,
                     failure, (const char *)fa_blob_ptr(ev.outcome.text));
        return ev;
}

void pool_expect_alive(struct pool *p) {
        pool_expect(p, FA_SLOT_UP);
        uint32_t seq = pool_give(p, 0, "echo", "again");
        struct fa_slot_event ev = pool_expect(p, FA_SLOT_RESULT);
        cr_assert_eq(ev.seq, seq);
        cr_assert_eq(ev.outcome.status, FAAS_COMPLETED);
        cr_assert_str_eq((const char *)fa_blob_ptr(ev.outcome.payload), "again");
        fa_outcome_deinit(&ev.outcome);
}

const char *outcome_text(const struct fa_slot_event *ev) {
        return (const char *)fa_blob_ptr(ev->outcome.text);
}

bool file_exists(const char *path) {
        return access(path, F_OK) == 0;
}

static bool has_line(void *arg) {
        char line[64] = "";
        FILE *f = fopen(arg, "r");

        if (!f)
                return false;
        char *got = fgets(line, sizeof(line), f);
        fclose(f);
        return got && strchr(line, '\n');
}

long read_number(const char *path) {
        char line[64] = "";

        cr_assert(th_until(has_line, (void *)(uintptr_t)path, WAIT_MS), "no line in %s", path);
        FILE *f = fopen(path, "r");
        cr_assert_not_null(f);
        cr_assert_not_null(fgets(line, sizeof(line), f));
        fclose(f);
        return strtol(line, NULL, 10);
}
