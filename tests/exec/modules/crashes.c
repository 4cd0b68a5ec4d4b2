/* A module whose constructor crashes. */
#include <stdlib.h>
#include <sys/resource.h>

#include <faas/function.h>

static __attribute__((constructor)) void begin(void) {
        (void)setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0});
        abort();
}

static const struct faas_function functions[] = {{NULL, NULL}};
FAAS_MODULE(functions);
