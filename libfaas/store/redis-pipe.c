/*
 * redis-pipe.c - the bytes of one connection: commands out, replies in
 *
 * The parser is hiredis's, told how much it may believe: strings are taken as their bytes arrive,
 * but for an array it allocates at once what the other side says that it has.  It moves what is
 * left in its buffer with each reply, so it is fed in small pieces.
 */
#include <errno.h>
#include <string.h>

#include "base/macros.h"
#include "store/redis-conn-private.h"

#define READ_MAX (1u << 20) /* received in one turn */
#define READ_STEP (64u << 10)
#define FEED_MAX ((size_t)16 << 10)
#define KEEP_MAX (4u << 20) /* an empty buffer that is larger is given back */

#if HIREDIS_MAJOR == 0
static void *create_array(const redisReadTask *task, int n) {
        struct fa_redis_pipe *p = task->privdata;

        p->exceeded = n > FA_REDIS_ELEMENTS_MAX;
        return p->exceeded ? NULL : p->create_array(task, n);
}
#endif

int fa_redis_pipe_start(struct fa_redis_pipe *p) {
        assert(!p->reader);
        p->reader = redisReaderCreate();
        if (!p->reader)
                return -ENOMEM;
        p->reader->maxbuf = 1u << 20; /* its buffer is kept from reply to reply */
#if HIREDIS_MAJOR == 0
        p->fns = *p->reader->fn;
        p->create_array = p->fns.createArray;
        p->fns.createArray = create_array;
        p->reader->fn = &p->fns;
        p->reader->privdata = p;
#else
        p->reader->maxelements = FA_REDIS_ELEMENTS_MAX;
#endif
        return 0;
}

static void empty(struct fa_buf *b, size_t *pos) {
        *pos = 0;
        if (b->cap > KEEP_MAX)
                fa_buf_deinit(b);
        fa_buf_clear(b);
}

/* Moves what is left to the front if that is less than what went: each byte moves once or so. */
static void settle(struct fa_buf *b, size_t *pos) {
        if (*pos < b->len - *pos || *pos == 0)
                return;
        fa_buf_drop(b, *pos);
        *pos = 0;
}

void fa_redis_pipe_reset(struct fa_redis_pipe *p) {
        if (p->reader)
                redisReaderFree(p->reader);
        p->reader = NULL;
        p->exceeded = false;
        p->reply_len = 0;
        p->first_len = 0;
        empty(&p->in, &p->in_pos);
        empty(&p->out, &p->out_pos);
}

void fa_redis_pipe_deinit(struct fa_redis_pipe *p) {
        fa_redis_pipe_reset(p);
        fa_buf_deinit(&p->in);
        fa_buf_deinit(&p->out);
}

int fa_redis_pipe_write(struct fa_redis_pipe *p, int fd) {
        if (p->out.failed)
                return -ENOMEM;
        while (p->out_pos < p->out.len) {
                ssize_t n = send(fd, p->out.p + p->out_pos, p->out.len - p->out_pos, MSG_NOSIGNAL);
                if (n < 0 && errno == EAGAIN)
                        break;
                if (n < 0 && errno != EINTR)
                        return -errno;
                p->out_pos += n > 0 ? (size_t)n : 0;
        }
        if (p->out_pos == p->out.len)
                empty(&p->out, &p->out_pos);
        else
                settle(&p->out, &p->out_pos);
        return 0;
}

int fa_redis_pipe_read(struct fa_redis_pipe *p, int fd) {
        size_t got = 0;

        while (got < READ_MAX && p->in.len - p->in_pos < READ_MAX) {
                settle(&p->in, &p->in_pos);
                uint8_t *to = fa_buf_room(&p->in, READ_STEP);
                if (!to)
                        return -ENOMEM;
                size_t room = p->in.cap - p->in.len;
                ssize_t n = recv(fd, to, room, 0);
                if (n < 0 && errno == EAGAIN)
                        return 0;
                if (n == 0)
                        return -ECONNRESET;
                if (n < 0 && errno != EINTR)
                        return -errno;
                if (n < 0)
                        continue;
                size_t first = FA_MIN((size_t)n, sizeof(p->first) - p->first_len);
                memcpy(p->first + p->first_len, to, first);
                p->first_len += first;
                p->in.len += (size_t)n;
                got += (size_t)n;
                if ((size_t)n < room)
                        return 0;
        }
        return 0;
}

/* A small piece of what was received. */
static int feed(struct fa_redis_pipe *p) {
        size_t n = FA_MIN(p->in.len - p->in_pos, FEED_MAX);

        p->reply_len += n;
        if (p->reply_len > FA_REDIS_REPLY_MAX)
                return -EMSGSIZE;
        if (redisReaderFeed(p->reader, (const char *)p->in.p + p->in_pos, n) != REDIS_OK)
                return -ENOMEM;
        p->in_pos += n;
        if (p->in_pos == p->in.len)
                empty(&p->in, &p->in_pos);
        return 0;
}

int fa_redis_pipe_reply(struct fa_redis_pipe *p, struct redisReply **ret) {
        void *reply = NULL;
        int r = 0;

        *ret = NULL;
        while (redisReaderGetReply(p->reader, &reply) == REDIS_OK) {
                if (reply) {
                        p->reply_len = 0;
                        *ret = reply;
                        return 0;
                }
                if (p->in_pos == p->in.len)
                        return 0;
                r = feed(p);
                if (r)
                        return r;
        }
        if (p->exceeded)
                return -EMSGSIZE;
        return p->reader->err == REDIS_ERR_OOM ? -ENOMEM : -EPROTO;
}
