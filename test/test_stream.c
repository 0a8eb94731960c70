/* test/test_stream.c -- io/stream.c: what goes in comes out, and when */
#include "test/harness.h"
#include "test/streams.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>

/* ---- Reading. */

static int read_lines(void *arg)
{
    int other;
    char *text, got[40];
    coir_stream *s = make_stream(&other);
    (void)arg;
    put(other, "one\ntwo\n\nthree\nfo");
    expect_piece(s, "one\n");
    expect_piece(s, "two\n");
    expect_piece(s, "\n");
    ck_assert_int_eq(coir_stream_read(s, got, 2), 2); /* out of the buffer */
    ck_assert_int_eq(memcmp(got, "th", 2), 0);
    expect_piece(s, "ree\n");
    put(other, "ur\nlast without");
    expect_piece(s, "four\n");
    ck_assert_int_eq(shutdown(other, SHUT_WR), 0);
    expect_piece(s, "last without");
    ck_assert_int_eq(coir_stream_read_until(s, '\n', &text), 0);
    ck_assert_int_eq(coir_stream_read_until(s, '\n', &text), 0);
    ck_assert_int_eq(coir_stream_read(s, got, sizeof got), 0);
    ck_assert_int_eq(coir_stream_close(s), 0);
    return coir_close(other);
}

START_TEST(pieces_end_with_the_delimiter_and_the_last_with_the_stream)
{
    ck_assert_int_eq(coir_run(read_lines, NULL), 0);
}
END_TEST

static int read_long_lines(void *arg)
{
    int other;
    char *text, got[40];
    coir_stream *s = make_stream(&other);
    (void)arg;
    put(other, "a\n0123456789abcde\n"); /* the second fills the buffer */
    expect_piece(s, "a\n");
    expect_piece(s, "0123456789abcde\n");
    put(other, "a\n0123456789abcdef\nb\n"); /* one byte too long */
    expect_piece(s, "a\n");
    for (int i = 0; i < 2; i++)
        ck_assert_int_eq(coir_stream_read_until(s, '\n', &text), -EMSGSIZE);
    /* Nothing was taken: it can be read in other ways. */
    ck_assert_int_eq(coir_stream_read(s, got, 10), 10);
    ck_assert_int_eq(memcmp(got, "0123456789", 10), 0);
    expect_piece(s, "abcdef\n");
    expect_piece(s, "b\n");
    put(other, "x\xffy");
    ck_assert_int_eq(coir_stream_read_until(s, '\xff', &text), 2);
    ck_assert_int_eq(coir_stream_read_until(s, 'y', &text), 1);
    ck_assert_int_eq(coir_stream_close(s), 0);
    return coir_close(other);
}

START_TEST(a_piece_longer_than_the_buffer_is_told_and_not_taken)
{
    ck_assert_int_eq(coir_run(read_long_lines, NULL), 0);
}
END_TEST

static int read_past_the_buffer(void *arg)
{
    int other, left = -1;
    char got[100];
    coir_stream *s = make_stream(&other);
    (void)arg;
    put(other, "0123456789012345678901234567890123456789");
    ck_assert_int_eq(coir_stream_read(s, got, 3), 3); /* fills the buffer */
    ck_assert_int_eq(ioctl(coir_stream_fd(s), FIONREAD, &left), 0);
    ck_assert_int_eq(left, 40 - SMALL);
    ck_assert_int_eq(coir_stream_read(s, got + 3, sizeof got), SMALL - 3);
    ck_assert_int_eq(coir_stream_read(s, got + SMALL, sizeof got - SMALL),
                     40 - SMALL);
    ck_assert_int_eq(memcmp(got + 30, "0123456789", 10), 0);
    ck_assert_int_eq(coir_stream_read(s, NULL, 0), 0);
    ck_assert_int_eq(coir_stream_close(s), 0);
    return coir_close(other);
}

START_TEST(big_reads_go_past_the_buffer)
{
    ck_assert_int_eq(coir_run(read_past_the_buffer, NULL), 0);
}
END_TEST

static int read_and_detach(void *arg)
{
    int other;
    char byte;
    coir_stream *s = make_stream(&other);
    (void)arg;
    int fd = coir_stream_fd(s);
    put(other, "ab");
    ck_assert_int_eq(coir_stream_read(s, &byte, 1), 1);
    ck_assert_int_eq(coir_stream_detach(s), -EBUSY);
    ck_assert_int_eq(coir_stream_read(s, &byte, 1), 1);
    ck_assert_int_eq(coir_stream_write(s, "x", 1), 1);
    ck_assert_int_eq(coir_stream_detach(s), -EBUSY);
    ck_assert_int_eq(coir_stream_flush(s), 0);
    ck_assert_int_eq(coir_stream_detach(s), fd);
    ck_assert_str_eq(out_of(other), "x");
    ck_assert_int_eq(coir_close(fd), 0);
    return coir_close(other);
}

START_TEST(a_detached_descriptor_has_lost_nothing)
{
    ck_assert_int_eq(coir_run(read_and_detach, NULL), 0);
}
END_TEST

/* ---- Writing. */

