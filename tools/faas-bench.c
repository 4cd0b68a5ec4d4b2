/*
 * faas-bench.c - the scaling study: options, the list of runs, and what is printed of them
 *
 * The modes take turns in each repetition, so that what else the machine does meets all of them.
 */
#include <errno.h>
#include <getopt.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <faas/error.h>

#include "bench.h"
#include "options.h"
#include "say.h"

static const char help[] =
        "usage: faas-bench weak|strong [OPTION]...\n"
        "       faas-bench report [--csv FILE] [--output FOLDER]\n"
        "weak: so many tasks for each of more and more workers; strong: as many in all.\n"
        "Starts the system for each run, adds a row to a CSV file, prints a table of the\n"
        "best runs. report draws plots with gnuplot, and writes a page of HTML.\n"
        "\n"
        "  -w, --workers LIST        processes, with commas (1,2,4,8,16)\n"
        "      --slots N             of each worker (1)\n"
        "      --optype LIST         noop, sleep, heavy, xheavy (sleep; strong: noop)\n"
        "      --sleep LIST          seconds of each sleep (1)\n"
        "  -m, --mode LIST           local, push, pull, pool, gearman (local,push,pull)\n"
        "      --heartbeat LIST      seconds between beats, or off (1)\n"
        "      --store URL           memory: (default), or redis://HOST:PORT/DB\n"
        "      --tasks-per-worker N  weak (5)\n"
        "      --tasks N             strong (20)\n"
        "      --repeat N            runs of each point (3)\n"
        "      --url URL             a running system instead, as it is\n"
        "      --csv FILE            (performance_test.csv)\n"
        "      --output FOLDER       report: where (faas-bench-report)\n"
        "  -h, --help, --version     print this, or the version, and exit\n"
        "\n"
        "exit codes: 0 all runs done; 1 some failed, the others are kept; 2 wrong usage\n";

enum {
        OPT_WORKERS,
        OPT_SLOTS,
        OPT_OPTYPE,
        OPT_SLEEP,
        OPT_MODE,
        OPT_HEARTBEAT,
        OPT_STORE,
        OPT_PER_WORKER,
        OPT_TASKS,
        OPT_REPEAT,
        OPT_URL,
        OPT_CSV,
        OPT_OUTPUT
};

static const struct fa_option options[] = {
        [OPT_WORKERS] = {"workers", 'w', "LIST"},
        [OPT_SLOTS] = {"slots", 0, "N"},
        [OPT_OPTYPE] = {"optype", 0, "LIST"},
        [OPT_SLEEP] = {"sleep", 0, "LIST"},
        [OPT_MODE] = {"mode", 'm', "LIST"},
        [OPT_HEARTBEAT] = {"heartbeat", 0, "LIST"},
        [OPT_STORE] = {"store", 0, "URL"},
        [OPT_PER_WORKER] = {"tasks-per-worker", 0, "N"},
        [OPT_TASKS] = {"tasks", 0, "N"},
        [OPT_REPEAT] = {"repeat", 0, "N"},
        [OPT_URL] = {"url", 0, "URL"},
        [OPT_CSV] = {"csv", 0, "FILE"},
        [OPT_OUTPUT] = {"output", 0, "FOLDER"},
        {NULL, 0, NULL},
};

enum { LIST_MAX = 16 };

struct words {
        const char *v[LIST_MAX];
        size_t n;
};

struct numbers {
        double v[LIST_MAX];
        size_t n;
};

struct settings {
        const char *study;
        struct words modes, optypes;
        struct numbers workers, sleeps, heartbeats;
        unsigned slots, per_worker, tasks, repeat;
        const char *store, *url, *csv, *output;
};

/* ---- lists ---- */

static struct words words_of(const char *option, char *text, const char *const *known) {
        struct words w = {.n = 0};

