/* test-custom.c - the transport of examples/: the suite of all transports */
#undef NDEBUG
#include "../../examples/custom-transport.h"
#include "conformance.h"

#include <stdio.h>
#include <sys/socket.h>

static void address(char *ret, size_t size, const char *dir) {
        snprintf(ret, size, "unix://%s/pipe", dir);
}

const struct bed_ops bed_under_test = {
        .ops = &pipes_ops,
        .address = address,
        .socket_type = SOCK_SEQPACKET,
};
