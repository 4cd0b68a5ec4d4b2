/*
 * heap.c - how a program that runs for long keeps its memory
 *
 * By default glibc gives each payload of 128 KiB and more pages of its own, or the end of the heap
 * back to the kernel after each; then every page of the next one is a fault, which costs more than
 * to copy it.  A library does not change that for its process; our programs do.
 */
#include "heap.h"

#include <malloc.h>

#define KEPT (64 << 20)      /* free bytes at the end of the heap, before they are given back */
#define PAGES_FROM (8 << 20) /* twice the largest payload */

void fa_heap_keep(void) {
#ifdef M_TRIM_THRESHOLD
        (void)mallopt(M_TRIM_THRESHOLD, KEPT);
        (void)mallopt(M_MMAP_THRESHOLD, PAGES_FROM);
#endif
}
