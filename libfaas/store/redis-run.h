/* redis-run.h - what the writer and the reader of groups share */
#pragma once

#include "model/op.h"

/* Where the run that begins there ends: the number of the first operation behind it. */
size_t fa_rgroup_run_end(const struct fa_group *g, size_t first);

/* Of .mark: the part of the journal where the group's tasks are written down, and what the store
 * has to remember of it. */
#define FA_RGROUP_SENT (UINT64_C(1) << 32) /* once at least */
#define FA_RGROUP_AGAIN                                                                            \
        (UINT64_C(1) << 33) /* some of it may have run: each record is looked at                   \
                             */

/*
 * A FINISH or FORGET whose record need not be looked at?  .place: the part of the journal while the
 * task is open, then 1 more than the part of the log of results.
 */
static inline bool fa_rgroup_known(const struct fa_group *g, const struct fa_op *op) {
        return (op->kind == FA_OP_FINISH || op->kind == FA_OP_FORGET) && op->spec &&
               op->spec->place && !(g->mark & FA_RGROUP_AGAIN);
}
