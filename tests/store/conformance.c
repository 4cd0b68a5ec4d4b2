#undef NDEBUG
#include "conformance.h"

#include <stdlib.h>
#include <string.h>

#include "th-alloc.h"

void bed_open(struct bed *b, const struct fa_store_cfg *cfg) {
        struct fa_store_cfg c = {.tick_ns = TICK_NS, .lease_ticks = LEASE_TICKS};

        *b = (struct bed){.ops = &bed_under_test, .live = th_alloc_live()};
        b->ops->open(b, cfg ? cfg : &c);
        cr_assert_not_null(b->store);
}

void bed_close(struct bed *b) {
        b->ops->close(b);
        cr_assert_eq(th_alloc_live(), b->live, "%+lld blocks leaked",
                     (long long)(th_alloc_live() - b->live));
}

void bed_run(struct bed *b, struct fa_group *g) {
        fa_store_apply(b->store, g, b->now_ns);
        cr_assert_eq(b->ops->drive(b), g);
        cr_assert_null(fa_store_reap(b->store, b->now_ns), "answered twice");
}

struct ep ep_start(struct bed *b, const char *name) {
        struct ep e = {.bed = b, .name = name};
        struct fa_group *g = NULL;

        cr_assert_eq(fa_group_new(&g), 0);
        struct fa_op *op = put(g, FA_OP_START, 0, 0);
        op->more->name = name;
        op->more->endpoint = "ipc://nowhere";
        bed_run(b, g);
        cr_assert_eq(g->r, 0);
        cr_assert_eq(g->ops[0].r, 0);
        e.epoch = g->ops[0].owner;
        fa_group_free(g);
        return e;
}

struct fa_group *ep_group(struct ep *e) {
        struct fa_group *g = NULL;

        cr_assert_eq(fa_group_new(&g), 0);
        g->epoch = e->epoch;
        g->seq = ++e->seq;
        return g;
}

struct fa_group *ep_control(const struct ep *e) {
        struct fa_group *g = NULL;

        cr_assert_eq(fa_group_new(&g), 0);
        g->epoch = e->epoch;
        return g;
}

int ep_run(struct ep *e, struct fa_group *g) {
        bed_run(e->bed, g);
        return g->r;
}

static void more_again(struct fa_op_more *dst, const struct fa_op_more *src) {
        dst->name = src->name;
        dst->endpoint = src->endpoint;
        if (!src->n_owned)
                return;
        dst->owned = calloc(src->n_owned, sizeof(*dst->owned));
        cr_assert_not_null(dst->owned);
        memcpy(dst->owned, src->owned, src->n_owned * sizeof(*dst->owned));
        dst->n_owned = src->n_owned;
}

struct fa_group *group_again(const struct fa_group *g) {
        struct fa_group *c = NULL;

        cr_assert_eq(fa_group_new(&c), 0);
        c->epoch = g->epoch;
        c->seq = g->seq;
        for (size_t i = 0; i < g->n; i++) {
                const struct fa_op *src = &g->ops[i];
                struct fa_op *dst = fa_group_add(c, src->kind);
                cr_assert_not_null(dst);
                struct fa_op_more *more = dst->more;
                *dst = *src;
                dst->more = more;
                if (dst->spec)
                        fa_spec_ref(dst->spec);
                fa_outcome_ref(&dst->outcome, &src->outcome);
                if (more)
                        more_again(more, src->more);
        }
        return c;
}

struct faas_id id_of(unsigned n) {
        struct faas_id id = {{0x01, 0x8f, 0, 0, 0, 0, 0x70, 0, 0x80}};

        for (int i = 0; i < 4; i++)
                id.b[15 - i] = (unsigned char)(n >> 8 * i);
        id.b[4] = (unsigned char)(n / ID_LATER >> 2); /* 64 ms each */
        id.b[5] = (unsigned char)(n / ID_LATER << 6);
        return id;
}

struct fa_blob *blob_of(const char *bytes) {
        struct fa_blob *b = NULL;

        cr_assert_eq(fa_blob_new(&b, bytes, strlen(bytes)), 0);
        return b;
}

