#!/bin/sh
# test/lint/symbols.sh ARCHIVE SHARED PAGE... -- exported is documented
#
# Every symbol that libcoir.so shows is the .Nm of exactly one page, and the
# other way round; whatever libcoir.a shows to a linker begins with coir_.
set -u
archive=$1
shared=$2
shift 2
work=$(mktemp -d) || exit 1
trap 'rm -rf "$work"' EXIT

nm -D --defined-only "$shared" | awk '$2 ~ /[TDBRVWi]/ { sub(/@.*/, "", $3); print $3 }' |
    sort > "$work/exported"
sed -n '/^\.Sh NAME/,/^\.Nd/s/^\.Nm \([a-z_]*\).*/\1/p' "$@" | sort > "$work/documented"
nm -g --defined-only "$archive" | awk 'NF == 3 && $3 !~ /^coir_/ { print $3 }' > "$work/foreign"

bad=0
if ! diff "$work/documented" "$work/exported" > "$work/diff"; then
    sed -n 's/^</documented, not exported (or in two pages):/p; s/^>/exported, not documented:/p' "$work/diff"
    bad=1
fi
if [ -s "$work/foreign" ]; then
    sed 's/^/not of the coir_ family in the archive: /' "$work/foreign"
    bad=1
fi
exit $bad
