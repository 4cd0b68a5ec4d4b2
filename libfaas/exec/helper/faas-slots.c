/*
 * faas-slots.c - the helper program: a zygote for hosts that bring no functions of their own
 *
 * Started by launch.c with its socket as descriptor 3; of no use to anybody else.  It is linked
 * statically and exports faas_call_*(), so a module finds them whether or not it is linked with
 * libfaas itself.
 */
#include "exec/launch.h"

int main(int argc, char **argv) {
        return fa_launch_helper_main(argc, argv);
}
