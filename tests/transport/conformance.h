/*
 * conformance.h - the suite that every transport passes unchanged
 *
 * A transport names itself in one file that defines bed_under_test (test-push-tcp.c); linked with
 * the conform-*.c files that apply, which know nothing of it, that is its test:
 *
 *     conform-listen.c   a LISTEN end alone: every transport
 *     conform-pair.c     both ends: every transport that peers connect to
 *     conform-remote.c   ends in different processes, that come and go: if it has addresses
 */
#pragma once

#include <criterion/criterion.h>

#include <faas/error.h>
#include <faas/transport.h>

#include "base/clock.h"
#include "base/list.h"
#include "th.h"
#include "transport/transport.h"
#include "wire/msg.h"

struct bed_ops {
        /* The transport; NULL: the one registered by start(). */
        const struct faas_transport_ops *ops;

        /* Writes an address of its own into ret; dir is an empty directory of this test's. */
        void (*address)(char *ret, size_t size, const char *dir);

        /* What a LISTEN end is told beyond that; NULL: nothing. */
        void (*configure)(struct faas_transport_cfg *cfg);

        int socket_type; /* of its address, for who is no peer: SOCK_STREAM */
};

extern const struct bed_ops bed_under_test;

#define ENDS_MAX 8
#define WAIT_MS 20000 /* for what must come: only a failing test waits so long */

/* One end, and what it brought so far. */
struct end {
        struct faas_transport *t;
        enum faas_transport_end kind;
        struct fa_list events; /* of struct got */
};

/* An event, with its bytes. */
struct got {
        struct fa_list link;
        enum faas_transport_event_kind kind;
        uint64_t peer;
        struct fa_frames frames;
};

struct bed {
        const struct bed_ops *ops;
        const struct faas_transport_ops *row;
        const char *dir;
        char url[512]; /* where far ends connect */
        struct end *near;
        struct end *ends[ENDS_MAX]; /* near among them */
        int fds;
        int64_t live;
};

void bed_open(struct bed *b);  /* with a LISTEN end */
void bed_close(struct bed *b); /* all ends; asserts that nothing is left behind */

int bed_try_listen(struct bed *b, const char *url, struct faas_transport **ret);
void bed_listen(struct bed *b); /* again, at b->url */
struct end *bed_connect(struct bed *b);
void bed_end(struct bed *b, struct end *e);

/* As bed_connect(), and waits until it is UP, says hello, and returns its number at the near end.
 */
struct end *bed_meet(struct bed *b, uint64_t *ret_peer);

/* All ends read what they have; true if there was anything. */
bool bed_pump(struct bed *b);

/* Waits for the next event of this end, as its fd and deadline say; to be given to got_free(). */
struct got *bed_next(struct bed *b, struct end *e);
struct got *bed_expect(struct bed *b, struct end *e, enum faas_transport_event_kind kind);
void got_free(struct got *g);

/* Has it an event, now? */
bool end_has(const struct end *e);

/* Is its fd readable, or its deadline over? */
bool end_calls(const struct bed *b, const struct end *e);

/* n tells it apart; so many items, each with so many bytes. */
struct fa_msg *message(unsigned n, unsigned items, size_t len);
unsigned number_of(const struct got *g); /* as message() was told; asserts that it is one */

/* What send() says. */
int end_try(struct bed *b, struct end *e, uint64_t peer, struct fa_msg *m);

/* Sends until it is taken. */
void end_send(struct bed *b, struct end *e, uint64_t peer, struct fa_msg *m);

/* A connection to b->url that speaks nothing. */
int bed_raw(const struct bed *b);
