/* io/sendfile.c -- from a file to any descriptor
 *
 * Does       sendfile(2) where it does not block; else the same by other means:
 *
 *   out does not block       sendfile(2), in chunks, when the file was seen to
 *                            be cached there; the rest where it may block
 *   out blocks               its flags are not ours: a copy in memory, which is
 *                            written as coir_write would
 *   epoll refuses out        (a regular file) sendfile(2) where it may block
 *   the kernel refuses       (some files of /proc, O_APPEND) the copy
 *
 * The file is read at an explicit place, and its own position, if that is asked
 * for, is set once, at the end: so what is stopped half-way has lost nothing.
 *
 * Invariants
 *   F1  `at` is one behind the last byte that `out` has taken.
 *   F2  The reader's turn of `in` is taken before the writer's of `out`, and
 *       nobody takes them the other way round.
 *
 * Edges      none of its own; see io/descriptor.h.
 * Fails      as the system calls; -ENOMEM for the copy; nothing is held. A
 *            close of `in` comes into effect when we are done.
 * Tests      test/test_sendfile.c */
#include <coir/io.h>

#include "io/offload.h"
#include "io/sys.h"
#include "io/transfer.h"

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

enum {
    CHUNK = 256 * 1024,   /* in one call, where it is cached */
    ELSEWHERE = 1 << 20,  /* in one call, where it may block */
    COPY_SIZE = 64 * 1024 /* of the copy */
};

struct sending {
    coir_i_transfer out;
    int in;
    off_t at;
    off_t cached; /* what is before it was cached when we looked */
    char *copy;   /* the bytes of the file from `copied` on */
    off_t copied;
    size_t copy_size;
};

static struct sending *sending_of(coir_i_transfer *t)
{
    return (struct sending *)t;
}

static size_t at_most(const struct sending *s, size_t size)
{
    return s->out.left < size ? s->out.left : size;
}

/* ---- The copy. */

static int read_blocking(void *arg)
{
    struct sending *s = arg;
    ssize_t n = coir_i_sys_read_at(s->in, s->copy, s->copy_size, s->at);
    s->copy_size = n < 0 ? 0 : (size_t)n;
    return n < 0 ? -(int)n : 0; /* never below 0: see coir_i_offload_fn */
}

/* Read ahead from `at`. 1; 0 at the end of the file. */
static int fill_copy(struct sending *s)
{
    if (!s->copy)
        s->copy = coir_i_sys_alloc(COPY_SIZE);
    if (!s->copy)
        return -ENOMEM;
    size_t size = at_most(s, COPY_SIZE);
    ssize_t n = coir_i_sys_read_at_now(s->in, s->copy, size, s->at);
    s->copied = s->at;
    s->copy_size = n > 0 ? (size_t)n : 0;
    if (n == -EAGAIN || n == -EOPNOTSUPP) {
        s->copy_size = size;
        int rc = coir_i_offload(read_blocking, s);
        if (rc != 0)
            s->copy_size = 0;
        n = rc > 0 ? -rc : rc < 0 ? rc : (ssize_t)s->copy_size;
    }
    return n < 0 ? (int)n : n > 0;
}

static ssize_t send_copy(struct sending *s,
                         ssize_t (*write)(coir_i_transfer *t))
{
    size_t done = (size_t)(s->at - s->copied);
    if (s->out.left == 0)
        return 0;
    if (done >= s->copy_size) {
        int rc = fill_copy(s);
        if (rc <= 0)
            return rc;
        done = 0;
    }
    const struct iovec piece = {.iov_base = s->copy + done,
                                .iov_len = at_most(s, s->copy_size - done)};
    coir_i_transfer part = {.call = s->out.call};
    part.iov = &piece;
    part.count = 1;
    part.left = piece.iov_len;
    ssize_t n = write(&part);
    if (n > 0)
        s->at += n;
    return n;
}

static ssize_t copy_now(coir_i_transfer *t)
{
    return send_copy(sending_of(t), coir_i_any_way.now);
}

static ssize_t copy_elsewhere(coir_i_transfer *t)
{
    return send_copy(sending_of(t), coir_i_any_way.elsewhere);
}

