/*
 * mail.h - what host and zygote say to each other: short messages over a SOCK_SEQPACKET pair
 *
 * Both ends are this library, from the same build (the helper program is checked by its version),
 * so this format is nobody else's business.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "base/limits.h"

/* New ones at the end: a helper of another version says REFUSED. */
enum fa_mail_type {
        FA_MAIL_HELLO = 1, /* zygote: I live; value: its pid */
        FA_MAIL_READY, /* zygote: all functions are loaded; data: their names, each with its NUL */
        FA_MAIL_REFUSED, /* zygote: I end; value: what fa_slots_open() returns; data: the text */
        FA_MAIL_SPAWN,   /* host: fork this slot; fds: its bell, its memory */
        FA_MAIL_KILL,    /* host: end this slot */
        FA_MAIL_NOFORK,  /* zygote: cannot fork this slot; value: errno */
        FA_MAIL_DOWN, /* zygote: this slot is dead; value: wait status; data: last standard error */
        FA_MAIL_LOADING, /* zygote: I am about to load a module; value: its place in the list */
};

#define FA_MAIL_TIMED_OUT 1u /* DOWN: the zygote killed it because its task's time was over */

struct fa_mail {
        uint32_t type;
        uint32_t slot;
        uint32_t gen; /* which life of the slot: mail about an earlier one is ignored */
        uint32_t flags;
        int32_t value;
        uint32_t len;
        char data[FA_FUNCTIONS_MAX * (FA_NAME_MAX + 1)]; /* READY needs the most */
};

/* Never blocks, unless the socket does. 0 or a negated errno; fds: NULL or two to send along. */
int fa_mail_send(int sock, const struct fa_mail *m, const int fds[2]);

/*
 * 0: *m is filled, and ret_fds if given (-1: none came); FAAS_E_AGAIN: nothing there; FAAS_E_GONE:
 * the other end is closed or speaks another language.
 */
int fa_mail_recv(int sock, struct fa_mail *m, int ret_fds[2]);
