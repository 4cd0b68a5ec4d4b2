/*
 * chan.c - the host's end of one slot's channel
 *
 * Driven by slots.c.  A task is copied once, into the ring, where the slot reads it; a result once,
 * into its blob.  It never blocks, and believes no number that it has not compared with its own.
 */
#include "exec/chan.h"

#include <errno.h>
#include <stdlib.h>

#include <faas/error.h>

#include "base/macros.h"

#define RELEASE_LEN (FA_RING_SIZE / 4) /* read bytes after which a busy slot gets its room back */

static const uint8_t zeros[16];

void fa_chan_init(struct fa_chan *c) {
        *c = (struct fa_chan){.last_seq = 0};
}

int fa_chan_open(struct fa_chan *c, int fd, uint32_t first_seq) {
        int r = fa_channel_map(&c->channel, fd, false);

        if (r < 0)
                return r;
        c->last_seq = c->answered_seq = first_seq - 1;
        atomic_store(&c->channel.control->claim, fa_claim(first_seq - 1, first_seq - 1));
        return 0;
}

static struct fa_chan_pending *pending_at(const struct fa_chan *c, size_t i) {
        return &c->pending[(c->pending_head + i) & (c->pending_cap - 1)];
}

/* The payloads of those that are not wholly told are ours to give back. */
static void drop_pending(struct fa_chan *c) {
        for (size_t i = 0; i < c->n_pending; i++)
                fa_blob_unref(pending_at(c, i)->payload);
        c->n_pending = 0;
}

void fa_chan_forget(struct fa_chan *c) {
        c->channel.control = NULL;
}

void fa_chan_close(struct fa_chan *c) {
        fa_channel_unmap(&c->channel);
        drop_pending(c);
        c->big = fa_blob_unref(c->big);
        c->big_have = 0;
        c->released = 0;
        c->n_tasks = c->tasks_head = c->pending_head = 0;
        c->hello = c->armed = false;
}

void fa_chan_deinit(struct fa_chan *c) {
        fa_chan_close(c);
        free(c->tasks);
        free(c->pending);
        fa_chan_init(c);
}

static uint32_t *task_at(const struct fa_chan *c, size_t i) {
        return &c->tasks[(c->tasks_head + i) & (c->tasks_cap - 1)];
}

/* Rings of a power of two: grown by laying them out from the front. */
static int grow_tasks(struct fa_chan *c) {
        size_t cap = FA_MAX(c->tasks_cap * 2, 64);
        uint32_t *v = malloc(cap * sizeof(*v));

        if (!v)
                return -ENOMEM;
        for (size_t i = 0; i < c->n_tasks; i++)
                v[i] = *task_at(c, i);
        free(c->tasks);
        c->tasks = v;
        c->tasks_cap = cap;
        c->tasks_head = 0;
        return 0;
}

static int grow_pending(struct fa_chan *c) {
        size_t cap = FA_MAX(c->pending_cap * 2, 8);
        struct fa_chan_pending *v = malloc(cap * sizeof(*v));

        if (!v)
                return -ENOMEM;
        for (size_t i = 0; i < c->n_pending; i++)
                v[i] = *pending_at(c, i);
        free(c->pending);
        c->pending = v;
        c->pending_cap = cap;
        c->pending_head = 0;
        return 0;
}

/* The frame up to its payload; returns how long that is. */
static uint32_t make_head(uint8_t *to, const struct fa_slot_task *t, uint32_t seq) {
        size_t name_len = strlen(t->function);
        size_t name_room = FA_TASK_NAME_ROOM(name_len);
        size_t payload_len = fa_blob_len(t->payload);
        assert(name_len >= 1 && name_len <= FA_NAME_MAX && payload_len <= FA_PAYLOAD_MAX);
        const struct fa_frame f = {.len = (uint32_t)(16 + name_room + payload_len),
                                   .type = FA_FRAME_TASK,
                                   .aux = (uint16_t)name_len,
                                   .seq = seq,
                                   .arg = t->timeout_ms};

        fa_frame_put(to, &f);
        memcpy(to + FA_FRAME_LEN, t->id->b, 16);
        memset(to + FA_FRAME_LEN + 16 + name_room - 16, 0, 16);
        memcpy(to + FA_FRAME_LEN + 16, t->function, name_len);
        return (uint32_t)(FA_FRAME_LEN + 16 + name_room);
}

/* One of the three parts of a frame, as far as there is room; p->done: how much of all is there. */
static void
put_part(struct fa_ring *r, struct fa_chan_pending *p, size_t from, const void *part, size_t len) {
        size_t skip = p->done - from;
        uint32_t room;

        if (p->done < from || skip >= len)
                return;
        room = fa_ring_room(r, (uint32_t)(len - skip));
        if (room > FA_RING_SIZE)
                return; /* broken: that shows at the next flush */
        room = (uint32_t)FA_MIN(len - skip, room);
        fa_ring_put(r, (const uint8_t *)part + skip, room);
        p->done += room;
}

