/*
 * redis-conn.c - connects, greets, carries bytes both ways, breaks and comes back
 *
 * Whatever goes wrong ends in down(), which forgets the connection and sets the pause; the only way
 * up is start().
 */
#include "store/redis-conn.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/error.h"
#include "base/text.h"
#include "store/redis-conn-private.h"

#define PATIENCE_NS (2 * FA_NS_PER_S) /* with connect, and with the greeting */
#define PAUSE_MIN_NS (20 * FA_NS_PER_MS)
#define PAUSE_MAX_NS FA_NS_PER_S
#define LASTED_NS FA_NS_PER_S       /* ready for so long: the next failure is a new story */
#define LOOKUP_NS (5 * FA_NS_PER_S) /* look-ups block, so they are rare */
#define MOVES_MAX 4                 /* without a pause; a cluster that is right needs one */

static void watch(struct fa_redis_conn *c, uint32_t events) {
        struct epoll_event e = {.events = events};

        if (events == c->events)
                return;
        /* It is there already and takes no memory: this cannot fail. */
        (void)epoll_ctl(c->epoll, EPOLL_CTL_MOD, c->fd, &e);
        c->events = events;
}

static void disconnect(struct fa_redis_conn *c) {
        if (c->fd >= 0) {
                /* A process that was forked may still hold the socket, and then it would stay. */
                (void)epoll_ctl(c->epoll, EPOLL_CTL_DEL, c->fd, NULL);
                close(c->fd);
        }
        c->fd = -1;
        c->events = 0;
        fa_redis_pipe_reset(&c->pipe);
        c->step = FA_REDIS_DOWN;
}

/* xorshift64: 3/4 to 5/4 of ns. */
static uint64_t jitter(struct fa_redis_conn *c, uint64_t ns) {
        c->random ^= c->random << 13;
        c->random ^= c->random >> 7;
        c->random ^= c->random << 17;
        return ns - ns / 4 + c->random % (ns / 2 + 1);
}

/* It was ready long enough: what failed before is forgotten. */
static void forgive(struct fa_redis_conn *c) {
        if (c->step != FA_REDIS_READY || c->now_ns - c->ready_ns < LASTED_NS)
                return;
        c->pause_ns = PAUSE_MIN_NS;
        c->n_moves = 0;
}

static void pause_now(struct fa_redis_conn *c) {
        c->wake_ns = c->now_ns + jitter(c, c->pause_ns);
        c->pause_ns = FA_MIN(c->pause_ns * 2, PAUSE_MAX_NS);
}

/* Where it is to be, or not yet, in messages. */
static void name_place(struct fa_redis_conn *c) {
        bool v6 = strchr(c->moved.host, ':');

        if (!c->moved.port)
                memcpy(c->where, c->url->shown, sizeof(c->where));
        else
                (void)snprintf(c->where, sizeof(c->where), "%s%s%s:%u", v6 ? "[" : "",
                               c->moved.host, v6 ? "]" : "", c->moved.port);
}

/* Other addresses, to be looked up. */
static void change_place(struct fa_redis_conn *c, const struct fa_redis_moved *to) {
        c->moved = *to;
        c->n_addrs = 0;
        c->lookup_ns = 0;
        name_place(c);
}

/* The reason of what comes next; the arguments may be parts of the present one. */
static void FA_PRINTF(2, 3) explain(struct fa_redis_conn *c, const char *fmt, ...) {
        char text[FA_REDIS_WHY_SIZE];
        va_list args;

        va_start(args, fmt);
        fa_text_vformat(text, sizeof(text), fmt, args);
        va_end(args);
        (void)snprintf(c->why, sizeof(c->why), "redis %s: %s", c->where, text);
}

static void down(struct fa_redis_conn *c, int r) {
        forgive(c);
        disconnect(c);
        c->r = r;
        c->doubtful = true;
        if (c->moved.port)
                change_place(c, &(struct fa_redis_moved){0});
        pause_now(c);
}

/* false: it cannot be told where the host is; the reason stands in why. */
static bool locate(struct fa_redis_conn *c) {
        const char *host = c->moved.port ? c->moved.host : c->url->host;
        uint16_t port = c->moved.port ? c->moved.port : c->url->port;

        if (!*host) {
                fa_redis_unix(&c->addrs[0], c->url->path);
                c->n_addrs = 1;
                return true;
        }
        if ((c->n_addrs && !c->doubtful) || c->now_ns < c->lookup_ns)
                return c->n_addrs > 0;
        if (!fa_redis_is_address(host))
                c->lookup_ns = c->now_ns + LOOKUP_NS;
        const char *wrong = fa_redis_resolve(c->addrs, &c->n_addrs, host, port);
        if (!wrong)
                c->doubtful = false;
        else if (!c->n_addrs)
                explain(c, "%s", wrong);
        return c->n_addrs > 0; /* the old ones are better than none */
}

