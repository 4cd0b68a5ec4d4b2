/*
 * faas/map.h - call a function for each of many inputs, many of them to a task
 *
 * A task costs a microsecond or more, however short its function is.  faas_map() makes one task of
 * many inputs, a chunk: the slot calls the function for each of them.  It is what a pool's map()
 * with a chunk size does in other systems, and what to use for very many very short calls.
 *
 * The chunk is what is accepted, made durable, given a time-out and run again; an input alone only
 * fails or not.  A worker written with libfaas (and "local:") offers the function NAME also as the
 * function NAME.map, which takes a chunk, for all its functions with names of at most 60 bytes, if
 * there are at most 256 of them.  docs/PROTOCOL.md says what other workers have to do for it.
 */
#ifndef FAAS_MAP_H
#define FAAS_MAP_H

#include <stddef.h>

#include <faas/client.h>
#include <faas/task.h>

#ifdef __cplusplus
extern "C" {
#endif

#define FAAS_CHUNK_MAX 65535u                   /* inputs of a chunk */
#define FAAS_INPUT_MAX (FAAS_PAYLOAD_MAX - 16u) /* bytes of one input */

/* One input of the function. */
struct faas_input {
        const void *payload; /* may be NULL when len is 0 */
        size_t len;          /* bytes, at most FAAS_INPUT_MAX */
};

/**
 * faas_map_fn - what gets the results, in the order of the inputs
 * @userdata:  as given to faas_map()
 * @index:     of the input
 * @result:    of the input: status, failure, code, payload and text are its own; id and strikes
 *             are those of its chunk, of which the log is too
 *
 * The result is borrowed for the call: copy what is to be kept.  The function may submit, cancel
 * and ask for status; it must not close the client, nor process, nor wait, nor map.
 *
 * Return: 0 to go on; else faas_map() ends with this.
 */
typedef int faas_map_fn(void *userdata, size_t index, const struct faas_result *result);

/**
 * faas_map() - call a function for each input and wait for all results
 * @c:         client
 * @task:      function, timeout_ms (of a chunk) and max_strikes; the rest must be 0.  A function
 *             that fails is not called again
 * @inputs:    @n inputs; borrowed until return
 * @n:         how many
 * @chunk:     inputs of a task, at most FAAS_CHUNK_MAX; 0: @n / (4 x slots), rounded up, as
 *             Python's Pool.map() has it, at least 1 and at most 1,024.  Chunks end
 *             earlier when they have 1 MiB
 * @fn:        gets each result
 * @userdata:  handed to @fn
 *
 * A chunk whose slot crashes, hangs or loses its worker max_strikes times has FAILED, with all its
 * inputs: @fn gets each with that failure.  Before that its inputs are run again, also those that
 * had ended: so the function should not mind being called twice.  Inputs whose results have no
 * room in FAAS_PAYLOAD_MAX together with those before them in the chunk fail with
 * FAAS_FAILURE_LIMIT: take a smaller chunk.
 *
 * At most 256 chunks (or 4 x slots, if that is more) and about 64 MiB of inputs are on their way
 * at a time, beside what else the client has submitted, whose results wait meanwhile; the callback
 * of faas_client_on_done() gets them afterwards.
 *
 * Blocking: until all is done; a dispatcher that is away, or has no worker with NAME.map, is waited
 *           for as by faas_wait().
 * Return:   0 when @fn had all results, also failed ones; what @fn returned, unless 0; with
 *           nothing submitted: FAAS_E_LIMIT an input over FAAS_INPUT_MAX, FAAS_E_TIMEOUT no
 *           dispatcher is there to tell its slots, -EINVAL; else as faas_submit() and faas_wait():
 *           then results were handed out up to an input, and the chunks on their way are
 *           cancelled.  If there is no dispatcher to be told they go on, and faas_wait_any() or
 *           the callback brings what becomes of them.
 */
int faas_map(struct faas_client *c,
             const struct faas_task *task,
             const struct faas_input *inputs,
             size_t n,
             size_t chunk,
             faas_map_fn *fn,
             void *userdata);

#ifdef __cplusplus
}
#endif

#endif
