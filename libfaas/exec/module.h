/*
 * module.h - all functions of a pool: the host's, the modules', the built-in ones
 *
 * Made once inside the zygote, read by the slots that are forked from it.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <faas/function.h>

#include "base/limits.h"

struct fa_registry_row {
        const char *name;
        const char *origin; /* "the host program", "the built-in functions" or the module's path */
        faas_function_fn *fn;
        size_t name_len;
        bool map; /* NAME.map: fn is called for each input of a chunk */
};

#define FA_REGISTRY_PLACES ((size_t)4 * FA_FUNCTIONS_MAX)

struct fa_registry {
        struct fa_registry_row rows[FA_FUNCTIONS_MAX];
        size_t n;
        uint16_t index[FA_REGISTRY_PLACES]; /* hash to row + 1; 0: free; at most a quarter full */
};

/* The table of the functions that faas-worker brings itself; ends with a row of NULLs. */
extern const struct faas_function fa_builtins[];

/*
 * Adds a table.  0; FAAS_E_EXISTS a name twice (the text names both origins); -EINVAL a bad name or
 * a row without a function; FAAS_E_LIMIT too many.  origin must outlive the registry.
 */
int fa_registry_add(struct fa_registry *reg, const struct faas_function *table, const char *origin);

/*
 * Opens a shared object, which stays open, and adds its table.  As fa_registry_add(), and
 * FAAS_E_NOENT it cannot be read or is no module; FAAS_E_VERSION it has another ABI.
 */
int fa_registry_load(struct fa_registry *reg, const char *path);

/*
 * Once all are added: each function's NAME.map too, unless that is a function's own name or too
 * long.  None if not all have room: a caller would not know which.  0; -ENOMEM.
 */
int fa_registry_add_maps(struct fa_registry *reg);

/* The row of a function, or NULL. */
const struct fa_registry_row *
fa_registry_find(const struct fa_registry *reg, const char *name, size_t name_len);
