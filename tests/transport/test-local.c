/* test-local.c - "local": what the suite asks of a listening end; nobody connects to it */
#undef NDEBUG
#include "conformance.h"

#include <faas/client.h>

static void address(char *ret, size_t size, const char *dir) {
        ret[0] = '\0';
}

static void configure(struct faas_transport_cfg *cfg) {
        cfg->n_slots = 2;
        cfg->flags = FAAS_CLIENT_BUILTINS;
}

const struct bed_ops bed_under_test = {
        .ops = &fa_transport_local,
        .address = address,
        .configure = configure,
};
