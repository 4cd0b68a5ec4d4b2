/*
 * memory.h - the memory store's inside, for the simulation: one state that several dispatchers
 * share
 */
#pragma once

#include "store/store.h"

struct fa_memory;

int fa_memory_new(struct fa_memory **ret, const struct fa_store_cfg *cfg);
struct fa_memory *fa_memory_free(struct fa_memory *m); /* NULL is fine; returns NULL */

/* Runs a group now and fills in its answers. */
void fa_memory_run(struct fa_memory *m, struct fa_group *g, uint64_t now_ns);

/* Expires results. Cheap when nothing is due. */
void fa_memory_tick(struct fa_memory *m, uint64_t now_ns);
uint64_t fa_memory_deadline(const struct fa_memory *m);

/* The state behind a store that fa_store_open() made from "memory:". */
struct fa_memory *fa_memory_of(struct fa_store *s);

/* The store process was restarted: the leases count anew from the next TICK. */
void fa_memory_restarted(struct fa_memory *m);

/* For checks: a record's state, FA_STATE_NOT_FOUND or FA_STATE_GONE; its owner's view in *ret if
 * not NULL. */
uint8_t fa_memory_peek(const struct fa_memory *m, const struct faas_id *id, struct fa_record *ret);

/* For checks: who owns a partition (0: nobody), and how many ticks ago an epoch's lease was renewed
 * (UINT64_MAX: it has none). */
uint64_t fa_memory_owner(struct fa_memory *m, uint64_t partition);
uint64_t fa_memory_lease_age(struct fa_memory *m, uint64_t epoch);

/* For checks: open tasks, final ones, and the bytes of both. */
void fa_memory_count(const struct fa_memory *m,
                     uint64_t *ret_open,
                     uint64_t *ret_final,
                     uint64_t *ret_bytes);
