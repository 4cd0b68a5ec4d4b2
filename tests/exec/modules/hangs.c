/* A module whose constructor never returns. */
#include <unistd.h>

#include <faas/function.h>

static __attribute__((constructor)) void begin(void) {
        for (;;)
                pause();
}

static const struct faas_function functions[] = {{NULL, NULL}};
FAAS_MODULE(functions);
