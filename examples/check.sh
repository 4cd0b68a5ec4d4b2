#!/bin/sh
# check.sh HELLO EMBED HASH-FILES CUSTOM-TRANSPORT - the examples do what they say
set -eu
hello=$(realpath "$1") embed=$(realpath "$2") hash=$(realpath "$3") custom=$(realpath "$4")
scratch=$(mktemp -d "${TMPDIR:-/tmp}/faas-examples-XXXXXX")
trap 'rm -rf "$scratch"' EXIT
cd "$scratch"

[ "$("$hello")" = HELLO ]

"$embed" >embed
sort -n embed | grep primes >primes
# The numbers of primes below 2,500, 5,000, ... 20,000.
printf '%s primes\n' 367 669 950 1229 1492 1754 2014 2262 | diff - primes
grep -Eq '^[0-9]+ ticks meanwhile$' embed

# Names with blanks, an empty file, one larger than a buffer; all in the order of the input.
mkdir files
: >files/empty
echo one >'files/a name with blanks'
head -c 200000 /dev/zero >files/large
for i in $(seq 300); do echo "$i" >"files/$i"; done
find files -type f >names
xargs -d '\n' sha256sum <names >expected
"$hash" 3 <names >got 2>errors
diff expected got
[ ! -s errors ]

# What cannot be read is named, the others go on.
{ echo files/1; echo files/nowhere; echo files; echo files/2; } >names
status=0
"$hash" 2 <names >got 2>errors || status=$?
[ "$status" -eq 1 ]
sha256sum files/1 files/2 | diff - got
grep -qx 'hash-files: files/nowhere: No such file or directory' errors
grep -qx 'hash-files: files: Is a directory' errors

status=0
"$hash" 0 </dev/null 2>errors || status=$?
[ "$status" -eq 2 ]
grep -q 'local:0' errors

[ "$("$custom" "$scratch/pipe")" = HELLO ]
[ ! -e pipe ] && [ ! -e pipe.door ]
status=0
"$custom" nowhere/pipe 2>errors || status=$?
[ "$status" -eq 1 ]
grep -q 'unix://nowhere/pipe' errors
