#!/bin/sh
# test/lint/portable.sh ARCHIVE HEADERS -- nothing of it is Linux's or glibc's
#
# ARCHIVE was built with PORTABLE=1, so with COIR_I_NO_LINUX; HEADERS is what
# `cc -M` says of its sources. What they need is to be found on the BSDs and on
# macOS, too: calls and headers that some of these have, or have with other
# arguments, are not.
set -u
bad=0

for symbol in accept4 clone close_range dl_iterate_phdr dup3 epoll_create1 \
    epoll_ctl epoll_pwait2 epoll_wait eventfd fallocate getrandom gettid \
    membarrier memfd_create mremap pidfd_open pipe2 ppoll prctl preadv2 \
    program_invocation_name program_invocation_short_name \
    pthread_setname_np pwritev2 qsort_r sched_getaffinity sendfile \
    sigabbrev_np signalfd sigtimedwait splice syscall timer_create \
    timerfd_create timerfd_settime; do
    needed=$(nm -uA "$1" 2>/dev/null | awk -v symbol="$symbol" '
        { sub(/@.*/, "", $NF) }
        $NF == symbol { n = split($1, part, ":"); print part[n - 1] }' |
        sort -u | tr '\n' ' ')
    if [ -n "$needed" ]; then
        echo "not portable: $symbol, needed by $needed"
        bad=1
    fi
done

for header in linux/futex linux/membarrier linux/sched \
    stdio_ext sys/epoll sys/eventfd sys/inotify sys/prctl sys/sendfile \
    sys/signalfd sys/single_threaded sys/syscall sys/timerfd; do
    wanted=$(awk -v header="/include/([a-z0-9_-]+/)?$header\\.h" '
        $1 ~ /\.o:$/ { source = $1 }
        $0 ~ header { print source }' "$2" | sort -u | tr '\n' ' ')
    if [ -n "$wanted" ]; then
        echo "not portable: <$header.h>, wanted by $wanted"
        bad=1
    fi
done
exit $bad
