/*
 * redis-group.h - a group as a call of scripts/group.lua, and the script's answer as the group's
 *
 * Operations of one kind, partition and hash of records travel together as a run, so that the
 * script asks and writes once for all of them.
 */
#pragma once

#include "model/op.h"
#include "store/redis-resp.h"
#include "store/store.h"

struct redisReply;

/* What every call says besides the group. */
struct fa_rcall {
        const char *sha;  /* of the script */
        const char *meta; /* the name of the key {prefix}:meta */
        const struct fa_store_cfg *cfg;
        uint64_t epoch;   /* the group's, which is the number of its own partition */
        uint64_t now_ns;  /* 0: the server's clock counts */
        bool refuse;      /* Redis has no memory: new tasks are refused, all else goes on */
        uint32_t part;    /* of the journal, where this group's tasks are written down */
        uint32_t results; /* of the log of results, where they probably go */
};

void fa_rgroup_write(struct fa_buf *out, const struct fa_group *g, const struct fa_rcall *call);

/* How many tasks it would add to the journal. */
size_t fa_rgroup_accepts(const struct fa_group *g);

typedef void fa_rgroup_bad_fn(void *arg, const struct faas_id *id, struct fa_slice record);

/*
 * Fills in the answers.  on_bad is called for each record that makes no sense; *results becomes the
 * part of the log of results that is written, if it says so.  0; FAAS_E_PROTO: this is no answer of
 * the script's, and the group is as it was.
 */
int fa_rgroup_read(struct fa_group *g,
                   const struct redisReply *reply,
                   uint32_t *results,
                   fa_rgroup_bad_fn *on_bad,
                   void *arg);
