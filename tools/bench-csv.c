/*
 * bench-csv.c - the file of all runs: the origin's five columns first, then ours
 *
 * Rows are only ever added.  A file with the origin's columns alone can be read, too.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "bench.h"
#include "say.h"

enum kind { TEXT, NUMBER, REAL };

static const struct column {
        const char *name;
        enum kind kind;
        size_t at, size;
} columns[] = {
#define COLUMN(name, kind, member)                                                                 \
        { name, kind, offsetof(struct bench_row, member), sizeof(((struct bench_row *)0)->member) }
        COLUMN("Mode", TEXT, mode),
        COLUMN("OpType", TEXT, optype),
        COLUMN("nWorkers", NUMBER, workers),
        COLUMN("nTasks", NUMBER, tasks),
        COLUMN("TotalTime", REAL, total),
        COLUMN("Study", TEXT, study),
        COLUMN("Sleep", REAL, sleep),
        COLUMN("Slots", NUMBER, slots),
        COLUMN("Store", TEXT, store),
        COLUMN("Heartbeat", REAL, heartbeat),
        COLUMN("P50", REAL, p50),
        COLUMN("P90", REAL, p90),
        COLUMN("P99", REAL, p99),
        COLUMN("Max", REAL, max),
        COLUMN("DispatcherCPU", REAL, dispatcher_cpu),
        COLUMN("WorkersCPU", REAL, workers_cpu),
        COLUMN("PeakMiB", REAL, peak_mib),
        COLUMN("Version", TEXT, version),
        COLUMN("Date", TEXT, date),
};
enum { COLUMNS = sizeof(columns) / sizeof(columns[0]), ORIGINS = 5 };

static void header(char *to, size_t size) {
        size_t len = 0;

        for (size_t i = 0; i < COLUMNS; i++)
                len += (size_t)snprintf(to + len, size - len, "%s%s", i ? "," : "",
                                        columns[i].name);
}

static void strip(char *line) {
        line[strcspn(line, "\r\n")] = '\0';
}

/* Is it ours, or at least the origin's? */
static bool is_header(const char *line) {
        char full[512];

        header(full, sizeof(full));
        return strcmp(line, full) == 0 ||
               strcmp(line, "Mode,OpType,nWorkers,nTasks,TotalTime") == 0;
}

FILE *bench_csv_open(const char *path) {
        char line[1024], full[512];
        FILE *f = fopen(path, "a+e");

        if (!f) {
                fa_say_error("cannot write %s: %s", path, fa_errno_text(errno));
                return NULL;
        }
        header(full, sizeof(full));
        rewind(f);
        if (!fgets(line, sizeof(line), f)) {
                fprintf(f, "%s\n", full);
        } else {
                strip(line);
                if (strcmp(line, full) != 0) {
                        fa_say_error(
                                "%s: its first line is \"%.60s\"; expected that of faas-bench, "
                                "or no file at all",
                                path, line);
                        fclose(f);
                        return NULL;
                }
        }
        if (fflush(f) == 0)
                return f;
        fa_say_error("cannot write %s: %s", path, fa_errno_text(errno));
        fclose(f);
        return NULL;
}

bool bench_csv_append(FILE *f, const char *path, const struct bench_row *row) {
        for (size_t i = 0; i < COLUMNS; i++) {
                const char *at = (const char *)row + columns[i].at;

                if (i)
                        putc(',', f);
                if (columns[i].kind == TEXT)
                        fputs(at, f);
                else if (columns[i].kind == NUMBER)
                        fprintf(f, "%u", *(const unsigned *)(const void *)at);
                else
                        fprintf(f, "%.6f", *(const double *)(const void *)at);
        }
        putc('\n', f);
        if (fflush(f) == 0)
                return true;
        fa_say_error("cannot write %s: %s", path, fa_errno_text(errno));
        return false;
}

static bool parse_field(struct bench_row *row, const struct column *c, const char *text) {
        char *at = (char *)row + c->at;
        char *end;

        if (c->kind == TEXT) {
                (void)snprintf(at, c->size, "%s", text);
                return true;
        }
        double v = strtod(text, &end);
        if (end == text || *end || !(v >= 0) || v > 1e15)
                return false;
        if (c->kind == REAL)
                *(double *)(void *)at = v;
        else
                *(unsigned *)(void *)at = (unsigned)v;
        return c->kind == REAL || v <= 1e9;
}

static bool parse(struct bench_row *row, char *line) {
        size_t n = 0;

        *row = (struct bench_row){.study = "weak", .slots = 1};
        for (char *field; (field = strsep(&line, ",")); n++)
                if (n == COLUMNS || !parse_field(row, &columns[n], field))
                        return false;
        if (!row->workers || !row->tasks || row->total <= 0)
                return false;
        /* The origin's sleep took a second. */
        if (n == ORIGINS && strcmp(row->optype, "sleep") == 0)
                row->sleep = 1;
        return n == COLUMNS || n == ORIGINS;
}

bool bench_csv_read(const char *path, struct bench_row **ret, size_t *ret_n) {
        struct bench_row *rows = NULL, *more;
        size_t n = 0, cap = 0, number = 0;
        FILE *f = fopen(path, "re");
        char line[1024];

        if (!f) {
                fa_say_error("cannot read %s: %s", path, fa_errno_text(errno));
                return false;
        }
        while (fgets(line, sizeof(line), f)) {
                strip(line);
                number++;
                if (!*line || (number == 1 && is_header(line)))
                        continue;
                if (n == cap) {
                        cap = cap ? cap * 2 : 64;
                        more = realloc(rows, cap * sizeof(*rows));
                        if (!more)
                                break;
                        rows = more;
                }
                if (parse(&rows[n], line))
                        n++;
                else
                        fa_say(FAAS_LOG_WARNING, "%s: line %zu is no run and was passed over", path,
                               number);
        }
        fclose(f);
        if (n == 0)
                fa_say_error("%s: there are no runs in it", path);
        *ret = rows;
        *ret_n = n;
        return n > 0;
}
