/* faas/stats.h - what a dispatcher counts */
#ifndef FAAS_STATS_H
#define FAAS_STATS_H

#include <stdint.h>

/* Numbers of one dispatcher.  Those without "now" count since it started. */
struct faas_stats {
        uint64_t epoch; /* its number: a later start has a larger one */
        uint64_t uptime_ms;
        uint64_t accepted;  /* tasks taken in */
        uint64_t completed; /* ... and ended */
        uint64_t failed;
        uint64_t cancelled;
        uint64_t refused;    /* submits that were refused */
        uint64_t handed_out; /* hand-outs to workers: more than tasks if some ran again */
        uint64_t requeued;   /* hand-outs that came back without a result */
        uint64_t strikes;    /* hand-outs that ended with a dead slot or worker after their start */
        uint64_t stale_results; /* results of hand-outs that do not count any more: dropped */
        uint64_t lost_workers;  /* workers found dead: connection broken, or silent */
        uint64_t bad_messages;  /* messages that break the protocol: refused */
        uint64_t dropped;       /* messages that could not be sent; the protocol recovers */
        uint64_t tasks;         /* now: in memory */
        uint64_t queued;        /* now: waiting for a worker */
        uint64_t running;       /* now: handed out */
        uint64_t workers;       /* now: registered */
        uint64_t slots;         /* now: of these workers */
        uint64_t clients;       /* now */
        uint64_t reserved[12];
};

#endif
