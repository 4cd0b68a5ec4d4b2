/*
 * nodes.c - processes of the simulation: what their shells would do, and the network
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "world.h"

static struct node *node_of(struct world *w, int n) {
        return &w->nodes[n];
}

static bool stalled(const struct world *w, const struct node *n) {
        return n->stalled_until_ns > w->now_ns;
}

/* ---- network ---- */

/* A dispatcher's number for a peer: process of the peer, and its own process: a new connection
 * each. */
static uint64_t peer_key(const struct node *peer, const struct node *disp) {
        return (uint64_t)(peer->index + 1) | peer->inc << 8 | disp->inc << 32;
}

static void
put(struct world *w, int src, int dst, uint64_t dst_inc, struct fa_frames *f, bool fifo) {
        uint64_t delay = 20000 + (chance(w, 100) ? rnd(w, 20 * MS) : rnd(w, 2 * MS));
        uint64_t at = w->now_ns + delay;
        struct happening *h;

        if (fifo) {
                at = FA_MAX(at, w->link_ns[src][dst] + 1000);
                w->link_ns[src][dst] = at;
        }
        h = happen(w, at, W_MSG, dst);
        h->src = src;
        h->src_inc = w->nodes[src].inc;
        h->dst_inc = dst_inc;
        h->frames.v = calloc(f->n, sizeof(*h->frames.v));
        h->frames.n = h->frames.cap = f->n;
        for (size_t i = 0; i < f->n; i++)
                h->frames.v[i] = fa_blob_ref(f->v[i]);
}

static void print_msg(const struct world *w, int src, int dst, const struct fa_msg *m) {
        printf("%8.3f ms  %d -> %d  %s s%lu x%u:", (double)w->now_ns / MS, src, dst,
               fa_msg_name(m->type), m->session, m->n_items);
        for (uint32_t i = 0; i < m->n_items && i < 6; i++)
                printf(" %d(%u.%lu,%u)", m->items[i].id.b[15], m->items[i].fence.gen,
                       m->items[i].fence.n, m->items[i].state);
        printf("\n");
}

static void send(struct world *w, int src, uint64_t to, struct fa_msg *m) {
        struct fa_frames f = FA_FRAMES_NULL;
        bool from_disp = w->nodes[src].role == FA_ROLE_DISPATCHER;
        int dst = (int)(to & 0xff) - 1;
        uint64_t dst_inc = (to >> 8) & 0xffffff;

        if (fa_msg_encode(m, &f))
                bad(w, "a %s message of %u items cannot be encoded", fa_msg_name(m->type),
                    m->n_items);
        if (w->verbose)
                print_msg(w, src, dst, m);
        check_send(w, src, m);
        if (w->cut_ns[src][dst] <= w->now_ns && !chance(w, w->p->loss)) {
                bool fifo = !chance(w, w->p->reorder);
                put(w, src, dst, from_disp ? dst_inc : 0, &f, fifo);
                if (chance(w, w->p->dup))
                        put(w, src, dst, from_disp ? dst_inc : 0, &f, false);
        }
        fa_frames_deinit(&f);
}

static void note_accepted(struct world *w, const struct fa_msg *m) {
        for (uint32_t i = 0; m->type == FA_MSG_ACCEPTED && i < m->n_items; i++) {
                if (m->items[i].state == 0)
                        task_of(w, &m->items[i].id)->acked =
                                true; /* an impostor's is caught in flush() */
                else if (m->items[i].state == FAAS_E_EXISTS || m->items[i].state == FAAS_E_GONE)
                        continue;                            /* an impostor: its client checks */
                else if (!task_of(w, &m->items[i].id)->told) /* else a late repeat of its SUBMIT */
                        bad(w, "task %d was refused with %d", task_index(w, &m->items[i].id),
                            m->items[i].state);
        }
}

