/*
 * world.c - the simulation's clock, its faults, and one seed from beginning to end
 */
#include "world.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/rule.h"

uint64_t fa_rules_off;

uint64_t rnd(struct world *w, uint64_t n) {
        w->rng ^= w->rng << 13;
        w->rng ^= w->rng >> 7;
        w->rng ^= w->rng << 17;
        return (w->rng * UINT64_C(0x2545f4914f6cdd1d) >> 11) % n;
}

bool chance(struct world *w, int permille) {
        return permille > 0 && rnd(w, 1000) < (uint64_t)permille;
}

/* Equal times are told apart by a few ns, in the order of creation, so that a run repeats exactly.
 */
struct happening *happen(struct world *w, uint64_t at_ns, enum what what, int dst) {
        struct happening *h = calloc(1, sizeof(*h));

        if (!h)
                abort();
        h->what = what;
        h->dst = dst;
        h->serial = ++w->serial;
        if (fa_heap_set(&w->heap, &h->node,
                        (at_ns > w->now_ns ? at_ns : w->now_ns) * 64 + (h->serial & 63)))
                abort();
        return h;
}

void happening_free(struct happening *h) {
        fa_frames_deinit(&h->frames);
        fa_group_free(h->group);
        free(h);
}

int task_index(const struct world *w, const struct faas_id *id) {
        int i = id->b[15];

        return i < w->n_tasks ? i : 0;
}

struct stask *task_of(struct world *w, const struct faas_id *id) {
        return &w->tasks[task_index(w, id)];
}

static void make_tasks(struct world *w) {
        w->n_tasks = 8 + (int)rnd(w, 40);
        for (int i = 0; i < w->n_tasks; i++) {
                struct stask *t = &w->tasks[i];
                int k = (int)rnd(w, 100);
                *t = (struct stask){.client = (int)rnd(w, (uint64_t)w->n_c)};
                for (int b = 0; b < 14; b++)
                        t->id.b[b] = (unsigned char)rnd(w, 256);
                t->id.b[15] = (unsigned char)i;
                if (k < w->p->poison)
                        t->kind = K_POISON;
                else if ((k -= w->p->poison) < w->p->killer)
                        t->kind = K_KILLER;
                else if ((k -= w->p->killer) < w->p->failing)
                        t->kind = K_FAILING;
                else if ((k -= w->p->failing) < w->p->looping)
                        t->kind = K_LOOPING;
                t->run_ns = rnd(w, 3) ? 1000 + rnd(w, 200000) : rnd(w, 300 * MS);
        }
}

/* Another client uses the id of an accepted task for other bytes: it must be told so. */
static void impostor(struct world *w) {
        int i = (int)rnd(w, (uint64_t)w->n_tasks),
            k = w->n_d + w->n_w + (int)rnd(w, (uint64_t)w->n_c);
        struct stask *t = &w->tasks[i];
        struct node *n = &w->nodes[k];
        struct fa_item it = {.id = t->id, .function = {(const uint8_t *)"other", 5}};

        if (!t->acked || t->told || w->p->own_store || n->index == w->n_d + w->n_w + t->client ||
            !n->alive || n->stalled_until_ns > w->now_ns || n->impostor >= 0 || w->p->store_lose ||
            w->p->client_crash)
                return;
        n->impostor = i;
        if (fa_cli_submit(n->cli, &it, w->now_ns)) {
                n->impostor = -1;
                if (!fa_cli_full(n->cli))
                        bad(w, "a submit within the window was refused");
        }
        node_wake(w, k);
}

static void submit_next(struct world *w) {
        struct stask *t = &w->tasks[w->n_submitted];
        struct node *n = &w->nodes[w->n_d + w->n_w + t->client];
        char payload[16];
        struct fa_item it = {.id = t->id, .function = {(const uint8_t *)"work", 4}};
        int r;

        if (w->n_submitted == w->n_tasks)
                return;
        if (!n->alive || n->stalled_until_ns > w->now_ns) {
                happen(w, w->now_ns + 20 * MS, W_SUBMIT, 0);
                return;
        }
        int len = snprintf(payload, sizeof(payload), "task %d", w->n_submitted);
        if (fa_blob_new(&it.payload, payload, (size_t)len))
                abort();
        it.max_retries = t->kind == K_FAILING ? 2 : 0;
        r = fa_cli_submit(n->cli, &it, w->now_ns);
        fa_blob_unref(it.payload);
        if (r == FAAS_E_AGAIN && fa_cli_full(n->cli)) {
                happen(w, w->now_ns + 20 * MS, W_SUBMIT, 0);
                return;
        }
        if (r)
                bad(w, "a submit within the window was refused");
        t->submitted = true;
        t->client_inc = (uint32_t)n->inc;
        w->n_submitted++;
        node_wake(w, w->n_d + w->n_w + t->client);
        if (chance(w, 30))
                impostor(w);
        if (chance(w, 600))
                submit_next(w);
        else
                happen(w, w->now_ns + rnd(w, 100 * MS), W_SUBMIT, 0);
}

