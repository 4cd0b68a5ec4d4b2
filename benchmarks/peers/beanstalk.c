/*
 * beanstalk.c - beanstalkd's part, by its own text protocol: jobs go into the tube "work", results
 * come back as jobs of the tube "done"
 *
 * beanstalkd has no results of its own; this is how its users get them.  A worker puts the result
 * and deletes the job in one write, and asks for the next job at once.  The client puts through one
 * connection and reserves through another; what it has to say gathers until it has to wait, so that
 * many commands travel in one write.  That is more than the
 * usual client libraries do.
 *
 * With "plain:" in front of the address each command waits for its answer, as in
 * those.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "peer.h"

#define ROOM 65536
#define DEPTH 64 /* reserves that are under way on a connection */

/* A connection with what was read and not used, and what was said and not written. */
struct conn {
        int fd;
        unsigned asked, deleted; /* reserves without an answer; deletes with one */
        size_t in_at, in_end, out_len;
        char in[ROOM], out[ROOM];
};

struct job {
        unsigned long long id;
        size_t len;
        const char *body; /* until the next read */
};

static struct conn putter, getter;
static int plain;

static int flush(struct conn *c) {
        for (size_t at = 0; at < c->out_len;) {
                ssize_t k = send(c->fd, c->out + at, c->out_len - at, MSG_NOSIGNAL);
                if (k <= 0)
                        return peer_fail("send", "beanstalkd is gone");
                at += (size_t)k;
        }
        c->out_len = 0;
        return 0;
}

static int say(struct conn *c, const void *text, size_t len) {
        if (c->out_len + len > ROOM && flush(c))
                return 1;
        memcpy(c->out + c->out_len, text, len);
        c->out_len += len;
        return 0;
}

static int say_text(struct conn *c, const char *text) {
        return say(c, text, strlen(text));
}

static int say_put(struct conn *c, const void *body, size_t len) {
        char head[64];

        (void)snprintf(head, sizeof(head), "put 0 0 3600 %zu\r\n", len);
        return say_text(c, head) || say(c, body, len) || say_text(c, "\r\n");
}

/* Reads until there are so many bytes behind in_at; what was said goes out before. */
static int need(struct conn *c, size_t len) {
        while (c->in_end - c->in_at < len) {
                ssize_t k;
                if (c->in_at) {
                        memmove(c->in, c->in + c->in_at, c->in_end - c->in_at);
                        c->in_end -= c->in_at;
                        c->in_at = 0;
                }
                if (flush(c))
                        return 1;
                k = recv(c->fd, c->in + c->in_end, ROOM - c->in_end, 0);
                if (k <= 0)
                        return peer_fail("recv", "beanstalkd is gone");
                c->in_end += (size_t)k;
        }
        return 0;
}

/* The next line without its end; it stands in the buffer until the next read. */
static int line(struct conn *c, char **ret) {
        for (size_t len = 2;; len = c->in_end - c->in_at + 1) {
                char *end;
                if (need(c, len))
                        return 1;
                end = memchr(c->in + c->in_at, '\n', c->in_end - c->in_at);
                if (!end)
                        continue;
                end[-1] = '\0';
                *ret = c->in + c->in_at;
                c->in_at = (size_t)(end + 1 - c->in);
                return 0;
        }
}

/* An answer that is this word, and perhaps a number. */
static int answer(struct conn *c, const char *word) {
        char *text;

        if (line(c, &text))
                return 1;
        return strncmp(text, word, strlen(word)) == 0 ? 0 : peer_fail(word, text);
}

static int take_job(struct conn *c, const char *text, struct job *ret) {
        if (sscanf(text, "RESERVED %llu %zu", &ret->id, &ret->len) != 2)
                return peer_fail("reserve", text);
        if (need(c, ret->len + 2))
                return 1;
        ret->body = c->in + c->in_at;
        c->in_at += ret->len + 2;
        return 0;
}

/* The next job; answers to deletes, which may stand between, are counted. */
static int reserved(struct conn *c, struct job *ret) {
        char *text;

        do {
                if (line(c, &text))
                        return 1;
                c->deleted += strcmp(text, "DELETED") == 0;
        } while (strcmp(text, "DELETED") == 0);
        return take_job(c, text, ret);
}

/* Can a job be taken out of the buffer without a read? */
static int has_job(const struct conn *c) {
        const char *at = c->in + c->in_at, *end = c->in + c->in_end, *eol;
        size_t len = 0;

        while ((eol = memchr(at, '\n', (size_t)(end - at))) && *at == 'D')
                at = eol + 1;
        return eol && sscanf(at, "RESERVED %*u %zu", &len) == 1 && (size_t)(end - eol) > len + 2;
}

static int say_delete(struct conn *c, unsigned long long id) {
        char text[40];

        (void)snprintf(text, sizeof(text), "delete %llu\r\n", id);
        return say_text(c, text);
}

