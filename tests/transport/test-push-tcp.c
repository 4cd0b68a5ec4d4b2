/* test-push-tcp.c - push over tcp: the suite of all transports */
#undef NDEBUG
#include "conformance.h"

#include <stdio.h>
#include <sys/socket.h>

static void address(char *ret, size_t size, const char *dir) {
        snprintf(ret, size, "tcp://127.0.0.1:*");
}

const struct bed_ops bed_under_test = {
        .ops = &fa_transport_push,
        .address = address,
        .socket_type = SOCK_STREAM,
};
