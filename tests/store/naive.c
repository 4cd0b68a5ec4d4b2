#undef NDEBUG
#include "naive.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#define MANY 1024

struct lease {
        struct fa_lease told;
        uint64_t last_seq;
        char name[8];
        bool bound, restored; /* since the last restart */
};

struct naive {
        struct fa_store_cfg cfg;
        uint64_t last_epoch, tick, tick_at;
        bool renew_all;
        size_t n_tasks, n_parts, n_leases;
        struct fa_record task[MANY]; /* in the order of acceptance; FA_STATE_GONE: collected */
        struct fa_spec *spec[MANY];  /* of each task, also when it is final */
        uint64_t final_at[MANY];
        struct fa_owned part[MANY];
        struct lease lease[MANY];
};

struct naive *naive_new(const struct fa_store_cfg *cfg) {
        struct naive *n = calloc(1, sizeof(*n));

        assert(n);
        n->cfg = *cfg;
        return n;
}

static void collect(struct naive *n, struct fa_record *t) {
        fa_outcome_deinit(&t->outcome);
        t->spec = NULL;
        t->state = FA_STATE_GONE;
}

struct naive *naive_free(struct naive *n) {
        for (size_t i = 0; i < n->n_tasks; i++) {
                collect(n, &n->task[i]);
                fa_spec_unref(n->spec[i]);
        }
        free(n);
        return NULL;
}

/* The record, also a collected one; NULL: never was. */
static struct fa_record *find(struct naive *n, const struct fa_op *op) {
        for (size_t i = 0; i < n->n_tasks; i++)
                if (memcmp(&n->task[i].id, &op->id, sizeof(op->id)) == 0)
                        return &n->task[i];
        return NULL;
}

static struct fa_owned *part_of(struct naive *n, uint64_t partition) {
        for (size_t i = 0; i < n->n_parts; i++)
                if (n->part[i].partition == partition)
                        return &n->part[i];
        return NULL;
}

static bool owns(struct naive *n, uint64_t epoch, uint64_t partition) {
        const struct fa_owned *p = part_of(n, partition);

        return p && p->owner == epoch;
}

static struct lease *lease_of(struct naive *n, uint64_t epoch) {
        for (size_t i = 0; i < n->n_leases; i++)
                if (n->lease[i].told.epoch == epoch)
                        return &n->lease[i];
        return NULL;
}

static bool expired(const struct naive *n, const struct lease *l) {
        return l->told.tick + n->cfg.lease_ticks <= n->tick;
}

static void answer(struct fa_op *op, int r, const struct fa_record *t) {
        op->r = r;
        if (!t)
                return;
        op->rec = calloc(1, sizeof(*op->rec));
        assert(op->rec);
        fa_record_copy(op->rec, t);
}

static struct fa_record *task_new(struct naive *n, const struct fa_op *op) {
        size_t i = n->n_tasks++;

        assert(i < MANY);
        n->spec[i] = fa_spec_ref(op->spec);
        n->task[i] = (struct fa_record){.id = op->id, .partition = op->partition, .spec = op->spec};
        return &n->task[i];
}

static void end(struct naive *n, struct fa_record *t, const struct fa_op *op, uint64_t now) {
        t->state = op->outcome.status;
        t->spec = NULL;
        t->fence = op->fence;
        t->strikes = op->strikes;
        fa_outcome_ref(&t->outcome, &op->outcome);
        n->final_at[t - n->task] = now;
}

static uint64_t n_open(const struct naive *n) {
        uint64_t open = 0;

        for (size_t i = 0; i < n->n_tasks; i++)
                open += n->task[i].state == FAAS_QUEUED;
        return open;
}

static void accept_(struct naive *n, struct fa_op *op, bool repeat) {
        struct fa_record *t = find(n, op);

        if (t && t->state == FA_STATE_GONE) {
                op->r = FAAS_E_GONE;
        } else if (t) {
                bool mine = t->partition == op->partition && t->state == FAAS_QUEUED;
                op->differs = !fa_spec_equal(n->spec[t - n->task], op->spec);
                if (!repeat || !mine || op->differs)
                        answer(op, FAAS_E_EXISTS, t);
        } else if (repeat || n_open(n) >= n->cfg.max_tasks) {
                op->r = FAAS_E_LIMIT;
        } else {
                task_new(n, op);
        }
}

