#!/bin/sh
# check-rules.sh SIM ARCHITECTURE_MD - the table of rules in docs/ARCHITECTURE.md is that of the simulation
#
# Names and texts must be those of base/rules.h, in its order, and each rule must say where it shows, by
# the name of a profile that there is.
set -eu
sim=$1 doc=$2

scratch=$(mktemp -d "${TMPDIR:-/tmp}/faas-rules-XXXXXX")
trap 'rm -rf "$scratch"' EXIT

"$sim" --list | sed 's/\t/ | /' >"$scratch/want"
sed -n '/<!-- rules begin -->/,/<!-- rules end -->/p' "$doc" | grep '^| [A-Z]' >"$scratch/rows"
sed 's/^| \([A-Z_]*\) | \([^|]*\) |.*/\1 | \2/' "$scratch/rows" >"$scratch/have"
if ! diff -u "$scratch/have" "$scratch/want"; then
        echo "$doc: the table between the markers is not what sim --list says" >&2
        exit 1
fi

bad=0
root=$(dirname "$doc")/..
while IFS='|' read -r _ name _ profile shows _; do
        profile=$(echo "$profile" | sed 's/^ *//; s/ *$//')
        # Every .name in the table of profiles, also those of one line.
        if ! grep -qF ".name = \"$profile\"" "$root/tests/sim/sim.c"; then
                echo "$doc: $name shows in profile \"$profile\", which does not exist" >&2
                bad=1
        fi
        if [ -z "$(echo "$shows" | tr -d ' ')" ]; then
                echo "$doc: $name does not say what shows" >&2
                bad=1
        fi
done <"$scratch/rows"
exit $bad
