/* io/sys_process.c -- the system calls for signals and children
 *
 * Does       each call once, and negates its error.
 *
 * Linux has eventfds and pidfds. Elsewhere a pipe is the bell, and what stands
 * for a child is a kqueue of its own with nothing in it but that process: a
 * kqueue is readable while it has an event.
 *
 * Edges      none.
 * Tests      test/test_signals.c, test/test_waitpid.c, and the other half of
 *            it `make portable` */
#include "io/sys_process.h"

#include "fiber/platform.h"
#include "io/sys_call.h"

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

int coir_i_sys_sigaction(int number, const struct sigaction *action,
                         struct sigaction *before)
{
    int rc;
    CALL(rc, "sigaction", false, sigaction(number, action, before));
    return rc;
}

int coir_i_sys_reap(pid_t pid, int *status)
{
    pid_t rc;
    CALL(rc, "waitpid", true, waitpid(pid, status, WNOHANG));
    if (rc <= 0)
        return rc;
    /* A child that is traced stops before it ends, whether one asks or not. */
    return WIFEXITED(*status) || WIFSIGNALED(*status);
}

#if COIR_I_LINUX
#    include <stdint.h>
#    include <sys/eventfd.h>
#    include <sys/syscall.h>

int coir_i_sys_bell(int *bell, int *ring)
{
    int fd;
    CALL(fd, "eventfd", false, eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
    *bell = *ring = fd;
    return fd < 0 ? fd : 0;
}

/* Not write(2), where a thread that is being cancelled would end, within the
 * handler. */
void coir_i_sys_bell_ring(int ring)
{
    static const uint64_t one = 1;
    long rc;
    do {
        rc = syscall(SYS_write, ring, &one, sizeof one);
    } while (rc < 0 && errno == EINTR);
}

void coir_i_sys_bell_calm(int bell)
{
    uint64_t rung;
    ssize_t rc;
    do {
        rc = read(bell, &rung, sizeof rung); /* -EAGAIN: it was calm */
    } while (rc < 0 && errno == EINTR);
}

int coir_i_sys_child(pid_t pid)
{
    int fd; /* close-on-exec */
    CALL(fd, "pidfd_open", false, (int)syscall(SYS_pidfd_open, (long)pid, 0UL));
    return fd;
}

#else
#    include <pthread.h>
#    include <sys/event.h>

static int be_quiet(int fd)
{
    int flags = fcntl(fd, F_GETFL);
    return flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0 ||
                   fcntl(fd, F_SETFD, FD_CLOEXEC) < 0
               ? -errno
               : 0;
}

int coir_i_sys_bell(int *bell, int *ring)
{
    int ends[2], rc;
    CALL(rc, "pipe", false, pipe(ends));
    if (rc < 0)
        return rc;
    if ((rc = be_quiet(ends[0])) < 0 || (rc = be_quiet(ends[1])) < 0) {
        close(ends[0]);
        close(ends[1]);
        return rc;
    }
    *bell = ends[0];
    *ring = ends[1];
    return 0;
}

/* A thread that is being cancelled must not end here, within the handler. */
void coir_i_sys_bell_ring(int ring)
{
    int before;
    ssize_t rc;
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &before);
    do {
        rc = write(ring, "", 1); /* -EAGAIN: it rings already */
    } while (rc < 0 && errno == EINTR);
    pthread_setcancelstate(before, NULL);
}

void coir_i_sys_bell_calm(int bell)
{
    char rung[512];
    ssize_t rc;
    do {
        rc = read(bell, rung, sizeof rung);
    } while (rc > 0 || (rc < 0 && errno == EINTR));
}

int coir_i_sys_child(pid_t pid)
{
    struct kevent end;
    int fd, rc;
    CALL(fd, "kqueue", false, kqueue());
    if (fd < 0)
        return fd;
    EV_SET(&end, (uintptr_t)pid, EVFILT_PROC, EV_ADD, NOTE_EXIT, 0, NULL);
    if (fcntl(fd, F_SETFD, FD_CLOEXEC) < 0 ||
        kevent(fd, &end, 1, NULL, 0, NULL) < 0) {
        rc = -errno;
        close(fd);
        return rc;
    }
    return fd;
}

#endif
