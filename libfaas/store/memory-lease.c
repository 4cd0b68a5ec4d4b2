/*
 * memory-lease.c - who owns what in the memory store: epochs, leases by ticks, partitions
 *
 * A lease counts ticks of the store, not time: while the store itself stands still no lease ages,
 * because at most one tick passes however long the gap.  An epoch that was fenced never comes
 * back: its lease is gone, and every group of it is refused.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/rule.h"
#include "store/memory-private.h"

struct fa_mem_part *fa_mem_part_find(struct fa_memory *m, uint64_t partition) {
        struct fa_list *it;

        if (m->last_part && m->last_part->partition == partition)
                return m->last_part;
        fa_list_for_each (it, &m->parts) {
                struct fa_mem_part *p = fa_list_entry(it, struct fa_mem_part, link);
                if (p->partition == partition)
                        return m->last_part = p;
        }
        return NULL;
}

struct fa_mem_lease *fa_mem_lease_find(struct fa_memory *m, uint64_t epoch) {
        struct fa_list *it;

        if (m->last_lease && m->last_lease->epoch == epoch)
                return m->last_lease;
        fa_list_for_each (it, &m->leases) {
                struct fa_mem_lease *l = fa_list_entry(it, struct fa_mem_lease, link);
                if (l->epoch == epoch)
                        return m->last_lease = l;
        }
        return NULL;
}

static void lease_free(struct fa_memory *m, struct fa_mem_lease *l) {
        if (m->last_lease == l)
                m->last_lease = NULL;
        fa_list_remove(&l->link);
        free(l);
}

static bool expired(const struct fa_memory *m, const struct fa_mem_lease *l) {
        return m->tick - l->tick >= m->cfg.lease_ticks;
}

static bool owns(struct fa_memory *m, uint64_t epoch, uint64_t partition) {
        const struct fa_mem_part *p = fa_mem_part_find(m, partition);

        return p && p->owner == epoch;
}

static bool owns_any(const struct fa_memory *m, uint64_t epoch) {
        struct fa_list *it;

        fa_list_for_each (it, &m->parts)
                if (fa_list_entry(it, struct fa_mem_part, link)->owner == epoch)
                        return true;
        return false;
}

uint64_t fa_memory_owner(struct fa_memory *m, uint64_t partition) {
        const struct fa_mem_part *p = fa_mem_part_find(m, partition);

        return p ? p->owner : 0;
}

uint64_t fa_memory_lease_age(struct fa_memory *m, uint64_t epoch) {
        const struct fa_mem_lease *l = fa_mem_lease_find(m, epoch);

        return l ? m->tick - l->tick : UINT64_MAX;
}

/* Ordinary groups wait after a lost tail until every living owner has written its state again. */
static bool all_restored(const struct fa_memory *m) {
        struct fa_list *it;

        for (it = m->leases.next; it != &m->leases; it = it->next) {
                const struct fa_mem_lease *l = fa_list_entry(it, struct fa_mem_lease, link);
                if (l->restored != m->restarts && !expired(m, l))
                        return false;
        }
        return true;
}

static bool touches_partition(const struct fa_op *op) {
        switch (op->kind) {
        case FA_OP_LOAD:
        case FA_OP_ACCEPT:
        case FA_OP_FINISH:
        case FA_OP_REQUEUE:
        case FA_OP_HINT:
        case FA_OP_RESTORE:
                return true;
        default:
                return false;
        }
}

/* Waits for the others' RESTOREs: it reads or changes what they are about to write. */
static bool ordinary(const struct fa_group *g) {
        for (size_t i = 0; i < g->n; i++)
                if (touches_partition(&g->ops[i]) && g->ops[i].kind != FA_OP_RESTORE)
                        return true;
        return false;
}

/* START and REBIND make an epoch's right, GET needs none; whatever else there is, is checked. */
static bool guarded(const struct fa_group *g) {
        for (size_t i = 0; i < g->n; i++) {
                uint8_t kind = g->ops[i].kind;
                if (kind != FA_OP_START && kind != FA_OP_REBIND && kind != FA_OP_GET)
                        return true;
        }
        return g->seq != 0;
}

