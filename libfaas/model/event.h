/* event.h - everything that can happen to a machine */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "model/op.h"
#include "model/outcome.h"
#include "wire/msg.h"

enum fa_event_kind {
        FA_EV_MSG,       /* .msg came from .peer; borrowed: what is kept is referenced */
        FA_EV_PEER_UP,   /* client, worker: the connection to .peer is there (again) */
        FA_EV_PEER_DOWN, /* dispatcher: .peer is gone for good; client, worker: the connection to it
                            broke, and may come back */
        FA_EV_GROUP,     /* dispatcher: .group is answered; borrowed */
        FA_EV_STORE_LOST,  /* dispatcher: the store was restarted and may have lost its last writes
                            */
        FA_EV_SLOT_UP,     /* worker: .slot takes tasks */
        FA_EV_SLOT_RESULT, /* worker: the oldest task given to .slot ended with .outcome; borrowed
                            */
        FA_EV_SLOT_RETURNED, /* worker: the newest .n tasks given to .slot were taken back */
        FA_EV_SLOT_DOWN, /* worker: .slot died; task number .n of those it has (0: the oldest) had
                            started, with .outcome; those before it ended without a result; -1: none
                            had */
};

struct fa_event {
        enum fa_event_kind kind;
        uint64_t peer;
        struct fa_msg *msg;
        struct fa_group *group;
        unsigned slot;
        int32_t n;
        const struct fa_outcome *outcome;
};
