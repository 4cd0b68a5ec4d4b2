/*
 * keep.h - a dispatcher's machine and its store: groups out, answers in
 *
 * If another dispatcher has taken over (the machine is fenced), everything that the machine knows
 * is void: it is thrown away with its connection to the store, and a new one begins under a new
 * epoch.
 */
#pragma once

#include "core/disp.h"
#include "store/store.h"

struct fa_keep {
        struct fa_disp *disp;
        struct fa_store *store;
        struct fa_disp_cfg disp_cfg;
        struct fa_store_cfg store_cfg;
        char *url;              /* of the store */
        uint64_t backlog_bytes; /* set by the owner: memory for the backlog; 0: 256 MiB */
        int trouble;            /* the store's state as last logged */
};

#define FA_KEEP_NULL                                                                               \
        { NULL, NULL, {{0}}, {0}, NULL, 0, 0 }

/*
 * Opens the store and makes the machine, which has its epoch when this returns.  A store that is
 * not there at once is waited for until then, unless stop_fd (-1: none) becomes readable. .disp_cfg
 * and .store_cfg are set; what follows from the store is filled in.
 *
 * 0; as fa_store_open(); FAAS_E_UNAVAILABLE, FAAS_E_VERSION, -EACCES and others: as
 * fa_store_state(), but -ENOTSUP for its -EINVAL; FAAS_E_CANCELLED: stop_fd; -ENOMEM.  fa_error()
 * has the text.
 */
int fa_keep_open(struct fa_keep *k, const char *store_url, uint64_t until_ns, int stop_fd);
void fa_keep_close(struct fa_keep *k); /* legal on FA_KEEP_NULL */

/*
 * Carries groups to the store and answers back.  0; FAAS_E_FENCED: fa_keep_again(); FAAS_E_EXISTS:
 * another process has this dispatcher's name; other errors are the machine's.
 */
int fa_keep_commit(struct fa_keep *k, uint64_t now_ns);

/* A new machine and a new connection.  The store's descriptor is another one then. 0; as open. */
int fa_keep_again(struct fa_keep *k);

/* When fa_keep_commit() should be called, or what ticks there. */
uint64_t fa_keep_deadline(const struct fa_keep *k);
void fa_keep_tick(struct fa_keep *k, uint64_t now_ns);
