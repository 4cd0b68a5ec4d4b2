/*
 * disp.c - the dispatcher machine: its life, its input, its time
 *
 * The shell drives it: events in, then tick, then groups and messages out.  Everything that is
 * judged by time looks at the arguments; nothing here waits, allocates in proportion to a
 * peer's word, or calls back.
 */
#include "core/disp.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/disp-private.h"

static void defaults(struct fa_disp_cfg *c) {
        if (!c->heartbeat_ns)
                c->heartbeat_ns = FA_NS_PER_S;
        if (!c->liveness)
                c->liveness = 3;
        if (!c->window_tasks)
                c->window_tasks = 1u << 20;
        if (!c->window_bytes)
                c->window_bytes = UINT64_C(512) << 20;
        if (!c->tick_ns)
                c->tick_ns = FA_NS_PER_S;
        if (!c->lease_ticks)
                c->lease_ticks = 3;
        if (!c->max_groups)
                c->max_groups = 4;
        if (!c->max_strikes)
                c->max_strikes = 3; /* a task that kills three slots is at fault itself */
        if (!c->unstarted_max)
                c->unstarted_max = 16;
}

int fa_disp_new(struct fa_disp **ret, const struct fa_disp_cfg *cfg) {
        struct fa_disp *d = calloc(1, sizeof(*d));

        if (!d)
                return -ENOMEM;
        d->cfg = *cfg;
        defaults(&d->cfg);
        fa_map_init(&d->tasks, cfg->seed, sizeof(struct task));
        fa_map_init(&d->peers_by_key, cfg->seed ^ 1, sizeof(struct peer));
        fa_map_init(&d->workers, cfg->seed ^ 4, sizeof(struct place));
        fa_map_init(&d->parts_by_number, cfg->seed ^ 3, sizeof(struct part));
        fa_map_init(&d->clients, cfg->seed ^ 2, sizeof(struct place));
        fa_list_init(&d->peers);
        fa_list_init(&d->kinds);
        fa_list_init(&d->busy);
        fa_list_init(&d->given);
        fa_list_init(&d->hinting);
        d->hint_at_ns = FA_NEVER;
        fa_list_init(&d->parts);
        fa_list_init(&d->stored);
        fa_list_init(&d->inherited);
        fa_list_init(&d->finals);
        fa_list_init(&d->elsewhere);
        fa_outbox_init(&d->outbox);
        d->control_last = &d->control;
        d->closed_last = &d->closed;
        if (fa_disp_store_start(d)) {
                fa_disp_free(d);
                return -ENOMEM;
        }
        *ret = d;
        return 0;
}

static void peer_free(struct fa_disp *d, struct peer *p) {
        struct fa_list *l;

        fa_disp_client_close(d, p);
        while ((l = fa_list_first(&p->finishing))) {
                fa_list_remove(l);
                fa_disp_run_of(fa_list_entry(l, struct task, link))->worker = NULL;
        }
        fa_list_remove(&p->ready);
        fa_list_remove(&p->given);
        fa_list_remove(&p->hinting);
        fa_list_remove(&p->link);
        fa_heap_remove(&d->alive, &p->alive);
        fa_disp_worker_leave(d, p);
        fa_disp_kind_leave(p);
        fa_blob_unref(p->name);
        fa_map_remove(&d->peers_by_key, &p->node);
}

struct fa_disp *fa_disp_free(struct fa_disp *d) {
        struct fa_list *l;

        if (!d)
                return NULL;
        fa_disp_tasks_free(d);
        while ((l = fa_list_first(&d->peers)))
                peer_free(d, fa_list_entry(l, struct peer, link));
        fa_disp_classes_free(d);
        while (d->control) {
                struct fa_group *g = d->control;
                d->control = g->next;
                fa_group_free(g);
        }
        while (d->closed) {
                struct fa_group *g = d->closed;
                d->closed = g->next;
                fa_group_free(g);
        }
        while (d->spare_groups) {
                struct fa_group *g = d->spare_groups;
                d->spare_groups = g->next;
                fa_group_free(g);
        }
        fa_group_free(d->open);
        fa_map_deinit(&d->parts_by_number);
        fa_map_deinit(&d->peers_by_key);
        fa_map_deinit(&d->clients);
        fa_map_deinit(&d->workers);
        fa_heap_deinit(&d->alive);
        fa_outbox_deinit(&d->outbox);
        free(d);
        return NULL;
}

/* How long a peer may be silent; FA_NEVER: for ever, as in one process. */
uint64_t fa_disp_patience(const struct fa_disp *d) {
        return d->cfg.heartbeat_ns == FA_NEVER ? FA_NEVER : d->cfg.heartbeat_ns * d->cfg.liveness;
}

static uint64_t later(uint64_t ns, uint64_t by_ns) {
        return by_ns > FA_NEVER - ns ? FA_NEVER : ns + by_ns;
}

struct faas_id fa_disp_key(uint64_t number) {
        struct faas_id id = {{0}};

