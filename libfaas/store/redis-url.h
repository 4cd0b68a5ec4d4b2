/* redis-url.h - where a Redis is, who we are there, and the name that all keys carry */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#define FA_REDIS_HOST_MAX 255
#define FA_REDIS_PATH_MAX 107 /* what fits a unix socket's address */
#define FA_REDIS_USER_MAX 255
#define FA_REDIS_PASSWORD_MAX 2047 /* managed services give tokens of more than 1 kB */
#define FA_REDIS_PREFIX_MAX 64

struct fa_redis_url {
        char host[FA_REDIS_HOST_MAX + 1]; /* name or address, IPv6 without brackets; "": path */
        char path[FA_REDIS_PATH_MAX + 1]; /* of a unix socket; "": host */
        char user[FA_REDIS_USER_MAX + 1]; /* "": Redis's own "default" */
        char password[FA_REDIS_PASSWORD_MAX + 1]; /* "": none */
        char prefix[FA_REDIS_PREFIX_MAX + 1];     /* the hash tag {prefix} of all keys */
        uint16_t port;
        uint32_t db;
        char shown[FA_REDIS_HOST_MAX + 32]; /* for messages: host:port/db or path?db=N, no secret */
};

/*
 *   redis://[[user]:password@]host[:port][/db][?key=value[&key=value]]
 *   redis+unix://[[user]:password@]/path/to.sock[?key=value[&key=value]]
 *
 * with the keys db, prefix, user, password, each once and not also elsewhere.  %XX is decoded but
 * in host and numbers; an IPv6 address stands in brackets.  Defaults: port 6379, db 0, prefix
 * "faas".  A prefix is 1 to 64 of [A-Za-z0-9._-].
 *
 * 0; -EINVAL with a text of fa_error() that never shows any part of a password; *ret is untouched
 * on failure.
 */
int fa_redis_url_parse(struct fa_redis_url *ret, const char *url);

/* Forgets the password.  Legal on {0}. */
void fa_redis_url_deinit(struct fa_redis_url *u);

/* Can this be a host's name or address, without brackets? */
bool fa_redis_host_ok(const char *host);
