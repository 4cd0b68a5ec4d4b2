/* good.c - a module with one function and one that is a part of its state */
#include <string.h>

#include <faas/function.h>

static int hello(struct faas_call *call) {
        char *out = faas_call_reserve(call, 5);

        if (!out)
                return faas_call_fail(call, "no memory");
        memcpy(out, "hello", 5);
        return 0;
}

static const struct faas_function functions[] = {{"hello", hello}, {NULL, NULL}};

FAAS_MODULE(functions);
