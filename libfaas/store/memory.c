/*
 * memory.c - the memory store: the reference implementation, the meaning of each operation in code
 *
 * Everything runs at once, inside apply(), single-threaded.  It holds the tasks of one process; the
 * simulation lets several dispatchers share one.  Durable back-ends must give the same answers.
 * Epochs, leases and partitions are in memory-lease.c.
 */
#include "store/memory.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/macros.h"
#include "base/rule.h"
#include "store/memory-private.h"

#define LOAD_MAX 256
#define TOMB_NS (60 * FA_NS_PER_S) /* a tombstone stays this long at least, unless many follow */

static struct fa_mem_record *find(const struct fa_memory *m, const struct faas_id *id) {
        return fa_map_find(&m->records, id);
}

/* Where an id stands among the tombs, and its mark there: the last four bytes are counted up. */
static uint32_t tomb_place(const struct faas_id *id, uint16_t *ret_mark) {
        uint64_t first;
        uint32_t h;

        memcpy(&first, id->b + 4, sizeof(first));
        memcpy(&h, id->b + 12, sizeof(h));
        h = __builtin_bswap32(h);
        *ret_mark = (uint16_t)((first * UINT64_C(0x9e3779b97f4a7c15) >> 48) ^ (h >> 13));
        return (h ^ (h >> 16)) & (FA_TOMBS / FA_TOMB_WAYS - 1);
}

/* Two tables, each a minute: the older one is forgotten when the younger is a minute old. */
static bool tomb_has(const struct fa_memory *m, const struct faas_id *id) {
        static const struct faas_id none;
        uint16_t mark;
        const uint32_t k = tomb_place(id, &mark);

        if (memcmp(id, &none, sizeof(*id)) == 0)
                return false; /* an empty place looks so */
        for (unsigned t = 0; t < 2; t++) {
                const struct fa_mem_tombs *tombs = m->tombs[t];
                unsigned like = 0;

                for (unsigned i = 0; tombs && i < FA_TOMB_WAYS; i++)
                        like |= tombs->buckets[k].mark[i] == mark;
                for (unsigned i = 0; fa_unlikely(like) && i < FA_TOMB_WAYS; i++)
                        if (memcmp(&tombs->ids[k][i], id, sizeof(*id)) == 0)
                                return true;
        }
        return false;
}

/* Without memory it is not remembered: a late repeat of its SUBMIT would run it again. */
static void tomb_add(struct fa_memory *m, const struct faas_id *id) {
        struct fa_mem_tombs *tombs;
        uint16_t mark;
        const uint32_t k = tomb_place(id, &mark);

        if (!m->tombs[0])
                m->tombs[0] = calloc(1, sizeof(*m->tombs[0]));
        tombs = m->tombs[0];
        if (!tombs)
                return;
        tombs->buckets[k].mark[tombs->next[k]] = mark;
        tombs->ids[k][tombs->next[k]] = *id;
        tombs->next[k] = (uint8_t)((tombs->next[k] + 1) % FA_TOMB_WAYS);
}

/* Takes its bytes out of the count; the outcome's or the spec's, as it is open or final. */
static void uncount(struct fa_memory *m, struct fa_mem_record *r) {
        if (fa_state_final(r->state)) {
                m->n_final--;
                m->final_bytes -= r->size;
        } else {
                m->n_open--;
                m->open_bytes -= r->size;
        }
}

/* Takes it out of its partition's list, or of that of the finals. */
static void unlink_record(struct fa_memory *m, struct fa_mem_record *r) {
        if (m->loaded == r)
                m->loaded = NULL;
        fa_list_remove(&r->link);
}

static void record_free(struct fa_memory *m, struct fa_mem_record *r) {
        uncount(m, r);
        unlink_record(m, r);
        fa_spec_unref(r->spec);
        fa_outcome_deinit(&r->outcome);
        fa_map_remove(&m->records, &r->node);
}

static uint32_t open_size(const struct fa_spec *s) {
        return (uint32_t)(sizeof(struct fa_mem_record) + fa_spec_size(s));
}

static uint32_t final_size(const struct fa_outcome *o) {
        return (uint32_t)(sizeof(struct fa_mem_record) + fa_blob_len(o->payload) +
                          fa_blob_len(o->text) + fa_blob_len(o->log));
}

