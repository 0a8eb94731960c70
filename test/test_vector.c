/* test/test_vector.c -- io/transfer.c, readwrite.c: many pieces in one call */
#include "test/harness.h"
#include "test/sockets.h"

#include <limits.h>
#include <stdlib.h>

enum { PIECES = 7, ODD = 1237 };

/* Pieces of odd sizes, some empty, over `size` bytes. */
static int cut(struct iovec pieces[PIECES], char *bytes, size_t size)
{
    size_t at = 0;
    for (int i = 0; i < PIECES; i++) {
        size_t length = i % 3 == 2 ? 0 : ODD * (size_t)i;
        if (i == PIECES - 1)
            length = size - at;
        if (length > size - at)
            length = size - at;
        pieces[i] = (struct iovec){.iov_base = bytes + at, .iov_len = length};
        at += length;
    }
    return PIECES;
}

enum { SMALL = 20000 };

static void move_pieces(int from, int to)
{
    static char sent[SMALL], got[SMALL];
    struct iovec pieces[PIECES];
    fill_bytes(sent, SMALL);
    memset(got, 0, SMALL);
    int count = cut(pieces, sent, SMALL);
    ck_assert_int_eq(coir_writev(to, pieces, count), SMALL);
    count = cut(pieces, got, SMALL);
    ck_assert_int_eq(coir_readv(from, pieces, count), SMALL);
    ck_assert(are_bytes(got, SMALL));
}

static void make_file(int ends[2])
{
    char path[] = TEST_TEMPLATE;
    ends[1] = mkostemp(path, O_CLOEXEC);
    ck_assert_int_ge(ends[1], 0);
    ends[0] = open(path, O_RDONLY | O_CLOEXEC);
    ck_assert_int_ge(ends[0], 0);
    ck_assert_int_eq(unlink(path), 0);
}

static int move_through_all(void *arg)
{
    void (*const makes[])(int[2]) = {make_pair, make_pipe, make_connection,
                                     make_file};
    int ends[2];
    (void)arg;
    for (int i = 0; i < 4; i++) {
        makes[i](ends);
        move_pieces(ends[0], ends[1]);
        close_both(ends);
    }
    return 0;
}

START_TEST(pieces_go_and_come_in_order)
{
    ck_assert_int_eq(coir_run(move_through_all, NULL), 0);
}
END_TEST

static int move_uncached(void *arg)
{
    enum { SIZE = 1 << 19 };
    static char bytes[SIZE];
    struct iovec pieces[PIECES];
    int ends[2];
    (void)arg;
    make_file(ends);
    fill_bytes(bytes, SIZE);
    ck_assert_int_eq(coir_writev(ends[1], pieces, cut(pieces, bytes, SIZE)),
                     SIZE);
    ck_assert_int_eq(fsync(ends[1]), 0);
    /* The beginning alone is in memory: it ends in the midst of a piece. */
    posix_fadvise(ends[0], 0, 0, POSIX_FADV_DONTNEED);
    memset(bytes, 0, SIZE);
    ck_assert_int_eq(pread(ends[0], bytes, 4096, 0), 4096);
    int count = cut(pieces, bytes, SIZE);
    ck_assert_int_eq(coir_readv(ends[0], pieces, count), SIZE);
    ck_assert(are_bytes(bytes, SIZE));
    ck_assert_int_eq(coir_readv(ends[0], pieces, count), 0);
    close_both(ends);
    return 0;
}

START_TEST(pieces_of_a_file_that_is_not_cached_come_whole)
{
    ck_assert_int_eq(coir_run(move_uncached, NULL), 0);
}
END_TEST

/* ---- Parking. */

static int read_pieces(void *arg)
{
    int *ends = arg;
    char a[3], b[5];
    const struct iovec pieces[] = {{a, sizeof a}, {b, sizeof b}};
    ck_assert_int_eq(coir_readv(ends[0], pieces, 2), 5);
    ck_assert_int_eq(memcmp(a, "hel", 3) | memcmp(b, "lo", 2), 0);
    return 0;
}

static int read_late(void *arg)
{
    (void)arg;
    for (int kind = 0; kind < 3; kind++) {
        coir_nursery n;
        int ends[2];
        if (kind == 0)
            make_pair(ends);
        else if (kind == 1)
            make_pipe(ends);
        else
            make_connection(ends);
        coir_nursery_open(&n);
        ck_assert_int_eq(coir_go(&n, read_pieces, ends), 0);
        let_others_park();
        ck_assert_int_eq(coir_write(ends[1], "hello", 5), 5);
        ck_assert_int_eq(coir_nursery_close(&n), 0);
        close_both(ends);
    }
    return 0;
}

START_TEST(readv_parks_until_there_is_something)
{
    ck_assert_int_eq(coir_run(read_late, NULL), 0);
}
END_TEST

static int fill_with_pieces(void *arg)
{
    static char zeros[3][4000];
    const struct iovec pieces[] = {
        {zeros[0], 4000}, {zeros[1], 0}, {zeros[2], 4000}};
    for (;;) {
        ssize_t n = coir_writev(*(int *)arg, pieces, 3);
        if (n < 0)
            return (int)n;
    }
}

static int read_one_piece(void *arg)
{
    char byte;
    const struct iovec piece = {&byte, 1};
    return (int)coir_readv(*(int *)arg, &piece, 1);
}

