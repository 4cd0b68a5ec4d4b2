/*
 * th.h - what tests share: conditions to wait for, fds, processes, temporary directories, a Redis
 *
 * Nothing here returns an error: what cannot be had fails the test that asked for it, by name.  A
 * test's process is its own (Criterion forks), so what is "removed at exit" goes with the test.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/*
 * Asks done(arg) again and again until it says true, or the time is over: then false.  For
 * conditions that have no fd; never sleep for a time that "should be enough".
 */
bool th_until(bool (*done)(void *arg), void *arg, int timeout_ms);

/* The number of this process's open file descriptors: the same before and after, or one leaked. */
int th_count_fds(void);

/* A new empty directory, absolute, short enough for a unix socket; removed at exit with its
 * content. */
const char *th_temp_dir(void);

/*
 * Starts a program (looked up in PATH; argv ends with NULL) with its standard output on out_fd, or
 * on ours if that is -1.  It is killed at exit, by its pid, and dies with the test if that crashes.
 */
pid_t th_spawn(const char *const argv[], int out_fd);

/* Waits for the end of what th_spawn() started, and fails the test if it does not come in time. */
int th_wait(pid_t pid, int timeout_ms); /* status as waitpid() gives it */

/* Kills with SIGKILL and waits. */
void th_kill(pid_t pid);

/* Waits until a process, anybody's child, has ended (a zombie has); false if it does not in time.
 */
bool th_gone(pid_t pid, int timeout_ms);

/* A number of /proc/PID/status, in kB: key "VmRSS:" and the like. */
long th_status_kb(pid_t pid, const char *key);

/* A redis-server of the test's own, on a unix socket, and on a port of 127.0.0.1 if one is set. */
struct th_redis {
        pid_t pid;
        int port; /* 0: none */
        char dir[64];
        char socket[96];
        bool append_only;
};

/*
 * Starts it, with what is in its directory if it ran before, and returns when it answers.  Start
 * from {0}; append_only: keep the data over a kill.
 */
void th_redis_start(struct th_redis *r, bool append_only);

/*
 * With more arguments, "--name", "value", ..., NULL, which win over those that it has anyway.  It
 * answers when it asks for a password, too.
 */
void th_redis_start_with(struct th_redis *r, bool append_only, const char *const extra[]);

/* A port of 127.0.0.1 that nobody listens on, for a server that cannot choose one itself. */
int th_free_port(void);

/* Kills it as a power cut would. */
void th_redis_kill(struct th_redis *r);

/* Stops it as a machine that hangs; its sockets stay, and the kernel accepts for it.  Goes on. */
void th_redis_stop(struct th_redis *r);
void th_redis_cont(struct th_redis *r);
