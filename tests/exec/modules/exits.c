/* A module whose constructor exits. */
#include <stdlib.h>

#include <faas/function.h>

static __attribute__((constructor)) void begin(void) {
        _Exit(3);
}

static const struct faas_function functions[] = {{NULL, NULL}};
FAAS_MODULE(functions);
