# test/lint/style.awk -- what a reader is promised of every C file
#
# 80 columns, no tabs, no trailing blanks, C comments; a head comment that names
# the file (.c); at most 500 lines a file and 60 a function; in the library,
# errno only in the files for thin system calls (elsewhere no more than its
# address, which a thread takes once); nothing left for later.
#
# usage: awk -f test/lint/style.awk FILE...

function wrong(what) {
    print FILENAME ":" FNR ": " what
    bad = 1
}

# The line without comments and string literals; `commented` is the state.
function code_of(line,    out, at) {
    out = ""
    while (line != "") {
        if (commented) {
            at = index(line, "*/")
            if (!at)
                return out
            line = substr(line, at + 2)
            commented = 0
        } else if (match(line, /\/\*|"([^"\\]|\\.)*"|\/\//)) {
            out = out substr(line, 1, RSTART - 1)
            token = substr(line, RSTART, 2)
            line = substr(line, RSTART + RLENGTH)
            if (token == "/*")
                commented = 1
            else if (token == "//")
                return out "//" line
        } else {
            return out line
        }
    }
    return out
}

FNR == 1 {
    commented = 0
    begun = 0
    library = FILENAME ~ /^(fiber|sched|io|pools)\//
    if (FILENAME ~ /\.c$/ && index($0, "/* " FILENAME " -- ") != 1)
        wrong("does not begin with /* " FILENAME " -- what it is")
}

{
    code = code_of($0)
    if (length($0) > 80)
        wrong("more than 80 columns")
    if (/\t/)
        wrong("a tab")
    if (/[ \t]$/)
        wrong("blanks at the end")
    if (index(code, "//"))
        wrong("comments are /* */")
    if (/TODO|FIXME|XXX|HACK/)
        wrong("left for later")
    if (library && FILENAME !~ /\/sys(_[a-z]+)?\.[ch]$/ && code !~ /^#include/ && code ~ /(^|[^a-z_&])errno([^a-z_]|$)/)
        wrong("errno outside the files for system calls")
    if (FNR == 501)
        wrong("more than 500 lines: is there more than one concept in it?")
}

code ~ /^\{/ { begun = FNR }
code ~ /^\}/ && begun {
    if (FNR - begun - 1 > 60)
        wrong("a function of " FNR - begun - 1 " lines")
    begun = 0
}

END { exit bad }
