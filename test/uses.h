/* test/uses.h -- every call that waits on one descriptor */
#ifndef COIR_TEST_USES_H
#define COIR_TEST_USES_H

#include "test/sockets.h"

/* What they move, whoever calls: nobody looks at it. */
static char bytes[8];
static struct iovec piece = {bytes, sizeof bytes};

static inline ssize_t use_read(int fd)
{
    return coir_read(fd, bytes, 1);
}

static inline ssize_t use_readv(int fd)
{
    return coir_readv(fd, &piece, 1);
}

static inline ssize_t use_read_full(int fd)
{
    return coir_read_full(fd, bytes, 8);
}

static inline ssize_t use_recv(int fd)
{
    return coir_recv(fd, bytes, 1, 0);
}

static inline ssize_t use_recvfrom(int fd)
{
    struct sockaddr_storage from;
    socklen_t length = sizeof from;
    return coir_recvfrom(fd, bytes, 1, 0, (struct sockaddr *)&from, &length);
}

static inline ssize_t use_recvmsg(int fd)
{
    struct msghdr message = {.msg_iov = &piece, .msg_iovlen = 1};
    return coir_recvmsg(fd, &message, 0);
}

static inline ssize_t use_recv_all(int fd)
{
    return coir_recv(fd, bytes, 8, MSG_WAITALL);
}

static inline ssize_t use_poll(int fd)
{
    return coir_poll(fd, COIR_READABLE);
}

static inline ssize_t use_stream(int fd)
{
    coir_stream *s;
    char *text;
    int rc = coir_stream_new(&s, fd, 0);
    if (rc < 0)
        return rc;
    ssize_t n = coir_stream_read_until(s, '\n', &text);
    coir_stream_close(s);
    return n;
}

static inline ssize_t use_write(int fd)
{
    return coir_write(fd, bytes, 8);
}

static inline ssize_t use_writev(int fd)
{
    return coir_writev(fd, &piece, 1);
}

static inline ssize_t use_write_full(int fd)
{
    return coir_write_full(fd, bytes, 8);
}

static inline ssize_t use_send(int fd)
{
    return coir_send(fd, bytes, 8, 0);
}

static inline ssize_t use_sendto(int fd)
{
    return coir_sendto(fd, bytes, 8, 0, NULL, 0);
}

static inline ssize_t use_sendmsg(int fd)
{
    struct msghdr message = {.msg_iov = &piece, .msg_iovlen = 1};
    return coir_sendmsg(fd, &message, 0);
}

static inline ssize_t use_sendfile(int fd)
{
    off_t offset = 0;
    int file = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);
    ssize_t n = coir_sendfile(fd, file, &offset, 8);
    close(file);
    return n;
}

static inline ssize_t use_poll_to_write(int fd)
{
    return coir_poll(fd, COIR_WRITABLE);
}

typedef ssize_t use_fn(int fd);

enum { READERS = 9, WRITERS = 8 };
static use_fn *const readers[READERS] = {
    use_stream,   use_read,    use_readv,    use_read_full, use_recv,
    use_recvfrom, use_recvmsg, use_recv_all, use_poll};
static use_fn *const writers[WRITERS] = {
    use_write,  use_writev,  use_write_full, use_send,
    use_sendto, use_sendmsg, use_sendfile,   use_poll_to_write};

#endif
