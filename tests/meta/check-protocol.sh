#!/bin/sh
# Compares the table of messages in docs/PROTOCOL.md with the one that the library uses.
# Usage: check-protocol.sh PRINT_TABLE PROTOCOL_MD
set -eu

want=$(mktemp)
have=$(mktemp)
trap 'rm -f "$want" "$have"' EXIT

"$1" >"$want"
sed -n '/<!-- table begin -->/,/<!-- table end -->/p' "$2" | grep '^|' >"$have"
if ! diff -u "$have" "$want"; then
        echo "$2: the table between the markers is not the output of print-table" >&2
        exit 1
fi
# Each golden vector that the text names must be there.
for name in $(grep -o 'tests/vectors/[a-z0-9_-]*\.hex' "$2" | sort -u); do
        if [ ! -f "$(dirname "$2")/../$name" ]; then
                echo "$2: names $name, which does not exist" >&2
                exit 1
        fi
done
