/* io/stream.c -- buffered streams
 *
 * Does       gather small writes, hand out what one big read brought, in place
 *            where that is asked for. What is as big as the buffer goes past
 *            it, straight from and to the caller's memory.
 * Does not   take turns: one fiber reads at a time, and one writes; a second
 *            one is misuse, since what read_until gave to the first would
 *            change under it.
 *
 *      own    from      to      capacity
 *       v      v        v          v
 *       |......|taken   |..........|     a half: bytes that came and were not
 *              |in, not |                yet read, or that were written and
 *              |yet out |                have not yet gone
 *
 * Invariants
 *   S1  A write that returns its size is taken whole: it has gone, or is in the
 *       buffer. One that returns an error is not taken at all; so what is left
 *       of a big one that was stopped half-way is kept, in a buffer of its own,
 *       and the next call tells why it was stopped.
 *   S2  Bytes leave the buffer when the descriptor has taken them, and only
 *       then: a flush may be stopped and called again.
 *   S3  Halves share nothing but what is const: reader and writer may run at
 *       the same time on different workers.
 *
 * Edges      none: a half belongs to one fiber at a time.
 * Fails      as coir_read and coir_write; -ENOMEM where memory for a half, for
 *            a long text or for what is left is not there.
 * Tests      test/test_stream.c, test/stress_stream.c */
#include <coir/io.h>
#include <coir/stream.h>

#include "fiber/atomics.h"
#include "fiber/invariant.h"
#include "io/module.h"
#include "io/sys.h"
#include "io/transfer.h"
#include "sched/park.h"

#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { DEFAULT_SIZE = 16 * 1024 };

struct half {
    char *bytes;
    size_t from, to; /* what is in it */
    size_t capacity;
    _Atomic(bool) is_busy; /* a call is under way */
};

struct coir_stream {
    int fd;      /* const, as the next two */
    size_t size; /* of each buffer */
    char *own;   /* the writer's, when it is not a bigger one */
    struct half in;
    char apart[64]; /* reader and writer share no cache line */
    struct half out;
    int lost; /* not 0: a part of a write was lost, and why */
    char memory[];
};

/* ---- One at a time. */

static void begin_call(struct half *half)
{
    /* relaxed: no more than a check. Two at the very same moment may not be
     * seen; one that waits is. */
    coir_i_rule(!load_relaxed(&half->is_busy),
                "two fibers read, or two write, one stream");
    store_relaxed(&half->is_busy, true);
}

static ssize_t end_call(struct half *half, ssize_t rc)
{
    store_relaxed(&half->is_busy, false); /* as above */
    return rc;
}

static void check_idle(const coir_stream *s)
{
    coir_i_rule(!load_relaxed(&s->in.is_busy) && !load_relaxed(&s->out.is_busy),
                "a stream goes while a fiber reads or writes it");
}

/* ---- Life. */

int coir_stream_new(coir_stream **ret_stream, int fd, size_t buffer_size)
{
    size_t size = buffer_size ? buffer_size : DEFAULT_SIZE;
    if (coir_i_io_is_forked())
        return -EPERM;
    int rc = coir_i_sys_flags(fd);
    if (rc < 0)
        return rc;
    if (size > (SSIZE_MAX - sizeof(coir_stream)) / 2)
        return -ENOMEM;
    coir_stream *s = coir_i_sys_alloc(sizeof *s + 2 * size);
    if (!s)
        return -ENOMEM;
    memset(s, 0, sizeof *s);
    s->fd = fd;
    s->size = s->in.capacity = s->out.capacity = size;
    s->in.bytes = s->memory;
    s->own = s->out.bytes = s->memory + size;
    *ret_stream = s;
    return 0;
}

static void free_stream(coir_stream *s)
{
    if (s->out.bytes != s->own)
        free(s->out.bytes);
    free(s);
}

int coir_stream_fd(const coir_stream *s)
{
    return s->fd;
}

