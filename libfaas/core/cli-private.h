/* cli-private.h - the client machine's inside, shared by the files cli*.c */
#pragma once

#include "base/clock.h"
#include "base/list.h"
#include "base/map.h"
#include "base/rule.h"
#include "core/cli.h"

enum { CT_SENT, CT_OPEN, CT_DONE, CT_REFUSED };

struct ctask {
        struct fa_map_node node;
        struct fa_list link;  /* c->unsaid, ->sent, ->open, ->done, or ->refused */
        struct fa_spec *spec; /* until it is done */
        struct fa_outcome outcome;
        uint64_t done_ns;    /* DONE, REFUSED: since when */
        uint64_t missing_ns; /* OPEN: since when the dispatcher does not know it; 0: it does */
        uint32_t size;       /* counted against the window */
        uint32_t strikes;
        uint8_t state;
        uint8_t refused; /* FAAS_E_ */
        bool alone;      /* SENT, REFUSED: its submit did not wait for the answer */
        bool left;       /* SENT: it was said at least once */
        bool said;       /* SENT: since the last WELCOME; OPEN: always.  Counted in n_said */
};

/* A way to a dispatcher. */
struct clane {
        struct fa_lane lane;
        bool up;   /* its connection is known to be there */
        bool down; /* ... to be broken.  Neither: nothing was heard of it yet */
};

struct fa_cli {
        struct fa_cli_cfg cfg;
        struct fa_map tasks;
        struct fa_list unsaid; /* SENT: to be said when the dispatcher's window has room */
        struct fa_list sent, open, done, refused;
        size_t n_sent, n_open, n_refused;
        size_t n_said;       /* of SENT and OPEN: what the dispatcher is thought to know */
        uint64_t said_bytes; /* of their payloads */
        uint64_t bytes;
        uint32_t window_tasks; /* the dispatcher's */
        uint64_t window_bytes;
        struct clane lanes[FA_ENDPOINTS_MAX];
        unsigned n_lanes, at;
        bool leave;      /* the present one is of no use: go on with another, from hop_ns on */
        uint64_t hop_ns; /* not before */
        uint64_t at_ns;  /* since when the present one is tried */
        uint8_t refusal; /* FAAS_E_ of a DISCONNECT since the last WELCOME */
        char refusal_text[FA_TEXT_MAX + 1];
        bool welcome; /* the dispatcher knows me */
        uint64_t epoch, interval_ns, heard_ns, sent_ns;
        uint32_t liveness;
        uint64_t n_submits, submits_at_beat;
        uint64_t ask_missing_ns; /* when to ask again for tasks that are missing; FA_NEVER */
        struct fa_outbox outbox;
        struct {
                bool active, answered, with_result, cancel;
                uint8_t state;
                struct fa_cli_done done;
        } ask;
        struct {
                bool active, answered;
                uint8_t what;
                struct fa_report report;
        } query;
        uint64_t ask_ns; /* when ask or query was sent last */
};

/* NULL: not one of mine. */
struct ctask *fa_cli_find(const struct fa_cli *c, const struct faas_id *id);
/* Forgets it. */
void fa_cli_drop(struct fa_cli *c, struct ctask *t);
/* Sends a message of one id. */
void fa_cli_send_id(struct fa_cli *c,
                    enum fa_msg_type type,
                    const struct faas_id *id,
                    uint64_t now_ns);
/* Something is about to be expected of the dispatcher. */
void fa_cli_expect(struct fa_cli *c, uint64_t now_ns);

/* cli-lane.c */
static inline struct fa_lane *fa_cli_lane(struct fa_cli *c) {
        return &c->lanes[c->at].lane;
}
void fa_cli_hello(struct fa_cli *c, uint64_t now_ns);
void fa_cli_up(struct fa_cli *c, uint64_t key, uint64_t now_ns);
void fa_cli_down(struct fa_cli *c, uint64_t key, uint64_t now_ns);
void fa_cli_disconnected(struct fa_cli *c, const struct fa_msg *m, uint64_t now_ns);
void fa_cli_silent(struct fa_cli *c, uint64_t now_ns); /* for too long */
void fa_cli_lane_tick(struct fa_cli *c, uint64_t now_ns);
uint64_t fa_cli_lane_deadline(const struct fa_cli *c);

/* cli-ask.c */
bool fa_cli_asking(const struct fa_cli *c); /* a question is unanswered */
void fa_cli_ask_again(struct fa_cli *c, uint64_t now_ns);
uint64_t fa_cli_ask_deadline(const struct fa_cli *c);
void fa_cli_reported(struct fa_cli *c, const struct fa_msg *m);
void fa_cli_answered(struct fa_cli *c, const struct fa_item *it, const struct fa_outcome *o);
