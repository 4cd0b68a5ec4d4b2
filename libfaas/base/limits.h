/*
 * limits.h - every hard limit of the library, with its reason
 *
 * No memory is allocated in proportion to a number read from a peer: each such number is compared
 * with one of these first.  Public limits (FAAS_*) stand in faas/task.h; here are the inner ones.
 */
#pragma once

#include <faas/task.h>

#define FA_PAYLOAD_MAX FAAS_PAYLOAD_MAX /* payload of a task, or of a result, in bytes */
#define FA_NAME_MAX FAAS_NAME_MAX       /* function and queue names, in bytes without the NUL */
#define FA_TEXT_MAX FAAS_TEXT_MAX       /* error text of a result */
#define FA_LOG_MAX FAAS_LOG_MAX         /* last bytes of a slot's standard error */

#define FA_DIGEST_LEN 32        /* SHA-256 of a shipped function */
#define FA_ENVELOPE_MAX 65536u  /* one envelope frame: headers of a full batch fit */
#define FA_BATCH_MAX 256        /* items of one message: beyond this the system call is free */
#define FA_BATCH_BYTES 1048576u /* payload bytes of one message, unless one item is larger */
#define FA_INLINE_MAX 8192u     /* larger payloads have a frame of their own */
#define FA_NESTING_MAX 4        /* arrays in arrays in an envelope */
#define FA_FUNCTIONS_MAX 512    /* functions of one worker: their names fit one envelope */
#define FA_SLOTS_MAX 1024       /* slots of one worker process */
#define FA_SLOT_TASKS_MAX 64    /* tasks in one slot's ring: beyond it nothing is gained */
#define FA_PEERS_MAX 131072     /* workers and clients of one dispatcher */
#define FA_ENDPOINT_MAX 256     /* text of one endpoint */
#define FA_ENDPOINTS_MAX 16     /* dispatchers that one WELCOME names */
#define FA_VALUES_MAX 32        /* numbers of a REPORT */
#define FA_PEER_NAME_MAX 128    /* of what a peer calls itself, as it is kept and reported */
#define FA_PRINCIPAL_MAX 256    /* name of a peer, once peers are authenticated */
#define FA_LIVENESS_MAX 1000    /* missed beats: more would never find a dead peer */
#define FA_TIMEOUT_MS_MAX 0x7fffffffu
