/* faas-dispatcher.c - the program around <faas/dispatcher.h>: options, signals, messages */
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include <faas/client.h>
#include <faas/dispatcher.h>
#include <faas/error.h>

#include "heap.h"
#include "json.h"
#include "options.h"
#include "say.h"
#include "stop.h"

static const char help[] =
        "usage: faas-dispatcher [OPTION]...\n"
        "Takes tasks from clients and gives them to workers, or runs them itself.\n"
        "  -m, --mode MODE        push (default), pull, or local: run them here\n"
        "  -p, --port PORT        --listen tcp://127.0.0.1:PORT; 0: a free one\n"
        "      --listen URL       (tcp://127.0.0.1:5555) tcp://ADDRESS:PORT, ipc:///PATH\n"
        "  -w, --slots N, --load FILE.so  local: tasks at a time; functions, repeatable\n"
        "      --store URL        where tasks are kept ($FAAS_STORE, else memory:), or\n"
        "                         redis://[USER:PASSWORD@]HOST[:PORT][/DB][?prefix=NAME],\n"
        "                         redis+unix:///PATH[?prefix=NAME]\n"
        "      --wait-store SECONDS  wait so long for the store to be there\n"
        "      --name NAME        of this dispatcher in its store (host and URL)\n"
        "      --lease MS         who is silent so long is taken over from (3000)\n"
        "      --backlog-bytes N  memory for tasks that wait; more stays in Redis (256M)\n"
        "      --allow-eviction   use a Redis that may evict keys\n"
        "      --heartbeat MS, --liveness N  between beats; dead after N (1000, 3)\n"
        "      --max-strikes N    dead slots or workers one task may cost (3)\n"
        "      --queue-tasks N, --queue-bytes N    limits of tasks not done, and of their\n"
        "      --window-tasks N, --window-bytes N  bytes (K, M, G): of all, of one client\n"
        "      --result-bytes N, --result-ttl SECONDS  how long results are kept\n"
        "      --log-level LEVEL  error, warning, info (default), debug\n"
        "      --print-url        print the real URL to standard output when ready\n"
        "      --json             messages as JSON objects\n"
        "  -h, --help, --version  print this, or the version, and exit\n"
        "SIGTERM: drain; twice: end.  Exit codes: 0 stopped; 1 error; 2 wrong usage\n";

enum {
        OPT_MODE,
        OPT_PORT,
        OPT_LISTEN,
        OPT_SLOTS,
        OPT_LOAD,
        OPT_STORE,
        OPT_NAME,
        OPT_WAIT_STORE,
        OPT_LEASE,
        OPT_BACKLOG_BYTES,
        OPT_ALLOW_EVICTION,
        OPT_HEARTBEAT,
        OPT_LIVENESS,
        OPT_MAX_STRIKES,
        OPT_QUEUE_TASKS,
        OPT_QUEUE_BYTES,
        OPT_WINDOW_TASKS,
        OPT_WINDOW_BYTES,
        OPT_RESULT_BYTES,
        OPT_RESULT_TTL,
        OPT_LOG_LEVEL,
        OPT_PRINT_URL,
        OPT_JSON
};

static const struct fa_option options[] = {
        [OPT_MODE] = {"mode", 'm', "MODE"},
        [OPT_PORT] = {"port", 'p', "PORT"},
        [OPT_LISTEN] = {"listen", 0, "URL"},
        [OPT_SLOTS] = {"slots", 'w', "N"},
        [OPT_LOAD] = {"load", 0, "FILE.so"},
        [OPT_STORE] = {"store", 0, "URL"},
        [OPT_NAME] = {"name", 0, "NAME"},
        [OPT_WAIT_STORE] = {"wait-store", 0, "SECONDS"},
        [OPT_LEASE] = {"lease", 0, "MS"},
        [OPT_BACKLOG_BYTES] = {"backlog-bytes", 0, "N"},
        [OPT_ALLOW_EVICTION] = {"allow-eviction", 0, NULL},
        [OPT_HEARTBEAT] = {"heartbeat", 0, "MS"},
        [OPT_LIVENESS] = {"liveness", 0, "N"},
        [OPT_MAX_STRIKES] = {"max-strikes", 0, "N"},
        [OPT_QUEUE_TASKS] = {"queue-tasks", 0, "N"},
        [OPT_QUEUE_BYTES] = {"queue-bytes", 0, "N"},
        [OPT_WINDOW_TASKS] = {"window-tasks", 0, "N"},
        [OPT_WINDOW_BYTES] = {"window-bytes", 0, "N"},
        [OPT_RESULT_BYTES] = {"result-bytes", 0, "N"},
        [OPT_RESULT_TTL] = {"result-ttl", 0, "SECONDS"},
        [OPT_LOG_LEVEL] = {"log-level", 0, "LEVEL"},
        [OPT_PRINT_URL] = {"print-url", 0, NULL},
        [OPT_JSON] = {"json", 0, NULL},
        {NULL, 0, NULL},
};

