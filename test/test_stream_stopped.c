/* test/test_stream_stopped.c -- io/stream.c: what a call that was stopped has
 * left; and what no stream is for */
#include "io/sys.h"
#include "test/harness.h"
#include "test/streams.h"

#include <signal.h>
#include <stdlib.h>

/* ---- Stopped. */

enum { BIG = 1 << 20 };

struct writing {
    coir_stream *stream;
    const char *bytes;
    size_t size;
    ssize_t rc;
};

static int write_in_time(void *arg)
{
    struct writing *w = arg;
    w->rc = coir_stream_write(w->stream, w->bytes, w->size);
    return w->rc < 0 ? (int)w->rc : coir_checkpoint();
}

/* And cancelled when the other side has no room for more. */
static void write_until_full(struct writing *w)
{
    coir_nursery n;
    coir_task task;
    coir_nursery_open(&n);
    ck_assert_int_eq(coir_spawn(&n, &task, write_in_time, w), 0);
    while (coir_try_poll(coir_stream_fd(w->stream), COIR_WRITABLE) > 0)
        let_others_park();
    coir_task_cancel(&task);
    COIR_IGNORE(coir_nursery_close(&n));
    ck_assert_int_lt(coir_task_result(&task), 0);
}

static int flush_in_time(void *arg)
{
    struct writing *w = arg;
    return coir_stream_flush(w->stream);
}

static int read_bytes(void *arg)
{
    char *bytes = malloc(BIG + 3);
    ck_assert_int_eq(coir_read_full(*(int *)arg, bytes, BIG + 3), BIG + 3);
    ck_assert(are_bytes(bytes, BIG + 3));
    free(bytes);
    return 0;
}

static int stop_writes(void *arg)
{
    char *bytes = malloc(BIG + 3);
    int other;
    coir_nursery n;
    coir_stream *s = make_stream(&other);
    (void)arg;
    fill_bytes(bytes, BIG + 3);
    ck_assert_int_eq(coir_stream_write(s, bytes, 3), 3);
    struct writing w = {.stream = s, .bytes = bytes + 3, .size = BIG};
    /* Some of it has gone: the rest is kept, and the next call tells why. */
    write_until_full(&w);
    ck_assert_int_eq(w.rc, BIG);
    memset(bytes, 0, BIG + 3); /* it is the caller's again */
    for (int i = 0; i < 3; i++)
        ck_assert_int_eq(coir_timeout(COIR_MS(2), flush_in_time, &w),
                         -ETIMEDOUT);
    /* One that is not taken leaves no trace. */
    ck_assert_int_eq(coir_timeout(COIR_MS(2), write_in_time, &w), -ETIMEDOUT);
    ck_assert_int_eq(w.rc, -ECANCELED);
    coir_nursery_open(&n);
    ck_assert_int_eq(coir_go(&n, read_bytes, &other), 0);
    ck_assert_int_eq(coir_stream_flush(s), 0);
    ck_assert_int_eq(coir_nursery_close(&n), 0);
    ck_assert_str_eq(out_of(other), "");
    /* And all is as it was. */
    ck_assert_int_eq(coir_stream_write(s, "small", 5), 5);
    ck_assert_str_eq(out_of(other), "");
    ck_assert_int_eq(coir_stream_close(s), 0);
    ck_assert_str_eq(out_of(other), "small");
    free(bytes);
    return coir_close(other);
}

START_TEST(a_write_that_was_stopped_half_way_is_taken_whole)
{
    ck_assert_int_eq(coir_run(stop_writes, NULL), 0);
}
END_TEST

static int close_in_time(void *arg)
{
    return coir_stream_close(arg);
}

