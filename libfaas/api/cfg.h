/* cfg.h - reading a caller's struct of options, of this version or another */
#pragma once

#include <stddef.h>

/*
 * Copies what this version knows of cfg, whose first member is its own size, to ret, which is
 * initialised and size bytes long.  cfg may be NULL.  0; -EINVAL: no size, or a newer caller uses
 * what this version does not know.  what: "FAAS_..._INIT", for the text.
 */
int fa_cfg_read(void *ret, size_t size, const void *cfg, const char *what);

/* CPUs that this process may use, within the number of slots that there may be. */
unsigned fa_cfg_cpus(void);

/*
 * A copy of a table of functions that ends with a row of NULLs; NULL gives an empty one.  One
 * allocation, to be freed with free().  A zygote that was killed is started from it again, long
 * after the caller's own may be gone.
 */
struct faas_function;
int fa_cfg_functions(struct faas_function **ret, const struct faas_function *functions);
