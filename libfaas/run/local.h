/*
 * local.h - everything behind "local:" in one process: client, dispatcher, worker, store and slots
 *
 * The three machines of core/ speak the same messages as over a network, handed over as they are,
 * without encoding.  The caller steps it; between the steps only the slots work.  There is no beat
 * and no lease: who lives in one process cannot be out of reach, and what lack of memory lost on
 * the way is found by counting (see local.c).
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "core/cli.h"
#include "exec/slots.h"

struct fa_local;

struct fa_local_cfg {
        struct fa_slots_cfg slots;
        uint32_t window_tasks;
        uint64_t window_bytes;
        uint64_t queue_tasks;
        uint64_t queue_bytes;
        uint64_t result_ttl_ns;
};

/* As fa_slots_open(); the store's and the machines' lack of memory too. */
int fa_local_open(struct fa_local **ret, const struct fa_local_cfg *cfg, uint64_t now_ns);

/*
 * NULL is fine; returns NULL.  Kills the slots and waits for their end; in a child of the process
 * that opened it only the memory and the descriptors go, and the parent's slots stay.
 */
struct fa_local *fa_local_close(struct fa_local *l);

/*
 * One turn: reads a bounded number of the slots' events and carries messages until nothing moves.
 * 0; FAAS_E_AGAIN: there is more to read, call again soon; < 0: broken (no slots can be had).
 */
int fa_local_turn(struct fa_local *l, uint64_t now_ns);

/* The client machine: submit, take and ask there, then take a turn. */
struct fa_cli *fa_local_cli(struct fa_local *l);

/* Readable when a turn has something to read; and when one is due although it is not. */
int fa_local_fd(struct fa_local *l);
uint64_t fa_local_deadline(const struct fa_local *l);
void fa_local_wait(struct fa_local *l, int timeout_ms); /* sleeps until then, or as the fd says */

/* For messages and tests: what can be run, and by whom. */
const struct fa_slots *fa_local_slots(const struct fa_local *l);