static void finish(struct naive *n, struct fa_op *op, bool repeat, uint64_t now) {
        struct fa_record *t = find(n, op);

        if (!t || t->state == FA_STATE_GONE)
                op->r = t ? FAAS_E_GONE : FAAS_E_NOENT;
        else if (t->state != FAAS_QUEUED && repeat && fa_fence_eq(&t->fence, &op->fence) &&
                 t->state == op->outcome.status)
                op->r = 0;
        else if (t->state != FAAS_QUEUED)
                answer(op, FAAS_E_EXISTS, t);
        else if (t->partition != op->partition)
                answer(op, FAAS_E_STALE, t);
        else if (repeat)
                op->r = FAAS_E_NOENT;
        else
                end(n, t, op, now);
}

static void requeue(struct naive *n, struct fa_op *op) {
        struct fa_record *t = find(n, op);

        if (!t || t->state == FA_STATE_GONE || t->partition != op->partition) {
                op->r = FAAS_E_NOENT;
        } else if (t->state != FAAS_QUEUED) {
                op->r = FAAS_E_EXISTS;
        } else {
                t->strikes = op->strikes;
                t->retries = op->retries;
                t->strike_fence = op->fence;
        }
}

static void restore(struct naive *n, struct fa_op *op, bool late, uint64_t now) {
        struct fa_record *t = find(n, op);

        if (t && t->state == FA_STATE_GONE) {
                op->r = late ? 0 : FAAS_E_GONE;
                return;
        }
        if (t && (t->partition != op->partition || t->state != FAAS_QUEUED)) {
                answer(op, FAAS_E_EXISTS, t);
                return;
        }
        if (late)
                return;
        t = t ? t : task_new(n, op);
        t->strikes = op->strikes;
        t->retries = op->retries;
        if (fa_state_final(op->state))
                end(n, t, op, now);
        else
                t->strike_fence = op->fence;
}

static void load(struct naive *n, struct fa_op *op) {
        op->more->recs = calloc(n->n_tasks + 1, sizeof(*op->more->recs));
        assert(op->more->recs && op->cursor == 0);
        for (size_t i = 0; i < n->n_tasks; i++)
                if (n->task[i].partition == op->partition && n->task[i].state == FAAS_QUEUED)
                        fa_record_copy(&op->more->recs[op->more->n_recs++], &n->task[i]);
        op->cursor = FA_CURSOR_END;
}

static void drop(struct naive *n, const struct fa_group *g, struct fa_op *op) {
        struct fa_owned *p = part_of(n, op->partition);
        bool empty = p != NULL;

        for (size_t i = 0; i < n->n_tasks; i++)
                empty = empty &&
                        (n->task[i].partition != op->partition || n->task[i].state != FAAS_QUEUED);
        if (p && (!empty || p->owner != g->epoch || p->partition == g->epoch))
                op->r = FAAS_E_STALE;
        else if (p)
                *p = n->part[--n->n_parts];
}

static void get(struct naive *n, struct fa_op *op) {
        struct fa_record *t = find(n, op);

        if (!t || t->state == FA_STATE_GONE)
                op->r = t ? FAAS_E_GONE : FAAS_E_NOENT;
        else
                answer(op, 0, t);
}

static void hint(struct naive *n, struct fa_op *op) {
        struct fa_record *t = find(n, op);

        if (t && t->partition == op->partition && t->state == FAAS_QUEUED)
                t->hinted = 1;
}

static void forget(struct naive *n, struct fa_op *op) {
        struct fa_record *t = find(n, op);

        if (t && fa_state_final(t->state))
                collect(n, t);
        else
                op->r = FAAS_E_NOENT;
}

/* All partitions, or those of one owner. */
static void tell_owned(struct naive *n, struct fa_op *op, uint64_t owner) {
        free(op->more->owned);
        op->more->owned = calloc(n->n_parts + 1, sizeof(struct fa_owned));
        op->more->n_owned = 0;
        op->more->tick = n->tick;
        for (size_t i = 0; i < n->n_parts; i++)
                if (!owner || n->part[i].owner == owner)
                        op->more->owned[op->more->n_owned++] = n->part[i];
}

static struct lease *lease_new(struct naive *n, uint64_t epoch, const struct fa_op_more *more) {
        struct lease *l = &n->lease[n->n_leases++];

        assert(n->n_leases <= MANY && strlen(more->name) < sizeof(l->name));
        *l = (struct lease){.told = {.epoch = epoch, .tick = n->tick}, .bound = true};
        l->restored = true;
        strcpy(l->name, more->name);
        strcpy(l->told.endpoint, more->endpoint);
        return l;
}

