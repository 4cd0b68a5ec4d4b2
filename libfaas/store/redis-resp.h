/* redis-resp.h - commands as bytes, and what error replies mean */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/buf.h"

/*
 * A command is an array of its words: fa_redis_put_array(b, 2), then two fa_redis_put_bulk().  The
 * buffer's error sticks.
 */
void fa_redis_put_array(struct fa_buf *b, size_t n);
void fa_redis_put_bulk(struct fa_buf *b, const void *p, size_t len);
/* The same in three steps: the caller appends the len bytes between the two. */
void fa_redis_begin_bulk(struct fa_buf *b, size_t len);
void fa_redis_end_bulk(struct fa_buf *b);
void fa_redis_put_str(struct fa_buf *b, const char *s);
void fa_redis_put_u64(struct fa_buf *b, uint64_t n); /* its decimal digits */

/*
 * What an error reply says.  A script hands on the error of the command that it called: Redis 7
 * leaves its first word in front, 6.2 wraps it ("ERR Error running script ...: -OOM command not
 * ..."), and missing rights change their words; all are told the same.
 */
enum fa_redis_error {
        FA_REDIS_OTHER, /* also what is no error */
        FA_REDIS_NOSCRIPT,
        FA_REDIS_MOVED,
        FA_REDIS_ASK,
        FA_REDIS_LOADING,
        FA_REDIS_READONLY,
        FA_REDIS_MASTERDOWN,
        FA_REDIS_CLUSTERDOWN,
        FA_REDIS_TRYAGAIN,
        FA_REDIS_NOREPLICAS,
        FA_REDIS_OOM,
        FA_REDIS_MISCONF, /* it cannot write its file and refuses to be written */
        FA_REDIS_NOAUTH,
        FA_REDIS_WRONGPASS,
        FA_REDIS_NOPERM,
        FA_REDIS_WRONGTYPE,
        FA_REDIS_BUSY, /* a script runs that does not end */
        FA_REDIS_EXECABORT,
        FA_REDIS_CROSSSLOT,
        FA_REDIS_MAXCLIENTS,
        _FA_REDIS_ERROR_N
};
enum fa_redis_error fa_redis_error_of(const char *text);

/* The same text without what 6.2 wraps it in: the end of it. */
const char *fa_redis_error_bare(const char *text);

/* "MOVED slot host:port"; host is "" if it is the one that said so.  false: it is not that. */
struct fa_redis_moved {
        char host[256];
        uint16_t port;
        uint16_t slot;
};
bool fa_redis_moved_of(const char *text, struct fa_redis_moved *ret);
