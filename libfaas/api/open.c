/*
 * open.c - a client's beginning and end: local: with slots of its own, or dispatchers elsewhere
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include "api/cfg.h"
#include "api/client-private.h"
#include "api/url.h"
#include "base/clock.h"
#include "base/error.h"

#define DEFAULT_SUBMIT_TIMEOUT_MS 10000u
#define DEFAULT_WINDOW_TASKS (1u << 20)
#define DEFAULT_WINDOW_BYTES (UINT64_C(512) << 20)
#define DEFAULT_QUEUE_TASKS (4u << 20)
#define DEFAULT_QUEUE_BYTES (UINT64_C(1) << 30)
#define DEFAULT_RESULT_TTL_MS 3600000u

/* Tasks of one submit on their way: many, so that their round trips overlap. */
#define SENT_MAX_REMOTE 4096

static int read_cfg(struct faas_client_cfg *ret, const struct faas_client_cfg *cfg) {
        struct faas_client_cfg c = FAAS_CLIENT_CFG_INIT;
        int r = fa_cfg_read(&c, sizeof(c), cfg, "FAAS_CLIENT_CFG_INIT");

        if (r)
                return r;
        if (c.flags & ~FAAS_CLIENT_BUILTINS)
                return fa_error(-EINVAL, "cfg.flags has unknown bits: 0x%x", c.flags);
        if (!c.submit_timeout_ms)
                c.submit_timeout_ms = DEFAULT_SUBMIT_TIMEOUT_MS;
        if (!c.window_tasks)
                c.window_tasks = DEFAULT_WINDOW_TASKS;
        if (!c.window_bytes)
                c.window_bytes = DEFAULT_WINDOW_BYTES;
        if (!c.queue_tasks)
                c.queue_tasks = DEFAULT_QUEUE_TASKS;
        if (!c.queue_bytes)
                c.queue_bytes = DEFAULT_QUEUE_BYTES;
        if (!c.result_ttl_ms)
                c.result_ttl_ms = DEFAULT_RESULT_TTL_MS;
        *ret = c;
        return 0;
}