struct settings {
        struct faas_dispatcher_cfg cfg;
        const char *modules[FA_MODULES_MAX + 1];
        size_t n_modules;
        char tcp[32]; /* "tcp://127.0.0.1:" and at most 5 digits */
        enum faas_log_level level;
        bool print_url;
        bool json;
};

static void set_listen(struct settings *s, const char *option, const char *url) {
        if (s->cfg.listen)
                fa_usage("%s: there is a place to listen already: %s", option, s->cfg.listen);
        s->cfg.listen = url;
}

static void set_port(struct settings *s, const char *text) {
        unsigned port = (unsigned)fa_option_number("--port", text, 0, 65535);

        if (port)
                (void)snprintf(s->tcp, sizeof(s->tcp), "tcp://127.0.0.1:%u", port);
        else
                (void)snprintf(s->tcp, sizeof(s->tcp), "tcp://127.0.0.1:*");
        set_listen(s, "--port", s->tcp);
}

static void set_limit(struct faas_dispatcher_cfg *c, int option, const char *arg) {
        switch (option) {
        case OPT_QUEUE_TASKS:
                c->queue_tasks = (uint32_t)fa_option_number("--queue-tasks", arg, 1, UINT32_MAX);
                break;
        case OPT_QUEUE_BYTES:
                c->queue_bytes = fa_option_bytes("--queue-bytes", arg);
                break;
        case OPT_WINDOW_TASKS:
                c->window_tasks = (uint32_t)fa_option_number("--window-tasks", arg, 1, UINT32_MAX);
                break;
        case OPT_WINDOW_BYTES:
                c->window_bytes = fa_option_bytes("--window-bytes", arg);
                break;
        case OPT_RESULT_BYTES:
                c->result_bytes = fa_option_bytes("--result-bytes", arg);
                break;
        case OPT_RESULT_TTL:
                c->result_ttl_ms = fa_option_seconds("--result-ttl", arg);
                break;
        case OPT_WAIT_STORE:
                c->store_wait_ms = fa_option_seconds("--wait-store", arg);
                break;
        case OPT_BACKLOG_BYTES:
                c->backlog_bytes = fa_option_bytes("--backlog-bytes", arg);
                break;
        case OPT_LEASE:
                c->lease_ms = (uint32_t)fa_option_number("--lease", arg, 300, 3600000);
                break;
        case OPT_HEARTBEAT:
                c->heartbeat_ms = (uint32_t)fa_option_number("--heartbeat", arg, 10, 3600000);
                break;
        case OPT_LIVENESS:
                c->liveness = (uint32_t)fa_option_number("--liveness", arg, 1, 1000);
                break;
        default:
                c->max_strikes = (uint32_t)fa_option_number("--max-strikes", arg, 1, UINT32_MAX);
        }
}

