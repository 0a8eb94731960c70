/* io/transfer.c -- one call that moves bytes, from its beginning to its end
 *
 * A short read of TCP was all there is: then the next one waits at once,
 * without a system call that would say -EAGAIN. Not once the peer's end was
 * seen, which may have come in one edge with the data; nor after urgent data,
 * at which a read stops: no other edge follows. And not on unix sockets, where
 * a read stops behind descriptors that were sent.
 *
 * Does       begin, ask, wait, settle, end; and go on until all is moved.
 * Does not   know how bytes are moved: that is the way.
 *
 * Invariants
 *   R1  A call that gives -ECANCELED has moved nothing.
 *   R3  An error that stopped a whole transfer half-way, and which the kernel
 *       tells but once, is kept in the slot for the next call on that side; it
 *       is dropped if the kernel says anything else than "the end" then, or if
 *       the number is another file by then, which close(2) tells nobody of.
 *
 * Edges      none of its own; see io/descriptor.h.
 * Fails      as the system calls; -ENOMEM for a slot, and what the reactor says
 *            where it must wait: nothing was moved.
 * Tests      test/test_readwrite.c, test/test_vector.c,
 *            test/test_descriptor_end.c */
#include "io/transfer.h"

#include "io/sys.h"

#include <limits.h>
#include <sys/socket.h>

/* ---- Pieces. */

ssize_t coir_i_pieces_size(const struct iovec *iov, int count)
{
    size_t sum = 0;
    if (count < 0 || count > IOV_MAX)
        return -EINVAL;
    if (!iov && count > 0)
        return -EFAULT;
    for (int i = 0; i < count; i++) {
        if (iov[i].iov_len > SSIZE_MAX - sum)
            return -EINVAL;
        sum += iov[i].iov_len;
    }
    return (ssize_t)sum;
}

void coir_i_transfer_advance(coir_i_transfer *t, size_t size)
{
    t->left -= size;
    t->done += size;
    while (t->count > 0 && t->done >= t->iov->iov_len) {
        t->done -= t->iov->iov_len;
        t->iov++;
        t->count--;
    }
}

/* ---- One system call. */

int coir_i_transfer_register(const coir_i_transfer *t)
{
    if (coir_i_transfer_known(t) & COIR_I_REGISTERED)
        return 0;
    int rc = coir_i_slot_register(t->call.slot, t->call.fd);
    return rc == -EPERM ? COIR_I_ELSEWHERE : rc;
}

/* How much the last system call could have moved. */
static size_t asked_for(const coir_i_transfer *t)
{
    return t->done > 0 ? t->iov->iov_len - t->done : t->left;
}

/* R3: what came of the call instead of n, if that is the end. */
static ssize_t take_late(const coir_i_call *call, ssize_t n, ssize_t end)
{
    int *late = &call->slot->late_error[call->side];
    uint32_t file = call->slot->late_file[call->side];
    if (n == end && file == coir_i_sys_file(call->fd))
        n = *late;
    *late = 0;
    return n;
}

static void keep_late(const coir_i_call *call, ssize_t n)
{
    call->slot->late_error[call->side] = (int)n;
    call->slot->late_file[call->side] = coir_i_sys_file(call->fd);
}

/* What the side's word is to be after n, and what comes back. */
static ssize_t settle(coir_i_transfer *t, ssize_t n)
{
    enum { LEAVES_MORE = MSG_PEEK | MSG_TRUNC };
    uint64_t ends = COIR_I_STREAM | COIR_I_ENDED;
    int late = t->call.slot->late_error[t->call.side];
    bool is_read = coir_i_transfer_is_read(t);

    bool is_drained = is_read && n > 0 && (size_t)n < asked_for(t) &&
                      !(t->flags & LEAVES_MORE) &&
                      (coir_i_transfer_known(t) & ends) == COIR_I_STREAM;
    if (!is_drained)
        coir_i_call_more(&t->call);
    if (coir_i_unlikely(late < 0))
        n = take_late(&t->call, n, is_read ? 0 : -EPIPE);
    return n;
}

/* Once, when the kernel would not block. */
static ssize_t move(coir_i_transfer *t)
{
    bool is_now = t->flags & MSG_DONTWAIT;
    if (is_now)
        coir_i_call_more(&t->call);
    for (;;) {
        ssize_t rc = coir_i_call_try(&t->call);
        if (rc > 0) {
            ssize_t n = t->way->now(t);
            if (n == COIR_I_ELSEWHERE)
                n = t->way->elsewhere(t);
            if (n != -EAGAIN || is_now)
                return settle(t, n);
        }
        if (rc >= 0)
            rc = coir_i_call_wait(&t->call);
        if (rc == -EPERM && t->way->elsewhere)
            return settle(t, t->way->elsewhere(t));
        if (rc < 0)
            return rc;
    }
}

/* ---- From begin to end. */

static int begin(coir_i_transfer *t, int fd, enum coir_i_side side)
{
    int rc = coir_i_enter();
    if (rc < 0)
        return rc;
    if (t->flags & MSG_DONTWAIT)
        return coir_i_call_begin_now(&t->call, fd, side);
    return coir_i_call_begin(&t->call, fd, side);
}

ssize_t coir_i_transfer_run(coir_i_transfer *t, int fd, enum coir_i_side side)
{
    int rc = begin(t, fd, side);
    if (rc < 0)
        return rc;
    ssize_t n = move(t);
    coir_i_call_end(&t->call);
    return n;
}

ssize_t coir_i_transfer_whole(coir_i_transfer *t, int fd, enum coir_i_side side)
{
    size_t sum = 0;
    ssize_t n = begin(t, fd, side);
    if (n < 0)
        return n;
    do {
        n = move(t);
        if (n <= 0)
            break;
        sum += (size_t)n;
        coir_i_transfer_advance(t, (size_t)n);
        if (t->left > 0 && !t->is_over)
            n = coir_i_enter();
    } while (t->left > 0 && !t->is_over && n >= 0);
    bool is_lost = n < 0 && n != -ECANCELED && sum > 0 && t->call.slot;
    if (is_lost)
        keep_late(&t->call, n);
    coir_i_call_end(&t->call);
    return sum > 0 ? (ssize_t)sum : n;
}
