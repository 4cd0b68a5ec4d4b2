/*
 * dispatcher.c - faas_dispatcher_*: checks the options, guards against fork, and steps the shell
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <faas/dispatcher.h>

#include "api/cfg.h"
#include "api/mark.h"
#include "base/error.h"
#include "base/limits.h"
#include "base/macros.h"
#include "run/dispatcher.h"

#define DEFAULT_LISTEN "tcp://127.0.0.1:5555"
#define LEASE_MS_MIN 300u /* three ticks of 100 ms: a busy machine needs them */
#define LEASE_MS_MAX 3600000u
#define HEARTBEAT_MS_MIN 10u /* below it a busy machine buries the living */

struct faas_dispatcher {
        struct fa_dispatcher *shell;
        struct faas_function *table; /* a copy of the program's own */
        const uint64_t *mark;        /* of the process that made it */
};

static void defaults(struct faas_dispatcher_cfg *c) {
        if (!c->transport)
                c->transport = "push";
        if (!c->listen)
                c->listen = DEFAULT_LISTEN;
        if (!c->store)
                c->store = "memory:";
        if (!c->heartbeat_ms)
                c->heartbeat_ms = 1000;
        if (!c->liveness)
                c->liveness = 3;
        if (!c->n_slots)
                c->n_slots = fa_cfg_cpus();
        if (!c->result_ttl_ms)
                c->result_ttl_ms = 3600000;
        if (!c->lease_ms)
                c->lease_ms = 3000;
}

static int check(const struct faas_dispatcher_cfg *c) {
        bool has_slots = strcmp(c->transport, "push") != 0 && strcmp(c->transport, "pull") != 0;

        if (c->flags & ~(FAAS_CLIENT_BUILTINS | FAAS_DISPATCHER_EVICTION_OK))
                return fa_error(-EINVAL, "cfg.flags has unknown bits: 0x%x", c->flags);
        if (c->heartbeat_ms < HEARTBEAT_MS_MIN || c->heartbeat_ms > FA_TIMEOUT_MS_MAX)
                return fa_error(-EINVAL, "cfg.heartbeat_ms is %u; expected %u to %u",
                                c->heartbeat_ms, HEARTBEAT_MS_MIN, FA_TIMEOUT_MS_MAX);
        if (c->liveness > FA_LIVENESS_MAX)
                return fa_error(-EINVAL, "cfg.liveness is %u; expected 1 to %d", c->liveness,
                                FA_LIVENESS_MAX);
        if (c->n_slots > FA_SLOTS_MAX)
                return fa_error(FAAS_E_LIMIT, "cfg.n_slots is %u; expected 1 to %d", c->n_slots,
                                FA_SLOTS_MAX);
        if (c->lease_ms < LEASE_MS_MIN || c->lease_ms > LEASE_MS_MAX)
                return fa_error(-EINVAL, "cfg.lease_ms is %u; expected %u to %u", c->lease_ms,
                                LEASE_MS_MIN, LEASE_MS_MAX);
        if (c->name && (!*c->name || strlen(c->name) > FA_NAME_MAX))
                return fa_error(-EINVAL, "cfg.name has %zu bytes; expected 1 to %d",
                                strlen(c->name), FA_NAME_MAX);
        if (!has_slots && (c->functions || c->modules))
                return fa_error(-EINVAL,
                                "cfg.functions and cfg.modules are for slots of the "
                                "dispatcher's own; with \"%s\" the workers have them",
                                c->transport);
        return 0;
}

FA_PUBLIC int faas_dispatcher_new(struct faas_dispatcher **ret,
                                  const struct faas_dispatcher_cfg *cfg) {
        struct faas_dispatcher_cfg c = FAAS_DISPATCHER_CFG_INIT;
        struct faas_dispatcher *d;
        int r;

        if (!ret)
                return fa_error(-EINVAL, "faas_dispatcher_new: ret must not be NULL");
        r = fa_cfg_read(&c, sizeof(c), cfg, "FAAS_DISPATCHER_CFG_INIT");
        if (r)
                return r;
        defaults(&c);
        r = check(&c);
        if (r)
                return r;
        d = calloc(1, sizeof(*d));
        if (!d)
                return fa_error(-ENOMEM, "no memory for a dispatcher");
        r = fa_mark_new(&d->mark);
        if (r == 0)
                r = fa_cfg_functions(&d->table, c.functions);
        if (r == 0) {
                c.functions = d->table;
                r = fa_dispatcher_open(&d->shell, &c);
        }
        if (r) {
                fa_mark_free(d->mark);
                free(d->table);
                free(d);
                /* Where it was missing nobody knows, and an older text would mislead. */
                return r == -ENOMEM ? fa_error(r, "no memory for a dispatcher") : r;
        }
        *ret = d;
        return 0;
}

static int enter(const struct faas_dispatcher *d, const char *what) {
        if (!d)
                return fa_error(-EINVAL, "%s: no dispatcher", what);
        if (!fa_mark_here(d->mark))
                return fa_error(FAAS_E_FORKED,
                                "%s: the dispatcher belongs to the process that forked this one",
                                what);
        return 0;
}

FA_PUBLIC int faas_dispatcher_step(struct faas_dispatcher *d, int timeout_ms) {
        int r = enter(d, "faas_dispatcher_step");

        return r ? r : fa_dispatcher_step(d->shell, timeout_ms);
}

FA_PUBLIC void faas_dispatcher_stop(struct faas_dispatcher *d) {
        if (enter(d, "faas_dispatcher_stop") == 0)
                fa_dispatcher_stop(d->shell);
}

FA_PUBLIC struct faas_dispatcher *faas_dispatcher_free(struct faas_dispatcher *d) {
        if (!d)
                return NULL;
        fa_dispatcher_close(d->shell);
        fa_mark_free(d->mark);
        free(d->table);
        free(d);
        return NULL;
}

FA_PUBLIC int faas_dispatcher_run(const struct faas_dispatcher_cfg *cfg) {
        struct faas_dispatcher *d = NULL;
        int r = faas_dispatcher_new(&d, cfg);

        while (r == 0)
                r = faas_dispatcher_step(d, -1);
        faas_dispatcher_free(d);
        return r == FAAS_E_GONE ? 0 : r;
}

FA_PUBLIC int faas_dispatcher_fd(const struct faas_dispatcher *d) {
        /* A condition is positive, and would be taken for a descriptor. */
        return enter(d, "faas_dispatcher_fd") ? -EINVAL : fa_dispatcher_fd(d->shell);
}

FA_PUBLIC const char *faas_dispatcher_url(const struct faas_dispatcher *d) {
        return d ? fa_dispatcher_url(d->shell) : "";
}

FA_PUBLIC int faas_dispatcher_stats(const struct faas_dispatcher *d, struct faas_stats *ret) {
        int r = enter(d, "faas_dispatcher_stats");

        if (r)
                return r;
        if (!ret)
                return fa_error(-EINVAL, "faas_dispatcher_stats: ret must not be NULL");
        fa_dispatcher_stats(d->shell, ret);
        return 0;
}