static void greet(struct fa_redis_conn *c) {
        if (fa_redis_pipe_start(&c->pipe)) {
                explain(c, "no memory");
                down(c, -ENOMEM);
                return;
        }
        c->step = FA_REDIS_GREETING;
        c->wake_ns = c->now_ns + PATIENCE_NS;
        fa_redis_greet(&c->greeting, c->url, &c->pipe.out);
}

/* The address at addr_i, or the first one behind it that does not refuse at once. */
static void try_addrs(struct fa_redis_conn *c) {
        struct epoll_event e = {.events = EPOLLOUT};
        int r = -EHOSTUNREACH;

        for (; c->addr_i < c->n_addrs; c->addr_i++) {
                r = fa_redis_connect(&c->fd, &c->addrs[c->addr_i]);
                if (r == 0)
                        break;
                explain(c, "%s", faas_strerror(r));
        }
        if (r == 0 && epoll_ctl(c->epoll, EPOLL_CTL_ADD, c->fd, &e) < 0) {
                r = -errno;
                explain(c, "epoll: %s", faas_strerror(r));
        }
        if (r) {
                down(c, r == -EACCES ? r : FAAS_E_UNAVAILABLE);
                return;
        }
        c->events = e.events;
        c->step = FA_REDIS_CONNECTING;
        c->wake_ns = c->now_ns + PATIENCE_NS;
}

static void start(struct fa_redis_conn *c) {
        if (!locate(c)) {
                down(c, FAAS_E_UNAVAILABLE);
                return;
        }
        c->addr_i = 0;
        try_addrs(c);
}

/* This address is not one; why is set. */
static void try_next(struct fa_redis_conn *c) {
        disconnect(c);
        if (++c->addr_i < c->n_addrs)
                try_addrs(c);
        else
                down(c, FAAS_E_UNAVAILABLE);
}

static void check_connect(struct fa_redis_conn *c) {
        int r = fa_redis_connected(c->fd);

        if (r == -EINPROGRESS)
                return;
        if (r == 0) {
                greet(c);
                return;
        }
        explain(c, "%s", faas_strerror(r));
        try_next(c);
}

/* What came was not what a Redis says. */
static void break_strange(struct fa_redis_conn *c, int r) {
        bool ready = c->step == FA_REDIS_READY;

        if (r == -ENOMEM)
                explain(c, "no memory for its replies");
        else if (r == -EMSGSIZE)
                explain(c, "a reply of more than %zu bytes, or an array of more than %d elements",
                        FA_REDIS_REPLY_MAX, FA_REDIS_ELEMENTS_MAX);
        else if (ready)
                explain(c, "protocol error: %s", c->pipe.reader->errstr);
        else if (c->url->password[0] && memmem(c->pipe.first, c->pipe.first_len, "AUTH", 4))
                explain(c, "not a Redis: it sends back what it gets");
        else
                explain(c, "not a Redis: it sent \"%.*s\"", (int)c->pipe.first_len, c->pipe.first);
        down(c, r == -ENOMEM ? r : r == -EPROTO && !ready ? -EINVAL : FAAS_E_UNAVAILABLE);
}

/* Takes what has come of the greeting's answers; afterwards the step may be another. */
static void take_greeting(struct fa_redis_conn *c) {
        struct fa_redis_greeting *g = &c->greeting;
        struct redisReply *reply;
        bool last = false;
        int r = 0;

        while (!last && (r = fa_redis_pipe_reply(&c->pipe, &reply)) == 0 && reply) {
                last = fa_redis_greeted(g, c->url, reply);
                freeReplyObject(reply);
        }
        if (r) {
                break_strange(c, r);
        } else if (last && g->r) {
                explain(c, "%s", g->why);
                down(c, g->r);
        } else if (last) {
                c->step = FA_REDIS_READY;
                c->server = g->server;
                c->ready_ns = c->now_ns;
                c->generation++;
        }
}

/* The socket is of no use any more. */
static void lose(struct fa_redis_conn *c, int r) {
        bool greeting = c->step == FA_REDIS_GREETING;

        /* It may have said why before it closed. */
        if (greeting && c->greeting.r) {
                explain(c, "%s", c->greeting.why);
                r = c->greeting.r;
        } else if (r == -ENOMEM) {
                explain(c, "no memory");
        } else {
                if (r == -ECONNRESET || r == -EPIPE)
                        explain(c, "it closed the connection%s",
                                greeting ? " during the greeting" : "");
                else
                        explain(c, "%s", faas_strerror(r));
                r = FAAS_E_UNAVAILABLE;
        }
        down(c, r);
}

static void exchange(struct fa_redis_conn *c) {
        int w = fa_redis_pipe_write(&c->pipe, c->fd);
        int r = fa_redis_pipe_read(&c->pipe, c->fd);

        if (c->step == FA_REDIS_GREETING)
                take_greeting(c);
        if (c->step == FA_REDIS_DOWN)
                return;
        if (w || r)
                lose(c, w ? w : r);
        else
                watch(c, EPOLLIN | (c->pipe.out_pos < c->pipe.out.len ? EPOLLOUT : 0));
}

