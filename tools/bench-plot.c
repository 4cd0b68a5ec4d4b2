/*
 * bench-plot.c - the origin's five plots and two of ours, drawn by gnuplot
 *
 * One script a picture, written to a pipe: a picture that fails costs no other.  Points are the
 * best runs, as the origin's; the bars reach to the worst.  Colours that differ in brightness, and
 * points that differ in shape, because it may be printed.
 */
#include <errno.h>
#include <math.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "bench.h"
#include "say.h"

enum what { OVERHEAD, LATENCY, THROUGHPUT, EFFICIENCY, STRONG, LENGTH, HEARTBEAT };

static const struct picture {
        const char *name, *title, *x, *y;
        enum what what;
        bool log_x, log_y;
} pictures[] = {
        {"load-overhead", "Load and system overhead (formula 5.1)", "Load (tasks)",
         "Overhead a task (ms)", OVERHEAD, false, false},
        {"load-latency", "Load and latency (formula 5.2)", "Load (tasks)", "Latency a task (s)",
         LATENCY, false, false},
        {"load-throughput", "Load and throughput (formula 5.3)", "Load (tasks)",
         "Throughput (tasks/s)", THROUGHPUT, false, false},
        {"load-efficiency", "Load and efficiency (formula 5.4)", "Load (tasks)",
         "Efficiency against local (%)", EFFICIENCY, false, false},
        {"strong-latency", "Strong scaling: workers and latency", "Workers",
         "Total time / tasks (ms)", STRONG, false, true},
        {"task-length", "Length of tasks and efficiency", "Length of a task (s)",
         "Efficiency against the ideal (%)", LENGTH, true, false},
        {"heartbeat", "Push: heartbeat interval and efficiency", "Heartbeat interval",
         "Efficiency against the ideal (%)", HEARTBEAT, false, false},
};

static const struct look {
        const char *mode;
        int shape;
        const char *colour;
} looks[] = {
        {"local", 7, "#000000"},   {"push", 5, "#c1440e"}, {"pull", 9, "#2a6fb0"},
        {"gearman", 4, "#7a9e2f"}, {"pool", 6, "#8a5aa8"},
};
enum { LOOKS = sizeof(looks) / sizeof(looks[0]) };

/* What all curves of the load have in common, so that only one thing changes in each picture. */
struct choice {
        const char *optype, *store;
        double sleep, heartbeat;
        unsigned workers; /* the largest number: for those with another x axis */
};

static bool is_weak(const struct bench_row *r) {
        return strcmp(r->study, "weak") == 0;
}

static struct choice choose(const struct bench_point *p, size_t n) {
        struct choice c = {.optype = NULL};

        for (size_t i = 0; i < n; i++) {
                const struct bench_row *r = &p[i].row;
                if (!is_weak(r))
                        continue;
                /* Sleeping tasks rather than others, the longest; the first store and interval. */
                if (!c.optype || r->sleep > c.sleep) {
                        c.optype = r->optype;
                        c.sleep = r->sleep;
                }
                if (!c.store) {
                        c.store = r->store;
                        c.heartbeat = r->heartbeat;
                }
                if (fabs(r->heartbeat - 1) < 1e-9)
                        c.heartbeat = 1; /* the default */
                if (r->workers > c.workers)
                        c.workers = r->workers;
        }
        return c;
}

static bool ours(const struct bench_row *r) {
        return strcmp(r->mode, "push") == 0 || strcmp(r->mode, "pull") == 0;
}

static bool usual(const struct bench_row *r, const struct choice *c) {
        return !ours(r) ||
               (strcmp(r->store, c->store) == 0 && fabs(r->heartbeat - c->heartbeat) < 1e-9);
}

