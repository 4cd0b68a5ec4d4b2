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
                fa_report_stats(ret, report.values);
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