/* Before anything is written: a group that is fenced by its last op has not run its first. */
static bool owns_all(struct fa_memory *m, const struct fa_group *g) {
        for (size_t i = 0; i < g->n; i++) {
                const struct fa_op *op = &g->ops[i];

                if (fa_rule(OWNER) && touches_partition(op) && !owns(m, g->epoch, op->partition))
                        return false;
                if (!fa_rule(TICK_CHECK) || op->kind != FA_OP_TICK)
                        continue;
                for (size_t k = 0; k < op->more->n_owned; k++)
                        if (!owns(m, g->epoch, op->more->owned[k].partition))
                                return false;
        }
        return true;
}

/*
 * Whoever lived when the store went down gets a whole lease to come back in.  An epoch that owns
 * nothing was fenced before: it has nothing to write again, and nobody waits for it.
 */
static void renew_all(struct fa_memory *m, const struct fa_mem_lease *me) {
        struct fa_list *it;
        struct fa_list *tmp;

        fa_list_for_each_safe (it, tmp, &m->leases) {
                struct fa_mem_lease *l = fa_list_entry(it, struct fa_mem_lease, link);
                if (l == me || owns_any(m, l->epoch))
                        l->tick = m->tick;
                else
                        lease_free(m, l);
        }
}

/* One tick at most, however long the gap was; my lease is as young as can be. */
static void renew(struct fa_memory *m, struct fa_mem_lease *me, uint64_t now_ns) {
        if (now_ns - m->tick_at_ns >= m->cfg.tick_ns) {
                m->tick += fa_rule(TICK_ONE) ? 1 : (now_ns - m->tick_at_ns) / m->cfg.tick_ns;
                m->tick_at_ns = now_ns;
        }
        if (m->renew_all && fa_rule(RENEW_ALL))
                renew_all(m, me);
        m->renew_all = false;
        me->tick = m->tick;
}

int fa_mem_guard(struct fa_memory *m, struct fa_group *g, bool *ret_repeat) {
        struct fa_mem_lease *l;

        if (!guarded(g))
                return 0;
        l = fa_mem_lease_find(m, g->epoch);
        if (!l)
                return fa_rule(OWNER) ? FAAS_E_FENCED : 0;
        if (!owns_all(m, g))
                return FAAS_E_FENCED;
        if (g->seq == 0) {
                /* RESTORE: once everything is written again, a late copy of it writes nothing.
                 * TICK: time goes on while groups wait, or the lease of an owner that never comes
                 * back would never run out. */
                *ret_repeat = l->restored == m->restarts;
                return 0;
        }
        if (l->rebound != m->restarts)
                return FAAS_E_UNAVAILABLE; /* it has not seen yet that the store was restarted */
        if (fa_rule(RESTORE_GRACE) && ordinary(g) && !all_restored(m))
                return FAAS_E_AGAIN;
        if (!fa_rule(SEQUENCE))
                return 0;
        if (g->seq > l->last_seq + 1)
                return FAAS_E_UNAVAILABLE; /* a group before it was lost on the way: hand all in
                                              again */
        *ret_repeat = g->seq <= l->last_seq;
        if (!*ret_repeat)
                l->last_seq = g->seq;
        return 0;
}

static int lease_add(struct fa_memory *m, uint64_t epoch, const char *name, const char *endpoint) {
        struct fa_mem_lease *l = calloc(1, sizeof(*l));

        if (!l)
                return -ENOMEM;
        l->epoch = epoch;
        l->tick = m->tick;
        l->rebound = l->restored = m->restarts;
        strncpy(l->name, name, sizeof(l->name) - 1);
        strncpy(l->endpoint, endpoint, sizeof(l->endpoint) - 1);
        fa_list_push_back(&m->leases, &l->link);
        return 0;
}

/* The older epochs of this name are fenced, and what they own is mine. */
static void fence_older(struct fa_memory *m, const char *name, uint64_t epoch) {
        struct fa_list *it;
        struct fa_list *tmp;
        struct fa_list *p;

        fa_list_for_each_safe (it, tmp, &m->leases) {
                struct fa_mem_lease *l = fa_list_entry(it, struct fa_mem_lease, link);
                if (l->epoch >= epoch || strcmp(l->name, name) != 0)
                        continue;
                fa_list_for_each (p, &m->parts) {
                        struct fa_mem_part *part = fa_list_entry(p, struct fa_mem_part, link);
                        if (part->owner == l->epoch) {
                                part->owner = epoch;
                                part->gen++;
                        }
                }
                lease_free(m, l);
        }
}

