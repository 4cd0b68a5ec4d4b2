/* module-twice.c - has a name that module-good has too */
#include <faas/faas.h>

static int answer(struct faas_call *call) {
        return 0;
}

static const struct faas_function functions[] = {{"answer", answer}, {NULL, NULL}};
FAAS_MODULE(functions);
