/*
 * work.c - the worker machine: its links to dispatchers, and the hand-outs it holds
 *
 * A hand-out is named by id and fence.  A result is kept until some dispatcher answers ACK or
 * STALE; NOT_MINE and silence mean "offer it again, to everyone".
 */
#include "core/work.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/work-private.h"

int fa_work_new(struct fa_work **ret, const struct fa_work_cfg *cfg) {
        struct fa_work *w = calloc(1, sizeof(*w));

        if (!w)
                return -ENOMEM;
        w->cfg = *cfg;
        if (cfg->name)
                (void)snprintf(w->name, sizeof(w->name), "%s", cfg->name);
        if (!w->cfg.retry_ns)
                w->cfg.retry_ns = FA_NS_PER_S;
        fa_map_init(&w->held, cfg->seed, sizeof(struct held));
        fa_list_init(&w->waiting);
        fa_list_init(&w->results);
        fa_outbox_init(&w->outbox);
        w->slots = calloc(cfg->n_slots, sizeof(*w->slots));
        w->est = calloc(cfg->n_functions ? cfg->n_functions : 1, sizeof(*w->est));
        w->ops = malloc(OPS_MAX(cfg->n_slots) * sizeof(*w->ops));
        if (!w->slots || !w->est || !w->ops) {
                fa_work_free(w);
                return -ENOMEM;
        }
        for (unsigned i = 0; i < cfg->n_slots; i++)
                fa_list_init(&w->slots[i].queue);
        *ret = w;
        return 0;
}

void fa_work_held_free(struct fa_work *w, struct held *h) {
        fa_list_remove(&h->link);
        fa_blob_unref(h->payload);
        fa_outcome_deinit(&h->outcome);
        fa_map_remove(&w->held, &h->node);
}

struct fa_work *fa_work_free(struct fa_work *w) {
        size_t it = 0;

        if (!w)
                return NULL;
        for (struct held *h; (h = fa_map_next(&w->held, &it));) {
                fa_blob_unref(h->payload);
                fa_outcome_deinit(&h->outcome);
        }
        fa_map_deinit(&w->held);
        fa_outbox_deinit(&w->outbox);
        free(w->slots);
        free(w->est);
        free(w->ops);
        free(w);
        return NULL;
}

/* ---- links ---- */

static struct link *link_find(struct fa_work *w, uint64_t key) {
        for (unsigned i = 0; i < w->n_links; i++)
                if (w->links[i].lane.to == key)
                        return &w->links[i];
        return NULL;
}

struct fa_item *fa_work_item(struct fa_work *w,
                             struct link *l,
                             enum fa_msg_type type,
                             const struct held *h,
                             uint64_t now_ns) {
        struct fa_msg *m;
        size_t text = fa_blob_len(h->outcome.text) + fa_blob_len(h->outcome.log);
        struct fa_item *it = fa_outbox_item(&w->outbox, &l->lane, type, l->epoch, l->session,
                                            fa_blob_len(h->outcome.payload), text, &m);

        if (!it)
                return NULL;
        fa_work_head(w, l, m, now_ns);
        it->id = h->id;
        it->fence = h->fence;
        return it;
}

/* Results are offered again by the shortest of the intervals: a dispatcher that has taken over
 * waits for them as long as it would for a beat. */
uint64_t fa_work_retry(const struct fa_work *w) {
        uint64_t ns = w->cfg.retry_ns;

        for (unsigned i = 0; i < w->n_links; i++)
                if (w->links[i].state == LINK_OPEN && w->links[i].interval_ns)
                        ns = FA_MIN(ns, w->links[i].interval_ns);
        return ns;
}

/* To whoever counts it; while that dispatcher is not there, to all others: one may have taken over.
 */
void fa_work_offer(struct fa_work *w, struct held *h, bool everyone, uint64_t now_ns) {
        if (!everyone && h->from && h->from->state == LINK_OPEN) {
                fa_work_send_result(w, h->from, h, now_ns);
                return;
        }
        for (unsigned i = 0; i < w->n_links; i++)
                if (w->links[i].state == LINK_OPEN)
                        fa_work_send_result(w, &w->links[i], h, now_ns);
}

void fa_work_send_result(struct fa_work *w, struct link *l, struct held *h, uint64_t now_ns) {
        struct fa_item *it = fa_work_item(w, l, FA_MSG_RESULT, h, now_ns);

        if (!it)
                return;
        it->final = 1;
        it->state = h->outcome.status;
        it->failure = h->outcome.failure;
        it->code = h->outcome.code;
        it->payload = fa_blob_ref(h->outcome.payload);
        it->text = fa_blob_ref(h->outcome.text);
        it->log = fa_blob_ref(h->outcome.log);
}

/* ---- hand-outs ---- */

static struct faas_id held_key(const struct faas_id *id, const struct fa_fence *f) {
        struct faas_id key = *id;
        uint64_t mix = f->n ^ ((uint64_t)f->gen << 48) ^ (f->partition << 20);
        uint64_t lo;

