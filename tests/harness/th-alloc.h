/*
 * th-alloc.h - allocations of the library and the test: counted, and made to fail
 *
 * The linker sends malloc, calloc, realloc and free of what is linked statically here first
 * (--wrap); those of shared libraries, Criterion among them, are not seen.  One thread.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

/* The k-th allocation from now on fails, and only that one; 0: none. */
void th_alloc_fail_at(uint64_t k);

/* Has it failed?  If not, there were fewer than k. */
bool th_alloc_failed(void);

/* Blocks allocated and not freed: the same before and after means that nothing leaked. */
int64_t th_alloc_live(void);

/* Allocations asked for since the program began, those that failed too. */
uint64_t th_alloc_count(void);