/* Is it in this picture, and where? lo..hi: best and worst. */
static bool place(enum what what,
                  const struct bench_point *p,
                  const struct choice *c,
                  double *x,
                  double *y,
                  double *other) {
        const struct bench_row *r = &p->row;
        double ratio = p->worst / r->total;

        if (what == STRONG) {
                *x = r->workers;
                *y = p->latency * 1000;
                *other = p->latency_worst * 1000;
                return strcmp(r->study, "strong") == 0;
        }
        if (!is_weak(r) || !c->optype)
                return false;
        if (what == LENGTH || what == HEARTBEAT) {
                *x = what == LENGTH ? r->sleep : r->heartbeat;
                *y = p->ideal_efficiency;
                *other = *y / ratio;
                return r->workers == c->workers && !isnan(*y) &&
                       (what == LENGTH
                                ? usual(r, c)
                                : strcmp(r->mode, "push") == 0 && fabs(r->sleep - c->sleep) < 1e-9);
        }
        if (strcmp(r->optype, c->optype) != 0 || fabs(r->sleep - c->sleep) > 1e-9 || !usual(r, c))
                return false;
        *x = r->tasks;
        switch (what) {
        case OVERHEAD:
                *y = p->overhead * 1000;
                *other = (p->overhead + p->latency_worst - p->latency) * 1000;
                break;
        case LATENCY:
                *y = p->latency;
                *other = p->latency_worst;
                break;
        case THROUGHPUT:
                *y = p->throughput;
                *other = p->throughput / ratio;
                break;
        default:
                *y = p->efficiency;
                *other = p->efficiency / ratio;
        }
        return !isnan(*y);
}

struct dot {
        double x, y, other;
};

static int by_x(const void *a, const void *b) {
        double x = ((const struct dot *)a)->x, y = ((const struct dot *)b)->x;

        return (x > y) - (x < y);
}

static size_t dots(const struct picture *pic,
                   const char *mode,
                   const struct bench_point *p,
                   size_t n,
                   const struct choice *c,
                   struct dot *ret) {
        size_t k = 0;

        for (size_t i = 0; i < n; i++) {
                struct dot d;
                if (strcmp(p[i].row.mode, mode) == 0 &&
                    place(pic->what, &p[i], c, &d.x, &d.y, &d.other))
                        ret[k++] = d;
        }
        qsort(ret, k, sizeof(*ret), by_x);
        return k;
}

/* A number on the axis for each interval: they are a handful, and "off" is none on a scale. */
static void heartbeat_ticks(FILE *f, struct dot *d, size_t n) {
        fputs("set xtics (", f);
        for (size_t i = 0; i < n; i++) {
                if (d[i].x > 0)
                        fprintf(f, "%s\"%g s\" %zu", i ? "," : "", d[i].x, i);
                else
                        fprintf(f, "%s\"off\" %zu", i ? "," : "", i);
                d[i].x = (double)i;
        }
        fprintf(f, ")\nset xrange [-0.5:%g]\n", (double)n - 0.5);
}

static void settings(FILE *f, const struct picture *pic, const struct choice *c) {
        char task[64] = "";

        if (pic->what == LENGTH)
                (void)snprintf(task, sizeof(task), ", %u workers", c->workers);
        else if (pic->what == HEARTBEAT)
                (void)snprintf(task, sizeof(task), ", tasks of %g s, %u workers", c->sleep,
                               c->workers);
        else if (pic->what != STRONG && c->sleep > 0)
                (void)snprintf(task, sizeof(task), ", tasks of %g s", c->sleep);
        else if (pic->what != STRONG)
                (void)snprintf(task, sizeof(task), ", %s tasks", c->optype);
        fprintf(f,
                "set encoding utf8\nset title \"%s%s\\n{/*0.8 points: the best run; bars reach to "
                "the worst}\"\nset xlabel \"%s\"\nset ylabel \"%s\"\nset grid lc rgb \"#cccccc\"\n"
                "set border 3\nset tics nomirror out\nset key outside right top\nset offsets graph "
                "0.05, graph 0.05, graph 0.1, 0\n",
                pic->title, task, pic->x, pic->y);
        if (pic->log_x)
                fputs("set logscale x\n", f);
        if (pic->log_y)
                fputs("set logscale y\n", f);
        else if (pic->what != OVERHEAD)
                fputs("set yrange [0:*]\n", f);
}

