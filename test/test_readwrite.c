/* test/test_readwrite.c -- io/readwrite.c: streams, and when calls end */
#include "test/harness.h"
#include "test/sockets.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>

enum { BIG = 1 << 20 };

/* ---- Both ends of a descriptor pair. */

struct both {
    int ends[2]; /* one to read, one to write */
    size_t size;
};

static int write_big(void *arg)
{
    struct both *b = arg;
    char *bytes = malloc(b->size);
    fill_bytes(bytes, b->size);
    ssize_t n = coir_write_full(b->ends[1], bytes, b->size);
    free(bytes);
    ck_assert_int_eq(n, (ssize_t)b->size);
    return 0;
}

static int read_big(void *arg)
{
    struct both *b = arg;
    char *bytes = malloc(b->size);
    ssize_t n = coir_read_full(b->ends[0], bytes, b->size);
    ck_assert_int_eq(n, (ssize_t)b->size);
    ck_assert(are_bytes(bytes, b->size));
    free(bytes);
    return 0;
}

static int move_big(struct both *b, bool reader_first)
{
    coir_nursery n;
    coir_nursery_open(&n);
    ck_assert_int_eq(coir_go(&n, reader_first ? read_big : write_big, b), 0);
    let_others_park();
    ck_assert_int_eq(coir_go(&n, reader_first ? write_big : read_big, b), 0);
    return coir_nursery_close(&n);
}

static int move_through_all(void *arg)
{
    struct both b = {.size = BIG};
    (void)arg;
    for (int first = 0; first < 2; first++) {
        make_pair(b.ends);
        ck_assert_int_eq(move_big(&b, first), 0);
        close_both(b.ends);
        make_pipe(b.ends);
        ck_assert_int_eq(move_big(&b, first), 0);
        close_both(b.ends);
        make_connection(b.ends);
        ck_assert_int_eq(move_big(&b, first), 0);
        close_both(b.ends);
    }
    return 0;
}

START_TEST(a_megabyte_goes_through_sockets_and_pipes)
{
    ck_assert_int_eq(coir_run(move_through_all, NULL), 0);
}
END_TEST

static int flags_stay(void *arg)
{
    struct both b = {.size = BIG / 8};
    (void)arg;
    for (int is_pipe = 0; is_pipe < 2; is_pipe++) {
        if (is_pipe)
            make_pipe(b.ends);
        else
            make_pair(b.ends);
        int before[2] = {fcntl(b.ends[0], F_GETFL), fcntl(b.ends[1], F_GETFL)};
        ck_assert_int_eq(before[0] & O_NONBLOCK, 0);
        ck_assert_int_eq(move_big(&b, true), 0);
        ck_assert_int_eq(fcntl(b.ends[0], F_GETFL), before[0]);
        ck_assert_int_eq(fcntl(b.ends[1], F_GETFL), before[1]);
        close_both(b.ends);
    }
    return 0;
}

START_TEST(flags_of_descriptors_stay_as_they_are)
{
    ck_assert_int_eq(coir_run(flags_stay, NULL), 0);
}
END_TEST

/* ---- Ends. */

static int read_fin_with_data(void *arg)
{
    int ends[2];
    char text[16];
    (void)arg;
    for (int i = 0; i < 20; i++) {
        make_connection(ends);
        /* Parked once, so that it is registered and DRY is believed. */
        ck_assert_int_eq(coir_write(ends[0], "first", 5), 5);
        ck_assert_int_eq(coir_read(ends[1], text, sizeof text), 5);
        ck_assert_int_eq(coir_write(ends[1], "ok", 2), 2);
        ck_assert_int_eq(coir_read(ends[0], text, sizeof text), 2);
        ck_assert_int_eq(coir_write(ends[0], "last", 4), 4);
        ck_assert_int_eq(shutdown(ends[0], SHUT_WR), 0);
        ck_assert_int_eq(coir_read(ends[1], text, sizeof text), 4);
        ck_assert_int_eq(coir_read(ends[1], text, sizeof text), 0);
        ck_assert_int_eq(coir_read(ends[1], text, sizeof text), 0);
        close_both(ends);
    }
    return 0;
}

