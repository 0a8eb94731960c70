/* io/readwrite.c -- reading and writing
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
 * A short read of TCP was all there is: then the next one waits at once,
 * without a system call that would say -EAGAIN. Not once the peer's end was
 * seen, which may have come in one edge with the data; nor after urgent data,
 * at which a read stops: no other edge follows. And not on unix sockets, where
 * a read stops behind descriptors that were sent.
 *
 * Invariants
 *   R1  A call that gives -ECANCELED has moved nothing.
 *   R2  SIGPIPE is never raised: io/sys.c.
 *   R3  An error that stopped a whole transfer half-way, and which the kernel
 *       tells but once, is kept in the slot for the next call on that side; it
 *       is dropped if the kernel says anything else than "the end" then.
 *
 * Edges      none of its own; see io/descriptor.h.
 * Fails      as the system calls; -ENOMEM for a slot, and what the reactor says
 *            where it must wait: nothing was moved.
 * Tests      test/test_readwrite.c, test/test_readwrite_kinds.c */
#include <coir/io.h>

#include "io/descriptor.h"
#include "io/offload.h"
#include "io/sys.h"

#include <limits.h>
#include <poll.h>

enum {
    TERMINAL_ROOM = 256, /* what one takes that says it is writable */
    ELSEWHERE = INT_MIN  /* not a result: make it where it may block */
};

/* One call of a program: up to `left` bytes, from or to `at`. */
struct transfer {
    coir_i_call call;
    char *at;
    size_t left;
    int flags;           /* of recv and send */
    bool is_for_sockets; /* recv and send: nothing else will do */
};

static bool is_read(const struct transfer *t)
{
    return t->call.side == COIR_I_READER;
}

static uint64_t known_of(const struct transfer *t)
{
    /* relaxed: only a hint, or see coir_i_call_try. */
    return load_relaxed(&t->call.slot->state);
}

/* ---- The system call, one way or another. -EAGAIN: it would block. */

static ssize_t move_socket(struct transfer *t)
{
    if (is_read(t))
        return coir_i_sys_recv(t->call.fd, t->at, t->left, t->flags);
    return coir_i_sys_send(t->call.fd, t->at, t->left, t->flags);
}

/* Be sure that it can be waited for; ELSEWHERE: it cannot. */
static int register_plain(struct transfer *t)
{
    if (known_of(t) & COIR_I_REGISTERED)
        return 0;
    int rc = coir_i_slot_register(t->call.slot, t->call.fd);
    return rc == -EPERM ? ELSEWHERE : rc;
}

static int move_blocking(void *arg)
{
    struct transfer *t = arg;
    ssize_t n = is_read(t) ? coir_i_sys_read(t->call.fd, t->at, t->left)
                           : coir_i_sys_write(t->call.fd, t->at, t->left);
    t->flags = n < 0 ? (int)n : 0;
    t->left = n < 0 ? 0 : (size_t)n;
    return 0;
}

static ssize_t move_elsewhere(const struct transfer *t)
{
    struct transfer there = *t;
    int rc = coir_i_offload(move_blocking, &there);
    if (rc < 0)
        return rc;
    return there.flags < 0 ? there.flags : (ssize_t)there.left;
}

/* It was read short, and might be a file of which only that was cached: the
 * rest, too, if so, since of a file less means the end. */
static ssize_t read_rest(struct transfer *t, ssize_t n)
{
    struct transfer rest = *t;
    while ((size_t)n < t->left) {
        rest.at = t->at + n;
        rest.left = t->left - (size_t)n;
        ssize_t m = coir_i_sys_read_now(t->call.fd, rest.at, rest.left);
        if (m == -EAGAIN && register_plain(t) == ELSEWHERE)
            m = move_elsewhere(&rest);
        if (m <= 0)
            break;
        n += m;
    }
    return n;
}

static ssize_t read_plain(struct transfer *t)
{
    int fd = t->call.fd;
    ssize_t n = coir_i_sys_read_now(fd, t->at, t->left);
    if (n != -EOPNOTSUPP) {
        bool may_be_file = n > 0 && !(known_of(t) & COIR_I_REGISTERED);
        return may_be_file ? read_rest(t, n) : n;
    }
    int rc = register_plain(t);
    if (rc < 0)
        return rc;
    rc = coir_i_sys_poll(fd, POLLIN);
    if (rc <= 0)
        return rc < 0 ? rc : -EAGAIN;
    return coir_i_sys_read(fd, t->at, t->left);
}

static ssize_t write_plain(struct transfer *t)
{
    int fd = t->call.fd;
    ssize_t n = coir_i_sys_write_now(fd, t->at, t->left);
    if (n != -EOPNOTSUPP)
        return n;
    int rc = register_plain(t);
    if (rc < 0)
        return rc;
    rc = coir_i_sys_poll(fd, POLLOUT);
    if (rc <= 0)
        return rc < 0 ? rc : -EAGAIN;
    rc = coir_i_sys_is_fifo(fd);
    if (rc < 0)
        return rc;
    size_t room = rc ? PIPE_BUF : TERMINAL_ROOM;
    return coir_i_sys_write(fd, t->at, t->left < room ? t->left : room);
}

