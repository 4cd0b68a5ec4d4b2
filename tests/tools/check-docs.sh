#!/bin/sh
# check-docs.sh ROOT FAAS DISPATCHER WORKER - the man pages name what there is, --help fits a screen
set -eu
root=$1
shift
bad=0
complain() {
        echo "$*"
        bad=1
}

for program; do
        name=${program##*/}
        page=$root/docs/man/$name.1.scd
        "$program" --help >/dev/null
        [ "$("$program" --help | wc -l)" -le 24 ] || complain "$name --help: over 24 lines"
        [ "$("$program" --help | wc -L)" -le 80 ] || complain "$name --help: over 80 columns"
        options=$("$program" --help | grep -oE -e '--[a-z][a-z-]*' | sort -u)
        [ -n "$options" ] || complain "$name --help names no options"
        for option in $options; do
                grep -qF -e "*$option*" -e "*$option " "$page" || complain "$page does not name $option"
        done
        # And the other way round: nothing that is gone.
        for option in $(grep -E '^\*' "$page" | grep -oE -e '\*--[a-z-]+\*' | tr -d '*' | sort -u); do
                "$program" --help | grep -qF -e "$option" || complain "$name --help does not name $option"
        done
done

# Commands, and exit codes.
for command in $("$1" --help | sed -n 's/^  \([a-z][a-z]*\) .*/\1/p'); do
        grep -qE "^\*$command\*" "$root/docs/man/faas.1.scd" || complain "faas.1 does not name $command"
done
for code in 0 1 2 3 4 5 6; do
        grep -qx "|\[ \*$code\*" "$root/docs/man/faas.1.scd" || complain "faas.1: no exit code $code"
done

listed=$(sed -n '/global:/,/local:/s/^[ \t]*\([a-z_0-9]*\);.*/\1/p' "$root/libfaas/libfaas.sym")
[ -n "$listed" ] || complain "libfaas.sym lists nothing"
for function in $listed; do
        grep -qE "^\*.*[ *]$function\(" "$root/docs/man/faas.3.scd" ||
                complain "faas.3 has no entry for $function()"
done
exit $bad
