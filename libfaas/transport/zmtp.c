/*
 * zmtp.c - one connection's frames, read and written
 *
 * Small frames are read into a buffer that idle connections do not have, and written from chunks
 * that gather them; large ones are read to where they stay, and written from where they are.
 */
#include "transport/zmtp.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include <faas/error.h>

#include "base/error.h"
#include "base/macros.h"
#include "transport/zmtp-hello.h"

#define IN_SIZE 65536u /* read at once; a batch of 256 small tasks has some 30 KiB */
#define LARGE 32768u   /* longer frames are read to, and written from, memory of their own */
#define CHUNK 65536u   /* of smaller frames that gather */
#define COMMAND_MAX 4096u
#define IOV_MAX_HERE 64
#define OUT_MAX (4u << 20)     /* bytes that may wait; one message always may */
#define SOCKET_BYTES (1 << 20) /* for ipc, as far as the kernel lets us */
#define UNACKED_MS 30000       /* a host that went away without a word: the connection breaks */
#define FRAME_MAX (FA_PAYLOAD_MAX + FA_ENVELOPE_MAX)
/* The largest that is right has one payload of the greatest length, or a batch of small ones. */
#define MESSAGE_MAX (2 * (size_t)FRAME_MAX)

void fa_zmtp_pool_deinit(struct fa_zmtp_pool *p) {
        while (p->n > 0)
                free(p->v[--p->n]);
        while (p->n_chunks > 0)
                fa_blob_unref(p->chunks[--p->n_chunks]);
}

static uint8_t *pool_get(struct fa_zmtp_pool *p) {
        return p->n ? p->v[--p->n] : malloc(IN_SIZE);
}

/* Gives the buffer back, which holds nothing. */
static void put_buffer(struct fa_zmtp *z) {
        struct fa_zmtp_pool *p = z->pool;

        if (z->cap == IN_SIZE && p->n < FA_ARRAY_SIZE(p->v))
                p->v[p->n++] = z->in;
        else
                free(z->in);
        z->in = NULL;
        z->cap = z->begin = z->at = z->end = 0;
}

/* ---- reading ---- */

static int make_room(struct fa_zmtp *z) {
        uint8_t *in;

        if (!z->in) {
                z->in = pool_get(z->pool);
                if (!z->in)
                        return -ENOMEM;
                z->cap = IN_SIZE;
                z->begin = z->at = z->end = 0;
        }
        if (z->end < z->cap)
                return 0;
        if (z->begin > 0) {
                memmove(z->in, z->in + z->begin, z->end - z->begin);
                z->at -= z->begin;
                z->end -= z->begin;
                z->begin = 0;
                return 0;
        }
        in = realloc(z->in, z->cap * 2); /* bounded by MESSAGE_MAX */
        if (!in)
                return -ENOMEM;
        z->in = in;
        z->cap *= 2;
        return 0;
}

int fa_zmtp_read(struct fa_zmtp *z, bool *ret_all) {
        struct iovec iov[2];
        size_t wanted = 0;
        size_t big = 0;
        int n = 0;
        int r = make_room(z);

        if (r)
                return r;
        if (z->big) {
                big = z->big_len - z->big_have;
                iov[n++] = (struct iovec){z->big + z->big_have, big};
        }
        iov[n++] = (struct iovec){z->in + z->end, z->cap - z->end};
        wanted = big + z->cap - z->end;
        const ssize_t got = readv(z->fd, iov, n);
        const int error = got < 0 ? errno : 0;
        if (got <= 0 && z->begin == z->end)
                put_buffer(z);
        if (got <= 0)
                return error == EAGAIN || error == EINTR ? FAAS_E_AGAIN : FAAS_E_GONE;
        big = FA_MIN(big, (size_t)got);
        z->big_have += big;
        z->end += (size_t)got - big;
        *ret_all = (size_t)got < wanted;
        return 0;
}

static void drop_parts(struct fa_zmtp *z) {
        while (z->n_parts > 0)
                free(z->parts[--z->n_parts].own);
        z->message_len = 0;
}

