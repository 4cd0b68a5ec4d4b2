/*
 * module.c - the registry of functions, and the shared objects that bring some
 *
 * Runs in the zygote only: whatever a module's constructor does, the host is not touched by it.
 * Nothing is ever unloaded; the process ends instead.
 */
#include "exec/module.h"

#include <dlfcn.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include <faas/error.h>

#include "base/error.h"
#include "wire/chunk.h"
#include "wire/msg.h"

/* FNV-1a: names are short, and they come from whoever wrote the functions, not from the network. */
static uint32_t hash(const char *name, size_t len) {
        uint32_t h = 2166136261u;

        for (size_t i = 0; i < len; i++)
                h = (h ^ (uint8_t)name[i]) * 16777619u;
        return h ^ h >> 15;
}

/* Where the name stands in the index, or the free place where it would. */
static size_t place(const struct fa_registry *reg, const char *name, size_t len) {
        size_t i = hash(name, len) % FA_REGISTRY_PLACES;

        while (reg->index[i]) {
                const struct fa_registry_row *row = &reg->rows[reg->index[i] - 1];

                if (row->name_len == len && memcmp(row->name, name, len) == 0)
                        break;
                i = (i + 1) % FA_REGISTRY_PLACES;
        }
        return i;
}

const struct fa_registry_row *
fa_registry_find(const struct fa_registry *reg, const char *name, size_t name_len) {
        size_t i = place(reg, name, name_len);

        return reg->index[i] ? &reg->rows[reg->index[i] - 1] : NULL;
}

int fa_registry_add(struct fa_registry *reg,
                    const struct faas_function *table,
                    const char *origin) {
        for (const struct faas_function *f = table; f->name; f++) {
                size_t len = strlen(f->name);
                if (!fa_name_valid((struct fa_slice){(const uint8_t *)f->name, len}))
                        return fa_error(-EINVAL,
                                        "\"%.80s\" of %s is no function name: want 1 to %u of "
                                        "a-z 0-9 . _ -",
                                        f->name, origin, FA_NAME_MAX);
                if (!f->fn)
                        return fa_error(-EINVAL, "function %s of %s is NULL", f->name, origin);

                size_t i = place(reg, f->name, len);
                if (reg->index[i])
                        return fa_error(FAAS_E_EXISTS, "function %s of %s: the name is taken by %s",
                                        f->name, origin, reg->rows[reg->index[i] - 1].origin);
                if (reg->n == FA_FUNCTIONS_MAX)
                        return fa_error(FAAS_E_LIMIT,
                                        "too many functions with those of %s; at most %d", origin,
                                        FA_FUNCTIONS_MAX);
                reg->rows[reg->n] = (struct fa_registry_row){f->name, origin, f->fn, len, false};
                reg->index[i] = (uint16_t)++reg->n;
        }
        return 0;
}

int fa_registry_add_maps(struct fa_registry *reg) {
        const size_t n = 2 * reg->n <= FA_FUNCTIONS_MAX ? reg->n : 0;

        for (size_t k = 0; k < n; k++) {
                const struct fa_registry_row *row = &reg->rows[k];
                const size_t len = row->name_len + FA_MAP_SUFFIX_LEN;
                char *name = malloc(len + 1); /* for ever, as the registry */

                if (!name)
                        return fa_error(-ENOMEM, "no memory for the name of a function");
                memcpy(name, row->name, row->name_len);
                memcpy(name + row->name_len, FA_MAP_SUFFIX, FA_MAP_SUFFIX_LEN + 1);
                size_t i = place(reg, name, len);
                if (len > FA_NAME_MAX || reg->index[i]) {
                        free(name);
                        continue;
                }
                reg->rows[reg->n] =
                        (struct fa_registry_row){name, row->origin, row->fn, len, .map = true};
                reg->index[i] = (uint16_t)++reg->n;
        }
        return 0;
}

int fa_registry_load(struct fa_registry *reg, const char *path) {
        void *so = dlopen(path, RTLD_NOW | RTLD_LOCAL);

        if (!so) {
                /* dlerror() begins with the path, as a rule. */
                const char *why = dlerror(); /* NOLINT(concurrency-mt-unsafe): one thread here */
                return fa_error(FAAS_E_NOENT, "cannot load %s: %s", path, why ? why : "no reason");
        }

        const struct faas_module *m = dlsym(so, "faas_module");
        if (!m)
                return fa_error(FAAS_E_NOENT, "%s is no module: it has no symbol faas_module",
                                path);
        if (m->abi != FAAS_MODULE_ABI)
                return fa_error(FAAS_E_VERSION, "%s has module ABI %u, this library wants %u", path,
                                m->abi, FAAS_MODULE_ABI);
        if (m->size < sizeof(*m))
                return fa_error(FAAS_E_VERSION,
                                "%s has a faas_module of %u bytes, this library wants %zu", path,
                                m->size, sizeof(*m));
        if (!m->functions)
                return fa_error(FAAS_E_NOENT, "%s is no module: it has no table of functions",
                                path);
        return fa_registry_add(reg, m->functions, path);
}
