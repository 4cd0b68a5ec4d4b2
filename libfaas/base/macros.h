/* macros.h - the few macros that every file may use */
#pragma once

#include <assert.h>
#include <stddef.h>

/* Runs fn(&var) when the variable leaves its scope; hand the value over with fa_steal(). */
#define FA_CLEANUP(fn) __attribute__((cleanup(fn)))

/* The value of a pointer variable, which becomes NULL: ownership moves to the reader. */
#define fa_steal(p)                                                                                \
        (__extension__({                                                                           \
                __typeof__(p) fa_stolen_ = (p);                                                    \
                (p) = NULL;                                                                        \
                fa_stolen_;                                                                        \
        }))

#define fa_container_of(ptr, type, member) ((type *)(void *)((char *)(ptr)-offsetof(type, member)))
/* The same place without const, for C interfaces that only forgot to say that they do not write. */
static inline void *fa_unconst(const void *p) {
        union {
                const void *in;
                void *out;
        } u = {p};
        return u.out;
}

#define FA_ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

/* Each evaluated once: a ring's room may be another one a moment later. */
#define FA_MIN(a, b) FA_PICK(a, <, b, __COUNTER__)
#define FA_MAX(a, b) FA_PICK(a, >, b, __COUNTER__)
/* The number makes names that one inside of another does not hide; the type is that of a ?: of
 * both. */
#define FA_PICK(a, op, b, n) FA_PICK_BY(a, op, b, n)
#define FA_PICK_BY(a, op, b, n)                                                                    \
        (__extension__({                                                                           \
                const __typeof__(1 ? (a) : (b)) fa_a_##n = (a);                                    \
                const __typeof__(1 ? (a) : (b)) fa_b_##n = (b);                                    \
                fa_a_##n op fa_b_##n ? fa_a_##n : fa_b_##n;                                        \
        }))

#define fa_likely(x) __builtin_expect(!!(x), 1)
#define fa_unlikely(x) __builtin_expect(!!(x), 0)
#define FA_PRINTF(fmt, args) __attribute__((format(printf, fmt, args)))

/*
 * Everything is compiled hidden; the definition of a public function carries this, and its name
 * stands in libfaas.sym.
 */
#define FA_PUBLIC __attribute__((visibility("default")))
