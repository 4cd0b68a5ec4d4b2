/* bad-name.c - a module with a name that is none */
#include <faas/function.h>

static int any(struct faas_call *call) {
        return 0;
}

static const struct faas_function functions[] = {{"No Name", any}, {NULL, NULL}};

FAAS_MODULE(functions);
