/* io/sys.c -- the system calls of io
 *
 * Does       each call once, or again after EINTR, and negates its error.
 * Does not   decide anything, but how SIGPIPE is kept from being raised where
 *            the kernel has no flag for it: it is blocked in this thread for
 *            the write and taken from the queue after it.
 * Edges      none: what is remembered of the kernel is a hint.
 * Tests      test/test_readwrite_kinds.c */
#include "io/sys.h"

#include "fiber/atomics.h"
#include "fiber/invariant.h"
#include "sched/sys.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#ifndef RWF_NOSIGNAL
#    define RWF_NOSIGNAL 0x00000100 /* Linux 6.18 */
#endif

#if __has_include(<valgrind/valgrind.h>)
#    include <valgrind/valgrind.h>
#else
#    define RUNNING_ON_VALGRIND 0
#endif

int (*coir_i_sys_fault)(const char *name);

/* Is there no epoll_pwait2? relaxed: a hint. */
static _Atomic(bool) is_coarse;

/* rc = call, -ERRNO for a failure; `again` while a signal interrupts. */
#define CALL(rc, name, again, call)                    \
    do {                                               \
        rc = 0;                                        \
        if (coir_i_unlikely(coir_i_sys_fault != NULL)) \
            rc = coir_i_sys_fault(name);               \
        if (rc < 0)                                    \
            break;                                     \
        rc = (call);                                   \
        if (rc < 0)                                    \
            rc = -errno;                               \
    } while ((again) && rc == -EINTR)

ssize_t coir_i_sys_recv(int fd, void *buf, size_t size, int flags)
{
    ssize_t rc;
    CALL(rc, "recv", true, recv(fd, buf, size, flags | MSG_DONTWAIT));
    return rc;
}

ssize_t coir_i_sys_send(int fd, const void *buf, size_t size, int flags)
{
    ssize_t rc;
    flags |= MSG_DONTWAIT | MSG_NOSIGNAL;
    CALL(rc, "send", true, send(fd, buf, size, flags));
    return rc;
}

ssize_t coir_i_sys_read_now(int fd, void *buf, size_t size)
{
    struct iovec piece = {.iov_base = buf, .iov_len = size};
    ssize_t rc;
    CALL(rc, "preadv2", true, preadv2(fd, &piece, 1, -1, RWF_NOWAIT));
    return rc;
}

ssize_t coir_i_sys_read(int fd, void *buf, size_t size)
{
    ssize_t rc;
    CALL(rc, "read", true, read(fd, buf, size));
    return rc;
}

/* A write whose SIGPIPE stays in this thread and is taken from it; unless it
 * was pending before, when the program wants it so. */
static ssize_t write_quietly(int fd, const void *buf, size_t size, int flags)
{
    static const struct timespec at_once;
    struct iovec piece = {.iov_base = (void *)(uintptr_t)buf, .iov_len = size};
    sigset_t pipe_signal, before, pending;
    ssize_t rc;

    sigemptyset(&pipe_signal);
    sigaddset(&pipe_signal, SIGPIPE);
    sigpending(&pending);
    pthread_sigmask(SIG_BLOCK, &pipe_signal, &before);
    CALL(rc, "pwritev2", true, pwritev2(fd, &piece, 1, -1, flags));
    if (rc == -EPIPE && !sigismember(&pending, SIGPIPE))
        sigtimedwait(&pipe_signal, NULL, &at_once);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return rc;
}

static ssize_t write_with(int fd, const void *buf, size_t size, int flags)
{
    /* Does the kernel know RWF_NOSIGNAL? -1: it is not known yet. */
    static _Atomic(int) has_no_signal = -1;
    struct iovec piece = {.iov_base = (void *)(uintptr_t)buf, .iov_len = size};
    int knows = load_relaxed(&has_no_signal); /* a hint */
    ssize_t rc;

    if (!knows)
        return write_quietly(fd, buf, size, flags);
    CALL(rc, "pwritev2", true,
         pwritev2(fd, &piece, 1, -1, flags | RWF_NOSIGNAL));
    if (rc != -EOPNOTSUPP) {
        if (knows < 0)
            store_relaxed(&has_no_signal, 1); /* a hint */
        return rc;
    }
    if (knows > 0 && flags)
        return rc;
    rc = write_quietly(fd, buf, size, flags);
    if (rc != -EOPNOTSUPP)
        store_relaxed(&has_no_signal, 0); /* a hint */
    return rc;
}

