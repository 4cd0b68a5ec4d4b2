/* zbind.h - the addresses at which a dispatcher listens, with sockets of our own */
#pragma once

#include <stdbool.h>
#include <sys/types.h>

#include "base/limits.h"

struct fa_zbind {
        int fds[FA_ENDPOINTS_MAX];
        unsigned n;
        /* Where ipc sockets stand; ino 0: no file. */
        struct {
                dev_t dev;
                ino_t ino;
        } files[FA_ENDPOINTS_MAX];
        char *url; /* where it is, separated by commas */
};

/*
 * Listens at all of them (fa_zaddr_all_numbers()).  0; -EADDRINUSE; -EADDRNOTAVAIL; another -errno;
 * *ret is to be closed in any case.
 */
int fa_zbind_open(struct fa_zbind *ret, const char *urls);

/* forked: by a fork of who opened it, for whom nothing but the descriptors goes. */
void fa_zbind_close(struct fa_zbind *b, bool forked);
