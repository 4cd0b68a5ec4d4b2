/*
 * chan.c - the host's end of one slot's channel
 *
 * Driven by slots.c.  Small tasks are copied into one run of bytes, so that a batch is one write;
 * large payloads are written from their blobs, and large results are read into theirs.  It never
 * blocks, never raises SIGPIPE, and believes no number that it has not compared with its own.
 */
#include "exec/chan.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include <faas/error.h>

#include "base/macros.h"

#define COPY_MAX                                                                                   \
        ((size_t)4096) /* a payload up to here is copied: cheaper than one more entry of a writev  \
                        */
#define BIG_MIN ((size_t)64 * 1024) /* a result from here on is read straight into its blob */
#define COMPACT_MIN                                                                                \
        ((size_t)64 * 1024) /* written bytes in front of a queue that is worth moving              \
                             */
#define IOV_MAX_ 64

static const uint8_t zeros[16];

void fa_chan_init(struct fa_chan *c) {
        *c = (struct fa_chan){.fd = -1};
}

void fa_chan_open(struct fa_chan *c, int fd, struct fa_control *control, uint32_t first_seq) {
        c->fd = fd;
        c->control = control;
        c->last_seq = c->answered_seq = first_seq - 1;
        atomic_store(&control->claim, fa_claim(first_seq - 1, first_seq - 1));
}

/* Forgets the blobs from number n on. */
static void cut_splices(struct fa_chan *c, size_t n) {
        while (c->n_splices > n)
                fa_blob_unref(c->splices[--c->n_splices].blob);
}

void fa_chan_hang_up(struct fa_chan *c) {
        if (c->fd >= 0)
                close(c->fd);
        c->fd = -1;
}

void fa_chan_close(struct fa_chan *c) {
        fa_chan_hang_up(c);
        while (c->splices_done < c->n_splices)
                fa_blob_unref(c->splices[c->splices_done++].blob);
        c->n_splices = c->splices_done = 0;
        c->splice_sent = 0;
        c->out_done = 0;
        fa_buf_clear(&c->out);
        fa_buf_clear(&c->in);
        fa_buf_clear(&c->rescued);
        c->rescued_done = 0;
        c->big = fa_blob_unref(c->big);
        c->n_tasks = 0;
        c->hello = false;
        c->control = NULL;
}

void fa_chan_deinit(struct fa_chan *c) {
        fa_chan_close(c);
        fa_buf_deinit(&c->out);
        fa_buf_deinit(&c->in);
        fa_buf_deinit(&c->rescued);
        free(c->tasks);
        free(c->splices);
        fa_chan_init(c);
}

static struct fa_chan_task *task_at(const struct fa_chan *c, size_t i) {
        return &c->tasks[(c->tasks_head + i) & (c->tasks_cap - 1)];
}

