/* io/sys_readwrite.c -- the system calls that move bytes of any descriptor
 *
 * Does       each call once, or again after EINTR, and negates its error.
 * Does not   decide anything, but how SIGPIPE is kept from being raised where
 *            the kernel has no flag for it: it is blocked in this thread for
 *            the call and taken from the queue after it; unless it was pending
 *            before, when the program wants it so.
 * Edges      none: what is remembered of the kernel is a hint.
 * Fails      as the calls.
 * Tests      test/test_readwrite_kinds.c, test/test_vector.c,
 *            test/test_sendfile.c */
#include "fiber/atomics.h"
#include "fiber/platform.h"
#include "io/sys_call.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/uio.h>
#include <unistd.h>

#if COIR_I_LINUX
#    include <sys/sendfile.h>
#    ifndef RWF_NOSIGNAL
#        define RWF_NOSIGNAL 0x00000100 /* Linux 6.18 */
#    endif
#endif

/* ---- Without SIGPIPE. */

struct quiet {
    sigset_t before;
    bool was_pending;
};

static void begin_quiet(struct quiet *ret_quiet)
{
    sigset_t pipe_signal, pending;
    sigemptyset(&pipe_signal);
    sigaddset(&pipe_signal, SIGPIPE);
    sigpending(&pending);
    ret_quiet->was_pending = sigismember(&pending, SIGPIPE);
    pthread_sigmask(SIG_BLOCK, &pipe_signal, &ret_quiet->before);
}

/* Take one of the set, if there is one. */
static void take_pending(const sigset_t *set)
{
#if COIR_I_LINUX
    static const struct timespec at_once;
    sigtimedwait(set, NULL, &at_once);
#else
    sigset_t pending;
    int signal;
    sigpending(&pending);
    if (sigismember(&pending, SIGPIPE))
        sigwait(set, &signal);
#endif
}

/* It may have been raised after a part was moved, so that no error tells. */
static void end_quiet(const struct quiet *quiet)
{
    sigset_t pipe_signal;
    sigemptyset(&pipe_signal);
    sigaddset(&pipe_signal, SIGPIPE);
    if (!quiet->was_pending)
        take_pending(&pipe_signal);
    pthread_sigmask(SIG_SETMASK, &quiet->before, NULL);
}

/* ---- Reading. */

ssize_t coir_i_sys_readv(int fd, const struct iovec *iov, int count)
{
    ssize_t rc;
    CALL(rc, "readv", true, readv(fd, iov, count));
    return rc;
}

ssize_t coir_i_sys_read_at(int fd, void *buf, size_t size, off_t at)
{
    ssize_t rc;
    CALL(rc, "pread", true, pread(fd, buf, size, at));
    return rc;
}

off_t coir_i_sys_seek(int fd, off_t at, int whence)
{
    off_t rc;
    CALL(rc, "lseek", false, lseek(fd, at, whence));
    return rc;
}

#if COIR_I_LINUX

/* ---- What other systems have not: flags of one call. */

ssize_t coir_i_sys_read_now(int fd, const struct iovec *iov, int count)
{
    ssize_t rc;
    CALL(rc, "preadv2", true, preadv2(fd, iov, count, -1, RWF_NOWAIT));
    return rc;
}

ssize_t coir_i_sys_read_at_now(int fd, void *buf, size_t size, off_t at)
{
    struct iovec piece = {.iov_base = buf, .iov_len = size};
    ssize_t rc;
    CALL(rc, "preadv2", true, preadv2(fd, &piece, 1, at, RWF_NOWAIT));
    return rc;
}

static ssize_t write_quietly(int fd, const struct iovec *iov, int count,
                             int flags)
{
    struct quiet quiet;
    ssize_t rc;
    begin_quiet(&quiet);
    CALL(rc, "pwritev2", true, pwritev2(fd, iov, count, -1, flags));
    end_quiet(&quiet);
    return rc;
}

static ssize_t write_with(int fd, const struct iovec *iov, int count, int flags)
{
    /* Does the kernel know RWF_NOSIGNAL? -1: it is not known yet. */
    static _Atomic(int) has_no_signal = -1;
    int knows = load_relaxed(&has_no_signal); /* a hint */
    ssize_t rc;

    if (!knows)
        return write_quietly(fd, iov, count, flags);
    CALL(rc, "pwritev2", true,
         pwritev2(fd, iov, count, -1, flags | RWF_NOSIGNAL));
    if (rc != -EOPNOTSUPP) {
        if (knows < 0)
            store_relaxed(&has_no_signal, 1); /* a hint */
        return rc;
    }
    if (knows > 0 && flags)
        return rc;
    rc = write_quietly(fd, iov, count, flags);
    if (rc != -EOPNOTSUPP)
        store_relaxed(&has_no_signal, 0); /* a hint */
    return rc;
}

ssize_t coir_i_sys_write_now(int fd, const struct iovec *iov, int count)
{
    return write_with(fd, iov, count, RWF_NOWAIT);
}

ssize_t coir_i_sys_writev(int fd, const struct iovec *iov, int count)
{
    return write_with(fd, iov, count, 0);
}

ssize_t coir_i_sys_sendfile(int out, int in, off_t *at, size_t size)
{
    struct quiet quiet;
    ssize_t rc;
    begin_quiet(&quiet);
    CALL(rc, "sendfile", true, sendfile(out, in, at, size));
    end_quiet(&quiet);
    return rc;
}

#else

/* ---- No call can be asked not to wait, and none to be quiet; but what its
 * maker has set not to wait does not, and a one-way street is none the other
 * way. */

static bool is_waiting(int fd, int wrong_way, int *ret_error)
{
    int flags = fcntl(fd, F_GETFL);
    *ret_error = flags < 0 ? -errno : 0;
    if (flags >= 0 && (flags & O_ACCMODE) == wrong_way)
        *ret_error = -EBADF;
    return !(flags & O_NONBLOCK);
}

ssize_t coir_i_sys_read_now(int fd, const struct iovec *iov, int count)
{
    int error;
    bool waits = is_waiting(fd, O_WRONLY, &error);
    if (error < 0)
        return error;
    return waits ? -EOPNOTSUPP : coir_i_sys_readv(fd, iov, count);
}

ssize_t coir_i_sys_read_at_now(int fd, void *buf, size_t size, off_t at)
{
    (void)fd, (void)buf, (void)size, (void)at;
    return -EOPNOTSUPP;
}

ssize_t coir_i_sys_writev(int fd, const struct iovec *iov, int count)
{
    struct quiet quiet;
    ssize_t rc;
    begin_quiet(&quiet);
    CALL(rc, "writev", true, writev(fd, iov, count));
    end_quiet(&quiet);
    return rc;
}

ssize_t coir_i_sys_write_now(int fd, const struct iovec *iov, int count)
{
    int error;
    bool waits = is_waiting(fd, O_RDONLY, &error);
    if (error < 0)
        return error;
    return waits ? -EOPNOTSUPP : coir_i_sys_writev(fd, iov, count);
}

ssize_t coir_i_sys_sendfile(int out, int in, off_t *at, size_t size)
{
    (void)out, (void)in, (void)at, (void)size;
    return -ENOSYS;
}

#endif
