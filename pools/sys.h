/* pools/sys.h -- thin system calls: what they return, or -errno
 *
 * The one file of pools where errno is read. `outcome` is out of line, so that
 * no address of errno is kept over a park in the function that calls these. */
#ifndef COIR_POOLS_SYS_H
#define COIR_POOLS_SYS_H

#include "fiber/atomics.h"
#include "fiber/platform.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/types.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#if COIR_I_LINUX
#    include <linux/close_range.h>
#    include <linux/futex.h>
#    include <linux/sched.h>
#    include <sys/epoll.h>
#    include <sys/eventfd.h>
#    include <sys/prctl.h>
#    include <sys/syscall.h>
#endif

static __attribute__((noinline, unused)) long outcome(long result)
{
    return result == -1 ? -errno : result;
}

/* ---- Files ---- */

static inline ssize_t coir_i_os_pread(int fd, void *to, size_t size, off_t at)
{
    return (ssize_t)outcome(pread(fd, to, size, at));
}

static inline ssize_t coir_i_os_pwrite(int fd, const void *from, size_t size,
                                       off_t at)
{
    return (ssize_t)outcome(pwrite(fd, from, size, at));
}

static inline int coir_i_os_open_as(const char *path, int flags, mode_t mode)
{
    return (int)outcome(open(path, flags | O_CLOEXEC, mode));
}

static inline int coir_i_os_fsync(int fd)
{
    return (int)outcome(fsync(fd));
}

/* What is in memory: -EAGAIN where that is nothing; other errors too where a
 * file cannot be asked so. */
static inline ssize_t coir_i_os_pread_cached(int fd, void *to, size_t size,
                                             off_t at)
{
#if COIR_I_LINUX
    struct iovec part = {to, size};
    return (ssize_t)outcome(preadv2(fd, &part, 1, at, RWF_NOWAIT));
#else
    (void)fd, (void)to, (void)size, (void)at;
    return -EOPNOTSUPP;
#endif
}

#if COIR_I_LINUX

/* ---- Shared memory ---- */

static inline int coir_i_os_memory(const char *name)
{
    return (int)outcome(memfd_create(name, MFD_CLOEXEC));
}

/* Give the first `size` bytes of a file memory of their own, now. */
static inline int coir_i_os_allocate(int fd, size_t size)
{
    return (int)outcome(fallocate(fd, 0, 0, (off_t)size));
}

static inline int coir_i_os_resize(int fd, uint64_t size)
{
    return (int)outcome(ftruncate(fd, (off_t)size));
}

static inline int coir_i_os_map(void **ret_memory, size_t size, int fd)
{
    void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE,
                        MAP_SHARED | MAP_POPULATE, fd, 0);
    if (memory == MAP_FAILED)
        return (int)outcome(-1);
    *ret_memory = memory;
    return 0;
}

static inline int coir_i_os_remap(void **memory, size_t size, size_t new_size)
{
    void *moved = mremap(*memory, size, new_size, MREMAP_MAYMOVE);
    if (moved == MAP_FAILED)
        return (int)outcome(-1);
    *memory = moved;
    return 0;
}

/* ---- Sleeping on a word that processes share ---- */

static inline void coir_i_os_shared_wait(_Atomic(uint32_t) *word,
                                         uint32_t value)
{
    syscall(SYS_futex, word, FUTEX_WAIT, value, NULL, NULL, 0);
}

static inline void coir_i_os_shared_wake(_Atomic(uint32_t) *word)
{
    syscall(SYS_futex, word, FUTEX_WAKE, 1, NULL, NULL, 0);
}

/* ---- Descriptors ---- */

static inline int coir_i_os_event(void)
{
    return (int)outcome(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
}

static inline ssize_t coir_i_os_event_post(int fd)
{
    uint64_t one = 1;
    return (ssize_t)outcome(write(fd, &one, sizeof one));
}

static inline ssize_t coir_i_os_event_clear(int fd)
{
    uint64_t count;
    return (ssize_t)outcome(read(fd, &count, sizeof count));
}

/* A descriptor that is readable when any of those added to it is. */
static inline int coir_i_os_any(void)
{
    return (int)outcome(epoll_create1(EPOLL_CLOEXEC));
}

static inline int coir_i_os_any_add(int any, int fd)
{
    struct epoll_event readable = {.events = EPOLLIN};
    return (int)outcome(epoll_ctl(any, EPOLL_CTL_ADD, fd, &readable));
}

static inline int coir_i_os_socketpair(int sockets[2])
{
    return (int)outcome(
        socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sockets));
}

static inline ssize_t coir_i_os_sendmsg(int fd, const struct msghdr *message,
                                        int flags)
{
    return (ssize_t)outcome(sendmsg(fd, message, flags | MSG_NOSIGNAL));
}

