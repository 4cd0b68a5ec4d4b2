/* faas-show.c - what a dispatcher says about itself and its workers, for people and as JSON */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "faas.h"
#include "json.h"
#include "say.h"

static int by_name(const void *a, const void *b) {
        const struct faas_worker_info *x = a;
        const struct faas_worker_info *y = b;
        int order = strcmp(x->name, y->name);

        return order ? order
                     : (x->incarnation > y->incarnation) - (x->incarnation < y->incarnation);
}

/* A name is what a worker calls itself: nothing that a terminal would obey. */
static void make_plain(char *name) {
        for (; *name; name++) {
                if ((unsigned char)*name < ' ' || *name == 0x7f)
                        *name = '?';
        }
}

static void workers_table(struct faas_worker_info *w, size_t n) {
        int width = (int)strlen("NAME");

        for (size_t i = 0; i < n; i++) {
                make_plain(w[i].name);
                if ((int)strlen(w[i].name) > width)
                        width = (int)strlen(w[i].name);
        }
        printf("%-*s %6s %6s %6s %12s %10s\n", width, "NAME", "SLOTS", "HELD", "WANTS", "DONE",
               "SILENT");
        for (size_t i = 0; i < n; i++)
                printf("%-*s %6" PRIu32 " %6" PRIu32 " %6" PRIu32 " %12" PRIu64 " %8.1f s\n", width,
                       w[i].name, w[i].n_slots, w[i].held, w[i].grant, w[i].done,
                       (double)w[i].silent_ms / 1000);
}

/* An incarnation may be larger than what a reader of JSON holds in a number: it is text. */
static void workers_json(const struct faas_worker_info *w, size_t n) {
        putchar('[');
        for (size_t i = 0; i < n; i++) {
                fputs(i ? ",\n {" : "{", stdout);
                fa_json_bytes(stdout, "name", w[i].name, strlen(w[i].name));
                printf(",\"incarnation\":\"%" PRIu64 "\",\"slots\":%" PRIu32 ",\"held\":%" PRIu32
                       ",\"wants\":%" PRIu32 ",\"done\":%" PRIu64 ",\"silent_ms\":%" PRIu32 "}",
                       w[i].incarnation, w[i].n_slots, w[i].held, w[i].grant, w[i].done,
                       w[i].silent_ms);
        }
        puts("]");
}

int fa_workers(const struct fa_command_line *l) {
        struct faas_worker_info *w = NULL;
        size_t n = 0;
        int r = faas_client_workers(l->client, &w, &n);

        if (r)
                return fa_explain(r, NULL);
        if (n > 0)
                qsort(w, n, sizeof(*w), by_name);
        if (l->json)
                workers_json(w, n);
        else
                workers_table(w, n);
        free(w);
        return FA_EXIT_OK;
}

int fa_stats(const struct fa_command_line *l) {
        struct faas_stats s;
        int r = faas_client_stats(l->client, &s);

        if (r)
                return fa_explain(r, NULL);
        const struct {
                const char *name;
                uint64_t value;
        } rows[] = {
                {"epoch", s.epoch},
                {"uptime_ms", s.uptime_ms},
                {"accepted", s.accepted},
                {"completed", s.completed},
                {"failed", s.failed},
                {"cancelled", s.cancelled},
                {"refused", s.refused},
                {"handed_out", s.handed_out},
                {"requeued", s.requeued},
                {"strikes", s.strikes},
                {"stale_results", s.stale_results},
                {"lost_workers", s.lost_workers},
                {"bad_messages", s.bad_messages},
                {"dropped", s.dropped},
                {"tasks", s.tasks},
                {"queued", s.queued},
                {"running", s.running},
                {"workers", s.workers},
                {"slots", s.slots},
                {"clients", s.clients},
        };
        for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
                if (l->json)
                        printf("%s\"%s\":%" PRIu64, i ? "," : "{", rows[i].name, rows[i].value);
                else
                        printf("%-14s %20" PRIu64 "\n", rows[i].name, rows[i].value);
        }
        if (l->json)
                puts("}");
        return FA_EXIT_OK;
}
