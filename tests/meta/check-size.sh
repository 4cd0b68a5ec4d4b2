#!/bin/sh
# check-size.sh ROOT - no function over 60 lines, no file over 500
#
# A function that is long for a reason says so in the line before it: /* long: one row per type */
# clang-format puts a function's first line and its last brace in the first column; that is enough to
# find it.  Tests may have long functions, tables mostly, but no long files.
set -eu
cd "$1"

find libfaas include tools examples benchmarks tests -name '*.[ch]' 2>/dev/null | sort | xargs awk '
        FNR == 1 { finish(); lines = 0; inside = 0; small = FILENAME ~ /^(libfaas|tools|examples)\// }
        function finish() {
                if (lines > 500)
                        complain(file ": " lines " lines")
        }
        function complain(text) {
                print text
                bad = 1
        }
        { lines = FNR; file = FILENAME }
        !inside && /^[A-Za-z_]/ { start = FNR; reason = before ~ /\/\* long: .+ \*\// }
        !inside && /\{$/ { inside = 1 }
        # A type or a table ends with "};" or a name, a function with the brace alone.
        /^\}/ {
                if (inside && small && $0 == "}") {
                        functions++
                        if (FNR - start + 1 > 60 && !reason)
                                complain(FILENAME ":" start ": a function of " FNR - start + 1 " lines")
                }
                inside = 0
        }
        { before = $0 }
        END {
                finish()
                if (!functions)
                        complain("no function found")
                exit bad
        }'
