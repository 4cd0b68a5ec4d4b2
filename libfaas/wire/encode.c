/*
 * struct fa_msg to frames, driven by the table.  What the table forbids is a bug of this process
 * and asserted, because the peer would refuse it; only what depends on users' data and on how full
 * a batch is (sizes) is a condition.  Never changes the message.
 */
#include "wire/msg.h"

#include <errno.h>
#include <string.h>

#include <faas/error.h>

#include "base/error.h"
#include "wire/mp.h"
#include "wire/table.h"

static inline const void *member(const void *base, const struct fa_field *f) {
        return (const char *)base + f->offset;
}

static inline void put_slice(struct fa_mp_writer *w, const struct fa_field *f, struct fa_slice s) {
        assert(f->kind == FA_KIND_NAME     ? s.len == 0 ? f->min == 0 : fa_name_valid(s)
                   : f->kind == FA_KIND_DIGEST ? s.len == 0 || s.len == f->max
                                           : (s.len >= f->min && s.len <= f->max));
        if (f->kind == FA_KIND_DIGEST)
                fa_mp_put_bin(w, s.p, s.len);
        else
                fa_mp_put_str(w, s.p, s.len);
}

static void put_names(struct fa_mp_writer *w, const struct fa_field *f, const struct fa_msg *m) {
        assert(m->n_names <= f->max);
        fa_mp_put_array(w, m->n_names);
        for (uint32_t i = 0; i < m->n_names; i++) {
                assert(f->kind == FA_KIND_NAMES
                               ? fa_name_valid(m->names[i])
                               : m->names[i].len >= 1 && m->names[i].len <= FA_ENDPOINT_MAX);
                fa_mp_put_str(w, m->names[i].p, m->names[i].len);
        }
}

static void put_values(struct fa_mp_writer *w, const struct fa_field *f, const struct fa_msg *m) {
        assert(m->n_values <= f->max);
        fa_mp_put_array(w, m->n_values);
        for (uint32_t i = 0; i < m->n_values; i++)
                fa_mp_put_uint(w, m->values[i]);
}

static inline void put_fence(struct fa_mp_writer *w, const struct fa_fence *fence) {
        fa_mp_put_array(w, 3);
        fa_mp_put_uint(w, fence->partition);
        fa_mp_put_uint(w, fence->gen);
        fa_mp_put_uint(w, fence->n);
}

/* Only the place and the length; the bytes go to the other frames. */
static inline void put_payload(struct fa_mp_writer *w, const struct fa_blob *b) {
        const size_t len = fa_blob_len(b);

        fa_mp_put_array(w, FA_PLACE_FIELDS);
        fa_mp_put_uint(w, len <= FA_INLINE_MAX ? FA_PAYLOAD_INLINE : FA_PAYLOAD_FRAME);
        fa_mp_put_uint(w, len);
}

static inline void put_int(struct fa_mp_writer *w, const struct fa_field *f, uint64_t v) {
        assert(f->kind == FA_KIND_SET ? v < 64 && (f->max >> v & 1) : (v >= f->min && v <= f->max));
        fa_mp_put_uint(w, v);
}

/* Those that no item has. */
static struct fa_mp_writer
put_list(struct fa_mp_writer w, const struct fa_field *f, const struct fa_msg *m) {
        if (f->kind == FA_KIND_VALUES)
                put_values(&w, f, m);
        else
                put_names(&w, f, m);
        return w;
}

/* Inline, with a writer of its caller's own: then the place stays in a register. */
static inline __attribute__((always_inline)) void
put_field(struct fa_mp_writer *w, const struct fa_field *f, const void *base) {
        const void *at = member(base, f);

        switch ((enum fa_kind)f->kind) {
        case FA_KIND_U8:
        case FA_KIND_SET:
                put_int(w, f, *(const uint8_t *)at);
                return;
        case FA_KIND_U32:
                put_int(w, f, *(const uint32_t *)at);
                return;
        case FA_KIND_U64:
                put_int(w, f, *(const uint64_t *)at);
                return;
        case FA_KIND_I32:
                fa_mp_put_int(w, *(const int32_t *)at);
                return;
        case FA_KIND_ID:
                fa_mp_put_bin(w, at, sizeof(struct faas_id));
                return;
        case FA_KIND_FENCE:
                put_fence(w, at);
                return;
        case FA_KIND_STR:
        case FA_KIND_NAME:
        case FA_KIND_DIGEST:
                put_slice(w, f, *(const struct fa_slice *)at);
                return;
        case FA_KIND_NAMES:
        case FA_KIND_STRS:
        case FA_KIND_VALUES:
                *w = put_list(*w, f, base);
                return;
        case FA_KIND_TEXT: {
                const struct fa_blob *b = *(struct fa_blob *const *)at;
                fa_mp_put_str(w, fa_blob_ptr(b), fa_blob_len(b));
                return;
        }
        case FA_KIND_BIN: {
                const struct fa_blob *b = *(struct fa_blob *const *)at;
                fa_mp_put_bin(w, fa_blob_ptr(b), fa_blob_len(b));
                return;
        }
        case FA_KIND_PAYLOAD:
                put_payload(w, *(struct fa_blob *const *)at);
                return;
        }
}