bool blob_is(const struct fa_blob *b, const char *bytes) {
        return fa_blob_len(b) == strlen(bytes) && memcmp(fa_blob_ptr(b), bytes, strlen(bytes)) == 0;
}

struct fa_spec *spec_of(const char *bytes) {
        struct fa_item it = {.function = {(const uint8_t *)"echo", 4}, .payload = blob_of(bytes)};
        struct fa_spec *s = NULL;

        cr_assert_eq(fa_spec_new(&s, &it), 0);
        fa_blob_unref(it.payload);
        return s;
}

struct fa_op *put(struct fa_group *g, enum fa_op_kind kind, uint64_t partition, unsigned id) {
        struct fa_op *op = fa_group_add(g, kind);

        cr_assert_not_null(op);
        op->partition = partition;
        op->id = id_of(id);
        return op;
}

struct fa_op *put_accept(struct fa_group *g, uint64_t partition, unsigned id, const char *bytes) {
        struct fa_op *op = put(g, FA_OP_ACCEPT, partition, id);

        op->spec = spec_of(bytes);
        return op;
}

struct fa_op *put_finish(struct fa_group *g, uint64_t partition, unsigned id, const char *result) {
        struct fa_op *op = put(g, FA_OP_FINISH, partition, id);

        op->fence = (struct fa_fence){partition, 1, id};
        op->outcome = (struct fa_outcome){.status = FAAS_COMPLETED, .payload = blob_of(result)};
        return op;
}

struct fa_op *put_tick(struct fa_group *g, const uint64_t *mine, size_t n) {
        struct fa_op *op = put(g, FA_OP_TICK, 0, 0);

        op->more->owned = calloc(n ? n : 1, sizeof(*op->more->owned));
        cr_assert_not_null(op->more->owned);
        for (size_t i = 0; i < n; i++)
                op->more->owned[op->more->n_owned++].partition = mine[i];
        return op;
}

/* Runs a group of one op and frees it. */
static int run_one(struct ep *e, struct fa_group *g) {
        int r = ep_run(e, g);

        r = r ? r : g->ops[0].r;
        fa_group_free(g);
        return r;
}

int do_accept(struct ep *e, unsigned id, const char *bytes) {
        struct fa_group *g = ep_group(e);

        put_accept(g, e->epoch, id, bytes);
        return run_one(e, g);
}

int do_finish(struct ep *e, unsigned id, const char *result) {
        struct fa_group *g = ep_group(e);

        put_finish(g, e->epoch, id, result);
        return run_one(e, g);
}

int do_requeue(struct ep *e, unsigned id, uint32_t strikes, uint32_t retries) {
        struct fa_group *g = ep_group(e);
        struct fa_op *op = put(g, FA_OP_REQUEUE, e->epoch, id);

        op->strikes = strikes;
        op->retries = retries;
        op->fence = (struct fa_fence){e->epoch, 1, strikes};
        return run_one(e, g);
}

int do_hint(struct ep *e, unsigned id) {
        struct fa_group *g = ep_group(e);

        put(g, FA_OP_HINT, e->epoch, id);
        return run_one(e, g);
}

int do_forget(struct ep *e, unsigned id) {
        struct fa_group *g = ep_group(e);

        put(g, FA_OP_FORGET, e->epoch, id);
        return run_one(e, g);
}

int do_tick(struct ep *e) {
        struct fa_group *g = ep_control(e);

        put_tick(g, &e->epoch, 1);
        return run_one(e, g);
}

int do_take(struct ep *e, uint64_t partition, uint64_t owner, uint32_t *ret_gen) {
        struct fa_group *g = ep_group(e);

        put(g, FA_OP_TAKE, partition, 0)->owner = owner;
        int r = ep_run(e, g);
        r = r ? r : g->ops[0].r;
        if (ret_gen)
                *ret_gen = g->ops[0].gen;
        fa_group_free(g);
        return r;
}

