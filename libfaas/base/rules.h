/*
 * rules.h - the guards and rules of the protocol: name, and what breaks without it
 *
 * Each one was seen to break something when it was switched off (tests/sim); what breaks nothing is
 * not kept.
 */
#pragma once

#define FA_RULES(X)                                                                                \
        X(COMMIT_FIRST, "nobody is told of a change before the store has it")                      \
        X(OWNER, "a group runs only for the owner of every partition that it touches")             \
        X(SEQUENCE, "a group that ran is not run again")                                           \
        X(ACCEPT_ONCE, "a record that is there is not written anew by ACCEPT")                     \
        X(LEASE, "a partition is taken only when its owner's lease has run out")                   \
        X(TICK_ONE, "however long the store stood still, leases age by one tick")                  \
        X(TICK_CHECK, "a dispatcher that lost a partition is fenced as a whole")                   \
        X(FENCE, "the only result that counts is that of the present hand-out")                    \
        X(STRIKE_FENCE, "one hand-out earns one strike at most")                                   \
        X(STRIKE_STARTED, "a hand-out that had not started earns no strike")                       \
        X(UNSTARTED_MAX, "hand-outs that are lost before they start have a cap of their own")      \
        X(KEEP_NOT_MINE, "a result is kept until its partition's owner answers")                   \
        X(BEAT_COUNT, "beats carry how much is held, so that a lost message is found out")         \
        X(LIST_ALL, "what a worker does not list when it registers is handed out anew")            \
        X(RESUBMIT, "what was not acknowledged is submitted again after a WELCOME")                \
        X(SESSION, "a hand-out of an earlier session is dropped")                                  \
        X(TASK_SEQ, "a repeated hand-out is dropped")                                              \
        X(HINT, "an inherited task that was perhaps handed out waits for its worker")              \
        X(PAUSE_GRACE, "a dispatcher that stood still itself buries nobody at once")               \
        X(SAME_BYTES, "an id names one content for ever")                                          \
        X(WAIT_ALL, "after a WELCOME the client asks for everything that is open")                 \
        X(LOST_LATER, "an acknowledged task is LOST only if it stays unknown")                     \
        X(REBIND_OLDER, "an owner binds again over an older epoch of its own name")                \
        X(RENEW_ALL, "the first tick after a restart of the store renews every lease")             \
        X(RESTORE_FALLEN, "records that fell back are written again, not only absent ones")        \
        X(RESTORE_GRACE, "groups wait until every living owner has written its state again")       \
        X(KEEP_FINALS, "finals stay in memory until they are surely on disk")                      \
        X(KEEP_STORED, "what is accepted beyond the memory stays until it is surely on disk")      \
        X(LOOK_UP, "a hand-out of a task that only the store has is judged by its record")