static void set(struct settings *s, int option, const char *arg) {
        switch (option) {
        case OPT_MODE:
                s->cfg.transport = arg;
                break;
        case OPT_PORT:
                set_port(s, arg);
                break;
        case OPT_LISTEN:
                set_listen(s, "--listen", arg);
                break;
        case OPT_SLOTS:
                s->cfg.n_slots = (unsigned)fa_option_number("--slots", arg, 1, 1024);
                break;
        case OPT_LOAD:
                fa_option_module(s->modules, &s->n_modules, arg);
                break;
        case OPT_STORE:
                s->cfg.store = arg;
                break;
        case OPT_NAME:
                s->cfg.name = arg;
                break;
        case OPT_ALLOW_EVICTION:
                s->cfg.flags |= FAAS_DISPATCHER_EVICTION_OK;
                break;
        case OPT_LOG_LEVEL:
                s->level = fa_option_level("--log-level", arg);
                break;
        case OPT_PRINT_URL:
                s->print_url = true;
                break;
        case OPT_JSON:
                s->json = true;
                break;
        default:
                set_limit(&s->cfg, option, arg);
        }
}

/* What the modes that are built in have no use for is a mistake that would go unseen. */
static void check(const struct settings *s) {
        const char *mode = s->cfg.transport;

        if (strcmp(mode, "push") != 0 && strcmp(mode, "pull") != 0)
                return;
        if (s->cfg.n_slots)
                fa_usage("--slots is for --mode local; with %s the workers have the slots", mode);
        if (s->n_modules)
                fa_usage("--load is for --mode local; with %s the workers load functions", mode);
}

static int say_ready(const struct settings *s, const char *url) {
        if (s->print_url) {
                puts(url);
                if (fa_flush())
                        return FA_EXIT_ERROR;
        }
        if (s->level >= FAAS_LOG_INFO)
                fa_say_ready(url, s->cfg.transport, s->cfg.store);
        return FA_EXIT_OK;
}

/*
 * A connection is a descriptor, and the usual limit of 1,024 is one that we may raise.  When there
 * are none left, those who still want to connect keep libzmq's thread busy until they give up.
 */
static void raise_limit(void) {
        struct rlimit limit;

        if (getrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur < limit.rlim_max) {
                limit.rlim_cur = limit.rlim_max;
                (void)setrlimit(RLIMIT_NOFILE, &limit);
        }
}

/* A mode or a scheme that nobody knows is FAAS_E_NOENT, as is a module that is not there. */
static bool is_usage(const struct settings *s, int r) {
        return r == -EINVAL || (r == FAAS_E_NOENT && !s->n_modules);
}

static int run(const struct settings *s) {
        struct faas_dispatcher *d = NULL;
        int status;
        int r = faas_dispatcher_new(&d, &s->cfg);

        if (r == FAAS_E_CANCELLED) /* by a signal, while it waited for the store */
                return FA_EXIT_OK;
        if (r) {
                fa_say_error("%s", faas_error_text());
                return is_usage(s, r) ? FA_EXIT_USAGE : FA_EXIT_ERROR;
        }
        status = say_ready(s, faas_dispatcher_url(d));
        while (status == FA_EXIT_OK && r == 0)
                r = faas_dispatcher_step(d, -1);
        if (r && r != FAAS_E_GONE) {
                fa_say_error("%s", faas_error_text());
                status = FA_EXIT_ERROR;
        }
        faas_dispatcher_free(d);
        return status;
}

int main(int argc, char **argv) {
        const char *store = getenv("FAAS_STORE"); /* NOLINT(concurrency-mt-unsafe) */
        struct settings s = {.cfg = FAAS_DISPATCHER_CFG_INIT, .level = FAAS_LOG_INFO};
        int option;

        fa_say_init("faas-dispatcher");
        s.cfg.transport = "push";
        s.cfg.store = store && *store ? store : "memory:";
        while ((option = fa_options_next(argc, argv, options, help)) >= 0)
                set(&s, option, optarg);
        if (optind < argc)
                fa_usage("\"%s\" is one argument too many; expected options only", argv[optind]);
        check(&s);
        fa_say_log(s.level, s.json);
        s.cfg.modules = s.n_modules ? s.modules : NULL;
        s.cfg.flags |= FAAS_CLIENT_BUILTINS;
        s.cfg.stop_fd = fa_stop_fd();
        if (s.cfg.stop_fd < 0) {
                fa_say_error("cannot wait for signals: %s", fa_errno_text(-s.cfg.stop_fd));
                return FA_EXIT_ERROR;
        }
        raise_limit();
        fa_heap_keep();
        return run(&s);
}