        memcpy(&lo, key.b + 8, sizeof(lo));
        lo ^= mix;
        memcpy(key.b + 8, &lo, sizeof(lo));
        return key;
}

static bool is_held(const struct held *h, const struct faas_id *id, const struct fa_fence *f) {
        return memcmp(&h->id, id, sizeof(*id)) == 0 && fa_fence_eq(&h->fence, f);
}

static struct held *
held_find(const struct fa_work *w, const struct faas_id *id, const struct fa_fence *f) {
        struct faas_id key = held_key(id, f);
        struct held *h = fa_map_find(&w->held, &key);

        return h && is_held(h, id, f) ? h : NULL;
}

/* A new one; NULL: it is there, or there is no memory, as if it were lost: the beat's count tells.
 */
static struct held *
held_add(struct fa_work *w, const struct faas_id *id, const struct fa_fence *f) {
        struct faas_id key = held_key(id, f);
        bool added;
        struct held *h = fa_map_find_or_add(&w->held, &key, &added);

        if (h && !added) /* a duplicate, or another one of the same key */
                h = is_held(h, id, f) ? NULL : fa_map_add(&w->held, &key);
        return h;
}

static int function_index(const struct fa_work *w, struct fa_slice name) {
        for (size_t i = 0; i < w->cfg.n_functions; i++) {
                const char *f = w->cfg.functions[i];
                if (strlen(f) == name.len && memcmp(f, name.p, name.len) == 0)
                        return (int)i;
        }
        return -1;
}

static void on_task(struct fa_work *w, struct link *l, const struct fa_item *it, uint64_t now_ns) {
        int f = function_index(w, it->function);
        struct held *h = held_add(w, &it->id, &it->fence);

        if (!h)
                return;
        fa_list_init(&h->link);
        h->id = it->id;
        h->fence = it->fence;
        h->from = h->origin = l;
        h->timeout_ms = it->timeout_ms;
        l->n_held++;
        if (f < 0) {
                struct fa_outcome o;
                fa_outcome_fail(&o, FAAS_FAILURE_NO_FUNCTION, 0,
                                "the worker does not have this function");
                fa_work_ended(w, h, &o, now_ns);
                fa_outcome_deinit(&o);
                return;
        }
        h->payload = fa_blob_ref(it->payload);
        h->function = w->cfg.functions[f];
        h->est = &w->est[f];
        fa_work_wait(w, h, false);
}

/* Such a result is answered STALE also when it came in time: the task runs again. */
static bool tried_again(const struct fa_outcome *o) {
        return o->failure == FAAS_FAILURE_FUNCTION || o->failure == FAAS_FAILURE_CRASHED ||
               o->failure == FAAS_FAILURE_EXITED || o->failure == FAAS_FAILURE_TIMEOUT;
}

/*
 * Its partition has had no owner for long: with a store in memory it died with its dispatcher.  If
 * it comes back nevertheless, the task runs again.
 */
static bool orphaned(const struct fa_work *w, struct held *h, uint64_t now_ns) {
        if (!h->not_mine_ns)
                h->not_mine_ns = now_ns;
        return now_ns - h->not_mine_ns >= ORPHAN_RETRIES * w->cfg.retry_ns;
}

/*
 * May this dispatcher call it void?  One whose store is its own says so of whatever it does not
 * know, and cannot tell those of others.  So another one's word counts only once that which handed
 * it out has been silent for its liveness: until then nobody took over from it, and from then on it
 * takes me for dead.
 */
static bool may_judge(const struct link *l, const struct held *h, uint64_t now_ns) {
        const struct link *o = h->origin;

        return !o || o == l || !o->interval_ns ||
               now_ns >= o->alive_ns + o->interval_ns * o->liveness;
}

/* ACK: it is safe.  STALE: nobody wants it; its slot is better used for something else. */
static void on_answer(struct fa_work *w,
                      struct link *l,
                      const struct fa_msg *m,
                      const struct fa_item *it,
                      uint64_t now_ns) {
        struct held *h = held_find(w, &it->id, &it->fence);

        if (!h || (m->type == FA_MSG_STALE && !may_judge(l, h, now_ns)))
                return;
        if (m->type == FA_MSG_NOT_MINE && fa_rule(KEEP_NOT_MINE)) {
                if (h->state != HELD_RESULT)
                        return;
                if (orphaned(w, h, now_ns)) {
                        w->stats.stale++;
                        fa_work_held_free(w, h);
                        return;
                }
                fa_list_remove(&h->link); /* the retry offers it to everyone */
                h->again_ns = now_ns + fa_work_retry(w);
                fa_list_push_back(&w->results, &h->link);
        } else if (h->state == HELD_RESULT) {
                w->stats.stale += m->type == FA_MSG_STALE && !tried_again(&h->outcome);
                fa_work_held_free(w, h);
        } else if (m->type == FA_MSG_STALE || m->type == FA_MSG_CANCEL) {
                fa_work_cancel(w, h);
        }
}

