# man/synopsis.awk -- the SYNOPSIS of an mdoc page as C declarations
#
# Compiled after the headers that the page includes, they declare every function
# once more, so that any difference between page and header is an error, with
# #line pointing at the page.
#
# usage: awk -f man/synopsis.awk PAGE | cc -xc -fsyntax-only -

function unquoted(text) {
    gsub(/"/, "", text)
    return text
}

function declare(line, name, parameters) {
    printf "#line %d \"%s\"\n%s %s(%s);\n", line, FILENAME, type, name, parameters
}

/^\.Sh / { in_synopsis = ($2 == "SYNOPSIS"); next }
!in_synopsis { next }
/^\.In / { print "#include <" $2 ">" }
/^\.Ft / { type = unquoted(substr($0, 5)) }
/^\.Fn / {
    rest = $0
    sub(/^\.Fn [^ ]+ ?/, "", rest)
    list = ""
    while (match(rest, /"[^"]*"|[^ ]+/)) {
        list = list (list == "" ? "" : ", ") unquoted(substr(rest, RSTART, RLENGTH))
        rest = substr(rest, RSTART + RLENGTH)
    }
    declare(FNR, $2, list)
}
/^\.Fo / { name = $2; begun = FNR; list = "" }
/^\.Fa / { list = list (list == "" ? "" : ", ") unquoted(substr($0, 5)) }
/^\.Fc/ { declare(begun, name, list) }
