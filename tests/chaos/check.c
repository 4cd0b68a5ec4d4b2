/*
 * check.c - reads what a run of the fault tests wrote down, and says what is wrong with it
 *
 *   chaos-check DIR REACH-MS      all; 1: something is wrong
 *   chaos-check DIR ID            the history of one task
 *
 * DIR has the records of clients and functions (record.h) in *.log, and the faults in faults.txt, a
 * line each: KIND SCOPE TARGET BEGIN-NS END-NS.  SCOPE says whose second executions a fault can
 * explain: "worker", "slot": those of TARGET; "all": any; "store": none, but what other faults do
 * shows later by as long; "client": none, TARGET is a client that was killed.  REACH-MS after its
 * end a fault can still explain one: lease, liveness, and what it takes to notice.
 */
#include <glob.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include <faas/client.h>

#include "record.h"

#define KINDS_MAX 64
#define FAULTS_MAX 100000
#define OFFENDERS_MAX 10

struct fault {
        char kind[32], scope[16];
        long target;
        uint64_t begin_ns, end_ns;
        uint64_t seen_ns; /* until then it can explain something */
};

struct kind {
        char name[32];
        uint64_t n, explained;
};

static struct record *records;
static size_t n_records;
static struct fault faults[FAULTS_MAX];
static size_t n_faults;
static struct kind kinds[KINDS_MAX];
static size_t n_kinds;
static uint64_t begin_ns;   /* of the run: times are printed from there */
static uint64_t offered_ns; /* until then tasks were submitted */
static uint64_t reach_ns;
static uint64_t *result_ns; /* when results came */
static size_t n_results;

static struct totals {
        uint64_t submitted, acknowledged, completed, executions, extra, unexplained, offenders;
        uint64_t longest_ns;
        struct faas_id longest;
} totals;

static void *need(void *p, const char *what) {
        if (p)
                return p;
        perror(what);
        exit(2);
}

static void read_log(const char *path) {
        struct stat st;
        FILE *f = need(fopen(path, "re"), path);
        size_t n;

        (void)fstat(fileno(f), &st);
        n = (size_t)st.st_size / sizeof(*records);
        records = need(realloc(records, (n_records + n + 1) * sizeof(*records)), "memory");
        n_records += fread(records + n_records, sizeof(*records), n, f);
        (void)fclose(f);
}

static void read_logs(const char *dir) {
        char pattern[512];
        glob_t g = {0};

        (void)snprintf(pattern, sizeof(pattern), "%s/*.log", dir);
        (void)glob(pattern, 0, NULL, &g);
        for (size_t i = 0; i < g.gl_pathc; i++)
                read_log(g.gl_pathv[i]);
        globfree(&g);
        begin_ns = UINT64_MAX;
        for (size_t i = 0; i < n_records; i++) {
                if (records[i].ns < begin_ns)
                        begin_ns = records[i].ns;
                if (records[i].what == R_SUBMITTED && records[i].ns > offered_ns)
                        offered_ns = records[i].ns;
        }
}

static struct kind *find_kind(const char *name) {
        for (size_t i = 0; i < n_kinds; i++)
                if (strcmp(kinds[i].name, name) == 0)
                        return &kinds[i];
        if (n_kinds == KINDS_MAX)
                exit(2);
        (void)snprintf(kinds[n_kinds].name, sizeof(kinds[n_kinds].name), "%s", name);
        return &kinds[n_kinds++];
}

static int by_begin(const void *a, const void *b) {
        const struct fault *x = a, *y = b;

        return (x->begin_ns > y->begin_ns) - (x->begin_ns < y->begin_ns);
}

/* A store that stands still ages nothing: what would have been noticed is so afterwards. */
static void find_reach(struct fault *f) {
        f->seen_ns = f->end_ns + reach_ns;
        for (size_t i = 0; i < n_faults; i++) {
                const struct fault *s = &faults[i];
                uint64_t from = s->begin_ns > f->begin_ns ? s->begin_ns : f->begin_ns;

                if (strcmp(s->scope, "store") == 0 && s->end_ns > from && from <= f->seen_ns)
                        f->seen_ns += s->end_ns - from;
        }
}

static void read_faults(const char *dir) {
        char path[512];
        struct fault *f = faults;
        FILE *in;

        (void)snprintf(path, sizeof(path), "%s/faults.txt", dir);
        in = need(fopen(path, "re"), path);
        while (n_faults < FAULTS_MAX && fscanf(in, "%31s %15s %ld %lu %lu", f->kind, f->scope,
                                               &f->target, &f->begin_ns, &f->end_ns) == 5) {
                find_kind(f->kind)->n++;
                f = &faults[++n_faults];
        }
        (void)fclose(in);
        qsort(faults, n_faults, sizeof(*faults), by_begin);
        for (size_t i = 0; i < n_faults; i++)
                find_reach(&faults[i]);
}

