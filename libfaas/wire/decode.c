/*
 * Frames to struct fa_msg, driven by the table: the place where everything that a stranger may
 * send is checked.  Each number is compared with its bound before it is used, nothing is allocated
 * in proportion to one, and a message either passes whole or is refused with a text that names the
 * type, the item and the field.  Keeps no state between messages.
 */
#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>

#include <faas/error.h>

#include "base/error.h"
#include "wire/decode-private.h"

static void *member(void *base, const struct fa_field *f) {
        return (char *)base + f->offset;
}

/* A read that failed gave 0 or the empty slice: harmless, and get_fields() looks before going on.
 */
static inline int get_int(struct decoder *c, const struct fa_field *f, void *at) {
        const uint64_t v = fa_mp_uint(&c->r);

        if (f->kind == FA_KIND_SET ? v > 63 || !(f->max >> v & 1) : v < f->min || v > f->max)
                return fa_decode_bad(c, "out of bounds");
        if (f->kind == FA_KIND_U64)
                *(uint64_t *)at = v;
        else if (f->kind == FA_KIND_U32)
                *(uint32_t *)at = (uint32_t)v;
        else
                *(uint8_t *)at = (uint8_t)v;
        return 0;
}

static inline int get_i32(struct decoder *c, int32_t *at) {
        const int64_t v = fa_mp_int(&c->r);

        if (v < INT32_MIN || v > INT32_MAX)
                return fa_decode_bad(c, "out of bounds");
        *at = (int32_t)v;
        return 0;
}

static inline int get_id(struct decoder *c, struct faas_id *at) {
        const struct fa_slice s = fa_mp_bin(&c->r);

        if (s.len != sizeof(*at))
                return fa_decode_bad(c, "not 16 bytes long");
        memcpy(at, s.p, sizeof(*at));
        return 0;
}

static inline int get_fence(struct decoder *c, struct fa_fence *at) {
        uint64_t gen;

        fa_mp_open(&c->r);
        at->partition = fa_mp_uint(&c->r);
        gen = fa_mp_uint(&c->r);
        at->n = fa_mp_uint(&c->r);
        fa_mp_close(&c->r);
        if (gen > UINT32_MAX)
                return fa_decode_bad(c, "generation out of bounds");
        at->gen = (uint32_t)gen;
        return 0;
}

static bool valid(struct decoder *c, struct fa_slice s) {
        if (fa_slice_eq(s, c->named))
                return true;
        if (!fa_name_valid(s))
                return false;
        c->named = s;
        return true;
}

static inline int get_slice(struct decoder *c, const struct fa_field *f, struct fa_slice *at) {
        const struct fa_slice s = f->kind == FA_KIND_DIGEST ? fa_mp_bin(&c->r) : fa_mp_str(&c->r);

        if (f->kind == FA_KIND_NAME) {
                if (s.len == 0 ? f->min > 0 : !valid(c, s))
                        return fa_decode_bad(c, "not a valid name");
        } else if (f->kind == FA_KIND_DIGEST) {
                if (s.len != 0 && s.len != f->max)
                        return fa_decode_bad(c, "neither empty nor a digest");
        } else if (s.len < f->min || s.len > f->max) {
                return fa_decode_bad(c, "too long or too short");
        }
        *at = s;
        return 0;
}

static int get_names(struct decoder *c, const struct fa_field *f) {
        const uint32_t n = fa_mp_open(&c->r);
        struct fa_slice *v;

        if (n > f->max)
                return fa_decode_bad(c, "too many");
        if (n > 0) {
                v = malloc(n * sizeof(*v));
                if (!v)
                        return -ENOMEM;
                c->m->names = c->m->names_own = v;
                for (uint32_t i = 0; i < n; i++) {
                        v[i] = fa_mp_str(&c->r);
                        if (f->kind == FA_KIND_NAMES ? !fa_name_valid(v[i])
                                                     : v[i].len < 1 || v[i].len > FA_ENDPOINT_MAX)
                                return fa_decode_bad(c, f->kind == FA_KIND_NAMES
                                                                ? "not a valid name"
                                                                : "not an endpoint");
                }
                c->m->n_names = n;
        }
        fa_mp_close(&c->r);
        return 0;
}

