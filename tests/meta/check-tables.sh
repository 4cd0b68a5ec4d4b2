#!/bin/sh
# check-tables.sh - every store that is defined is in the table of store.c, and the other way round
#
# A back-end that compiles and that nobody can open looks finished; this is how that is found out.
set -eu
cd "$(dirname "$0")/../.."

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# "const struct fa_store_ops fa_store_memory = {" in any file of the folder
sed -n 's/^const struct fa_store_ops \(fa_store_[a-z0-9_]*\) *=.*/\1/p' libfaas/store/*.c |
        sort >"$work/defined"
# "        &fa_store_memory," between "stores[] = {" and "};"
sed -n '/ stores\[\] = {/,/^};/s/^ *&\(fa_store_[a-z0-9_]*\),.*/\1/p' libfaas/store/store.c |
        sort >"$work/listed"

[ -s "$work/defined" ] || {
        echo "no store is defined: this check no longer fits the sources" >&2
        exit 1
}
if ! diff "$work/defined" "$work/listed" >"$work/diff"; then
        echo "stores defined in libfaas/store (<) and listed in store.c (>) differ:" >&2
        cat "$work/diff" >&2
        exit 1
fi
echo "$(wc -l <"$work/defined") in libfaas/store, all in the table"
