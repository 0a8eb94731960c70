/* io/readwrite.c -- reading and writing any descriptor
 *
 * Does       make the system call first, and wait only where the kernel said
 *            that it would block; without touching the descriptor's flags:
 *
 *   a socket           recv and send with MSG_DONTWAIT
 *   a pipe, eventfd... preadv2 and pwritev2 with RWF_NOWAIT
 *   what has none      (terminals, FIFOs) poll(2) first, and then no more than
 *                      a writable one takes without blocking
 *   what epoll refuses (regular files) RWF_NOWAIT for what is cached, the rest
 *                      where it may block: io/offload.h
 *
 *            Which one it is, is found out by trying: a number may become
 *            another kind of file behind our back.
 *
 * Invariants
 *   R2  SIGPIPE is never raised: io/sys_readwrite.c, io/sys_socket.c.
 *
 * Edges      none of its own; see io/descriptor.h.
 * Fails      as the system calls; see io/transfer.c.
 * Tests      test/test_readwrite.c, test/test_readwrite_kinds.c,
 *            test/test_vector.c */
#include <coir/io.h>

#include "io/offload.h"
#include "io/sys.h"
#include "io/transfer.h"

#include <poll.h>

enum { TERMINAL_ROOM = 256 }; /* what one takes that says it is writable */

/* ---- Sockets. One piece is a call that costs less. */

static ssize_t move_socket(coir_i_transfer *t)
{
    struct iovec piece;
    const struct iovec *iov;
    int count = coir_i_transfer_pieces(t, &piece, &iov), fd = t->call.fd;
    bool is_read = coir_i_transfer_is_read(t);
    if (coir_i_likely(count == 1))
        return is_read ? coir_i_sys_recv(fd, iov->iov_base, iov->iov_len, 0)
                       : coir_i_sys_send(fd, iov->iov_base, iov->iov_len, 0);
    struct msghdr message = {.msg_iov = (struct iovec *)(uintptr_t)iov,
                             .msg_iovlen = (size_t)count};
    return is_read ? coir_i_sys_recvmsg(fd, &message, 0)
                   : coir_i_sys_sendmsg(fd, &message, 0);
}

/* ---- Where it may block. */

struct elsewhere {
    const coir_i_transfer *t;
    ssize_t n;
};

static int move_blocking(void *arg)
{
    struct elsewhere *e = arg;
    struct iovec piece;
    const struct iovec *iov;
    int count = coir_i_transfer_pieces(e->t, &piece, &iov);
    e->n = coir_i_transfer_is_read(e->t)
               ? coir_i_sys_readv(e->t->call.fd, iov, count)
               : coir_i_sys_writev(e->t->call.fd, iov, count);
    return 0;
}

static ssize_t move_elsewhere(coir_i_transfer *t)
{
    struct elsewhere e = {.t = t};
    int rc = coir_i_offload(move_blocking, &e);
    return rc < 0 ? rc : e.n;
}

/* ---- What is no socket. */

/* A file was read short, and perhaps only that of it was cached: the rest, too,
 * since of a file less means the end. */
static ssize_t read_rest(const coir_i_transfer *t, ssize_t n)
{
    coir_i_transfer rest = *t;
    ssize_t more = n;
    for (;;) {
        struct iovec piece;
        const struct iovec *iov;
        coir_i_transfer_advance(&rest, (size_t)more);
        if (rest.left == 0)
            return n;
        int count = coir_i_transfer_pieces(&rest, &piece, &iov);
        more = coir_i_sys_read_now(t->call.fd, iov, count);
        if (more == -EAGAIN)
            more = move_elsewhere(&rest);
        if (more <= 0)
            return n;
        n += more;
    }
}

static ssize_t read_plain(coir_i_transfer *t, const struct iovec *iov,
                          int count)
{
    int fd = t->call.fd;
    ssize_t n = coir_i_sys_read_now(fd, iov, count);
    if (n != -EOPNOTSUPP) {
        /* What can be polled is read once: its next bytes may be another
         * message, and take what was not asked for. */
        bool is_short_file = n > 0 && (size_t)n < t->left &&
                             coir_i_transfer_register(t) == COIR_I_ELSEWHERE;
        return is_short_file ? read_rest(t, n) : n;
    }
    int rc = coir_i_transfer_register(t);
    if (rc < 0)
        return rc;
    rc = coir_i_sys_poll(fd, POLLIN);
    if (rc <= 0)
        return rc < 0 ? rc : -EAGAIN;
    return coir_i_sys_readv(fd, iov, count);
}