static int make_guard(struct faas_client *c) {
        uint8_t seed[16];
        size_t page = (size_t)sysconf(_SC_PAGESIZE);
        void *p = mmap(NULL, page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

        if (p == MAP_FAILED)
                return fa_errno(errno, "mmap");
        c->guard = p;
        if (madvise(p, page, MADV_WIPEONFORK))
                return fa_errno(errno, "madvise(MADV_WIPEONFORK)");
        if (getrandom(seed, sizeof(seed), 0) != (ssize_t)sizeof(seed))
                return fa_errno(errno, "getrandom");
        fa_idgen_init(&c->guard->ids, seed);
        c->guard->mark = FA_GUARD_MARK;
        return 0;
}

static int watch(struct faas_client *c, int fd) {
        struct epoll_event ev = {.events = EPOLLIN, .data = {.fd = fd}};

        if (epoll_ctl(c->epoll_fd, EPOLL_CTL_ADD, fd, &ev))
                return fa_errno(errno, "epoll_ctl");
        return 0;
}

static int make_fds(struct faas_client *c) {
        int r;

        c->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
        c->timer_fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
        c->event_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        if (c->epoll_fd < 0 || c->timer_fd < 0 || c->event_fd < 0)
                return fa_errno(errno, "no descriptors for the client");
        r = watch(c, c->timer_fd);
        return r ? r : watch(c, c->event_fd);
}

static int
open_local(struct faas_client *c, const struct fa_url *url, const struct faas_client_cfg *cfg) {
        const struct fa_local_cfg local = {
                .slots = {.n_slots = url->n_slots ? url->n_slots : fa_cfg_cpus(),
                          .functions = c->table,
                          .modules = (const char *const *)url->modules,
                          .builtins = cfg->flags & FAAS_CLIENT_BUILTINS},
                .window_tasks = cfg->window_tasks,
                .window_bytes = cfg->window_bytes,
                .queue_tasks = cfg->queue_tasks,
                .queue_bytes = cfg->queue_bytes,
                .result_ttl_ns = cfg->result_ttl_ms * FA_NS_PER_MS,
        };
        int r = fa_local_open(&c->local, &local, c->now_ns);

        if (r)
                return r;
        c->cli = fa_local_cli(c->local);
        c->functions = fa_slots_functions(fa_local_slots(c->local), &c->n_functions);
        c->n_sent = FA_BATCH_MAX;
        return 0;
}

static int
open_remote(struct faas_client *c, const struct fa_url *url, const struct faas_client_cfg *cfg) {
        const struct fa_remote_cfg remote = {
                .urls = url->urls,
                .n_urls = url->n_urls,
                .window_tasks = cfg->window_tasks,
                .window_bytes = cfg->window_bytes,
                .result_ttl_ns = cfg->result_ttl_ms * FA_NS_PER_MS,
        };
        int r;

        if (c->table[0].name || (cfg->flags & FAAS_CLIENT_BUILTINS))
                return fa_error(-EINVAL,
                                "\"%s\": functions, and FAAS_CLIENT_BUILTINS, are for local: only; "
                                "there workers bring them (faas/worker.h)",
                                c->url);
        r = fa_remote_open(&c->remote, &remote, c->now_ns);
        if (r)
                return r;
        c->cli = fa_remote_cli(c->remote);
        c->many = url->n_urls > 1;
        c->n_sent = SENT_MAX_REMOTE;
        return 0;
}

static int
open_it(struct faas_client *c, const struct fa_url *url, const struct faas_client_cfg *cfg) {
        int r = make_guard(c);

        c->now_ns = fa_now();
        c->submit_timeout_ms = cfg->submit_timeout_ms;
        c->queue_tasks = cfg->queue_tasks;
        c->queue_bytes = cfg->queue_bytes;
        if (r == 0)
                r = url->n_urls ? open_remote(c, url, cfg) : open_local(c, url, cfg);
        if (r == 0)
                r = make_fds(c);
        if (r)
                return r;
        c->sent = calloc(c->n_sent, sizeof(*c->sent));
        return c->sent ? 0 : fa_error(-ENOMEM, "no memory for a client");
}

static void close_fd(int fd) {
        if (fd >= 0)
                (void)close(fd);
}

static void client_free(struct faas_client *c) {
        close_fd(c->epoll_fd);
        close_fd(c->timer_fd);
        close_fd(c->event_fd);
        fa_local_close(c->local);
        fa_remote_close(c->remote);
        if (c->guard)
                (void)munmap(c->guard, (size_t)sysconf(_SC_PAGESIZE));
        free(c->sent);
        free(c->table);
        free(c->url);
        free(c);
}

FA_PUBLIC int faas_client_open(struct faas_client **ret,
                               const char *url,
                               const struct faas_function *functions,
                               const struct faas_client_cfg *cfg) {
        FA_CLEANUP(fa_url_deinit) struct fa_url u = FA_URL_NULL;
        struct faas_client_cfg full = FAAS_CLIENT_CFG_INIT;
        struct faas_client *c;
        int r;

        if (!ret || !url)
                return fa_error(-EINVAL, "faas_client_open: ret and url must not be NULL");
        r = read_cfg(&full, cfg);
        if (r == 0)
                r = fa_url_parse(&u, url);
        if (r)
                return r;
        c = calloc(1, sizeof(*c));
        if (!c)
                return fa_error(-ENOMEM, "no memory for a client");
        c->epoll_fd = c->timer_fd = c->event_fd = -1;
        c->armed_ns = FA_NEVER;
        c->url = strdup(url);
        r = c->url ? fa_cfg_functions(&c->table, functions)
                   : fa_error(-ENOMEM, "no memory for a client");
        if (r == 0)
                r = open_it(c, &u, &full);
        if (r) {
                client_free(c);
                /* Where it was missing nobody knows, and an older text would mislead. */
                return r == -ENOMEM ? fa_error(r, "no memory for a client") : r;
        }
        *ret = c;
        return 0;
}

FA_PUBLIC struct faas_client *faas_client_close(struct faas_client *c) {
        if (c && c->in_callback) {
                (void)fa_error(-EINVAL, "faas_client_close: not from inside the callback");
                return c;
        }
        if (c)
                client_free(c);
        return NULL;
}
