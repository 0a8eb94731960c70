/* io/sys.c -- the system calls of io, but those that move bytes or are about
 * sockets
 *
 * Does       each call once, or again after EINTR, and negates its error.
 * Does not   decide anything.
 * Edges      none.
 * Fails      as the calls; close always closes.
 * Tests      test/test_poller.c, test/test_io_faults.c */
#include "io/sys.h"

#include "io/sys_call.h"

#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/select.h>
#include <sys/stat.h>
#include <unistd.h>

int (*coir_i_sys_fault)(const char *name);

/* poll(2) refuses a process that may open no descriptor at all any more
 * (RLIMIT_NOFILE is 0, as sandboxes set it); select(2) does not. */
static int select_one(int fd, short events)
{
    enum { BITS = 8 * sizeof(unsigned long) };
    struct timeval at_once = {0};
    size_t words = (size_t)fd / BITS + 1;
    unsigned long *sets = coir_i_sys_alloc(3 * words * sizeof *sets);
    unsigned long *in = sets, *out = in + words, *ends = out + words;
    unsigned long bit = 1UL << (unsigned)fd % BITS;
    if (!sets)
        return -ENOMEM;
    memset(sets, 0, 3 * words * sizeof *sets);
    in[words - 1] = events & POLLIN ? bit : 0;
    out[words - 1] = events & POLLOUT ? bit : 0;
    ends[words - 1] = bit;
    int rc;
    CALL(rc, "select", true,
         select(fd + 1, (fd_set *)in, (fd_set *)out, (fd_set *)ends, &at_once));
    if (rc > 0)
        rc = (in[words - 1] ? POLLIN : 0) | (out[words - 1] ? POLLOUT : 0) |
             (ends[words - 1] ? POLLPRI : 0);
    free(sets);
    return rc;
}

int coir_i_sys_poll(int fd, short events)
{
    struct pollfd one = {.fd = fd, .events = events};
    int rc;
    CALL(rc, "poll", true, poll(&one, 1, 0));
    if (coir_i_unlikely(rc == -EINVAL) && fd >= 0)
        return select_one(fd, events);
    if (rc <= 0)
        return rc;
    return one.revents & POLLNVAL ? -EBADF : one.revents;
}

int coir_i_sys_close(int fd)
{
    int rc = close(fd) < 0 ? -errno : 0;
    if (coir_i_unlikely(coir_i_sys_fault != NULL) && rc == 0)
        rc = coir_i_sys_fault("close"); /* says so, but has closed, too */
    return rc == -EINTR ? 0 : rc;
}

int coir_i_sys_flags(int fd)
{
    int rc;
    CALL(rc, "fcntl", false, fcntl(fd, F_GETFL));
    return rc;
}

int coir_i_sys_is_fifo(int fd)
{
    struct stat status;
    int rc;
    CALL(rc, "fstat", false, fstat(fd, &status));
    return rc < 0 ? rc : S_ISFIFO(status.st_mode);
}

uint32_t coir_i_sys_file(int fd)
{
    struct stat status;
    int rc;
    CALL(rc, "fstat", false, fstat(fd, &status));
    if (rc < 0)
        return 0;
    uint64_t number = (uint64_t)status.st_ino;
    return (uint32_t)(number ^ number >> 32 ^ (uint64_t)status.st_dev << 20);
}

void *coir_i_sys_alloc(size_t size)
{
    if (coir_i_unlikely(coir_i_sys_fault != NULL) &&
        coir_i_sys_fault("malloc") < 0)
        return NULL;
    return malloc(size);
}

void *coir_i_sys_map(size_t size)
{
    enum { HOW = MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE };
    if (coir_i_sys_fault && coir_i_sys_fault("mmap") < 0)
        return NULL;
    void *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, HOW, -1, 0);
    return memory == MAP_FAILED ? NULL : memory;
}

void coir_i_sys_unmap(void *memory, size_t size)
{
    munmap(memory, size);
}
