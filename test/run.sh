#!/bin/sh
# test/run.sh SUITE... -- run the suites one by one; which failed?
#
# $TEST_UNDER, if it is set, is what they run under: valgrind, say.
set -u
failed=
for suite in "$@"; do
    # shellcheck disable=SC2086 # words
    ${TEST_UNDER:-} "$suite" </dev/null || failed="$failed ${suite##*/}"
done
if [ -n "$failed" ]; then
    echo "Suites that failed:$failed" >&2
    exit 1
fi
echo "All $# suites passed."
