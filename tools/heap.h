/* heap.h - how a program that runs for long keeps its memory */
#pragma once

/* Payloads come and go by the megabyte: what is freed stays for the next one. */
void fa_heap_keep(void);
