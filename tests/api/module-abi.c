/* module-abi.c - a module of a time to come */
#include <faas/faas.h>

extern const struct faas_module faas_module;
__attribute__((visibility("default")))
const struct faas_module faas_module = {FAAS_MODULE_ABI + 1, sizeof(struct faas_module), NULL};
