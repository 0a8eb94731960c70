/* test/sockets.h -- descriptors to test io with, and fibers at both ends */
#ifndef COIR_TEST_SOCKETS_H
#define COIR_TEST_SOCKETS_H

#include <coir.h>

#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

/* Of a name for mkstemp(3) or mkdtemp(3). */
#define TEST_TEMPLATE \
    "/tmp/coir-test-" \
    "XX"              \
    "XX"              \
    "XX"

/* Two ends of a stream of the kernel's default kind: they block. */
static inline void make_pair(int ends[2])
{
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
}

static inline void make_pipe(int ends[2])
{
    ck_assert_int_eq(pipe(ends), 0);
}

static inline void close_both(const int ends[2])
{
    ck_assert_int_eq(coir_close(ends[0]), 0);
    ck_assert_int_eq(coir_close(ends[1]), 0);
}

/* A connection over loopback whose ends coir made: it trusts them. */
static inline void make_connection(int ends[2])
{
    char address[64];
    int listener = coir_listen("127.0.0.1:0", 0);
    ck_assert_int_ge(listener, 0);
    int length = coir_local_address(listener, address, sizeof address);
    ck_assert_int_gt(length, 0);
    ends[0] = coir_dial(address);
    ck_assert_int_ge(ends[0], 0);
    ends[1] = coir_accept(listener, NULL, NULL);
    ck_assert_int_ge(ends[1], 0);
    ck_assert_int_eq(coir_close(listener), 0);
}

/* Every byte tells where it is. */
static inline char byte_at(size_t i)
{
    return (char)(i * 7 + i / 251);
}

static inline void fill_bytes(char *bytes, size_t size)
{
    for (size_t i = 0; i < size; i++)
        bytes[i] = byte_at(i);
}

static inline bool are_bytes(const char *bytes, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        if (bytes[i] != byte_at(i))
            return false;
    }
    return true;
}

/* The lowest number that is free. */
static inline int next_number(void)
{
    int fd = dup(0);
    ck_assert_int_ge(fd, 0);
    close(fd);
    return fd;
}

/* No more descriptors than there are, and `more`. */
static inline struct rlimit limit_descriptors(int more)
{
    struct rlimit before, now;
    ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &before), 0);
    now = before;
    now.rlim_cur = (rlim_t)(next_number() + more);
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &now), 0);
    return before;
}

static inline void unlimit_descriptors(struct rlimit before)
{
    ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &before), 0);
}

/* Long enough for the others to have parked. A test must come to the same
 * result where it was not. */
static inline void let_others_park(void)
{
    COIR_IGNORE(coir_sleep(COIR_MS(2)));
}

#endif