        for (char *word; (word = strsep(&text, ","));) {
                size_t i = 0;
                while (known[i] && strcmp(known[i], word) != 0)
                        i++;
                if (!known[i]) {
                        char list[128] = "";
                        for (i = 0; known[i]; i++)
                                (void)snprintf(list + strlen(list), sizeof(list) - strlen(list),
                                               "%s%s", i ? ", " : "", known[i]);
                        fa_usage("%s: \"%s\" is none of %s", option, word, list);
                }
                if (w.n == LIST_MAX)
                        fa_usage("%s: more than %d", option, LIST_MAX);
                w.v[w.n++] = known[i];
        }
        return w;
}

static double number_of(const char *option, const char *word, double min, double max) {
        char *end;
        double v = strtod(word, &end);

        if (end == word || *end || !(v >= min) || v > max)
                fa_usage("%s: \"%s\" is not a number from %g to %g", option, word, min, max);
        return v;
}

/* off: what the word "off" stands for; negative: it is no such list. */
static struct numbers
numbers_of(const char *option, char *text, double min, double max, double off) {
        struct numbers n = {.n = 0};

        for (char *word; (word = strsep(&text, ","));) {
                if (n.n == LIST_MAX)
                        fa_usage("%s: more than %d", option, LIST_MAX);
                n.v[n.n++] = off >= 0 && strcmp(word, "off") == 0
                                     ? off
                                     : number_of(option, word, min, max);
        }
        return n;
}

static struct numbers counts_of(const char *option, char *text) {
        struct numbers n = numbers_of(option, text, 1, BENCH_WORKERS_MAX, -1);

        for (size_t i = 0; i < n.n; i++)
                if (n.v[i] != (double)(unsigned)n.v[i])
                        fa_usage("%s: %g is not a whole number", option, n.v[i]);
        return n;
}

/* ---- options ---- */

static void set(struct settings *s, int option, char *arg) {
        static const char *const modes[] = {"local", "push", "pull", "pool", "gearman", NULL};
        static const char *const optypes[] = {"noop", "sleep", "heavy", "xheavy", NULL};

        switch (option) {
        case OPT_WORKERS:
                s->workers = counts_of("--workers", arg);
                break;
        case OPT_SLOTS:
                s->slots = (unsigned)fa_option_number("--slots", arg, 1, 64);
                break;
        case OPT_OPTYPE:
                s->optypes = words_of("--optype", arg, optypes);
                break;
        case OPT_SLEEP:
                s->sleeps = numbers_of("--sleep", arg, 0.000001, 3600, -1);
                break;
        case OPT_MODE:
                s->modes = words_of("--mode", arg, modes);
                break;
        case OPT_HEARTBEAT:
                s->heartbeats = numbers_of("--heartbeat", arg, 0.01, 3600, 0);
                break;
        case OPT_STORE:
                s->store = arg;
                break;
        case OPT_PER_WORKER:
                s->per_worker = (unsigned)fa_option_number("--tasks-per-worker", arg, 1, 100000);
                break;
        case OPT_TASKS:
                s->tasks = (unsigned)fa_option_number("--tasks", arg, 1, 10000000);
                break;
        case OPT_REPEAT:
                s->repeat = (unsigned)fa_option_number("--repeat", arg, 1, 1000);
                break;
        case OPT_URL:
                s->url = arg;
                break;
        case OPT_CSV:
                s->csv = arg;
                break;
        default:
                s->output = arg;
        }
}

