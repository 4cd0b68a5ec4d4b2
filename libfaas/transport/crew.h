/*
 * crew.h - the worker machine (core/work.h) with its pool of slots (exec/slots.h)
 *
 * Carries the machine's wishes to the slots and the slots' events to the machine.  Its owner
 * (transport/local.c, run/worker.c, run/local.c) carries the messages.
 */
#pragma once

#include <stdint.h>

#include "core/work.h"
#include "exec/slots.h"

struct fa_crew;

struct fa_crew_cfg {
        struct fa_slots_cfg slots;
        uint64_t retry_ns; /* as fa_work_cfg */
        const char *name;  /* told in HELLO; borrowed for the call; NULL: "" */
};

/* As fa_slots_open(). */
int fa_crew_open(struct fa_crew **ret, const struct fa_crew_cfg *cfg);
/* NULL is fine; returns NULL.  Kills the slots; in a fork of the opener only memory and fds go. */
struct fa_crew *fa_crew_close(struct fa_crew *c);

struct fa_work *fa_crew_work(struct fa_crew *c); /* to connect, drain, look, and for its outbox */
const struct fa_slots *fa_crew_slots(const struct fa_crew *c);

/* Reads a bounded number of the slots' events. 0; FAAS_E_AGAIN there may be more; < 0: no slots can
 * be had any more. */
int fa_crew_read(struct fa_crew *c, uint64_t now_ns);

/* A message or the like for the machine, and what it then wants of the slots. */
void fa_crew_input(struct fa_crew *c, const struct fa_event *ev, uint64_t now_ns);
bool fa_crew_drain(struct fa_crew *c, uint64_t now_ns); /* fa_work_drain() */

/* When due: fa_crew_deadline(). */
void fa_crew_tick(struct fa_crew *c, uint64_t now_ns);
uint64_t fa_crew_deadline(const struct fa_crew *c); /* machine's and slots' */

/* Writes to the slots what gathered. */
void fa_crew_flush(struct fa_crew *c);
int fa_crew_fd(struct fa_crew *c);
void fa_crew_wait(struct fa_crew *c, int timeout_ms); /* as fa_slots_wait() */
