/*
 * disp-report.c - what the dispatcher tells of itself: its numbers, and its workers
 *
 * The list of workers goes out in parts.  Each part carries the numbers too, so that the client
 * knows how many workers there must be, and asks again if it has another number of them.
 */
#include <stdlib.h>
#include <string.h>

#include "core/disp-private.h"
#include "model/report.h"

/* Kept cut: it is for people. Without memory it stays as it was. */
void fa_disp_name(struct peer *p, struct fa_slice name) {
        struct fa_blob *b = NULL;

        if (fa_blob_new(&b, name.p, FA_MIN(name.len, (size_t)FA_PEER_NAME_MAX)))
                return;
        fa_blob_unref(p->name);
        p->name = b;
}

void fa_disp_stats(const struct fa_disp *d, struct fa_disp_stats *ret) {
        struct fa_list *it;

        *ret = d->stats;
        ret->n_queued = d->n_in[TASK_QUEUED];
        if (d->home) { /* what only the store has */
                ret->n_queued += d->home->n_out;
                ret->n_tasks += d->home->n_out - FA_MIN(d->home->n_out, d->n_in[TASK_STORED]);
        }
        ret->n_running = d->n_in[TASK_HANDED];
        fa_list_for_each (it, &d->peers) {
                const struct peer *p = fa_list_entry(it, struct peer, link);
                ret->n_workers += p->registered;
                ret->n_slots += p->registered ? p->n_slots : 0;
                ret->n_clients += p->role == FA_ROLE_CLIENT;
        }
}

void fa_disp_note(struct fa_disp *d, uint64_t bad_messages, uint64_t dropped) {
        d->bad_messages = bad_messages;
        d->dropped = dropped;
}

void fa_disp_values(const struct fa_disp *d, uint64_t *v, uint64_t now_ns) {
        struct fa_disp_stats s;

        fa_disp_stats(d, &s);
        v[FA_STAT_EPOCH] = d->epoch;
        v[FA_STAT_UPTIME_MS] = (now_ns - d->started_ns) / FA_NS_PER_MS;
        v[FA_STAT_ACCEPTED] = s.accepted;
        v[FA_STAT_COMPLETED] = s.completed;
        v[FA_STAT_FAILED] = s.failed;
        v[FA_STAT_CANCELLED] = s.cancelled;
        v[FA_STAT_REFUSED] = s.refused;
        v[FA_STAT_HANDED_OUT] = s.handed_out;
        v[FA_STAT_REQUEUED] = s.requeued;
        v[FA_STAT_STRIKES] = s.strikes;
        v[FA_STAT_STALE_RESULTS] = s.stale_results;
        v[FA_STAT_LOST_WORKERS] = s.lost_workers;
        v[FA_STAT_BAD_MESSAGES] = d->bad_messages;
        v[FA_STAT_DROPPED] = d->dropped;
        v[FA_STAT_TASKS] = s.n_tasks;
        v[FA_STAT_QUEUED] = s.n_queued;
        v[FA_STAT_RUNNING] = s.n_running;
        v[FA_STAT_WORKERS] = s.n_workers;
        v[FA_STAT_SLOTS] = s.n_slots;
        v[FA_STAT_CLIENTS] = s.n_clients;
}

/* A part that others follow, until somebody says that it is the last. */
static struct fa_msg *
part(struct fa_disp *d, struct peer *p, uint8_t what, const uint64_t v[_FA_STAT_N]) {
        struct fa_msg *m = fa_outbox_msg(&d->outbox, &p->lane, FA_MSG_REPORT);

        if (!m)
                return NULL;
        m->epoch = p->incarnation;
        m->what = what;
        m->more = 1;
        m->values = malloc(_FA_STAT_N * sizeof(*v));
        if (!m->values)
                return NULL;
        memcpy(m->values, v, _FA_STAT_N * sizeof(*v));
        m->n_values = _FA_STAT_N;
        return m;
}

static void fill_worker(struct fa_item *it, const struct peer *w, uint64_t now_ns) {
        uint64_t silent_ms = (now_ns - w->seen_ns) / FA_NS_PER_MS;

        it->from = w->incarnation;
        it->done = w->n_done;
        it->n_slots = w->n_slots;
        it->held = w->n_held;
        it->grant = w->grant;
        it->silent_ms = (uint32_t)FA_MIN(silent_ms, (uint64_t)UINT32_MAX);
        it->text = fa_blob_ref(w->name);
}

/* Without memory the list ends early, and the client asks again. */
void fa_disp_report(struct fa_disp *d, struct peer *p, uint8_t what, uint64_t now_ns) {
        enum { PART_MAX = 128 }; /* with the longest names they fit an envelope */
        uint64_t values[_FA_STAT_N];
        struct fa_msg *m;
        struct fa_list *it;

        fa_disp_values(d, values, now_ns);
        m = part(d, p, what, values);
        fa_list_for_each (it, &d->peers) {
                const struct peer *w = fa_list_entry(it, struct peer, link);
                struct fa_item *item;
                if (!w->registered || what != FA_QUERY_WORKERS)
                        continue;
                if (m && m->n_items == PART_MAX)
                        m = part(d, p, what, values);
                item = m ? fa_msg_add(m) : NULL;
                if (!item)
                        return;
                fill_worker(item, w, now_ns);
        }
        if (m)
                m->more = 0;
}
