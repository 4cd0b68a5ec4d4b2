/*
 * redis-bed.h - a Redis store on a real server, driven by its test: in virtual or in real time
 *
 * A test's server is one for all its stores; each of these has a prefix of its own.  What the test
 * itself asks of the server goes over a connection of its own, by rb_do().
 */
#pragma once

#include <hiredis/hiredis.h>

#include "conformance.h"
#include "store/redis.h"
#include "th.h"

#define RB_MS 20000 /* a loaded machine */

extern struct th_redis rb_server;

/* More arguments of the server, NULL at the end; set before the first store is opened. */
extern const char *const *rb_server_args;
extern bool rb_append_only; /* always */

/* Of the store opened last: "t0", "t1" ... */
const char *rb_prefix(void);

void rb_start(void);   /* the server, if it does not run; a killed one with what it has on disk */
void rb_restart(void); /* kills it as a power cut would, and starts it again */

/* The answer of the server; the test fails if there is none, or if it is an error. */
redisReply *rb_ask(const char *fmt, ...);
void rb_do(const char *fmt, ...);
long long rb_int(const char *fmt, ...);                     /* a number, or text that is one */
void rb_text(char *ret, size_t size, const char *fmt, ...); /* a string, "" for nil */
void rb_hang_up(void);                                      /* the next rb_ask() connects again */

/* Virtual time, for the suite of all stores: "not now" is an answer. */
void rb_virtual_open(struct bed *b, const struct fa_store_cfg *cfg);
void rb_close(struct bed *b);
struct fa_group *rb_virtual_drive(struct bed *b);
void rb_virtual_advance(struct bed *b, uint64_t ns);
void rb_virtual_restart(struct bed *b);
#define RB_VIRTUAL                                                                                 \
        {                                                                                          \
                .open = rb_virtual_open, .close = rb_close, .drive = rb_virtual_drive,             \
                .advance = rb_virtual_advance, .restart = rb_virtual_restart,                      \
        }

/* Real time, as the dispatcher has it. */
void rb_open(struct bed *b, const struct fa_store_cfg *cfg);
struct fa_group *rb_drive(struct bed *b);
#define RB_REAL                                                                                    \
        { .open = rb_open, .close = rb_close, .drive = rb_drive, }

/* Opens with this URL, and waits for nothing. */
void rb_open_url(struct bed *b, const struct fa_store_cfg *cfg, const char *url);

/* Turns until the store's state is r, with a reason in which the text is; or done(arg). */
void rb_state(struct bed *b, int r, const char *text);
void rb_until(struct bed *b, bool (*done)(struct bed *b, void *arg), void *arg);

/* For rb_until(): the store says that the server was started again. */
bool rb_lost(struct bed *b, void *arg);

/*
 * As the dispatcher does it then: REBIND, behind the last group whose answer it has, then DONE.
 * Nothing was lost.
 */
void rb_bind_again(struct ep *e, uint64_t cursor);

/*
 * Counts all that is stored again, and compares it with the counters, and the journals and logs
 * with the records; the test fails where they differ.
 */
void rb_books(const char *prefix);
