/*
 * faas/transport.h - how messages travel between a dispatcher and its peers: the table to implement
 *
 * A transport carries messages between a dispatcher (the listening end) and its workers and clients
 * (the connecting ends), and finds out when a peer is gone.  It knows nothing of tasks: what is in
 * a message is the library's business, and a message that is lost, doubled or late does no harm,
 * because the protocol (docs/PROTOCOL.md) recovers from all three.  So an implementation can be
 * naive; what it owes is written at each member.
 *
 * Built in are "push" and "pull" (ZeroMQ's protocol: tcp, ipc, inproc) and "local" (slots of the
 * dispatcher's own).  Another one is registered under its name and chosen by cfg.transport of a
 * dispatcher, and by the scheme of its URL in a worker or a client.  examples/custom-transport.c is
 * one, and passes the same tests as those built in.
 *
 *     dispatcher:  open(LISTEN) -> [ recv* -> send* -> flush -> (sleep on fd, deadline) ]* -> close
 *     worker:      open(CONNECT) -> the same
 *
 * Threads: one transport is used by one thread at a time; nothing here may block.
 */
#ifndef FAAS_TRANSPORT_H
#define FAAS_TRANSPORT_H

#include <stddef.h>
#include <stdint.h>

#include <faas/function.h>

#ifdef __cplusplus
extern "C" {
#endif

/* The version of the table below: the first that there is. */
#define FAAS_TRANSPORT_VERSION 1u

/* An opened end; the implementation's own struct begins with it, or is cast to it. */
struct faas_transport;

/* One message; opaque, made and freed by the library. */
struct faas_message;

/* A run of bytes of a message.  Message boundaries and frame boundaries must both survive. */
struct faas_frame {
        const void *p;
        size_t len;
        /*
         * NULL: the library copies the bytes before it calls the transport again.  Else it keeps
         * them as they are, and calls release(owner) once, in the same thread, when it needs them
         * no more: that may be after close().
         */
        void (*release)(void *owner);
        void *owner;
};

/* A message has its envelope, an inline frame, and at most one frame for each of 256 items. */
#define FAAS_FRAMES_MAX 258u

enum faas_transport_end {
        FAAS_TRANSPORT_LISTEN, /* a dispatcher's: many peers */
        FAAS_TRANSPORT_CONNECT /* a worker's or a client's: one peer, the dispatcher */
};

/* Who decides how much a worker is given. */
enum faas_credit {
        FAAS_CREDIT_AHEAD,     /* push: workers say ahead how much they take, and are given it */
        FAAS_CREDIT_ON_REQUEST /* pull: workers ask, and each request is answered when there is work
                                */
};

/* What open() is told; borrowed during the call.  New members come at the end: a transport that was
 * compiled with a later header reads those only that struct_size has room for. */
struct faas_transport_cfg {
        size_t struct_size; /* as the library was compiled with */
        enum faas_transport_end end;
        const char *url; /* LISTEN: where to be reached; CONNECT: whom to reach; may be NULL or ""
                            if the transport needs none */
        /* LISTEN: the slots that the dispatcher was given for itself (cfg.n_slots and so on), for a
         * transport that runs tasks in this process; workers get theirs elsewhere. */
        unsigned n_slots;
        const struct faas_function *functions; /* may be NULL */
        const char *const *modules;            /* may be NULL */
        unsigned flags;                        /* FAAS_CLIENT_BUILTINS */
        void *userdata;                        /* as registered */
};

enum faas_transport_event_kind {
        FAAS_TRANSPORT_MESSAGE, /* .peer sent something: .message, or else .frames */
        FAAS_TRANSPORT_UP,      /* CONNECT: the connection is there (again) */
        FAAS_TRANSPORT_DOWN /* LISTEN: .peer is gone, its number is never used again, and nothing of
                               it comes after this; not for who never sent anything.  CONNECT: the
                               connection broke, and UP follows when it is there again */
};

/* What recv() brings; all zeros before.  Event and frame never grow within one version of the
 * table, as one side makes what the other reads. */
struct faas_transport_event {
        enum faas_transport_event_kind kind;
        /* LISTEN: the transport's own number for the peer, below 2^56, never used twice in the life
         * of the transport.  CONNECT: 0. */
        uint64_t peer;
        /* Inside one process: the very message that send() was given at the other end, which goes
         * over to the library.  Else NULL. */
        struct faas_message *message;
        /* Between processes: its bytes, the transport's until it is called again. */
        const struct faas_frame *frames;
        size_t n_frames; /* at least 1; a peer that sends more than FAAS_FRAMES_MAX is refused, and
                            whatever is beyond that number need not be brought */
};

/* The table.  All pointers stay valid as long as the process; new members come at the end. */
struct faas_transport_ops {
        size_t struct_size; /* sizeof(struct faas_transport_ops) */
        unsigned version;   /* FAAS_TRANSPORT_VERSION */
        const char *name;   /* "push": [a-z][a-z0-9-]{0,31}, unique */
        const char *scheme; /* NULL, or that of the URLs that connect: "pipe" for "pipe://..." */
        enum faas_credit credit;

        /*
         * MANDATORY.  Starts one end.  LISTEN: other ends can connect from now on.  CONNECT: does
         * not wait for the dispatcher, which need not be there yet.
         *
         * Return: 0 and *ret; -EINVAL a bad url; -EADDRINUSE; -EMFILE, -ENOMEM, another negative
         * errno.  On failure nothing is left behind and *ret is untouched; text may be set with
         * faas_transport_error().
         */
        int (*open)(struct faas_transport **ret, const struct faas_transport_cfg *cfg);

        /* MANDATORY.  Frees all.  What send() took and has not left yet is given a short time
         * (milliseconds), then dropped.  The address is free when this returns.  In a fork of the
         * process that opened it: frees memory and closes descriptors, and is not seen elsewhere.
         */
        void (*close)(struct faas_transport *t);

        /*
         * MANDATORY.  What to poll for input: level-triggered, the same for its whole life,
         * readable while recv() has something, except as deadline() says; and quiet when there is
         * nothing to do.
         */
        int (*fd)(const struct faas_transport *t);

        /*
         * MANDATORY.  The next event.  0 and *ret; FAAS_E_AGAIN: nothing now; < 0: this end is
         * broken for good.  At a LISTEN end peers take turns: one that floods does not keep others
         * from being heard.
         */
        int (*recv)(struct faas_transport *t, struct faas_transport_event *ret);

        /*
         * MANDATORY.  A message to a peer (CONNECT: 0).  Order per peer is kept.  A message counts
         * as sent when it was taken; it may be lost later if the connection breaks.
         *
         * Return: 0 taken, and it is the transport's to free (faas_message_free()) or to give to
         * the other end's recv(); FAAS_E_AGAIN no room now, it stays the caller's, who tries again
         * when fd or deadline() next call (so they must, once there is room; recv() may have
         * nothing then); FAAS_E_GONE no such peer (any more), or not connected, which also is so
         * until UP was brought: it stays the caller's; < 0: this end is broken for good.
         *
         * It may lack memory: that is FAAS_E_AGAIN.  One peer without room leaves the others
         * theirs.
         */
        int (*send)(struct faas_transport *t, uint64_t peer, struct faas_message *m);

        /* OPTIONAL.  All that gathered was sent: what was only collected by send() goes out now. */
        void (*flush)(struct faas_transport *t);

        /*
         * OPTIONAL.  When recv() must be called although the fd is silent, in nanoseconds of
         * CLOCK_MONOTONIC: 0 at once, UINT64_MAX never.
         */
        uint64_t (*deadline)(const struct faas_transport *t);

        /* OPTIONAL.  LISTEN: the URL under which it can be reached, if that differs from cfg.url (a
         * port that was chosen); the transport's, valid until close(). */
        const char *(*url)(const struct faas_transport *t);
};

/**
 * faas_transport_register() - make a transport known to this process
 * @ops:       the table; not copied, stays valid as long as the process
 * @userdata:  handed to open() in cfg.userdata
 *
 * Threads: not safe while other threads are inside the library: register at the start.
 * Return:  0; FAAS_E_EXISTS the name or scheme is taken; FAAS_E_VERSION another table version or a
 *          struct_size that is too small; FAAS_E_LIMIT more than 16; -EINVAL a bad name or scheme,
 * or a mandatory member is missing.
 */
int faas_transport_register(const struct faas_transport_ops *ops, void *userdata);

/**
 * faas_message_encode() - the bytes of a message
 * @m:      message
 * @frame:  called for each frame in its order; the bytes are valid during the call.  Non-zero ends
 *          the walk
 * @ctx:    handed to @frame
 *
 * Return: 0; what @frame returned; -ENOMEM; FAAS_E_LIMIT it is too large to be sent.
 */
int faas_message_encode(const struct faas_message *m,
                        int (*frame)(void *ctx, const void *p, size_t len),
                        void *ctx);

/**
 * faas_message_free() - end a message that send() took
 * @m: message; NULL is fine
 */
void faas_message_free(struct faas_message *m);

/**
 * faas_transport_error() - say why open() fails
 * @r:    what open() is about to return
 * @fmt:  as printf(): one line that names what was wrong and what was expected
 *
 * Return: @r.
 */
int faas_transport_error(int r, const char *fmt, ...)
#if defined(__GNUC__)
        __attribute__((format(printf, 2, 3)))
#endif
        ;

#ifdef __cplusplus
}
#endif

#endif