static int close_late(void *arg)
{
    int other;
    static const char big[BIG];
    (void)arg;
    /* Nothing in it: nothing is lost. */
    coir_stream *s = make_stream(&other);
    ck_assert_int_eq(coir_timeout(0, close_in_time, s), 0);
    ck_assert_int_eq(coir_close(other), 0);
    /* Cancelled: it is closed, and what was in it is lost. */
    s = make_stream(&other);
    ck_assert_int_eq(coir_stream_write(s, "lost", 4), 4);
    ck_assert_int_eq(coir_timeout(0, close_in_time, s), -ETIMEDOUT);
    ck_assert_int_eq(coir_read(other, (char[1]){0}, 1), 0);
    ck_assert_int_eq(coir_close(other), 0);
    /* Cancelled while it flushes. */
    s = make_stream(&other);
    struct writing w = {.stream = s, .bytes = big, .size = BIG};
    write_until_full(&w);
    ck_assert_int_eq(coir_timeout(COIR_MS(5), close_in_time, s), -ETIMEDOUT);
    ck_assert_int_eq(coir_close(other), 0);
    /* The other side has gone. */
    s = make_stream(&other);
    ck_assert_int_eq(coir_close(other), 0);
    ck_assert_int_eq(coir_stream_write(s, "lost", 4), 4);
    ck_assert_int_eq(coir_stream_flush(s), -EPIPE);
    ck_assert_int_eq(coir_stream_flush(s), -EPIPE);
    ck_assert_int_eq(coir_stream_write(s, big, BIG), -EPIPE);
    ck_assert_int_eq(coir_stream_printf(s, "%0100d", 1), -EPIPE);
    ck_assert_int_eq(coir_stream_close(s), -EPIPE);
    return 0;
}

START_TEST(a_close_tells_what_was_lost)
{
    ck_assert_int_eq(coir_run(close_late, NULL), 0);
}
END_TEST

/* ---- Without memory. */

static int no_memory(const char *name)
{
    return strcmp(name, "malloc") == 0 ? -ENOMEM : 0;
}

static int lack_memory(void *arg)
{
    static const char big[BIG];
    coir_stream *s;
    int other;
    (void)arg;
    s = make_stream(&other);
    coir_i_sys_fault = no_memory;
    ck_assert_int_eq(coir_stream_new(&(coir_stream *){NULL}, other, 0),
                     -ENOMEM);
    /* A long text is not taken; a big write needs no memory of its own. */
    ck_assert_int_eq(coir_stream_printf(s, "%0100d", 1), -ENOMEM);
    ck_assert_int_eq(coir_stream_printf(s, "%d", 1), 1);
    ck_assert_int_eq(coir_stream_write(s, big, 100), 100);
    ck_assert_int_eq(coir_read_full(other, (char[101]){0}, 101), 101);
    /* But where it is stopped half-way: then nothing can follow it. */
    struct writing w = {.stream = s, .bytes = big, .size = BIG};
    write_until_full(&w);
    ck_assert_int_eq(w.rc, -ENOMEM);
    ck_assert_int_eq(coir_stream_write(s, "x", 1), -ENOMEM);
    ck_assert_int_eq(coir_stream_printf(s, "x"), -ENOMEM);
    ck_assert_int_eq(coir_stream_flush(s), -ENOMEM);
    put(other, "\n");
    expect_piece(s, "\n");
    ck_assert_int_eq(coir_stream_close(s), -ENOMEM);
    coir_i_sys_fault = NULL;
    return coir_close(other);
}

START_TEST(what_there_is_no_memory_for_is_told)
{
    ck_assert_int_eq(coir_run(lack_memory, NULL), 0);
}
END_TEST

static int read_in_time(void *arg)
{
    char *text;
    return (int)coir_stream_read_until(arg, '\n', &text);
}

static int stop_reads(void *arg)
{
    int other;
    coir_stream *s = make_stream(&other);
    (void)arg;
    put(other, "some");
    for (int i = 0; i < 3; i++)
        ck_assert_int_eq(coir_timeout(COIR_MS(1), read_in_time, s), -ETIMEDOUT);
    put(other, " more\nx");
    ck_assert_int_eq(coir_timeout(0, read_in_time, s), -ETIMEDOUT);
    expect_piece(s, "some more\n");
    ck_assert_int_eq(coir_timeout(0, read_in_time, s), -ETIMEDOUT);
    ck_assert_int_eq(coir_stream_close(s), 0);
    return coir_close(other);
}

START_TEST(a_cancelled_read_has_taken_nothing)
{
    ck_assert_int_eq(coir_run(stop_reads, NULL), 0);
}
END_TEST

/* ---- Abuse. */