static int grow_tasks(struct fa_chan *c) {
        size_t cap = FA_MAX(c->tasks_cap * 2, 64);
        struct fa_chan_task *v = malloc(cap * sizeof(*v));

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

static int grow_splices(struct fa_chan *c) {
        size_t cap = FA_MAX(c->splices_cap * 2, 8);
        struct fa_chan_splice *v = realloc(c->splices, cap * sizeof(*v));

        if (!v)
                return -ENOMEM;
        c->splices = v;
        c->splices_cap = cap;
        return 0;
}

/* Moves what is still to be written to the front, when there is enough in front of it. */
static void compact(struct fa_chan *c) {
        if (c->out_done < COMPACT_MIN || c->out_done < c->out.len / 2)
                return;
        fa_buf_drop(&c->out, c->out_done);
        c->out_base += c->out_done;
        c->out_done = 0;
}

int fa_chan_queue(struct fa_chan *c, const struct fa_slot_task *t) {
        size_t name_len = strlen(t->function);
        size_t name_room = FA_TASK_NAME_ROOM(name_len);
        size_t payload_len = fa_blob_len(t->payload);
        bool copy = payload_len <= COPY_MAX;
        assert(name_len >= 1 && name_len <= FA_NAME_MAX && payload_len <= FA_PAYLOAD_MAX);
        struct fa_frame f = {.len = (uint32_t)(16 + name_room + payload_len),
                             .type = FA_FRAME_TASK,
                             .aux = (uint16_t)name_len,
                             .seq = c->last_seq + 1,
                             .arg = t->timeout_ms};
        size_t pad = FA_TASK_PAD(f.len);
        size_t head = FA_FRAME_LEN + 16 + name_room;

        if ((c->n_tasks == c->tasks_cap && grow_tasks(c) < 0) ||
            (!copy && c->n_splices == c->splices_cap && grow_splices(c) < 0))
                return -ENOMEM;
        compact(c);
        uint8_t *p = fa_buf_room(&c->out, head + (copy ? payload_len : 0) + pad);
        if (!p) {
                c->out.failed = false; /* what is queued is whole */
                return -ENOMEM;
        }

        c->n_tasks++;
        *task_at(c, c->n_tasks - 1) = (struct fa_chan_task){
                f.seq, c->splice_base + (uint32_t)c->n_splices, c->out_base + c->out.len};
        c->last_seq = f.seq;
        fa_frame_put(p, &f);
        memcpy(p + FA_FRAME_LEN, t->id->b, 16);
        memset(p + FA_FRAME_LEN + 16 + name_room - 16, 0, 16);
        memcpy(p + FA_FRAME_LEN + 16, t->function, name_len);
        p += head;
        c->out.len += head;
        if (copy) {
                if (payload_len > 0)
                        memcpy(p, fa_blob_ptr(t->payload), payload_len);
                p += payload_len;
                c->out.len += payload_len;
        } else {
                c->splices[c->n_splices++] =
                        (struct fa_chan_splice){fa_blob_ref(t->payload), c->out_base + c->out.len};
        }
        memcpy(p, zeros, pad);
        c->out.len += pad;
        return 0;
}

/* What is to be written next, in order; returns the number of entries. */
static size_t gather(const struct fa_chan *c, struct iovec *iov) {
        size_t n = 0;
        size_t pos = c->out_done;
        size_t skip = c->splice_sent;

        for (size_t i = c->splices_done; i < c->n_splices && n + 2 <= IOV_MAX_ - 1; i++) {
                const struct fa_chan_splice *sp = &c->splices[i];
                size_t at = (size_t)(sp->at - c->out_base);

                if (at > pos)
                        iov[n++] = (struct iovec){c->out.p + pos, at - pos};
                pos = at;
                iov[n++] = (struct iovec){(uint8_t *)fa_unconst(fa_blob_ptr(sp->blob)) + skip,
                                          fa_blob_len(sp->blob) - skip};
                skip = 0;
                if (i + 1 < c->n_splices && n + 2 > IOV_MAX_ - 1)
                        return n;
        }
        if (c->out.len > pos)
                iov[n++] = (struct iovec){c->out.p + pos, c->out.len - pos};
        return n;
}

/* The socket took n bytes more. */
static void written(struct fa_chan *c, size_t n) {
        while (c->splices_done < c->n_splices) {
                struct fa_chan_splice *sp = &c->splices[c->splices_done];
                size_t before = FA_MIN(n, (size_t)(sp->at - c->out_base) - c->out_done);

                c->out_done += before;
                n -= before;
                size_t part = FA_MIN(n, fa_blob_len(sp->blob) - c->splice_sent);
                c->splice_sent += part;
                n -= part;
                if (c->splice_sent < fa_blob_len(sp->blob))
                        return;
                fa_blob_unref(sp->blob);
                c->splice_sent = 0;
                c->splices_done++;
        }
        c->out_done += n;
        c->splice_base += (uint32_t)c->n_splices;
        c->n_splices = c->splices_done = 0;
        if (c->out_done == c->out.len) {
                c->out_base += c->out.len;
                c->out.len = c->out_done = 0;
        }
}

int fa_chan_write(struct fa_chan *c) {
        while (c->out_done < c->out.len || c->splices_done < c->n_splices) {
                struct iovec iov[IOV_MAX_];
                struct msghdr msg = {.msg_iov = iov, .msg_iovlen = gather(c, iov)};
                ssize_t n = sendmsg(c->fd, &msg, MSG_DONTWAIT | MSG_NOSIGNAL);

                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0)
                        return errno == EAGAIN || errno == ENOBUFS || errno == ENOMEM ? FAAS_E_AGAIN
                                                                                      : FAAS_E_GONE;
                written(c, (size_t)n);
        }
        return 0;
}

