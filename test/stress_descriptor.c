/* test/stress_descriptor.c -- io/: nothing is lost, doubled, mixed or stuck
 *
 * Rounds of two kinds, with random sizes, kinds of descriptors and times:
 *
 *   streams   writers and readers under timeouts that cancel most calls; every
 *             byte arrives, in order, and then the end
 *   victims   several fibers use one descriptor, for reading, writing and
 *             polling, until it is closed under them; all of them end
 *
 * Numbers are reused from round to round, some closed behind coir's back. */
#include "test/harness.h"
#include "test/sockets.h"

#include <stdio.h>
#include <stdlib.h>

enum { STREAMS = 6, STREAM_MAX = 60000, PIECE_MAX = 5000, VICTIMS = 6 };

static uint64_t seeds; /* every fiber has a generator of its own */

struct side {
    int fd;
    uint64_t random;
    char *at;
    size_t left;
    ssize_t rc;
    char bytes[PIECE_MAX];
};

/* ---- Streams. */

struct stream {
    struct side from, to;
    size_t total;
    bool is_behind;   /* it is closed with close(2) */
    _Atomic(int) bad; /* what went wrong, as a bit */
};

enum { BAD_WRITE = 1, BAD_READ = 2, BAD_BYTES = 4, BAD_END = 8, BAD_POLL = 16 };

/* The piece in two. */
static void cut_piece(struct side *s, struct iovec parts[2])
{
    size_t first = test_random_below(&s->random, s->left + 1);
    parts[0] = (struct iovec){.iov_base = s->at, .iov_len = first};
    parts[1] =
        (struct iovec){.iov_base = s->at + first, .iov_len = s->left - first};
}

static int write_piece(void *arg)
{
    struct side *s = arg;
    struct iovec parts[2];
    cut_piece(s, parts);
    switch (test_random_below(&s->random, 3)) {
    case 0:
        s->rc = coir_write_full(s->fd, s->at, s->left);
        break;
    case 1:
        s->rc = coir_writev(s->fd, parts, 2);
        break;
    default:
        s->rc = coir_write(s->fd, s->at, s->left);
    }
    return 0;
}

static int read_piece(void *arg)
{
    struct side *s = arg;
    struct iovec parts[2];
    cut_piece(s, parts);
    switch (test_random_below(&s->random, 3)) {
    case 0:
        s->rc = coir_read_full(s->fd, s->at, s->left);
        break;
    case 1:
        s->rc = coir_readv(s->fd, parts, 2);
        break;
    default:
        s->rc = coir_read(s->fd, s->at, s->left);
    }
    return 0;
}

static int poll_side(void *arg)
{
    struct side *s = arg;
    s->rc = coir_poll(s->fd, (int)s->left);
    return 0;
}

/* One call, most often under a timeout that may cancel it. */
static ssize_t call(struct side *s, coir_fn *fn)
{
    uint64_t us = test_random_below(&s->random, 200);
    if (us > 150)
        COIR_IGNORE(fn(s));
    else
        COIR_IGNORE(coir_timeout(COIR_US((double)us), fn, s));
    return s->rc;
}

static bool poll_now_and_then(struct side *s, int events)
{
    if (test_random_below(&s->random, 4))
        return true;
    s->left = (size_t)events;
    ssize_t rc = call(s, poll_side);
    return rc == events || rc == -ECANCELED;
}

static void end_side(struct stream *stream, int fd)
{
    if (stream->is_behind)
        close(fd);
    else
        coir_close(fd);
}

static int run_writer(void *arg)
{
    struct stream *stream = arg;
    struct side *s = &stream->from;
    size_t sent = 0;
    while (sent < stream->total) {
        if (!poll_now_and_then(s, COIR_WRITABLE))
            stream->bad |= BAD_POLL;
        s->left = 1 + test_random_below(&s->random, PIECE_MAX - 1);
        if (s->left > stream->total - sent)
            s->left = stream->total - sent;
        s->at = s->bytes;
        for (size_t i = 0; i < s->left; i++)
            s->bytes[i] = byte_at(sent + i);
        ssize_t n = call(s, write_piece);
        if (n > 0) {
            sent += (size_t)n;
        } else if (n != -ECANCELED) {
            stream->bad |= BAD_WRITE;
            break;
        }
    }
    end_side(stream, s->fd);
    return 0;
}

