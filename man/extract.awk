# man/extract.awk -- one EXAMPLE of an mdoc page: its program, or its output
#
#   .\" EXAMPLE BEGIN nursery_greet.c
#   .Bd -literal -offset indent
#   ... a whole program ...
#   .Ed
#   .\" EXAMPLE END
#   .\" EXAMPLE OUTPUT: a line that it writes (as many of these as it takes)
#
# usage: awk -v want=nursery_greet.c [-v output=1] -f man/extract.awk PAGE...
# The program comes with #line, so that errors point at the page.

$1 == ".\\\"" && $2 == "EXAMPLE" && $3 == "BEGIN" { take = mine = ($4 == want); next }
$1 == ".\\\"" && $2 == "EXAMPLE" && $3 == "END" { take = 0; next }
$1 == ".\\\"" && $2 == "EXAMPLE" && $3 == "OUTPUT:" && mine && output {
    sub(/^\.\\" EXAMPLE OUTPUT: ?/, "")
    print
}
output { next }
take && /^\.Bd/ {
    printf "#line %d \"%s\"\n", FNR + 1, FILENAME
    body = 1
    next
}
take && /^\.Ed/ { body = 0 }
take && body {
    gsub(/\\e/, "\\")
    gsub(/\\-/, "-")
    sub(/^\\&/, "")
    print
}
