/*
 * zpeers.h - the peers of a ROUTER: by number, by the descriptor of their connection, and who is
 * gone
 *
 * Data and bookkeeping; who probes and tells is zmq.c.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/list.h"
#include "base/map.h"

#define FA_ZPEER_PROBES 6 /* after 0, 1, 3, 7, 15 and 31 ms: then it is believed to live */

enum fa_zpeer_state {
        FA_ZPEER_LIVES,
        FA_ZPEER_GONE, /* to be told, after what it still said */
        FA_ZPEER_TOLD  /* what it still said is dropped */
};

struct fa_zpeer {
        struct fa_map_node node;
        struct fa_list link; /* in .near, .suspects, .gone or .told, or in none */
        struct fa_zpeer *next_fd;
        uint64_t number;
        uint64_t gone_ns;  /* when it was found gone */
        uint64_t probe_ns; /* when the next probe is due, if a suspect */
        unsigned probes;   /* so many were sent since its connection broke */
        int fd;            /* -1: none, it is in this process */
        enum fa_zpeer_state state;
};

struct fa_zpeers {
        struct fa_map map;
        struct fa_zpeer **by_fd; /* first of a chain */
        size_t n_fd;
        struct fa_list near;     /* of struct fa_zpeer: inside this process */
        struct fa_list suspects; /* of struct fa_zpeer: their connection broke, or another's */
        struct fa_list gone, told;
};

void fa_zpeers_init(struct fa_zpeers *p);
void fa_zpeers_deinit(struct fa_zpeers *p); /* legal on a zeroed one */

struct fa_zpeer *fa_zpeers_find(const struct fa_zpeers *p, uint64_t number); /* or NULL */

/* 0; FAAS_E_LIMIT FA_PEERS_MAX are there; -ENOMEM. */
int fa_zpeers_add(struct fa_zpeers *p, uint64_t number, int fd, uint64_t now_ns);

/* All living peers known under this descriptor become suspects, to be probed at once. */
void fa_zpeers_suspect(struct fa_zpeers *p, int fd, uint64_t now_ns);

void fa_zpeers_clear(struct fa_zpeers *p, struct fa_zpeer *peer); /* it is no suspect any more */
void fa_zpeers_lost(struct fa_zpeers *p, struct fa_zpeer *peer, uint64_t now_ns); /* it is gone */

/* The one to be told next, or NULL; and that it was. */
struct fa_zpeer *fa_zpeers_gone(const struct fa_zpeers *p);
void fa_zpeers_told(struct fa_zpeers *p, struct fa_zpeer *peer);

/* Nothing can come any more from those that were told. */
void fa_zpeers_forget(struct fa_zpeers *p);