/* What is beyond the number that a message may have is forgotten, but for the fact. */
static int push_part(struct fa_zmtp *z, struct fa_zmtp_part part) {
        if (z->n_parts == FA_ZMTP_FRAMES) {
                free(part.own);
                return 0;
        }
        if (z->n_parts == z->cap_parts) {
                const size_t cap = z->cap_parts ? z->cap_parts * 2 : 4;
                struct fa_zmtp_part *v = realloc(z->parts, cap * sizeof(*v));

                if (!v) {
                        free(part.own);
                        return -ENOMEM;
                }
                z->parts = v;
                z->cap_parts = cap;
        }
        z->parts[z->n_parts++] = part;
        return 0;
}

/* Where the bytes of a large frame go; those that are there already go at once. */
static int begin_big(struct fa_zmtp *z, const uint8_t *p, size_t len, bool more) {
        const size_t have = FA_MIN((size_t)(z->in + z->end - p), len);

        z->big = malloc(len);
        if (!z->big)
                return -ENOMEM;
        memcpy(z->big, p, have);
        z->big_len = len;
        z->big_have = have;
        z->big_more = more;
        z->at = (size_t)(p - z->in) + have;
        return 0;
}

static int end_big(struct fa_zmtp *z, bool *ret_last) {
        if (z->big_have < z->big_len)
                return FAAS_E_AGAIN;
        *ret_last = !z->big_more;
        return push_part(z, (struct fa_zmtp_part){.own = fa_steal(z->big), .len = z->big_len});
}

/* Between two messages it leaves nothing behind. */
static int take_command(struct fa_zmtp *z, const uint8_t *p, size_t len) {
        int r;

        if (len > COMMAND_MAX)
                return FAAS_E_PROTO;
        if ((size_t)(z->in + z->end - p) < len)
                return FAAS_E_AGAIN;
        z->at = (size_t)(p - z->in) + len;
        if (z->n_parts == 0)
                z->begin = z->at;
        if (z->state == FA_ZMTP_OPEN)
                return fa_zmtp_command(z, p, len);
        r = fa_zmtp_ready(z, p, len);
        if (r == 0)
                z->state = FA_ZMTP_OPEN;
        return r;
}

/* 0: one more frame is there, or a command was done; FAAS_E_AGAIN; FAAS_E_PROTO; -ENOMEM. */
static int take_frame(struct fa_zmtp *z, bool *ret_last) {
        const size_t have = z->end - z->at;
        const uint8_t *p = z->in + z->at;
        uint64_t len = 0;
        size_t head;

        *ret_last = false;
        if (z->big)
                return end_big(z, ret_last);
        if (have < 2)
                return FAAS_E_AGAIN;
        head = p[0] & FA_ZMTP_LONG ? 9 : 2;
        if (have < head)
                return p[0] & ~FA_ZMTP_FLAGS ? FAAS_E_PROTO : FAAS_E_AGAIN;
        for (size_t i = 1; i < head; i++)
                len = len << 8 | p[i];
        if (p[0] & ~FA_ZMTP_FLAGS || len > FRAME_MAX)
                return FAAS_E_PROTO;
        if (p[0] & FA_ZMTP_COMMAND)
                return take_command(z, p + head, (size_t)len);
        z->message_len += head + (size_t)len;
        if (z->state != FA_ZMTP_OPEN || z->message_len > MESSAGE_MAX)
                return FAAS_E_PROTO;
        if (len > LARGE) {
                int r = begin_big(z, p + head, (size_t)len, p[0] & FA_ZMTP_MORE);
                return r ? r : end_big(z, ret_last);
        }
        if (have < head + len) {
                z->message_len -= head + (size_t)len; /* it is looked at again */
                return FAAS_E_AGAIN;
        }
        *ret_last = !(p[0] & FA_ZMTP_MORE);
        z->at += head + (size_t)len;
        return push_part(
                z, (struct fa_zmtp_part){.at = z->at - (size_t)len - z->begin, .len = (size_t)len});
}

static int take_greeting(struct fa_zmtp *z) {
        int r = fa_zmtp_greeting(z->in + z->at, z->end - z->at);

        if (r)
                return r;
        z->begin = z->at += FA_ZMTP_GREETING_LEN;
        z->state = FA_ZMTP_READY;
        return 0;
}

int fa_zmtp_shake(struct fa_zmtp *z) {
        bool last;
        int r = 0;

        while (r == 0 && z->state != FA_ZMTP_OPEN)
                r = z->state == FA_ZMTP_GREETING ? take_greeting(z) : take_frame(z, &last);
        return r;
}

