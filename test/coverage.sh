#!/bin/sh
# test/coverage.sh FOLDER LAYER... -- lines of each file that the suites ran
#
# FOLDER is a build with --coverage whose suites have run. $COVERAGE_MIN is the
# share of all lines, in percent, below which this fails. What is killed, as
# worker processes are, writes no counts: its lines look as if they never ran.
set -u
folder=$1
shift
for layer in "$@"; do
    for source in "$layer"/*.c; do
        gcov -n -o "$folder/$layer" "$source" 2>/dev/null
    done
done | awk -v least="${COVERAGE_MIN:-0}" '
    /^File / { split($0, part, "\047"); file = part[2] }
    /^Lines executed:/ && file ~ /\.c$/ {
        sub(/^Lines executed:/, "")
        split($0, part, /% of /)
        printf "%6.1f %%  of %4d  %s\n", part[1], part[2], file
        ran += part[1] / 100 * part[2]
        lines += part[2]
        file = ""
    }
    END {
        share = lines ? 100 * ran / lines : 0
        printf "%6.1f %%  of %4d  in all\n", share, lines
        exit share < least
    }'
