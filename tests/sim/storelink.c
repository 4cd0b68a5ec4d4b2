/*
 * storelink.c - what lies between a dispatcher and the store: a connection that breaks and delays
 *
 * Groups run in order on one connection.  When it breaks, some have run and their answers are lost,
 * and some still lie in the old connection and run later; all unanswered ones are handed in again,
 * byte for byte.  This is the contract that every real adapter has to keep.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "world.h"

static const char *const names[] = {"d0", "d1"};

/* The inputs of a group, as they would travel again. */
static struct fa_group *group_copy(const struct fa_group *g) {
        struct fa_group *c;

        if (fa_group_new(&c))
                abort();
        c->epoch = g->epoch;
        c->seq = g->seq;
        for (size_t i = 0; i < g->n; i++) {
                const struct fa_op *from = &g->ops[i];
                struct fa_op *op = fa_group_add(c, (enum fa_op_kind)from->kind);
                struct fa_op_more *more = op ? op->more : NULL;
                if (!op)
                        abort();
                *op = *from;
                op->more = more;
                op->rec = NULL;
                if (op->spec)
                        fa_spec_ref(op->spec);
                fa_outcome_ref(&op->outcome, &from->outcome);
                if (!more)
                        continue;
                /* The machine that lent its name may be dead when this runs. */
                for (size_t k = 0; from->more->name && k < FA_ARRAY_SIZE(names); k++)
                        if (strcmp(from->more->name, names[k]) == 0)
                                more->name = names[k];
                more->endpoint = from->more->name ? "" : NULL;
                more->process = from->more->process;
                more->n_owned = from->more->n_owned;
                more->owned = calloc(more->n_owned + 1, sizeof(*more->owned));
                if (more->n_owned)
                        memcpy(more->owned, from->more->owned,
                               more->n_owned * sizeof(*more->owned));
        }
        return c;
}

static void transmit(struct world *w, int n, const struct fa_group *g) {
        struct adapter *a = &w->nodes[n].store;
        uint64_t at = w->now_ns + 10000 + rnd(w, MS);
        struct happening *h;

        at = FA_MAX(at, a->last_exec_ns + 1000);
        h = happen(w, at, W_EXEC, n);
        a->last_exec_ns = at;
        h->group = group_copy(g);
        h->gen = a->conn;
        h->dst_inc = w->nodes[n].inc;
}

void store_submit(struct world *w, int n) {
        struct node *node = &w->nodes[n];
        struct fa_group *g;

        if (!node->store.run_id)
                node->store.run_id = w->run_id;
        while (node->store.n < 16 && (g = fa_disp_group(node->disp))) {
                int at = node->store.n;
                if (g->ops[0].kind == FA_OP_REBIND && g->ops[0].state == 0)
                        at = 0;       /* before everything */
                else if (g->seq == 0) /* control groups overtake what waits in order */
                        for (at = 0; at < node->store.n && node->store.q[at]->seq == 0; at++)
                                ;
                memmove(&node->store.q[at + 1], &node->store.q[at],
                        (size_t)(node->store.n - at) * sizeof(g));
                node->store.q[at] = g;
                node->store.n++;
                if (!node->store.broken)
                        transmit(w, n, g);
        }
}

/* What has not run yet in this connection runs later, in its order, or never. */
static void old_connection(struct world *w, struct adapter *a) {
        a->late_ns[a->conn % 64] = chance(w, 300)   ? FA_NEVER
                                   : chance(w, 500) ? rnd(w, 300 * MS)
                                                    : 0;
}

void adapter_drop(struct world *w, int n) {
        struct adapter *a = &w->nodes[n].store;

        for (int i = 0; i < a->n; i++)
                fa_group_free(a->q[i]);
        a->n = 0;
        old_connection(w, a);
        a->conn++; /* what is under way in the old connection still runs; its answers reach nobody
                    */
        a->broken = false;
        a->run_id = 0;
}

