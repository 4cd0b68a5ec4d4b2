/*
 * random-ops.h - random groups from several epochs, run by two stores whose answers must agree
 *
 * A store and the naive model, or two stores.  Everything follows from the seed: a failure prints
 * it with the number of the step.
 */
#pragma once

#include "store/store.h"

struct random_target {
        const char *name;
        void *store;
        void (*run)(void *store, struct fa_group *g, uint64_t now_ns); /* answers in g */
        void (*advance)(void *store, uint64_t now_ns);                 /* it is so late now */
        void (*restart)(void *store);
};

/* What both must be opened with; .seed is free. */
extern const struct fa_store_cfg random_cfg;

/* How often an op was answered so; [_FA_OP_N] counts groups by their .r. */
struct random_seen {
        uint64_t n[_FA_OP_N + 1][_FAAS_E_N];
};

/* now_ns is the time of both at the start. */
void random_ops(uint64_t seed,
                unsigned n_ops,
                uint64_t now_ns,
                const struct random_target target[2],
                struct random_seen *seen);
