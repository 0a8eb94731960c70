/* io/sys_epoll.c -- the system calls of epoll
 *
 * Does       each call once, and negates its error.
 * Edges      none: what is remembered of the kernel is a hint.
 * Fails      as the calls.
 * Tests      test/test_poller.c */
#include "fiber/platform.h"
#include "io/sys_call.h"

#if COIR_I_LINUX
#    include "fiber/atomics.h"
#    include "io/sys_epoll.h"
#    include "sched/sys.h"

#    include <limits.h>
#    include <sys/eventfd.h>
#    include <unistd.h>

#    if __has_include(<valgrind/valgrind.h>)
#        include <valgrind/valgrind.h>
#    else
#        define RUNNING_ON_VALGRIND 0
#    endif

/* Is there no epoll_pwait2? relaxed: a hint. */
static _Atomic(bool) is_coarse;

int coir_i_sys_epoll(void)
{
    int rc;
    if (RUNNING_ON_VALGRIND) /* which complains of epoll_pwait2 */
        store_relaxed(&is_coarse, true);
    CALL(rc, "epoll_create1", false, epoll_create1(EPOLL_CLOEXEC));
    return rc;
}

int coir_i_sys_epoll_ctl(int epoll, int op, int fd, uint32_t events,
                         uint64_t tag)
{
    struct epoll_event event = {.events = events, .data = {.u64 = tag}};
    int rc;
    CALL(rc, "epoll_ctl", false, epoll_ctl(epoll, op, fd, &event));
    return rc;
}

/* Where the kernel has no epoll_pwait2 (before Linux 5.11): in milliseconds,
 * rounded up, so that nothing comes too early. */
static int wait_coarsely(int epoll, struct epoll_event *events, int count,
                         coir_time length)
{
    coir_time ms = length == COIR_NEVER ? -1 : (length + 999999) / 1000000;
    int rc;
    if (ms > INT_MAX)
        ms = INT_MAX;
    CALL(rc, "epoll_wait", false, epoll_wait(epoll, events, count, (int)ms));
    return rc;
}

int coir_i_sys_epoll_wait(int epoll, struct epoll_event *events, int count,
                          coir_time until)
{
    coir_time length = until;
    struct timespec left;
    int rc;

    if (until != 0 && until != COIR_NEVER) {
        length = until - coir_i_sys_now();
        length = length > 0 ? length : 0;
    }
    if (length == 0 || length == COIR_NEVER || load_relaxed(&is_coarse))
        return wait_coarsely(epoll, events, count, length);
    left.tv_sec = length / 1000000000;
    left.tv_nsec = length % 1000000000;
    CALL(rc, "epoll_pwait2", false,
         epoll_pwait2(epoll, events, count, length == COIR_NEVER ? NULL : &left,
                      NULL));
    if (rc != -ENOSYS)
        return rc;
    store_relaxed(&is_coarse, true);
    return wait_coarsely(epoll, events, count, length);
}

int coir_i_sys_eventfd(void)
{
    int rc;
    CALL(rc, "eventfd", false, eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    return rc;
}

void coir_i_sys_eventfd_add(int fd)
{
    static const uint64_t one = 1;
    ssize_t rc;
    do {
        rc = write(fd, &one, sizeof one);
    } while (rc < 0 && errno == EINTR);
}

#endif
