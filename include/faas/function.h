/*
 * faas/function.h - what runs in a slot: functions, the call that a function sees, modules
 *
 * A slot is a child process that runs one function at a time.  A function that crashes, hangs,
 * exits or eats memory costs its slot, never the program that submitted the task.
 */
#ifndef FAAS_FUNCTION_H
#define FAAS_FUNCTION_H

#include <stddef.h>
#include <stdint.h>

#include <faas/task.h>

#ifdef __cplusplus
extern "C" {
#endif

/* One call of a function: lives from its start to its return, inside the slot. */
struct faas_call;

/* A function: 0 is COMPLETED with the bytes it reserved; anything else FAILED with that code. */
typedef int faas_function_fn(struct faas_call *call);

/* One row of a table of functions; a row of NULLs ends the table. */
struct faas_function {
        const char *name; /* [a-z0-9._-]{1,64}, once per table */
        faas_function_fn *fn;
};

/**
 * faas_call_payload() - the bytes that the task brought
 * @call:     the running call
 * @ret_len:  NULL, or where their number goes
 *
 * Ownership: the library's, valid and unchanged until the function returns; aligned for any type;
 *            a NUL stands behind them.
 * Return:    never NULL.
 */
const void *faas_call_payload(const struct faas_call *call, size_t *ret_len);

/**
 * faas_call_id() - the id of the task that runs
 * @call: the running call
 *
 * Return: the library's, valid until the function returns.
 */
const struct faas_id *faas_call_id(const struct faas_call *call);

/**
 * faas_call_reserve() - room for the result
 * @call: the running call
 * @len:  bytes, 0 to FAAS_PAYLOAD_MAX; the result will be exactly this long
 *
 * May be called again to grow or to shrink; the first min(old, new) bytes stay as they are, and
 * earlier pointers are void.  A function that never calls it has an empty result.
 *
 * Ownership: the library's.
 * Return:    aligned for any type; NULL when @len is over the limit or there is no memory: then
 *            return faas_call_fail() or any other non-zero value.  A function that returns 0 after
 *            a refused length has FAILED with FAAS_FAILURE_LIMIT.
 */
void *faas_call_reserve(struct faas_call *call, size_t len);

/**
 * faas_call_fail() - say why the function fails
 * @call: the running call
 * @fmt:  as printf(); cut at FAAS_TEXT_MAX bytes
 *
 * Only keeps the text; the function still has to return non-zero: "return faas_call_fail(...)".
 *
 * Return: 1.
 */
int faas_call_fail(struct faas_call *call, const char *fmt, ...)
#if defined(__GNUC__)
        __attribute__((format(printf, 2, 3)))
#endif
        ;

/* cfg.flags of a client ("local:" only), a worker or a dispatcher: also offer the built-in
 * functions: noop, echo, sleep, heavy, xheavy, fail, crash. */
#define FAAS_CLIENT_BUILTINS 1u

/* The module format: what --load and "local:4?load=file.so" look for in a shared object. */
#define FAAS_MODULE_ABI 1u

struct faas_module {
        uint32_t abi;  /* FAAS_MODULE_ABI */
        uint32_t size; /* sizeof(struct faas_module), so that it can grow at the end */
        const struct faas_function *functions; /* ends with a row of NULLs */
};

/**
 * FAAS_MODULE() - make a shared object a module
 * @table: the table of functions
 *
 * Stands once in a shared object:  FAAS_MODULE(functions);
 */
#if defined(__cplusplus)
#define FAAS_MODULE_EXPORT_ extern "C" __attribute__((visibility("default")))
#elif defined(__GNUC__)
#define FAAS_MODULE_EXPORT_ __attribute__((visibility("default")))
#else
#define FAAS_MODULE_EXPORT_
#endif
#define FAAS_MODULE(table)                                                                         \
        FAAS_MODULE_EXPORT_ const struct faas_module faas_module;                                  \
        FAAS_MODULE_EXPORT_ const struct faas_module faas_module = {                               \
                FAAS_MODULE_ABI, (uint32_t)sizeof(struct faas_module), (table)}

#ifdef __cplusplus
}
#endif

#endif
