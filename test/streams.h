/* test/streams.h -- streams to test, with small buffers */
#ifndef COIR_TEST_STREAMS_H
#define COIR_TEST_STREAMS_H

#include "test/sockets.h"

enum { SMALL = 16 };

/* A stream of small buffers on one end of a pair; the other end is raw. */
static inline coir_stream *make_stream(int *ret_other)
{
    coir_stream *s;
    int ends[2];
    make_pair(ends);
    ck_assert_int_eq(coir_stream_new(&s, ends[0], SMALL), 0);
    ck_assert_int_eq(coir_stream_fd(s), ends[0]);
    *ret_other = ends[1];
    return s;
}

static inline void put(int fd, const char *text)
{
    ssize_t length = (ssize_t)strlen(text);
    ck_assert_int_eq(coir_write_full(fd, text, (size_t)length), length);
}

/* What has come out at the other end. */
static inline const char *out_of(int fd)
{
    static char text[4096];
    ssize_t n = coir_recv(fd, text, sizeof text - 1, MSG_DONTWAIT);
    text[n > 0 ? n : 0] = '\0';
    return text;
}

static inline void expect_piece(coir_stream *s, const char *wanted)
{
    char *text = NULL;
    ssize_t n = coir_stream_read_until(s, '\n', &text);
    ck_assert_int_eq(n, (ssize_t)strlen(wanted));
    ck_assert_int_eq(memcmp(text, wanted, (size_t)n), 0);
}

#endif
