# test/lint/edges.awk -- every ordered atomic has a label, every label two ends
#
#   /* @publish ring.slot: ... */   before a release
#   /* @observe ring.slot: ... */   before an acquire
#   /* @dekker idle.sleep: ... */   before a seq_cst operation or fence: two or
#                                   more sites
#
# A label stands at most 8 lines before its operation. One operation may be both
# ends (acq_rel): then its comment has both labels.
#
# usage: awk -f test/lint/edges.awk FILE...    -v list=1 prints the labels

function wrong(where, what) {
    print where ": " what
    bad = 1
}

FNR == 1 { labeled = 0 }

/@(publish|observe|dekker) +[a-z_.]+/ {
    rest = $0
    while (match(rest, /@(publish|observe|dekker) +[a-z_.]+/)) {
        split(substr(rest, RSTART + 1, RLENGTH - 1), word, / +/)
        sub(/\.$/, "", word[2])
        ends[word[1], word[2]]++
        if (!(word[2] in first))
            first[word[2]] = FILENAME ":" FNR
        labeled = FNR
        rest = substr(rest, RSTART + RLENGTH)
    }
}

/(load|store|exchange|cas|fence|fetch_[a-z]+)_(acquire|release|acq_rel|seq_cst) *\(/ && FILENAME !~ /fiber\/atomics\.h$/ {
    code = $0
    gsub(/\/\*.*\*\//, "", code)
    if (code !~ /^ *\*|^ *\/\*|^#define/ && (!labeled || FNR - labeled > 8))
        wrong(FILENAME ":" FNR, "an ordered atomic without a label: " code)
}

/memory_order_|__atomic_|__sync_/ && FILENAME !~ /fiber\/atomics\.h$/ {
    wrong(FILENAME ":" FNR, "only fiber/atomics.h spells a memory order")
}

END {
    for (label in first) {
        if (list)
            print label
        if (!(ends["publish", label] && ends["observe", label]) && ends["dekker", label] < 2)
            wrong(first[label], "edge '" label "' has only one end")
    }
    exit bad
}
