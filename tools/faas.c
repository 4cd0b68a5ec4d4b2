/*
 * faas.c - the client on the command line: its options and the table of its commands
 *
 * What a command does is in faas-task.c (one task), faas-map.c (many) and faas-show.c (numbers).
 */
#include "faas.h"

#include <errno.h>
#include <getopt.h>
#include <stdlib.h>
#include <string.h>

#include <faas/error.h>

#include "options.h"
#include "say.h"

/* As in faas/client.h: what a submit waits at most if nobody says otherwise. */
enum { TIMEOUT_MS = 10000 };

static const char help[] =
        "usage: faas [OPTION]... COMMAND [ARGUMENT]...\n"
        "Submits tasks to a dispatcher and gets their results.\n"
        "\n"
        "  submit FUNCTION [PAYLOAD|-]  queue a task, print its ID (-: read stdin)\n"
        "  run FUNCTION [PAYLOAD|-]     submit, wait, print the result\n"
        "  map FUNCTION                 a task for each input line, results in this order\n"
        "  status ID                    say where it is: QUEUED, RUNNING, COMPLETED, ...\n"
        "  result ID                    print the result if the task is done\n"
        "  wait ID                      wait until it is done, print the result\n"
        "  cancel ID                    end a task that is not done\n"
        "  workers                      show the dispatcher's workers\n"
        "  stats                        show the dispatcher's numbers\n"
        "\n"
        "      --url URL          tcp://HOST:PORT[,...] or local:SLOTS[?load=FILE.so]\n"
        "                         (default: $FAAS_URL, else tcp://127.0.0.1:5555)\n"
        "      --timeout SECONDS  how long to wait for a dispatcher (default: 10)\n"
        "      --json             print JSON\n"
        "  -h, --help, --version  print this, or the version, and exit\n"
        "\n"
        "exit codes: 0 good; 1 error; 2 wrong usage; 3 a task failed or was cancelled;\n"
        "            4 no such task; 5 not done yet; 6 no dispatcher answered in time\n";

enum { OPT_URL, OPT_TIMEOUT, OPT_JSON };

static const struct fa_option options[] = {
        [OPT_URL] = {"url", 0, "URL"},
        [OPT_TIMEOUT] = {"timeout", 0, "SECONDS"},
        [OPT_JSON] = {"json", 0, NULL},
        {NULL, 0, NULL},
};

static const struct command {
        const char *name;
        int min; /* arguments */
        int max;
        const char *arguments;
        int (*fn)(const struct fa_command_line *l);
} commands[] = {
        {"submit", 1, 2, "FUNCTION [PAYLOAD|-]", fa_submit},
        {"run", 1, 2, "FUNCTION [PAYLOAD|-]", fa_run},
        {"map", 1, 1, "FUNCTION", fa_map},
        {"status", 1, 1, "ID", fa_status},
        {"result", 1, 1, "ID", fa_result},
        {"wait", 1, 1, "ID", fa_wait},
        {"cancel", 1, 1, "ID", fa_cancel},
        {"workers", 0, 0, "", fa_workers},
        {"stats", 0, 0, "", fa_stats},
};

/* A name that no dispatcher can have is a mistake in the command line, found without one. */
static void check_function(const char *name) {
        size_t len = strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789._-");

        if (len == 0 || len > FAAS_NAME_MAX || name[len])
                fa_usage("\"%s\" is no function name; expected [a-z0-9._-]{1,64}", name);
}

static void check_id(const char *text) {
        struct faas_id id;

        if (faas_id_parse(&id, text))
                fa_usage("\"%s\" is no task id; expected 36 characters as faas submit prints them",
                         text);
}

static const struct command *find_command(int argc, char **argv) {
        const struct command *c = NULL;

        if (argc == 0)
                fa_usage("no command; faas --help names them");
        for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]) && !c; i++) {
                if (strcmp(commands[i].name, argv[0]) == 0)
                        c = &commands[i];
        }
        if (!c)
                fa_usage("unknown command \"%s\"; faas --help names those that there are", argv[0]);
        if (argc - 1 < c->min)
                fa_usage("%s: an argument is missing; expected faas %s %s", c->name, c->name,
                         c->arguments);
        if (argc - 1 > c->max)
                fa_usage("%s: \"%s\" is one argument too many; expected faas %s%s%s", c->name,
                         argv[c->max + 1], c->name, c->max ? " " : "", c->arguments);
        if (strncmp(c->arguments, "FUNCTION", 8) == 0)
                check_function(argv[1]);
        if (strcmp(c->arguments, "ID") == 0)
                check_id(argv[1]);
        return c;
}

static int open_client(struct fa_command_line *l, const char *url) {
        struct faas_client_cfg cfg = FAAS_CLIENT_CFG_INIT;
        int r;

        cfg.submit_timeout_ms = l->timeout_ms;
        l->local = strncmp(url, "local:", 6) == 0;
        if (l->local)
                cfg.flags = FAAS_CLIENT_BUILTINS;
        r = faas_client_open(&l->client, url, NULL, &cfg);
        if (r == 0)
                return FA_EXIT_OK;
        int status = fa_explain(r, NULL);
        return r == -EINVAL || r == FAAS_E_NOENT ? FA_EXIT_USAGE : status;
}

int main(int argc, char **argv) {
        const char *url = getenv("FAAS_URL"); /* NOLINT(concurrency-mt-unsafe) */
        struct fa_command_line l = {.timeout_ms = TIMEOUT_MS};
        int option;
        int status;

        fa_say_init("faas");
        while ((option = fa_options_next(argc, argv, options, help)) >= 0) {
                if (option == OPT_URL)
                        url = optarg;
                else if (option == OPT_TIMEOUT)
                        l.timeout_ms = fa_option_seconds("--timeout", optarg);
                else
                        l.json = true;
        }
        const struct command *c = find_command(argc - optind, argv + optind);
        l.argc = argc - optind - 1;
        l.argv = argv + optind + 1;
        fa_say_log(FAAS_LOG_WARNING, false);
        status = open_client(&l, url && *url ? url : "tcp://127.0.0.1:5555");
        if (status)
                return status;
        status = c->fn(&l);
        /* What was printed counts only when it is written. */
        if (fa_flush())
                status = FA_EXIT_ERROR;
        faas_client_close(l.client);
        return status;
}
