/* report.c - what a dispatcher tells of itself: its end, and its numbers by name */
#include "model/report.h"

#include <stdlib.h>

void fa_report_deinit(struct fa_report *r) {
        free(r->workers);
        *r = (struct fa_report)FA_REPORT_NULL;
}

void fa_report_stats(struct faas_stats *ret, const uint64_t v[_FA_STAT_N]) {
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