static int part_add(struct fa_memory *m, uint64_t partition, uint64_t owner) {
        struct fa_mem_part *p = calloc(1, sizeof(*p));

        if (!p)
                return -ENOMEM;
        p->partition = partition;
        p->owner = owner;
        p->gen = 1;
        fa_list_init(&p->records);
        fa_list_push_back(&m->parts, &p->link);
        return 0;
}

/* Lists partitions: those of one owner, or all with owner 0. */
static void tell_owned(struct fa_memory *m, struct fa_op *op, uint64_t owner) {
        struct fa_list *it;
        size_t n = 0;

        fa_list_for_each (it, &m->parts)
                n++;
        struct fa_owned *v = calloc(n ? n : 1, sizeof(*v));
        free(op->more->owned); /* what was asked is not the answer, not even without memory */
        op->more->owned = v;
        op->more->n_owned = 0;
        if (!v) {
                op->r = -ENOMEM;
                return;
        }
        n = 0;
        fa_list_for_each (it, &m->parts) {
                const struct fa_mem_part *p = fa_list_entry(it, struct fa_mem_part, link);
                if (!owner || p->owner == owner)
                        v[n++] = (struct fa_owned){p->partition, p->owner, p->gen};
        }
        op->more->n_owned = n;
        op->more->tick = m->tick;
}

/* Does a younger epoch of this name live, of another process?  A START that is repeated finds its
 * own. */
static bool usurped(const struct fa_memory *m, const struct fa_op_more *more, uint64_t epoch) {
        struct fa_list *it;

        fa_list_for_each (it, &m->leases) {
                const struct fa_mem_lease *l = fa_list_entry(it, struct fa_mem_lease, link);
                if (l->epoch > epoch && strcmp(l->name, more->name) == 0 && !expired(m, l) &&
                    (!more->process || l->process != more->process))
                        return true;
        }
        return false;
}

void fa_mem_start(struct fa_memory *m, struct fa_op *op, uint64_t now_ns) {
        const struct fa_op_more *more = op->more;
        uint64_t epoch = FA_MAX(m->last_epoch + 1, now_ns / FA_NS_PER_US);

        if (op->owner && usurped(m, more, op->owner)) {
                op->r = FAAS_E_EXISTS;
                return;
        }
        op->r = lease_add(m, epoch, more->name, more->endpoint);
        if (op->r)
                return;
        op->r = part_add(m, epoch, epoch);
        if (op->r) {
                lease_free(m, fa_mem_lease_find(m, epoch));
                return;
        }
        m->last_epoch = epoch;
        fa_mem_lease_find(m, epoch)->process = more->process;
        fence_older(m, more->name, epoch);
        op->owner = epoch;
        tell_owned(m, op, epoch);
}

/* Does the store know an owner that came after this one? */
static bool taken(struct fa_memory *m, uint64_t epoch, const struct fa_owned *o) {
        const struct fa_mem_part *p = fa_mem_part_find(m, o->partition);

        return p && p->owner != epoch &&
               (p->owner > epoch || p->gen > o->gen || !fa_rule(REBIND_OLDER));
}

static int rebind_part(struct fa_memory *m, uint64_t epoch, const struct fa_owned *o) {
        struct fa_mem_part *p = fa_mem_part_find(m, o->partition);

        if (!p) {
                if (part_add(m, o->partition, epoch))
                        return -ENOMEM;
                p = fa_mem_part_find(m, o->partition);
        }
        p->owner = epoch;
        p->gen = FA_MAX(p->gen, o->gen);
        return 0;
}

static void rebind_done(struct fa_memory *m, struct fa_group *g) {
        struct fa_mem_lease *l = fa_mem_lease_find(m, g->epoch);

        if (!l)
                g->r = FAAS_E_FENCED;
        else if (l->rebound == m->restarts) /* else it is from before this restart */
                l->restored = m->restarts;
}

