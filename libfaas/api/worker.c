/*
 * worker.c - faas_worker_*: checks the options, guards against fork, and steps the shell
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <faas/worker.h>

#include "api/cfg.h"
#include "api/mark.h"
#include "api/url.h"
#include "base/error.h"
#include "base/limits.h"
#include "base/macros.h"
#include "run/worker.h"

#define DEFAULT_URL "tcp://127.0.0.1:5555"

struct faas_worker {
        struct fa_worker *shell;
        struct faas_function *table; /* a copy of the program's own */
        const uint64_t *mark;        /* of the process that made it */
};

static int check(const struct faas_worker_cfg *c) {
        if (c->flags & ~FAAS_CLIENT_BUILTINS)
                return fa_error(-EINVAL, "cfg.flags has unknown bits: 0x%x", c->flags);
        if (c->n_slots > FA_SLOTS_MAX)
                return fa_error(FAAS_E_LIMIT, "cfg.n_slots is %u; expected 1 to %d", c->n_slots,
                                FA_SLOTS_MAX);
        if (c->name && strlen(c->name) > 128)
                return fa_error(-EINVAL, "cfg.name has %zu bytes; expected at most 128",
                                strlen(c->name));
        return 0;
}

static int
open_shell(struct faas_worker *w, const struct faas_worker_cfg *c, const struct fa_url *to) {
        char host[65] = "";
        char name[100]; /* host, ':', a pid */
        struct fa_worker_cfg shell = {
                .urls = to->urls,
                .n_urls = to->n_urls,
                .slots = {.n_slots = c->n_slots ? c->n_slots : fa_cfg_cpus(),
                          .functions = w->table,
                          .modules = c->modules,
                          .builtins = c->flags & FAAS_CLIENT_BUILTINS},
                .name = c->name,
                .stop_fd = c->stop_fd,
        };

        if (!shell.name) {
                (void)gethostname(host, sizeof(host) - 1);
                (void)snprintf(name, sizeof(name), "%s:%d", host, (int)getpid());
                shell.name = name;
        }
        return fa_worker_open(&w->shell, &shell);
}

FA_PUBLIC int faas_worker_new(struct faas_worker **ret, const struct faas_worker_cfg *cfg) {
        struct faas_worker_cfg c = FAAS_WORKER_CFG_INIT;
        struct fa_url to = FA_URL_NULL;
        struct faas_worker *w;
        int r;

        if (!ret)
                return fa_error(-EINVAL, "faas_worker_new: ret must not be NULL");
        r = fa_cfg_read(&c, sizeof(c), cfg, "FAAS_WORKER_CFG_INIT");
        if (r == 0)
                r = check(&c);
        if (r)
                return r;
        w = calloc(1, sizeof(*w));
        r = w ? fa_url_dispatchers(&to, c.url ? c.url : DEFAULT_URL)
              : fa_error(-ENOMEM, "no memory for a worker");
        if (r == 0) {
                r = fa_mark_new(&w->mark);
                if (r == 0)
                        r = fa_cfg_functions(&w->table, c.functions);
        }
        if (r == 0)
                r = open_shell(w, &c, &to);
        fa_url_deinit(&to);
        if (r) {
                if (w) {
                        fa_mark_free(w->mark);
                        free(w->table);
                }
                free(w);
                /* Where it was missing nobody knows, and an older text would mislead. */
                return r == -ENOMEM ? fa_error(r, "no memory for a worker") : r;
        }
        *ret = w;
        return 0;
}

static int enter(const struct faas_worker *w, const char *what) {
        if (!w)
                return fa_error(-EINVAL, "%s: no worker", what);
        if (!fa_mark_here(w->mark))
                return fa_error(FAAS_E_FORKED,
                                "%s: the worker belongs to the process that forked this one", what);
        return 0;
}

FA_PUBLIC int faas_worker_step(struct faas_worker *w, int timeout_ms) {
        int r = enter(w, "faas_worker_step");

        return r ? r : fa_worker_step(w->shell, timeout_ms);
}

FA_PUBLIC void faas_worker_stop(struct faas_worker *w) {
        if (enter(w, "faas_worker_stop") == 0)
                fa_worker_stop(w->shell);
}

FA_PUBLIC struct faas_worker *faas_worker_free(struct faas_worker *w) {
        if (!w)
                return NULL;
        fa_worker_close(w->shell);
        fa_mark_free(w->mark);
        free(w->table);
        free(w);
        return NULL;
}

FA_PUBLIC int faas_worker_run(const struct faas_worker_cfg *cfg) {
        struct faas_worker *w = NULL;
        int r = faas_worker_new(&w, cfg);

        while (r == 0)
                r = faas_worker_step(w, -1);
        faas_worker_free(w);
        return r == FAAS_E_GONE ? 0 : r;
}

FA_PUBLIC int faas_worker_fd(const struct faas_worker *w) {
        /* A condition is positive, and would be taken for a descriptor. */
        return enter(w, "faas_worker_fd") ? -EINVAL : fa_worker_fd(w->shell);
}

FA_PUBLIC int faas_worker_stats(const struct faas_worker *w, struct faas_worker_stats *ret) {
        int r = enter(w, "faas_worker_stats");

        if (r)
                return r;
        if (!ret)
                return fa_error(-EINVAL, "faas_worker_stats: ret must not be NULL");
        fa_worker_stats(w->shell, ret);
        return 0;
}
