/* io/message.c -- receiving and sending on sockets
 *
 * Does       the calls that only sockets have, with their flags, addresses and
 *            ancillary data. All are made with MSG_DONTWAIT; what the caller's
 *            own MSG_DONTWAIT and MSG_WAITALL mean, is done here.
 *
 * The kernel tells nobody when there is room again in the queue of a unix
 * datagram socket that somebody else reads, unless the sender is connected to
 * it: there a sender asks again and again, see coir_i_call_pause.
 *
 * Edges      none of its own; see io/descriptor.h.
 * Fails      as the system calls; see io/transfer.c.
 * Tests      test/test_message.c, test/test_readwrite_kinds.c */
#include <coir/io.h>

#include "io/sys.h"
#include "io/transfer.h"

#include <poll.h>

/* ---- One buffer, and nobody's address. */

static ssize_t move_buffer(coir_i_transfer *t)
{
    char *at = (char *)t->iov->iov_base + t->done;
    if (coir_i_transfer_is_read(t))
        return coir_i_sys_recv(t->call.fd, at, t->left, t->flags);
    return coir_i_sys_send(t->call.fd, at, t->left, t->flags);
}

static const coir_i_way buffer_way = {move_buffer, NULL};

/* ---- Messages. */

struct message {
    coir_i_transfer transfer;
    struct msghdr asked; /* as it came from the caller */
    struct msghdr got;
};

/* t->iov points to the caller's pieces. */
static ssize_t receive(coir_i_transfer *t)
{
    struct message *m = (struct message *)t;
    struct iovec piece;
    const struct iovec *iov;
    struct msghdr now = m->asked;
    now.msg_iovlen = (size_t)coir_i_transfer_pieces(t, &piece, &iov);
    now.msg_iov = (struct iovec *)(uintptr_t)iov;
    ssize_t n = coir_i_sys_recvmsg(t->call.fd, &now, t->flags);
    if (n >= 0) {
        m->got = now;
        t->is_over = now.msg_controllen > 0; /* what follows is another's */
    }
    return n;
}

/* Is there room for it to be sent, but not where it is to go? */
static bool is_full_there(const struct message *m)
{
    const struct sockaddr *to = m->asked.msg_name;
    if (!to || m->asked.msg_namelen < sizeof to->sa_family ||
        to->sa_family != AF_UNIX || (m->transfer.flags & MSG_DONTWAIT))
        return false;
    int rc = coir_i_sys_poll(m->transfer.call.fd, POLLOUT);
    return rc > 0 && (rc & POLLOUT);
}

static ssize_t send_on(coir_i_transfer *t)
{
    struct message *m = (struct message *)t;
    ssize_t n = coir_i_sys_sendmsg(t->call.fd, &m->asked, t->flags);
    for (int ms = 0; n == -EAGAIN && is_full_there(m);) {
        n = coir_i_call_pause(&t->call, &ms);
        if (n == 0)
            n = coir_i_sys_sendmsg(t->call.fd, &m->asked, t->flags);
    }
    return n;
}

static const coir_i_way receive_way = {receive, NULL};
static const coir_i_way send_way = {send_on, NULL};

static int make_message(struct message *m, const struct msghdr *header)
{
    if (header->msg_iovlen > IOV_MAX)
        return -EMSGSIZE;
    ssize_t size = coir_i_pieces_size(header->msg_iov, (int)header->msg_iovlen);
    if (size < 0)
        return (int)size;
    m->asked = *header;
    m->transfer.iov = header->msg_iov;
    m->transfer.count = (int)header->msg_iovlen;
    m->transfer.left = (size_t)size;
    return 0;
}

/* ---- How long a call goes on. */

/* MSG_WAITALL means something to streams alone. */
static bool waits_for_all(int fd, int flags)
{
    int type = 0;
    if (!(flags & MSG_WAITALL) || (flags & (MSG_PEEK | MSG_DONTWAIT)))
        return false;
    int rc = coir_i_sys_option(fd, SOL_SOCKET, SO_TYPE, &type, sizeof type);
    return rc == 0 && type == SOCK_STREAM;
}

