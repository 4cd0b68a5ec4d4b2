/*
 * nats.c - NATS's part: request and reply, by its C client
 *
 * One in flight: natsConnection_Request().  Many: requests go out with one inbox as their reply
 * subject, where the replies come in; the responders share a queue group.  With "asap:" in front of
 * the address whatever is published is written at once instead of by the connection's flusher.
 */
#include <nats/nats.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "peer.h"

#define SUBJECT "work"
#define PATIENCE_MS 30000

static natsConnection *nc;
static natsSubscription *replies;
static natsInbox *inbox;

static int fail(const char *what, natsStatus s) {
        return peer_fail(what, natsStatus_GetText(s));
}

static int dial(const char *address) {
        int asap = strncmp(address, "asap:", 5) == 0;
        natsOptions *options = NULL;
        char url[128];
        natsStatus s = natsOptions_Create(&options);

        (void)snprintf(url, sizeof(url), "nats://%s", asap ? address + 5 : address);
        if (s == NATS_OK)
                s = natsOptions_SetURL(options, url);
        if (s == NATS_OK)
                s = natsOptions_SetSendAsap(options, asap);
        if (s == NATS_OK)
                s = natsConnection_Connect(&nc, options);
        natsOptions_Destroy(options);
        return s == NATS_OK ? 0 : fail(url, s);
}

static int one(const struct peer_task *task) {
        natsMsg *reply = NULL;
        natsStatus s = natsConnection_Request(&reply, nc, SUBJECT, task->payload, (int)task->len,
                                              PATIENCE_MS);
        int right = s == NATS_OK &&
                    peer_right(task, natsMsg_GetData(reply), (size_t)natsMsg_GetDataLength(reply));

        natsMsg_Destroy(reply);
        return right ? 0 : fail("request", s);
}

/* A request before its responders have subscribed gets no reply: so one is waited for. */
static int await_responders(void) {
        const struct peer_task hello = {"echo", "hello", 5, 0};
        natsMsg *reply = NULL;
        natsStatus s = NATS_TIMEOUT;

        for (int i = 0; i < 1000 && s != NATS_OK; i++) {
                s = natsConnection_Request(&reply, nc, SUBJECT, hello.payload, (int)hello.len,
                                           PATIENCE_MS);
                natsMsg_Destroy(reply);
                reply = NULL;
                if (s != NATS_OK)
                        usleep(10000);
        }
        return s == NATS_OK ? 0 : fail("responders", s);
}

static int open_client(const char *address) {
        natsStatus s;

        if (dial(address) || await_responders())
                return 1;
        s = natsInbox_Create(&inbox);
        if (s == NATS_OK)
                s = natsConnection_SubscribeSync(&replies, nc, inbox);
        if (s == NATS_OK)
                s = natsSubscription_SetPendingLimits(replies, -1, -1);
        return s == NATS_OK ? 0 : fail("inbox", s);
}

static void close_client(void) {
        natsSubscription_Destroy(replies);
        natsInbox_Destroy(inbox);
        natsConnection_Destroy(nc);
        nats_Close();
}

static int many(const struct peer_task *task, unsigned n, unsigned in_flight) {
        for (unsigned sent = 0, got = 0; got < n; got++) {
                natsMsg *reply = NULL;
                natsStatus s = NATS_OK;
                int right;
                for (; s == NATS_OK && sent < n && sent - got < in_flight; sent++)
                        s = natsConnection_PublishRequest(nc, SUBJECT, inbox, task->payload,
                                                          (int)task->len);
                if (s == NATS_OK)
                        s = natsSubscription_NextMsg(&reply, replies, PATIENCE_MS);
                if (s != NATS_OK)
                        return fail("reply", s);
                right = peer_right(task, natsMsg_GetData(reply),
                                   (size_t)natsMsg_GetDataLength(reply));
                natsMsg_Destroy(reply);
                if (!right)
                        return peer_fail("result", "not what was sent");
        }
        return 0;
}

static void
respond(natsConnection *connection, natsSubscription *subscription, natsMsg *msg, void *context) {
        (void)subscription;
        (void)context;
        (void)natsConnection_Publish(connection, natsMsg_GetReply(msg), natsMsg_GetData(msg),
                                     natsMsg_GetDataLength(msg));
        natsMsg_Destroy(msg);
}

static int work(const char *address) {
        natsSubscription *subscription = NULL;
        natsStatus s;

        if (dial(address))
                return 1;
        s = natsConnection_QueueSubscribe(&subscription, nc, SUBJECT, "workers", respond, NULL);
        if (s != NATS_OK)
                return fail("subscribe", s);
        for (;;)
                pause();
}

int main(int argc, char **argv) {
        static const struct peer nats = {.name = "NATS",
                                         .open = open_client,
                                         .one = one,
                                         .many = many,
                                         .close = close_client,
                                         .work = work};

        return peer_main(argc, argv, &nats);
}