START_TEST(the_end_that_comes_with_the_data_is_read)
{
    ck_assert_int_eq(coir_run(read_fin_with_data, NULL), 0);
}
END_TEST

static int answer(void *arg)
{
    int *ends = arg;
    char text[64];
    for (;;) {
        ssize_t n = coir_read(ends[1], text, sizeof text);
        if (n <= 0)
            return (int)n;
        ck_assert_int_eq(coir_write(ends[1], text, (size_t)n), n);
    }
}

static int ask_many(void *arg)
{
    int *ends = arg;
    char text[64];
    coir_nursery n;
    make_connection(ends);
    coir_nursery_open(&n);
    ck_assert_int_eq(coir_go(&n, answer, ends), 0);
    for (int i = 0; i < 2000; i++) {
        int length = snprintf(text, sizeof text, "request %d", i);
        ck_assert_int_eq(coir_write(ends[0], text, (size_t)length), length);
        char reply[64] = "";
        ck_assert_int_eq(coir_read(ends[0], reply, sizeof reply), length);
        ck_assert_str_eq(reply, text);
    }
    ck_assert_int_eq(shutdown(ends[0], SHUT_WR), 0);
    int rc = coir_nursery_close(&n);
    close_both(ends);
    return rc;
}

START_TEST(requests_and_answers_go_back_and_forth)
{
    int ends[2];
    ck_assert_int_eq(coir_run(ask_many, ends), 0);
}
END_TEST

static int ends_of_whole_transfers(void *arg)
{
    int ends[2];
    char text[8];
    (void)arg;
    make_pair(ends);
    ck_assert_int_eq(coir_write(ends[1], "abc", 3), 3);
    ck_assert_int_eq(shutdown(ends[1], SHUT_WR), 0);
    ck_assert_int_eq(coir_read_full(ends[0], text, sizeof text), 3);
    ck_assert_int_eq(coir_read_full(ends[0], text, sizeof text), 0);
    ck_assert_int_eq(coir_close(ends[0]), 0);
    ck_assert_int_eq(coir_write_full(ends[1], text, 3), -EPIPE);
    ck_assert_int_eq(coir_close(ends[1]), 0);
    return 0;
}

START_TEST(a_whole_transfer_ends_with_the_stream)
{
    ck_assert_int_eq(coir_run(ends_of_whole_transfers, NULL), 0);
}
END_TEST

static int read_until_reset(void *arg)
{
    int *ends = arg;
    char text[8];
    ck_assert_int_eq(coir_read_full(ends[1], text, sizeof text), 3);
    ck_assert_int_eq(coir_read_full(ends[1], text, sizeof text), -ECONNRESET);
    ck_assert_int_eq(coir_read_full(ends[1], text, sizeof text), 0);
    return 0;
}