ssize_t coir_i_sys_write_now(int fd, const void *buf, size_t size)
{
    return write_with(fd, buf, size, RWF_NOWAIT);
}

ssize_t coir_i_sys_write(int fd, const void *buf, size_t size)
{
    return write_with(fd, buf, size, 0);
}

int coir_i_sys_poll(int fd, short events)
{
    struct pollfd one = {.fd = fd, .events = events};
    int rc;
    CALL(rc, "poll", true, poll(&one, 1, 0));
    if (rc <= 0)
        return rc;
    return one.revents & POLLNVAL ? -EBADF : one.revents;
}

int coir_i_sys_close(int fd)
{
    int rc;
    CALL(rc, "close", false, close(fd));
    return rc == -EINTR ? 0 : rc;
}

int coir_i_sys_flags(int fd)
{
    int rc;
    CALL(rc, "fcntl", false, fcntl(fd, F_GETFL));
    return rc;
}

int coir_i_sys_is_fifo(int fd)
{
    struct stat status;
    int rc;
    CALL(rc, "fstat", false, fstat(fd, &status));
    return rc < 0 ? rc : S_ISFIFO(status.st_mode);
}

int coir_i_sys_socket(int family, int type)
{
    int rc;
    CALL(rc, "socket", false,
         socket(family, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    return rc;
}

int coir_i_sys_accept(int fd, struct sockaddr *from, socklen_t *length)
{
    int rc;
    CALL(rc, "accept4", true,
         accept4(fd, from, length, SOCK_CLOEXEC | SOCK_NONBLOCK));
    return rc;
}

int coir_i_sys_connect(int fd, const struct sockaddr *to, socklen_t length)
{
    int rc;
    CALL(rc, "connect", false, connect(fd, to, length));
    return rc;
}

int coir_i_sys_bind(int fd, const struct sockaddr *to, socklen_t length)
{
    int rc;
    CALL(rc, "bind", false, bind(fd, to, length));
    return rc;
}

int coir_i_sys_listen(int fd, int backlog)
{
    int rc;
    CALL(rc, "listen", false, listen(fd, backlog));
    return rc;
}

int coir_i_sys_option(int fd, int level, int name, void *value, socklen_t size)
{
    int rc;
    CALL(rc, "getsockopt", false, getsockopt(fd, level, name, value, &size));
    return rc;
}

int coir_i_sys_option_set(int fd, int level, int name, const void *value,
                          socklen_t size)
{
    int rc;
    CALL(rc, "setsockopt", false, setsockopt(fd, level, name, value, size));
    return rc;
}

int coir_i_sys_local(int fd, struct sockaddr *address, socklen_t *length)
{
    int rc;
    CALL(rc, "getsockname", false, getsockname(fd, address, length));
    return rc;
}

int coir_i_sys_peer(int fd, struct sockaddr *address, socklen_t *length)
{
    int rc;
    CALL(rc, "getpeername", false, getpeername(fd, address, length));
    return rc;
}

int coir_i_sys_is_socket_path(const char *path)
{
    struct stat status;
    int rc;
    CALL(rc, "lstat", false, lstat(path, &status));
    return rc < 0 ? rc : S_ISSOCK(status.st_mode);
}

int coir_i_sys_unlink(const char *path)
{
    int rc;
    CALL(rc, "unlink", false, unlink(path));
    return rc;
}

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

void *coir_i_sys_map(size_t size)
{
    enum { HOW = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE };
    if (coir_i_sys_fault && coir_i_sys_fault("mmap") < 0)
        return NULL;
    void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, HOW, -1, 0);
    return memory == MAP_FAILED ? NULL : memory;
}

void coir_i_sys_unmap(void *memory, size_t size)
{
    munmap(memory, size);
}