static struct fa_owned *part_new(struct naive *n, uint64_t partition, uint64_t owner) {
        assert(n->n_parts < MANY);
        n->part[n->n_parts] = (struct fa_owned){partition, owner, 1};
        return &n->part[n->n_parts++];
}

/* This epoch has the name now, and what older ones of that name own. */
static void fence_older(struct naive *n, const char *name, uint64_t epoch) {
        for (size_t i = 0; i < n->n_leases; i++) {
                uint64_t older = n->lease[i].told.epoch;
                if (older >= epoch || strcmp(n->lease[i].name, name) != 0)
                        continue;
                for (size_t k = 0; k < n->n_parts; k++)
                        if (n->part[k].owner == older) {
                                n->part[k].owner = epoch;
                                n->part[k].gen++;
                        }
                n->lease[i--] = n->lease[--n->n_leases];
        }
}

static void start(struct naive *n, struct fa_op *op, uint64_t now) {
        uint64_t epoch = now / 1000 > n->last_epoch ? now / 1000 : n->last_epoch + 1;

        fence_older(n, op->more->name, epoch);
        n->last_epoch = epoch;
        part_new(n, epoch, epoch);
        lease_new(n, epoch, op->more);
        op->owner = epoch;
        tell_owned(n, op, epoch);
}

static void rebind(struct naive *n, struct fa_group *g, struct fa_op *op) {
        const struct fa_op_more *m = op->more;
        struct lease *l = lease_of(n, g->epoch);

        if (op->state == FA_REBIND_DONE) {
                if (l)
                        l->restored |= l->bound;
                g->r = l ? 0 : FAAS_E_FENCED;
                return;
        }
        if (!l && m->n_owned == 0)
                g->r = FAAS_E_FENCED;
        for (size_t i = 0; i < m->n_owned; i++) {
                const struct fa_owned *p = part_of(n, m->owned[i].partition);
                if (p && p->owner != g->epoch && (p->owner > g->epoch || p->gen > m->owned[i].gen))
                        g->r = FAAS_E_FENCED;
        }
        if (g->r)
                return;
        for (size_t i = 0; i < m->n_owned; i++) {
                struct fa_owned *p = part_of(n, m->owned[i].partition);
                p = p ? p : part_new(n, m->owned[i].partition, g->epoch);
                p->owner = g->epoch;
                p->gen = p->gen > m->owned[i].gen ? p->gen : m->owned[i].gen;
        }
        if (!l || !l->bound) { /* else a late copy */
                l = l ? l : lease_new(n, g->epoch, m);
                l->bound = true;
                l->restored = false;
                l->last_seq = op->cursor;
        }
        l->told.tick = n->tick;
        fence_older(n, m->name, g->epoch); /* moves leases: l is another one now */
        n->last_epoch = n->last_epoch > g->epoch ? n->last_epoch : g->epoch;
        tell_owned(n, op, g->epoch);
}

/* Those behind it move up. */
static void drop_lease(struct naive *n, size_t i) {
        memmove(&n->lease[i], &n->lease[i + 1], (--n->n_leases - i) * sizeof(n->lease[0]));
}

static bool owns_any(const struct naive *n, uint64_t epoch) {
        for (size_t i = 0; i < n->n_parts; i++)
                if (n->part[i].owner == epoch)
                        return true;
        return false;
}

static void renew(struct naive *n, uint64_t my_epoch, uint64_t now) {
        if (now >= n->tick_at + n->cfg.tick_ns) {
                n->tick++;
                n->tick_at = now;
        }
        lease_of(n, my_epoch)->told.tick = n->tick;
        for (size_t i = n->n_leases; i > 0 && n->renew_all; i--) {
                if (n->lease[i - 1].told.epoch == my_epoch ||
                    owns_any(n, n->lease[i - 1].told.epoch))
                        n->lease[i - 1].told.tick = n->tick;
                else
                        drop_lease(n, i - 1);
        }
        n->renew_all = false;
}

static void tick(struct naive *n, struct fa_group *g, struct fa_op *op, uint64_t now) {
        struct fa_op_more *m = op->more;

        renew(n, g->epoch, now);
        m->leases = calloc(n->n_leases + 1, sizeof(*m->leases));
        assert(m->leases);
        for (size_t i = 0; i < n->n_leases; i++)
                m->leases[m->n_leases++] = n->lease[i].told;
        tell_owned(n, op, 0);
}

