/*
 * work-link.c - the worker's links to its dispatchers: hello, sessions, beats
 *
 * A session opens with a REGISTER that lists every hand-out held.  A link that is silent, or whose
 * connection broke, goes back to HELLO; what is held stays, and is listed again.
 */
#include <stdlib.h>
#include <string.h>

#include "core/work-private.h"

void fa_work_hello(struct fa_work *w, struct link *l, uint64_t now_ns) {
        struct fa_msg *m = fa_outbox_msg(&w->outbox, &l->lane, FA_MSG_HELLO);

        l->sent_ns = now_ns;
        if (!m)
                return;
        m->role = FA_ROLE_WORKER;
        m->text = (struct fa_slice){(const uint8_t *)w->name, strlen(w->name)};
        m->from = w->cfg.incarnation;
}

int fa_work_connect(struct fa_work *w, uint64_t key, uint64_t now_ns) {
        struct link *l;

        if (w->n_links == LINKS_MAX)
                return FAAS_E_LIMIT;
        l = &w->links[w->n_links++];
        *l = (struct link){.lane = {.to = key}, .heard_ns = now_ns, .interval_ns = w->cfg.retry_ns};
        fa_work_hello(w, l, now_ns);
        return 0;
}

/* Hand-outs without a result, of all dispatchers. */
static uint32_t total(const struct fa_work *w) {
        return (uint32_t)w->n_waiting + w->n_slotted;
}

/* How many hand-outs this dispatcher may let me hold: what others fill is not offered to it. */
static uint32_t want(const struct fa_work *w, const struct link *l) {
        uint32_t all = fa_work_grant(w);
        uint32_t held = total(w);

        if (w->draining)
                return 0;
        return l->n_held + (all > held ? all - held : 0);
}

void fa_work_head(struct fa_work *w, struct link *l, struct fa_msg *m, uint64_t now_ns) {
        m->epoch = l->epoch;
        m->session = l->session;
        l->sent_ns = now_ns;
        if (m->type == FA_MSG_STARTED)
                return;
        m->grant = l->pull ? l->ask : want(w, l);
        l->told = m->grant;
}

static void request(struct fa_work *w, struct link *l, uint32_t n, uint64_t now_ns) {
        struct fa_msg *m = fa_outbox_msg(&w->outbox, &l->lane, FA_MSG_REQUEST);

        l->ask = n;
        if (m)
                fa_work_head(w, l, m, now_ns);
        l->told = n;
}

/*
 * Pull: it asks when a slot has nothing, and before that when half of what it could hold is done,
 * so that its slots stay busy over a round trip.  Push: results renew the credit, but not what
 * another dispatcher's results made room for.
 */
static bool should_ask(const struct fa_work *w, const struct link *l, uint32_t n) {
        if (l->state != LINK_OPEN || n <= l->n_held)
                return false;
        if (!l->pull)
                return l->told < n && l->told <= l->n_held;
        return !l->ask && (w->n_busy < w->n_up || total(w) <= fa_work_grant(w) / 2);
}

void fa_work_ask(struct fa_work *w, uint64_t now_ns) {
        for (unsigned i = 0; i < w->n_links; i++) {
                struct link *l = &w->links[i];
                uint32_t n = want(w, l);
                if (should_ask(w, l, n))
                        request(w, l, n, now_ns);
        }
}

/* No more, please. */
void fa_work_ask_nothing(struct fa_work *w, uint64_t now_ns) {
        for (unsigned i = 0; i < w->n_links; i++)
                if (w->links[i].state == LINK_OPEN)
                        request(w, &w->links[i], 0, now_ns);
}

/* A part of the REGISTER list, with the functions' names. */
static struct fa_msg *register_part(struct fa_work *w, struct link *l, uint64_t now_ns) {
        struct fa_msg *m = fa_outbox_msg(&w->outbox, &l->lane, FA_MSG_REGISTER);
        size_t n = w->cfg.n_functions;

        if (!m)
                return NULL;
        fa_work_head(w, l, m, now_ns);
        m->from = w->cfg.incarnation;
        m->n_slots = w->cfg.n_slots;
        m->names_own = calloc(n ? n : 1, sizeof(*m->names_own));
        if (!m->names_own)
                return NULL;
        for (size_t i = 0; i < n; i++)
                m->names_own[i] = (struct fa_slice){(const uint8_t *)w->cfg.functions[i],
                                                    strlen(w->cfg.functions[i])};
        m->names = m->names_own;
        m->n_names = (uint32_t)n;
        return m;
}