int coir_stream_detach(coir_stream *s)
{
    int fd = s->fd;
    if (coir_i_io_is_forked())
        return -EPERM;
    check_idle(s);
    if (s->in.from < s->in.to || s->out.from < s->out.to)
        return -EBUSY;
    free_stream(s);
    return fd;
}

/* ---- Reading. */

static size_t held_in(const struct half *half)
{
    return half->to - half->from;
}

/* More behind what is there. As coir_read. */
static ssize_t fill(coir_stream *s)
{
    struct half *in = &s->in;
    if (in->from == in->to)
        in->from = in->to = 0;
    if (in->to == in->capacity) {
        memmove(in->bytes, in->bytes + in->from, held_in(in));
        in->to -= in->from;
        in->from = 0;
    }
    ssize_t n = coir_read(s->fd, in->bytes + in->to, in->capacity - in->to);
    if (n > 0)
        in->to += (size_t)n;
    return n;
}

static ssize_t read_some(coir_stream *s, char *buf, size_t size)
{
    struct half *in = &s->in;
    ssize_t rc;
    if (held_in(in) > 0 || size == 0) {
        rc = coir_i_enter();
    } else {
        if (size >= in->capacity)
            return coir_read(s->fd, buf, size);
        rc = fill(s);
    }
    if (rc < 0)
        return rc;
    size_t n = held_in(in) < size ? held_in(in) : size;
    if (n > 0)
        memcpy(buf, in->bytes + in->from, n);
    in->from += n;
    return (ssize_t)n;
}

ssize_t coir_stream_read(coir_stream *s, void *buf, size_t size)
{
    begin_call(&s->in);
    return end_call(&s->in, read_some(s, buf, size));
}

/* How long the next piece is: with its delimiter, or all that is left before
 * the end. */
static ssize_t find_piece(coir_stream *s, int delimiter)
{
    struct half *in = &s->in;
    size_t looked = 0; /* there is none in the first of them */
    ssize_t rc = held_in(in) > 0 ? coir_i_enter() : 0;
    while (rc >= 0) {
        const char *first = in->bytes + in->from;
        const char *at =
            memchr(first + looked, delimiter, held_in(in) - looked);
        if (at)
            return at - first + 1;
        looked = held_in(in);
        if (looked == in->capacity)
            return -EMSGSIZE;
        rc = fill(s);
        if (rc == 0)
            return (ssize_t)looked;
    }
    return rc;
}

ssize_t coir_stream_read_until(coir_stream *s, int delimiter, char **text)
{
    begin_call(&s->in);
    ssize_t n = find_piece(s, delimiter);
    if (n >= 0) {
        *text = s->in.bytes + s->in.from;
        s->in.from += (size_t)n;
    }
    return end_call(&s->in, n);
}

/* ---- Writing. */

/* Nothing is left in it. */
static void empty(coir_stream *s)
{
    struct half *out = &s->out;
    if (out->bytes != s->own)
        free(out->bytes);
    out->bytes = s->own;
    out->capacity = s->size;
    out->from = out->to = 0;
}

static int flush(coir_stream *s)
{
    struct half *out = &s->out;
    if (s->lost)
        return s->lost;
    if (held_in(out) == 0)
        return coir_i_enter();
    while (held_in(out) > 0) {
        ssize_t n =
            coir_write_full(s->fd, out->bytes + out->from, held_in(out));
        if (n <= 0)
            return n < 0 ? (int)n : -EIO;
        out->from += (size_t)n;
    }
    empty(s);
    return 0;
}

int coir_stream_flush(coir_stream *s)
{
    begin_call(&s->out);
    return (int)end_call(&s->out, flush(s));
}

static void take(struct half *out, const char *buf, size_t size)
{
    if (size > 0)
        memcpy(out->bytes + out->to, buf, size);
    out->to += size;
}