static int by_task(const void *a, const void *b) {
        const struct record *x = a, *y = b;
        int d = memcmp(&x->id, &y->id, sizeof(x->id));

        return d ? d : (x->ns > y->ns) - (x->ns < y->ns);
}

static int by_time(const void *a, const void *b) {
        uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

        return (x > y) - (x < y);
}

static double seconds(uint64_t ns) {
        return (double)(int64_t)(ns - begin_ns) / 1e9;
}

static void print_history(const struct record *r, size_t n) {
        static const char *const names[] = {
                [R_SUBMITTED] = "client %u submits it%s",
                [R_ACKNOWLEDGED] = "client %u was told that it is accepted%s",
                [R_RESULT] = "client %u was given the result%s",
                [R_ASKED] = "client %u read the result%s",
                [R_ERROR] = "client %u: the call failed%s",
                [R_BEGUN] = "worker %u begins it%s",
                [R_ENDED] = "worker %u ends it%s",
        };
        for (size_t i = 0; i < n; i++) {
                printf("    %10.6f  ", seconds(r[i].ns));
                if (r[i].what < _R_N) {
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
                        printf(names[r[i].what], r[i].who, r[i].again ? " again" : "");
#pragma GCC diagnostic pop
                }
                if (r[i].what == R_RESULT || r[i].what == R_ASKED || r[i].what == R_ERROR)
                        printf(": status %d, failure %d, %s", r[i].status, r[i].failure,
                               r[i].right ? "right" : "not right");
                printf("  (process %d)\n", r[i].pid);
        }
        for (size_t i = 0; i < n_faults; i++)
                if (faults[i].begin_ns <= r[n - 1].ns && faults[i].seen_ns >= r[0].ns)
                        printf("    %10.6f  fault %s %s %ld until %.6f\n",
                               seconds(faults[i].begin_ns), faults[i].kind, faults[i].scope,
                               faults[i].target, seconds(faults[i].end_ns));
}

static void offends(const struct record *r, size_t n, const char *why) {
        char text[FAAS_ID_TEXT_LEN + 1];

        if (totals.offenders++ >= OFFENDERS_MAX)
                return;
        printf("WRONG: %s: %s\n", faas_id_format(&r->id, text), why);
        print_history(r, n);
}

static bool was_killed(uint32_t client) {
        for (size_t i = 0; i < n_faults; i++)
                if (strcmp(faults[i].scope, "client") == 0 && faults[i].target == (long)client)
                        return true;
        return false;
}

static bool concerns(const struct fault *f, const struct record *a, const struct record *b) {
        if (strcmp(f->scope, "worker") == 0)
                return f->target == (long)a->who || f->target == (long)b->who;
        if (strcmp(f->scope, "slot") == 0)
                return f->target == a->pid || f->target == b->pid;
        return strcmp(f->scope, "all") == 0;
}

/* Of two begins of a task, one after the other: one that hit their own worker or slot, else any. */
static struct kind *explain(const struct record *a, const struct record *b) {
        const struct fault *best = NULL;
        bool best_is_own = false;

        for (size_t i = 0; i < n_faults; i++) {
                const struct fault *f = &faults[i];
                bool own = strcmp(f->scope, "all") != 0;

                if (f->begin_ns > b->ns || f->seen_ns < a->ns || !concerns(f, a, b))
                        continue;
                if (!best || own >= best_is_own) {
                        best = f;
                        best_is_own = own;
                }
        }
        return best ? find_kind(best->kind) : NULL;
}

static void check_executions(const struct record *r, size_t n) {
        const struct record *last = NULL;
        bool bad = false;

        for (size_t i = 0; i < n; i++) {
                if (r[i].what != R_BEGUN)
                        continue;
                totals.executions++;
                if (last) {
                        struct kind *k = explain(last, &r[i]);

                        totals.extra++;
                        if (k)
                                k->explained++;
                        else
                                totals.unexplained++;
                        bad = bad || !k;
                }
                last = &r[i];
        }
        if (bad)
                offends(r, n, "executed again, and no fault explains it");
}

static void check_longest(const struct record *r, uint64_t ns) {
        if (ns <= totals.longest_ns)
                return;
        totals.longest_ns = ns;
        totals.longest = r->id;
}