static void on_adopt(struct fa_work *w, struct link *l, const struct fa_item *it) {
        struct held *h = held_find(w, &it->id, &it->fence);

        if (!h || h->from == l || h->dropped)
                return;
        if (h->state != HELD_RESULT) {
                if (h->from)
                        h->from->n_held--;
                l->n_held++;
        }
        h->from = h->origin = l;
}

static void
on_session_msg(struct fa_work *w, struct link *l, const struct fa_msg *m, uint64_t now_ns) {
        if (m->type == FA_MSG_TASK) {
                if (m->seq <= l->seen_seq && fa_rule(TASK_SEQ))
                        return; /* a repeat, or overtaken */
                l->seen_seq = m->seq;
                l->ask = 0; /* answered */
        }
        for (uint32_t i = 0; i < m->n_items; i++) {
                const struct fa_item *it = &m->items[i];
                if (m->type == FA_MSG_TASK)
                        on_task(w, l, it, now_ns);
                else if (m->type == FA_MSG_ADOPT)
                        on_adopt(w, l, it);
                else
                        on_answer(w, l, m, it, now_ns);
        }
}

static void on_msg(struct fa_work *w, struct link *l, const struct fa_msg *m, uint64_t now_ns) {
        if (l->state == LINK_GONE)
                return;
        if (m->type == FA_MSG_WELCOME && m->epoch == 0) {
                fa_work_hello(w, l, now_ns); /* it does not know me */
                return;
        }
        l->heard_ns = l->alive_ns = now_ns;
        switch (m->type) {
        case FA_MSG_WELCOME:
                fa_work_welcome(w, l, m, now_ns);
                break;
        case FA_MSG_DISCONNECT: /* not at once again: it has a reason */
                l->state = LINK_HELLO;
                l->sent_ns = now_ns;
                break;
        case FA_MSG_TASK:
        case FA_MSG_ADOPT:
        case FA_MSG_CANCEL:
                if (l->state == LINK_OPEN && (m->session == l->session || !fa_rule(SESSION)))
                        on_session_msg(w, l, m, now_ns);
                break;
        case FA_MSG_ACK:
        case FA_MSG_STALE:
        case FA_MSG_NOT_MINE: /* they go by the fence, whatever the session */
                on_session_msg(w, l, m, now_ns);
                break;
        default:
                break;
        }
}

int fa_work_input(struct fa_work *w, const struct fa_event *ev, uint64_t now_ns) {
        struct link *l;

        switch (ev->kind) {
        case FA_EV_MSG:
                l = link_find(w, ev->peer);
                if (l)
                        on_msg(w, l, ev->msg, now_ns);
                break;
        case FA_EV_PEER_DOWN:
                l = link_find(w, ev->peer);
                if (l && l->state == LINK_OPEN) {
                        l->state = LINK_HELLO; /* said again by the interval, or when it is up */
                        l->sent_ns = now_ns;
                }
                break;
        case FA_EV_PEER_UP:
                l = link_find(w, ev->peer);
                if (l && l->state != LINK_GONE) {
                        l->state = LINK_HELLO;
                        fa_work_hello(w, l, now_ns);
                }
                break;
        case FA_EV_SLOT_UP:
        case FA_EV_SLOT_RESULT:
        case FA_EV_SLOT_RETURNED:
        case FA_EV_SLOT_DOWN:
                if (ev->slot >= w->cfg.n_slots)
                        return -EINVAL;
                fa_work_slot_input(w, ev, now_ns);
                break;
        default:
                return -EINVAL;
        }
        fa_work_assign(w, now_ns);
        fa_work_ask(w, now_ns);
        return 0;
}

void fa_work_tick(struct fa_work *w, uint64_t now_ns) {
        struct fa_list *first;

        fa_work_slot_tick(w, now_ns);
        while ((first = fa_list_first(&w->results))) {
                struct held *h = fa_list_entry(first, struct held, link);
                if (h->again_ns > now_ns)
                        break;
                fa_list_remove(first);
                h->again_ns = now_ns + fa_work_retry(w);
                fa_list_push_back(&w->results, first);
                fa_work_offer(w, h, true, now_ns);
        }
        for (unsigned i = 0; i < w->n_links; i++)
                fa_work_link_tick(w, &w->links[i], now_ns);
        if (w->draining)
                (void)fa_work_drain(w, now_ns);
        fa_work_assign(w, now_ns);
        fa_work_ask(w, now_ns);
}

uint64_t fa_work_deadline(const struct fa_work *w) {
        uint64_t at = FA_MIN(fa_work_slot_deadline(w), fa_work_drain_deadline(w));
        struct fa_list *first = fa_list_first(&w->results);

        for (unsigned i = 0; i < w->n_links; i++)
                at = FA_MIN(at, fa_work_link_deadline(w, &w->links[i]));
        if (first)
                at = FA_MIN(at, fa_list_entry(first, struct held, link)->again_ns);
        return at;
}

struct fa_outbox *fa_work_outbox(struct fa_work *w) {
        return &w->outbox;
}

size_t fa_work_held(const struct fa_work *w) {
        return w->held.n;
}
