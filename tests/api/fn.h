/*
 * fn.h - functions that the tests of the client run in slots, and short ways to run them
 *
 * Whoever must know that a task runs, or must keep it from ending, uses "gate": it reads a FIFO to
 * its end, and the test holds the other end.
 */
#pragma once

#include <faas/faas.h>

extern const struct faas_function fn_table[];

/* A client of n slots with the functions above; fails the test if it cannot be had. */
struct faas_client *fn_open(unsigned n_slots, const struct faas_client_cfg *cfg);

/* Submits, fails the test if it is not accepted. */
struct faas_id fn_submit(struct faas_client *c, const char *function, const char *payload);

/* Submits and waits for the end. */
void fn_run(struct faas_client *c,
            const char *function,
            const char *payload,
            struct faas_result *ret);

/* The next call works: "upper" of "next" gives "NEXT". */
void fn_works(struct faas_client *c);

/* A FIFO for "gate"; its path is the payload. */
struct fn_gate {
        char path[128];
        int fd;
        struct faas_client *client;
};
void fn_gate_make(struct fn_gate *g, const char *name);
/* Processes the client until a task reads the gate. */
void fn_gate_reached(struct fn_gate *g, struct faas_client *c);
/* Lets the task go on, after it has come. */
void fn_gate_open(struct fn_gate *g, struct faas_client *c);