static ssize_t move_once(struct transfer *t)
{
    uint64_t known = known_of(t);
    if (is_read(t) && t->left == 0 && !t->is_for_sockets)
        return coir_i_sys_read(t->call.fd, t->at, 0); /* blocks nowhere */
    if (t->is_for_sockets || !(known & COIR_I_PLAIN)) {
        ssize_t n = move_socket(t);
        if (n != -ENOTSOCK || t->is_for_sockets)
            return n;
        coir_i_slot_learn(t->call.slot, (uint32_t)(known >> 32), COIR_I_PLAIN,
                          COIR_I_STREAM);
    }
    return is_read(t) ? read_plain(t) : write_plain(t);
}

/* ---- Around it. */

/* What the side's word is to be after n, and what comes back. */
static ssize_t settle(struct transfer *t, ssize_t n)
{
    enum { LEAVES_MORE = MSG_PEEK | MSG_TRUNC };
    uint64_t ends = COIR_I_STREAM | COIR_I_ENDED;
    int *late = &t->call.slot->late_error[t->call.side];

    bool is_drained = is_read(t) && n > 0 && (size_t)n < t->left &&
                      !(t->flags & LEAVES_MORE) &&
                      (known_of(t) & ends) == COIR_I_STREAM;
    if (!is_drained)
        coir_i_call_more(&t->call);
    if (coir_i_unlikely(*late < 0)) {
        if (n == (is_read(t) ? 0 : -EPIPE))
            n = *late;
        *late = 0;
    }
    return n;
}

/* Once, when the kernel would not block. */
static ssize_t move(struct transfer *t)
{
    bool is_now = t->flags & MSG_DONTWAIT;
    if (is_now)
        coir_i_call_more(&t->call);
    for (;;) {
        ssize_t rc = coir_i_call_try(&t->call);
        if (rc > 0) {
            ssize_t n = move_once(t);
            if (n == ELSEWHERE)
                n = move_elsewhere(t);
            if (n != -EAGAIN || is_now)
                return settle(t, n);
        }
        if (rc >= 0)
            rc = coir_i_call_wait(&t->call);
        if (rc == -EPERM)
            return settle(t, move_elsewhere(t));
        if (rc < 0)
            return rc;
    }
}

static int begin(struct transfer *t, int fd, enum coir_i_side side)
{
    int rc = coir_i_enter();
    if (rc < 0)
        return rc;
    if (t->flags & MSG_DONTWAIT)
        return coir_i_call_begin_now(&t->call, fd, side);
    return coir_i_call_begin(&t->call, fd, side);
}

static ssize_t transfer(struct transfer *t, int fd, enum coir_i_side side)
{
    int rc = begin(t, fd, side);
    if (rc < 0)
        return rc;
    ssize_t n = move(t);
    coir_i_call_end(&t->call);
    return n;
}

/* All of it, in one turn. */
static ssize_t transfer_whole(struct transfer *t, int fd, enum coir_i_side side)
{
    char *from = t->at;
    ssize_t n = begin(t, fd, side);
    if (n < 0)
        return n;
    do {
        n = move(t);
        if (n <= 0)
            break;
        t->at += n;
        t->left -= (size_t)n;
        if (t->left > 0)
            n = coir_i_enter();
    } while (t->left > 0 && n >= 0);
    bool is_lost = n < 0 && n != -ECANCELED && t->at > from && t->call.slot;
    if (is_lost)
        t->call.slot->late_error[side] = (int)n;
    coir_i_call_end(&t->call);
    return t->at > from ? t->at - from : n;
}

/* ---- The public calls. */

ssize_t coir_read(int fd, void *buf, size_t size)
{
    struct transfer t = {.at = buf, .left = size};
    return transfer(&t, fd, COIR_I_READER);
}

ssize_t coir_write(int fd, const void *buf, size_t size)
{
    struct transfer t = {.at = (char *)(uintptr_t)buf, .left = size};
    return transfer(&t, fd, COIR_I_WRITER);
}

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
static ssize_t recv_aside(int fd, void *buf, size_t size, int flags)
{
    coir_i_descriptor *slot;
    ssize_t n = coir_i_enter();
    if (n >= 0)
        n = coir_i_slot_get(fd, &slot);
    if (n >= 0)
        n = coir_i_slot_enter(slot);
    if (n < 0)
        return n;
    n = coir_i_sys_recv(fd, buf, size, flags);
    coir_i_slot_leave(slot, fd);
    return n;
}

ssize_t coir_recv(int fd, void *buf, size_t size, int flags)
{
    if (flags & (MSG_OOB | MSG_ERRQUEUE))
        return recv_aside(fd, buf, size, flags);
    struct transfer t = {.at = buf, .left = size, .is_for_sockets = true};
    t.flags = flags & ~MSG_WAITALL;
    if (waits_for_all(fd, flags))
        return transfer_whole(&t, fd, COIR_I_READER);
    return transfer(&t, fd, COIR_I_READER);
}

ssize_t coir_send(int fd, const void *buf, size_t size, int flags)
{
    struct transfer t = {.at = (char *)(uintptr_t)buf, .left = size};
    t.flags = flags;
    t.is_for_sockets = true;
    return transfer(&t, fd, COIR_I_WRITER);
}

ssize_t coir_read_full(int fd, void *buf, size_t size)
{
    struct transfer t = {.at = buf, .left = size};
    return transfer_whole(&t, fd, COIR_I_READER);
}

ssize_t coir_write_full(int fd, const void *buf, size_t size)
{
    struct transfer t = {.at = (char *)(uintptr_t)buf, .left = size};
    return transfer_whole(&t, fd, COIR_I_WRITER);
}