/* Connects again: tells the dispatcher if the store is another one now, and hands all in again. */
static void reconnect(struct world *w, int n) {
        struct adapter *a = &w->nodes[n].store;
        bool lost = a->run_id && a->run_id != w->run_id;
        struct fa_event ev = {.kind = FA_EV_STORE_LOST};

        a->conn++;
        a->run_id = w->run_id;
        if (w->verbose)
                printf("%8.3f ms  %d connects to the store again, %d groups unanswered\n",
                       (double)w->now_ns / MS, n, a->n);
        if (lost)
                node_event(w, n, &ev);
        a->broken = false;
        for (int i = 0; i < a->n; i++)
                transmit(w, n, a->q[i]);
}

void store_break(struct world *w, int n) {
        struct node *node = &w->nodes[n];
        struct happening *h;

        if (!node->alive || node->store.broken)
                return;
        w->n_faults++;
        old_connection(w, &node->store);
        node->store.broken = true;
        if (w->verbose)
                printf("%8.3f ms  %d loses its connection to the store\n", (double)w->now_ns / MS,
                       n);
        h = happen(w, w->now_ns + rnd(w, 50 * MS), W_REPLY,
                   n); /* no group: time to connect again */
        h->dst_inc = node->inc;
}

static void log_group(struct world *w, struct fa_group *g) {
        if (w->n_log == w->cap_log) {
                w->cap_log = w->cap_log ? w->cap_log * 2 : 64;
                w->log = realloc(w->log, w->cap_log * sizeof(*w->log));
                if (!w->log)
                        abort();
        }
        w->log[w->n_log++] = (struct logged){g, w->now_ns};
}

void store_exec(struct world *w, struct happening *h) {
        struct node *node = &w->nodes[h->dst];
        struct happening *reply;
        struct fa_group *g = h->group;
        uint64_t at, late_ns = node->store.late_ns[h->gen % 64];
        bool current = node->alive && node->inc == h->dst_inc && h->gen == node->store.conn;

        if (!current && late_ns == FA_NEVER) {
                h->group = fa_group_free(g);
                happening_free(h);
                return;
        }
        if (!current && !h->key && late_ns) { /* lies in the old connection for a while */
                struct happening *late = happen(w, w->now_ns + late_ns, W_EXEC, h->dst);
                late->group = g;
                late->gen = h->gen;
                late->dst_inc = h->dst_inc;
                late->key = 1;
                h->group = NULL;
                happening_free(h);
                return;
        }
        if (w->store_down || w->store_stalled_ns > w->now_ns) {
                if (w->store_down || (!current && chance(w, 500))) {
                        h->group = fa_group_free(g);
                        happening_free(h);
                        return;
                }
                struct happening *again =
                        happen(w, w->store_stalled_ns + h->serial % 64, W_EXEC, h->dst);
                again->serial = h->serial;
                again->group = g;
                again->gen = h->gen;
                again->dst_inc = h->dst_inc;
                h->group = NULL;
                happening_free(h);
                return;
        }
        if (w->p->store_lose)
                log_group(w, group_copy(g));
        check_before(w, g);
        fa_memory_run(w->store, g, w->now_ns);
        if (w->verbose)
                printf("%8.3f ms  store runs group %lu of %lu from %d (%zu ops, kind %d) -> %d\n",
                       (double)w->now_ns / MS, g->seq, g->epoch, h->dst, g->n,
                       g->n ? g->ops[0].kind : -1, g->r);
        for (size_t i = 0; w->verbose && i < g->n; i++)
                printf("                 op %d task %d -> %d\n", g->ops[i].kind, g->ops[i].id.b[15],
                       g->ops[i].r);
        check_group(w, h->dst, g);
        if (!current) { /* a leftover of an old connection: nobody hears the answer */
                h->group = fa_group_free(g);
                happening_free(h);
                return;
        }
        at = w->now_ns + 10000 + rnd(w, MS);
        reply = happen(w, FA_MAX(at, w->link_ns[h->dst][7] + 1000), W_REPLY, h->dst);
        w->link_ns[h->dst][7] = reply->node.key / 64;
        reply->group = g;
        reply->gen = h->gen;
        reply->dst_inc = h->dst_inc;
        h->group = NULL;
        happening_free(h);
}

/* The adapter's part: not-now answers are handed in again; a definite one goes to the dispatcher.
 */