/* Not now: the receiver stands still, or is not up and the sender's socket keeps it. */
static bool put_off(struct world *w, struct happening *h) {
        struct node *n = node_of(w, h->dst);
        uint64_t at = 0;
        struct happening *again;

        if (n->alive && stalled(w, n))
                at = n->stalled_until_ns + rnd(w, 5 * MS);
        else if (!n->alive && n->role == FA_ROLE_DISPATCHER && chance(w, 800))
                at = w->now_ns + 50 * MS;
        if (!at)
                return false;
        at = FA_MAX(at, n->next_in_ns + 1000); /* they keep their order */
        n->next_in_ns = at;
        again = happen(w, at, W_MSG, h->dst);
        again->src = h->src;
        again->src_inc = h->src_inc;
        again->dst_inc = h->dst_inc;
        again->frames = h->frames;
        h->frames = (struct fa_frames)FA_FRAMES_NULL;
        return true;
}

void net_deliver(struct world *w, struct happening *h) {
        struct node *n = node_of(w, h->dst), *from = node_of(w, h->src);
        struct fa_event ev = {.kind = FA_EV_MSG};
        struct fa_msg *m = NULL;

        if (put_off(w, h) || !n->alive || (n->role != FA_ROLE_DISPATCHER && h->dst_inc != n->inc)) {
                happening_free(h);
                return;
        }
        if (fa_msg_decode(&m, &h->frames, (enum fa_role)from->role, NULL)) {
                bad(w, "a message cannot be decoded: %s", faas_error_text());
        } else {
                struct node sender = *from;
                sender.inc = h->src_inc;
                ev.msg = m;
                ev.peer = n->role == FA_ROLE_DISPATCHER ? peer_key(&sender, n)
                                                        : (uint64_t)(h->src + 1);
                if (n->role == FA_ROLE_CLIENT)
                        note_accepted(w, m);
                node_event(w, h->dst, &ev);
        }
        fa_msg_free(m);
        happening_free(h);
}

/* ---- processes ---- */

static void plan_wake(struct world *w, int n) {
        struct node *node = node_of(w, n);
        uint64_t at = node->disp   ? fa_disp_deadline(node->disp)
                      : node->work ? fa_work_deadline(node->work)
                                   : fa_cli_deadline(node->cli);

        if (at == FA_NEVER || (node->wake_at_ns > w->now_ns && node->wake_at_ns <= at))
                return;
        node->wake_at_ns = FA_MAX(at, w->now_ns + 1000);
        happen(w, node->wake_at_ns, W_WAKE, n);
}

static void flush(struct world *w, int n) {
        struct node *node = node_of(w, n);
        struct fa_outbox *o = node->disp   ? fa_disp_outbox(node->disp)
                              : node->work ? fa_work_outbox(node->work)
                                           : fa_cli_outbox(node->cli);
        struct fa_cli_done d;
        struct fa_work_op op;
        struct fa_msg *m;
        uint64_t to;

        if (node->disp)
                store_submit(w, n);
        while (node->alive && node->work && fa_work_pop(node->work, &op))
                slot_op(w, n, &op);
        if (!node->alive)
                return;
        while (fa_outbox_pop(o, &to, &m)) {
                send(w, n, to, m);
                fa_msg_free(m);
        }
        if (node->cli && node->impostor >= 0) {
                int r = fa_cli_accepted(node->cli, &w->tasks[node->impostor].id);
                if (r == 0)
                        bad(w, "other bytes under the id of task %d were accepted", node->impostor);
                if (r != FAAS_E_AGAIN)
                        node->impostor = -1;
        }
        while (node->cli && fa_cli_take(node->cli, NULL, &d) == 0) {
                check_told(w, n, &d);
                fa_outcome_deinit(&d.outcome);
        }
        plan_wake(w, n);
}

