/*
 * stats.c - faas_client_stats(), faas_client_workers(): what the dispatcher tells of itself
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "api/client-private.h"
#include "base/error.h"
#include "model/report.h"

static int query(struct faas_client *c, const char *what, uint8_t kind, struct fa_report *ret) {
        const struct fa_patience p = fa_client_patience(c);
        int r = fa_cli_query(c->cli, kind, c->now_ns);

        if (r)
                return fa_error(r, "%s: the question cannot be asked", what);
        while (r == 0) {
                r = fa_client_turn(c);
                if (r == 0 && fa_cli_report(c->cli, ret) == 0)
                        return 0;
                if (r == 0)
                        r = fa_client_await(c, what, &p);
        }
        return r;
}

static void fill(struct faas_stats *ret, const uint64_t *v) {
        *ret = (struct faas_stats){
                .epoch = v[FA_STAT_EPOCH],
                .uptime_ms = v[FA_STAT_UPTIME_MS],
                .accepted = v[FA_STAT_ACCEPTED],
                .completed = v[FA_STAT_COMPLETED],
                .failed = v[FA_STAT_FAILED],
                .cancelled = v[FA_STAT_CANCELLED],
                .refused = v[FA_STAT_REFUSED],
                .handed_out = v[FA_STAT_HANDED_OUT],
                .requeued = v[FA_STAT_REQUEUED],
                .strikes = v[FA_STAT_STRIKES],
                .stale_results = v[FA_STAT_STALE_RESULTS],
                .lost_workers = v[FA_STAT_LOST_WORKERS],
                .bad_messages = v[FA_STAT_BAD_MESSAGES],
                .dropped = v[FA_STAT_DROPPED],
                .tasks = v[FA_STAT_TASKS],
                .queued = v[FA_STAT_QUEUED],
                .running = v[FA_STAT_RUNNING],
                .workers = v[FA_STAT_WORKERS],
                .slots = v[FA_STAT_SLOTS],
                .clients = v[FA_STAT_CLIENTS],
        };
}

FA_PUBLIC int faas_client_stats(struct faas_client *c, struct faas_stats *ret) {
        static const char what[] = "faas_client_stats";
        FA_CLEANUP(fa_report_deinit) struct fa_report report = FA_REPORT_NULL;
        int r = fa_client_enter(c, what);

        if (r)
                return r;
        if (!ret)
                return fa_error(-EINVAL, "%s: ret must not be NULL", what);
        r = query(c, what, FA_QUERY_STATS, &report);
        if (r == 0)
                fill(ret, report.values);
        fa_client_leave(c);
        return r;
}

/* 0; -ENOMEM. */
static int copy_workers(struct faas_worker_info **ret, const struct fa_report *report) {
        struct faas_worker_info *v = NULL;

        static_assert(sizeof(v->name) == sizeof(report->workers->name), "names fit");
        if (report->n_workers) {
                v = calloc(report->n_workers, sizeof(*v));
                if (!v)
                        return fa_error(-ENOMEM, "no memory for %zu workers", report->n_workers);
        }
        for (size_t i = 0; i < report->n_workers; i++) {
                const struct fa_report_worker *w = &report->workers[i];
                v[i].incarnation = w->incarnation;
                v[i].n_slots = w->n_slots;
                v[i].held = w->held;
                v[i].grant = w->grant;
                v[i].silent_ms = w->silent_ms;
                v[i].done = w->done;
                memcpy(v[i].name, w->name, sizeof(w->name));
        }
        *ret = v;
        return 0;
}

FA_PUBLIC int
faas_client_workers(struct faas_client *c, struct faas_worker_info **ret, size_t *ret_n) {
        static const char what[] = "faas_client_workers";
        FA_CLEANUP(fa_report_deinit) struct fa_report report = FA_REPORT_NULL;
        int r = fa_client_enter(c, what);

        if (r)
                return r;
        if (!ret || !ret_n)
                return fa_error(-EINVAL, "%s: ret and ret_n must not be NULL", what);
        r = query(c, what, FA_QUERY_WORKERS, &report);
        if (r == 0)
                r = copy_workers(ret, &report);
        if (r == 0)
                *ret_n = report.n_workers;
        fa_client_leave(c);
        return r;
}
