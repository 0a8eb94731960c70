#!/bin/sh
# man/examples.sh PROGRAM... -- run the manual's examples, compare their output
#
# PROGRAM is one that `make` built from an EXAMPLE of a page: build/man/NAME.
set -u
here=${0%/*}
failed=0
for program in "$@"; do
    name=${program##*/}
    wanted=$(awk -v want="$name.c" -v output=1 -f "$here/extract.awk" "$here"/*.[37])
    written=$(timeout 60 "$program" </dev/null)
    status=$?
    if [ "$status" != 0 ] || [ "$written" != "$wanted" ]; then
        printf 'example %s ended with %s and wrote:\n%s\nwanted:\n%s\n' \
            "$name" "$status" "$written" "$wanted" >&2
        failed=$((failed + 1))
    fi
done
[ "$failed" = 0 ] || { echo "$failed of the manual's $# examples failed" >&2; exit 1; }
echo "all $# examples of the manual passed"