static int pick(struct world *w, int role) {
        if (role == FA_ROLE_DISPATCHER)
                return (int)rnd(w, (uint64_t)w->n_d);
        if (role == FA_ROLE_WORKER)
                return w->n_d + (int)rnd(w, (uint64_t)w->n_w);
        return w->n_d + w->n_w + (int)rnd(w, (uint64_t)w->n_c);
}

static void crash(struct world *w, int n, uint64_t away_ns) {
        if (!w->nodes[n].alive)
                return;
        w->n_faults++;
        node_stop(w, n, chance(w, 500));
        if (w->p->own_store && n < w->n_d)
                store_empty(w);
        happen(w, w->now_ns + away_ns, W_RESTART, n);
}

static void stall(struct world *w, int n, uint64_t ns) {
        w->n_faults++;
        w->nodes[n].stalled_until_ns = FA_MAX(w->nodes[n].stalled_until_ns, w->now_ns + ns);
        happen(w, w->nodes[n].stalled_until_ns, W_WAKE, n);
}

/*
 * When work begins.  A store that forgets its tail may forget that a dispatcher ever started; what
 * was done before is then nobody's, so work begins when the first START is on disk.
 */
static uint64_t begin_ns(const struct world *w) {
        return w->p->store_lose ? FSYNC_NS + 60 * MS : 10 * MS;
}

static void faults(struct world *w) {
        const struct profile *p = w->p;
        int n;

        if (w->now_ns >= w->faults_end_ns)
                return;
        if (chance(w, p->slot_crash)) {
                n = pick(w, FA_ROLE_WORKER);
                if (w->nodes[n].alive)
                        slot_crash(w, n, (int)rnd(w, (uint64_t)w->nodes[n].n_slots));
        }
        if (chance(w, p->worker_crash))
                crash(w, pick(w, FA_ROLE_WORKER), rnd(w, 600 * MS));
        if (chance(w, p->disp_crash))
                crash(w, pick(w, FA_ROLE_DISPATCHER),
                      chance(w, 500) ? rnd(w, 100 * MS) : rnd(w, 2000 * MS));
        if (w->now_ns > 700 * MS && w->now_ns < 1000 * MS && chance(w, p->early_crash))
                crash(w, pick(w, FA_ROLE_DISPATCHER), 10 * MS);
        if (chance(w, p->client_crash))
                crash(w, pick(w, FA_ROLE_CLIENT), rnd(w, 200 * MS));
        if (chance(w, p->worker_stall))
                stall(w, pick(w, FA_ROLE_WORKER), rnd(w, 1000 * MS));
        if (chance(w, p->disp_stall))
                stall(w, pick(w, FA_ROLE_DISPATCHER),
                      p->stall_ms ? ((uint64_t)p->stall_ms + rnd(w, 100)) * MS : rnd(w, 1000 * MS));
        if (chance(w, p->store_break))
                store_break(w, pick(w, FA_ROLE_DISPATCHER));
        if (chance(w, p->store_stall)) {
                w->n_faults++;
                uint64_t until = w->now_ns + rnd(w, 3000 * MS);
                w->store_stalled_ns = FA_MAX(w->store_stalled_ns, until);
        }
        if (p->store_lose && !w->lost_tail && w->now_ns > begin_ns(w) && chance(w, p->store_lose))
                store_lose(w);
        if (chance(w, p->cut)) {
                int a = (int)rnd(w, (uint64_t)w->n_d),
                    b = pick(w, rnd(w, 2) ? FA_ROLE_WORKER : FA_ROLE_CLIENT);
                w->n_faults++;
                uint64_t until = w->now_ns + rnd(w, 1000 * MS);
                w->cut_ns[a][b] = w->cut_ns[b][a] = FA_MAX(w->cut_ns[a][b], until);
                if (chance(w, 500)) /* else nobody sees it but by the silence */
                        link_change(w, a, b, FA_EV_PEER_DOWN);
                struct happening *up = happen(w, w->cut_ns[a][b], W_LINK_UP, b);
                up->src = a;
        }
        happen(w, w->now_ns + 20 * MS, W_FAULT, 0);
}

