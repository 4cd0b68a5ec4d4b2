#!/bin/sh
# check-tables.sh - every store and transport that is defined is in its table, and the other way round
#
# A back-end that compiles and that nobody can open looks finished; this is how that is found out.
set -eu
cd "$(dirname "$0")/../.."

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# compare FLOOR TYPE PREFIX TABLE
compare() {
        # "const struct fa_store_ops fa_store_memory = " in any file of the folder
        sed -n "s/^const struct $2 \\($3_[a-z0-9_]*\\) *=.*/\\1/p" libfaas/$1/*.c | sort >"$work/defined"
        # "        &fa_store_memory," between "stores[] = {" and "};"
        sed -n "/$4\\[\\] = {/,/^};/s/^ *&\\($3_[a-z0-9_]*\\),.*/\\1/p" libfaas/$1/$1.c |
                sort >"$work/listed"
        [ -s "$work/defined" ] || {
                echo "no $1 is defined: this check no longer fits the sources" >&2
                exit 1
        }
        if ! diff "$work/defined" "$work/listed" >"$work/diff"; then
                echo "defined in libfaas/$1 (<) and listed in $1.c (>) differ:" >&2
                cat "$work/diff" >&2
                exit 1
        fi
        echo "$(wc -l <"$work/defined") in libfaas/$1, all in the table"
}

compare store fa_store_ops fa_store stores
compare transport faas_transport_ops fa_transport built_in