/* True: all of it is in the ring.  One that the ring can hold goes in as a whole or not at all. */
static bool put_task(struct fa_ring *r, struct fa_chan_pending *p) {
        size_t len = fa_blob_len(p->payload);
        size_t pad = FA_TASK_PAD(p->head_len + len - FA_FRAME_LEN);
        size_t all = p->head_len + len + pad;

        if (all <= FA_RING_SIZE && fa_ring_room(r, (uint32_t)all) < all)
                return false;
        put_part(r, p, 0, p->head, p->head_len);
        put_part(r, p, p->head_len, fa_blob_ptr(p->payload), len);
        put_part(r, p, p->head_len + len, zeros, pad);
        return p->done == all;
}

int fa_chan_queue(struct fa_chan *c, const struct fa_slot_task *t) {
        struct fa_chan_pending now;

        if ((c->n_tasks == c->tasks_cap && grow_tasks(c) < 0) ||
            (c->n_pending == c->pending_cap && grow_pending(c) < 0))
                return -ENOMEM;
        now.seq = ++c->last_seq;
        now.done = 0;
        now.payload = t->payload;
        now.head_len = make_head(now.head, t, now.seq);
        c->n_tasks++;
        *task_at(c, c->n_tasks - 1) = now.seq;
        /* A broken ring shows at the flush. */
        if (c->n_pending == 0 && fa_ring_room(&c->channel.tasks, 1) <= FA_RING_SIZE &&
            put_task(&c->channel.tasks, &now))
                return 0;
        now.payload = fa_blob_ref(now.payload);
        c->n_pending++;
        *pending_at(c, c->n_pending - 1) = now;
        return 0;
}

/* Into the ring what it takes. */
static int put_pending(struct fa_chan *c) {
        struct fa_ring *r = &c->channel.tasks;

        if (c->n_pending > 0 && fa_ring_room(r, FA_RING_SIZE) > FA_RING_SIZE)
                return FAAS_E_PROTO;
        while (c->n_pending > 0) {
                struct fa_chan_pending *p = pending_at(c, 0);

                if (!put_task(r, p))
                        return FAAS_E_AGAIN;
                fa_blob_unref(p->payload);
                c->pending_head = (c->pending_head + 1) & (c->pending_cap - 1);
                c->n_pending--;
        }
        return 0;
}

static void tell(struct fa_ring *r) {
        fa_ring_tell(r);
        if (fa_ring_wake_reader(r))
                fa_channel_wake(&r->counts->reader_waits);
}

int fa_chan_flush(struct fa_chan *c) {
        struct fa_ring *r = &c->channel.tasks;
        int result = put_pending(c);

        tell(r);
        if (result != FAAS_E_AGAIN)
                return result;
        /* The mark, and one more look: the slot may have read all before it could see it. */
        atomic_store_explicit(&r->counts->writer_waits, 1, memory_order_relaxed);
        atomic_thread_fence(memory_order_seq_cst);
        result = put_pending(c);
        tell(r);
        return result;
}

void fa_chan_arm(struct fa_chan *c) {
        if (!c->channel.control)
                return;
        c->armed = true;
        atomic_store_explicit(&c->channel.results.counts->reader_waits, 1, memory_order_relaxed);
}

bool fa_chan_is_ready(struct fa_chan *c) {
        return c->channel.control && fa_ring_ready(&c->channel.results, 1) > 0;
}

bool fa_chan_has_room(const struct fa_chan *c) {
        return c->n_pending > 0 &&
               !atomic_load_explicit(&c->channel.tasks.counts->writer_waits, memory_order_relaxed);
}

/* Is this what an honest slot can have claimed: the last task with a result, or one without? */
static bool may_be_claimed(const struct fa_chan *c, uint32_t seq) {
        if (seq == c->answered_seq)
                return true;
        for (size_t i = 0; i < c->n_tasks; i++)
                if (*task_at(c, i) == seq)
                        return true;
        return false;
}

int fa_chan_recall(struct fa_chan *c, uint32_t *ret_seq) {
        uint32_t claimed = fa_control_revoke(c->channel.control, c->last_seq);

        if (!may_be_claimed(c, claimed))
                return FAAS_E_PROTO;
        while (c->n_tasks > 0 && fa_seq_after(*task_at(c, c->n_tasks - 1), claimed)) {
                uint32_t seq = *task_at(c, --c->n_tasks);

                /* Not a byte of it is written: it need not be. */
                if (c->n_pending > 0 && pending_at(c, c->n_pending - 1)->seq == seq &&
                    pending_at(c, c->n_pending - 1)->done == 0)
                        fa_blob_unref(pending_at(c, --c->n_pending)->payload);
        }
        *ret_seq = claimed;
        return 0;
}

bool fa_chan_culprit(struct fa_chan *c, bool broken, uint32_t *ret_seq) {
        uint32_t claimed;

        if (!c->channel.control || c->n_tasks == 0)
                return false;
        claimed = fa_control_revoke(c->channel.control, c->last_seq);
        if (claimed == c->answered_seq)
                return false;
        /*
         * If page or channel has been written over, the oldest task is the likeliest to have done
         * it: the slot may have gone on until we noticed.
         */
        *ret_seq = broken || !may_be_claimed(c, claimed) ? *task_at(c, 0) : claimed;
        return true;
}