/* No more than `room`, of the first piece that is not empty. */
static ssize_t write_little(int fd, const struct iovec *iov, int count,
                            size_t room)
{
    while (count > 1 && iov->iov_len == 0) {
        iov++;
        count--;
    }
    struct iovec piece = *iov;
    if (piece.iov_len > room)
        piece.iov_len = room;
    return coir_i_sys_writev(fd, &piece, 1);
}

static ssize_t write_plain(coir_i_transfer *t, const struct iovec *iov,
                           int count)
{
    int fd = t->call.fd;
    ssize_t n = coir_i_sys_write_now(fd, iov, count);
    if (n != -EOPNOTSUPP)
        return n;
    int rc = coir_i_transfer_register(t);
    if (rc < 0)
        return rc;
    rc = coir_i_sys_poll(fd, POLLOUT);
    if (rc <= 0)
        return rc < 0 ? rc : -EAGAIN;
    rc = coir_i_sys_is_fifo(fd);
    if (rc < 0)
        return rc;
    return write_little(fd, iov, count, rc ? PIPE_BUF : TERMINAL_ROOM);
}

/* ---- Any descriptor. */

static ssize_t move_now(coir_i_transfer *t)
{
    uint64_t known = coir_i_transfer_known(t);
    if (!(known & COIR_I_PLAIN)) {
        ssize_t n = move_socket(t);
        if (n != -ENOTSOCK)
            return n;
        coir_i_slot_learn(t->call.slot, (uint32_t)(known >> 32), COIR_I_PLAIN,
                          COIR_I_STREAM);
    }
    struct iovec piece;
    const struct iovec *iov;
    int count = coir_i_transfer_pieces(t, &piece, &iov);
    return coir_i_transfer_is_read(t) ? read_plain(t, iov, count)
                                      : write_plain(t, iov, count);
}

/* Nothing at all is asked for: that blocks nowhere. */
static ssize_t move_nothing(coir_i_transfer *t)
{
    int fd = t->call.fd;
    return coir_i_transfer_is_read(t) ? coir_i_sys_readv(fd, t->iov, t->count)
                                      : coir_i_sys_writev(fd, t->iov, t->count);
}

const coir_i_way coir_i_any_way = {move_now, move_elsewhere};
static const coir_i_way no_way = {move_nothing, NULL};

/* ---- The public calls. */

ssize_t coir_read(int fd, void *buf, size_t size)
{
    const struct iovec piece = {.iov_base = buf, .iov_len = size};
    coir_i_transfer t = {.iov = &piece, .count = 1, .left = size};
    t.way = size > 0 ? &coir_i_any_way : &no_way;
    return coir_i_transfer_run(&t, fd, COIR_I_READER);
}

ssize_t coir_write(int fd, const void *buf, size_t size)
{
    const struct iovec piece = {.iov_base = (void *)(uintptr_t)buf,
                                .iov_len = size};
    coir_i_transfer t = {.iov = &piece, .count = 1, .left = size};
    t.way = &coir_i_any_way;
    return coir_i_transfer_run(&t, fd, COIR_I_WRITER);
}

/* As the kernel, which does not look at a descriptor's kind if there is nothing
 * to move. */
static ssize_t move_pieces(int fd, const struct iovec *iov, int count,
                           enum coir_i_side side)
{
    ssize_t size = coir_i_pieces_size(iov, count);
    if (size < 0)
        return size;
    coir_i_transfer t = {.iov = iov, .count = count, .left = (size_t)size};
    t.way = size > 0 ? &coir_i_any_way : &no_way;
    return coir_i_transfer_run(&t, fd, side);
}

ssize_t coir_readv(int fd, const struct iovec *iov, int count)
{
    return move_pieces(fd, iov, count, COIR_I_READER);
}

ssize_t coir_writev(int fd, const struct iovec *iov, int count)
{
    return move_pieces(fd, iov, count, COIR_I_WRITER);
}

ssize_t coir_read_full(int fd, void *buf, size_t size)
{
    const struct iovec piece = {.iov_base = buf, .iov_len = size};
    coir_i_transfer t = {.iov = &piece, .count = 1, .left = size};
    t.way = size > 0 ? &coir_i_any_way : &no_way;
    return coir_i_transfer_whole(&t, fd, COIR_I_READER);
}

ssize_t coir_i_writev_full(int fd, const struct iovec *iov, int count)
{
    ssize_t size = coir_i_pieces_size(iov, count);
    if (size < 0)
        return size;
    coir_i_transfer t = {.iov = iov, .count = count, .left = (size_t)size};
    t.way = &coir_i_any_way;
    return coir_i_transfer_whole(&t, fd, COIR_I_WRITER);
}

ssize_t coir_write_full(int fd, const void *buf, size_t size)
{
    const struct iovec piece = {.iov_base = (void *)(uintptr_t)buf,
                                .iov_len = size};
    return coir_i_writev_full(fd, &piece, 1);
}