static size_t count(const struct fa_field *f) {
        size_t n = 0;

        while (f && f[n].name)
                n++;
        return n;
}

static struct fa_mp_writer
put_fields(struct fa_mp_writer w, const struct fa_field *f, const void *base) {
        for (; f && f->name; f++)
                put_field(&w, f, base);
        return w;
}

/* How the items stand in the envelope: each whole, or by what differs from the one before it. */
enum form {
        WHOLE,
        COUNTED, /* it follows the one before, with a payload as long: one more in a number */
        FOLLOWS  /* it follows the one before, but for the length of its payload */
};

struct layout {
        size_t size;      /* of the envelope, at most */
        size_t n_entries; /* of its array of items */
        uint8_t form[FA_BATCH_MAX];
};

static inline bool id_follows(const struct faas_id *a, const struct faas_id *b) {
        uint64_t x[2];
        uint64_t y[2];

        memcpy(x, a->b, sizeof(x));
        memcpy(y, b->b, sizeof(y));
        return x[0] == y[0] && be64toh(y[1]) == be64toh(x[1]) + 1;
}

static inline bool fence_follows(const struct fa_fence *a, const struct fa_fence *b) {
        return b->n == a->n + 1 && a->partition == b->partition && a->gen == b->gen;
}

static inline bool blob_eq(const struct fa_blob *a, const struct fa_blob *b) {
        const size_t len = fa_blob_len(a);

        return len == fa_blob_len(b) &&
               (len == 0 || memcmp(fa_blob_ptr(a), fa_blob_ptr(b), len) == 0);
}

/* Is all else but the payload the same?  Members that a type does not use are 0. */
static inline bool is_like(const struct fa_item *a, const struct fa_item *b) {
        return a->timeout_ms == b->timeout_ms && a->max_strikes == b->max_strikes &&
               a->max_retries == b->max_retries && a->strikes == b->strikes && a->code == b->code &&
               a->priority == b->priority && a->state == b->state && a->failure == b->failure &&
               a->final == b->final && blob_eq(a->text, b->text) && blob_eq(a->log, b->log) &&
               fa_slice_eq(a->function, b->function) && fa_slice_eq(a->queue, b->queue) &&
               fa_slice_eq(a->digest, b->digest);
}

/* A batch has mostly tasks that were submitted in a row: ids and fences that count on, and nothing
 * else that differs. */
static void lay_out(struct layout *l, const struct fa_msg *m, const struct fa_desc *d) {
        const bool with_fence = fa_field_find(d->item, FA_KIND_FENCE) != NULL;
        const bool with_id = fa_field_find(d->item, FA_KIND_ID) != NULL;

        for (uint32_t i = 0; i < m->n_items; i++) {
                const struct fa_item *it = &m->items[i];

                l->form[i] = WHOLE;
                if (i > 0 && with_id && id_follows(&it[-1].id, &it->id) &&
                    (!with_fence || fence_follows(&it[-1].fence, &it->fence)) &&
                    is_like(&it[-1], it))
                        l->form[i] = fa_blob_len(it[-1].payload) == fa_blob_len(it->payload)
                                             ? COUNTED
                                             : FOLLOWS;
                if (l->form[i] != COUNTED || l->form[i - 1] != COUNTED)
                        l->n_entries++;
                l->size += l->form[i] == WHOLE ? fa_item_size(it) : FA_PLACE_SIZE;
        }
}

static void put_items(struct fa_mp_writer *w,
                      const struct fa_msg *m,
                      const struct fa_desc *d,
                      const struct layout *l) {
        const size_t n_fields = count(d->item);

        fa_mp_put_array(w, l->n_entries);
        for (uint32_t i = 0, n = 0; i < m->n_items; i++) {
                assert(!d->has_outcome || fa_outcome_agrees(&m->items[i]));
                if (l->form[i] == COUNTED) {
                        n++;
                        if (i + 1 == m->n_items || l->form[i + 1] != COUNTED) {
                                fa_mp_put_uint(w, n);
                                n = 0;
                        }
                } else if (l->form[i] == FOLLOWS) {
                        put_payload(w, m->items[i].payload);
                } else {
                        fa_mp_put_array(w, n_fields);
                        *w = put_fields(*w, d->item, &m->items[i]);
                }
        }
}

static void put_envelope(struct fa_mp_writer *w,
                         const struct fa_msg *m,
                         const struct fa_desc *d,
                         const struct layout *l) {
        fa_mp_put_array(w, 3 + count(d->header) + (d->item ? 1 : 0) + (d->has_ext ? 1 : 0));
        fa_mp_put_uint(w, FA_PROTOCOL_VERSION);
        fa_mp_put_uint(w, m->type);
        fa_mp_put_uint(w, m->epoch);
        *w = put_fields(*w, d->header, m);
        if (d->item)
                put_items(w, m, d, l);
        if (d->has_ext)
                fa_mp_put_array(w, 0);
}