static int write_small(void *arg)
{
    int other;
    coir_stream *s = make_stream(&other);
    (void)arg;
    ck_assert_int_eq(coir_stream_write(s, "0123456789", 10), 10);
    ck_assert_int_eq(coir_stream_write(s, "abcdef", 6), 6);
    ck_assert_int_eq(coir_stream_write(s, NULL, 0), 0);
    ck_assert_str_eq(out_of(other), ""); /* it just fits */
    ck_assert_int_eq(coir_stream_write(s, "!", 1), 1);
    ck_assert_str_eq(out_of(other), "0123456789abcdef");
    ck_assert_int_eq(coir_stream_flush(s), 0);
    ck_assert_str_eq(out_of(other), "!");
    ck_assert_int_eq(coir_stream_flush(s), 0);
    /* A big one goes at once, with what was before it. */
    ck_assert_int_eq(coir_stream_write(s, "before ", 7), 7);
    ck_assert_int_eq(coir_stream_write(s, "a big one that goes", 19), 19);
    ck_assert_str_eq(out_of(other), "before a big one that goes");
    ck_assert_int_eq(coir_stream_write(s, "at the end", 10), 10);
    ck_assert_int_eq(coir_stream_close(s), 0);
    ck_assert_str_eq(out_of(other), "at the end");
    return coir_close(other);
}

START_TEST(small_writes_are_gathered_and_big_ones_go_past)
{
    ck_assert_int_eq(coir_run(write_small, NULL), 0);
}
END_TEST

static int print_all(void *arg)
{
    int other;
    char big[301];
    coir_stream *s = make_stream(&other);
    (void)arg;
    memset(big, 'b', 300);
    big[300] = '\0';
    ck_assert_int_eq(coir_stream_printf(s, "%d-%s", 12, "abc"), 6);
    ck_assert_str_eq(out_of(other), "");
    ck_assert_int_eq(coir_stream_printf(s, "%09d", 7), 9); /* 15, and its end */
    ck_assert_str_eq(out_of(other), "");
    ck_assert_int_eq(coir_stream_printf(s, "%s", "y"), 1); /* does not fit */
    ck_assert_str_eq(out_of(other), "12-abc000000007");
    ck_assert_int_eq(coir_stream_printf(s, "%015d", 1), 15);
    ck_assert_str_eq(out_of(other), "y");
    ck_assert_int_eq(coir_stream_printf(s, "[%s]%d", big, 9), 303);
    ck_assert_int_eq(coir_stream_flush(s), 0);
    const char *text = out_of(other);
    ck_assert_uint_eq(strlen(text), 15 + 303);
    ck_assert_int_eq(strncmp(text, "000000000000001[bbb", 19), 0);
    ck_assert_str_eq(text + 15 + 300, "b]9");
    ck_assert_int_eq(coir_stream_printf(s, "%016d", 1), 16);
    ck_assert_str_eq(out_of(other), "0000000000000001");
    ck_assert_int_eq(coir_stream_printf(s, "%s", ""), 0);
    ck_assert_int_eq(coir_stream_close(s), 0);
    return coir_close(other);
}

START_TEST(a_text_of_any_length_is_printed)
{
    ck_assert_int_eq(coir_run(print_all, NULL), 0);
}
END_TEST

/* ---- Both ways. */

enum { LINES = 3000 };

static int write_lines(void *arg)
{
    coir_stream *s = arg;
    for (int i = 0; i < LINES; i++) {
        int length = coir_stream_printf(s, "line %d %0*d\n", i, i % 100 + 1, i);
        ck_assert_int_gt(length, 0);
    }
    ck_assert_int_eq(coir_stream_flush(s), 0);
    return shutdown(coir_stream_fd(s), SHUT_WR);
}

static int check_lines(void *arg)
{
    coir_stream *s = arg;
    int wrong = 0, i;
    char *text, wanted[200];
    ssize_t n;
    for (i = 0; (n = coir_stream_read_until(s, '\n', &text)) > 0; i++) {
        int length = snprintf(wanted, sizeof wanted, "line %d %0*d\n", i,
                              i % 100 + 1, i);
        wrong += n != length || memcmp(text, wanted, (size_t)n) != 0;
    }
    ck_assert_int_eq(n, 0);
    ck_assert_int_eq(i, LINES);
    ck_assert_int_eq(wrong, 0);
    return 0;
}

static int talk(void *arg)
{
    coir_stream *streams[2];
    (void)arg;
    for (int kind = 0; kind < 2; kind++) {
        coir_nursery n;
        int ends[2];
        if (kind)
            make_pair(ends);
        else
            make_connection(ends);
        coir_nursery_open(&n);
        for (int i = 0; i < 2; i++) {
            ck_assert_int_eq(
                coir_stream_new(&streams[i], ends[i], kind ? 200 : 0), 0);
            ck_assert_int_eq(coir_go(&n, write_lines, streams[i]), 0);
            ck_assert_int_eq(coir_go(&n, check_lines, streams[i]), 0);
        }
        ck_assert_int_eq(coir_nursery_close(&n), 0);
        ck_assert_int_eq(coir_stream_close(streams[0]), 0);
        ck_assert_int_eq(coir_stream_close(streams[1]), 0);
    }
    return 0;
}

START_TEST(one_reads_while_another_writes)
{
    ck_assert_int_eq(coir_run(talk, NULL), 0);
}
END_TEST

COIR_SUITE(stream, TEST_WORKERS)
{
    TCase *reads = test_case(suite, "reads");
    tcase_add_test(reads,
                   pieces_end_with_the_delimiter_and_the_last_with_the_stream);
    tcase_add_test(reads, a_piece_longer_than_the_buffer_is_told_and_not_taken);
    tcase_add_test(reads, big_reads_go_past_the_buffer);
    tcase_add_test(reads, a_detached_descriptor_has_lost_nothing);

    TCase *writes = test_case(suite, "writes");
    tcase_add_test(writes, small_writes_are_gathered_and_big_ones_go_past);
    tcase_add_test(writes, a_text_of_any_length_is_printed);

    TCase *ways = test_case(suite, "both ways");
    tcase_add_test(ways, one_reads_while_another_writes);
}