static void take(struct naive *n, struct fa_group *g, struct fa_op *op) {
        struct fa_owned *p = part_of(n, op->partition);

        if (p && p->owner != g->epoch && p->owner == op->owner &&
            (!lease_of(n, p->owner) || expired(n, lease_of(n, p->owner)))) {
                p->owner = g->epoch;
                p->gen++;
        }
        if (p && p->owner == g->epoch)
                op->gen = p->gen;
        else
                op->r = FAAS_E_STALE;
}

/* Bit k: kind k is in the group. */
static uint32_t kinds(const struct fa_group *g) {
        uint32_t set = 0;

        for (size_t i = 0; i < g->n; i++)
                set |= 1u << g->ops[i].kind;
        return set;
}

#define FREE (1u << FA_OP_START | 1u << FA_OP_REBIND | 1u << FA_OP_GET)
#define CONTROL (FREE | 1u << FA_OP_TICK | 1u << FA_OP_TAKE | 1u << FA_OP_FORGET | 1u << FA_OP_DROP)
#define NEEDS_PARTITION (~CONTROL)

static bool owns_all(struct naive *n, const struct fa_group *g) {
        for (size_t i = 0; i < g->n; i++) {
                const struct fa_op *op = &g->ops[i];
                if ((1u << op->kind & NEEDS_PARTITION) && !owns(n, g->epoch, op->partition))
                        return false;
                for (size_t k = 0; op->kind == FA_OP_TICK && k < op->more->n_owned; k++)
                        if (!owns(n, g->epoch, op->more->owned[k].partition))
                                return false;
        }
        return true;
}

static int guard(struct naive *n, struct fa_group *g, bool *ret_repeat) {
        struct lease *l = lease_of(n, g->epoch);
        bool wait = false;

        if (g->seq == 0 && !(kinds(g) & ~FREE))
                return 0;
        if (!l || !owns_all(n, g))
                return FAAS_E_FENCED;
        if (g->seq == 0) {
                *ret_repeat = l->restored;
                return 0;
        }
        if (!l->bound)
                return FAAS_E_UNAVAILABLE;
        for (size_t i = 0; i < n->n_leases; i++)
                wait |= !n->lease[i].restored && !expired(n, &n->lease[i]);
        if (wait && (kinds(g) & ~(CONTROL | 1u << FA_OP_RESTORE)))
                return FAAS_E_AGAIN;
        if (g->seq > l->last_seq + 1)
                return FAAS_E_UNAVAILABLE;
        *ret_repeat = g->seq <= l->last_seq;
        if (!*ret_repeat)
                l->last_seq++;
        return 0;
}

static void
run_op(struct naive *n, struct fa_group *g, struct fa_op *op, bool repeat, uint64_t now) {
        switch ((enum fa_op_kind)op->kind) {
        case FA_OP_START:
                start(n, op, now);
                break;
        case FA_OP_REBIND:
                rebind(n, g, op);
                break;
        case FA_OP_TICK:
                tick(n, g, op, now);
                break;
        case FA_OP_TAKE:
                take(n, g, op);
                break;
        case FA_OP_LOAD:
                load(n, op);
                break;
        case FA_OP_ACCEPT:
                accept_(n, op, repeat);
                break;
        case FA_OP_FINISH:
                finish(n, op, repeat, now);
                break;
        case FA_OP_REQUEUE:
                if (!repeat)
                        requeue(n, op);
                break;
        case FA_OP_HINT:
                hint(n, op);
                break;
        case FA_OP_RESTORE:
                restore(n, op, repeat, now);
                break;
        case FA_OP_GET:
                get(n, op);
                break;
        case FA_OP_FORGET:
                forget(n, op);
                break;
        case FA_OP_DROP:
                drop(n, g, op);
                break;
        case _FA_OP_N:
                assert(0);
        }
}

void naive_run(struct naive *n, struct fa_group *g, uint64_t now_ns) {
        bool repeat = false;

        g->r = guard(n, g, &repeat);
        for (size_t i = 0; i < g->n && g->r == 0; i++)
                run_op(n, g, &g->ops[i], repeat, now_ns);
}

void naive_advance(struct naive *n, uint64_t now_ns) {
        for (size_t i = 0; i < n->n_tasks; i++)
                if (fa_state_final(n->task[i].state) &&
                    now_ns >= n->final_at[i] + n->cfg.result_ttl_ns)
                        collect(n, &n->task[i]);
}

void naive_restart(struct naive *n) {
        for (size_t i = 0; i < n->n_leases; i++)
                n->lease[i].bound = n->lease[i].restored = false;
        n->renew_all = true;
}
