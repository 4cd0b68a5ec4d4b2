/* takes-echo.c - a module with the name of a built-in function */
#include <faas/function.h>

static int echo(struct faas_call *call) {
        return 0;
}

static const struct faas_function functions[] = {{"echo", echo}, {NULL, NULL}};

FAAS_MODULE(functions);