static int reset_a_reader(void *arg)
{
    static const struct linger at_once = {.l_onoff = 1};
    int ends[2];
    coir_nursery n;
    (void)arg;
    make_connection(ends);
    coir_nursery_open(&n);
    ck_assert_int_eq(coir_go(&n, read_until_reset, ends), 0);
    ck_assert_int_eq(coir_write(ends[0], "abc", 3), 3);
    int left = 1; /* until it has read them */
    while (left > 0) {
        let_others_park();
        ck_assert_int_eq(ioctl(ends[1], FIONREAD, &left), 0);
    }
    setsockopt(ends[0], SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
    ck_assert_int_eq(coir_close(ends[0]), 0);
    int rc = coir_nursery_close(&n);
    ck_assert_int_eq(coir_close(ends[1]), 0);
    return rc;
}

START_TEST(why_a_whole_transfer_stopped_is_told_by_the_next_call)
{
    ck_assert_int_eq(coir_run(reset_a_reader, NULL), 0);
}
END_TEST

/* ---- Cancelling. */

static int read_one(void *arg)
{
    char byte;
    return (int)coir_read(*(int *)arg, &byte, 1);
}

static int read_some(void *arg)
{
    char text[64];
    ssize_t n = coir_read_full(*(int *)arg, text, sizeof text);
    return n == 3 ? -ECANCELED : (int)n;
}

static int cancel_reads(void *arg)
{
    int ends[2];
    char text[16];
    (void)arg;
    for (int kind = 0; kind < 3; kind++) {
        if (kind == 0)
            make_pair(ends);
        else if (kind == 1)
            make_pipe(ends);
        else
            make_connection(ends);
        int *from = &ends[kind == 1 ? 0 : 1], *to = &ends[kind == 1 ? 1 : 0];
        for (int i = 0; i < 3; i++) {
            ck_assert_int_eq(coir_timeout(COIR_MS(1), read_one, from),
                             -ETIMEDOUT);
            ck_assert_int_eq(coir_write(*to, "hello", 5), 5);
            ck_assert_int_eq(coir_read(*from, text, sizeof text), 5);
        }
        /* A whole transfer that is stopped gives what it has. */
        ck_assert_int_eq(coir_write(*to, "abc", 3), 3);
        ck_assert_int_eq(coir_timeout(COIR_MS(5), read_some, from), -ETIMEDOUT);
        ck_assert_int_eq(coir_write(*to, "d", 1), 1);
        ck_assert_int_eq(coir_read(*from, text, sizeof text), 1);
        close_both(ends);
    }
    return 0;
}

START_TEST(a_cancelled_read_leaves_the_connection_as_it_was)
{
    ck_assert_int_eq(coir_run(cancel_reads, NULL), 0);
}
END_TEST

static int fill_up(void *arg)
{
    static const char zeros[4096];
    int fd = *(int *)arg;
    for (;;) {
        ssize_t n = coir_write(fd, zeros, sizeof zeros);
        if (n < 0)
            return (int)n;
    }
}

static int cancel_writes(void *arg)
{
    int ends[2], empty = 0;
    (void)arg;
    for (int kind = 0; kind < 3; kind++) {
        if (kind == 0)
            make_pair(ends);
        else if (kind == 1)
            make_pipe(ends);
        else
            make_connection(ends);
        ck_assert_int_eq(coir_timeout(COIR_MS(5), fill_up, &ends[1]),
                         -ETIMEDOUT);
        ck_assert_int_eq(coir_close(ends[1]), 0);
        char bytes[4096];
        ssize_t n;
        while ((n = coir_read(ends[0], bytes, sizeof bytes)) > 0)
            empty |= bytes[0];
        ck_assert_int_eq(n, 0);
        ck_assert_int_eq(coir_close(ends[0]), 0);
    }
    return empty;
}

START_TEST(a_write_parks_where_there_is_no_room)
{
    ck_assert_int_eq(coir_run(cancel_writes, NULL), 0);
}
END_TEST

static int read_cancelled(void *arg)
{
    int *ends = arg;
    char byte;
    ck_assert_int_eq(coir_write(ends[1], "x", 1), -ECANCELED);
    ck_assert_int_eq(coir_read(ends[0], &byte, 1), -ECANCELED);
    ck_assert_int_eq(coir_poll(ends[0], COIR_READABLE), -ECANCELED);
    return -ECANCELED;
}

static int start_cancelled(void *arg)
{
    int ends[2];
    char text[8];
    (void)arg;
    make_pair(ends);
    ck_assert_int_eq(coir_write(ends[1], "abc", 3), 3);
    ck_assert_int_eq(coir_timeout(0, read_cancelled, ends), -ETIMEDOUT);
    ck_assert_int_eq(coir_read(ends[0], text, sizeof text), 3);
    close_both(ends);
    return 0;
}

START_TEST(a_cancelled_caller_moves_nothing)
{
    ck_assert_int_eq(coir_run(start_cancelled, NULL), 0);
}
END_TEST

/* ---- Turns. */

enum { WRITERS = 4, PIECE = 200000 };

struct writers {
    int fd;
    int letter;
};

static int write_letters(void *arg)
{
    struct writers *w = arg;
    char *bytes = malloc(PIECE);
    memset(bytes, w->letter, PIECE);
    ssize_t n = coir_write_full(w->fd, bytes, PIECE);
    free(bytes);
    return n == PIECE ? 0 : -EIO;
}

static int write_in_turns(void *arg)
{
    int ends[2];
    struct writers w[WRITERS];
    coir_nursery n;
    (void)arg;
    make_pair(ends);
    coir_nursery_open(&n);
    for (int i = 0; i < WRITERS; i++) {
        w[i] = (struct writers){.fd = ends[1], .letter = 'a' + i};
        ck_assert_int_eq(coir_go(&n, write_letters, &w[i]), 0);
    }
    char *bytes = malloc(PIECE);
    unsigned seen = 0;
    for (int i = 0; i < WRITERS; i++) {
        ck_assert_int_eq(coir_read_full(ends[0], bytes, PIECE), PIECE);
        for (int at = 1; at < PIECE; at++)
            if (bytes[at] != bytes[0])
                ck_abort_msg("two writers have mixed");
        seen |= 1U << (bytes[0] - 'a');
    }
    free(bytes);
    ck_assert_uint_eq(seen, (1U << WRITERS) - 1);
    int rc = coir_nursery_close(&n);
    close_both(ends);
    return rc;
}

START_TEST(writers_of_whole_messages_take_turns)
{
    ck_assert_int_eq(coir_run(write_in_turns, NULL), 0);
}
END_TEST

enum { READERS = 5 };

static _Atomic(unsigned) letters_read;

static int read_letter(void *arg)
{
    char letter;
    ssize_t n = coir_read(*(int *)arg, &letter, 1);
    if (n == 1)
        letters_read |= 1U << (letter - 'a');
    return n == 1 ? 0 : (int)n;
}

static int read_in_turns(void *arg)
{
    int ends[2];
    coir_nursery n;
    (void)arg;
    make_pair(ends);
    letters_read = 0;
    coir_nursery_open(&n);
    for (int i = 0; i < READERS; i++)
        ck_assert_int_eq(coir_go(&n, read_letter, &ends[0]), 0);
    let_others_park();
    for (int i = 0; i < READERS; i++) {
        char letter = (char)('a' + i);
        ck_assert_int_eq(coir_write(ends[1], &letter, 1), 1);
    }
    ck_assert_int_eq(coir_nursery_close(&n), 0);
    ck_assert_uint_eq(letters_read, (1U << READERS) - 1);
    /* One that waits for its turn may be cancelled. */
    coir_nursery_open(&n);
    ck_assert_int_eq(coir_go(&n, read_letter, &ends[0]), 0);
    let_others_park();
    ck_assert_int_eq(coir_timeout(COIR_MS(1), read_one, &ends[0]), -ETIMEDOUT);
    ck_assert_int_eq(coir_write(ends[1], "a", 1), 1);
    int rc = coir_nursery_close(&n);
    close_both(ends);
    return rc;
}

START_TEST(readers_take_turns)
{
    ck_assert_int_eq(coir_run(read_in_turns, NULL), 0);
}
END_TEST

COIR_SUITE(readwrite, TEST_WORKERS)
{
    TCase *moves = test_case(suite, "moves");
    tcase_add_test(moves, a_megabyte_goes_through_sockets_and_pipes);
    tcase_add_test(moves, requests_and_answers_go_back_and_forth);
    tcase_add_test(moves, flags_of_descriptors_stay_as_they_are);

    TCase *ends = test_case(suite, "ends");
    tcase_add_test(ends, the_end_that_comes_with_the_data_is_read);
    tcase_add_test(ends, a_whole_transfer_ends_with_the_stream);
    tcase_add_test(ends, why_a_whole_transfer_stopped_is_told_by_the_next_call);

    TCase *cancelled = test_case(suite, "cancelled");
    tcase_add_test(cancelled, a_cancelled_read_leaves_the_connection_as_it_was);
    tcase_add_test(cancelled, a_write_parks_where_there_is_no_room);
    tcase_add_test(cancelled, a_cancelled_caller_moves_nothing);

    TCase *turns = test_case(suite, "turns");
    tcase_add_test(turns, writers_of_whole_messages_take_turns);
    tcase_add_test(turns, readers_take_turns);
}
