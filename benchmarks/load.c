/* load.c - see load.h */
#include "load.h"

#include <stdio.h>
#include <string.h>

#include "programs.h"

#define STEP_S 0.01 /* of the pace */
#define AT_ONCE 2048
#define CHUNK 256
#define IN_FLIGHT 4096
#define LATE_S 0.1 /* what is due for longer is not made up for */
#define WINDOW_S 0.5

int load_open(struct load *l, const char *url, double rate) {
        struct faas_client_cfg cfg = FAAS_CLIENT_CFG_INIT;

        memset(l, 0, sizeof(*l));
        l->rate = rate;
        cfg.submit_timeout_ms = 120000;
        if (faas_client_open(&l->client, url, NULL, &cfg)) {
                fprintf(stderr, "load: %s: %s\n", url, faas_error_text());
                return -1;
        }
        l->began = l->due = programs_now();
        return 0;
}

void load_close(struct load *l) {
        l->client = faas_client_close(l->client);
}

static void error(struct load *l, const char *what) {
        if (!l->errors++)
                fprintf(stderr, "load: %s: %s\n", what, faas_error_text());
}

void load_submit(struct load *l, unsigned n) {
        static struct faas_task tasks[AT_ONCE];
        static struct faas_id ids[AT_ONCE];
        static const char payload[16] = "0123456789abcde";
        size_t accepted = 0;

        for (unsigned done = 0; done < n; done += AT_ONCE) {
                unsigned k = n - done < AT_ONCE ? n - done : AT_ONCE;
                for (unsigned i = 0; i < k; i++)
                        tasks[i] = (struct faas_task){.function = "echo",
                                                      .payload = payload,
                                                      .payload_len = sizeof(payload)};
                if (faas_submit_many(l->client, tasks, k, ids, &accepted))
                        error(l, "submit");
                else
                        l->last = ids[k - 1];
                l->submitted += accepted;
        }
}

static void note(struct load *l, const struct faas_result *r) {
        double now = programs_now();
        size_t bin = (size_t)((now - l->began) * LOAD_BINS_PER_S);

        if (r->status != FAAS_COMPLETED)
                error(l, "a task failed");
        l->completed++;
        if (bin < sizeof(l->bins) / sizeof(l->bins[0]))
                l->bins[bin]++;
        if (l->marked == 0 || memcmp(&r->id, &l->mark, sizeof(r->id)) > 0)
                return;
        if (l->first == 0)
                l->first = now;
        l->end = now;
}

/* Takes results until then. */
static void collect(struct load *l, double until) {
        struct faas_result r = FAAS_RESULT_INIT;
        double now;

        while ((now = programs_now()) < until && l->completed < l->submitted) {
                int e = faas_wait_any(l->client, (int)((until - now) * 1e3) + 1, &r);
                if (e == 0)
                        note(l, &r);
                else if (e != FAAS_E_AGAIN)
                        error(l, "wait");
        }
        if (programs_now() < until)
                programs_sleep(until - programs_now());
        faas_result_clear(&r);
}

void load_pass(struct load *l, unsigned long n) {
        struct faas_result r = FAAS_RESULT_INIT;
        unsigned long end = l->completed + n;

        while (l->completed < end && !l->errors) {
                while (l->submitted < end && l->submitted - l->completed + CHUNK <= IN_FLIGHT &&
                       !l->errors)
                        load_submit(l, end - l->submitted < CHUNK ? (unsigned)(end - l->submitted)
                                                                  : CHUNK);
                if (faas_wait_any(l->client, 60000, &r))
                        error(l, "wait");
                else
                        note(l, &r);
        }
        faas_result_clear(&r);
}

void load_run(struct load *l, double seconds) {
        double end = programs_now() + seconds;

        while (programs_now() < end) {
                double now = programs_now();
                if (l->due < now - LATE_S)
                        l->due = now;
                if (l->due <= now) {
                        load_submit(l, (unsigned)(l->rate * STEP_S + 0.5));
                        l->due += STEP_S;
                }
                collect(l, l->due < end ? l->due : end);
        }
}

void load_mark(struct load *l) {
        l->mark = l->last;
        l->marked = programs_now();
        l->marked_open = l->submitted - l->completed;
        l->first = l->end = 0;
}

unsigned long load_finish(struct load *l, double seconds) {
        double end = programs_now() + seconds;

        while (l->completed < l->submitted && programs_now() < end)
                collect(l, programs_now() + 0.05);
        return l->submitted - l->completed;
}

static double count(const struct load *l, double from, double to) {
        double n = 0;

        for (long i = (long)((from - l->began) * LOAD_BINS_PER_S);
             i < (long)((to - l->began) * LOAD_BINS_PER_S); i++)
                if (i >= 0 && i < (long)(sizeof(l->bins) / sizeof(l->bins[0])))
                        n += l->bins[i];
        return n;
}

double load_rate(const struct load *l, double from, double to) {
        return count(l, from, to) / (to - from);
}

double load_back(const struct load *l, double from, double rate) {
        double now = programs_now();

        for (double t = from; t + WINDOW_S <= now; t += 1.0 / LOAD_BINS_PER_S)
                if (count(l, t, t + WINDOW_S) >= rate * WINDOW_S)
                        return t - from;
        return -1;
}
