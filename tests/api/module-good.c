/* module-good.c - a module with one function */
#include <faas/faas.h>

static int answer(struct faas_call *call) {
        int *out = faas_call_reserve(call, sizeof(*out));

        if (!out)
                return 1;
        *out = 42;
        return 0;
}

static const struct faas_function functions[] = {{"answer", answer}, {NULL, NULL}};
FAAS_MODULE(functions);
