/*
 * zaddr.h - URLs of ZeroMQ sockets: is it one, may it be taken, and why not
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <sys/socket.h>

#include "base/limits.h"

enum fa_zscheme { FA_Z_TCP, FA_Z_IPC, FA_Z_INPROC };

struct fa_zaddr {
        enum fa_zscheme scheme;
        char url[FA_ENDPOINT_MAX + 1]; /* as libzmq takes it */
        const char *rest;              /* in url, behind "://" */
        bool ipv6;                     /* tcp: the address may be one of IPv6 */
};

/*
 * Reads one URL of len bytes.  listen: "*" may stand for the port and for the host.  0, or -EINVAL
 * with a text.
 */
int fa_zaddr_parse(struct fa_zaddr *ret, const char *url, size_t len, bool listen);

/*
 * Where the kernel finds it, if no name has to be looked up: ipc, and tcp with an address in
 * numbers or, to listen, "*".  0; FAAS_E_NOENT it is something else.
 */
int fa_zaddr_number(const struct fa_zaddr *a, struct sockaddr_storage *ret, socklen_t *ret_len);

/* Are all of these such addresses?  urls: separated by commas; false if one is malformed. */
bool fa_zaddr_all_numbers(const char *urls, bool listen);

/*
 * libzmq removes whatever stands where it is to bind an ipc:// socket, so this looks first: what a
 * dead process left behind is removed, anything else stays.  0; -EADDRINUSE; another -errno.
 */
int fa_zaddr_clear_ipc(const struct fa_zaddr *a);

/* Why zmq_bind() or zmq_connect() failed, in words; returns the negative errno to hand on. */
int fa_zaddr_error(const struct fa_zaddr *a, int zmq_error);