static int abuse_streams(void *arg)
{
    coir_stream *s = NULL;
    char *text;
    int ends[2];
    (void)arg;
    ck_assert_int_eq(coir_stream_new(&s, -1, 0), -EBADF);
    ck_assert_int_eq(coir_stream_new(&s, 1 << 20, 0), -EBADF);
    make_pair(ends);
    ck_assert_int_eq(coir_stream_new(&s, ends[0], SIZE_MAX), -ENOMEM);
    ck_assert_int_eq(coir_stream_new(&s, ends[0], SIZE_MAX / 4), -ENOMEM);
    ck_assert_ptr_null(s);
    /* The least there can be. */
    ck_assert_int_eq(coir_stream_new(&s, ends[0], 1), 0);
    ck_assert_int_eq(coir_stream_printf(s, "%s", "text"), 4);
    ck_assert_int_eq(coir_stream_write(s, "x", 1), 1);
    ck_assert_int_eq(coir_stream_flush(s), 0);
    ck_assert_str_eq(out_of(ends[1]), "textx");
    put(ends[1], "\nab");
    expect_piece(s, "\n");
    ck_assert_int_eq(coir_stream_read_until(s, '\n', &text), -EMSGSIZE);
    /* The descriptor goes away under it. */
    ck_assert_int_eq(coir_close(ends[0]), 0);
    ck_assert_int_eq(coir_stream_read(s, (char[1]){0}, 1), 1);
    ck_assert_int_eq(coir_stream_read_until(s, '\n', &text), -EBADF);
    ck_assert_int_eq(coir_stream_write(s, "x", 1), -EBADF);
    ck_assert_int_eq(coir_stream_close(s), -EBADF);
    return coir_close(ends[1]);
}

START_TEST(what_cannot_be_a_stream_is_refused)
{
    coir_stream *s;
    char *text;
    int ends[2];
    ck_assert_int_eq(coir_run(abuse_streams, NULL), 0);
    /* Outside a fiber it can be made and closed, but not used. */
    make_pair(ends);
    ck_assert_int_eq(coir_stream_new(&s, ends[0], 0), 0);
    ck_assert_int_eq(coir_stream_read_until(s, '\n', &text), -EPERM);
    ck_assert_int_eq(coir_stream_write(s, "x", 1), -EPERM);
    ck_assert_int_eq(coir_stream_printf(s, "x"), -EPERM);
    ck_assert_int_eq(coir_stream_flush(s), -EPERM);
    ck_assert_int_eq(coir_stream_close(s), 0);
    ck_assert_int_eq(coir_close(ends[1]), 0);
}
END_TEST

static int read_twice(void *arg)
{
    coir_nursery n;
    int other;
    coir_stream *s = make_stream(&other);
    (void)arg;
    coir_nursery_open(&n);
    COIR_IGNORE(coir_go(&n, read_in_time, s));
    let_others_park();
    COIR_IGNORE(read_in_time(s));
    return coir_nursery_close(&n);
}

static int close_in_use(void *arg)
{
    coir_nursery n;
    int other;
    coir_stream *s = make_stream(&other);
    (void)arg;
    coir_nursery_open(&n);
    COIR_IGNORE(coir_go(&n, read_in_time, s));
    let_others_park();
    coir_stream_close(s);
    return coir_nursery_close(&n);
}

static int run_twice(void *arg)
{
    (void)arg;
    return coir_run(read_twice, NULL);
}

static int run_in_use(void *arg)
{
    (void)arg;
    return coir_run(close_in_use, NULL);
}

START_TEST(a_second_reader_and_a_close_in_use_end_the_program)
{
    test_dies(SIGABRT, "two fibers read, or two write, one stream", run_twice,
              NULL);
    test_dies(SIGABRT, "a stream goes while a fiber reads or writes it",
              run_in_use, NULL);
}
END_TEST

COIR_SUITE(stream_stopped, TEST_WORKERS)
{
    TCase *stopped = test_case(suite, "stopped");
    tcase_add_test(stopped, a_write_that_was_stopped_half_way_is_taken_whole);
    tcase_add_test(stopped, a_close_tells_what_was_lost);
    tcase_add_test(stopped, what_there_is_no_memory_for_is_told);
    tcase_add_test(stopped, a_cancelled_read_has_taken_nothing);

    TCase *abuse = test_case(suite, "abuse");
    tcase_add_test(abuse, what_cannot_be_a_stream_is_refused);
    tcase_add_test(abuse, a_second_reader_and_a_close_in_use_end_the_program);
}