/* Only the result is still asked for.  Of the spec stays what tells other bytes under its id. */
static void make_final(struct fa_memory *m, struct fa_mem_record *r, uint64_t now_ns) {
        r->spec_hash = fa_spec_hash(r->spec, m->cfg.seed);
        r->spec = fa_spec_unref(r->spec);
        r->final_at_ns = now_ns;
        unlink_record(m, r);
        fa_list_push_back(&m->finals, &r->link);
        r->size = final_size(&r->outcome);
        m->n_final++;
        m->final_bytes += r->size;
        while (m->final_bytes > m->cfg.result_bytes && m->n_final > 1) {
                struct fa_mem_record *old =
                        fa_list_entry(m->finals.next, struct fa_mem_record, link);
                tomb_add(m, &old->node.key);
                record_free(m, old);
        }
}

/* The record as others see it; its references are borrowed. */
static struct fa_record view(const struct fa_mem_record *r) {
        return (struct fa_record){
                .id = r->node.key,
                .partition = r->partition,
                .client = r->client,
                .state = r->state,
                .hinted = r->hinted,
                .strikes = r->strikes,
                .retries = r->retries,
                .strike_fence = r->strike_fence,
                .fence = r->fence,
                .spec = r->spec,
                .outcome = r->outcome,
        };
}

/* The answer "there is a record": a copy with references. */
static void tell(struct fa_op *op, const struct fa_mem_record *r) {
        struct fa_record *rec = calloc(1, sizeof(*rec));

        if (!rec) {
                op->r = -ENOMEM;
                return;
        }
        const struct fa_record seen = view(r);

        fa_record_copy(rec, &seen);
        op->rec = rec;
}

static int record_add(struct fa_memory *m, struct fa_op *op, struct fa_mem_record **ret) {
        struct fa_mem_part *p = fa_mem_part_find(m, op->partition);
        struct fa_mem_record *r;

        if (!p)
                return FAAS_E_STALE;
        r = fa_map_add(&m->records, &op->id);
        if (!r)
                return -ENOMEM;
        r->partition = op->partition;
        r->client = op->client;
        r->state = FAAS_QUEUED;
        r->serial = ++m->serial;
        r->spec = fa_spec_ref(op->spec);
        r->size = open_size(op->spec);
        fa_list_push_back(&p->records, &r->link);
        m->n_open++;
        m->open_bytes += r->size;
        *ret = r;
        return 0;
}

static bool
differs(const struct fa_memory *m, const struct fa_mem_record *r, const struct fa_spec *spec) {
        return r->spec ? !fa_spec_equal(r->spec, spec)
                       : r->spec_hash != fa_spec_hash(spec, m->cfg.seed);
}

static void run_accept(struct fa_memory *m, struct fa_op *op, bool repeat) {
        struct fa_mem_record *r = find(m, &op->id);

        if (r && !fa_rule(ACCEPT_ONCE)) {
                record_free(m, r);
                r = NULL;
        }
        if (r) {
                op->differs = differs(m, r, op->spec);
                /* A repeated group finds what it wrote itself: that is success. */
                if (repeat && r->partition == op->partition && !fa_state_final(r->state) &&
                    !op->differs)
                        return;
                op->r = FAAS_E_EXISTS;
                tell(op, r);
                return;
        }
        if (tomb_has(m, &op->id))
                op->r = FAAS_E_GONE;
        else if (repeat || m->n_open >= m->cfg.max_tasks ||
                 m->open_bytes + open_size(op->spec) > m->cfg.max_bytes)
                op->r = FAAS_E_LIMIT; /* a repeat: it was refused then */
        else
                op->r = record_add(m, op, &r);
}

static void run_finish(struct fa_memory *m, struct fa_op *op, bool repeat, uint64_t now_ns) {
        struct fa_mem_record *r = find(m, &op->id);

        if (!r) {
                op->r = tomb_has(m, &op->id) ? FAAS_E_GONE : FAAS_E_NOENT;
                return;
        }
        if (fa_state_final(r->state)) {
                op->r = repeat && fa_fence_eq(&r->fence, &op->fence) &&
                                        r->state == op->outcome.status
                                ? 0
                                : FAAS_E_EXISTS;
                if (op->r)
                        tell(op, r);
                return;
        }
        if (r->partition != op->partition) {
                op->r = FAAS_E_STALE;
                tell(op, r);
                return;
        }
        if (repeat) {
                op->r = FAAS_E_NOENT; /* so it was then: the record was accepted later */
                return;
        }
        uncount(m, r);
        fa_outcome_deinit(&r->outcome);
        fa_outcome_ref(&r->outcome, &op->outcome);
        r->state = op->outcome.status;
        r->fence = op->fence;
        r->strikes = op->strikes;
        make_final(m, r, now_ns);
}

