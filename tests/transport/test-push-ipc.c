/* test-push-ipc.c - push over ipc: the suite of all transports */
#undef NDEBUG
#include "conformance.h"

#include <stdio.h>
#include <sys/socket.h>

static void address(char *ret, size_t size, const char *dir) {
        snprintf(ret, size, "ipc://%s/door", dir);
}

const struct bed_ops bed_under_test = {
        .ops = &fa_transport_push,
        .address = address,
        .socket_type = SOCK_STREAM,
};