/* Is this what an honest slot can have claimed: the last task with a result, or one without? */
static bool may_be_claimed(const struct fa_chan *c, uint32_t seq) {
        if (seq == c->answered_seq)
                return true;
        for (size_t i = 0; i < c->n_tasks; i++)
                if (task_at(c, i)->seq == seq)
                        return true;
        return false;
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

/* Are these whole results of tasks without one, in order?  So there is no end of them either. */
static bool are_results(const struct fa_chan *c, const uint8_t *p, size_t len) {
        size_t task = 0;
        size_t pos = 0;

        while (pos < len) {
                struct fa_frame f;

                if (len - pos < FA_FRAME_LEN)
                        return false;
                fa_frame_get(&f, p + pos);
                pos += FA_FRAME_LEN;
                if (!is_result(&f) || f.len > len - pos)
                        return false;
                pos += f.len;
                while (task < c->n_tasks && task_at(c, task)->seq != f.seq)
                        task++;
                if (task++ == c->n_tasks)
                        return false;
        }
        return true;
}

/* Makes room in advance, so that nothing is taken from the shelf that cannot be kept. */
static int prepare_rescue(struct fa_chan *c) {
        fa_buf_drop(&c->rescued, c->rescued_done);
        c->rescued_done = 0;
        if (fa_buf_room(&c->rescued, FA_SHELF_LEN))
                return 0;
        c->rescued.failed = false; /* what is there is whole */
        return -ENOMEM;
}

/* It is as large as the shelf and seldom used. */
static void drop_empty(struct fa_chan *c) {
        if (c->rescued_done < c->rescued.len)
                return;
        fa_buf_deinit(&c->rescued);
        c->rescued_done = 0;
}

/* 0; FAAS_E_PROTO what was there makes no sense, and is forgotten. */
static int rescue(struct fa_chan *c) {
        size_t len = 0;

        if (fa_shelf_take(&c->control->shelf, c->rescued.p + c->rescued.len, &len) != 0)
                return FAAS_E_PROTO;
        /* All of them anew: what came before must not come again. */
        if (!are_results(c, c->rescued.p, c->rescued.len + len))
                return FAAS_E_PROTO;
        c->rescued.len += len;
        drop_empty(c);
        return 0;
}

void fa_chan_rescue(struct fa_chan *c) {
        if (c->control && c->hello && prepare_rescue(c) == 0)
                (void)rescue(c);
}

bool fa_chan_has_rescued(const struct fa_chan *c) {
        struct fa_frame f;

        if (c->rescued_done == c->rescued.len || c->big || !c->hello || c->n_tasks == 0)
                return false;
        fa_frame_get(&f, c->rescued.p + c->rescued_done);
        return f.seq == task_at(c, 0)->seq;
}

int fa_chan_recall(struct fa_chan *c, uint32_t *ret_seq) {
        int r = prepare_rescue(c);

        if (r < 0)
                return r;
        /* First, so that nothing new is begun while we look, which might be finished then. */
        uint32_t claimed = fa_control_revoke(c->control, c->last_seq);
        if (!may_be_claimed(c, claimed))
                return FAAS_E_PROTO;
        while (c->n_tasks > 0) {
                const struct fa_chan_task *t = task_at(c, c->n_tasks - 1);

                if (!fa_seq_after(t->seq, claimed))
                        break;
                if (t->at >= c->out_base + c->out_done && t->at < c->out_base + c->out.len) {
                        /* Not a byte of it is written: it need not be. */
                        cut_splices(c, t->splice - c->splice_base);
                        c->out.len = (size_t)(t->at - c->out_base);
                }
                c->n_tasks--;
        }
        r = rescue(c);
        if (r == 0)
                *ret_seq = claimed;
        return r;
}

bool fa_chan_culprit(struct fa_chan *c, bool broken, uint32_t *ret_seq) {
        uint32_t claimed = fa_control_revoke(c->control, c->last_seq);

        if (claimed == c->answered_seq || c->n_tasks == 0)
                return false;
        /*
         * If page or channel has been written over, the oldest task is the likeliest to have done
         * it: the slot may have gone on until we noticed.
         */
        *ret_seq = broken || !may_be_claimed(c, claimed) ? task_at(c, 0)->seq : claimed;
        return true;
}

/* Is this the header of the frame that may come now? */
static bool frame_fits(const struct fa_chan *c, const struct fa_frame *f) {
        if (f->type == FA_FRAME_HELLO)
                return !c->hello && f->len == 0 && f->seq == FA_CHANNEL_VERSION;
        return is_result(f) && c->hello && c->n_tasks > 0 && f->seq == task_at(c, 0)->seq;
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

/* Begins a result that is read into its blob. */
static int begin_big(struct fa_chan *c, struct fa_chan_input *in, const struct fa_frame *f) {
        if (fa_blob_new_uninit(&c->big, &c->big_p, f->len) < 0)
                return -ENOMEM;
        c->big_have = in->len - in->pos - FA_FRAME_LEN;
        memcpy(c->big_p, in->p + in->pos + FA_FRAME_LEN, c->big_have);
        in->pos = in->len;
        return FAAS_E_AGAIN;
}

static int keep_rest(struct fa_chan *c, struct fa_chan_input *in) {
        fa_buf_put(&c->in, in->p + in->pos, in->len - in->pos);
        in->pos = in->len;
        return c->in.failed ? -ENOMEM : FAAS_E_AGAIN;
}

static int
answer(struct fa_chan *c, struct fa_slot_event *ev, const struct fa_frame *f, const uint8_t *body) {
        answered(c, ev, f);
        return fa_blob_new(f->flags ? &ev->outcome.text : &ev->outcome.payload, body, f->len);
}

static int next_rescued(struct fa_chan *c, struct fa_slot_event *ev) {
        const uint8_t *p = c->rescued.p + c->rescued_done;
        struct fa_frame f;

        fa_frame_get(&f, p);
        c->rescued_done += FA_FRAME_LEN + f.len;
        int r = answer(c, ev, &f, p + FA_FRAME_LEN);
        drop_empty(c);
        return r;
}

int fa_chan_next(struct fa_chan *c, struct fa_chan_input *in, struct fa_slot_event *ev) {
        struct fa_frame f;

        /*
         * In the order of their numbers, and so in the order in which they were made: what was
         * written before is older, what the slot writes afterwards is younger.
         */
        if (fa_chan_has_rescued(c))
                return next_rescued(c, ev);
        if (c->big && c->big_have == c->big->len) {
                struct fa_frame done = {.seq = task_at(c, 0)->seq};

                answered(c, ev, &done);
                ev->outcome.payload = fa_steal(c->big);
                return 0;
        }
        if (in->pos == in->len)
                return FAAS_E_AGAIN;
        if (in->len - in->pos < FA_FRAME_LEN)
                return keep_rest(c, in);
        fa_frame_get(&f, in->p + in->pos);
        if (!frame_fits(c, &f))
                return FAAS_E_PROTO;
        if (in->len - in->pos - FA_FRAME_LEN < f.len)
                return f.len >= BIG_MIN ? begin_big(c, in, &f) : keep_rest(c, in);

        const uint8_t *body = in->p + in->pos + FA_FRAME_LEN;
        in->pos += FA_FRAME_LEN + f.len;
        if (f.type == FA_FRAME_HELLO) {
                c->hello = true;
                ev->kind = FA_SLOT_UP;
                ev->seq = f.arg;
                return 0;
        }
        return answer(c, ev, &f, body);
}

int fa_chan_read(struct fa_chan *c, struct fa_chan_input *in) {
        size_t left = 0;
        uint8_t *to;
        size_t room;

        if (c->big) {
                to = c->big_p + c->big_have;
                room = c->big->len - c->big_have;
        } else {
                left = c->in.len;
                if (left > 0)
                        memcpy(in->p, c->in.p, left);
                fa_buf_clear(&c->in);
                to = in->p + left;
                room = FA_CHAN_SCRATCH - left;
        }

        ssize_t n;
        do {
                n = recv(c->fd, to, room, MSG_DONTWAIT);
        } while (n < 0 && errno == EINTR);
        if (n <= 0) {
                int r = n < 0 && errno == EAGAIN ? FAAS_E_AGAIN : FAAS_E_GONE;

                fa_buf_put(&c->in, in->p, left);
                return r;
        }
        if (c->big) {
                c->big_have += (size_t)n;
                in->pos = in->len = 0;
        } else {
                in->pos = 0;
                in->len = left + (size_t)n;
        }
        return 0;
}
