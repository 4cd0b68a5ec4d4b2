#!/bin/sh
# check-symbols.sh declared ROOT
# check-symbols.sh exported ROOT SHARED
# check-symbols.sh names STATIC
#
# declared: libfaas.sym lists exactly the functions that the public headers declare, and test-api.c
#           names each of them.
# exported: the shared library exports exactly what libfaas.sym lists.
# names:    the static library, whose every symbol meets its user's, defines only faas_ and fa_ names.
set -eu

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
export LC_ALL=C

# same A B WHAT: the sorted lists are equal, and not empty.
same() {
        [ -s "$1" ] || { echo "$3: nothing found"; return 1; }
        diff "$1" "$2" >"$scratch/diff" || { echo "$3:" && grep '^[<>]' "$scratch/diff"; return 1; }
}

listed() {
        sed -n '/global:/,/local:/s/^[ \t]*\([a-z_0-9]*\);.*/\1/p' "$1/libfaas/libfaas.sym" >"$scratch/order"
        sort "$scratch/order" >"$scratch/listed"
        same "$scratch/order" "$scratch/listed" "libfaas.sym is not sorted"
}

case $1 in
declared)
        listed "$2"
        # The compiler itself tells what is declared: one line each, after "/* file:line:state */".
        for header in "$2"/include/faas/*.h; do
                echo "#include <faas/${header##*/}>"
        done >"$scratch/all.c"
        gcc -std=c99 -I"$2/include" -fsyntax-only -aux-info "$scratch/info" "$scratch/all.c"
        grep '/include/faas/' "$scratch/info" | grep -v ' static ' |
                sed -n 's/.*[ *]\(faas_[a-z_0-9]*\) ([^*].*/\1/p' | sort >"$scratch/declared"
        same "$scratch/declared" "$scratch/listed" "< declared in include/, > listed in libfaas.sym"
        grep -oE 'faas_[a-z_0-9]+' "$2/tests/meta/test-api.c" | sort -u |
                comm -23 "$scratch/declared" - >"$scratch/unnamed"
        [ ! -s "$scratch/unnamed" ] || { echo "not in test-api.c:" && cat "$scratch/unnamed"; exit 1; }
        ;;
exported)
        listed "$2"
        nm -D --defined-only "$3" | awk '$2 != "A" { sub(/@.*/, "", $3); print $3 }' | sort >"$scratch/exported"
        same "$scratch/exported" "$scratch/listed" "< exported, > listed in libfaas.sym"
        ;;
names)
        nm -g --defined-only "$2" | awk 'NF == 3 { print $3 }' | sort >"$scratch/defined"
        [ -s "$scratch/defined" ]
        grep -vE '^(faas|fa)_' "$scratch/defined" >"$scratch/foreign" || exit 0
        echo "neither faas_ nor fa_:" && cat "$scratch/foreign"
        exit 1
        ;;
*)
        exit 2
        ;;
esac