static inline ssize_t coir_i_os_recvmsg(int fd, struct msghdr *message,
                                        int flags)
{
    return (ssize_t)outcome(recvmsg(fd, message, flags | MSG_CMSG_CLOEXEC));
}

static inline int coir_i_os_open(const char *path, int flags)
{
    return (int)outcome(open(path, flags | O_CLOEXEC));
}

static inline ssize_t coir_i_os_read(int fd, void *to, size_t size)
{
    return (ssize_t)outcome(read(fd, to, size));
}

static inline ssize_t coir_i_os_write(int fd, const void *from, size_t size)
{
    return (ssize_t)outcome(write(fd, from, size));
}

static inline int coir_i_os_dup2(int fd, int to)
{
    return (int)outcome(dup2(fd, to));
}

/* Another number, at least `least`, for what fd is. */
static inline int coir_i_os_dup_above(int fd, int least)
{
    return (int)outcome(fcntl(fd, F_DUPFD_CLOEXEC, least));
}

static inline bool coir_i_os_is_open(int fd)
{
    return fcntl(fd, F_GETFD) >= 0;
}

static inline int coir_i_os_close_from(unsigned first)
{
    return (int)outcome(syscall(SYS_close_range, first, ~0U, 0U));
}

/* Block the thread until fd is readable. */
static inline void coir_i_os_wait_readable(int fd)
{
    struct pollfd wanted = {.fd = fd, .events = POLLIN};
    while (outcome(poll(&wanted, 1, -1)) == -EINTR) {
    }
}

/* ---- Signals to one thread ---- */

#    ifndef sigev_notify_thread_id
#        define sigev_notify_thread_id _sigev_un._tid
#    endif

/* A timer that sends the signal to that thread. */
static inline int coir_i_os_thread_timer(timer_t *ret_timer, pid_t thread,
                                         int number)
{
    struct sigevent event = {.sigev_notify = SIGEV_THREAD_ID,
                             .sigev_signo = number};
    event.sigev_notify_thread_id = thread;
    return (int)outcome(timer_create(CLOCK_MONOTONIC, &event, ret_timer));
}

/* ---- Processes ---- */

static inline int coir_i_os_pidfd(pid_t pid)
{
    return (int)outcome(syscall(SYS_pidfd_open, pid, 0U));
}

static inline int coir_i_os_pidfd_kill(int pidfd)
{
    return (int)outcome(
        syscall(SYS_pidfd_send_signal, pidfd, SIGKILL, NULL, 0U));
}

/* waitid, for a child that may have been born without an exit signal. 1: it
 * has ended, and how is in *info; 0: it has not (WNOHANG). */
static inline int coir_i_os_reap(idtype_t type, id_t id, siginfo_t *info,
                                 int flags)
{
    long rc;
    info->si_pid = 0;
    do {
        rc = outcome(waitid(type, id, info, WEXITED | __WALL | flags));
    } while (rc == -EINTR);
    return rc < 0 ? (int)rc : info->si_pid != 0;
}

/* fork(2) without anything of the C library's: for a process that has no other
 * thread. tid: where the library keeps the thread's number, or NULL. */
static inline pid_t coir_i_os_clone(unsigned long flags, pid_t *tid)
{
    if (tid)
        flags |= CLONE_CHILD_SETTID | CLONE_CHILD_CLEARTID;
#    if defined(__x86_64__)
    return (pid_t)outcome(syscall(SYS_clone, flags, 0L, NULL, tid, 0L));
#    else
    return (pid_t)outcome(syscall(SYS_clone, flags, 0L, NULL, 0L, tid));
#    endif
}

static inline pid_t coir_i_os_fork(void)
{
    return (pid_t)outcome(fork());
}

/* Where the C library keeps the calling thread's number; NULL: not known. */
static inline pid_t *coir_i_os_tid_address(void)
{
    pid_t *tid = NULL;
    if (prctl(PR_GET_TID_ADDRESS, &tid, 0UL, 0UL, 0UL) < 0)
        return NULL;
    return tid && *tid == gettid() ? tid : NULL;
}

/* Die when the parent does; false: it has. */
static inline bool coir_i_os_die_with(pid_t parent)
{
    return prctl(PR_SET_PDEATHSIG, (unsigned long)SIGKILL, 0UL, 0UL, 0UL) ==
               0 &&
           getppid() == parent;
}

static inline void coir_i_os_process_name(const char *name)
{
    prctl(PR_SET_NAME, (unsigned long)name, 0UL, 0UL, 0UL);
}

static inline int coir_i_os_limit_memory(uint64_t bytes)
{
    struct rlimit limit;
    getrlimit(RLIMIT_AS, &limit);
    if (bytes >= limit.rlim_cur)
        return 0;
    limit.rlim_cur = bytes;
    return (int)outcome(setrlimit(RLIMIT_AS, &limit));
}

#endif

#endif