/* 0, or FAAS_E_LIMIT naming the item that is too large. */
static int measure(const struct fa_msg *m, const struct fa_desc *d, struct layout *l) {
        l->n_entries = 0;
        l->size = FA_HEADER_SIZE + m->principal.len + m->text.len + (size_t)m->n_values * 9;
        if (m->n_items > FA_BATCH_MAX)
                return fa_error(FAAS_E_LIMIT, "%s: %u items, at most %d fit a message",
                                fa_msg_name(m->type), m->n_items, FA_BATCH_MAX);
        for (uint32_t i = 0; i < m->n_names; i++)
                l->size += 3 + m->names[i].len;
        for (uint32_t i = 0; i < m->n_items; i++) {
                const struct fa_item *it = &m->items[i];

                if (fa_blob_len(it->payload) > FA_PAYLOAD_MAX ||
                    fa_blob_len(it->text) > FA_TEXT_MAX || fa_blob_len(it->log) > FA_LOG_MAX)
                        return fa_error(FAAS_E_LIMIT,
                                        "%s: item %u: payload of %zu, text of %zu or log of %zu "
                                        "bytes is over the limit",
                                        fa_msg_name(m->type), i, fa_blob_len(it->payload),
                                        fa_blob_len(it->text), fa_blob_len(it->log));
        }
        lay_out(l, m, d);
        return 0;
}

/* A frame of size bytes at most, in the memory of the last one if it can be; which: of f->used. */
static int
push_used(struct fa_frames *f, unsigned which, size_t size, struct fa_blob **ret, uint8_t **ret_p) {
        struct fa_blob *b = f->used[which].b;
        int r;

        if (b && b->refs == 1 && f->used[which].cap >= size) {
                *ret_p = fa_unconst(b->p);
        } else {
                fa_blob_unref(b);
                f->used[which].b = NULL;
                r = fa_blob_new_uninit(&b, ret_p, size);
                if (r)
                        return r;
                f->used[which].b = b;
                f->used[which].cap = size;
        }
        b->len = (uint32_t)size;
        r = fa_frames_push(f, b);
        if (r == 0)
                *ret = fa_blob_ref(b);
        return r;
}

static int push_envelope(struct fa_frames *f, const struct fa_msg *m, const struct fa_desc *d) {
        struct fa_mp_writer w;
        struct fa_blob *b;
        uint8_t *p;
        struct layout l; /* not zeroed: as large as a batch */
        size_t size;
        int r;

        r = measure(m, d, &l);
        if (r)
                return r;
        /* The bound is cheap and usually within the limit; if not, the writer finds out exactly. */
        size = FA_MIN(l.size, (size_t)FA_ENVELOPE_MAX);
        r = push_used(f, 0, size, &b, &p);
        if (r)
                return r;
        w = (struct fa_mp_writer){.p = p, .end = p + size};
        put_envelope(&w, m, d, &l);
        if (w.full) {
                assert(size == FA_ENVELOPE_MAX);
                return fa_error(FAAS_E_LIMIT, "%s: the envelope of %u items passes %d bytes",
                                fa_msg_name(m->type), m->n_items, FA_ENVELOPE_MAX);
        }
        b->len = (uint32_t)(w.p - p);
        return 0;
}

/* All small payloads in one frame, in the items' order; none if they are all empty. */
static int push_inline(struct fa_frames *f, const struct fa_msg *m) {
        struct fa_blob *all;
        struct fa_blob *last = NULL;
        size_t n = 0;
        size_t len = 0;
        uint8_t *p;
        int r;

        for (uint32_t i = 0; i < m->n_items; i++) {
                const size_t l = fa_blob_len(m->items[i].payload);

                if (l == 0 || l > FA_INLINE_MAX)
                        continue;
                last = m->items[i].payload;
                len += l;
                n++;
        }
        if (n == 0)
                return 0;
        if (n == 1) { /* it is the frame as it is */
                r = fa_frames_push(f, last);
                if (!r)
                        fa_blob_ref(last);
                return r;
        }
        r = push_used(f, 1, len, &all, &p);
        if (r)
                return r;
        for (uint32_t i = 0; i < m->n_items; i++) {
                const struct fa_blob *b = m->items[i].payload;

                if (fa_blob_len(b) == 0 || fa_blob_len(b) > FA_INLINE_MAX)
                        continue;
                memcpy(p, b->p, b->len);
                p += b->len;
        }
        return 0;
}

static int push_large(struct fa_frames *f, const struct fa_msg *m) {
        for (uint32_t i = 0; i < m->n_items; i++) {
                struct fa_blob *b = m->items[i].payload;

                if (fa_blob_len(b) <= FA_INLINE_MAX)
                        continue;
                if (fa_frames_push(f, b))
                        return -ENOMEM;
                fa_blob_ref(b);
        }
        return 0;
}

int fa_msg_encode(const struct fa_msg *m, struct fa_frames *ret) {
        const struct fa_desc *d = fa_desc_of(m->type);
        int r;

        assert(d && ret->n == 0);
        r = push_envelope(ret, m, d);
        if (!r && d->has_payload) {
                r = push_inline(ret, m);
                if (!r)
                        r = push_large(ret, m);
        }
        if (r)
                fa_frames_clear(ret);
        return r;
}