static void parse(struct settings *s, int argc, char **argv) {
        static const struct numbers workers = {{1, 2, 4, 8, 16}, 5}, one = {{1}, 1};
        static const struct words modes = {{"local", "push", "pull"}, 3};
        int option;

        *s = (struct settings){.modes = modes,
                               .workers = workers,
                               .sleeps = one,
                               .heartbeats = one,
                               .slots = 1,
                               .per_worker = 5,
                               .tasks = 20,
                               .repeat = 3,
                               .store = "memory:",
                               .csv = "performance_test.csv",
                               .output = "faas-bench-report"};
        while ((option = fa_options_next(argc, argv, options, help)) >= 0)
                set(s, option, optarg);
        if (optind == argc)
                fa_usage("what to do is missing; expected weak, strong or report");
        s->study = argv[optind];
        if (strcmp(s->study, "weak") != 0 && strcmp(s->study, "strong") != 0 &&
            strcmp(s->study, "report") != 0)
                fa_usage("\"%s\" is none of weak, strong, report", s->study);
        if (argc - optind > 1)
                fa_usage("\"%s\" is one argument too many", argv[optind + 1]);
        if (!s->optypes.n)
                s->optypes =
                        (struct words){{strcmp(s->study, "strong") == 0 ? "noop" : "sleep"}, 1};
        if (s->url) { /* it has the mode and the workers that it has */
                s->modes = (struct words){{"url"}, 1};
                s->workers = s->heartbeats = one;
        }
}

/* ---- runs ---- */

struct list {
        struct bench_row *v;
        size_t n, cap;
};

static bool list_add(struct list *l, const struct bench_row *row) {
        if (l->n == l->cap) {
                size_t cap = l->cap ? l->cap * 2 : 64;
                struct bench_row *v = realloc(l->v, cap * sizeof(*v));
                if (!v) {
                        fa_say_error("no memory for %zu runs", cap);
                        return false;
                }
                l->v = v;
                l->cap = cap;
        }
        l->v[l->n++] = *row;
        return true;
}

/* The other systems, for comparison. */
static const struct other {
        const char *mode;
        bool (*run)(struct bench_row *row);
        bool (*has)(void);
} others[] = {{"pool", bench_run_pool, bench_has_pool},
              {"gearman", bench_run_gearman, bench_has_gearman}};

static const struct other *find_other(const char *mode) {
        for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
                if (strcmp(mode, others[i].mode) == 0)
                        return &others[i];
        return NULL;
}

static struct bench_row row_of(const struct settings *s,
                               const char *mode,
                               const char *optype,
                               double workers,
                               double sleep,
                               double heartbeat) {
        struct bench_row r = {.workers = (unsigned)workers,
                              .slots = s->slots,
                              .sleep = sleep,
                              .heartbeat = heartbeat};

        (void)snprintf(r.mode, sizeof(r.mode), "%s", mode);
        (void)snprintf(r.optype, sizeof(r.optype), "%s", optype);
        (void)snprintf(r.study, sizeof(r.study), "%s", s->study);
        (void)snprintf(r.store, sizeof(r.store), "%.*s", (int)strcspn(s->store, ":"), s->store);
        r.tasks = strcmp(s->study, "strong") == 0 ? s->tasks : s->per_worker * r.workers;
        if (find_other(mode))
                r.store[0] = '\0';
        return r;
}

static bool beats(const char *mode) {
        return strcmp(mode, "push") == 0 || strcmp(mode, "pull") == 0;
}

/* All modes of one point of the study. */
static bool plan_point(struct list *l,
                       const struct settings *s,
                       const char *optype,
                       double workers,
                       double sleep) {
        for (size_t h = 0; h < s->heartbeats.n; h++) {
                for (size_t m = 0; m < s->modes.n; m++) {
                        const char *mode = s->modes.v[m];
                        if (h && !beats(mode)) /* once is enough */
                                continue;
                        const struct bench_row r =
                                row_of(s, mode, optype, workers, sleep, s->heartbeats.v[h]);
                        if (!list_add(l, &r))
                                return false;
                }
        }
        return true;
}

