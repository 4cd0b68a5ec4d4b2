/* faas-worker.c - the program around <faas/worker.h>: options, signals, messages */
#include <errno.h>
#include <getopt.h>
#include <stdlib.h>

#include <faas/client.h>
#include <faas/error.h>
#include <faas/worker.h>

#include "heap.h"
#include "options.h"
#include "say.h"
#include "stop.h"

static const char help[] =
        "usage: faas-worker [OPTION]... [URL]\n"
        "Runs tasks for the dispatcher at URL, or for several: tcp://HOST:PORT,tcp://...\n"
        "Without a URL: $FAAS_URL, else tcp://127.0.0.1:5555.  It waits for a dispatcher\n"
        "that is not there yet, and comes back when one was away.\n"
        "\n"
        "  -w, --slots N          tasks at a time, each in a process (default: CPUs)\n"
        "      --load FILE.so     functions from a shared object; may be given again\n"
        "                         (always there: noop, echo, sleep, heavy, xheavy, fail,\n"
        "                         crash)\n"
        "      --name NAME        shown by faas workers (default: HOST:PID)\n"
        "      --log-level LEVEL  error, warning, info (default), debug\n"
        "      --json             messages as JSON objects\n"
        "  -h, --help, --version  print this, or the version, and exit\n"
        "\n"
        "SIGTERM, SIGINT: the first takes no more tasks and lets the running ones end;\n"
        "                 the second ends at once, and they run elsewhere.\n"
        "exit codes: 0 stopped; 1 error; 2 wrong usage\n";

enum { OPT_SLOTS, OPT_LOAD, OPT_NAME, OPT_LOG_LEVEL, OPT_JSON };

static const struct fa_option options[] = {
        [OPT_SLOTS] = {"slots", 'w', "N"}, [OPT_LOAD] = {"load", 0, "FILE.so"},
        [OPT_NAME] = {"name", 0, "NAME"},  [OPT_LOG_LEVEL] = {"log-level", 0, "LEVEL"},
        [OPT_JSON] = {"json", 0, NULL},    {NULL, 0, NULL},
};

int main(int argc, char **argv) {
        struct faas_worker_cfg cfg = FAAS_WORKER_CFG_INIT;
        enum faas_log_level level = FAAS_LOG_INFO;
        const char *modules[FA_MODULES_MAX + 1] = {NULL};
        const char *url = getenv("FAAS_URL"); /* NOLINT(concurrency-mt-unsafe) */
        size_t n_modules = 0;
        bool json = false;
        int option;
        int r;

        fa_say_init("faas-worker");
        fa_heap_keep();
        while ((option = fa_options_next(argc, argv, options, help)) >= 0) {
                if (option == OPT_SLOTS)
                        cfg.n_slots = (unsigned)fa_option_number("--slots", optarg, 1, 1024);
                else if (option == OPT_LOAD)
                        fa_option_module(modules, &n_modules, optarg);
                else if (option == OPT_NAME)
                        cfg.name = optarg;
                else if (option == OPT_LOG_LEVEL)
                        level = fa_option_level("--log-level", optarg);
                else
                        json = true;
        }
        if (argc - optind > 1)
                fa_usage("\"%s\" is one argument too many; expected one URL, with commas between "
                         "those of several dispatchers",
                         argv[optind + 1]);
        fa_say_log(level, json);
        cfg.url = optind < argc ? argv[optind] : url && *url ? url : "tcp://127.0.0.1:5555";
        cfg.modules = modules;
        cfg.flags = FAAS_CLIENT_BUILTINS;
        cfg.stop_fd = fa_stop_fd();
        if (cfg.stop_fd < 0) {
                fa_say_error("cannot wait for signals: %s", fa_errno_text(-cfg.stop_fd));
                return FA_EXIT_ERROR;
        }
        r = faas_worker_run(&cfg);
        if (r)
                fa_say_error("%s", faas_error_text());
        return r == 0 ? FA_EXIT_OK : r == -EINVAL ? FA_EXIT_USAGE : FA_EXIT_ERROR;
}