static int run_reader(void *arg)
{
    struct stream *stream = arg;
    struct side *s = &stream->to;
    size_t got = 0;
    for (;;) {
        if (!poll_now_and_then(s, COIR_READABLE))
            stream->bad |= BAD_POLL;
        s->left = 1 + test_random_below(&s->random, PIECE_MAX - 1);
        s->at = s->bytes;
        ssize_t n = call(s, read_piece);
        if (n == -ECANCELED)
            continue;
        if (n <= 0) {
            if (n < 0)
                stream->bad |= BAD_READ;
            break;
        }
        for (ssize_t i = 0; i < n; i++) {
            if (s->bytes[i] != byte_at(got + (size_t)i))
                stream->bad |= BAD_BYTES;
        }
        got += (size_t)n;
    }
    if (got != stream->total)
        stream->bad |= BAD_END;
    end_side(stream, s->fd);
    return 0;
}

static void make_ends(uint64_t *random, int ends[2])
{
    switch (test_random_below(random, 3)) {
    case 0:
        make_pipe(ends);
        break;
    case 1:
        make_pair(ends);
        break;
    default:
        make_connection(ends);
    }
}

static void stream_round(uint64_t *random)
{
    struct stream *streams = calloc(STREAMS, sizeof *streams);
    coir_nursery n;
    coir_nursery_open(&n);
    for (int i = 0; i < STREAMS; i++) {
        struct stream *s = &streams[i];
        int ends[2];
        make_ends(random, ends);
        s->to.fd = ends[0];
        s->from.fd = ends[1];
        s->to.random = test_random(random);
        s->from.random = test_random(random);
        s->total = test_random_below(random, STREAM_MAX);
        s->is_behind = test_random_below(random, 4) == 0;
        ck_assert_int_eq(coir_go(&n, run_writer, s), 0);
        ck_assert_int_eq(coir_go(&n, run_reader, s), 0);
    }
    ck_assert_int_eq(coir_nursery_close(&n), 0);
    for (int i = 0; i < STREAMS; i++)
        ck_assert_int_eq(streams[i].bad, 0);
    free(streams);
}

/* ---- Victims. */

static int run_victim(void *arg)
{
    struct side *s = arg;
    do {
        coir_fn *const ways[] = {read_piece, write_piece, poll_side};
        coir_fn *way = ways[test_random_below(&s->random, 3)];
        s->at = s->bytes;
        s->left = way == poll_side ? COIR_READABLE : PIECE_MAX;
        call(s, way);
        /* What they read is what they wrote: the other end sends it back. */
    } while (s->rc != -EBADF);
    return 0;
}

static int send_back(void *arg)
{
    int fd = *(int *)arg;
    char bytes[256];
    for (;;) {
        ssize_t n = coir_read(fd, bytes, sizeof bytes);
        if (n > 0)
            n = coir_write(fd, bytes, (size_t)n);
        if (n <= 0)
            return coir_close(fd);
    }
}

static void victim_round(uint64_t *random)
{
    struct side *victims = calloc(VICTIMS, sizeof *victims);
    int ends[2];
    coir_nursery n;
    if (test_random_below(random, 2))
        make_pair(ends);
    else
        make_connection(ends);
    coir_nursery_open(&n);
    ck_assert_int_eq(coir_go(&n, send_back, &ends[1]), 0);
    for (int i = 0; i < VICTIMS; i++) {
        victims[i].fd = ends[0];
        victims[i].random = test_random(random);
        ck_assert_int_eq(coir_go(&n, run_victim, &victims[i]), 0);
    }
    uint64_t us = test_random_below(random, 500);
    COIR_IGNORE(coir_sleep(COIR_US((double)us)));
    ck_assert_int_eq(coir_close(ends[0]), 0);
    ck_assert_int_eq(coir_nursery_close(&n), 0);
    free(victims);
}

static int run_rounds(void *arg)
{
    uint64_t random = test_seed(seeds++);
    struct stress_clock clock = stress_clock_start();
    (void)arg;
    while (stress_goes_on(&clock)) {
        stream_round(&random);
        for (int i = 0; i < 5; i++)
            victim_round(&random);
    }
    return 0;
}

START_TEST(nothing_is_lost_doubled_mixed_or_stuck)
{
    int number = next_number();
    ck_assert_int_eq(coir_run(run_rounds, NULL), 0);
    ck_assert_int_eq(next_number(), number);
}
END_TEST

COIR_SUITE(descriptor_stress, TEST_STRESS | TEST_WORKERS)
{
    TCase *all = test_case(suite, "streams and victims");
    tcase_add_test(all, nothing_is_lost_doubled_mixed_or_stuck);
}