static void show(struct fa_zmtp *z, struct faas_frame *frames, size_t *ret_n) {
        for (size_t i = 0; i < z->n_parts; i++) {
                struct fa_zmtp_part *part = &z->parts[i];

                frames[i] = (struct faas_frame){
                        .p = part->own ? part->own : z->in + z->begin + part->at,
                        .len = part->len,
                        .release = part->own ? free : NULL,
                        .owner = part->own,
                };
                part->own = NULL; /* the library's */
        }
        *ret_n = z->n_parts;
        z->shown = true;
}

int fa_zmtp_next(struct fa_zmtp *z, struct faas_frame *frames, size_t *ret_n) {
        bool last = false;
        int r;

        if (z->shown) {
                z->shown = false;
                z->begin = z->at;
                drop_parts(z);
        }
        r = fa_zmtp_shake(z);
        while (r == 0 && !last)
                r = take_frame(z, &last);
        if (r == 0)
                show(z, frames, ret_n);
        else if (z->in && z->begin == z->end && !z->n_parts && !z->big)
                put_buffer(z);
        return r;
}

/* ---- writing ---- */

static int push_seg(struct fa_zmtp *z, struct fa_blob *b, size_t at, size_t len) {
        if (z->seg && z->n_seg == z->cap_seg && z->head > 0) {
                memmove(z->seg, z->seg + z->head, (z->n_seg - z->head) * sizeof(*z->seg));
                z->n_seg -= z->head;
                z->head = 0;
        } else if (!z->seg || z->n_seg == z->cap_seg) {
                const size_t cap = z->cap_seg ? z->cap_seg * 2 : 8;
                struct fa_zmtp_seg *v = realloc(z->seg, cap * sizeof(*v));

                if (!v)
                        return -ENOMEM;
                z->seg = v;
                z->cap_seg = cap;
        }
        z->seg[z->n_seg++] = (struct fa_zmtp_seg){fa_blob_ref(b), at, len};
        z->out_bytes += len;
        return 0;
}

/* The last who had a chunk keeps it for the next one. */
static void drop_blob(struct fa_zmtp_pool *p, struct fa_blob *b) {
        if (b && b->refs == 1 && b->len == CHUNK && !b->release &&
            p->n_chunks < FA_ARRAY_SIZE(p->chunks))
                p->chunks[p->n_chunks++] = b;
        else
                fa_blob_unref(b);
}

static void drop_chunk(struct fa_zmtp *z) {
        drop_blob(z->pool, z->chunk);
        z->chunk = NULL;
        z->chunk_len = 0;
}

static int new_chunk(struct fa_zmtp *z) {
        struct fa_zmtp_pool *p = z->pool;
        uint8_t *bytes;

        drop_chunk(z);
        if (p->n_chunks == 0)
                return fa_blob_new_uninit(&z->chunk, &bytes, CHUNK);
        z->chunk = p->chunks[--p->n_chunks];
        return 0;
}

int fa_zmtp_gather(struct fa_zmtp *z, const void *p, size_t len) {
        struct fa_zmtp_seg *last = z->n_seg > z->head ? &z->seg[z->n_seg - 1] : NULL;

        if (len == 0)
                return 0;
        if (!z->chunk || z->chunk_len + len > CHUNK) {
                if (new_chunk(z))
                        return -ENOMEM;
                last = NULL;
        }
        memcpy((uint8_t *)fa_unconst(z->chunk->p) + z->chunk_len, p, len);
        if (last && last->b == z->chunk && last->at + last->len == z->chunk_len) {
                last->len += len;
                z->out_bytes += len;
        } else if (push_seg(z, z->chunk, z->chunk_len, len)) {
                return -ENOMEM;
        }
        z->chunk_len += len;
        return 0;
}

static int put_frame(struct fa_zmtp *z, struct fa_blob *b, bool more) {
        const size_t len = fa_blob_len(b);
        uint8_t head[9];
        size_t n = 0;
        int r;

        head[n++] = (uint8_t)((more ? FA_ZMTP_MORE : 0) | (len > 255 ? FA_ZMTP_LONG : 0));
        for (size_t width = len > 255 ? 8 : 1; width > 0; width--)
                head[n++] = (uint8_t)((uint64_t)len >> 8 * (width - 1));
        r = fa_zmtp_gather(z, head, n);
        if (r)
                return r;
        return len > LARGE ? push_seg(z, b, 0, len) : fa_zmtp_gather(z, fa_blob_ptr(b), len);
}