/* All records of one task, in the order of time. */
static void check_task(const struct record *r, size_t n) {
        const struct record *first[_R_N] = {NULL}, *result;
        size_t told = 0;
        bool wrong = false;

        for (size_t i = 0; i < n; i++) {
                if (r[i].what >= _R_N)
                        exit(2);
                if (!first[r[i].what])
                        first[r[i].what] = &r[i];
                if (r[i].what == R_RESULT || r[i].what == R_ASKED) {
                        told++;
                        wrong = wrong || !r[i].right;
                        result_ns[n_results++] = r[i].ns;
                }
        }
        result = first[R_RESULT] ? first[R_RESULT] : first[R_ASKED];
        totals.submitted += first[R_SUBMITTED] != NULL;
        totals.acknowledged += first[R_ACKNOWLEDGED] != NULL;
        totals.completed += result && !wrong;
        check_executions(r, n);
        if (wrong)
                offends(r, n, "it did not complete with its result");
        else if (told > 1)
                offends(r, n, "its result was told twice");
        else if (first[R_ACKNOWLEDGED] && !result)
                offends(r, n, "acknowledged, and no result");
        else if (first[R_SUBMITTED] && !result && !was_killed(first[R_SUBMITTED]->who))
                offends(r, n, "submitted, and never heard of");
        else if (result && (!first[R_ENDED] || first[R_ENDED]->ns > result->ns))
                offends(r, n, "a result before any execution had ended");
        else if (!first[R_SUBMITTED])
                offends(r, n, "nobody submitted it");
        else if (first[R_ERROR])
                offends(r, n, "a call failed");
        if (first[R_RESULT] && first[R_ACKNOWLEDGED] && result->ns > first[R_ACKNOWLEDGED]->ns)
                check_longest(r, result->ns - first[R_ACKNOWLEDGED]->ns);
}

static void print_summary(void) {
        uint64_t gap = 0, gap_begin = begin_ns, last = begin_ns;
        char text[FAAS_ID_TEXT_LEN + 1];

        qsort(result_ns, n_results, sizeof(*result_ns), by_time);
        for (size_t i = 0; i < n_results; i++) {
                if (result_ns[i] - last > gap && last < offered_ns) {
                        gap = result_ns[i] - last;
                        gap_begin = last;
                }
                last = result_ns[i];
        }
        printf("\n%-28s %8s %18s\n", "faults", "number", "extra executions");
        for (size_t i = 0; i < n_kinds; i++)
                printf("%-28s %8lu %18lu\n", kinds[i].name, kinds[i].n, kinds[i].explained);
        printf("%-28s %8zu %18lu\n", "all", n_faults, totals.extra);
        printf("%-28s %8s %18lu\n\n", "unexplained", "", totals.unexplained);
        printf("tasks submitted              %12lu\n", totals.submitted);
        printf("acknowledged                 %12lu\n", totals.acknowledged);
        printf("completed                    %12lu\n", totals.completed);
        printf("executions                   %12lu\n", totals.executions);
        printf("completed per second         %12.0f\n",
               (double)totals.completed / (seconds(last) + 1e-9));
        printf("longest without a completion %12.3f s, from %.3f s on\n", (double)gap / 1e9,
               seconds(gap_begin));
        printf("longest from acknowledgement %12.3f s, %s\n", (double)totals.longest_ns / 1e9,
               faas_id_format(&totals.longest, text));
        printf("offenders                    %12lu\n", totals.offenders);
}

int main(int argc, char **argv) {
        struct faas_id one;
        bool only_one;

        if (argc != 3)
                return 2;
        only_one = faas_id_parse(&one, argv[2]) == 0;
        reach_ns = only_one ? 0 : strtoull(argv[2], NULL, 10) * 1000000;
        read_logs(argv[1]);
        read_faults(argv[1]);
        if (n_records == 0) {
                puts("WRONG: nobody wrote anything");
                return 1;
        }
        qsort(records, n_records, sizeof(*records), by_task);
        result_ns = need(calloc(n_records, sizeof(*result_ns)), "memory");
        for (size_t i = 0, n; i < n_records; i += n) {
                for (n = 1; i + n < n_records; n++)
                        if (memcmp(&records[i].id, &records[i + n].id, sizeof(one)) != 0)
                                break;
                if (!only_one)
                        check_task(&records[i], n);
                else if (memcmp(&records[i].id, &one, sizeof(one)) == 0)
                        print_history(&records[i], n);
        }
        if (!only_one)
                print_summary();
        free(records);
        free(result_ns);
        return totals.offenders ? 1 : 0;
}
