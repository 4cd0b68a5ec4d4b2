/* test-push-inproc.c - push inside the process: the suite of all transports that peers connect to
 */
#undef NDEBUG
#include "conformance.h"

#include <stdio.h>
#include <sys/socket.h>

static void address(char *ret, size_t size, const char *dir) {
        snprintf(ret, size, "inproc://%s", dir);
}

const struct bed_ops bed_under_test = {
        .ops = &fa_transport_push,
        .address = address,
        .socket_type = SOCK_STREAM,
};
