/* cli-private.h - the client machine's inside, shared by cli.c and cli-done.c */
#pragma once

#include "base/clock.h"
#include "base/list.h"
#include "base/map.h"
#include "base/rule.h"
#include "core/cli.h"

enum { CT_SENT, CT_OPEN, CT_DONE, CT_REFUSED };

struct ctask {
        struct fa_map_node node;
        struct fa_list link;  /* c->sent, ->open, ->done, or ->refused */
        struct fa_spec *spec; /* until it is done */
        struct fa_outcome outcome;
        uint64_t done_ns;    /* DONE: since when */
        uint64_t missing_ns; /* OPEN: since when the dispatcher does not know it; 0: it does */
        uint32_t size;       /* counted against the window */
        uint32_t strikes;
        uint8_t state;
        uint8_t refused; /* FAAS_E_ */
};

struct fa_cli {
        struct fa_cli_cfg cfg;
        struct fa_map tasks;
        struct fa_list sent, open, done, refused;
        size_t n_sent, n_open, n_refused;
        uint64_t bytes;
        struct fa_lane lanes[FA_ENDPOINTS_MAX];
        unsigned n_lanes, at;
        bool welcome; /* the dispatcher knows me */
        uint64_t epoch, interval_ns, heard_ns, sent_ns;
        uint32_t liveness;
        uint64_t n_submits, submits_at_beat;
        uint64_t ask_missing_ns; /* when to ask again for tasks that are missing; FA_NEVER */
        struct fa_outbox outbox;
        struct {
                bool active, answered, with_result;
                uint8_t state;
                struct fa_cli_done done;
        } ask;
};

/* NULL: not one of mine. */
struct ctask *fa_cli_find(const struct fa_cli *c, const struct faas_id *id);
/* Forgets it. */
void fa_cli_drop(struct fa_cli *c, struct ctask *t);
