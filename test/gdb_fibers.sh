#!/bin/sh
# test/gdb_fibers.sh -- the gdb script: fibers of a program, and of a core file
#
# A program without debug information of its own stops with some fibers parked.
# What gdb shows of them, alive and in a core file, has to be the same.
# Passes with a word where there is no gdb, or it may not trace.
# Environment: CC, BUILD, as the Makefile has them.
set -eu
CC=${CC:-cc}
BUILD=${BUILD:-build}
command -v gdb > /dev/null || {
    echo 'No gdb: its script was not tested.'
    exit 0
}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM

cat > "$work/program.c" <<'END'
#include <coir.h>
#include <signal.h>

static __attribute__((noinline)) int doze(int depth)
{
    int rc = depth ? doze(depth - 1) : coir_sleep(COIR_SECONDS(1000));
    __asm__ volatile("");
    return rc;
}

static int nap(void *depth)
{
    coir_name_set("napper");
    int rc = doze(*(int *)depth);
    __asm__ volatile("");
    return rc;
}

static int body(void *depth)
{
    coir_nursery nursery;
    coir_nursery_open(&nursery);
    int rc = coir_go(&nursery, nap, depth);
    for (int i = 0; i < 10 && rc == 0; i++)
        rc = coir_sleep(COIR_MS(5));
    raise(SIGTRAP);
    coir_nursery_cancel(&nursery);
    return coir_nursery_close_with(&nursery, rc);
}

int main(void)
{
    int depth = 2;
    return coir_run(body, &depth);
}
END
# shellcheck disable=SC2086 # words
$CC -O1 -Ifiber -Isched -Iio -Ipools -o "$work/program" "$work/program.c" \
    "$BUILD/libcoir.a" -pthread

fail() {
    echo "gdb_fibers.sh: $*:" >&2
    cat "$work/shown" >&2
    exit 1
}
run_gdb() { # ARG...: into $work/shown
    COIR_WORKERS=2 gdb -nx -batch -ex 'set debuginfod enabled off' \
        -ex 'set confirm off' "$@" > "$work/shown" 2>&1 < /dev/null || true
}
shows() { # PATTERN
    grep -Eq "$1" "$work/shown" || fail "gdb does not show '$1'"
}
check_shown() {
    shows "^fiber 1 runs on worker [01], thread [0-9]+\$"
    shows "^fiber 2 'napper' waits: sleep, [0-9.]+ s so far\$"
    shows '^  #[0-9]+ +coir_i_switch \('
    shows '^  #[0-9]+ +doze \('
    shows '^  #[0-9]+ +nap \('
    shows '^  #[0-9]+ +coir_i_fiber_main \('
    [ "$(grep -c '^  #[0-9]* *doze (' "$work/shown")" -eq 6 ] ||
        fail 'not each of three calls is shown twice'
    shows '<doze\+'      # where fiber 2 left its own code
    shows '^there is no fiber 99$'
    shows '^#[0-9]+ .*body \(' # and the thread is where it was
}

script=$PWD/sched/coir-gdb.py
set -- -ex "source $script" -ex coir-fibers -ex 'coir-fibers bt' \
    -ex 'coir-fiber 2' -ex 'coir-fiber 2 info registers rip' \
    -ex 'coir-fiber 99' -ex bt
run_gdb -ex run "$@" -ex kill "$work/program"
if grep -qi 'operation not permitted\|could not trace' "$work/shown"; then
    echo 'gdb may not trace here: its script was not tested.'
    exit 0
fi
check_shown

# A core file of the kernel's. (gdb's own leaves out what has guard pages in it:
# all stacks of fibers.)
mkdir "$work/core"
(
    cd "$work/core"
    ulimit -c unlimited
    COIR_WORKERS=2 ../program || :
) > /dev/null 2>&1 || true
core=$(find "$work/core" -type f)
if [ -z "$core" ]; then
    echo 'gdb shows the fibers; no core file is to be had here.'
    exit 0
fi
run_gdb "$@" "$work/program" "$core"
check_shown
echo 'gdb shows the fibers, in a core file too.'
