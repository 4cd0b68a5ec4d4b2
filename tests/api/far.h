/*
 * far.h - dispatchers and workers for the tests of a client that has none of its own
 *
 * Over ipc and tcp each is a process, so that it can be killed; over inproc each is a thread of the
 * test.  All are gone when the test is.
 */
#pragma once

#include <pthread.h>
#include <stdbool.h>
#include <sys/types.h>

#include <faas/faas.h>

/* One dispatcher or worker. */
struct far_end {
        pid_t pid;                    /* a process; 0: none */
        struct faas_dispatcher *disp; /* or a thread with one of these two */
        struct faas_worker *worker;
        pthread_t thread;
        int stop_fd; /* closing it ends the thread */
};

/* A dispatcher and its worker. */
struct far {
        char url[200];
        bool threads;
        struct far_end disp, worker;
};

extern const char *const far_schemes[]; /* "inproc", "ipc", "tcp", NULL */

/* A place for a dispatcher, which is not there yet; not for tcp. */
void far_place(struct far *f, const char *scheme);
/* Starts one there, or anywhere if there is no place yet; cfg: NULL, or more options. */
void far_dispatcher(struct far *f, const char *scheme, const struct faas_dispatcher_cfg *cfg);
/* A worker with fn_table. */
void far_worker(struct far *f, unsigned n_slots);
/* Both, with two slots. */
void far_start(struct far *f, const char *scheme);

void far_kill(struct far_end *e);  /* a process */
void far_pause(struct far_end *e); /* SIGSTOP */
void far_resume(struct far_end *e);
void far_end(struct far *f); /* ends what is left */

/* A client of url.  Fails the test if it cannot be had. */
struct faas_client *far_open(const char *url, const struct faas_client_cfg *cfg);
