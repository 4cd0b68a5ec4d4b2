/*
 * dispatcher.h - the shell of a dispatcher: door, transport, store and machine, stepped by its
 * owner
 */
#pragma once

#include <stdint.h>

#include <faas/dispatcher.h>

#include "core/disp.h"

struct fa_dispatcher;

/* cfg: with the defaults of api/dispatcher.c; a limit that is 0 has the store's or the machine's.
 * As faas_dispatcher_new(). */
int fa_dispatcher_open(struct fa_dispatcher **ret, const struct faas_dispatcher_cfg *cfg);
struct fa_dispatcher *fa_dispatcher_close(struct fa_dispatcher *d); /* NULL is fine; returns NULL */

/* As faas_dispatcher_step() but for the fork. */
int fa_dispatcher_step(struct fa_dispatcher *d, int timeout_ms);
void fa_dispatcher_stop(struct fa_dispatcher *d);

int fa_dispatcher_fd(struct fa_dispatcher *d); /* from now on also readable when a turn is due */
const char *fa_dispatcher_url(const struct fa_dispatcher *d);
void fa_dispatcher_stats(const struct fa_dispatcher *d, struct faas_stats *ret);
