/* io/sys.h -- the system calls of io
 *
 * Every call that io makes into the kernel is one of these. They do nothing
 * but the call: they return its result or a negated error number, start again
 * where a signal interrupted, and never raise SIGPIPE. None is inline, since
 * a compiler would keep the address of errno over a switch of fibers. */
#ifndef COIR_IO_SYS_H
#define COIR_IO_SYS_H

#include <coir/time.h>

#include <poll.h>
#include <sys/socket.h>
#include <sys/types.h>

/* Linux's own, and nothing elsewhere. */
#ifndef POLLRDHUP
#    define POLLRDHUP 0
#endif
#ifndef MSG_ERRQUEUE
#    define MSG_ERRQUEUE 0
#endif

/* For tests: called before every call with its name; below 0: the call is not
 * made and fails with that. Set while nothing runs. */
extern int (*coir_i_sys_fault)(const char *name);

/* ---- Sockets: never wait, whatever the flags of the descriptor. */
ssize_t coir_i_sys_recv(int fd, void *buf, size_t size, int flags);
ssize_t coir_i_sys_send(int fd, const void *buf, size_t size, int flags);
ssize_t coir_i_sys_recvmsg(int fd, struct msghdr *message, int flags);
ssize_t coir_i_sys_sendmsg(int fd, const struct msghdr *message, int flags);

/* ---- Any descriptor. */

/* Never wait either. -EOPNOTSUPP: this one cannot be asked not to. */
ssize_t coir_i_sys_read_now(int fd, const struct iovec *iov, int count);
ssize_t coir_i_sys_write_now(int fd, const struct iovec *iov, int count);
/* As readv(2) and writev(2): may wait. */
ssize_t coir_i_sys_readv(int fd, const struct iovec *iov, int count);
ssize_t coir_i_sys_writev(int fd, const struct iovec *iov, int count);

/* Files: pread(2), now, and when it may wait; lseek(2); sendfile(2), which
 * waits for the file, and for `out` if that blocks. */
ssize_t coir_i_sys_read_at(int fd, void *buf, size_t size, off_t at);
ssize_t coir_i_sys_read_at_now(int fd, void *buf, size_t size, off_t at);
off_t coir_i_sys_seek(int fd, off_t at, int whence);
ssize_t coir_i_sys_sendfile(int out, int in, off_t *at, size_t size);

/* What poll(2) says of fd at this moment; 0: nothing of `events`. */
int coir_i_sys_poll(int fd, short events);
/* Linux frees the number whatever close(2) returns; so 0 if interrupted. A
 * fault is only what it says: it has closed, too. */
int coir_i_sys_close(int fd);
int coir_i_sys_flags(int fd);     /* as F_GETFL */
int coir_i_sys_is_fifo(int fd);   /* 1, 0 or why it is not known */
uint32_t coir_i_sys_file(int fd); /* tells open files apart; 0: not known */

/* ---- Making connections. What they make is close-on-exec and does not
 * block; connect does not start again where a signal interrupted. */
int coir_i_sys_socket(int family, int type);
int coir_i_sys_accept(int fd, struct sockaddr *from, socklen_t *length);
int coir_i_sys_connect(int fd, const struct sockaddr *to, socklen_t length);
int coir_i_sys_bind(int fd, const struct sockaddr *to, socklen_t length);
int coir_i_sys_listen(int fd, int backlog);
int coir_i_sys_option(int fd, int level, int name, void *value, socklen_t size);
int coir_i_sys_option_set(int fd, int level, int name, const void *value,
                          socklen_t size);
int coir_i_sys_local(int fd, struct sockaddr *address, socklen_t *length);
int coir_i_sys_peer(int fd, struct sockaddr *address, socklen_t *length);
int coir_i_sys_is_socket_path(const char *path); /* 1, 0 or why not known */
int coir_i_sys_unlink(const char *path);

/* As getaddrinfo(3), which blocks. EAI_NONAME and EAI_NODATA are -ENOENT,
 * EAI_AGAIN -EAGAIN, EAI_MEMORY -ENOMEM, EAI_SYSTEM what errno says, and the
 * others -EINVAL. */
struct addrinfo;
int coir_i_sys_resolve(const char *host, const char *service,
                       const struct addrinfo *hints,
                       struct addrinfo **ret_found);

/* ---- Memory, for free(3). NULL: none. */
void *coir_i_sys_alloc(size_t size);

/* ---- Zeroed memory, of which only what is touched costs. NULL: none. */
void *coir_i_sys_map(size_t size);
void coir_i_sys_unmap(void *memory, size_t size);

#endif
