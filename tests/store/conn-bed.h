/* conn-bed.h - a connection that its test drives, and a server that is no Redis */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "store/redis-conn.h"
#include "th.h"

#define CB_MS 20000 /* a loaded machine */

struct conn_bed {
        struct fa_redis_url url;
        struct fa_redis_conn *c;
        int64_t live; /* allocations before */
        int n_fds;
};

/* Nothing is connected yet.  cb_close() fails the test if memory or an fd has leaked. */
void cb_open(struct conn_bed *b, const char *url, ...) __attribute__((format(printf, 2, 3)));
void cb_close(struct conn_bed *b);

/* Turns and polls until done, which is asked after each turn; fails the test if that never comes.
 */
void cb_drive(struct conn_bed *b, bool (*done)(struct conn_bed *b));
void cb_ready(struct conn_bed *b);

/* Ready and asked something: the words of a line. */
void cb_send(struct conn_bed *b, const char *line);
struct redisReply *cb_reply(struct conn_bed *b); /* waits */
struct redisReply *cb_ask(struct conn_bed *b, const char *line);
void cb_expect(struct conn_bed *b, const char *line, const char *text); /* status or string */

/* Turns until the state is r; its reason must contain the text. */
void cb_state(struct conn_bed *b, int r, const char *text);

/* One that accepts when the test says so. */
struct fake {
        int listener, fd;
        int port; /* of 127.0.0.1; 0: it has a path */
        char path[108];
};
void fake_open(struct fake *f);
void fake_open_tcp(struct fake *f);
void fake_close(struct fake *f);
void fake_accept(struct fake *f); /* the next connection; the one before is closed */
void fake_hang_up(struct fake *f);
void fake_say(struct fake *f, const char *text);

/* What a Redis of this version says to a greeting without password and database. */
#define GREETING_INFO(version, more)                                                               \
        "redis_version:" version "\r\nrun_id:0123456789012345678901234567890123456789\r\n" more
void fake_greet(struct fake *f, const char *info);
