/*
 * remote.h - a client whose dispatcher is elsewhere: the client machine over one port or several
 *
 * The same calls as run/local.h, so that api/ does not care.
 */
#pragma once

#include <stdint.h>

#include "core/cli.h"

struct fa_remote;

struct fa_remote_cfg {
        char *const *urls; /* n_urls dispatchers, the first is tried first */
        size_t n_urls;     /* 1 to FA_ENDPOINTS_MAX */
        uint32_t window_tasks;
        uint64_t window_bytes;
        uint64_t result_ttl_ns;
};

/* Does not wait for a dispatcher.  0; FAAS_E_NOENT unknown scheme; -EINVAL; -EMFILE; -ENOMEM. */
int fa_remote_open(struct fa_remote **ret, const struct fa_remote_cfg *cfg, uint64_t now_ns);

/* NULL is fine; returns NULL.  Says goodbye if the dispatcher is there; after a fork only frees. */
struct fa_remote *fa_remote_close(struct fa_remote *r);

/* One turn: 0; FAAS_E_AGAIN: there is more to read; < 0: broken. */
int fa_remote_turn(struct fa_remote *r, uint64_t now_ns);

struct fa_cli *fa_remote_cli(struct fa_remote *r);
int fa_remote_fd(const struct fa_remote *r);
uint64_t fa_remote_deadline(const struct fa_remote *r);