static int get_values(struct decoder *c, const struct fa_field *f) {
        const uint32_t n = fa_mp_open(&c->r);

        if (n > f->max)
                return fa_decode_bad(c, "too many");
        if (n > 0) {
                c->m->values = malloc(n * sizeof(*c->m->values));
                if (!c->m->values)
                        return -ENOMEM;
                for (uint32_t i = 0; i < n; i++)
                        c->m->values[i] = fa_mp_uint(&c->r);
                c->m->n_values = n;
        }
        fa_mp_close(&c->r);
        return 0;
}

static int get_blob(struct decoder *c, const struct fa_field *f, struct fa_blob **at) {
        const struct fa_slice s = f->kind == FA_KIND_TEXT ? fa_mp_str(&c->r) : fa_mp_bin(&c->r);

        if (s.len > f->max)
                return fa_decode_bad(c, "too long");
        return s.len > 0 ? fa_blob_new(at, s.p, s.len) : 0;
}

/* Its array is open. */
static inline int get_place(struct decoder *c, const struct fa_field *f) {
        uint64_t kind;
        uint64_t len;

        kind = fa_mp_uint(&c->r);
        len = fa_mp_uint(&c->r);
        fa_mp_close(&c->r);
        if (kind == FA_PAYLOAD_EXTERNAL)
                return fa_decode_bad(c,
                                     "payloads in another place are reserved, not understood yet");
        if (kind >= _FA_PAYLOAD_N)
                return fa_decode_bad(c, "unknown kind of payload");
        if (len > f->max)
                return fa_decode_bad(c, "longer than a payload may be");
        c->places[c->item].kind = (uint32_t)kind;
        c->places[c->item].len = (uint32_t)len;
        return 0;
}

static inline __attribute__((always_inline)) int
get_field(struct decoder *c, const struct fa_field *f, void *base) {
        void *at = member(base, f);

        switch ((enum fa_kind)f->kind) {
        case FA_KIND_U8:
        case FA_KIND_U32:
        case FA_KIND_U64:
        case FA_KIND_SET:
                return get_int(c, f, at);
        case FA_KIND_I32:
                return get_i32(c, at);
        case FA_KIND_ID:
                return get_id(c, at);
        case FA_KIND_FENCE:
                return get_fence(c, at);
        case FA_KIND_STR:
        case FA_KIND_NAME:
        case FA_KIND_DIGEST:
                return get_slice(c, f, at);
        case FA_KIND_NAMES:
        case FA_KIND_STRS:
                return get_names(c, f);
        case FA_KIND_VALUES:
                return get_values(c, f);
        case FA_KIND_TEXT:
        case FA_KIND_BIN:
                return get_blob(c, f, at);
        case FA_KIND_PAYLOAD:
                fa_mp_open(&c->r);
                return get_place(c, f);
        }
        return 0;
}

static int get_fields(struct decoder *c, const struct fa_field *f, void *base) {
        for (; f && f->name; f++) {
                int r = get_field(c, f, base);

                if (fa_likely(r == 0 && !c->r.what))
                        continue;
                c->field = f->name;
                return r ? r : FAAS_E_PROTO;
        }
        return 0;
}

/* Room for another item, which is the one that errors name from here on. */
static inline int begin_item(struct decoder *c) {
        c->item = (int)c->m->n_items;
        c->field = "item";
        if (c->m->n_items == FA_BATCH_MAX)
                return fa_decode_bad(c, "too many");
        return c->m->n_items == c->m->cap_items ? fa_msg_grow(c->m) : 0;
}