static void run_requeue(struct fa_memory *m, struct fa_op *op) {
        struct fa_mem_record *r = find(m, &op->id);

        if (!r || r->partition != op->partition) {
                op->r = FAAS_E_NOENT;
                return;
        }
        if (fa_state_final(r->state)) {
                op->r = FAAS_E_EXISTS;
                return;
        }
        r->strikes = op->strikes;
        r->retries = op->retries;
        r->strike_fence = op->fence;
}

static void run_restore(struct fa_memory *m, struct fa_op *op, bool repeat, uint64_t now_ns) {
        struct fa_mem_record *r = find(m, &op->id);

        if (r && (r->partition != op->partition || fa_state_final(r->state))) {
                op->r = FAAS_E_EXISTS; /* somebody accepted it anew meanwhile, or it is done */
                tell(op, r);
                return;
        }
        if (repeat || (r && !fa_rule(RESTORE_FALLEN)))
                return;
        if (!r && tomb_has(m, &op->id)) {
                op->r = FAAS_E_GONE; /* its submitter has it: what was deleted does not return */
                return;
        }
        if (!r && (op->r = record_add(m, op, &r)))
                return;
        r->strikes = op->strikes;
        r->retries = op->retries;
        if (fa_state_final(op->state)) {
                uncount(m, r);
                fa_outcome_ref(&r->outcome, &op->outcome);
                r->state = op->state;
                r->fence = op->fence;
                make_final(m, r, now_ns);
        } else {
                r->strike_fence = op->fence;
        }
}

/* The first record behind the cursor; at once, if the last LOAD ended there. */
static struct fa_list *
load_from(const struct fa_memory *m, struct fa_mem_part *p, uint64_t cursor) {
        struct fa_list *it = p->records.next;

        if (m->loaded && m->loaded->partition == p->partition && m->loaded->serial == cursor)
                return m->loaded->link.next;
        while (it != &p->records && fa_list_entry(it, struct fa_mem_record, link)->serial <= cursor)
                it = it->next;
        return it;
}

static void run_load(struct fa_memory *m, struct fa_op *op) {
        const size_t max = op->n && op->n < LOAD_MAX ? op->n : LOAD_MAX;
        struct fa_mem_part *p = fa_mem_part_find(m, op->partition);
        struct fa_op_more *more = op->more;
        size_t bytes = 0;

        more->recs = calloc(max, sizeof(*more->recs));
        if (!p || !more->recs) {
                op->r = p ? -ENOMEM : FAAS_E_NOENT;
                return;
        }
        for (struct fa_list *it = load_from(m, p, op->cursor); it != &p->records; it = it->next) {
                struct fa_mem_record *r = fa_list_entry(it, struct fa_mem_record, link);
                if (more->n_recs == max || bytes >= FA_BATCH_BYTES)
                        return;
                const struct fa_record seen = view(r);
                fa_record_copy(&more->recs[more->n_recs++], &seen);
                bytes += fa_blob_len(fa_spec_payload(r->spec));
                op->cursor = r->serial;
                m->loaded = r;
        }
        op->cursor = FA_CURSOR_END;
}

static void run_get(struct fa_memory *m, struct fa_op *op) {
        const struct fa_mem_record *r = find(m, &op->id);

        if (r)
                tell(op, r);
        else
                op->r = tomb_has(m, &op->id) ? FAAS_E_GONE : FAAS_E_NOENT;
}

/* Only what is final goes; whoever forgets an open task has misunderstood. */
static void run_forget(struct fa_memory *m, struct fa_op *op) {
        struct fa_mem_record *r = find(m, &op->id);

        if (!r || !fa_state_final(r->state)) {
                op->r = FAAS_E_NOENT;
                return;
        }
        tomb_add(m, &op->id);
        record_free(m, r);
}

static void run_hint(struct fa_memory *m, struct fa_op *op) {
        struct fa_mem_record *r = find(m, &op->id);

        if (r && r->partition == op->partition && !fa_state_final(r->state))
                r->hinted = 1;
}