/* What is left of a big write, see S1. The buffer is empty. */
static int keep_rest(coir_stream *s, const char *buf, size_t size)
{
    struct half *out = &s->out;
    if (size > s->size) {
        char *bytes = coir_i_sys_alloc(size);
        if (!bytes)
            return s->lost = -ENOMEM;
        out->bytes = bytes;
        out->capacity = size;
    }
    take(out, buf, size);
    return 0;
}

/* Past the buffer, but with what is in it, in one go. */
static ssize_t write_past(coir_stream *s, const char *buf, size_t size)
{
    struct half *out = &s->out;
    for (;;) {
        size_t held = held_in(out);
        const struct iovec pieces[] = {
            {.iov_base = out->bytes + out->from, .iov_len = held},
            {.iov_base = (void *)(uintptr_t)buf, .iov_len = size},
        };
        ssize_t n = coir_i_writev_full(s->fd, pieces + !held, held ? 2 : 1);
        if (n <= 0)
            return n < 0 ? n : -EIO;
        if ((size_t)n < held) {
            out->from += (size_t)n;
            continue; /* which tells why */
        }
        empty(s);
        size_t gone = (size_t)n - held;
        if (gone == 0)
            continue;
        int rc = keep_rest(s, buf + gone, size - gone);
        return rc < 0 ? rc : (ssize_t)size;
    }
}

static ssize_t write_some(coir_stream *s, const char *buf, size_t size)
{
    struct half *out = &s->out;
    bool is_big = size >= s->size;
    if (size > SSIZE_MAX)
        return -EINVAL;
    if (s->lost)
        return s->lost;
    if (is_big)
        return write_past(s, buf, size);
    int rc = size <= out->capacity - out->to ? coir_i_enter() : flush(s);
    if (rc < 0)
        return rc;
    take(out, buf, size);
    return (ssize_t)size;
}

ssize_t coir_stream_write(coir_stream *s, const void *buf, size_t size)
{
    begin_call(&s->out);
    return end_call(&s->out, write_some(s, buf, size));
}

/* ---- Texts. */

/* Into what room there is. How long it is; it was taken if that is less. */
static int print_here(coir_stream *s, const char *format, va_list args)
{
    struct half *out = &s->out;
    size_t room = out->capacity - out->to;
    int length = vsnprintf(out->bytes + out->to, room, format, args);
    if (length < 0)
        return -EINVAL;
    if ((size_t)length < room)
        out->to += (size_t)length;
    return length;
}

/* It is longer than the buffer. */
static int print_aside(coir_stream *s, int length, const char *format,
                       va_list args)
{
    size_t size = (size_t)length + 1;
    char *text = coir_i_sys_alloc(size);
    if (!text)
        return -ENOMEM;
    ssize_t rc = vsnprintf(text, size, format, args);
    rc = rc < 0 ? -EINVAL : write_some(s, text, (size_t)length);
    free(text);
    return (int)rc;
}

static int print(coir_stream *s, const char *format, va_list args)
{
    va_list again;
    int rc = s->lost ? s->lost : coir_i_enter();
    if (rc < 0)
        return rc;
    size_t room = s->out.capacity - s->out.to;
    va_copy(again, args);
    int length = print_here(s, format, again);
    va_end(again);
    if (length < 0 || (size_t)length < room)
        return length;
    if ((size_t)length >= s->size)
        return print_aside(s, length, format, args);
    rc = flush(s);
    return rc < 0 ? rc : print_here(s, format, args);
}

int coir_stream_printf(coir_stream *s, const char *format, ...)
{
    va_list args;
    begin_call(&s->out);
    va_start(args, format);
    int rc = print(s, format, args);
    va_end(args);
    return (int)end_call(&s->out, rc);
}

/* ---- The end. */

int coir_stream_close(coir_stream *s)
{
    if (coir_i_io_is_forked())
        return -EPERM;
    check_idle(s);
    int rc = s->lost;
    if (rc == 0 && held_in(&s->out) > 0)
        rc = flush(s);
    int closed = coir_close(s->fd);
    free_stream(s);
    return rc < 0 ? rc : closed;
}
