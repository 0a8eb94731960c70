#!/bin/sh
# test/installed.sh -- an installed coir, as a stranger's program finds it
#
# Installs into a temporary folder; compiles every public header alone, as C and
# as C++; builds a program through pkg-config against the shared library, against
# the archive and wholly static, and runs it; looks at the shared library as a
# packager would; finds a page for every name; uninstalls, and nothing remains.
# Environment: CC, MAKE, BUILD, as the Makefile has them.
set -eu
CC=${CC:-cc}
MAKE=${MAKE:-make}
BUILD=${BUILD:-build}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 1' HUP INT TERM

fail() {
    echo "installed.sh: $*" >&2
    exit 1
}
make_quietly() {
    "$MAKE" -s BUILD="$BUILD" CC="$CC" "$@" > "$work/log" 2>&1 || {
        cat "$work/log" >&2
        fail "make $* failed"
    }
}

# ---- Where DESTDIR and PREFIX say, and nowhere else.
make_quietly install DESTDIR="$work/stage" PREFIX=/opt/coir
[ "$(ls "$work/stage")" = opt ] || fail "install wrote outside of PREFIX"
grep -qx 'prefix=/opt/coir' "$work/stage/opt/coir/lib/pkgconfig/coir.pc" ||
    fail "coir.pc does not have the prefix"
make_quietly uninstall DESTDIR="$work/stage" PREFIX=/opt/coir
left=$(find "$work/stage" ! -type d)
[ -z "$left" ] || fail "uninstall left: $left"

prefix=$work/prefix
make_quietly install PREFIX="$prefix"
export PKG_CONFIG_PATH="$prefix/lib/pkgconfig"
export LD_LIBRARY_PATH="$prefix/lib"
cd "$work"

# ---- Headers: each alone, in any order, strictly.
flags='-Wall -Wextra -Wpedantic -Werror -fsyntax-only'
# shellcheck disable=SC2046,SC2086 # words
for header in coir.h $(cd "$prefix/include" && ls coir/*.h); do
    echo "#include <$header>" > one.c
    $CC -std=c11 $flags $(pkg-config --cflags coir) one.c || fail "$header as C"
    command -v g++ >/dev/null || continue
    cp one.c one.cc
    g++ -std=c++11 $flags $(pkg-config --cflags coir) one.cc || fail "$header as C++"
done

# ---- A program, linked in three ways.
cat > program.c <<'END'
#include <coir.h>
#include <stdio.h>

static int add_one(void *sum)
{
    int rc = coir_sleep(COIR_MS(1));
    __atomic_fetch_add((int *)sum, 1, __ATOMIC_RELAXED);
    return rc;
}

static int body(void *sum)
{
    coir_nursery nursery;
    coir_nursery_open(&nursery);
    for (int i = 0; i < 100; i++)
        if (coir_go(&nursery, add_one, sum) < 0)
            return coir_nursery_close_with(&nursery, -1);
    return coir_nursery_close(&nursery);
}

int main(void)
{
    int sum = 0;
    int rc = coir_run(body, &sum);
    printf("%d %d\n", rc, sum);
    return 0;
}
END
built() { # NAME FLAGS...: build program.c so, run it
    name=$1
    shift
    $CC -o "$name" program.c "$@" 2> log || {
        cat log >&2
        fail "could not link: $*"
    }
    [ "$("./$name")" = '0 100' ] || fail "the $name program gives $("./$name")"
}
# shellcheck disable=SC2046 # words
{
    built shared $(pkg-config --cflags --libs coir)
    built archive $(pkg-config --cflags coir) "$prefix/lib/libcoir.a" -pthread
    built static -static $(pkg-config --static --cflags --libs coir)
}

# ---- The shared library: what it needs, what it shows, how it is mapped.
so=$prefix/lib/libcoir.so
readelf -dW "$so" > dynamic
readelf -lW "$so" > segments
needed=$(sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p' dynamic | grep -vE '^(libc|libgcc_s|ld-linux.*)\.so' || true)
[ -z "$needed" ] || fail "libcoir.so needs $needed"
grep -q 'SONAME.*\[libcoir\.so\.[0-9]*\]' dynamic || fail "no soname"
! grep -q TEXTREL dynamic || fail "text relocations"
grep -q 'FLAGS.*NOW' dynamic || fail "not bound at once"
grep -q GNU_RELRO segments || fail "no RELRO"
! grep 'GNU_STACK' segments | grep -q E || fail "an executable stack"
shown=$(nm -D --defined-only "$so" | awk '{ print $3 }' | grep -vE '^(coir_[a-hj-z]|coir_i[a-z]|COIR_)' || true)
[ -z "$shown" ] || fail "libcoir.so shows: $shown"

# ---- A page for every name, and what it refers to is there.
for name in $(nm -D --defined-only "$so" | awk '$2 == "T" { sub(/@.*/, "", $3); print $3 }'); do
    page=$prefix/share/man/man3/$name.3
    [ -s "$page" ] || fail "no page for $name"
    target=$(sed -n '1s/^\.so //p' "$page")
    [ -z "$target" ] || [ -s "$prefix/share/man/$target" ] || fail "$name.3 leads nowhere"
done

echo 'The installed copy works.'