        memcpy(id.b, &number, sizeof(number));
        return id;
}

struct peer *fa_disp_peer(struct fa_disp *d, uint64_t key, bool create, uint64_t now_ns) {
        struct faas_id id = fa_disp_key(key);
        struct peer *p = fa_map_find(&d->peers_by_key, &id);

        if (p)
                return p;
        if (!create || d->peers_by_key.n >= FA_PEERS_MAX)
                return NULL;
        p = fa_map_add(&d->peers_by_key, &id);
        if (!p)
                return NULL;
        p->lane.to = key;
        p->role = _FA_ROLE_N;
        p->seen_ns = now_ns;
        fa_list_init(&p->ready);
        fa_list_init(&p->given);
        fa_list_init(&p->hinting);
        fa_list_init(&p->held);
        fa_list_init(&p->finishing);
        fa_list_init(&p->waiters);
        fa_list_push_back(&d->peers, &p->link);
        if (fa_heap_set(&d->alive, &p->alive, later(now_ns, fa_disp_patience(d)))) {
                peer_free(d, p);
                return NULL;
        }
        return p;
}

/* Tells a peer who I am now: it registers, or submits and asks anew. */
void fa_disp_welcome(struct fa_disp *d, struct peer *p) {
        struct fa_msg *m = fa_outbox_msg(&d->outbox, &p->lane, FA_MSG_WELCOME);

        if (!m)
                return;
        m->epoch = p->incarnation;
        m->from = d->epoch;
        m->mode = d->cfg.mode;
        if (d->cfg.heartbeat_ns != FA_NEVER)
                m->interval_ms =
                        (uint32_t)((d->cfg.heartbeat_ns + FA_NS_PER_MS - 1) / FA_NS_PER_MS);
        m->liveness = d->cfg.liveness;
        /* Steps of the golden ratio spread any number of peers evenly over the interval. */
        d->phase += UINT64_C(0x9e3779b97f4a7c15);
        m->phase_ms = (uint32_t)((d->phase >> 32) * m->interval_ms >> 32);
        m->window_tasks = d->cfg.window_tasks;
        m->window_bytes = d->cfg.window_bytes;
}

/* Only worker messages carry hand-outs, only client messages submit: the type says the role. */
static bool from_worker(const struct peer *p, const struct fa_msg *m) {
        return fa_msg_authorise(FA_ROLE_WORKER, m->type) &&
               (p->role == FA_ROLE_WORKER || m->session ||
                !fa_msg_authorise(FA_ROLE_CLIENT, m->type));
}

/*
 * lost: it said no goodbye.  false: no memory to take all its tasks back; it stays, and is judged
 * again.
 */
static bool peer_down(struct fa_disp *d, struct peer *p, bool lost) {
        d->stats.lost_workers += lost && p->registered;
        fa_disp_worker_close(d, p);
        if (!fa_list_empty(&p->held))
                return false;
        peer_free(d, p);
        return true;
}

static void on_msg(struct fa_disp *d, uint64_t key, const struct fa_msg *m, uint64_t now_ns) {
        struct peer *p;

        if (!d->epoch)
                return; /* nobody knows me yet: they say HELLO again */
        p = fa_disp_peer(d, key, true, now_ns);
        if (!p)
                return;
        p->seen_ns = now_ns;
        if (m->type == FA_MSG_HELLO) {
                if (p->incarnation != m->from) {
                        d->stats.lost_workers += p->registered;
                        fa_disp_worker_close(d, p);
                        fa_disp_client_close(d, p);
                }
                p->incarnation = m->from;
                if (m->role < FA_ROLE_DISPATCHER)
                        p->role = m->role;
                if (p->role == FA_ROLE_CLIENT)
                        fa_disp_client_here(d, p);
                fa_disp_name(p, m->text);
                fa_disp_welcome(d, p);
        } else if (m->type == FA_MSG_DISCONNECT) {
                (void)peer_down(d, p, false);
        } else if (!p->incarnation && m->type != FA_MSG_REGISTER) {
                fa_disp_welcome(d, p); /* forgotten, or never heard of: it says HELLO */
        } else if (from_worker(p, m)) {
                fa_disp_worker_msg(d, p, m, now_ns);
        } else if (fa_msg_authorise(FA_ROLE_CLIENT, m->type)) {
                fa_disp_client_msg(d, p, m, now_ns);
        }
}

int fa_disp_input(struct fa_disp *d, const struct fa_event *ev, uint64_t now_ns) {
        struct peer *p;
        int r = 0;

        if (d->fenced)
                return FAAS_E_FENCED;
        switch (ev->kind) {
        case FA_EV_MSG:
                on_msg(d, ev->peer, ev->msg, now_ns);
                break;
        case FA_EV_PEER_DOWN:
                p = fa_disp_peer(d, ev->peer, false, now_ns);
                if (p)
                        (void)peer_down(d, p, true);
                break;
        case FA_EV_GROUP:
                r = fa_disp_store_answer(d, ev->group, now_ns);
                break;
        case FA_EV_STORE_LOST:
                fa_disp_store_lost(d);
                break;
        default:
                r = -EINVAL;
        }
        if (r)
                return r;
        fa_disp_hand_out(d, now_ns);
        fa_disp_load(d, now_ns);
        return 0;
}

