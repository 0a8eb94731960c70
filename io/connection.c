/* io/connection.c -- accepting, connecting, closing, and waiting for any of it
 *
 * Does       make, accept, connect, poll and close one descriptor.
 *
 * No flag tells accept or connect not to block, and O_NONBLOCK of a descriptor
 * that coir did not make is not coir's to set. So a listener that blocks is
 * polled first; should another process then take the connection, the worker
 * blocks until the next one, and the monitor sees to it. A socket that blocks
 * is connected with a send timeout of one tick, for as long as the call takes;
 * the connection goes on without it. A unix socket's does not: interrupted, or
 * out of time, it has not begun.
 *
 * Edges      descriptor.queued; see io/turn.c.
 * Fails      accept: a connection that cannot be taken for want of descriptors
 *            stays with the listener; one without memory for a slot is closed.
 * Tests      test/test_net.c, test/test_descriptor.c */
#include "io/connection.h"

#include <coir/io.h>

#include "io/descriptor.h"
#include "io/module.h"
#include "io/sys.h"
#include "io/watch.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/time.h>

/* ---- Accept. */

static int accept_once(int fd, struct sockaddr *from, socklen_t *length)
{
    int rc = coir_i_sys_flags(fd);
    if (rc < 0)
        return rc;
    if (!(rc & O_NONBLOCK)) {
        rc = coir_i_sys_poll(fd, POLLIN);
        if (rc <= 0)
            return rc < 0 ? rc : -EAGAIN;
    }
    socklen_t room = length ? *length : 0;
    do {
        if (length)
            *length = room;
        rc = coir_i_sys_accept(fd, from, length);
    } while (rc == -ECONNABORTED); /* that one is gone: the next */
    return rc;
}

static int accept_waiting(coir_i_call *call, struct sockaddr *from,
                          socklen_t *length)
{
    for (;;) {
        int rc = coir_i_call_try(call);
        if (rc > 0) {
            rc = accept_once(call->fd, from, length);
            if (rc != -EAGAIN) {
                coir_i_call_more(call);
                return rc;
            }
            rc = 0;
        }
        if (rc == 0)
            rc = coir_i_call_wait(call);
        if (rc < 0)
            return rc;
    }
}

/* A new descriptor is coir's; or it is nobody's. */
static int adopt(int fd, uint64_t known)
{
    int rc = coir_i_descriptor_made(fd, known);
    if (rc < 0) {
        coir_i_sys_close(fd);
        return rc;
    }
    return fd;
}

int coir_i_socket_make(int family)
{
    int fd = coir_i_sys_socket(family, SOCK_STREAM);
    if (fd < 0)
        return fd;
    return adopt(fd, family == AF_UNIX ? 0 : COIR_I_STREAM);
}

static int adopt_accepted(int fd)
{
    int protocol = 0; /* where it cannot be asked: not known to be TCP */
#ifdef SO_PROTOCOL
    int rc = coir_i_sys_option(fd, SOL_SOCKET, SO_PROTOCOL, &protocol,
                               sizeof protocol);
    if (rc < 0) {
        coir_i_sys_close(fd);
        return rc;
    }
#endif
    return adopt(fd, protocol == IPPROTO_TCP ? COIR_I_STREAM : 0);
}

int coir_accept(int fd, struct sockaddr *from, socklen_t *length)
{
    coir_i_call call;
    int rc = coir_i_enter();
    if (rc < 0)
        return rc;
    rc = coir_i_call_begin(&call, fd, COIR_I_READER);
    if (rc < 0)
        return rc;
    rc = accept_waiting(&call, from, length);
    coir_i_call_end(&call);
    return rc < 0 ? rc : adopt_accepted(rc);
}

/* ---- Connect. */

/* connect(2), which does not block for longer than a tick. */
static int connect_once(int fd, const struct sockaddr *to, socklen_t length)
{
    static const struct timeval least = {.tv_usec = 1};
    struct timeval before;
    int rc = coir_i_sys_flags(fd);
    if (rc < 0)
        return rc;
    if (rc & O_NONBLOCK)
        return coir_i_sys_connect(fd, to, length);

    rc = coir_i_sys_option(fd, SOL_SOCKET, SO_SNDTIMEO, &before, sizeof before);
    if (rc == 0)
        rc = coir_i_sys_option_set(fd, SOL_SOCKET, SO_SNDTIMEO, &least,
                                   sizeof least);
    if (rc < 0)
        return rc;
    rc = coir_i_sys_connect(fd, to, length);
    if (rc == -EINTR && to->sa_family == AF_UNIX)
        rc = -EAGAIN;
    COIR_IGNORE(coir_i_sys_option_set(fd, SOL_SOCKET, SO_SNDTIMEO, &before,
                                      sizeof before));
    return rc;
}

