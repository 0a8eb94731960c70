/* test/portable/without.h -- included before all else by PORTABLE=1
 *
 * Names that some of the BSDs, or macOS, have not. Those that code may ask for
 * with #ifdef are not defined; to use one of the others does not compile. */
#ifndef COIR_TEST_PORTABLE_WITHOUT_H
#define COIR_TEST_PORTABLE_WITHOUT_H

#include <errno.h>
#include <fcntl.h>
#include <netdb.h>
#include <poll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#undef EAI_NODATA
#undef MADV_HUGEPAGE
#undef MADV_NOHUGEPAGE
#undef MAP_STACK
#undef MSG_ERRQUEUE /* an enumerator, too, which stays */
#undef POLLRDHUP
#undef RWF_NOWAIT
#undef SO_PROTOCOL

#undef SOCK_CLOEXEC
#undef SOCK_NONBLOCK
#define SOCK_CLOEXEC not_portable_SOCK_CLOEXEC
#define SOCK_NONBLOCK not_portable_SOCK_NONBLOCK
#undef MSG_CMSG_CLOEXEC
#undef O_PATH
#undef O_TMPFILE
#undef SO_PEERCRED
#define MSG_CMSG_CLOEXEC not_portable_MSG_CMSG_CLOEXEC
#define O_PATH not_portable_O_PATH
#define O_TMPFILE not_portable_O_TMPFILE
#define SO_PEERCRED not_portable_SO_PEERCRED

#endif
