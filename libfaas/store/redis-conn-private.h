/* redis-conn-private.h - what the files of the connection share */
#pragma once

#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "store/redis-conn.h"

#define FA_REDIS_ADDRS_MAX 8 /* that a name may have */
#define FA_REDIS_WHY_SIZE 400

struct fa_redis_addr {
        union {
                struct sockaddr any;
                struct sockaddr_in6 in6;
                struct sockaddr_in in;
                struct sockaddr_un un;
        };
        socklen_t len;
};

enum fa_redis_step {
        FA_REDIS_DOWN,       /* until wake_ns */
        FA_REDIS_CONNECTING, /* the socket is on its way */
        FA_REDIS_GREETING,   /* the greeting is sent, some replies are still to come */
        FA_REDIS_READY,
};

struct fa_redis_greeting {
        unsigned i;                    /* replies seen; which commands were sent is the URL's */
        int r;                         /* the first refusal */
        char why[FA_REDIS_WHY_SIZE];   /* its reason */
        struct fa_redis_server server; /* what was told so far */
        bool loading, replica, selected_not; /* SELECT failed: in a cluster for another reason */
};

/* Of one reply: hiredis allocates as many places as a reply says that an array has. */
#define FA_REDIS_ELEMENTS_MAX (1 << 20)
#define FA_REDIS_REPLY_MAX ((size_t)1 << 30) /* bytes */

struct fa_redis_pipe {
        redisReader *reader; /* NULL: not connected */
        redisReplyObjectFunctions fns;
        void *(*create_array)(const redisReadTask *task, int n); /* hiredis's own */
        bool exceeded;                                           /* ELEMENTS_MAX */
        size_t reply_len; /* bytes of the reply that the reader has not completed */
        struct fa_buf in; /* received, not yet given to the reader */
        size_t in_pos;
        struct fa_buf out;
        size_t out_pos; /* sent so far */
        char first[48]; /* what came first on this connection */
        size_t first_len;
};

struct fa_redis_conn {
        const struct fa_redis_url *url;
        int epoll, fd; /* fd: -1 while down */
        uint32_t events;
        enum fa_redis_step step;
        uint64_t now_ns;   /* of the last turn */
        uint64_t wake_ns;  /* the end of the pause, or of our patience with connect and greeting */
        uint64_t ready_ns; /* since when it is ready */
        uint64_t pause_ns, random;

        /* Where to: the addresses of the URL, or of the node that MOVED named. */
        struct fa_redis_addr addrs[FA_REDIS_ADDRS_MAX];
        size_t n_addrs, addr_i;
        uint64_t lookup_ns;          /* a name is not looked up again before */
        bool doubtful;               /* something failed since the last look-up */
        struct fa_redis_moved moved; /* port 0: the URL's place */
        unsigned n_moves;            /* since it was last ready for a while */
        char where[sizeof(((struct fa_redis_url *)0)->shown)];

        struct fa_redis_pipe pipe;
        struct fa_redis_greeting greeting;
        struct fa_redis_server server;
        uint64_t generation;
        int r; /* of the last failure */
        char why[FA_REDIS_WHY_SIZE + 300];
};

/* redis-sock.c: the only calls that make sockets.  0 or -errno. */
bool fa_redis_is_address(const char *host);
/* Fills addrs; NULL, or what is wrong, and then nothing changed.  May block: names are looked up.
 */
const char *
fa_redis_resolve(struct fa_redis_addr *addrs, size_t *ret_n, const char *host, uint16_t port);
void fa_redis_unix(struct fa_redis_addr *ret, const char *path);
/* A socket on its way; it may be there already. */
int fa_redis_connect(int *ret_fd, const struct fa_redis_addr *to);
/* What became of it: 0, -EINPROGRESS, or why not. */
int fa_redis_connected(int fd);

/* redis-pipe.c */
int fa_redis_pipe_start(struct fa_redis_pipe *p);  /* of a new connection; 0 or -ENOMEM */
void fa_redis_pipe_reset(struct fa_redis_pipe *p); /* forgets what is on the way */
void fa_redis_pipe_deinit(struct fa_redis_pipe *p);
/* What the kernel takes, and a bounded part of what it has.  0, or why the connection is lost:
 * -ECONNRESET also if the other side has closed it. */
int fa_redis_pipe_write(struct fa_redis_pipe *p, int fd);
int fa_redis_pipe_read(struct fa_redis_pipe *p, int fd);
/* The next reply, or NULL if none is complete.  0, or why the connection is of no use: -EPROTO,
 * -EMSGSIZE over a limit, -ENOMEM. */
int fa_redis_pipe_reply(struct fa_redis_pipe *p, struct redisReply **ret);

/* redis-greet.c */
void fa_redis_greet(struct fa_redis_greeting *g,
                    const struct fa_redis_url *url,
                    struct fa_buf *out);
/* One reply.  true: it was the last one, and g->r tells how it went. */
bool fa_redis_greeted(struct fa_redis_greeting *g,
                      const struct fa_redis_url *url,
                      const struct redisReply *reply);