/* Is this the header of a result that a slot may give? */
static bool is_result(const struct fa_frame *f) {
        if (f->type != FA_FRAME_RESULT)
                return false;
        switch (f->flags) {
        case FAAS_FAILURE_NONE:
                return f->aux == 0 && f->len <= FA_PAYLOAD_MAX;
        case FAAS_FAILURE_FUNCTION:
        case FAAS_FAILURE_LIMIT:
        case FAAS_FAILURE_NO_FUNCTION:
                return f->aux == f->len && f->len <= FA_TEXT_MAX;
        default:
                return false;
        }
}

/* Is this the header of the frame that may come now? */
static bool frame_fits(const struct fa_chan *c, const struct fa_frame *f) {
        if (f->type == FA_FRAME_HELLO)
                return !c->hello && f->len == 0 && f->seq == FA_CHANNEL_VERSION;
        return is_result(f) && c->hello && c->n_tasks > 0 && f->seq == *task_at(c, 0);
}

static void answered(struct fa_chan *c, struct fa_slot_event *ev, const struct fa_frame *f) {
        ev->kind = FA_SLOT_RESULT;
        ev->seq = f->seq;
        c->answered_seq = f->seq;
        ev->outcome = (struct fa_outcome){.status = f->flags == FAAS_FAILURE_NONE ? FAAS_COMPLETED
                                                                                  : FAAS_FAILED,
                                          .failure = f->flags,
                                          .code = (int32_t)f->arg};
        c->tasks_head = (c->tasks_head + 1) & (c->tasks_cap - 1);
        c->n_tasks--;
}

static void release(struct fa_chan *c) {
        struct fa_ring *r = &c->channel.results;

        if (c->released == r->pos)
                return;
        c->released = r->pos;
        fa_ring_release(r);
        if (fa_ring_wake_writer(r))
                fa_channel_wake(&r->counts->writer_waits);
}

/* More of a result that comes in pieces. */
static int next_piece(struct fa_chan *c, struct fa_slot_event *ev) {
        struct fa_ring *r = &c->channel.results;
        size_t left = c->big->len - c->big_have;
        uint32_t n = fa_ring_ready(r, 1);

        if (n > FA_RING_SIZE)
                return FAAS_E_PROTO;
        n = (uint32_t)FA_MIN(left, n);
        fa_ring_get(r, c->big_p + c->big_have, n);
        c->big_have += n;
        release(c);
        if (n < left)
                return FAAS_E_AGAIN;
        /* Taken back meanwhile, although it was begun: then the claim was written over. */
        if (c->n_tasks == 0 || *task_at(c, 0) != c->big_seq)
                return FAAS_E_PROTO;
        const struct fa_frame done = {.seq = c->big_seq};
        answered(c, ev, &done);
        ev->outcome.payload = fa_steal(c->big);
        c->big_have = 0;
        return 0;
}

static int take_frame(struct fa_chan *c, struct fa_slot_event *ev, const struct fa_frame *f) {
        struct fa_ring *r = &c->channel.results;

        if (f->type == FA_FRAME_HELLO) {
                r->pos += FA_FRAME_LEN;
                c->hello = true;
                ev->kind = FA_SLOT_UP;
                ev->seq = f->arg;
                return 0;
        }
        if (FA_FRAME_LEN + f->len > FA_RING_SIZE) {
                if (fa_blob_new_uninit(&c->big, &c->big_p, f->len) < 0)
                        return -ENOMEM;
                r->pos += FA_FRAME_LEN;
                c->big_seq = f->seq;
                return next_piece(c, ev);
        }
        /* What fits is told as a whole. */
        if (fa_ring_ready(r, FA_FRAME_LEN + f->len) < FA_FRAME_LEN + f->len)
                return FAAS_E_PROTO;
        const uint8_t *body = fa_ring_at(r) + FA_FRAME_LEN;
        r->pos += FA_FRAME_LEN + f->len;
        answered(c, ev, f);
        return fa_blob_new(f->flags ? &ev->outcome.text : &ev->outcome.payload, body, f->len);
}

int fa_chan_next(struct fa_chan *c, struct fa_slot_event *ev) {
        struct fa_ring *r = &c->channel.results;
        struct fa_frame f;
        uint32_t n;

        if (c->big)
                return next_piece(c, ev);
        n = fa_ring_ready(r, FA_FRAME_LEN);
        if (n == 0 || r->pos - c->released >= RELEASE_LEN)
                release(c);
        if (n == 0)
                return FAAS_E_AGAIN;
        if (n < FA_FRAME_LEN || n > FA_RING_SIZE)
                return FAAS_E_PROTO;
        fa_frame_get(&f, fa_ring_at(r));
        return frame_fits(c, &f) ? take_frame(c, ev, &f) : FAAS_E_PROTO;
}
