/* memory-private.h - the state of the memory store, shared by its two files */
#pragma once

#include "base/list.h"
#include "base/map.h"
#include "store/memory.h"

#define FA_TOMBS (1u << 16) /* ids remembered after their record went: 1 MiB, touched lazily */
#define FA_TOMB_WAYS 8

/*
 * An id may stand in any of the places of its bucket; the oldest of a full one gives way.  A mark
 * is some bits of the id: with them few ids are looked at that are others.
 */
struct fa_mem_tombs {
        struct {
                uint16_t mark[FA_TOMB_WAYS];
        } buckets[FA_TOMBS / FA_TOMB_WAYS];
        uint8_t next[FA_TOMBS / FA_TOMB_WAYS]; /* the place that is filled next */
        struct faas_id ids[FA_TOMBS / FA_TOMB_WAYS][FA_TOMB_WAYS];
};

struct fa_mem_record {
        struct fa_map_node node; /* the id */
        struct fa_list link; /* open: in its partition, by acceptance; final: in finals, by age */
        uint64_t serial;     /* order of acceptance */
        uint64_t final_at_ns;
        uint64_t partition, client;
        struct fa_fence strike_fence, fence;
        struct fa_spec *spec; /* open: what to run */
        uint64_t spec_hash;   /* final: instead of it */
        struct fa_outcome outcome;
        uint32_t strikes, retries;
        uint32_t size; /* bytes counted for it now */
        uint8_t state;
        uint8_t hinted;
};

struct fa_mem_part {
        struct fa_list link;
        uint64_t partition, owner;
        uint32_t gen;
        struct fa_list records; /* open ones */
};

struct fa_mem_lease {
        struct fa_list link;
        uint64_t epoch, tick, last_seq, process;
        uint64_t before; /* last_seq as it was when it bound again, until all is restored */
        /* The restart of the store after which it bound again, and after which all its state was
         * written again. */
        uint32_t rebound, restored;
        char name[FA_NAME_MAX + 1];
        char endpoint[FA_ENDPOINT_MAX];
};

struct fa_memory {
        struct fa_store_cfg cfg;
        struct fa_map records;
        struct fa_list finals;
        struct fa_list parts, leases;
        struct fa_mem_part
                *last_part; /* most groups touch one partition and one lease: looked up once */
        struct fa_mem_lease *last_lease;
        struct fa_mem_record *loaded; /* the last one that LOAD told, while it is open; or NULL */
        uint64_t n_open, n_final, open_bytes, final_bytes, serial;
        uint64_t last_epoch;
        uint64_t tick, tick_at_ns;
        uint32_t restarts;
        bool renew_all;                /* the first tick after a restart renews every lease */
        struct fa_mem_tombs *tombs[2]; /* this minute's and the one before */
        uint64_t tombs_at_ns;
};

struct fa_mem_part *fa_mem_part_find(struct fa_memory *m, uint64_t partition);
struct fa_mem_lease *fa_mem_lease_find(struct fa_memory *m, uint64_t epoch);

/* The group's guard, as struct fa_group.r has it; *ret_repeat: it ran before. */
int fa_mem_guard(struct fa_memory *m, struct fa_group *g, bool *ret_repeat);

/* The operations on epochs, leases and partitions. */
void fa_mem_start(struct fa_memory *m, struct fa_op *op, uint64_t now_ns);
void fa_mem_rebind(struct fa_memory *m, struct fa_group *g, struct fa_op *op);
void fa_mem_tick(struct fa_memory *m, struct fa_group *g, struct fa_op *op, uint64_t now_ns);
void fa_mem_take(struct fa_memory *m, struct fa_group *g, struct fa_op *op);
void fa_mem_drop(struct fa_memory *m, struct fa_group *g, struct fa_op *op);
void fa_mem_lease_deinit(struct fa_memory *m);
