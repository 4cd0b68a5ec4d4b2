/*
 * th-alloc.c - allocations counted, and made to fail
 *
 * Criterion's asserts are known to disturb the leak checker, which also sees nothing of a leak
 * that something still points to; two numbers compared see both.
 */
#include "th-alloc.h"

#include <stddef.h>

/* ld --wrap=malloc: calls of malloc arrive at __wrap_malloc, and __real_malloc is the C library's.
 */
void *__real_malloc(size_t size);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *p, size_t size);
void __real_free(void *p);
void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *p, size_t size);
void __wrap_free(void *p);

/* Link-time optimisation sees no call of these. */
#define KEEP __attribute__((used))

/* Volatile: a compiler knows that malloc() changes no variable of the program's. */
static volatile uint64_t countdown, count;
static volatile bool failed;
static volatile int64_t live;

static bool fails(void) {
        count++;
        if (countdown == 0 || --countdown > 0)
                return false;
        failed = true;
        return true;
}

static void *counted(void *p) {
        live += p != NULL;
        return p;
}

KEEP void *__wrap_malloc(size_t size) {
        return fails() ? NULL : counted(__real_malloc(size));
}

KEEP void *__wrap_calloc(size_t n, size_t size) {
        return fails() ? NULL : counted(__real_calloc(n, size));
}

KEEP void *__wrap_realloc(void *p, size_t size) {
        if (fails())
                return NULL;
        return p ? __real_realloc(p, size) : counted(__real_realloc(NULL, size));
}

KEEP void __wrap_free(void *p) {
        live -= p != NULL;
        __real_free(p);
}

void th_alloc_fail_at(uint64_t k) {
        countdown = k;
        failed = false;
}

bool th_alloc_failed(void) {
        return failed;
}

int64_t th_alloc_live(void) {
        return live;
}

uint64_t th_alloc_count(void) {
        return count;
}
