/* pools/zygote.c -- the process that worker processes are born of
 *
 * Does       start and end the zygote; ask it for workers; and be it: one
 *            thread that copies itself for every request.
 *
 *   runtime  -- request: birth; shared file, eventfd, reply socket -->  zygote
 *            <-- reply: the worker's pid, or why there is none --------
 *
 * Each request brings the socket for its reply, so requests from any number of
 * fibers need no order, and a zygote that dies is heard at once.
 *
 * Workers are children of the runtime's process, not of the zygote
 * (CLONE_PARENT): it alone waits for them. Where that process has no thread
 * yet, zygote and workers have no exit signal either, so that the program's
 * own wait(2) and SIGCHLD never see them. Otherwise, since only the C
 * library's fork(2) can deal with the locks that other threads hold, they are
 * children like others.
 *
 * Invariants
 *   Z1  it dies with the thread that called coir_run, and workers with it.
 *   Z2  it leads a process group, and all workers are in it.
 *   Z3  it has no descriptors but its socket and 0, 1, 2; 0 is empty.
 * Locks      none: one thread starts and stops; sendmsg(2) is atomic.
 * Fails      start: the reason is kept for those who ask for workers; coir_run
 *            goes on without.
 * Tests      test/test_processes.c */
#include "pools/zygote.h"

#include <coir/io.h>

#include "pools/sys.h"
#include "pools/worker_process.h"
#include "sched/module.h"

#include <stdio.h>
#include <stdio_ext.h>
#include <string.h>
#include <sys/single_threaded.h>

enum { MEMORY, EVENT, REPLY, PASSED }; /* the descriptors of a request */

/* Written before the runtime has threads and after it has had them. */
static struct {
    int socket; /* -1: there is none */
    int pidfd;  /* -1: of an ended child nothing is known but pid */
    pid_t pid;
    int error; /* why there is none */
} zygote = {.socket = -1, .pidfd = -1, .error = -ESRCH};

/* ---- Messages with descriptors ---- */

union passing { /* aligned as the kernel wants it */
    struct cmsghdr header;
    char space[CMSG_SPACE(sizeof(int) * PASSED)];
};

static ssize_t send_request(int socket, const struct coir_i_birth *birth,
                            const int passed[PASSED])
{
    union passing passing = {0};
    struct iovec part = {(void *)birth, sizeof *birth};
    struct msghdr message = {.msg_iov = &part,
                             .msg_iovlen = 1,
                             .msg_control = &passing,
                             .msg_controllen = sizeof passing.space};
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof(int) * PASSED);
    memcpy(CMSG_DATA(header), passed, sizeof(int) * PASSED);
    return coir_i_os_sendmsg(socket, &message, MSG_DONTWAIT);
}

/* False: the runtime is gone. passed[0] < 0: not all descriptors came. */
static bool receive_request(int socket, struct coir_i_birth *birth,
                            int passed[PASSED])
{
    union passing passing;
    struct iovec part = {birth, sizeof *birth};
    struct msghdr message = {.msg_iov = &part,
                             .msg_iovlen = 1,
                             .msg_control = &passing,
                             .msg_controllen = sizeof passing.space};
    if (coir_i_os_recvmsg(socket, &message, 0) != sizeof *birth)
        return false;
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    size_t count = header ? (header->cmsg_len - CMSG_LEN(0)) / sizeof(int) : 0;
    passed[0] = -1;
    if (count)
        memcpy(passed, CMSG_DATA(header), sizeof(int) * count);
    for (size_t i = 0; count < PASSED && i < count; i++) {
        close(passed[i]);
        passed[i] = -1;
    }
    return true;
}

/* ---- In the zygote ---- */

static void forget_signals(void)
{
    struct sigaction none = {.sa_handler = SIG_DFL};
    for (int s = 1; s <= SIGRTMAX; s++)
        sigaction(s, &none, NULL); /* of those that cannot be: EINVAL */
    sigprocmask(SIG_SETMASK, &none.sa_mask, NULL);
}

/* Z3; where the program has no output, workers write to /dev/null. */
static int keep_only(int socket)
{
    int nothing = coir_i_os_open("/dev/null", O_RDWR);
    if (nothing < 0)
        return nothing;
    /* It may be one of the three, which a program that a job executes has. */
    fcntl(nothing, F_SETFD, 0);
    coir_i_os_dup2(nothing, 0);
    for (int fd = 1; fd <= 2; fd++) {
        if (!coir_i_os_is_open(fd))
            coir_i_os_dup2(nothing, fd);
    }
    if (socket != 3 && coir_i_os_dup2(socket, 3) < 0)
        return -EBADF;
    return coir_i_os_close_from(4);
}

static pid_t bear(const struct coir_i_birth *birth, pid_t parent,
                  const int passed[PASSED], pid_t *tid)
{
    pid_t pid = coir_i_os_clone(CLONE_PARENT, tid);
    if (pid != 0)
        return pid;
    close(3);
    close(passed[REPLY]);
    coir_i_worker_process(birth, parent, passed[MEMORY], passed[EVENT]);
}