/*
 * Looks at the peers whose time has come.  A silent one is only suspected at first, and dead if it
 * is still silent a tenth of an interval later: the machine itself may have stood still (a stopped
 * process, a busy host), and what was said meanwhile is about to be read.
 */
static void judge_peers(struct fa_disp *d, uint64_t now_ns) {
        uint64_t grace = d->cfg.heartbeat_ns / 10;
        struct fa_heap_node *n;

        while ((n = fa_heap_peek(&d->alive)) && n->key <= now_ns) {
                struct peer *p = fa_container_of(n, struct peer, alive);
                uint64_t due = later(p->seen_ns, fa_disp_patience(d));
                bool late = now_ns - n->key > grace;
                if (due > now_ns) { /* it has spoken since: armed lazily */
                        p->suspect = false;
                        (void)fa_heap_set(&d->alive, n, due);
                } else if ((!p->suspect || late) && fa_rule(PAUSE_GRACE)) {
                        p->suspect = true;
                        (void)fa_heap_set(&d->alive, n, now_ns + grace);
                } else {
                        if (!peer_down(d, p, true))
                                (void)fa_heap_set(&d->alive, n, now_ns + grace + 1);
                }
        }
}

/* When the next inherited task was waited for long enough: each for as long as a worker may be
 * silent, whenever its partition was taken. */
static uint64_t release_at(const struct fa_disp *d) {
        struct fa_list *first = fa_list_first(&d->inherited);

        return first ? later(*fa_disp_when(fa_list_entry(first, struct task, link)),
                             fa_disp_patience(d))
                     : FA_NEVER;
}

/* Their hand-outs were lost with their workers, or never were. */
static void release_inherited(struct fa_disp *d, uint64_t now_ns) {
        while (release_at(d) <= now_ns)
                fa_disp_queue(d, fa_list_entry(fa_list_first(&d->inherited), struct task, link),
                              false);
}

void fa_disp_tick(struct fa_disp *d, uint64_t now_ns) {
        if (d->fenced)
                return;
        judge_peers(d, now_ns);
        release_inherited(d, now_ns);
        fa_disp_sweep(d, now_ns);
        fa_disp_store_tick(d, now_ns);
        fa_disp_hint_tick(d, now_ns);
        fa_disp_hand_out(d, now_ns);
        fa_disp_load(d, now_ns);
}

uint64_t fa_disp_deadline(const struct fa_disp *d) {
        const struct fa_heap_node *n = fa_heap_peek(&d->alive);
        uint64_t at = FA_MIN(n ? n->key : FA_NEVER, d->hint_at_ns);

        if (d->fenced)
                return FA_NEVER;
        if (d->epoch && !d->ticking && d->cfg.tick_ns != FA_NEVER)
                at = FA_MIN(at, d->tick_at_ns);
        if (d->owes != OWES_NOTHING)
                at = FA_MIN(at, d->owes_at_ns);
        if (!fa_list_empty(&d->elsewhere))
                at = FA_MIN(at, d->sweep_at_ns);
        if (d->load_at_ns)
                at = FA_MIN(at, d->load_at_ns);
        return FA_MIN(at, release_at(d));
}

struct fa_outbox *fa_disp_outbox(struct fa_disp *d) {
        return &d->outbox;
}

uint64_t fa_disp_epoch(const struct fa_disp *d) {
        return d->epoch;
}

void fa_disp_drain(struct fa_disp *d) {
        d->draining = true;
}

/* A partition that is still being read may bring open tasks. */
bool fa_disp_idle(const struct fa_disp *d) {
        struct fa_list *it;

        for (int s = 0; s < _TASK_STATE_N; s++) {
                bool waits = s == TASK_QUEUED || s == TASK_INHERITED;
                if (s != TASK_FINAL && s != TASK_ELSEWHERE && !(waits && d->cfg.keeps) &&
                    d->n_in[s])
                        return false;
        }
        fa_list_for_each (it, &d->parts)
                if (!fa_list_entry(it, struct part, link)->whole && !d->cfg.keeps)
                        return false;
        return !d->unanswered && !d->closed && (!d->open || !d->open->n);
}

void fa_disp_goodbye(struct fa_disp *d) {
        struct fa_list *it;

        fa_list_for_each (it, &d->peers) {
                struct peer *p = fa_list_entry(it, struct peer, link);
                struct fa_msg *m = fa_outbox_msg(&d->outbox, &p->lane, FA_MSG_DISCONNECT);
                if (m)
                        m->epoch = p->incarnation;
        }
}
