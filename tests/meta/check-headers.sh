#!/bin/sh
# check-headers.sh ROOT - every public header compiles alone, as C99 and as C++
set -eu
include=$1/include
flags="-Wall -Wextra -Wpedantic -Wundef -Werror -fsyntax-only -I$include"

# Included twice: the guards work.
alone() { printf '#include <%s>\n#include <%s>\nextern int unused;\n' "$1" "$1"; }

for header in "$include"/faas/*.h; do
        name=faas/${header##*/}
        echo "$name"
        alone "$name" | cc -std=c99 -Wstrict-prototypes $flags -x c -
        alone "$name" | c++ -std=c++11 $flags -x c++ -
done

# What a macro stands for is only compiled where it is used.
use='
#include <faas/faas.h>
static int noop(struct faas_call *call) { (void)call; return 0; }
static const struct faas_function functions[] = { { "noop", noop }, { NULL, NULL } };
FAAS_MODULE(functions);
struct faas_result result = FAAS_RESULT_INIT;
struct faas_client_cfg cfg = FAAS_CLIENT_CFG_INIT;
'
echo "$use" | cc -std=c99 $flags -x c -
# C++ has its own opinion of members that an initialiser leaves out, so none may be left out.
echo "$use" | c++ -std=c++11 $flags -x c++ -