static const coir_i_way copy_way = {copy_now, copy_elsewhere};

/* ---- sendfile(2) itself. */

static ssize_t send_directly(struct sending *s, size_t size)
{
    ssize_t n = coir_i_sys_sendfile(s->out.call.fd, s->in, &s->at, size);
    bool is_refused = n == -EINVAL || n == -ENOSYS || n == -EOPNOTSUPP;
    if (is_refused)
        s->out.way = &copy_way;
    return n;
}

struct elsewhere {
    struct sending *sending;
    ssize_t n;
};

static int send_blocking(void *arg)
{
    struct elsewhere *e = arg;
    e->n = send_directly(e->sending, at_most(e->sending, ELSEWHERE));
    return 0;
}

static ssize_t send_elsewhere(coir_i_transfer *t)
{
    struct elsewhere e = {.sending = sending_of(t)};
    int rc = coir_i_offload(send_blocking, &e);
    if (rc < 0)
        return rc;
    return t->way == &copy_way ? copy_elsewhere(t) : e.n;
}

/* The first and the last byte: between them the kernel has read ahead. */
static bool is_cached(struct sending *s, size_t size)
{
    char byte;
    if (s->at > INT64_MAX - (off_t)size)
        return false; /* no file has that; the kernel says what it is */
    if (s->at + (off_t)size <= s->cached)
        return true;
    const off_t ends[] = {s->at, s->at + (off_t)size - 1};
    for (int i = 0; i < 2; i++) {
        ssize_t n = coir_i_sys_read_at_now(s->in, &byte, 1, ends[i]);
        if (n == -EAGAIN || n == -EOPNOTSUPP)
            return false;
    }
    s->cached = s->at + (off_t)size;
    return true;
}

static ssize_t send_now(coir_i_transfer *t)
{
    struct sending *s = sending_of(t);
    size_t size = at_most(s, CHUNK);
    int rc = coir_i_transfer_register(t);
    if (rc < 0)
        return rc; /* perhaps COIR_I_ELSEWHERE */
    rc = coir_i_sys_flags(t->call.fd);
    if (rc < 0)
        return rc;
    if (!(rc & O_NONBLOCK)) {
        t->way = &copy_way;
        return copy_now(t);
    }
    if (size > 0 && !is_cached(s, size))
        return COIR_I_ELSEWHERE;
    ssize_t n = send_directly(s, size);
    return t->way == &copy_way ? copy_now(t) : n;
}

static const coir_i_way direct_way = {send_now, send_elsewhere};

/* ---- The public call. */

/* While `in` is held open. */
static ssize_t send_from(struct sending *s, int out, off_t *offset)
{
    off_t at = offset ? *offset : coir_i_sys_seek(s->in, 0, SEEK_CUR);
    if (at < 0)
        return offset || at == -ESPIPE ? -EINVAL : (ssize_t)at;
    s->at = s->copied = s->cached = at;
    s->out.way = &direct_way;
    ssize_t n = coir_i_transfer_whole(&s->out, out, COIR_I_WRITER);
    free(s->copy);
    if (n <= 0)
        return n;
    if (offset)
        *offset = s->at;
    else
        coir_i_sys_seek(s->in, s->at, SEEK_SET);
    return n;
}

/* From where the file stands: it is read by one at a time. */
static ssize_t send_in_turn(struct sending *s, int out)
{
    coir_i_call reader;
    int rc = coir_i_call_begin(&reader, s->in, COIR_I_READER);
    if (rc < 0)
        return rc;
    ssize_t n = send_from(s, out, NULL);
    coir_i_call_end(&reader);
    return n;
}

ssize_t coir_sendfile(int out, int in, off_t *offset, size_t size)
{
    struct sending s = {.in = in, .out = {.left = size}};
    coir_i_descriptor *slot;
    int rc = coir_i_enter();
    if (rc < 0)
        return rc;
    if (!offset)
        return send_in_turn(&s, out);
    rc = coir_i_slot_get(in, &slot);
    if (rc == 0)
        rc = coir_i_slot_enter(slot);
    if (rc < 0)
        return rc;
    ssize_t n = send_from(&s, out, offset);
    coir_i_slot_leave(slot, in);
    return n;
}