int do_rebind(struct ep *e, uint8_t state, const struct fa_owned *owned, size_t n) {
        struct fa_group *g = ep_control(e);
        struct fa_op *op = put(g, FA_OP_REBIND, 0, 0);

        op->state = state;
        if (state == FA_REBIND_OWN) {
                op->more->name = e->name;
                op->more->endpoint = "ipc://nowhere";
                op->cursor = e->seq;
                op->more->owned = calloc(n ? n : 1, sizeof(*owned));
                cr_assert_not_null(op->more->owned);
                for (size_t i = 0; i < n; i++)
                        op->more->owned[op->more->n_owned++] = owned[i];
        }
        return run_one(e, g);
}

int do_restore(struct ep *e, unsigned id, uint8_t state, const char *bytes) {
        struct fa_group *g = ep_control(e);
        struct fa_op *op = put(g, FA_OP_RESTORE, e->epoch, id);

        op->spec = spec_of(bytes);
        op->state = state;
        op->strikes = 2;
        op->fence = (struct fa_fence){e->epoch, 1, 7};
        if (fa_state_final(state))
                op->outcome = (struct fa_outcome){.status = state, .payload = blob_of(bytes)};
        return run_one(e, g);
}

void live(struct ep *e, unsigned ticks) {
        for (unsigned i = 0; i < ticks; i++) {
                e->bed->ops->advance(e->bed, TICK_NS);
                cr_assert_eq(do_tick(e), 0);
        }
}

void bind_own(struct ep *e) {
        const struct fa_owned mine = {e->epoch, e->epoch, 1};

        cr_assert_eq(do_rebind(e, FA_REBIND_OWN, &mine, 1), 0);
}

void bind_done(struct ep *e) {
        cr_assert_eq(do_rebind(e, FA_REBIND_DONE, NULL, 0), 0);
}

int do_get(struct bed *b, unsigned id, struct fa_record **ret) {
        struct fa_group *g = NULL;

        cr_assert_eq(fa_group_new(&g), 0);
        put(g, FA_OP_GET, 0, id);
        bed_run(b, g);
        cr_assert_eq(g->r, 0);
        int r = g->ops[0].r;
        cr_assert_eq(r == 0, g->ops[0].rec != NULL);
        if (ret)
                *ret = fa_steal(g->ops[0].rec);
        fa_group_free(g);
        return r;
}

struct fa_record *record_free(struct fa_record *r) {
        if (r)
                fa_record_deinit(r);
        free(r);
        return NULL;
}

void expect_open(struct bed *b, unsigned id) {
        struct fa_record *rec = NULL;

        cr_assert_eq(do_get(b, id, &rec), 0, "task %u", id);
        cr_assert_eq(rec->state, FAAS_QUEUED, "task %u: state %u", id, rec->state);
        cr_assert_not_null(rec->spec);
        record_free(rec);
}

void expect_final(struct bed *b, unsigned id, const char *result) {
        struct fa_record *rec = NULL;

        cr_assert_eq(do_get(b, id, &rec), 0, "task %u", id);
        cr_assert_eq(rec->state, FAAS_COMPLETED, "task %u: state %u", id, rec->state);
        cr_assert(blob_is(rec->outcome.payload, result), "task %u", id);
        record_free(rec);
}

size_t load_all(struct ep *e, uint64_t partition, unsigned *ret, size_t cap) {
        uint64_t cursor = 0;
        size_t n = 0;

        while (cursor != FA_CURSOR_END) {
                struct fa_group *g = ep_group(e);
                put(g, FA_OP_LOAD, partition, 0)->cursor = cursor;
                cr_assert_eq(ep_run(e, g), 0);
                const struct fa_op *op = &g->ops[0];
                cr_assert_eq(op->r, 0);
                cr_assert(op->cursor > cursor, "no step forward");
                for (size_t i = 0; i < op->more->n_recs; i++) {
                        const unsigned char *b = op->more->recs[i].id.b;
                        cr_assert(n < cap);
                        cr_assert_eq(op->more->recs[i].partition, partition);
                        ret[n++] = (unsigned)(b[12] << 24 | b[13] << 16 | b[14] << 8 | b[15]);
                }
                cursor = op->cursor;
                fa_group_free(g);
        }
        return n;
}