static int dial(struct conn *c, const char *address, const char *use, const char *watch) {
        char text[128];

        c->fd = peer_dial(address);
        if (c->fd < 0)
                return 1;
        (void)snprintf(text, sizeof(text), "use %s\r\nwatch %s\r\nignore default\r\n", use, watch);
        return say_text(c, text) || answer(c, "USING") || answer(c, "WATCHING") ||
               answer(c, "WATCHING");
}

/* Takes "plain:" off. */
static const char *parse(const char *address) {
        plain = strncmp(address, "plain:", 6) == 0;
        return plain ? address + 6 : address;
}

static int open_client(const char *address) {
        address = parse(address);
        return dial(&putter, address, "work", "done") || dial(&getter, address, "work", "done");
}

static void close_client(void) {
        close(putter.fd);
        close(getter.fd);
}

static int check(const struct peer_task *task, const struct job *job) {
        return peer_right(task, job->body, job->len) ? 0 : peer_fail("result", "not what was sent");
}

static int put_one(const struct peer_task *task) {
        return say_put(&putter, task->payload, task->len) || answer(&putter, "INSERTED");
}

static int get_one(const struct peer_task *task) {
        struct job job;

        return say_text(&getter, "reserve\r\n") || reserved(&getter, &job) || check(task, &job) ||
               say_delete(&getter, job.id) || answer(&getter, "DELETED");
}

/* The delete goes out when the result is there; its answer is read with the next ones. */
static int one(const struct peer_task *task) {
        struct job job;

        if (plain)
                return put_one(task) || get_one(task);
        return say_put(&getter, task->payload, task->len) || say_text(&getter, "reserve\r\n") ||
               (getter.asked++ && answer(&getter, "DELETED")) || answer(&getter, "INSERTED") ||
               reserved(&getter, &job) || check(task, &job) || say_delete(&getter, job.id) ||
               flush(&getter);
}

static int many_plain(const struct peer_task *task, unsigned n, unsigned in_flight) {
        for (unsigned sent = 0, got = 0; got < n; got++) {
                for (; sent < n && sent - got < in_flight; sent++)
                        if (put_one(task))
                                return 1;
                if (get_one(task))
                        return 1;
        }
        return 0;
}

static int put_some(const struct peer_task *task, unsigned n) {
        for (unsigned i = 0; i < n; i++)
                if (say_put(&putter, task->payload, task->len))
                        return 1;
        return flush(&putter);
}

static int inserted(struct conn *c, unsigned n) {
        for (unsigned i = 0; i < n; i++)
                if (answer(c, "INSERTED"))
                        return 1;
        return 0;
}

static int many(const struct peer_task *task, unsigned n, unsigned in_flight) {
        unsigned sent = 0, asked = 0, got = 0;
        struct job job;

        if (plain)
                return many_plain(task, n, in_flight);
        getter.deleted = 0;
        while (got < n) {
                unsigned room = in_flight - (sent - got);
                unsigned k = n - sent < room ? n - sent : room;
                if (put_some(task, k))
                        return 1;
                sent += k;
                for (; asked < n && asked - got < DEPTH; asked++)
                        if (say_text(&getter, "reserve\r\n"))
                                return 1;
                do {
                        if (reserved(&getter, &job) || check(task, &job) ||
                            say_delete(&getter, job.id))
                                return 1;
                        got++;
                } while (has_job(&getter));
                if (inserted(&putter, k))
                        return 1;
        }
        while (getter.deleted < n) {
                if (answer(&getter, "DELETED"))
                        return 1;
                getter.deleted++;
        }
        return 0;
}

/* A result is put before its job is deleted: nothing is lost if the worker dies between. */
static int work_plain(void) {
        struct job job;

        for (;;) {
                if (say_text(&getter, "reserve\r\n") || reserved(&getter, &job) ||
                    say_put(&putter, job.body, job.len) || answer(&putter, "INSERTED") ||
                    say_delete(&getter, job.id) || answer(&getter, "DELETED"))
                        return 1;
        }
}

/* Two connections: on one alone a result would wait behind the reserves that are under way. */
static int work(const char *address) {
        struct job job;

        address = parse(address);
        if (dial(&putter, address, "done", "work") || dial(&getter, address, "done", "work"))
                return 1;
        if (plain)
                return work_plain();
        for (;;) {
                unsigned n = 0;
                for (; getter.asked < DEPTH; getter.asked++)
                        if (say_text(&getter, "reserve\r\n"))
                                return 1;
                do {
                        if (reserved(&getter, &job) || say_put(&putter, job.body, job.len) ||
                            say_delete(&getter, job.id))
                                return 1;
                        n++;
                } while (has_job(&getter));
                getter.asked -= n;
                if (inserted(&putter, n))
                        return 1;
        }
}

int main(int argc, char **argv) {
        static const struct peer beanstalk = {.name = "beanstalkd",
                                              .open = open_client,
                                              .one = one,
                                              .many = many,
                                              .close = close_client,
                                              .work = work};

        return peer_main(argc, argv, &beanstalk);
}
