/* other-abi.c - a module for a library that does not exist yet */
#include <faas/function.h>

static const struct faas_function functions[] = {{NULL, NULL}};

FAAS_MODULE_EXPORT_ const struct faas_module faas_module;
FAAS_MODULE_EXPORT_ const struct faas_module faas_module = {
        FAAS_MODULE_ABI + 41, (uint32_t)sizeof(struct faas_module), functions};
