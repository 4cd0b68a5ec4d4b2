/*
 * redis-record.c - tasks' records as bytes
 *
 * What the scripts look at stands at fixed places at the front; the rest is the task while it is
 * open, and its result afterwards.  Whatever comes from Redis is checked before it is believed.
 */
#include "store/redis-record.h"

#include <errno.h>
#include <string.h>

#include "base/limits.h"
#include "base/macros.h"

/* Places in the head. */
enum {
        STATE = 0,
        PARTITION = 1,
        PART = 9,
        HINTED = 13,
        RETRIES = 14,
        HASH = 18,
        STRIKE_GEN = 26,
        STRIKE_N = 30,
        STRIKES = 38
};

#define OPEN_FIXED                                                                                 \
        24 /* client, time-out, limits of strikes and retries, priority, three lengths             \
            */
#define RESULT_FIXED 25 /* strikes, fence, failure, code, lengths of text and log */

static uint8_t *put8(uint8_t *p, uint8_t v) {
        *p = v;
        return p + 1;
}

static uint8_t *put16(uint8_t *p, uint16_t v) {
        v = __builtin_bswap16(v);
        memcpy(p, &v, sizeof(v));
        return p + sizeof(v);
}

static uint8_t *put32(uint8_t *p, uint32_t v) {
        v = __builtin_bswap32(v);
        memcpy(p, &v, sizeof(v));
        return p + sizeof(v);
}

static uint8_t *put64(uint8_t *p, uint64_t v) {
        v = __builtin_bswap64(v);
        memcpy(p, &v, sizeof(v));
        return p + sizeof(v);
}

static uint8_t *put_bytes(uint8_t *p, const void *from, size_t len) {
        if (len)
                memcpy(p, from, len);
        return p + len;
}

static uint16_t get16(const uint8_t *p) {
        uint16_t v;

        memcpy(&v, p, sizeof(v));
        return __builtin_bswap16(v);
}

static uint32_t get32(const uint8_t *p) {
        uint32_t v;

        memcpy(&v, p, sizeof(v));
        return __builtin_bswap32(v);
}

static uint64_t get64(const uint8_t *p) {
        uint64_t v;

        memcpy(&v, p, sizeof(v));
        return __builtin_bswap64(v);
}

/* Function, queue and digest stand in a spec with a NUL behind each of the first two. */
static size_t names_len(const struct fa_spec *s) {
        return (size_t)s->function_len + s->queue_len + s->digest_len;
}

size_t fa_rrec_open_len(const struct fa_spec *s) {
        return FA_RREC_HEAD + OPEN_FIXED + names_len(s) + fa_blob_len(fa_spec_payload(s));
}

void fa_rrec_open(struct fa_buf *b, const struct fa_op *op, uint32_t part) {
        const struct fa_spec *s = op->spec;
        const struct fa_spec_limits limits = fa_spec_limits(s);
        size_t len = fa_rrec_open_len(s);
        uint8_t *p = fa_buf_room(b, len);

        if (!p)
                return;
        p = put8(p, FAAS_QUEUED);
        p = put64(p, op->partition);
        p = put32(p, part);
        p = put8(p, 0);
        p = put32(p, op->kind == FA_OP_RESTORE ? op->retries : 0);
        p = put64(p, fa_spec_hash(s, 0)); /* all dispatchers compare it: no seed of their own */
        p = put32(p, op->kind == FA_OP_RESTORE ? op->fence.gen : 0);
        p = put64(p, op->kind == FA_OP_RESTORE ? op->fence.n : 0);
        p = put32(p, op->kind == FA_OP_RESTORE ? op->strikes : 0);
        p = put64(p, op->client);
        p = put32(p, limits.timeout_ms);
        p = put32(p, limits.max_strikes);
        p = put32(p, limits.max_retries);
        p = put8(p, s->priority);
        p = put8(p, s->function_len);
        p = put8(p, s->queue_len);
        p = put8(p, s->digest_len);
        p = put_bytes(p, s->text, s->function_len);
        p = put_bytes(p, s->text + s->function_len + 1, s->queue_len);
        p = put_bytes(p, s->text + s->function_len + s->queue_len + 2, s->digest_len);
        put_bytes(p, fa_blob_ptr(fa_spec_payload(s)), fa_blob_len(fa_spec_payload(s)));
        b->len += len;
}

size_t fa_rrec_result_len(const struct fa_outcome *o) {
        return RESULT_FIXED + fa_blob_len(o->text) + fa_blob_len(o->log) + fa_blob_len(o->payload);
}

void fa_rrec_result(struct fa_buf *b, const struct fa_op *op) {
        const struct fa_outcome *o = &op->outcome;
        size_t len = fa_rrec_result_len(o);
        uint8_t *p = fa_buf_room(b, len);

        if (!p)
                return;
        p = put32(p, op->strikes);
        p = put32(p, op->fence.gen);
        p = put64(p, op->fence.n);
        p = put8(p, o->failure);
        p = put32(p, (uint32_t)o->code);
        p = put16(p, (uint16_t)fa_blob_len(o->text));
        p = put16(p, (uint16_t)fa_blob_len(o->log));
        p = put_bytes(p, fa_blob_ptr(o->text), fa_blob_len(o->text));
        p = put_bytes(p, fa_blob_ptr(o->log), fa_blob_len(o->log));
        put_bytes(p, fa_blob_ptr(o->payload), fa_blob_len(o->payload));
        b->len += len;
}

