/* A module whose constructor never returns if it is told so, and says its pid there. */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <faas/function.h>

static __attribute__((constructor)) void begin(void) {
        const char *path = getenv("FAAS_TEST_STICK");

        if (!path)
                return;
        FILE *f = fopen(path, "w");
        if (f) {
                fprintf(f, "%d\n", (int)getpid());
                fclose(f);
        }
        alarm(60); /* if nobody else ends it */
        for (;;)
                pause();
}

static int noop(struct faas_call *call) {
        return 0;
}

static const struct faas_function functions[] = {{"noop", noop}, {NULL, NULL}};
FAAS_MODULE(functions);
