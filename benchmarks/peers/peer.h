/*
 * peer.h - what the C programs of this comparison share: options, clocks, and the one JSON line
 *
 * Each program is the client of one system, and its worker, too, where that system has none of its
 * own:
 *
 *   PROGRAM --connect ADDRESS --one SECONDS                   one task in flight
 *   PROGRAM --connect ADDRESS --many SECONDS --in-flight K    K tasks in flight
 *   PROGRAM --connect ADDRESS --sleep US --tasks N --in-flight K
 *   PROGRAM --work ADDRESS                                    a worker, until it is killed
 *
 * A task is 16 bytes that come back, or a sleep.  A result that is not what was sent ends the
 * program.
 */
#ifndef PEER_H
#define PEER_H

#include <stddef.h>

#define PEER_BYTES 16

struct peer_task {
        const char *function; /* "echo", "sleep" */
        const char *payload;  /* "sleep": seconds, as text */
        size_t len;
        unsigned sleep_us; /* 0: echo */
};

/* All return 0, or print a message and return another number. */
struct peer {
        const char *name;
        int (*open)(const char *address);
        int (*one)(const struct peer_task *task);
        /* n tasks, no more than in_flight of them at a time; returns when the last result is here.
         */
        int (*many)(const struct peer_task *task, unsigned n, unsigned in_flight);
        void (*close)(void);
        int (*work)(const char *address); /* NULL: the system has workers of its own */
        int sleeps;                       /* its workers know "sleep", too */
};

int peer_main(int argc, char **argv, const struct peer *peer);

/* The message "NAME: what: why". Returns 1. */
int peer_fail(const char *what, const char *why);

/* Is this what the task gives? An echo gives its payload, a sleep whatever it likes. */
int peer_right(const struct peer_task *task, const void *result, size_t len);

/* A worker's part: what it is asked to do; waits if that is to sleep. */
void peer_sleep(const void *payload, size_t len);

/* A TCP or unix socket ("unix:PATH", "HOST:PORT"), connected. -1: a message was printed. */
int peer_dial(const char *address);

#endif
