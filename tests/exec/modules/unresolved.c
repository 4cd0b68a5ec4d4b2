/* unresolved.c - a module that needs a function which nobody has */
#include <faas/function.h>

int nobody_has_this(void);

static int any(struct faas_call *call) {
        return nobody_has_this();
}

static const struct faas_function functions[] = {{"any", any}, {NULL, NULL}};

FAAS_MODULE(functions);
