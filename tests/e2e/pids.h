/* pids.h - the processes behind a client, for tests that kill and measure them */
#pragma once

#include <stdio.h>
#include <stdlib.h>
#include <sys/types.h>

#include <criterion/criterion.h>

#include "api/client-private.h"

static inline pid_t pids_zygote(const struct faas_client *c) {
        return fa_slots_zygote_pid(fa_local_slots(c->local));
}

/* The children of a process, at most max; how many there are. */
static inline size_t pids_children(pid_t parent, pid_t *ret, size_t max) {
        char path[64]; /* two numbers of at most 10 digits */
        size_t n = 0;
        FILE *f;

        (void)snprintf(path, sizeof(path), "/proc/%d/task/%d/children", parent, parent);
        f = fopen(path, "re");
        if (!f)
                return 0;
        while (n < max && fscanf(f, "%d", &ret[n]) == 1)
                n++;
        fclose(f);
        return n;
}