/* An item that follows the last one: all is the same, but that its id and fence count on. */
static inline int add_next(struct decoder *c, bool with_fence) {
        struct fa_item *it;
        uint64_t low;

        if (c->m->n_items == 0)
                return fa_decode_bad(c, "follows no other");
        it = &c->m->items[c->m->n_items++];
        *it = it[-1];
        fa_blob_ref(it->text);
        fa_blob_ref(it->log);
        memcpy(&low, it->id.b + 8, sizeof(low));
        low = htobe64(be64toh(low) + 1);
        memcpy(it->id.b + 8, &low, sizeof(low));
        if (with_fence)
                it->fence.n++;
        return 0;
}

/* A number: so many items that follow each other, with payloads of the same length. */
static int get_count(struct decoder *c, bool with_fence) {
        const uint64_t n = fa_mp_uint(&c->r);

        c->item = (int)c->m->n_items;
        c->field = "item";
        if (n < 1 || n > FA_BATCH_MAX - c->m->n_items)
                return fa_decode_bad(c, "a count out of bounds");
        if (fa_msg_reserve(c->m, c->m->n_items + (uint32_t)n))
                return -ENOMEM;
        for (uint64_t i = 0; i < n; i++) {
                int r = add_next(c, with_fence);

                if (r)
                        return r;
                if (c->d->has_payload)
                        c->places[c->item + i] = c->places[c->item + i - 1];
        }
        return 0;
}

/* An item as an array: of its fields, or, if it follows the last one, of its payload's only. */
static int get_item(struct decoder *c, const struct fa_field *payload, bool with_fence) {
        struct fa_item *it;
        uint32_t n;
        int r;

        r = begin_item(c);
        if (r)
                return r;
        n = fa_mp_open(&c->r);
        if (c->r.what)
                return FAAS_E_PROTO;
        if (payload && n == FA_PLACE_FIELDS) {
                r = add_next(c, with_fence);
                return r ? r : get_place(c, payload);
        }
        it = fa_msg_add(c->m);
        r = get_fields(c, c->d->item, it);
        if (r)
                return r;
        if (c->d->has_outcome && !fa_outcome_agrees(it)) {
                c->field = "failure";
                return fa_decode_bad(c, "does not agree with the state");
        }
        fa_mp_close(&c->r); /* skips what a newer peer may have added */
        return 0;
}

static int get_items(struct decoder *c) {
        const struct fa_field *payload = fa_field_find(c->d->item, FA_KIND_PAYLOAD);
        const bool with_id = fa_field_find(c->d->item, FA_KIND_ID) != NULL;
        const bool with_fence = fa_field_find(c->d->item, FA_KIND_FENCE) != NULL;
        const uint32_t n = fa_mp_open(&c->r);
        int r;

        c->field = "items";
        if (n > FA_BATCH_MAX)
                return fa_decode_bad(c, "too many");
        if (n > 0 && fa_msg_reserve(c->m, n))
                return -ENOMEM;
        for (uint32_t i = 0; i < n; i++) {
                if (with_id && fa_mp_at_int(&c->r))
                        r = get_count(c, with_fence);
                else
                        r = get_item(c, payload, with_fence);
                if (r)
                        return r;
                if (c->r.what)
                        return FAAS_E_PROTO;
        }
        c->item = -1;
        c->field = "items";
        fa_mp_close(&c->r);
        return c->r.what ? FAAS_E_PROTO : 0;
}

static int get_message(struct decoder *c, const struct fa_frames *frames) {
        int r;

        c->field = "epoch";
        c->m->epoch = fa_mp_uint(&c->r);
        if (c->r.what)
                return FAAS_E_PROTO;
        r = get_fields(c, c->d->header, c->m);
        if (r)
                return r;
        if (c->d->item) {
                r = get_items(c);
                if (r)
                        return r;
        }
        c->field = "ext";
        if (c->d->has_ext) {
                fa_mp_open(&c->r);
                fa_mp_close(&c->r);
        }
        if (!c->r.what) {
                c->field = "end";
                fa_mp_close(&c->r);
        }
        if (!fa_mp_done(&c->r))
                return FAAS_E_PROTO;
        return fa_decode_payloads(c, frames);
}