static int cancel_pieces(void *arg)
{
    char text[8];
    int ends[2];
    (void)arg;
    for (int kind = 0; kind < 2; kind++) {
        if (kind == 0)
            make_pair(ends);
        else
            make_pipe(ends);
        ck_assert_int_eq(coir_timeout(COIR_MS(1), read_one_piece, &ends[0]),
                         -ETIMEDOUT);
        ck_assert_int_eq(coir_write(ends[1], "abc", 3), 3);
        ck_assert_int_eq(coir_read(ends[0], text, sizeof text), 3);
        ck_assert_int_eq(coir_timeout(COIR_MS(5), fill_with_pieces, &ends[1]),
                         -ETIMEDOUT);
        close_both(ends);
    }
    return 0;
}

START_TEST(a_cancelled_readv_or_writev_leaves_all_as_it_was)
{
    ck_assert_int_eq(coir_run(cancel_pieces, NULL), 0);
}
END_TEST

/* ---- Abuse. */

static void refuse_pieces(int from, int to)
{
    char bytes[4] = "abc";
    struct iovec *many = calloc(IOV_MAX + 1, sizeof *many);
    struct iovec piece = {bytes, 3};
    ck_assert_int_eq(coir_writev(to, many, IOV_MAX + 1), -EINVAL);
    ck_assert_int_eq(coir_readv(from, many, IOV_MAX + 1), -EINVAL);
    ck_assert_int_eq(coir_writev(to, many, -1), -EINVAL);
    ck_assert_int_eq(coir_readv(from, many, -1), -EINVAL);
    ck_assert_int_eq(coir_writev(to, NULL, 1), -EFAULT);
    ck_assert_int_eq(coir_readv(from, NULL, 1), -EFAULT);
    many[0] = many[1] = (struct iovec){bytes, SSIZE_MAX};
    ck_assert_int_eq(coir_writev(to, many, 2), -EINVAL);
    ck_assert_int_eq(coir_readv(from, many, 2), -EINVAL);
    many[0] = many[1] = (struct iovec){NULL, 0};
    /* Nothing to move: it does not wait, whatever there is. */
    ck_assert_int_eq(coir_writev(to, NULL, 0), 0);
    ck_assert_int_eq(coir_readv(from, NULL, 0), 0);
    ck_assert_int_eq(coir_writev(to, many, 2), 0);
    ck_assert_int_eq(coir_readv(from, many, 2), 0);
    ck_assert_int_eq(coir_read(from, NULL, 0), 0);
    ck_assert_int_eq(coir_write(to, NULL, 0), 0);
    ck_assert_int_eq(coir_read_full(from, NULL, 0), 0);
    ck_assert_int_eq(coir_write_full(to, NULL, 0), 0);
    /* As many as there may be. */
    many[IOV_MAX - 1] = piece;
    memset(many, 0, 2 * sizeof *many);
    ck_assert_int_eq(coir_writev(to, many, IOV_MAX), 3);
    ck_assert_int_eq(coir_readv(from, many, IOV_MAX), 3);
    free(many);
}

static int abuse_pieces(void *arg)
{
    char byte = 0;
    const struct iovec piece = {&byte, 1};
    int ends[2];
    (void)arg;
    make_pair(ends);
    refuse_pieces(ends[0], ends[1]);
    close_both(ends);
    make_pipe(ends);
    refuse_pieces(ends[0], ends[1]);
    /* Each end of a pipe goes one way. */
    ck_assert_int_eq(coir_readv(ends[1], &piece, 1), -EBADF);
    ck_assert_int_eq(coir_writev(ends[0], &piece, 1), -EBADF);
    ck_assert_int_eq(coir_close(ends[0]), 0);
    ck_assert_int_eq(coir_writev(ends[1], &piece, 1), -EPIPE);
    ck_assert_int_eq(coir_close(ends[1]), 0);
    const int bad[] = {-1, ends[0], 1 << 20, INT_MAX};
    for (int i = 0; i < 4; i++) {
        ck_assert_int_eq(coir_readv(bad[i], &piece, 1), -EBADF);
        ck_assert_int_eq(coir_writev(bad[i], &piece, 1), -EBADF);
        ck_assert_int_eq(coir_readv(bad[i], NULL, 0), -EBADF);
        ck_assert_int_eq(coir_writev(bad[i], NULL, 0), -EBADF);
    }
    make_pair(ends);
    ck_assert_int_eq(coir_close(ends[0]), 0);
    const struct iovec two[] = {piece, piece};
    ck_assert_int_eq(coir_writev(ends[1], two, 2), -EPIPE);
    ck_assert_int_eq(coir_close(ends[1]), 0);
    return 0;
}

START_TEST(what_cannot_be_moved_is_refused_without_sigpipe)
{
    char byte;
    const struct iovec piece = {&byte, 1};
    ck_assert_int_eq(coir_readv(0, &piece, 1), -EPERM);
    ck_assert_int_eq(coir_writev(1, &piece, 1), -EPERM);
    ck_assert_int_eq(coir_run(abuse_pieces, NULL), 0);
}
END_TEST

COIR_SUITE(vector, TEST_WORKERS)
{
    TCase *moves = test_case(suite, "moves");
    tcase_add_test(moves, pieces_go_and_come_in_order);
    tcase_add_test(moves, pieces_of_a_file_that_is_not_cached_come_whole);
    tcase_add_test(moves, readv_parks_until_there_is_something);
    tcase_add_test(moves, a_cancelled_readv_or_writev_leaves_all_as_it_was);

    TCase *abuse = test_case(suite, "abuse");
    tcase_add_test(abuse, what_cannot_be_moved_is_refused_without_sigpipe);
}
