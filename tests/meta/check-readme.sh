#!/bin/sh
# check-readme.sh README_MD INCLUDE_DIR LIBRARY COMPILER [ARG...] - the program in README.md is true: it
# compiles without a warning against the public headers, links with the shared library, prints HELLO
set -eu
readme=$1 include=$2 library=$(realpath "$3")
shift 3

scratch=$(mktemp -d "${TMPDIR:-/tmp}/faas-readme-XXXXXX")
trap 'rm -rf "$scratch"' EXIT

# The first block of C: between "```c" and "```".
awk '$0 == "```" { if (inside) exit } inside { print } $0 == "```c" { inside = 1 }' "$readme" \
        >"$scratch/readme.c"
if ! grep -q faas_client_open "$scratch/readme.c"; then
        echo "$readme: no program between \`\`\`c and \`\`\`" >&2
        exit 1
fi

"$@" -std=c11 -Wall -Wextra -Werror -I"$include" "$scratch/readme.c" "$library" \
        -Wl,-rpath,"$(dirname "$library")" -o "$scratch/readme"
said=$("$scratch/readme")
if [ "$said" != HELLO ]; then
        echo "$readme: its program said \"$said\", not HELLO" >&2
        exit 1
fi