/* Version, type and right: what must be known before anything else is believed. */
static int
get_opening(struct decoder *c, enum fa_role role, unsigned *ret_type, unsigned *ret_version) {
        uint64_t version;
        uint64_t type;

        fa_mp_open(&c->r);
        version = fa_mp_uint(&c->r);
        if (c->r.what)
                return fa_error(FAAS_E_PROTO, "envelope: %s", c->r.what);
        if (version != FA_PROTOCOL_VERSION) {
                if (ret_version)
                        *ret_version = (unsigned)FA_MIN(version, (uint64_t)UINT_MAX);
                return fa_error(FAAS_E_VERSION,
                                "the peer speaks protocol version %llu, this side version %d",
                                (unsigned long long)version, FA_PROTOCOL_VERSION);
        }
        type = fa_mp_uint(&c->r);
        if (c->r.what)
                return fa_error(FAAS_E_PROTO, "envelope: type: %s", c->r.what);
        c->d = fa_desc_of((unsigned)FA_MIN(type, (uint64_t)UINT_MAX));
        if (!c->d) {
                if (ret_version)
                        *ret_version = (unsigned)version;
                return fa_error(FAAS_E_VERSION,
                                "message type %llu (peer: protocol version %llu) is unknown to "
                                "this side (version %d)",
                                (unsigned long long)type, (unsigned long long)version,
                                FA_PROTOCOL_VERSION);
        }
        if (!fa_msg_authorise(role, (enum fa_msg_type)type))
                return fa_error(FAAS_E_PROTO, "%s: not for a %s to send", c->d->name,
                                fa_role_name(role));
        *ret_type = (unsigned)type;
        return 0;
}

int fa_msg_decode(struct fa_msg **ret,
                  const struct fa_frames *frames,
                  enum fa_role role,
                  unsigned *ret_version) {
        return fa_msg_decode_into(ret, NULL, frames, role, ret_version);
}

int fa_msg_decode_into(struct fa_msg **ret,
                       struct fa_msg_pool *pool,
                       const struct fa_frames *frames,
                       enum fa_role role,
                       unsigned *ret_version) {
        FA_CLEANUP(fa_msg_freep) struct fa_msg *m = NULL;
        struct decoder c; /* not zeroed: .places alone is 2 KiB */
        unsigned type = 0;
        int r;

        if (frames->n == 0 || fa_blob_len(frames->v[0]) > FA_ENVELOPE_MAX)
                return fa_error(FAAS_E_PROTO, "no envelope, or one of more than %d bytes",
                                FA_ENVELOPE_MAX);
        c.what = NULL;
        c.named = (struct fa_slice){NULL, 0};
        c.field = "";
        c.item = -1;
        fa_mp_read(&c.r, fa_blob_ptr(frames->v[0]), fa_blob_len(frames->v[0]));
        r = get_opening(&c, role, &type, ret_version);
        if (r)
                return r;
        r = fa_msg_take(&m, pool, (enum fa_msg_type)type);
        if (r)
                return r;
        m->envelope = fa_blob_ref(frames->v[0]);
        c.m = m;
        r = get_message(&c, frames);
        if (r == FAAS_E_PROTO) {
                const char *what = c.r.what ? c.r.what : c.what;

                if (c.item >= 0)
                        return fa_error(r, "%s: item %d: %s: %s", c.d->name, c.item, c.field, what);
                return fa_error(r, "%s: %s: %s", c.d->name, c.field, what);
        }
        if (r)
                return r;
        *ret = fa_steal(m);
        return 0;
}
