/* launch.h - how a zygote comes to life, as nobody's child */
#pragma once

#include "exec/zygote.h"

/*
 * Starts a zygote: forked from this process if it brings functions of its own, else the helper
 * program.  *ret_sock is the non-blocking host's end of its socket; the zygote's first words are
 * FA_MAIL_HELLO and then FA_MAIL_READY or FA_MAIL_REFUSED, or the end of the socket.
 *
 * Return: 0 or a negated errno; fa_error() has the text.
 */
int fa_launch(int *ret_sock, const struct fa_zygote_cfg *cfg);

/* The helper program's main(): argv as fa_launch() makes it, the socket as descriptor 3. */
int fa_launch_helper_main(int argc, char **argv);
