/* slot.h - the child that runs functions */
#pragma once

#include "exec/channel.h"
#include "exec/module.h"

struct fa_slot_env {
        int bell; /* socket that wakes the host */
        int wake; /* eventfd of the zygote */
        struct fa_channel channel;
        const struct fa_registry *registry;
};

/* Speaks HELLO, then runs tasks until it is killed; the process is all its own. */
_Noreturn void fa_slot_main(const struct fa_slot_env *env);
