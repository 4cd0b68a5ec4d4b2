/* redis-run.h - what the writer and the reader of groups share */
#pragma once

#include "model/op.h"

/* Where the run that begins there ends: the number of the first operation behind it. */
size_t fa_rgroup_run_end(const struct fa_group *g, size_t first);
