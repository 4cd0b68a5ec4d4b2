/*
 * cfg.c - reading a caller's options
 *
 * A struct that was compiled with a later version may be longer; what this version does not know
 * must be 0, or the caller would believe in an option that is ignored.
 */
#include "api/cfg.h"

#include <errno.h>
#include <sched.h>
#include <stdlib.h>
#include <string.h>

#include <faas/function.h>

#include "base/error.h"
#include "base/limits.h"
#include "base/macros.h"

int fa_cfg_read(void *ret, size_t size, const void *cfg, const char *what) {
        const unsigned char *bytes = cfg;
        size_t theirs;

        if (!cfg)
                return 0;
        memcpy(&theirs, cfg, sizeof(theirs));
        if (theirs < sizeof(theirs))
                return fa_error(-EINVAL, "cfg.struct_size is %zu: start from %s", theirs, what);
        for (size_t i = size; i < theirs; i++)
                if (bytes[i])
                        return fa_error(-EINVAL, "cfg is of a newer version, and uses it");
        memcpy(ret, cfg, FA_MIN(theirs, size));
        return 0;
}

unsigned fa_cfg_cpus(void) {
        cpu_set_t set;

        /* A machine with more than 1024 says EINVAL. */
        if (sched_getaffinity(0, sizeof(set), &set) == 0)
                return FA_MIN((unsigned)CPU_COUNT(&set), FA_SLOTS_MAX);
        return FA_SLOTS_MAX;
}

int fa_cfg_functions(struct faas_function **ret, const struct faas_function *functions) {
        struct faas_function *table;
        size_t n = 0;
        size_t bytes = 0;
        char *names;

        for (; functions && functions[n].name; n++)
                bytes += strlen(functions[n].name) + 1;
        table = calloc(1, (n + 1) * sizeof(*table) + bytes);
        if (!table)
                return fa_error(-ENOMEM, "no memory for %zu functions", n);
        names = (char *)(table + n + 1);
        for (size_t i = 0; i < n; i++) {
                size_t len = strlen(functions[i].name) + 1;
                table[i] = (struct faas_function){names, functions[i].fn};
                memcpy(names, functions[i].name, len);
                names += len;
        }
        *ret = table;
        return 0;
}
