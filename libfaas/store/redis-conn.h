/*
 * redis-conn.h - one connection to a Redis, as a state machine that its owner drives
 *
 * It connects, greets, and comes back by itself with growing pauses; nothing here blocks, but for
 * the look-up of a host's *name* (not of an address), which getaddrinfo() does at the first connect
 * and, after failures, at most every 5 s.
 *
 * The owner polls fa_redis_conn_fd() until fa_redis_conn_deadline(), calls fa_redis_conn_turn(),
 * looks whether the generation is still the one that it knows, takes replies until there is none,
 * appends commands, and so on.  Replies come in the order of the commands of this generation.  When
 * the connection breaks, what was not answered is forgotten, on both ways: the owner sends again
 * what it still wants once it is ready again.
 */
#pragma once

#include <hiredis/hiredis.h>

#include "base/buf.h"
#include "store/redis-resp.h"
#include "store/redis-url.h"

enum fa_redis_fsync {
        FA_REDIS_FSYNC_UNKNOWN, /* it does not tell: a managed service, or no right to ask */
        FA_REDIS_FSYNC_ALWAYS,
        FA_REDIS_FSYNC_EVERYSEC,
        FA_REDIS_FSYNC_NO,
};

/* What it told in the greeting. */
struct fa_redis_server {
        char run_id[41];   /* another one: it was started again */
        char text[32];     /* its version as it writes it */
        unsigned version;  /* major << 16 | minor << 8 | patch; Valkey's is that of its Redis */
        bool cluster;      /* one node of several: expect MOVED */
        bool evicts_known; /* it told the next one */
        bool evicts;       /* it may drop keys when its memory is full */
        bool append_known; /* it told the next one */
        bool append_only;  /* it keeps a journal, written to disk as fsync says */
        enum fa_redis_fsync fsync; /* also told when append_only is not set */
};

struct fa_redis_conn;

/*
 * The URL is borrowed for its life; seed: random, for the pauses.  Nothing is connected before the
 * first turn, which is due at once.  0; -ENOMEM, -EMFILE and the like, with fa_error().
 */
int fa_redis_conn_new(struct fa_redis_conn **ret, const struct fa_redis_url *url, uint64_t seed);
void fa_redis_conn_free(struct fa_redis_conn *c); /* NULL is fine */

/* To poll for reading; the same for its whole life. */
int fa_redis_conn_fd(const struct fa_redis_conn *c);
/* When a turn is due even if the fd is quiet: at once (0) when there is output to write. */
uint64_t fa_redis_conn_deadline(const struct fa_redis_conn *c);
void fa_redis_conn_turn(struct fa_redis_conn *c, uint64_t now_ns);

/*
 * 0: ready.  FAAS_E_AGAIN: not yet, and nothing failed so far.  FAAS_E_UNAVAILABLE: it is not
 * there, loads its data, is a replica, broke the connection.  -EACCES: password or rights.
 * -EINVAL: no such database, or no Redis at all.  FAAS_E_VERSION: older than 6.2.  -ENOMEM.  In
 * each case it is tried again.  *ret_why (which may be NULL) becomes a line that names the server,
 * "" for the first two; it is the connection's, and good until the next call but const ones.
 */
int fa_redis_conn_state(const struct fa_redis_conn *c, const char **ret_why);

/* How often it was ready so far: another number means another connection. */
uint64_t fa_redis_conn_generation(const struct fa_redis_conn *c);

/* The server of the last greeting that succeeded. */
const struct fa_redis_server *fa_redis_conn_server(const struct fa_redis_conn *c);

/*
 * Where whole commands are appended, and nothing else is done to it; only while it is ready.
 * Written by the next turn.
 */
struct fa_buf *fa_redis_conn_out(struct fa_redis_conn *c);
/* Bytes of it that the kernel has not taken yet. */
size_t fa_redis_conn_unsent(const struct fa_redis_conn *c);

/*
 * The next reply, for freeReplyObject(); NULL: none now.  An owner that leaves replies there is
 * read from no further.  A breach of the protocol, which shows here, breaks the connection.
 */
struct redisReply *fa_redis_conn_reply(struct fa_redis_conn *c);

/*
 * The owner gives the connection up, for a reply such as LOADING: state and reason are then these,
 * with the server's name in front, and it comes back after a pause.
 */
void fa_redis_conn_break(struct fa_redis_conn *c, uint64_t now_ns, int r, const char *why);

/*
 * Goes where a MOVED error says, at once, or after a pause if that happens again and again; false,
 * and nothing happens: the text is none.  If that place fails later, it goes back to its URL's.
 */
bool fa_redis_conn_moved(struct fa_redis_conn *c, const char *error_text, uint64_t now_ns);
