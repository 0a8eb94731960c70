/* Calls on descriptors that park where they would block. See coir_read(3),
 * coir_accept(3), coir_poll(3) and coir_io(7). */
#ifndef COIR_IO_H
#define COIR_IO_H

#include <coir/base.h>

#include <sys/socket.h>
#include <sys/types.h>
#include <sys/uio.h>

COIR_BEGIN

/* [parks] As the calls of the same name, but a negated error number comes back,
 * and the fiber parks where they would block. Any descriptor will do. */
ssize_t coir_read(int fd, void *buf, size_t size) COIR_MUST_USE;
ssize_t coir_write(int fd, const void *buf, size_t size) COIR_MUST_USE;
ssize_t coir_readv(int fd, const struct iovec *iov, int count) COIR_MUST_USE;
ssize_t coir_writev(int fd, const struct iovec *iov, int count) COIR_MUST_USE;
ssize_t coir_recv(int fd, void *buf, size_t size, int flags) COIR_MUST_USE;
ssize_t coir_send(int fd, const void *buf, size_t size,
                  int flags) COIR_MUST_USE;
ssize_t coir_recvfrom(int fd, void *buf, size_t size, int flags,
                      struct sockaddr *from, socklen_t *length) COIR_MUST_USE;
ssize_t coir_sendto(int fd, const void *buf, size_t size, int flags,
                    const struct sockaddr *to, socklen_t length) COIR_MUST_USE;
ssize_t coir_recvmsg(int fd, struct msghdr *message, int flags) COIR_MUST_USE;
ssize_t coir_sendmsg(int fd, const struct msghdr *message,
                     int flags) COIR_MUST_USE;
int coir_accept(int fd, struct sockaddr *from, socklen_t *length) COIR_MUST_USE;
int coir_connect(int fd, const struct sockaddr *to,
                 socklen_t length) COIR_MUST_USE;

/* Does not park; whoever waits on fd gets -EBADF. */
int coir_close(int fd);

/* [parks] Those whose call would not park now, errors and hang-ups too. */
enum { COIR_READABLE = 1, COIR_WRITABLE = 2 };
int coir_poll(int fd, int events) COIR_MUST_USE;

/* The same, but it does not park: 0 if none. */
int coir_try_poll(int fd, int events) COIR_MUST_USE;

/* [parks] Whole transfers: less is the end, or where it was stopped. */
ssize_t coir_read_full(int fd, void *buf, size_t size) COIR_MUST_USE;
ssize_t coir_write_full(int fd, const void *buf, size_t size) COIR_MUST_USE;

/* [parks] From the file `in`, from *offset on, or NULL: where it stands. */
ssize_t coir_sendfile(int out, int in, off_t *offset,
                      size_t size) COIR_MUST_USE;

COIR_END

#endif
