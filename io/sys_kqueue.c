/* io/sys_kqueue.c -- the system calls of kqueue
 *
 * Does       each call once, or again after EINTR where it made changes, and
 *            negates its error.
 * Edges      none.
 * Tests      test/test_poller_kqueue.c */
#include "fiber/platform.h"
#include "io/sys_call.h"

#if !COIR_I_LINUX
#    include "io/sys_kqueue.h"
#    include "sched/sys.h"

#    include <fcntl.h>
#    include <sys/stat.h>
#    include <time.h>
#    include <unistd.h>

int coir_i_sys_kqueue(void)
{
    int kq;
    CALL(kq, "kqueue", false, kqueue());
    if (kq >= 0 && fcntl(kq, F_SETFD, FD_CLOEXEC) < 0) {
        int rc = -errno;
        close(kq);
        return rc;
    }
    return kq;
}

int coir_i_sys_kevent(int kq, const struct kevent *changes,
                      struct kevent *receipts, int count)
{
    int rc;
    CALL(rc, "kevent", true, kevent(kq, changes, count, receipts, count, NULL));
    if (rc < 0)
        return rc;
    return rc == count ? 0 : -EIO;
}

int coir_i_sys_kevent_wait(int kq, struct kevent *events, int room,
                           coir_time until)
{
    struct timespec left = {0};
    int rc;
    if (until != 0 && until != COIR_NEVER) {
        coir_time length = until - coir_i_sys_now();
        if (length > 0) {
            left.tv_sec = length / 1000000000;
            left.tv_nsec = length % 1000000000;
        }
    }
    const struct timespec *timeout = until == COIR_NEVER ? NULL : &left;
    CALL(rc, "kevent_wait", false, kevent(kq, NULL, 0, events, room, timeout));
    return rc;
}

int coir_i_sys_is_plain_file(int fd)
{
    struct stat status;
    int rc;
    CALL(rc, "fstat", false, fstat(fd, &status));
    if (rc < 0)
        return rc;
    return S_ISREG(status.st_mode) || S_ISDIR(status.st_mode);
}

#endif
