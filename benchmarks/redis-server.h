/*
 * redis-server.h - a redis-server of a benchmark's own, on a unix socket in a directory of its
 * own, and what it says of itself
 */
#ifndef BENCH_REDIS_SERVER_H
#define BENCH_REDIS_SERVER_H

#include <sys/types.h>

struct redis_server {
        pid_t pid;
        char dir[64];     /* of its files */
        char own_dir[64]; /* of redis_server_new(); else "" */
        char url[160];    /* redis+unix://... */
        char socket[96];
};

/*
 * Starts one and waits until it answers.  It writes an append-only file, and takes 6 GiB at most.
 * fsync: "everysec", "always", "no".  0; -1: a message was printed.
 */
int redis_server_start(struct redis_server *r, const char *dir, const char *fsync);

/* The same in a temporary directory, everything of which ends with redis_server_kill(). */
int redis_server_new(struct redis_server *r, const char *fsync);

/* Ends it, by SIGKILL if it does not go at SIGTERM, and reaps it; nothing for one that was not
 * started. */
void redis_server_kill(struct redis_server *r);

/* A number of INFO, like "used_memory". 0; -1: it does not answer, or has no such number. */
int redis_server_info(const struct redis_server *r, const char *name, unsigned long long *ret);

#endif
