#!/bin/sh
# test/lint/layers.sh LAYER... -- nothing runs upward (lowest layer first)
#
# What the include paths of the Makefile cannot see: quoted includes, an upward
# <coir/x.h> satisfied by an installed coir, an internal header that would hide
# a system header of that name, and, in the objects under $BUILD, a lower layer
# that needs a symbol of a higher one.
set -u
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT
bad=0

wrong() {
    echo "$*"
    bad=1
}

included_by() { # LAYER PATTERN: what its files include in such brackets
    find "$1" -name '*.[ch]' ! -path pools/coir.h \
        -exec sed -n "s/^ *# *include $2.*/\\1/p" {} + | sort -u
}
defined_in() { # LAYER: the global symbols that its objects define
    nm -g --defined-only "$BUILD/$1"/*.o 2>/dev/null |
        awk 'NF == 3 { print $3 }'
}
needed_by() { # LAYER: those that they need, each with the object
    nm -gA --undefined-only "$BUILD/$1"/*.o 2>/dev/null |
        awk '{ sub(/:.*/, "", $1); print $NF, $1 }' | sort -u
}

# ---- Includes.
below= # the layers so far, with the present one
for layer in "$@"; do
    below="$below $layer"
    included_by "$layer" '<\(coir\/[a-z_]*\.h\)>' > "$work/contracts"
    while read -r header; do
        found=
        for l in $below; do [ -e "$l/$header" ] && found=1; done
        [ -n "$found" ] || wrong "$layer: <$header> is of no layer up to this"
    done < "$work/contracts"
    included_by "$layer" '"\([a-z_/]*\)\.h"' > "$work/mechanisms"
    while read -r header; do
        case " $below " in
        *" ${header%%/*} "*) ;;
        *) wrong "$layer: \"$header.h\" is of no layer up to this" ;;
        esac
    done < "$work/mechanisms"
    for header in "$layer"/*.h; do
        [ ! -e "/usr/include/${header##*/}" ] ||
            wrong "$header is named like a system header"
    done
done

# ---- Symbols: from the highest layer down, what is defined only above.
: > "$work/above"
highest_first=
for layer in "$@"; do highest_first="$layer $highest_first"; done
for layer in $highest_first; do
    needed_by "$layer" | join - "$work/above" > "$work/upward"
    while read -r symbol object; do
        wrong "$object needs $symbol, which a higher layer defines"
    done < "$work/upward"
    defined_in "$layer" >> "$work/above"
    sort -u -o "$work/above" "$work/above"
done
exit $bad
