/* report.h - what a dispatcher tells of itself and of its workers */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include <faas/stats.h>

#include "base/limits.h"

/* Places in the array of numbers (REPORT.values): never re-used, new ones at the end. */
enum fa_stat {
        FA_STAT_EPOCH,
        FA_STAT_UPTIME_MS,
        FA_STAT_ACCEPTED,
        FA_STAT_COMPLETED,
        FA_STAT_FAILED,
        FA_STAT_CANCELLED,
        FA_STAT_REFUSED,
        FA_STAT_HANDED_OUT,
        FA_STAT_REQUEUED,
        FA_STAT_STRIKES,
        FA_STAT_STALE_RESULTS,
        FA_STAT_LOST_WORKERS,
        FA_STAT_BAD_MESSAGES, /* the shell's: fa_disp_note() */
        FA_STAT_DROPPED,      /* the shell's */
        FA_STAT_TASKS,
        FA_STAT_QUEUED,
        FA_STAT_RUNNING,
        FA_STAT_WORKERS,
        FA_STAT_SLOTS,
        FA_STAT_CLIENTS,
        _FA_STAT_N
};

/* One worker. */
struct fa_report_worker {
        uint64_t incarnation;
        uint32_t n_slots;
        uint32_t held;                   /* hand-outs that it has */
        uint32_t grant;                  /* hand-outs that it wants to have in all */
        uint32_t silent_ms;              /* since it was last heard */
        uint64_t done;                   /* results of it that counted */
        char name[FA_PEER_NAME_MAX + 1]; /* as it calls itself */
};

struct fa_report {
        uint64_t values[FA_VALUES_MAX]; /* by enum fa_stat; 0 where the dispatcher is older */
        struct fa_report_worker *workers;
        size_t n_workers;
};

#define FA_REPORT_NULL                                                                             \
        { {0}, NULL, 0 }
void fa_report_deinit(struct fa_report *r);

/* The numbers by their public names. */
void fa_report_stats(struct faas_stats *ret, const uint64_t v[_FA_STAT_N]);