/* Writes the curves as data blocks and the command that draws them; how many curves. */
static size_t curves(FILE *f,
                     const struct picture *pic,
                     const struct bench_point *p,
                     size_t n,
                     const struct choice *c,
                     struct dot *d,
                     char *command,
                     size_t size) {
        size_t k = 0, len = 0;

        command[0] = '\0';
        for (size_t m = 0; m < LOOKS; m++) {
                size_t points = dots(pic, looks[m].mode, p, n, c, d);
                if (!points)
                        continue;
                if (pic->what == HEARTBEAT)
                        heartbeat_ticks(f, d, points);
                fprintf(f, "$%s << EOD\n", looks[m].mode);
                for (size_t i = 0; i < points; i++)
                        fprintf(f, "%.9g %.9g %.9g %.9g\n", d[i].x, d[i].y,
                                fmin(d[i].y, d[i].other), fmax(d[i].y, d[i].other));
                fputs("EOD\n", f);
                len += (size_t)snprintf(
                        command + len, size - len,
                        "%s$%s using 1:2:3:4 with yerrorbars notitle pt %d lc rgb \"%s\", $%s "
                        "using "
                        "1:2 with linespoints title \"%s\" pt %d ps 1.2 lw 1.6 lc rgb \"%s\"",
                        k ? ", " : "plot ", looks[m].mode, looks[m].shape, looks[m].colour,
                        looks[m].mode, looks[m].mode, looks[m].shape, looks[m].colour);
                k++;
        }
        return k;
}

/* In single quotes nothing but a quote means anything to gnuplot. */
static void output(FILE *f, const char *dir, const char *name, const char *ending) {
        fputs("set output '", f);
        for (const char *c = dir; *c; c++)
                fputs(*c == '\'' ? "''" : (const char[]){*c, '\0'}, f);
        fprintf(f, "/%s.%s'\n", name, ending);
}

static bool draw(const char *dir,
                 const struct picture *pic,
                 const struct bench_point *p,
                 size_t n,
                 const struct choice *c,
                 struct dot *d) {
        char command[4096];                              /* five curves of some 250 characters */
        FILE *f = popen("gnuplot 2>&1 >/dev/null", "w"); /* NOLINT(cert-env33-c) */
        size_t k;

        if (!f)
                return false;
        settings(f, pic, c);
        k = curves(f, pic, p, n, c, d, command, sizeof(command));
        if (k) {
                fputs("set terminal svg size 860,480 font \"sans,14\" background \"#ffffff\"\n", f);
                output(f, dir, pic->name, "svg");
                fprintf(f, "%s\nset terminal pngcairo size 1290,720 font \"sans,18\"\n", command);
                output(f, dir, pic->name, "png");
                fprintf(f, "%s\n", command);
        }
        return pclose(f) == 0 && k > 0;
}

size_t bench_plots(const char *dir,
                   const struct bench_point *p,
                   size_t n,
                   struct bench_plot *ret,
                   size_t max) {
        const struct choice c = choose(p, n);
        struct dot *d;
        size_t k = 0;

        if (!bench_has_program("gnuplot")) {
                fa_say(FAAS_LOG_WARNING, "gnuplot is not there: the plots are skipped");
                return 0;
        }
        d = calloc(n, sizeof(*d));
        for (size_t i = 0; d && i < sizeof(pictures) / sizeof(pictures[0]) && k < max; i++) {
                if (draw(dir, &pictures[i], p, n, &c, d))
                        ret[k++] = (struct bench_plot){.name = pictures[i].name,
                                                       .title = pictures[i].title};
        }
        free(d);
        return k;
}