static void answered(struct world *w, int n, struct fa_group *g) {
        struct node *node = &w->nodes[n];
        struct adapter *a = &node->store;
        struct fa_event ev = {.kind = FA_EV_GROUP, .group = g};
        int at;

        for (at = 0; at < a->n; at++)
                if (a->q[at]->seq == g->seq && a->q[at]->ops[0].kind == g->ops[0].kind &&
                    memcmp(&a->q[at]->ops[0].id, &g->ops[0].id, sizeof(g->ops[0].id)) == 0 &&
                    a->q[at]->ops[0].state == g->ops[0].state)
                        break;
        if (at == a->n)
                return; /* answered before */
        if (g->r == FAAS_E_UNAVAILABLE || g->r == FAAS_E_AGAIN) {
                store_break(w, n);
                return;
        }
        fa_group_free(a->q[at]);
        a->n--;
        memmove(&a->q[at], &a->q[at + 1], (size_t)(a->n - at) * sizeof(g));
        node_event(w, n, &ev);
}

void store_reply(struct world *w, struct happening *h) {
        struct node *node = &w->nodes[h->dst];
        bool mine = node->alive && node->inc == h->dst_inc;

        if (mine && node->stalled_until_ns > w->now_ns) {
                uint64_t at = node->stalled_until_ns + rnd(w, MS);
                struct happening *again =
                        happen(w, FA_MAX(at, node->next_in_ns + 1000), W_REPLY, h->dst);
                node->next_in_ns = again->node.key / 64;
                again->group = h->group;
                again->gen = h->gen;
                again->dst_inc = h->dst_inc;
                h->group = NULL;
        } else if (mine && !h->group) {
                if (w->store_down || w->store_stalled_ns > w->now_ns ||
                    node->store.not_before_ns > w->now_ns) {
                        struct happening *again = happen(w, w->now_ns + 10 * MS, W_REPLY, h->dst);
                        again->dst_inc = h->dst_inc;
                } else {
                        reconnect(w, h->dst);
                }
        } else if (mine && h->gen == node->store.conn && !node->store.broken) {
                answered(w, h->dst, h->group);
        }
        h->group = fa_group_free(h->group);
        happening_free(h);
}

/* The store dies and forgets what it had not yet written to disk. */
void store_lose(struct world *w) {
        size_t keep = w->n_log;

        while (keep > 0 && w->log[keep - 1].at_ns + FSYNC_NS > w->now_ns && chance(w, 950))
                keep--;
        if (w->verbose)
                printf("%8.3f ms  the store dies and forgets %zu groups\n", (double)w->now_ns / MS,
                       w->n_log - keep);
        w->n_faults++;
        w->lost_tail = true;
        w->store_down = true;
        for (size_t i = keep; i < w->n_log; i++)
                fa_group_free(w->log[i].g);
        w->n_log = keep;
        happen(w, w->now_ns + rnd(w, 200 * MS), W_STORE_UP, 0);
        for (int i = 0; i < w->n_d; i++)
                store_break(w, i);
}

void store_up(struct world *w) {
        w->store = fa_memory_free(w->store);
        if (fa_memory_new(&w->store, &w->store_cfg))
                abort();
        for (size_t i = 0; i < w->n_log; i++) {
                struct fa_group *g = group_copy(w->log[i].g);
                fa_memory_run(w->store, g, w->log[i].at_ns);
                fa_group_free(g);
        }
        fa_memory_restarted(w->store);
        w->store_down = false;
        w->run_id++;
        for (int i = 0; i < w->n_d; i++) /* within two ticks: what LEASE_TICKS allows */
                w->nodes[i].store.not_before_ns = w->now_ns + rnd(w, 190 * MS);
}

/* A store in memory has died with its dispatcher; the next one begins with nothing. */
void store_empty(struct world *w) {
        w->nodes[0].store.late_ns[(w->nodes[0].store.conn - 1) % 64] = FA_NEVER;
        w->store = fa_memory_free(w->store);
        if (fa_memory_new(&w->store, &w->store_cfg))
                abort();
        w->store_life++;
        check_store_died(w);
}

void store_log_free(struct world *w) {
        for (size_t i = 0; i < w->n_log; i++)
                fa_group_free(w->log[i].g);
        free(w->log);
}