/* It has begun: wait until it is done, one way or the other. */
static int connect_wait(coir_i_call *call)
{
    for (;;) {
        int rc = coir_i_call_try(call);
        if (rc > 0) {
            rc = coir_i_sys_poll(call->fd, POLLOUT);
            if (rc != 0) {
                coir_i_call_more(call);
                if (rc > 0)
                    break;
            }
        }
        if (rc == 0)
            rc = coir_i_call_wait(call);
        if (rc < 0)
            return rc;
    }
    int error = 0;
    int rc =
        coir_i_sys_option(call->fd, SOL_SOCKET, SO_ERROR, &error, sizeof error);
    return rc < 0 ? rc : -error;
}

int coir_connect(int fd, const struct sockaddr *to, socklen_t length)
{
    coir_i_call call;
    int rc = coir_i_enter();
    if (rc < 0)
        return rc;
    rc = coir_i_call_begin(&call, fd, COIR_I_WRITER);
    if (rc < 0)
        return rc;
    rc = connect_once(fd, to, length);
    /* The backlog of a unix listener is full. The kernel tells of no room
     * there, and blocks in connect(2) or says -EAGAIN: so ask again. */
    for (int ms = 0; rc == -EAGAIN && to->sa_family == AF_UNIX;) {
        rc = coir_i_call_pause(&call, &ms);
        if (rc == 0)
            rc = connect_once(fd, to, length);
    }
    if (rc == -EINPROGRESS || rc == -EALREADY || rc == -EINTR)
        rc = connect_wait(&call);
    coir_i_call_end(&call);
    return rc;
}

/* ---- Close. */

int coir_close(int fd)
{
    if (coir_i_io_is_forked())
        return -EPERM;
    return coir_i_descriptor_close(fd);
}

/* ---- Poll. */

static int ready_now(int fd, int events)
{
    enum { FAILED = POLLERR | POLLHUP };
    short asked = 0;
    int ready = 0;
    if (events & COIR_READABLE)
        asked |= POLLIN | POLLRDHUP;
    if (events & COIR_WRITABLE)
        asked |= POLLOUT;
    int rc = coir_i_sys_poll(fd, asked);
    if (rc < 0)
        return rc;
    if (rc & (POLLIN | POLLRDHUP | FAILED))
        ready |= COIR_READABLE;
    if (rc & (POLLOUT | FAILED))
        ready |= COIR_WRITABLE;
    return ready & events;
}

static const coir_i_wait polls = {
    .what = "events on descriptor",
    .flags = COIR_I_WAIT_OUTSIDE | COIR_I_WAIT_NUMBER,
};

struct poll {
    int fd, events;
};

static int look(void *arg)
{
    const struct poll *p = arg;
    return ready_now(p->fd, p->events);
}

int coir_poll(int fd, int events)
{
    struct poll poll = {.fd = fd, .events = events};
    coir_i_watch watch = {.fd = fd, .wait = &polls, .look = look};
    int rc = coir_i_enter();
    if (rc < 0)
        return rc;
    if (!events || (events & ~(COIR_READABLE | COIR_WRITABLE)))
        return -EINVAL;
    rc = coir_i_slot_get(fd, &watch.slot);
    if (rc < 0)
        return rc;
    watch.events |= events & COIR_READABLE ? COIR_I_CAN_READ : 0U;
    watch.events |= events & COIR_WRITABLE ? COIR_I_CAN_WRITE : 0U;
    watch.on = coir_i_wait_number(fd);
    watch.arg = &poll;
    return coir_i_watch_until(&watch);
}

int coir_try_poll(int fd, int events)
{
    coir_i_descriptor *slot;
    if (coir_i_io_is_forked())
        return -EPERM;
    if (!events || (events & ~(COIR_READABLE | COIR_WRITABLE)))
        return -EINVAL;
    int rc = coir_i_slot_get(fd, &slot);
    if (rc == 0)
        rc = coir_i_slot_enter(slot);
    if (rc < 0)
        return rc;
    rc = ready_now(fd, events);
    coir_i_slot_leave(slot, fd);
    return rc;
}
