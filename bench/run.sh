#!/bin/sh
# bench/run.sh -- ask every question and print one table
#
# Use        bench/run.sh [PROGRAM ...], else every $BUILD/bench/bench_*.
#            RUNS=3: so many runs of each question. TSV=1: the rows as they are,
#            with the peer's figure as one more field.
# Does       run each program; where there is a `go`, ask bench/peers the same
#            questions with as many workers, and where there is a python3 those
#            on pools; put what they say beside.
# Fails      exit status 1 if a program failed; the others are run all the same.
set -u

here=$(dirname "$0")
build=${BUILD:-build}
tab=$(printf '\t')
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

status=0
: >"$work/rows"
: >"$work/peers"

# ask PROGRAM: its rows
ask() {
    echo "  ${1##*/}" >&2
    TSV=1 "$1" >>"$work/rows" || {
        echo "bench: ${1##*/} failed" >&2
        status=1
    }
}

# median FILE: of the numbers in it
median() {
    sort -g "$1" | awk '{ v[NR] = $1 } END { if (NR) print v[int((NR + 1) / 2)] }'
}

# ask_go ID WORKERS: nothing where Go is not asked that
ask_go() {
    : >"$work/figures"
    for _ in 1 2 3; do
        GOMAXPROCS=$2 timeout 60 "$work/go" "$1" >>"$work/figures" || return 0
    done
    printf '%s\t%s\t%s\n' "$1" "$2" "$(median "$work/figures")" >>"$work/peers"
}

# ask_python ID WORKERS: likewise
ask_python() {
    : >"$work/figures"
    for _ in 1 2 3; do
        timeout 60 python3 "$here/peers/pools.py" "$1" >>"$work/figures" ||
            return 0
    done
    printf '%s\t%s\t%s\n' "$1" "$2" "$(median "$work/figures")" >>"$work/peers"
}

[ $# -gt 0 ] || set -- "$build"/bench/bench_*
for program; do
    [ -f "$program" ] && [ -x "$program" ] && ask "$program"
done

cut -f 1,2 "$work/rows" >"$work/questions"
if command -v go >/dev/null 2>&1; then
    echo "  $(go version)" >&2
    if GO111MODULE=off GOCACHE=$work/cache go build -o "$work/go" \
        "$here"/peers/*.go; then
        while IFS=$tab read -r id workers; do
            ask_go "$id" "$workers"
        done <"$work/questions"
    fi
fi
if command -v python3 >/dev/null 2>&1; then
    while IFS=$tab read -r id workers; do
        ask_python "$id" "$workers"
    done <"$work/questions"
fi

awk -F '\t' -v OFS='\t' -v tsv="${TSV:-}" '
function figure(x) {
    if (x == "" || x == "-")
        return "-"
    return sprintf(x < 10 ? "%.2f" : x < 100 ? "%.1f" : "%.0f", x)
}
function line(text, unit, workers, median, target, ratio, other, mark) {
    printf "%-38s %5s %7s %8s %8s %6s %8s%s\n", text, unit, workers, median,
        target, ratio, other, mark
}
FILENAME == ARGV[1] { peer[$1, $2] = $3; asked = 1; next }
tsv == "1" { print $0, (($1, $2) in peer ? peer[$1, $2] : "-"); next }
FNR == 1 {
    line("", "", "workers", "median", "target", "ratio", asked ? "peer" : "", "")
}
{
    rows++
    too_much = $7 != "-" && $7 > 1
    missed += too_much
    line($8, $5, $2, figure($3), figure($6), figure($7),
        asked ? figure(peer[$1, $2]) : "", too_much ? "  missed" : "")
}
END {
    if (tsv != "1" && rows)
        print missed ? missed " missed" : "every target is reached"
}
' "$work/peers" "$work/rows"
exit $status
