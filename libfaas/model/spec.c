/*
 * spec.c - what was submitted
 *
 * One allocation per task for everything but a payload that is not small.  That is a blob of its
 * own, referred to, because it travels on in messages; a small one is copied, for less than a blob
 * takes.  Never changed after it is made.
 */
#include "model/spec.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/macros.h"

_Static_assert(FA_BLOB_INSIDE_SIZE <= sizeof(((struct fa_spec *)NULL)->payload), "room for a blob");

static char *put(char *to, const void *from, size_t len) {
        if (len)
                memcpy(to, from, len);
        return to + len;
}

int fa_spec_new(struct fa_spec **ret, const struct fa_item *it) {
        const struct fa_spec_limits limits = {it->timeout_ms, it->max_strikes, it->max_retries};
        bool has_limits = limits.timeout_ms || limits.max_strikes || limits.max_retries;
        size_t n = it->function.len + it->queue.len + it->digest.len + 2;
        size_t len = fa_blob_len(it->payload);
        bool inside = len > 0 && len <= FA_SPEC_INSIDE_MAX;
        struct fa_spec *s = malloc(FA_MAX(sizeof(*s), offsetof(struct fa_spec, text) + n +
                                                              (has_limits ? sizeof(limits) : 0) +
                                                              (inside ? len + 1 : 0)));

        if (!s)
                return -ENOMEM;
        *s = (struct fa_spec){
                .refs = 1,
                .priority = it->priority,
                .function_len = (uint8_t)it->function.len,
                .queue_len = (uint8_t)it->queue.len,
                .digest_len = (uint8_t)it->digest.len,
                .inside = inside,
                .has_limits = has_limits,
        };
        char *p = put(s->text, it->function.p, it->function.len);
        p = put(p, "", 1);
        p = put(p, it->queue.p, it->queue.len);
        p = put(p, "", 1);
        p = put(p, it->digest.p, it->digest.len);
        p = put(p, &limits, has_limits ? sizeof(limits) : 0);
        if (inside) {
                fa_blob_inside(fa_spec_payload(s), (const uint8_t *)p, len, &s->refs);
                p = put(p, it->payload->p, len);
                *p = 0;
        } else {
                s->payload.blob = fa_blob_ref(it->payload);
        }
        *ret = s;
        return 0;
}

struct fa_spec *fa_spec_unref(struct fa_spec *s) {
        if (s && --s->refs == 0) {
                if (!s->inside)
                        fa_blob_unref(s->payload.blob);
                free(s);
        }
        return NULL;
}

static size_t text_len(const struct fa_spec *s) {
        return (size_t)s->function_len + s->queue_len + s->digest_len + 2;
}

struct fa_spec_limits fa_spec_limits(const struct fa_spec *s) {
        struct fa_spec_limits limits = {0, 0, 0};

        if (s->has_limits)
                memcpy(&limits, s->text + text_len(s), sizeof(limits));
        return limits;
}

bool fa_spec_equal(const struct fa_spec *a, const struct fa_spec *b) {
        const struct fa_spec_limits la = fa_spec_limits(a);
        const struct fa_spec_limits lb = fa_spec_limits(b);
        const struct fa_blob *pa = fa_spec_payload(a);
        const struct fa_blob *pb = fa_spec_payload(b);
        const size_t len = fa_blob_len(pa);

        return a->function_len == b->function_len && a->queue_len == b->queue_len &&
               a->digest_len == b->digest_len && la.timeout_ms == lb.timeout_ms &&
               la.max_strikes == lb.max_strikes && la.max_retries == lb.max_retries &&
               a->priority == b->priority && memcmp(a->text, b->text, text_len(a)) == 0 &&
               len == fa_blob_len(pb) &&
               (pa == pb || memcmp(fa_blob_ptr(pa), fa_blob_ptr(pb), len) == 0);
}

/* Multiply and fold. */
static uint64_t hash_word(uint64_t h, uint64_t w) {
        h = (h ^ w) * UINT64_C(0x9fb21c651e98df25);
        return h ^ (h >> 29);
}

/* Of long ones four words at a time, in four chains that do not wait for each other: a payload of
 * 4 MiB takes half a millisecond. */
static uint64_t hash_bytes(uint64_t h, const void *p, size_t len) {
        uint64_t lane[4] = {h, h + 1, h + 2, h + 3};
        uint64_t w[4] = {0};
        const uint8_t *b = p;

        for (; len >= sizeof(w); b += sizeof(w), len -= sizeof(w)) {
                memcpy(w, b, sizeof(w));
                for (unsigned i = 0; i < 4; i++)
                        lane[i] = hash_word(lane[i], w[i]);
        }
        for (unsigned i = 1; i < 4 && b != (const uint8_t *)p; i++)
                lane[0] = hash_word(lane[0], lane[i]);
        h = lane[0];
        for (; len >= sizeof(w[0]); b += sizeof(w[0]), len -= sizeof(w[0])) {
                memcpy(w, b, sizeof(w[0]));
                h = hash_word(h, w[0]);
        }
        w[0] = 0;
        memcpy(w, b, len);
        return hash_word(h, w[0]);
}

uint64_t fa_spec_hash(const struct fa_spec *s, uint64_t seed) {
        const struct fa_spec_limits limits = fa_spec_limits(s);
        const struct fa_blob *payload = fa_spec_payload(s);
        uint64_t h = hash_word(seed, fa_blob_len(payload));

        h = hash_word(h, (uint64_t)s->function_len << 24 | (uint64_t)s->queue_len << 16 |
                                 (uint64_t)s->digest_len << 8 | s->priority);
        h = hash_word(h, (uint64_t)limits.timeout_ms << 32 | limits.max_strikes);
        h = hash_word(h, limits.max_retries);
        h = hash_bytes(h, s->text, text_len(s));
        return hash_bytes(h, fa_blob_ptr(payload), fa_blob_len(payload));
}

size_t fa_spec_size(const struct fa_spec *s) {
        return sizeof(*s) + text_len(s) + (s->has_limits ? sizeof(struct fa_spec_limits) : 0) +
               fa_blob_len(fa_spec_payload(s));
}

static void drop(void *spec) {
        fa_spec_unref(spec);
}

void fa_spec_fill(struct fa_spec *s, struct fa_item *it) {
        const struct fa_spec_limits limits = fa_spec_limits(s);
        const uint8_t *p = (const uint8_t *)s->text;

        it->function = (struct fa_slice){p, s->function_len};
        p += s->function_len + 1;
        it->queue = (struct fa_slice){p, s->queue_len};
        p += s->queue_len + 1;
        it->digest = (struct fa_slice){p, s->digest_len};
        it->timeout_ms = limits.timeout_ms;
        it->max_strikes = limits.max_strikes;
        it->max_retries = limits.max_retries;
        it->priority = s->priority;
        it->payload = fa_blob_ref(fa_spec_payload(s));
        it->owner = fa_spec_ref(s);
        it->drop_owner = drop;
}

int fa_spec_of(struct fa_spec **ret, const struct fa_item *it) {
        if (it->drop_owner != drop)
                return fa_spec_new(ret, it);
        *ret = fa_spec_ref(it->owner);
        return 0;
}