/* Takes back what was queued behind that many bytes. */
static void take_back(struct fa_zmtp *z, size_t out_bytes) {
        while (z->out_bytes > out_bytes) {
                struct fa_zmtp_seg *s = &z->seg[z->n_seg - 1];
                const size_t n = FA_MIN(s->len, z->out_bytes - out_bytes);

                s->len -= n;
                z->out_bytes -= n;
                if (s->len == 0) {
                        drop_blob(z->pool, s->b);
                        z->n_seg--;
                }
        }
}

int fa_zmtp_put(struct fa_zmtp *z, const struct fa_frames *f) {
        const size_t had = z->out_bytes;
        int r = had > OUT_MAX ? FAAS_E_AGAIN : 0;

        for (size_t i = 0; r == 0 && i < f->n; i++)
                r = put_frame(z, f->v[i], i + 1 < f->n);
        if (r)
                take_back(z, had);
        return r;
}

static void wrote(struct fa_zmtp *z, size_t n) {
        z->out_bytes -= n;
        while (n > 0) {
                struct fa_zmtp_seg *s = &z->seg[z->head];
                const size_t k = FA_MIN(n, s->len);

                s->at += k;
                s->len -= k;
                n -= k;
                if (s->len > 0)
                        return;
                drop_blob(z->pool, s->b);
                z->head++;
        }
}

int fa_zmtp_flush(struct fa_zmtp *z) {
        while (z->head < z->n_seg) {
                struct iovec iov[IOV_MAX_HERE];
                struct msghdr m = {.msg_iov = iov};
                ssize_t n;

                for (size_t i = z->head; i < z->n_seg && m.msg_iovlen < IOV_MAX_HERE; i++)
                        iov[m.msg_iovlen++] = (struct iovec){
                                fa_unconst(z->seg[i].b->p + z->seg[i].at), z->seg[i].len};
                n = sendmsg(z->fd, &m, MSG_NOSIGNAL | MSG_DONTWAIT);
                if (n < 0 && errno == EINTR)
                        continue;
                if (n < 0)
                        return errno == EAGAIN || errno == ENOBUFS ? FAAS_E_AGAIN : FAAS_E_GONE;
                wrote(z, (size_t)n);
        }
        z->head = z->n_seg = 0;
        drop_chunk(z);
        return 0;
}

void fa_zmtp_drop(struct fa_zmtp *z) {
        take_back(z, 0);
        z->head = z->n_seg = 0;
        if (z->chunk)
                drop_chunk(z);
}

/* ---- its life ---- */

/* What a socket is set to; where it does not apply, it does no harm. */
static void tune(int fd) {
        static const struct {
                int level, option, value;
        } v[] = {
                {IPPROTO_TCP, TCP_NODELAY, 1},   {SOL_SOCKET, SO_KEEPALIVE, 1},
                {IPPROTO_TCP, TCP_KEEPIDLE, 30}, {IPPROTO_TCP, TCP_KEEPINTVL, 10},
                {IPPROTO_TCP, TCP_KEEPCNT, 3},   {IPPROTO_TCP, TCP_USER_TIMEOUT, UNACKED_MS},
        };
        int domain = AF_UNIX;
        socklen_t len = sizeof(domain);
        const int size = SOCKET_BYTES;

        (void)getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &len);
        if (domain == AF_UNIX) { /* TCP sizes its buffers itself */
                (void)setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
                return;
        }
        for (size_t i = 0; i < FA_ARRAY_SIZE(v); i++)
                (void)setsockopt(fd, v[i].level, v[i].option, &v[i].value, sizeof(v[i].value));
}

int fa_zmtp_init(struct fa_zmtp *z, int fd, bool listens, struct fa_zmtp_pool *pool) {
        *z = (struct fa_zmtp){.fd = -1, .listens = listens, .pool = pool};
        if (fa_zmtp_say_hello(z)) {
                fa_zmtp_deinit(z);
                return -ENOMEM;
        }
        tune(fd);
        z->fd = fd;
        return 0;
}

void fa_zmtp_deinit(struct fa_zmtp *z) {
        if (z->fd >= 0)
                (void)close(z->fd);
        z->fd = -1;
        fa_zmtp_drop(z);
        free(z->seg);
        drop_parts(z);
        free(z->parts);
        free(z->big);
        if (z->in)
                put_buffer(z);
        *z = (struct fa_zmtp){.fd = -1};
}