/* What is not in the stream of data never waits, and has no turns. */
static ssize_t receive_aside(coir_i_transfer *t, int fd)
{
    t->call = (coir_i_call){.fd = fd, .side = COIR_I_READER};
    ssize_t n = coir_i_enter();
    if (n >= 0)
        n = coir_i_slot_get(fd, &t->call.slot);
    if (n >= 0)
        n = coir_i_slot_enter(t->call.slot);
    if (n < 0)
        return n;
    n = t->way->now(t);
    coir_i_slot_leave(t->call.slot, fd);
    return n;
}

static ssize_t run_receive(coir_i_transfer *t, int fd, int flags)
{
    t->flags = flags;
    if (flags & (MSG_OOB | MSG_ERRQUEUE))
        return receive_aside(t, fd);
    t->flags = flags & ~MSG_WAITALL;
    if (waits_for_all(fd, flags))
        return coir_i_transfer_whole(t, fd, COIR_I_READER);
    return coir_i_transfer_run(t, fd, COIR_I_READER);
}

/* ---- The public calls. */

ssize_t coir_recv(int fd, void *buf, size_t size, int flags)
{
    const struct iovec piece = {.iov_base = buf, .iov_len = size};
    coir_i_transfer t = {.iov = &piece, .count = 1, .left = size};
    t.way = &buffer_way;
    return run_receive(&t, fd, flags);
}

ssize_t coir_send(int fd, const void *buf, size_t size, int flags)
{
    const struct iovec piece = {.iov_base = (void *)(uintptr_t)buf,
                                .iov_len = size};
    coir_i_transfer t = {.iov = &piece, .count = 1, .left = size};
    t.way = &buffer_way;
    t.flags = flags;
    return coir_i_transfer_run(&t, fd, COIR_I_WRITER);
}

ssize_t coir_recvmsg(int fd, struct msghdr *message, int flags)
{
    struct message m = {.transfer = {.way = &receive_way}};
    if (!message)
        return -EFAULT;
    int rc = make_message(&m, message);
    if (rc < 0)
        return rc;
    ssize_t n = run_receive(&m.transfer, fd, flags);
    if (n >= 0) {
        message->msg_namelen = m.got.msg_namelen;
        message->msg_controllen = m.got.msg_controllen;
        message->msg_flags = m.got.msg_flags;
    }
    return n;
}

ssize_t coir_sendmsg(int fd, const struct msghdr *message, int flags)
{
    struct message m = {.transfer = {.way = &send_way, .flags = flags}};
    if (!message)
        return -EFAULT;
    int rc = make_message(&m, message);
    if (rc < 0)
        return rc;
    return coir_i_transfer_run(&m.transfer, fd, COIR_I_WRITER);
}

ssize_t coir_recvfrom(int fd, void *buf, size_t size, int flags,
                      struct sockaddr *from, socklen_t *length)
{
    struct iovec piece = {.iov_base = buf, .iov_len = size};
    struct msghdr message = {.msg_iov = &piece, .msg_iovlen = 1};
    if (!from)
        return coir_recv(fd, buf, size, flags);
    if (!length)
        return -EFAULT;
    message.msg_name = from;
    message.msg_namelen = *length;
    ssize_t n = coir_recvmsg(fd, &message, flags);
    if (n >= 0)
        *length = message.msg_namelen;
    return n;
}

ssize_t coir_sendto(int fd, const void *buf, size_t size, int flags,
                    const struct sockaddr *to, socklen_t length)
{
    struct iovec piece = {.iov_base = (void *)(uintptr_t)buf, .iov_len = size};
    const struct msghdr message = {.msg_name = (void *)(uintptr_t)to,
                                   .msg_namelen = length,
                                   .msg_iov = &piece,
                                   .msg_iovlen = 1};
    if (!to)
        return coir_send(fd, buf, size, flags);
    return coir_sendmsg(fd, &message, flags);
}
