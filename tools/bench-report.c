/* bench-report.c - the runs of a CSV file as a Markdown table and as one page of HTML */
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <faas/version.h>

#include "bench.h"
#include "say.h"

enum { PLOTS_MAX = 16 };

static FILE *create(char *path, size_t size, const char *dir, const char *name) {
        FILE *f;

        (void)snprintf(path, size, "%s/%s", dir, name);
        f = fopen(path, "we");
        if (!f)
                fa_say_error("cannot write %s: %s", path, fa_errno_text(errno));
        return f;
}

static bool finish(FILE *f, const char *path) {
        bool bad = ferror(f);

        if (fclose(f) == 0 && !bad)
                return true;
        fa_say_error("cannot write %s: %s", path, fa_errno_text(errno ? errno : EIO));
        return false;
}

/* Markdown's table as HTML's: the first line is the header, the second says nothing. */
static void html_table(FILE *f, const struct bench_point *p, size_t n) {
        char *text = NULL, *line, *rest;
        size_t size;
        FILE *m = open_memstream(&text, &size);
        unsigned number = 0;

        if (!m)
                return;
        bench_table(m, p, n);
        if (fclose(m) != 0) {
                free(text);
                return;
        }
        fputs("<table>\n", f);
        rest = text;
        while ((line = strsep(&rest, "\n"))) {
                const char *tag = number++ == 0 ? "th" : "td";
                char *cell;
                if (!*line || number == 2)
                        continue;
                fputs("<tr>", f);
                line++; /* the first | */
                while ((cell = strsep(&line, "|")) && line)
                        fprintf(f, "<%s>%s</%s>", tag, cell, tag);
                fputs("</tr>\n", f);
        }
        fputs("</table>\n", f);
        free(text);
}

/* The picture itself, from its first tag on. */
static void html_plot(FILE *f, const char *dir, const struct bench_plot *plot) {
        char path[PATH_MAX], line[4096];
        bool on = false;
        FILE *svg;

        (void)snprintf(path, sizeof(path), "%s/%s.svg", dir, plot->name);
        svg = fopen(path, "re");
        if (!svg)
                return;
        fprintf(f, "<figure id=\"%s\">\n", plot->name);
        while (fgets(line, sizeof(line), svg)) {
                on = on || strncmp(line, "<svg", 4) == 0;
                if (on)
                        fputs(line, f);
        }
        fputs("</figure>\n", f);
        fclose(svg);
}

static const char head[] =
        "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n"
        "<title>libfaas: scaling study</title>\n<style>\n"
        "body { font: 16px/1.5 sans-serif; margin: 2em auto; max-width: 72em; padding: 0 1em; }\n"
        "table { border-collapse: collapse; font-size: 0.8em; display: block; overflow-x: auto; }\n"
        "th, td { border: 1px solid #bbb; padding: 0.2em 0.6em; text-align: right; }\n"
        "th:nth-child(-n+3), td:nth-child(-n+3) { text-align: left; }\n"
        "figure { margin: 2em 0; break-inside: avoid; } svg { max-width: 100%; height: auto; }\n"
        "</style>\n</head>\n<body>\n<h1>Scaling study</h1>\n"
        "<p>The best of all runs of each point, and their median.  Latency, overhead, throughput "
        "and efficiency are the origin's formulas 5.1 to 5.4; p50 to max are from a task's submit "
        "to its result, waiting included.</p>\n";

static bool write_html(const char *dir,
                       const struct bench_point *p,
                       size_t n,
                       const struct bench_plot *plots,
                       size_t n_plots) {
        char path[PATH_MAX];
        FILE *f = create(path, sizeof(path), dir, "report.html");

        if (!f)
                return false;
        fputs(head, f);
        fprintf(f, "<p>libfaas %s.</p>\n", faas_version());
        html_table(f, p, n);
        if (!n_plots)
                fputs("<p>Plots are missing: gnuplot was not there, or there was nothing to "
                      "draw.</p>\n",
                      f);
        for (size_t i = 0; i < n_plots; i++)
                html_plot(f, dir, &plots[i]);
        fputs("</body>\n</html>\n", f);
        return finish(f, path);
}

static bool write_markdown(const char *dir,
                           const struct bench_point *p,
                           size_t n,
                           const struct bench_plot *plots,
                           size_t n_plots) {
        char path[PATH_MAX];
        FILE *f = create(path, sizeof(path), dir, "report.md");

        if (!f)
                return false;
        fputs("# Scaling study\n\n", f);
        bench_table(f, p, n);
        for (size_t i = 0; i < n_plots; i++)
                fprintf(f, "\n![%s](%s.png)\n", plots[i].title, plots[i].name);
        return finish(f, path);
}

int bench_report(const char *csv, const char *dir) {
        struct bench_plot plots[PLOTS_MAX];
        struct bench_row *rows = NULL;
        struct bench_point *p = NULL;
        size_t n = 0, k = 0, n_plots;
        bool ok;

        if (mkdir(dir, 0777) && errno != EEXIST) {
                fa_say_error("cannot make the folder %s: %s", dir, fa_errno_text(errno));
                return FA_EXIT_ERROR;
        }
        ok = bench_csv_read(csv, &rows, &n) && bench_sum(rows, n, &p, &k);
        if (ok) {
                n_plots = bench_plots(dir, p, k, plots, PLOTS_MAX);
                ok = write_markdown(dir, p, k, plots, n_plots) &&
                     write_html(dir, p, k, plots, n_plots);
                if (ok)
                        printf("%zu runs of %zu points, %zu plots: %s/report.html, %s/report.md\n",
                               n, k, n_plots, dir, dir);
        }
        free(rows);
        free(p);
        return ok ? fa_flush() : FA_EXIT_ERROR;
}
