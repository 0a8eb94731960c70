/* io/sys_socket.c -- the system calls on sockets; names and addresses
 *
 * Does       each call once, or again after EINTR, and negates its error. Those
 *            that move bytes never wait and never raise SIGPIPE, whatever the
 *            flags of the descriptor.
 * Does not   decide anything.
 * Edges      none.
 * Fails      as the calls.
 * Tests      test/test_message.c, test/test_net.c, test/test_io_faults.c */
#include "fiber/platform.h"
#include "io/sys_call.h"

#include <fcntl.h>
#include <netdb.h>
#include <sys/stat.h>
#include <unistd.h>

ssize_t coir_i_sys_recv(int fd, void *buf, size_t size, int flags)
{
    ssize_t rc;
    CALL(rc, "recv", true, recv(fd, buf, size, flags | MSG_DONTWAIT));
    return rc;
}

ssize_t coir_i_sys_send(int fd, const void *buf, size_t size, int flags)
{
    ssize_t rc;
    flags |= MSG_DONTWAIT | MSG_NOSIGNAL;
    CALL(rc, "send", true, send(fd, buf, size, flags));
    return rc;
}

ssize_t coir_i_sys_recvmsg(int fd, struct msghdr *message, int flags)
{
    ssize_t rc;
    CALL(rc, "recvmsg", true, recvmsg(fd, message, flags | MSG_DONTWAIT));
    return rc;
}

ssize_t coir_i_sys_sendmsg(int fd, const struct msghdr *message, int flags)
{
    ssize_t rc;
    flags |= MSG_DONTWAIT | MSG_NOSIGNAL;
    CALL(rc, "sendmsg", true, sendmsg(fd, message, flags));
    return rc;
}

#if COIR_I_LINUX

int coir_i_sys_socket(int family, int type)
{
    int rc;
    CALL(rc, "socket", false,
         socket(family, type | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    return rc;
}

int coir_i_sys_accept(int fd, struct sockaddr *from, socklen_t *length)
{
    int rc;
    CALL(rc, "accept4", true,
         accept4(fd, from, length, SOCK_CLOEXEC | SOCK_NONBLOCK));
    return rc;
}

#else

/* Between the two calls a fork may copy it; there is no other way on macOS. */
static int own(int fd)
{
    int flags = fd < 0 ? -1 : fcntl(fd, F_GETFL);
    if (flags >= 0 && fcntl(fd, F_SETFL, flags | O_NONBLOCK) == 0 &&
        fcntl(fd, F_SETFD, FD_CLOEXEC) == 0)
        return fd;
    int error = errno;
    if (fd >= 0)
        close(fd);
    errno = error;
    return -1;
}

int coir_i_sys_socket(int family, int type)
{
    int rc;
    CALL(rc, "socket", false, own(socket(family, type, 0)));
    return rc;
}

int coir_i_sys_accept(int fd, struct sockaddr *from, socklen_t *length)
{
    int rc;
    CALL(rc, "accept", true, own(accept(fd, from, length)));
    return rc;
}

#endif

int coir_i_sys_connect(int fd, const struct sockaddr *to, socklen_t length)
{
    int rc;
    CALL(rc, "connect", false, connect(fd, to, length));
    return rc;
}

int coir_i_sys_bind(int fd, const struct sockaddr *to, socklen_t length)
{
    int rc;
    CALL(rc, "bind", false, bind(fd, to, length));
    return rc;
}

int coir_i_sys_listen(int fd, int backlog)
{
    int rc;
    CALL(rc, "listen", false, listen(fd, backlog));
    return rc;
}

int coir_i_sys_option(int fd, int level, int name, void *value, socklen_t size)
{
    int rc;
    CALL(rc, "getsockopt", false, getsockopt(fd, level, name, value, &size));
    return rc;
}

int coir_i_sys_option_set(int fd, int level, int name, const void *value,
                          socklen_t size)
{
    int rc;
    CALL(rc, "setsockopt", false, setsockopt(fd, level, name, value, size));
    return rc;
}

int coir_i_sys_local(int fd, struct sockaddr *address, socklen_t *length)
{
    int rc;
    CALL(rc, "getsockname", false, getsockname(fd, address, length));
    return rc;
}

int coir_i_sys_peer(int fd, struct sockaddr *address, socklen_t *length)
{
    int rc;
    CALL(rc, "getpeername", false, getpeername(fd, address, length));
    return rc;
}

int coir_i_sys_is_socket_path(const char *path)
{
    struct stat status;
    int rc;
    CALL(rc, "lstat", false, lstat(path, &status));
    return rc < 0 ? rc : S_ISSOCK(status.st_mode);
}

int coir_i_sys_unlink(const char *path)
{
    int rc;
    CALL(rc, "unlink", false, unlink(path));
    return rc;
}

int coir_i_sys_resolve(const char *host, const char *service,
                       const struct addrinfo *hints,
                       struct addrinfo **ret_found)
{
    if (coir_i_sys_fault) {
        int rc = coir_i_sys_fault("getaddrinfo");
        if (rc < 0)
            return rc;
    }
    switch (getaddrinfo(host, service, hints, ret_found)) {
    case 0:
        return 0;
    case EAI_NONAME:
#ifdef EAI_NODATA
    case EAI_NODATA:
#endif
        return -ENOENT;
    case EAI_AGAIN:
        return -EAGAIN;
    case EAI_MEMORY:
        return -ENOMEM;
    case EAI_SYSTEM:
        return errno ? -errno : -EINVAL;
    }
    return -EINVAL;
}