static void machine_new(struct world *w, int n) {
        static const char *const functions[] = {"work"};
        struct node *node = node_of(w, n);
        struct fa_disp_cfg dc = {.mode = w->pull ? FA_MODE_PULL : FA_MODE_PUSH,
                                 .window_tasks = w->window_tasks,
                                 .heartbeat_ns = HEARTBEAT_NS,
                                 .liveness = LIVENESS,
                                 .tick_ns = w->p->own_store ? FA_NEVER : TICK_NS,
                                 .lease_ticks = LEASE_TICKS,
                                 .retain_ns = w->p->store_lose ? RETAIN_NS : 0,
                                 .hint_after_ns = w->hint_after_ns,
                                 .was_epoch = node->was_epoch,
                                 .backlog_bytes = w->backlog_bytes,
                                 .load_max = w->load_max,
                                 .seed = w->seed};
        struct fa_work_cfg wc = {.incarnation = node->inc << 8 | (uint64_t)n,
                                 .n_slots = (unsigned)node->n_slots,
                                 .functions = functions,
                                 .n_functions = 1,
                                 .retry_ns = HEARTBEAT_NS,
                                 .seed = w->seed};
        struct fa_cli_cfg cc = {.incarnation = node->inc << 8 | (uint64_t)n,
                                .window_tasks = 1000,
                                .window_bytes = 1 << 20,
                                .lost_ns = w->p->own_store ? FA_NS_PER_S : 10 * FA_NS_PER_S,
                                .seed = w->seed};
        int r = 0;

        snprintf(dc.name, sizeof(dc.name), "d%d", n);
        if (node->role == FA_ROLE_DISPATCHER)
                r = fa_disp_new(&node->disp, &dc);
        else if (node->role == FA_ROLE_WORKER)
                r = fa_work_new(&node->work, &wc);
        else
                r = fa_cli_new(&node->cli, &cc);
        if (r)
                abort();
        for (int d = 0; d < w->n_d; d++) {
                int first = (n + d) % w->n_d;
                if (node->work)
                        r = fa_work_connect(node->work, (uint64_t)(first + 1), w->now_ns);
                if (node->cli)
                        r = fa_cli_connect(node->cli, (uint64_t)(first + 1), w->now_ns);
        }
}

/* They see its connection break, or come back; or not. */
static void tell_peers(struct world *w, int d, enum fa_event_kind kind) {
        for (int n = w->n_d; n < w->n_nodes; n++) {
                struct fa_event ev = {.kind = kind, .peer = (uint64_t)(d + 1)};
                if (w->nodes[n].alive && !stalled(w, &w->nodes[n]) && chance(w, 300))
                        node_event(w, n, &ev);
        }
}

void node_start(struct world *w, int n) {
        struct node *node = node_of(w, n);

        if (node->alive)
                return;
        node->alive = true;
        node->was_epoch = 0;
        node->inc++;
        node->impostor = -1;
        node->wake_at_ns = 0;
        node->n_slots = 1 + (int)rnd(w, MAX_S);
        machine_new(w, n);
        if (w->verbose)
                printf("%8.3f ms  %d starts\n", (double)w->now_ns / MS, n);
        for (int s = 0; node->work && s < node->n_slots; s++) {
                struct fa_event up = {.kind = FA_EV_SLOT_UP, .slot = (unsigned)s};
                node->slots[s] = (struct sslot){.up = true, .gen = node->slots[s].gen + 1};
                node_event(w, n, &up);
        }
        flush(w, n);
        if (node->disp) {
                w->disp_up_ns = w->now_ns;
                if (node->inc > 1)
                        tell_peers(w, n, FA_EV_PEER_UP);
        }
}

/* The dispatchers' socket monitors see a broken connection at once, or (not told) never. */
static void tell_dispatchers(struct world *w, const struct node *node) {
        for (int d = 0; d < w->n_d; d++) {
                struct fa_event ev = {.kind = FA_EV_PEER_DOWN,
                                      .peer = peer_key(node, &w->nodes[d])};
                if (w->nodes[d].alive && !stalled(w, &w->nodes[d]) && chance(w, 800))
                        node_event(w, d, &ev);
        }
}