static void step(struct world *w, struct happening *h) {
        switch (h->what) {
        case W_MSG:
                net_deliver(w, h);
                return;
        case W_EXEC:
                store_exec(w, h);
                return;
        case W_REPLY:
                store_reply(w, h);
                return;
        case W_WAKE:
                node_wake(w, h->dst);
                break;
        case W_SLOT:
                slot_due(w, h);
                break;
        case W_FAULT:
                faults(w);
                break;
        case W_SUBMIT:
                submit_next(w);
                break;
        case W_RESTART:
                node_start(w, h->dst);
                break;
        case W_STORE_UP:
                store_up(w);
                break;
        case W_LINK_UP:
                if (w->cut_ns[h->src][h->dst] <= w->now_ns)
                        link_change(w, h->src, h->dst, FA_EV_PEER_UP);
                break;
        }
        happening_free(h);
}

static void build(struct world *w) {
        w->n_d = w->p->n_d;
        w->n_w = 1 + (int)rnd(w, MAX_W);
        w->n_c = 1 + (int)rnd(w, MAX_C);
        w->n_nodes = w->n_d + w->n_w + w->n_c;
        w->run_id = 1;
        /* Where the store dies with its dispatcher, a SUBMIT that was under way may run again what
         * has ended for its client, and take its room. */
        w->window_tasks = rnd(w, 3) || w->p->own_store ? 1000 : 1 + (uint32_t)rnd(w, 8);
        w->hint_after_ns = rnd(w, 2) ? 0 : rnd(w, 20 * MS);
        w->load_max = 1 + (uint32_t)rnd(w, 5);
        w->backlog_bytes = w->p->early_crash || rnd(w, 2) ? 0 : 1 + rnd(w, 5000);
        w->store_cfg = (struct fa_store_cfg){.max_tasks = 1000000,
                                             .max_bytes = 1u << 30,
                                             .result_bytes = 1u << 30,
                                             .result_ttl_ns = 3600 * FA_NS_PER_S,
                                             .tick_ns = TICK_NS,
                                             .lease_ticks = LEASE_TICKS,
                                             .seed = w->seed};
        if (fa_memory_new(&w->store, &w->store_cfg))
                abort();
        for (int i = 0; i < w->n_nodes; i++) {
                w->nodes[i].role = i < w->n_d            ? FA_ROLE_DISPATCHER
                                   : i < w->n_d + w->n_w ? FA_ROLE_WORKER
                                                         : FA_ROLE_CLIENT;
                w->nodes[i].index = i;
                happen(w, rnd(w, 50 * MS), W_RESTART, i);
        }
        make_tasks(w);
        happen(w, begin_ns(w), W_SUBMIT, 0);
        happen(w, 20 * MS, W_FAULT, 0);
        w->faults_end_ns = begin_ns(w) + (1000 + rnd(w, 4000)) * MS;
}

static void tear_down(struct world *w) {
        struct fa_heap_node *n;

        for (int i = 0; i < w->n_nodes; i++) {
                struct node *node = &w->nodes[i];
                fa_disp_free(node->disp);
                fa_work_free(node->work);
                fa_cli_free(node->cli);
                for (int k = 0; k < node->store.n; k++)
                        fa_group_free(node->store.q[k]);
        }
        while ((n = fa_heap_peek(&w->heap))) {
                fa_heap_remove(&w->heap, n);
                happening_free(fa_container_of(n, struct happening, node));
        }
        fa_heap_deinit(&w->heap);
        for (int i = 0; i < w->n_tasks; i++) {
                fa_outcome_deinit(&w->tasks[i].final);
                fa_outcome_deinit(&w->tasks[i].told_end);
        }
        store_log_free(w);
        fa_memory_free(w->store);
}

/* One world; false: a promise was broken, and w->violation says which. */
bool world_run(struct world *w, uint64_t seed, const struct profile *p, bool pull, bool verbose) {
        const uint64_t patience_ns = 60000 * MS;
        struct fa_heap_node *n;

        memset(w, 0, sizeof(*w));
        w->seed = seed;
        w->rng = seed * UINT64_C(0x9e3779b97f4a7c15) + 1;
        w->p = p;
        w->pull = pull;
        w->verbose = verbose;
        build(w);
        while (!w->violation[0] && (n = fa_heap_peek(&w->heap))) {
                w->now_ns = n->key / 64;
                if (w->now_ns > w->faults_end_ns + patience_ns) {
                        check_end(w);
                        bad(w, "not everything has ended %d s after the last fault",
                            (int)(patience_ns / FA_NS_PER_S));
                        break;
                }
                fa_heap_remove(&w->heap, n);
                step(w, fa_container_of(n, struct happening, node));
                if (w->now_ns >= w->faults_end_ns && (w->serial & 15) == 0 && all_done(w))
                        break;
        }
        if (!w->violation[0])
                check_end(w);
        tear_down(w);
        return !w->violation[0];
}