static bool list_held(struct fa_work *w, struct link *l, uint64_t now_ns) {
        enum { PART_MAX = 128 };
        struct fa_msg *m = register_part(w, l, now_ns);
        const struct held *h;
        size_t it = 0;

        while (m && (h = fa_map_next(&w->held, &it))) {
                struct fa_item *item;
                if (h->dropped)
                        continue;
                if (m->n_items == PART_MAX) {
                        m->more = 1;
                        m = register_part(w, l, now_ns);
                        if (!m)
                                return false;
                }
                item = fa_msg_add(m);
                if (!item)
                        return false;
                item->id = h->id;
                item->fence = h->fence;
                item->state = h->state == HELD_RESULT ? FA_HELD_RESULT : FA_HELD_WAITING;
                if (h->state == HELD_SLOT && fa_list_first(&w->slots[h->slot].queue) == &h->link)
                        item->state = FA_HELD_STARTED;
        }
        return m != NULL;
}

/* Another dispatcher than before: what it counts of what the former one handed out it says by
 * ADOPT. */
static void disown(struct fa_work *w, struct link *l) {
        size_t it = 0;

        for (struct held *h; (h = fa_map_next(&w->held, &it));)
                if (h->from == l)
                        h->from = NULL;
        l->n_held = 0;
}

/* Opens a new session: everything that is held is listed, every result offered again. */
void fa_work_welcome(struct fa_work *w, struct link *l, const struct fa_msg *m, uint64_t now_ns) {
        struct fa_list *it;

        if (l->epoch != m->from)
                disown(w, l);
        l->epoch = m->from;
        l->interval_ns = m->interval_ms * FA_NS_PER_MS;
        l->liveness = m->liveness;
        l->phase_ns = m->phase_ms * FA_NS_PER_MS;
        l->first_beat = l->state == LINK_HELLO;
        l->state = LINK_OPEN;
        l->session = ++w->session;
        l->seen_seq = 0;
        l->pull = m->mode == FA_MODE_PULL;
        l->ask = want(w, l);
        if (!list_held(w, l, now_ns)) {
                l->state = LINK_HELLO; /* no memory: once more from the start */
                return;
        }
        fa_list_for_each (it, &w->results)
                fa_work_send_result(w, l, fa_list_entry(it, struct held, link), now_ns);
}

static void beat(struct fa_work *w, struct link *l, uint64_t now_ns) {
        struct fa_msg *m = fa_outbox_msg(&w->outbox, &l->lane, FA_MSG_BEAT);

        l->first_beat = false;
        l->sent_ns = now_ns;
        if (!m)
                return;
        fa_work_head(w, l, m, now_ns);
        m->seq = l->seen_seq;
        m->held = l->n_held;
}

/* When this link wants to be looked at.  Without beats a HELLO may be lost all the same: where
 * there is no network, for want of memory. */
uint64_t fa_work_link_deadline(const struct fa_work *w, const struct link *l) {
        uint64_t wait = l->first_beat ? l->phase_ns : l->interval_ns;

        if (l->state == LINK_GONE)
                return FA_NEVER;
        if (l->state == LINK_HELLO)
                return l->sent_ns + (l->interval_ns ? l->interval_ns : w->cfg.retry_ns);
        if (!l->interval_ns)
                return FA_NEVER;
        return FA_MIN(l->sent_ns + wait, l->heard_ns + l->interval_ns * l->liveness);
}

void fa_work_link_tick(struct fa_work *w, struct link *l, uint64_t now_ns) {
        if (fa_work_link_deadline(w, l) > now_ns)
                return;
        if (l->state == LINK_HELLO) {
                fa_work_hello(w, l, now_ns);
        } else if (now_ns >= l->heard_ns + l->interval_ns * l->liveness) {
                l->state = LINK_HELLO; /* silent: is it still there? */
                l->heard_ns = now_ns;
                fa_work_hello(w, l, now_ns);
        } else {
                beat(w, l, now_ns);
        }
}

bool fa_work_reaches(const struct fa_work *w) {
        for (unsigned i = 0; i < w->n_links; i++)
                if (w->links[i].state == LINK_OPEN)
                        return true;
        return false;
}

uint64_t fa_work_patience(const struct fa_work *w) {
        uint64_t wait = FA_NS_PER_S;

        for (unsigned i = 0; i < w->n_links; i++) {
                const struct link *l = &w->links[i];
                wait = FA_MAX(wait, l->interval_ns * l->liveness);
        }
        return wait;
}

void fa_work_goodbye(struct fa_work *w) {
        for (unsigned i = 0; i < w->n_links; i++) {
                struct link *l = &w->links[i];
                struct fa_msg *m = fa_outbox_msg(&w->outbox, &l->lane, FA_MSG_DISCONNECT);
                l->state = LINK_GONE;
                if (m)
                        m->epoch = l->epoch;
        }
}

void fa_work_stats(const struct fa_work *w, struct fa_work_stats *ret) {
        *ret = w->stats;
        ret->n_open = 0;
        for (unsigned i = 0; i < w->n_links; i++)
                ret->n_open += w->links[i].state == LINK_OPEN;
}