static void rebind_own(struct fa_memory *m, struct fa_group *g, struct fa_op *op) {
        struct fa_mem_lease *l = fa_mem_lease_find(m, g->epoch);
        struct fa_op_more *more = op->more;
        bool fresh;

        /* Every epoch has the partition of its own number: who has none was fenced. */
        if (!l && !more->n_owned)
                g->r = FAAS_E_FENCED;
        for (size_t i = 0; i < more->n_owned; i++)
                if (taken(m, g->epoch, &more->owned[i]))
                        g->r = FAAS_E_FENCED;
        if (g->r)
                return;
        for (size_t i = 0; i < more->n_owned && !op->r; i++)
                op->r = rebind_part(m, g->epoch, &more->owned[i]);
        if (!op->r && !l)
                op->r = lease_add(m, g->epoch, more->name, more->endpoint);
        if (op->r)
                return;
        fresh = !l;
        l = fa_mem_lease_find(m, g->epoch);
        fence_older(m, l->name, g->epoch);
        l->tick = m->tick;
        if (fresh || l->rebound != m->restarts) { /* else a late copy: the sequence went on */
                if (!fresh && l->restored == l->rebound) /* else something is missing from before */
                        l->before = l->last_seq;
                l->rebound = m->restarts;
                l->restored = m->restarts - 1; /* until FA_REBIND_DONE */
                l->last_seq = op->cursor;
        }
        more->last_seq = l->restored == m->restarts ? l->last_seq : l->before;
        m->last_epoch = FA_MAX(m->last_epoch, g->epoch);
        tell_owned(m, op, g->epoch);
}

void fa_mem_rebind(struct fa_memory *m, struct fa_group *g, struct fa_op *op) {
        if (op->state == FA_REBIND_DONE)
                rebind_done(m, g);
        else
                rebind_own(m, g, op);
}

static void tell_leases(struct fa_memory *m, struct fa_op *op) {
        struct fa_list *it;
        size_t n = 0;

        fa_list_for_each (it, &m->leases)
                n++;
        op->more->leases = calloc(n ? n : 1, sizeof(*op->more->leases));
        if (!op->more->leases) {
                op->r = -ENOMEM;
                return;
        }
        fa_list_for_each (it, &m->leases) {
                const struct fa_mem_lease *l = fa_list_entry(it, struct fa_mem_lease, link);
                struct fa_lease *out = &op->more->leases[op->more->n_leases++];
                out->epoch = l->epoch;
                out->tick = l->tick;
                memcpy(out->endpoint, l->endpoint, sizeof(out->endpoint));
        }
}

void fa_mem_tick(struct fa_memory *m, struct fa_group *g, struct fa_op *op, uint64_t now_ns) {
        struct fa_mem_lease *me = fa_mem_lease_find(m, g->epoch);

        if (!me)
                return; /* only without the rule OWNER */
        renew(m, me, now_ns);
        tell_leases(m, op);
        tell_owned(m, op, 0);
}

void fa_mem_take(struct fa_memory *m, struct fa_group *g, struct fa_op *op) {
        struct fa_mem_part *p = fa_mem_part_find(m, op->partition);
        const struct fa_mem_lease *l = p ? fa_mem_lease_find(m, p->owner) : NULL;

        if (!p || (p->owner != op->owner && p->owner != g->epoch) ||
            (l && p->owner != g->epoch && fa_rule(LEASE) && !expired(m, l))) {
                op->r = FAAS_E_STALE;
                return;
        }
        if (p->owner != g->epoch) {
                p->owner = g->epoch;
                p->gen++;
        }
        op->gen = p->gen;
}

void fa_mem_drop(struct fa_memory *m, struct fa_group *g, struct fa_op *op) {
        struct fa_mem_part *p = fa_mem_part_find(m, op->partition);

        if (!p)
                return;
        if (p->owner != g->epoch || p->partition == g->epoch || !fa_list_empty(&p->records)) {
                op->r = FAAS_E_STALE;
                return;
        }
        m->last_part = NULL;
        fa_list_remove(&p->link);
        free(p);
}

void fa_mem_lease_deinit(struct fa_memory *m) {
        struct fa_list *it;
        struct fa_list *tmp;

        fa_list_for_each_safe (it, tmp, &m->parts)
                free(fa_list_entry(it, struct fa_mem_part, link));
        fa_list_for_each_safe (it, tmp, &m->leases)
                free(fa_list_entry(it, struct fa_mem_lease, link));
}