static void
run_op(struct fa_memory *m, struct fa_group *g, struct fa_op *op, bool repeat, uint64_t now_ns) {
        switch (op->kind) {
        case FA_OP_START:
                fa_mem_start(m, op, now_ns);
                break;
        case FA_OP_REBIND:
                fa_mem_rebind(m, g, op);
                break;
        case FA_OP_TICK:
                fa_mem_tick(m, g, op, now_ns);
                break;
        case FA_OP_TAKE:
                fa_mem_take(m, g, op);
                break;
        case FA_OP_DROP:
                fa_mem_drop(m, g, op);
                break;
        case FA_OP_LOAD:
                run_load(m, op);
                break;
        case FA_OP_ACCEPT:
                run_accept(m, op, repeat);
                break;
        case FA_OP_FINISH:
                run_finish(m, op, repeat, now_ns);
                break;
        case FA_OP_REQUEUE:
                if (!repeat)
                        run_requeue(m, op);
                break;
        case FA_OP_HINT:
                run_hint(m, op);
                break;
        case FA_OP_RESTORE:
                run_restore(m, op, repeat, now_ns);
                break;
        case FA_OP_GET:
                run_get(m, op);
                break;
        case FA_OP_FORGET:
                run_forget(m, op);
                break;
        default:
                op->r = -EINVAL;
        }
}

void fa_memory_run(struct fa_memory *m, struct fa_group *g, uint64_t now_ns) {
        bool repeat = false;

        g->r = fa_mem_guard(m, g, &repeat);
        if (g->r)
                return;
        for (size_t i = 0; i < g->n && !g->r; i++)
                run_op(m, g, &g->ops[i], repeat, now_ns);
}

void fa_memory_tick(struct fa_memory *m, uint64_t now_ns) {
        struct fa_list *it;
        struct fa_list *tmp;

        if (now_ns - m->tombs_at_ns >= TOMB_NS) {
                struct fa_mem_tombs *old = m->tombs[1];
                m->tombs[1] = m->tombs[0];
                m->tombs[0] = NULL;
                free(old);
                m->tombs_at_ns = now_ns;
        }
        fa_list_for_each_safe (it, tmp, &m->finals) {
                struct fa_mem_record *r = fa_list_entry(it, struct fa_mem_record, link);
                if (now_ns - r->final_at_ns < m->cfg.result_ttl_ns)
                        break;
                tomb_add(m, &r->node.key);
                record_free(m, r);
        }
}

uint64_t fa_memory_deadline(const struct fa_memory *m) {
        struct fa_list *first = fa_list_first(&m->finals);
        uint64_t at = m->tombs[0] || m->tombs[1] ? m->tombs_at_ns + TOMB_NS : FA_NEVER;

        if (first) {
                const struct fa_mem_record *r = fa_list_entry(first, struct fa_mem_record, link);
                at = FA_MIN(at, r->final_at_ns + m->cfg.result_ttl_ns);
        }
        return at;
}

int fa_memory_new(struct fa_memory **ret, const struct fa_store_cfg *cfg) {
        struct fa_memory *m = calloc(1, sizeof(*m));

        if (!m)
                return -ENOMEM;
        m->cfg = *cfg;
        fa_map_init(&m->records, cfg->seed, sizeof(struct fa_mem_record));
        fa_list_init(&m->finals);
        fa_list_init(&m->parts);
        fa_list_init(&m->leases);
        *ret = m;
        return 0;
}

struct fa_memory *fa_memory_free(struct fa_memory *m) {
        size_t it = 0;

        if (!m)
                return NULL;
        for (struct fa_mem_record *r; (r = fa_map_next(&m->records, &it));) {
                fa_spec_unref(r->spec);
                fa_outcome_deinit(&r->outcome);
        }
        fa_map_deinit(&m->records);
        fa_mem_lease_deinit(m);
        free(m->tombs[0]);
        free(m->tombs[1]);
        free(m);
        return NULL;
}

void fa_memory_restarted(struct fa_memory *m) {
        m->restarts++;
        m->renew_all = true;
}

uint8_t fa_memory_peek(const struct fa_memory *m, const struct faas_id *id, struct fa_record *ret) {
        const struct fa_mem_record *r = find(m, id);

        if (!r)
                return tomb_has(m, id) ? FA_STATE_GONE : FA_STATE_NOT_FOUND;
        if (ret)
                *ret = view(r);
        return r->state;
}

void fa_memory_count(const struct fa_memory *m,
                     uint64_t *ret_open,
                     uint64_t *ret_final,
                     uint64_t *ret_bytes) {
        *ret_open = m->n_open;
        *ret_final = m->n_final;
        *ret_bytes = m->open_bytes + m->final_bytes;
}
