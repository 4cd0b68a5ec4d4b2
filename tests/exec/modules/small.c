/* small.c - a module whose struct is cut off */
#include <faas/function.h>

static const struct faas_function functions[] = {{NULL, NULL}};

FAAS_MODULE_EXPORT_ const struct faas_module faas_module;
FAAS_MODULE_EXPORT_ const struct faas_module faas_module = {FAAS_MODULE_ABI, 4, functions};