static _Noreturn void be_zygote(int socket, pid_t parent, pid_t *tid)
{
    struct coir_i_birth birth;
    int passed[PASSED];
    if (!coir_i_os_die_with(parent))
        _exit(0);
    setpgid(0, 0); /* a terminal's signals are for the program */
    coir_i_os_process_name("coir-zygote");
    forget_signals();
    __fpurge(stdout); /* the program prints that itself */
    if (keep_only(socket) < 0)
        _exit(1);
    while (receive_request(3, &birth, passed)) {
        if (passed[0] < 0)
            continue;
        int32_t reply = bear(&birth, parent, passed, tid);
        struct iovec part = {&reply, sizeof reply};
        struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
        coir_i_os_sendmsg(passed[REPLY], &message, MSG_DONTWAIT);
        for (int i = 0; i < PASSED; i++)
            close(passed[i]);
    }
    /* The program has replaced itself by another, which knows of no workers:
     * the runtime itself does not let go of the socket while it runs. */
    if (getpgrp() == getpid())
        kill(0, SIGKILL);
    _exit(0);
}

/* ---- In the runtime ---- */

/* Descriptors 0 to 2 may be closed; a socket is not to become one of them. */
static int above_standard(int *fd)
{
    if (*fd > 2)
        return 0;
    int high = coir_i_os_dup_above(*fd, 3);
    if (high < 0)
        return high;
    close(*fd);
    *fd = high;
    return 0;
}

static int make_sockets(int sockets[2])
{
    int rc = coir_i_os_socketpair(sockets);
    if (rc < 0)
        return rc;
    for (int i = 0; i < 2 && rc >= 0; i++)
        rc = above_standard(&sockets[i]);
    if (rc < 0) {
        close(sockets[0]);
        close(sockets[1]);
    }
    return rc;
}

/* No handler of the program's may run in the child. */
static pid_t fork_zygote(int socket)
{
    pid_t parent = getpid(), *tid = coir_i_os_tid_address();
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    bool alone = __libc_single_threaded;
    /* What is buffered would be written once more by a job that calls exit(3).
     * Another thread may hold a FILE for as long as it waits for input: then it
     * is left as it is. */
    if (alone)
        fflush(NULL);
    pid_t pid = alone ? coir_i_os_clone(0, tid) : coir_i_os_fork();
    if (pid == 0) {
        if (alone)
            coir_i_forked(); /* which fork(2) calls itself */
        be_zygote(socket, parent, tid);
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return pid;
}

int coir_i_zygote_start(void)
{
    int sockets[2];
    zygote.error = make_sockets(sockets);
    if (zygote.error < 0)
        return zygote.error;
    zygote.pid = fork_zygote(sockets[1]);
    close(sockets[1]);
    if (zygote.pid < 0) {
        close(sockets[0]);
        return zygote.error = zygote.pid;
    }
    zygote.socket = sockets[0];
    zygote.pidfd = coir_i_os_pidfd(zygote.pid);
    if (zygote.pidfd < 0) {
        int rc = zygote.pidfd;
        coir_i_zygote_stop();
        return zygote.error = rc;
    }
    return 0;
}

void coir_i_zygote_stop(void)
{
    siginfo_t info;
    if (zygote.socket < 0)
        return;
    if (zygote.pidfd >= 0)
        coir_i_os_pidfd_kill(zygote.pidfd);
    kill(-zygote.pid, SIGKILL); /* what jobs have started and left */
    close(zygote.socket); /* so it ends even where it could not be killed */
    /* Also a worker whose birth it could not tell of, if it died too soon. */
    while (coir_i_os_reap(P_PGID, (id_t)zygote.pid, &info, 0) > 0) {
    }
    coir_i_os_reap(P_PID, (id_t)zygote.pid, &info, 0);
    if (zygote.pidfd >= 0)
        close(zygote.pidfd);
    zygote.socket = zygote.pidfd = -1;
    zygote.error = -ESRCH;
}

void coir_i_zygote_forget(void)
{
    if (zygote.socket >= 0)
        close(zygote.socket);
    if (zygote.pidfd >= 0)
        close(zygote.pidfd);
    zygote.socket = zygote.pidfd = -1;
    zygote.error = -ESRCH;
}

static int await_reply(int socket)
{
    int32_t reply;
    struct iovec part = {&reply, sizeof reply};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
    int rc = coir_poll(socket, COIR_READABLE);
    if (rc < 0) /* it cannot be waited for in a better way */
        coir_i_os_wait_readable(socket);
    ssize_t n = coir_i_os_recvmsg(socket, &message, 0);
    return n == sizeof reply ? reply : -ESRCH;
}

pid_t coir_i_zygote_bear(const struct coir_i_birth *birth, int memory,
                         int event)
{
    int sockets[2];
    if (zygote.socket < 0)
        return zygote.error;
    int rc = coir_i_os_socketpair(sockets);
    if (rc < 0)
        return rc;
    const int passed[PASSED] = {memory, event, sockets[1]};
    ssize_t sent;
    while ((sent = send_request(zygote.socket, birth, passed)) == -EAGAIN) {
        rc = coir_poll(zygote.socket, COIR_WRITABLE);
        if (rc < 0) {
            sent = rc;
            break;
        }
    }
    close(sockets[1]);
    if (sent >= 0)
        rc = await_reply(sockets[0]);
    else
        rc = sent == -EPIPE || sent == -ECONNRESET ? -ESRCH : (int)sent;
    coir_close(sockets[0]);
    return rc;
}