/* A connection comes or goes: both ends may hear of it, each at its own time or never. */
void link_change(struct world *w, int d, int n, enum fa_event_kind kind) {
        struct node *disp = &w->nodes[d], *node = &w->nodes[n];
        struct fa_event ev = {.kind = kind, .peer = (uint64_t)(d + 1)};

        if (node->alive && !stalled(w, node) && chance(w, 800))
                node_event(w, n, &ev);
        ev.peer = peer_key(node, disp);
        if (kind == FA_EV_PEER_DOWN && disp->alive && !stalled(w, disp) && chance(w, 500))
                node_event(w, d, &ev);
}

void node_stop(struct world *w, int n, bool told) {
        struct node *node = node_of(w, n);

        if (!node->alive)
                return;
        if (w->verbose)
                printf("%8.3f ms  %d is killed\n", (double)w->now_ns / MS, n);
        /* What ran here and is not in the store yet was started, and its worker is dead: a strike.
         */
        for (int t = 0; node->work && t < w->n_tasks; t++)
                w->tasks[t].deaths += w->tasks[t].ran_at == n && w->tasks[t].ran_inc == node->inc &&
                                      !w->tasks[t].is_final;
        for (int s = 0; node->work && s < node->n_slots; s++) {
                node->slots[s].n = 0;
                node->slots[s].gen++;
        }
        node->alive = false;
        node->disp = fa_disp_free(node->disp);
        node->work = fa_work_free(node->work);
        node->cli = fa_cli_free(node->cli);
        adapter_drop(w, n);
        if (told && node->role != FA_ROLE_DISPATCHER)
                tell_dispatchers(w, node);
        else if (told)
                tell_peers(w, n, FA_EV_PEER_DOWN);
}

/* The same process goes on with a new machine. */
static void fenced(struct world *w, int n) {
        struct node *node = node_of(w, n);

        if (w->verbose)
                printf("%8.3f ms  %d is fenced\n", (double)w->now_ns / MS, n);
        if (fa_disp_epoch(node->disp))
                node->was_epoch = fa_disp_epoch(node->disp);
        node->disp = fa_disp_free(node->disp);
        adapter_drop(w, n);
        machine_new(w, n);
}

/*
 * Another process seems to have its name: it ends, as its shell would, and is started again by
 * whoever looks after it.  It may have been its own START, run twice because a connection broke.
 */
static void usurped(struct world *w, int n) {
        if (w->verbose)
                printf("%8.3f ms  the name of %d is taken\n", (double)w->now_ns / MS, n);
        node_stop(w, n, true);
        happen(w, w->now_ns + rnd(w, 100 * MS), W_RESTART, n);
}

void node_event(struct world *w, int n, const struct fa_event *ev) {
        struct node *node = node_of(w, n);

        if (!node->alive)
                return;
        if (node->disp) {
                int r = fa_disp_input(node->disp, ev, w->now_ns);
                if (r == FAAS_E_FENCED)
                        fenced(w, n);
                else if (r == FAAS_E_EXISTS)
                        usurped(w, n);
                if (!node->alive)
                        return;
        } else if (node->work) {
                (void)fa_work_input(node->work, ev, w->now_ns);
                check_void(w, n);
        } else {
                (void)fa_cli_input(node->cli, ev, w->now_ns);
        }
        flush(w, n);
}

void node_wake(struct world *w, int n) {
        struct node *node = node_of(w, n);

        if (!node->alive || stalled(w, node))
                return; /* the end of the pause wakes it */
        if (node->disp)
                fa_disp_tick(node->disp, w->now_ns);
        else if (node->work)
                fa_work_tick(node->work, w->now_ns), check_void(w, n);
        else
                fa_cli_tick(node->cli, w->now_ns);
        if (node->wake_at_ns <= w->now_ns)
                node->wake_at_ns = 0;
        flush(w, n);
}