static bool plan(struct list *l, const struct settings *s) {
        static const struct numbers none = {{0}, 1};

        for (unsigned i = 0; i < s->repeat; i++) {
                for (size_t o = 0; o < s->optypes.n; o++) {
                        const char *optype = s->optypes.v[o];
                        const struct numbers *sleeps =
                                strcmp(optype, "sleep") == 0 ? &s->sleeps : &none;
                        for (size_t k = 0; k < sleeps->n; k++)
                                for (size_t w = 0; w < s->workers.n; w++)
                                        if (!plan_point(l, s, optype, s->workers.v[w],
                                                        sleeps->v[k]))
                                                return false;
                }
        }
        return true;
}

/* One line on a terminal, which is always about the run that is going on. */
static void progress(const struct bench_row *r, size_t i, size_t n) {
        char task[40];

        if (!isatty(STDERR_FILENO))
                return;
        if (!r) {
                fputs("\r\033[K", stderr);
        } else {
                (void)snprintf(task, sizeof(task), r->sleep > 0 ? "%s %g s" : "%s", r->optype,
                               r->sleep);
                fprintf(stderr, "\r\033[K[%zu/%zu] %s, %s, %s, %u workers, %u tasks", i + 1, n,
                        r->study, r->mode, task, r->workers, r->tasks);
        }
        (void)fflush(stderr);
}

static void hide_progress(void) {
        progress(NULL, 0, 0);
}

static bool run_one(const struct settings *s, struct bench_row *row) {
        const struct other *o = find_other(row->mode);

        return o ? o->run(row) : bench_run(row, s->url, s->store);
}

/* All of the plan; those that are done come to the front of the list. The exit code. */
static int run_all(const struct settings *s, struct list *l, FILE *csv) {
        size_t planned = l->n;
        int code = FA_EXIT_OK;

        l->n = 0;
        for (size_t i = 0; i < planned && !bench_stopped; i++) {
                struct bench_row row = l->v[i];

                progress(&row, i, planned);
                if (!run_one(s, &row)) {
                        if (!bench_stopped)
                                fa_say_error("%s with %u workers failed; the other runs go on",
                                             row.mode, row.workers);
                        code = FA_EXIT_ERROR;
                        continue;
                }
                l->v[l->n++] = row;
                if (!bench_csv_append(csv, s->csv, &row))
                        return FA_EXIT_ERROR;
        }
        hide_progress();
        return code;
}

static int study(struct settings *s) {
        struct bench_point *points = NULL;
        struct list list = {.n = 0};
        FILE *csv = bench_csv_open(s->csv);
        int code = FA_EXIT_ERROR;
        size_t n = 0;

        if (csv && plan(&list, s))
                code = run_all(s, &list, csv);
        if (list.n && csv && bench_sum(list.v, list.n, &points, &n))
                bench_table(stdout, points, n);
        if (csv && fclose(csv) != 0) {
                fa_say_error("cannot write %s: %s", s->csv, fa_errno_text(errno));
                code = FA_EXIT_ERROR;
        }
        free(points);
        free(list.v);
        return fa_flush() == FA_EXIT_OK ? code : FA_EXIT_ERROR;
}

/* Modes that this machine has nothing for are named and left out. */
static void leave_out(struct settings *s) {
        size_t n = 0;

        for (size_t i = 0; i < s->modes.n; i++) {
                const struct other *o = find_other(s->modes.v[i]);
                if (!o || o->has())
                        s->modes.v[n++] = s->modes.v[i];
        }
        s->modes.n = n;
}

int main(int argc, char **argv) {
        struct settings s;
        int code;

        fa_say_init("faas-bench");
        parse(&s, argc, argv);
        fa_say_log(FAAS_LOG_WARNING, false);
        if (strcmp(s.study, "report") == 0)
                return bench_report(s.csv, s.output);
        bench_catch_signals();
        fa_say_before(hide_progress);
        leave_out(&s);
        code = study(&s);
        if (bench_stopped) { /* now that all is put away, as if it had not been caught */
                (void)signal(bench_stopped, SIG_DFL);
                (void)raise(bench_stopped);
        }
        return code;
}
