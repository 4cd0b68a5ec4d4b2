/* zygote.h - the process that forks, watches, times and buries the slots */
#pragma once

#include <stdbool.h>

#include <faas/function.h>

struct fa_zygote_cfg {
        unsigned n_slots;
        const struct faas_function *functions; /* may be NULL */
        const char *const *modules;            /* NULL-terminated; may be NULL */
        bool builtins;
};

/*
 * Makes this process the zygote of the host at the other end of sock, and ends it with EOF there.
 * The process must be a fresh child with one thread, and nobody's to wait for.
 */
_Noreturn void fa_zygote_main(int sock, const struct fa_zygote_cfg *cfg);
