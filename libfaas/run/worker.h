/*
 * worker.h - the shell of a worker: its crew and a port for each dispatcher, stepped by its owner
 */
#pragma once

#include <stddef.h>

#include <faas/worker.h>

#include "exec/slots.h"

struct fa_worker;

struct fa_worker_cfg {
        char *const *urls; /* n_urls dispatchers, 1 to FA_ENDPOINTS_MAX */
        size_t n_urls;
        struct fa_slots_cfg slots;
        const char *name;
        int stop_fd; /* or -1 */
};

/* As faas_worker_new(). */
int fa_worker_open(struct fa_worker **ret, const struct fa_worker_cfg *cfg);
struct fa_worker *fa_worker_close(struct fa_worker *w); /* NULL is fine; returns NULL */

/* As faas_worker_step() but for the fork. */
int fa_worker_step(struct fa_worker *w, int timeout_ms);
void fa_worker_stop(struct fa_worker *w);

int fa_worker_fd(struct fa_worker *w); /* from now on also readable when a turn is due */
void fa_worker_stats(struct fa_worker *w, struct faas_worker_stats *ret);
