/* io/transfer.h -- one call that moves bytes, from its beginning to its end
 *
 * What all such calls have in common: a turn on one side of a descriptor, the
 * system call made only when it is worth making, the wait after -EAGAIN, and
 * whole transfers, which take many system calls. How bytes are moved is the
 * *way*: readwrite.c for any descriptor, message.c for sockets, sendfile.c. */
#ifndef COIR_IO_TRANSFER_H
#define COIR_IO_TRANSFER_H

#include "fiber/invariant.h"
#include "io/descriptor.h"

#include <limits.h>
#include <sys/uio.h>

typedef struct coir_i_transfer coir_i_transfer;

typedef struct coir_i_way {
    /* The system call, which does not wait. -EAGAIN: it would have had to;
     * COIR_I_ELSEWHERE: it cannot be waited for, and may be made elsewhere. */
    ssize_t (*now)(coir_i_transfer *t);
    /* The same where it may wait: io/offload.h. NULL: there is no need. */
    ssize_t (*elsewhere)(coir_i_transfer *t);
} coir_i_way;

enum { COIR_I_ELSEWHERE = INT_MIN };

/* How any descriptor is read and written: readwrite.c. */
extern const coir_i_way coir_i_any_way;
/* [parks] As coir_write_full, of one piece or more, of which the first is not
 * empty. */
ssize_t coir_i_writev_full(int fd, const struct iovec *iov, int count);

/* On the stack of the fiber that calls. What is still to be moved are the
 * pieces from iov[0] on, of which `done` bytes are done, or just `left` bytes
 * where the way has no use for pieces. */
struct coir_i_transfer {
    coir_i_call call;
    const coir_i_way *way;
    const struct iovec *iov;
    int count; /* of pieces */
    int flags; /* of recv and send */
    size_t done, left;
    bool is_over; /* the way says: a whole transfer ends here */
};

/* How many bytes there are in all. -EINVAL: no such count, or too many;
 * -EFAULT: there are no pieces. */
ssize_t coir_i_pieces_size(const struct iovec *iov, int count);

/* The pieces for one system call: all that are left, or what is left of one of
 * which a part is done, which goes into *piece. How many. */
static inline int coir_i_transfer_pieces(const coir_i_transfer *t,
                                         struct iovec *piece,
                                         const struct iovec **ret_iov)
{
    *ret_iov = t->iov;
    if (coir_i_likely(t->done == 0))
        return t->count;
    piece->iov_base = (char *)t->iov->iov_base + t->done;
    piece->iov_len = t->iov->iov_len - t->done;
    *ret_iov = piece;
    return 1;
}

void coir_i_transfer_advance(coir_i_transfer *t, size_t size);

/* Be sure that it can be waited for. COIR_I_ELSEWHERE: it cannot. */
int coir_i_transfer_register(const coir_i_transfer *t);

/* [parks] As read(2) and write(2): at least one byte, the end, or an error. */
ssize_t coir_i_transfer_run(coir_i_transfer *t, int fd, enum coir_i_side side);
/* [parks] All of it in one turn; less is the end, or where it was stopped. */
ssize_t coir_i_transfer_whole(coir_i_transfer *t, int fd,
                              enum coir_i_side side);

static inline bool coir_i_transfer_is_read(const coir_i_transfer *t)
{
    return t->call.side == COIR_I_READER;
}

/* What is known of the descriptor. */
static inline uint64_t coir_i_transfer_known(const coir_i_transfer *t)
{
    /* relaxed: only a hint, or see coir_i_call_try. */
    return load_relaxed(&t->call.slot->state);
}

#endif
