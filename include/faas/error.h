/*
 * faas/error.h - what the calls return
 *
 * 0 is success.  A positive value is one of the conditions below: the function's comment names
 * those it can give, and the caller deals with them.  A negative value is a negated errno: the
 * object or the machine is in trouble (-ENOMEM, -EMFILE, -EINVAL for a wrong argument).
 */
#ifndef FAAS_ERROR_H
#define FAAS_ERROR_H

#ifdef __cplusplus
extern "C" {
#endif

enum faas_error {
        FAAS_E_AGAIN = 1,   /* not now: the time ran out or a window is full; try again */
        FAAS_E_GONE,        /* it was there: collected, expired, or its owner is dead */
        FAAS_E_STALE,       /* a newer hand-out or owner took its place */
        FAAS_E_NOENT,       /* no such task, function, module or scheme */
        FAAS_E_EXISTS,      /* the name or id is taken by something else */
        FAAS_E_LIMIT,       /* over a stated limit */
        FAAS_E_PROTO,       /* bytes that break the protocol */
        FAAS_E_TIMEOUT,     /* the peer did not answer in time */
        FAAS_E_CANCELLED,   /* cancelled before it was done */
        FAAS_E_UNAVAILABLE, /* the store or the dispatcher is not there; nothing happened */
        FAAS_E_UNKNOWN,     /* the outcome is unknown; a repeat with the same id is harmless */
        FAAS_E_VERSION,     /* the other side speaks another version */
        FAAS_E_FORKED,      /* the handle belongs to the process that forked this one */
        FAAS_E_FENCED,      /* another dispatcher took over */
        _FAAS_E_N
};

/**
 * faas_strerror() - a short English text for a return value
 * @r: what a faas_ function returned: 0, a FAAS_E_ value or a negated errno
 *
 * Threads: safe everywhere.
 * Return:  a static string, never NULL; unknown values give "unknown error".
 */
const char *faas_strerror(int r);

/**
 * faas_error_text() - what went wrong in this thread's last failed faas_ call
 *
 * One line that names what was wrong and what was expected, without a newline; "" before the first
 * failure.  It is kept per thread, because a call like faas_client_open() that fails has no handle
 * to keep it in.  Valid until the next failed call in the same thread; successes leave it alone.
 *
 * Threads: safe everywhere; each thread has its own.
 * Return:  a string, never NULL.
 */
const char *faas_error_text(void);

#ifdef __cplusplus
}
#endif

#endif
