#!/bin/sh
# check-floors.sh ROOT - who may include whom (HACKING.md), and what core/ may not call
set -eu
cd "$1"

bad=$(mktemp)
trap 'rm -f "$bad"' EXIT
complain() { echo "$1: $2" >>"$bad"; }

# The floors that a file may include.
allowed() {
        case $1 in
        libfaas/base/*) echo base ;;
        libfaas/wire/*) echo base wire ;;
        libfaas/model/*) echo base wire model ;;
        libfaas/exec/*) echo base wire model exec ;;
        libfaas/core/*) echo base wire model core ;;
        libfaas/store/*) echo base wire model store ;;
        libfaas/transport/crew.[ch] | libfaas/transport/local.c)
                echo base wire model exec core transport
                ;;
        libfaas/transport/*) echo base wire model transport ;; # stands above core and store, needs neither
        libfaas/run/*) echo base wire model exec core store transport run ;;
        libfaas/api/*) echo base wire model exec core store transport run api ;;
        esac
}

# Third-party and system headers; the libraries' own headers each have one place.
check_system() {
        case $2 in
        msgpack*) complain "$1" "<$2>: wire/mp.h is all of msgpack that there is" ;;
        hiredis*)
                case $1 in
                libfaas/store/redis*) ;;
                *) complain "$1" "<$2> belongs in store/redis*.c" ;;
                esac
                ;;
        zmq*)
                case $1 in
                libfaas/transport/*) ;;
                *) complain "$1" "<$2> belongs in transport/" ;;
                esac
                ;;
        sys/* | linux/* | netinet/* | arpa/* | faas/*) ;;
        */*) complain "$1" "<$2> is of a library that has no place yet" ;;
        esac
        case $1:$2 in
        libfaas/core/*:sys/* | libfaas/core/*:unistd.h | libfaas/core/*:time.h | \
                libfaas/core/*:fcntl.h | libfaas/core/*:poll.h | libfaas/core/*:signal.h | \
                libfaas/core/*:pthread.h) complain "$1" "<$2>: core does no I/O" ;;
        esac
}

check_own() {
        floor=${2%%/*}
        case $2 in
        *..* | */*/*) complain "$1" "\"$2\" is not of the form \"floor/file.h\"" ;;
        */*)
                case " $(allowed "$1") " in
                *" $floor "*) ;;
                *) complain "$1" "\"$2\": ${1%/*} may not include $floor" ;;
                esac
                ;;
        *) complain "$1" "\"$2\" does not name its floor" ;;
        esac
}

includes() { sed -n 's/^[ \t]*#[ \t]*include[ \t]*\([<"][^>"]*\).*/\1/p' "$1"; }

count=0
for file in libfaas/*/*.[ch]; do
        count=$((count + 1))
        [ -n "$(allowed "$file")" ] || complain "$file" "stands on no floor"
        for header in $(includes "$file"); do
                case $header in
                '<'*) check_system "$file" "${header#<}" ;;
                '"'*) check_own "$file" "${header#?}" ;;
                esac
        done
        # Its own header first: that proves that the header stands alone.
        own=${file#libfaas/}
        own=${own%.c}.h
        case $file in
        *.c) if [ -e "libfaas/$own" ] && [ "$(includes "$file" | head -n 1)" != "\"$own" ]; then
                complain "$file" "does not include \"$own\" first"
        fi ;;
        esac
done
[ "$count" -gt 0 ] || complain libfaas "no files found"

# Time, ids and seeds come to core/ as arguments.  The compiler takes out the comments; a guard of a
# main file would be a warning.
for file in libfaas/core/*.[ch]; do
        [ -e "$file" ] || continue
        calls=$(grep -v '^#pragma once' "$file" | ${CC:-cc} -fpreprocessed -dD -E -P -x c - | grep -oE \
                '\b(clock_gettime|gettimeofday|time|clock|fa_now|fa_wall_ms|getrandom|getentropy|s?rand(om)?|rand_r|getpid|getenv|fopen|open|read|write|poll|socket)[ ]*\(' |
                sort -u | tr '\n' ' ') || true
        [ -z "$calls" ] || complain "$file" "core may not call $calls"
done

# Programs and examples are users: the public headers are all they have.
for file in tools/*.[ch] examples/*.[ch]; do
        [ -e "$file" ] || continue
        inner=$(includes "$file" | grep -E '^"(base|wire|model|exec|core|store|transport|run|api)/' || true)
        [ -z "$inner" ] || complain "$file" "includes $inner\", which is not public"
done

cat "$bad"
[ ! -s "$bad" ]
