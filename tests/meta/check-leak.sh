#!/bin/sh
# check-leak.sh WRAPPER LEAK LEAK_PLAIN - the sanitizer lane turns red for each planted error, and only
# for these
set -u
bad=0

# expect green|red PROGRAM [ARG...]
expect() {
        want=$1
        shift
        if "$wrapper" "$@" >/dev/null 2>&1; then got=green; else got=red; fi
        echo "$want: $*"
        [ $got = "$want" ] || { echo "  but it was $got" && bad=1; }
}

wrapper=$1
expect green "$2" --tap --filter planted/nothing
expect red "$2" --tap --filter planted/leak
expect red "$2" --tap --filter planted/leak_in_child
expect red "$2" --tap --filter planted/use_after_free_in_child
expect red "$2" --tap --filter planted/overflow_in_child
expect red "$3"
exit $bad