void fa_redis_conn_turn(struct fa_redis_conn *c, uint64_t now_ns) {
        c->now_ns = now_ns;
        if (c->step == FA_REDIS_DOWN && now_ns >= c->wake_ns)
                start(c);
        /* A unix socket is there at once. */
        if (c->step == FA_REDIS_CONNECTING)
                check_connect(c);
        if (c->step == FA_REDIS_GREETING || c->step == FA_REDIS_READY)
                exchange(c);
        if (c->step == FA_REDIS_CONNECTING && now_ns >= c->wake_ns) {
                explain(c, "no connection in %d s", (int)(PATIENCE_NS / FA_NS_PER_S));
                try_next(c);
        } else if (c->step == FA_REDIS_GREETING && now_ns >= c->wake_ns) {
                explain(c, "no answer in %d s", (int)(PATIENCE_NS / FA_NS_PER_S));
                down(c, FAAS_E_UNAVAILABLE);
        }
}

struct redisReply *fa_redis_conn_reply(struct fa_redis_conn *c) {
        struct redisReply *reply = NULL;

        if (c->step != FA_REDIS_READY)
                return NULL;
        int r = fa_redis_pipe_reply(&c->pipe, &reply);
        if (r)
                break_strange(c, r);
        return reply;
}

void fa_redis_conn_break(struct fa_redis_conn *c, uint64_t now_ns, int r, const char *why) {
        assert(r != 0 && r != FAAS_E_AGAIN);
        if (c->step == FA_REDIS_DOWN)
                return;
        c->now_ns = now_ns;
        explain(c, "%s", why);
        down(c, r);
}

bool fa_redis_conn_moved(struct fa_redis_conn *c, const char *error_text, uint64_t now_ns) {
        struct fa_redis_moved to;

        if (!fa_redis_moved_of(error_text, &to))
                return false;
        if (c->step == FA_REDIS_DOWN)
                return true;
        /* The same host; what listens on a unix socket is on this machine. */
        if (!to.host[0]) {
                const char *host = c->moved.port ? c->moved.host : c->url->host;
                (void)snprintf(to.host, sizeof(to.host), "%s", *host ? host : "127.0.0.1");
        }
        c->now_ns = now_ns;
        forgive(c);
        explain(c, "slot %u is served by %s port %u", to.slot, to.host, to.port);
        disconnect(c);
        c->r = FAAS_E_UNAVAILABLE;
        change_place(c, &to);
        if (++c->n_moves > MOVES_MAX)
                pause_now(c);
        else
                c->wake_ns = now_ns;
        return true;
}

int fa_redis_conn_new(struct fa_redis_conn **ret, const struct fa_redis_url *url, uint64_t seed) {
        struct fa_redis_conn *c = calloc(1, sizeof(*c));

        if (!c)
                return fa_errno(ENOMEM, "redis %s", url->shown);
        c->epoll = epoll_create1(EPOLL_CLOEXEC);
        if (c->epoll < 0) {
                int error = errno;
                free(c);
                return fa_errno(error, "redis %s: epoll", url->shown);
        }
        c->url = url;
        c->fd = -1;
        c->r = FAAS_E_AGAIN;
        c->random = seed | 1; /* a 0 would stay one */
        c->pause_ns = PAUSE_MIN_NS;
        name_place(c);
        *ret = c;
        return 0;
}

void fa_redis_conn_free(struct fa_redis_conn *c) {
        if (!c)
                return;
        disconnect(c);
        close(c->epoll);
        fa_redis_pipe_deinit(&c->pipe);
        free(c);
}

int fa_redis_conn_fd(const struct fa_redis_conn *c) {
        return c->epoll;
}

uint64_t fa_redis_conn_deadline(const struct fa_redis_conn *c) {
        if (c->step != FA_REDIS_READY)
                return c->wake_ns;
        if (c->pipe.out.failed || (c->pipe.out_pos < c->pipe.out.len && !(c->events & EPOLLOUT)))
                return 0;
        return FA_NEVER;
}

int fa_redis_conn_state(const struct fa_redis_conn *c, const char **ret_why) {
        int r = c->step == FA_REDIS_READY ? 0 : c->r;

        if (ret_why)
                *ret_why = r == 0 || r == FAAS_E_AGAIN ? "" : c->why;
        return r;
}

uint64_t fa_redis_conn_generation(const struct fa_redis_conn *c) {
        return c->generation;
}

const struct fa_redis_server *fa_redis_conn_server(const struct fa_redis_conn *c) {
        return &c->server;
}

struct fa_buf *fa_redis_conn_out(struct fa_redis_conn *c) {
        assert(c->step == FA_REDIS_READY);
        return &c->pipe.out;
}

size_t fa_redis_conn_unsent(const struct fa_redis_conn *c) {
        return c->pipe.out.len - c->pipe.out_pos;
}
