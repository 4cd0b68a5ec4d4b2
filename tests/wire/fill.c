/* fill.c - messages of every type with something in each field */
#undef NDEBUG
#include "fill.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "wire/table.h"

struct fa_blob *blob_of(size_t len, int c) {
        struct fa_blob *b = NULL;
        uint8_t *p;

        assert(fa_blob_new_uninit(&b, &p, len) == 0);
        if (len > 0)
                memset(p, c, len);
        return b;
}

enum fa_role fill_sender(unsigned type) {
        const struct fa_desc *d = fa_desc_of(type);

        return (enum fa_role)__builtin_ctz(d->senders);
}

void fill_field(const struct fa_field *f, void *base, bool max, unsigned k) {
        static char names[FA_NAME_MAX + 1], text[FA_TEXT_MAX + 1];
        static const uint8_t digest[FA_DIGEST_LEN] = {1, 2, 3};
        void *at = (char *)base + f->offset;

        memset(names, 'n', FA_NAME_MAX);
        memset(text, 't', FA_TEXT_MAX);
        switch ((enum fa_kind)f->kind) {
        case FA_KIND_U8:
                *(uint8_t *)at = (uint8_t)(max ? f->max : f->min);
                return;
        case FA_KIND_U32:
                *(uint32_t *)at = max ? (uint32_t)f->max : f->min + k % 2;
                return;
        case FA_KIND_U64:
                *(uint64_t *)at = max ? f->max : 1000000 + k;
                return;
        case FA_KIND_I32:
                *(int32_t *)at = max ? INT32_MIN : (int32_t)k;
                return;
        case FA_KIND_SET:
                *(uint8_t *)at =
                        (uint8_t)(max ? 63 - __builtin_clzll(f->max) : __builtin_ctzll(f->max));
                return;
        case FA_KIND_ID:
                memset(at, (int)k, sizeof(struct faas_id));
                return;
        case FA_KIND_FENCE:
                *(struct fa_fence *)at = max ? (struct fa_fence){UINT64_MAX, UINT32_MAX, UINT64_MAX}
                                             : (struct fa_fence){1, 2, 3 + k};
                return;
        case FA_KIND_STR:
                *(struct fa_slice *)at = (struct fa_slice){(uint8_t *)text, max ? f->max : 3};
                return;
        case FA_KIND_NAME:
                *(struct fa_slice *)at = (struct fa_slice){(uint8_t *)names, max ? f->max : f->min};
                return;
        case FA_KIND_DIGEST:
                *(struct fa_slice *)at = (struct fa_slice){digest, max ? f->max : 0};
                return;
        case FA_KIND_NAMES:
        case FA_KIND_STRS: {
                struct fa_msg *m = base;

                m->n_names = max ? (uint32_t)f->max : 2;
                m->names = m->names_own = calloc(m->n_names, sizeof(*m->names));
                for (uint32_t i = 0; i < m->n_names; i++)
                        m->names_own[i] =
                                (struct fa_slice){(uint8_t *)names, max ? FA_NAME_MAX : 1};
                return;
        }
        case FA_KIND_VALUES: {
                struct fa_msg *m = base;

                m->n_values = max ? (uint32_t)f->max : 2;
                m->values = calloc(m->n_values, sizeof(*m->values));
                assert(m->values);
                for (uint32_t i = 0; i < m->n_values; i++)
                        m->values[i] = max ? UINT64_MAX : k + i;
                return;
        }
        case FA_KIND_TEXT:
        case FA_KIND_BIN:
                *(struct fa_blob **)at = blob_of(max ? f->max : k % 3, 'l');
                return;
        case FA_KIND_PAYLOAD:
                *(struct fa_blob **)at = blob_of(max ? FA_INLINE_MAX + 1 : k % 7, 'p');
                return;
        }
}

struct fa_msg *filled(unsigned type, uint32_t n_items, bool max) {
        const struct fa_desc *d = fa_desc_of(type);
        struct fa_msg *m = NULL;

        assert(fa_msg_new(&m, (enum fa_msg_type)type) == 0);
        m->epoch = max ? UINT64_MAX : 42;
        for (const struct fa_field *f = d->header; f && f->name; f++)
                fill_field(f, m, max, 1);
        for (uint32_t i = 0; d->item && i < n_items; i++) {
                struct fa_item *it = fa_msg_add(m);

                assert(it);
                for (const struct fa_field *f = d->item; f->name; f++)
                        fill_field(f, it, max, i);
                if (d->has_outcome && it->state == FAAS_COMPLETED)
                        it->failure = FAAS_FAILURE_NONE;
                if (d->has_outcome && it->state == FAAS_FAILED)
                        it->failure = FAAS_FAILURE_CRASHED;
        }
        return m;
}

void fill_next(struct fa_msg *m, uint32_t i) {
        struct fa_item *it = &m->items[i];

        fa_blob_unref(it->text);
        fa_blob_unref(it->log);
        fa_blob_unref(it->payload);
        *it = it[-1];
        fa_blob_ref(it->text);
        fa_blob_ref(it->log);
        it->payload = blob_of(fa_blob_len(it->payload), 'f');
        for (int k = 15; k >= 8 && ++it->id.b[k] == 0; k--)
                ;
        for (const struct fa_field *f = fa_desc_of(m->type)->item; f->name; f++)
                if (f->kind == FA_KIND_FENCE)
                        it->fence.n++;
}
