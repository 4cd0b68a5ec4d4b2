/*
 * decode-payload.c - the payloads of a message's items, out of the frames behind the envelope
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/macros.h"
#include "wire/decode-private.h"

#define SMALL_MAX 64 /* of a payload: what model/spec.c copies */

/*
 * Small payloads are copied, also those that came in a frame of their own: a task may live for
 * hours, and a few bytes must not keep a whole buffer of the socket's alive for so long.
 */
static int take_payload(struct fa_item *it, struct fa_blob *frame, size_t offset, size_t len) {
        if (len == 0)
                return 0;
        if (len <= FA_INLINE_MAX || len != frame->len)
                return fa_blob_new(&it->payload, frame->p + offset, len);
        it->payload = fa_blob_ref(frame);
        return 0;
}

/*
 * Tasks' small payloads are not kept for long: a dispatcher copies them (model/spec.c), a worker
 * has them until they have run.  So those of one message are in one piece of memory, which goes
 * with the last of them.  Results may be kept for an hour, each for itself.
 */
struct small {
        uint32_t *count; /* NULL: there is no such memory */
        char *head;      /* of the next blob */
        uint8_t *bytes;  /* of the next blob */
};

static bool is_small(const struct decoder *c, uint32_t i) {
        return c->places[i].kind == FA_PAYLOAD_INLINE && c->places[i].len > 0 &&
               c->places[i].len <= SMALL_MAX;
}

static int make_small(struct small *s, const struct decoder *c) {
        const size_t heads = FA_MAX(sizeof(*s->count), _Alignof(struct fa_blob));
        size_t n = 0;
        size_t len = 0;

        *s = (struct small){NULL, NULL, NULL};
        if (c->m->type != FA_MSG_SUBMIT && c->m->type != FA_MSG_TASK)
                return 0;
        for (uint32_t i = 0; i < c->m->n_items; i++)
                if (is_small(c, i)) {
                        n++;
                        len += c->places[i].len + 1; /* with a NUL */
                }
        if (n < 2)
                return 0;
        s->count = malloc(heads + n * FA_BLOB_INSIDE_SIZE + len);
        if (!s->count)
                return -ENOMEM;
        *s->count = 0;
        s->head = (char *)s->count + heads;
        s->bytes = (uint8_t *)s->head + n * FA_BLOB_INSIDE_SIZE;
        return 0;
}

static void take_small(struct small *s, struct fa_item *it, const uint8_t *p, size_t len) {
        it->payload = (struct fa_blob *)(void *)s->head;
        memcpy(s->bytes, p, len);
        s->bytes[len] = '\0';
        fa_blob_inside(it->payload, s->bytes, len, s->count);
        ++*s->count;
        s->head += FA_BLOB_INSIDE_SIZE;
        s->bytes += len + 1;
}

static int take_own(struct decoder *c, struct fa_item *it, struct fa_blob *frame, size_t len) {
        if (fa_blob_len(frame) != len)
                return fa_decode_bad(c, "one is not as long as its item says");
        return take_payload(it, frame, 0, len);
}

/* The lengths in the items must account for every frame and every byte. */
int fa_decode_payloads(struct decoder *c, const struct fa_frames *frames) {
        struct fa_msg *m = c->m;
        struct small small;
        size_t n_own = 0;
        size_t n_inline;
        size_t sum = 0;
        size_t own;
        size_t offset = 0;
        int r = 0;

        c->field = "frames";
        for (uint32_t i = 0; c->d->has_payload && i < m->n_items; i++) {
                if (c->places[i].kind == FA_PAYLOAD_FRAME)
                        n_own++;
                else
                        sum += c->places[i].len;
        }
        n_inline = sum > 0 ? 1 : 0;
        if (frames->n != 1 + n_inline + n_own)
                return fa_decode_bad(c, "their number is not what the items say");
        if (n_inline > 0 && fa_blob_len(frames->v[1]) != sum)
                return fa_decode_bad(c, "the shared frame is not as long as the items say");
        own = 1 + n_inline;
        r = make_small(&small, c);
        for (uint32_t i = 0; c->d->has_payload && i < m->n_items && !r; i++) {
                const size_t len = c->places[i].len;

                if (c->places[i].kind == FA_PAYLOAD_FRAME) {
                        r = take_own(c, &m->items[i], frames->v[own++], len);
                } else if (small.count && is_small(c, i)) {
                        take_small(&small, &m->items[i], frames->v[n_inline]->p + offset, len);
                        offset += len;
                } else {
                        r = take_payload(&m->items[i], frames->v[n_inline], offset, len);
                        offset += len;
                }
        }
        if (small.count && *small.count == 0) /* it failed before the first of them */
                free(small.count);
        return r;
}