size_t fa_rrec_final_len(const struct fa_outcome *o) {
        return STRIKES + fa_rrec_result_len(o);
}

void fa_rrec_final(struct fa_buf *b, const struct fa_op *op, uint32_t part) {
        uint8_t *p = fa_buf_room(b, STRIKES);

        if (!p)
                return;
        memset(p, 0, STRIKES); /* no hint, no retries, no strike */
        put8(p + STATE, op->outcome.status);
        put64(p + PARTITION, op->partition);
        put32(p + PART, part);
        put64(p + HASH, fa_spec_hash(op->spec, 0));
        b->len += STRIKES;
        fa_rrec_result(b, op);
}

static int read_open(struct fa_record *r, struct fa_slice v) {
        const uint8_t *p = v.p + FA_RREC_HEAD;
        struct fa_item it = {.timeout_ms = 0};
        size_t fixed = FA_RREC_HEAD + OPEN_FIXED;
        size_t names;
        int e;

        if (v.len < fixed)
                return FAAS_E_PROTO;
        r->client = get64(p);
        it.timeout_ms = get32(p + 8);
        it.max_strikes = get32(p + 12);
        it.max_retries = get32(p + 16);
        it.priority = p[20];
        it.function = (struct fa_slice){v.p + fixed, p[21]};
        it.queue = (struct fa_slice){it.function.p + p[21], p[22]};
        it.digest = (struct fa_slice){it.queue.p + p[22], p[23]};
        names = it.function.len + it.queue.len + it.digest.len;
        if (v.len < fixed + names || v.len - fixed - names > FA_PAYLOAD_MAX || !it.function.len ||
            it.function.len > FA_NAME_MAX || it.queue.len > FA_NAME_MAX ||
            (it.digest.len && it.digest.len != FA_DIGEST_LEN))
                return FAAS_E_PROTO;
        e = fa_blob_new(&it.payload, v.p + fixed + names, v.len - fixed - names);
        if (e == 0)
                e = fa_spec_new(&r->spec, &it);
        fa_blob_unref(it.payload);
        return e;
}

static int read_result(struct fa_record *r, struct fa_slice v) {
        const uint8_t *p = v.p + STRIKES;
        size_t fixed = STRIKES + RESULT_FIXED;
        size_t text;
        size_t log;
        struct fa_outcome o = {.status = r->state};
        int e;

        if (v.len < fixed)
                return FAAS_E_PROTO;
        r->fence = (struct fa_fence){r->partition, get32(p + 4), get64(p + 8)};
        o.failure = p[16];
        o.code = (int32_t)get32(p + 17);
        text = get16(p + 21);
        log = get16(p + 23);
        if (o.failure >= _FAAS_FAILURE_N || text > FA_TEXT_MAX || log > FA_LOG_MAX ||
            v.len < fixed + text + log || v.len - fixed - text - log > FA_PAYLOAD_MAX)
                return FAAS_E_PROTO;
        p = v.p + fixed;
        e = fa_blob_new(&o.text, p, text);
        if (e == 0)
                e = fa_blob_new(&o.log, p + text, log);
        if (e == 0)
                e = fa_blob_new(&o.payload, p + text + log, v.len - fixed - text - log);
        if (e)
                fa_outcome_deinit(&o);
        else
                r->outcome = o;
        return e;
}

int fa_rrec_read(struct fa_record *ret, const struct faas_id *id, struct fa_slice v) {
        struct fa_record r = {.id = *id};
        int e;

        if (v.len < FA_RREC_HEAD || v.p[HINTED] > 1)
                return FAAS_E_PROTO;
        r.state = v.p[STATE];
        if (r.state != FAAS_QUEUED && !fa_state_final(r.state))
                return FAAS_E_PROTO;
        r.partition = get64(v.p + PARTITION);
        r.hinted = v.p[HINTED];
        r.retries = get32(v.p + RETRIES);
        r.strikes = get32(v.p + STRIKES);
        r.strike_fence = (struct fa_fence){0, get32(v.p + STRIKE_GEN), get64(v.p + STRIKE_N)};
        if (r.strike_fence.gen) /* else it never had a strike */
                r.strike_fence.partition = r.partition;
        e = fa_state_final(r.state) ? read_result(&r, v) : read_open(&r, v);
        if (e == 0)
                *ret = r;
        return e;
}

uint64_t fa_rrec_partition(struct fa_slice v) {
        return get64(v.p + PARTITION);
}

bool fa_rrec_same(struct fa_slice v, const struct fa_spec *spec) {
        return v.len >= FA_RREC_HEAD && get64(v.p + HASH) == fa_spec_hash(spec, 0);
}

uint64_t fa_rrec_bucket(const struct faas_id *id) {
        return (get64(id->b) >> 16) / FA_RREC_BUCKET_MS; /* the first 48 bits are milliseconds */
}
