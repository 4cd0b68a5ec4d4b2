/*
 * The table of messages.  Data and its look-ups only: reading and writing the bytes that it
 * describes is in decode.c and encode.c.
 */
#include "wire/table.h"

#include <stddef.h>

#include <faas/error.h>

#include "base/macros.h"

#define CLIENT (1u << FA_ROLE_CLIENT)
#define WORKER (1u << FA_ROLE_WORKER)
#define DISPATCHER (1u << FA_ROLE_DISPATCHER)
#define PEER (CLIENT | WORKER)

#define BIT(v) (UINT64_C(1) << (v))
#define BITS_BELOW(n) (BIT(n) - 1)

#define FIELDS(...) ((const struct fa_field[]){__VA_ARGS__, {NULL, 0, 0, 0, 0}})
#define FIELD(type, member, kind, min, max)                                                        \
        { #member, FA_KIND_##kind, offsetof(type, member), min, max }
#define HEADER(...) FIELD(struct fa_msg, __VA_ARGS__)
#define ITEM(...) FIELD(struct fa_item, __VA_ARGS__)

/* Each field once, so that it means and bounds the same in every message. */
#define H_ROLE HEADER(role, SET, 0, PEER)
#define H_FROM HEADER(from, U64, 0, UINT64_MAX)
#define H_SESSION HEADER(session, U64, 0, UINT64_MAX)
#define H_SEQ HEADER(seq, U64, 0, UINT64_MAX)
#define H_GRANT HEADER(grant, U32, 0, UINT32_MAX)
#define H_HELD HEADER(held, U32, 0, UINT32_MAX)
#define H_N_SLOTS HEADER(n_slots, U32, 1, FA_SLOTS_MAX)
#define H_MODE HEADER(mode, SET, 0, BITS_BELOW(3))
#define H_MORE HEADER(more, SET, 0, BITS_BELOW(2))
#define H_WHAT HEADER(what, SET, 0, BITS_BELOW(_FA_QUERY_N))
#define H_VALUES HEADER(values, VALUES, 0, FA_VALUES_MAX)
#define H_REASON HEADER(reason, SET, 0, BITS_BELOW(_FAAS_E_N))
#define H_INTERVAL_MS HEADER(interval_ms, U32, 1, FA_TIMEOUT_MS_MAX)
#define H_LIVENESS HEADER(liveness, U32, 1, FA_LIVENESS_MAX)
#define H_PHASE_MS HEADER(phase_ms, U32, 0, FA_TIMEOUT_MS_MAX)
#define H_WINDOW_TASKS HEADER(window_tasks, U32, 0, UINT32_MAX)
#define H_WINDOW_BYTES HEADER(window_bytes, U64, 0, UINT64_MAX)
#define H_PRINCIPAL HEADER(principal, STR, 0, FA_PRINCIPAL_MAX)
#define H_TEXT HEADER(text, STR, 0, FA_TEXT_MAX)
#define H_FUNCTIONS HEADER(names, NAMES, 0, FA_FUNCTIONS_MAX)
#define H_ENDPOINTS HEADER(names, STRS, 0, FA_ENDPOINTS_MAX)

#define I_ID ITEM(id, ID, 0, 0)
#define I_FENCE ITEM(fence, FENCE, 0, 0)
#define I_FUNCTION ITEM(function, NAME, 1, FA_NAME_MAX)
#define I_QUEUE ITEM(queue, NAME, 0, FA_NAME_MAX)
#define I_PRIORITY ITEM(priority, U8, 0, UINT8_MAX)
#define I_DIGEST ITEM(digest, DIGEST, 0, FA_DIGEST_LEN)
#define I_TIMEOUT_MS ITEM(timeout_ms, U32, 0, FA_TIMEOUT_MS_MAX)
#define I_MAX_STRIKES ITEM(max_strikes, U32, 0, UINT32_MAX)
#define I_MAX_RETRIES ITEM(max_retries, U32, 0, UINT32_MAX)
#define I_STRIKES ITEM(strikes, U32, 0, UINT32_MAX)
#define I_FINAL                                                                                    \
        ITEM(final, U8, 1, 1) /* 0, a partial result, is reserved: nobody could treat it yet */
#define I_FAILURE ITEM(failure, SET, 0, BITS_BELOW(_FAAS_FAILURE_N))
#define I_CODE ITEM(code, I32, 0, 0)
#define I_TEXT ITEM(text, TEXT, 0, FA_TEXT_MAX)
#define I_LOG ITEM(log, BIN, 0, FA_LOG_MAX)
#define I_PAYLOAD ITEM(payload, PAYLOAD, 0, FA_PAYLOAD_MAX)
#define I_FROM ITEM(from, U64, 0, UINT64_MAX)
#define I_N_SLOTS ITEM(n_slots, U32, 1, FA_SLOTS_MAX)
#define I_N_HELD ITEM(held, U32, 0, UINT32_MAX)
#define I_GRANT ITEM(grant, U32, 0, UINT32_MAX)
#define I_SILENT_MS ITEM(silent_ms, U32, 0, UINT32_MAX)
#define I_DONE ITEM(done, U64, 0, UINT64_MAX)
#define I_PEER_NAME ITEM(text, TEXT, 0, FA_PEER_NAME_MAX)
/* .state means another thing in each of these messages. */
#define I_HELD ITEM(state, SET, 0, BITS_BELOW(_FA_HELD_N))
#define I_ENDED ITEM(state, SET, 0, BIT(FAAS_COMPLETED) | BIT(FAAS_FAILED))
#define I_ANSWER ITEM(state, SET, 0, BITS_BELOW(_FAAS_E_N))
#define I_STATE                                                                                    \
        ITEM(state, SET, 0,                                                                        \
             BITS_BELOW(_FAAS_STATUS_N) | BIT(FA_STATE_NOT_FOUND) | BIT(FA_STATE_GONE) |           \
                     BIT(FA_STATE_LOST))

_Static_assert(_FAAS_E_N < 64 && FA_STATE_LOST < 64, "values of a set are bits of 64");

static const struct fa_desc table[_FA_MSG_N] = {
        [FA_MSG_HELLO] = {.name = "HELLO",
                          .senders = PEER,
                          .header = FIELDS(H_ROLE, H_FROM, H_PRINCIPAL, H_TEXT)},
        [FA_MSG_WELCOME] = {.name = "WELCOME",
                            .senders = DISPATCHER,
                            .header = FIELDS(H_FROM,
                                             H_MODE,
                                             H_INTERVAL_MS,
                                             H_LIVENESS,
                                             H_PHASE_MS,
                                             H_WINDOW_TASKS,
                                             H_WINDOW_BYTES,
                                             H_ENDPOINTS)},
        [FA_MSG_REGISTER] =
                {.name = "REGISTER",
                 .senders = WORKER,
                 .has_ext = true,
                 .header = FIELDS(H_FROM, H_SESSION, H_N_SLOTS, H_GRANT, H_MORE, H_FUNCTIONS),
                 .item = FIELDS(I_ID, I_FENCE, I_HELD)},
        [FA_MSG_REQUEST] = {.name = "REQUEST",
                            .senders = WORKER,
                            .header = FIELDS(H_SESSION, H_GRANT)},
        [FA_MSG_TASK] = {.name = "TASK",
                         .senders = DISPATCHER,
                         .has_payload = true,
                         .header = FIELDS(H_SESSION, H_SEQ),
                         .item = FIELDS(I_ID,
                                        I_FENCE,
                                        I_FUNCTION,
                                        I_QUEUE,
                                        I_PRIORITY,
                                        I_DIGEST,
                                        I_TIMEOUT_MS,
                                        I_PAYLOAD)},
        [FA_MSG_STARTED] = {.name = "STARTED",
                            .senders = WORKER,
                            .header = FIELDS(H_SESSION),
                            .item = FIELDS(I_ID, I_FENCE)},
        [FA_MSG_RESULT] = {.name = "RESULT",
                           .senders = WORKER,
                           .has_payload = true,
                           .has_outcome = true,
                           .header = FIELDS(H_SESSION, H_GRANT),
                           .item = FIELDS(I_ID,
                                          I_FENCE,
                                          I_FINAL,
                                          I_ENDED,
                                          I_FAILURE,
                                          I_CODE,
                                          I_TEXT,
                                          I_LOG,
                                          I_PAYLOAD)},
        [FA_MSG_ACK] = {.name = "ACK",
                        .senders = DISPATCHER,
                        .header = FIELDS(H_SESSION),
                        .item = FIELDS(I_ID, I_FENCE)},
        [FA_MSG_STALE] = {.name = "STALE",
                          .senders = DISPATCHER,
                          .header = FIELDS(H_SESSION),
                          .item = FIELDS(I_ID, I_FENCE)},
        [FA_MSG_NOT_MINE] = {.name = "NOT_MINE",
                             .senders = DISPATCHER,
                             .header = FIELDS(H_SESSION),
                             .item = FIELDS(I_ID, I_FENCE)},
        [FA_MSG_RETURN] = {.name = "RETURN",
                           .senders = WORKER,
                           .header = FIELDS(H_SESSION, H_GRANT),
                           .item = FIELDS(I_ID, I_FENCE)},
        [FA_MSG_BEAT] = {.name = "BEAT",
                         .senders = CLIENT | WORKER | DISPATCHER,
                         .header = FIELDS(H_SESSION, H_SEQ, H_GRANT, H_HELD)},
        [FA_MSG_DISCONNECT] = {.name = "DISCONNECT",
                               .senders = CLIENT | WORKER | DISPATCHER,
                               .header = FIELDS(H_REASON, H_TEXT)},
        [FA_MSG_SUBMIT] = {.name = "SUBMIT",
                           .senders = CLIENT,
                           .has_payload = true,
                           .has_ext = true,
                           .item = FIELDS(I_ID,
                                          I_FUNCTION,
                                          I_QUEUE,
                                          I_PRIORITY,
                                          I_DIGEST,
                                          I_TIMEOUT_MS,
                                          I_MAX_STRIKES,
                                          I_MAX_RETRIES,
                                          I_PAYLOAD)},
        [FA_MSG_ACCEPTED] = {.name = "ACCEPTED",
                             .senders = DISPATCHER,
                             .header = FIELDS(H_WINDOW_TASKS, H_WINDOW_BYTES),
                             .item = FIELDS(I_ID, I_ANSWER)},
        [FA_MSG_WAIT] = {.name = "WAIT", .senders = CLIENT, .item = FIELDS(I_ID)},
        [FA_MSG_DONE] = {.name = "DONE",
                         .senders = DISPATCHER,
                         .has_payload = true,
                         .has_outcome = true,
                         .item = FIELDS(I_ID,
                                        I_STATE,
                                        I_FAILURE,
                                        I_CODE,
                                        I_STRIKES,
                                        I_TEXT,
                                        I_LOG,
                                        I_PAYLOAD)},
        [FA_MSG_STATUS] = {.name = "STATUS",
                           .senders = CLIENT,
                           .header = FIELDS(H_MORE),
                           .item = FIELDS(I_ID)},
        [FA_MSG_CANCEL] = {.name = "CANCEL",
                           .senders = CLIENT | DISPATCHER,
                           .header = FIELDS(H_SESSION),
                           .item = FIELDS(I_ID, I_FENCE)},
        [FA_MSG_COLLECTED] = {.name = "COLLECTED", .senders = CLIENT, .item = FIELDS(I_ID)},
        [FA_MSG_PROGRESS] = {.name = "PROGRESS"},
        [FA_MSG_ADOPT] = {.name = "ADOPT",
                          .senders = DISPATCHER,
                          .header = FIELDS(H_SESSION),
                          .item = FIELDS(I_ID, I_FENCE)},
        [FA_MSG_QUERY] = {.name = "QUERY", .senders = CLIENT, .header = FIELDS(H_WHAT)},
        [FA_MSG_REPORT] = {.name = "REPORT",
                           .senders = DISPATCHER,
                           .header = FIELDS(H_WHAT, H_MORE, H_VALUES),
                           .item = FIELDS(I_FROM,
                                          I_N_SLOTS,
                                          I_N_HELD,
                                          I_GRANT,
                                          I_SILENT_MS,
                                          I_DONE,
                                          I_PEER_NAME)},
};

const struct fa_desc *fa_desc_of(unsigned type) {
        if (type >= _FA_MSG_N || table[type].senders == 0)
                return NULL;
        return &table[type];
}

const struct fa_field *fa_field_find(const struct fa_field *f, enum fa_kind kind) {
        for (; f && f->name; f++)
                if (f->kind == kind)
                        return f;
        return NULL;
}

bool fa_outcome_agrees(const struct fa_item *it) {
        if (it->state == FAAS_FAILED)
                return it->failure != FAAS_FAILURE_NONE;
        if (it->state == FAAS_COMPLETED)
                return it->failure == FAAS_FAILURE_NONE;
        return true;
}

bool fa_msg_authorise(enum fa_role role, enum fa_msg_type type) {
        const struct fa_desc *d = fa_desc_of(type);

        return d && (unsigned)role < _FA_ROLE_N && (d->senders >> role & 1);
}

const char *fa_msg_name(unsigned type) {
        return type < _FA_MSG_N && table[type].name ? table[type].name : "?";
}

const char *fa_role_name(unsigned role) {
        static const char *const names[_FA_ROLE_N] = {
                [FA_ROLE_CLIENT] = "client",
                [FA_ROLE_WORKER] = "worker",
                [FA_ROLE_DISPATCHER] = "dispatcher",
        };

        return role < _FA_ROLE_N ? names[role] : "?";
}
