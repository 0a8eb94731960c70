/* pools/files.c -- files, which cannot be polled
 *
 * Does       coir_open, coir_pread, coir_pwrite, coir_fsync on threads of their
 *            own; what is in memory is read at once.
 *
 * open and fsync can take as long as a server that is gone, and a cancelled
 * caller does not wait for that: what the call needs is in memory of its own,
 * an *errand*, which the last who has to do with it frees. pread and pwrite use
 * the caller's bytes, and are waited for.
 *
 * Invariants
 *   F1  a descriptor that was opened is the caller's or closed.
 * Fails      as the system calls; -ENOMEM for the errand.
 * Tests      test/test_files.c, stress_files.c */
#include <coir/files.h>

#include "pools/own_pools.h"
#include "pools/sys.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

/* ---- What can be left behind ---- */

struct opening {
    coir_i_call call; /* first */
    int flags;        /* const */
    mode_t mode;      /* const */
    int result;       /* the descriptor; < 0: there is none */
    char path[];      /* const */
};

static const coir_i_wait waits_for_open = {.what = "open"};
static const coir_i_wait waits_for_sync = {.what = "fsync"};

static int open_now(void *arg)
{
    struct opening *o = arg;
    o->result = coir_i_os_open_as(o->path, o->flags, o->mode);
    return 0;
}

static void abandon_opening(coir_i_call *call)
{
    struct opening *o = (struct opening *)call;
    if (o->result >= 0)
        close(o->result);
    free(o);
}

int coir_open(const char *path, int flags, mode_t mode)
{
    if (!path)
        return -EFAULT;
    size_t length = strnlen(path, PATH_MAX);
    if (length == PATH_MAX)
        return -ENAMETOOLONG;
    struct opening *o = malloc(sizeof *o + length + 1);
    if (!o)
        return -ENOMEM;
    *o = (struct opening){.call = {.fn = open_now,
                                   .wait = &waits_for_open,
                                   .interrupts = true,
                                   .abandon = abandon_opening,
                                   .item = (char *)o,
                                   .waiting = 1},
                          .flags = flags,
                          .mode = mode,
                          .result = -1};
    memcpy(o->path, path, length + 1);
    int rc = coir_i_files_call(&o->call);
    if (rc < 0)
        return rc;
    rc = o->result;
    free(o);
    return rc;
}

struct syncing {
    coir_i_call call; /* first */
    int fd;           /* const */
    int result;
};

static int sync_now(void *arg)
{
    struct syncing *s = arg;
    s->result = coir_i_os_fsync(s->fd);
    return 0;
}

static void abandon_syncing(coir_i_call *call)
{
    free(call);
}

/* A call that is left behind may find the number to be another file's, which is
 * then synced for nothing. A duplicate would be worse: its close would drop the
 * program's own locks on the file (fcntl(2), F_SETLK). */
int coir_fsync(int fd)
{
    struct syncing *s = malloc(sizeof *s);
    if (!s)
        return -ENOMEM;
    *s = (struct syncing){.call = {.fn = sync_now,
                                   .wait = &waits_for_sync,
                                   .abandon = abandon_syncing,
                                   .item = (char *)s,
                                   .waiting = 1},
                          .fd = fd};
    int rc = coir_i_files_call(&s->call);
    if (rc < 0)
        return rc;
    rc = s->result;
    free(s);
    return rc;
}

/* ---- What is waited for ---- */

struct transfer {
    int fd;
    void *to; /* or from */
    size_t size;
    off_t at;
    ssize_t result;
};

static int read_now(void *arg)
{
    struct transfer *t = arg;
    do {
        t->result = coir_i_os_pread(t->fd, t->to, t->size, t->at);
    } while (t->result == -EINTR);
    return 0;
}

static int write_now(void *arg)
{
    struct transfer *t = arg;
    do {
        t->result = coir_i_os_pwrite(t->fd, t->to, t->size, t->at);
    } while (t->result == -EINTR);
    return 0;
}

/* How much of it is in memory, now copied; `size` also at the end of the file:
 * *whole says that nothing is left to be asked for. */
static size_t read_cached(const struct transfer *t, bool *whole)
{
    size_t got = 0;
    *whole = false;
    while (!*whole) {
        ssize_t n = coir_i_os_pread_cached(t->fd, (char *)t->to + got,
                                           t->size - got, t->at + (off_t)got);
        if (n < 0)
            break;
        got += (size_t)n;
        *whole = n == 0 || got == t->size;
    }
    return got;
}

ssize_t coir_pread(int fd, void *buf, size_t size, off_t offset)
{
    struct transfer t = {fd, buf, size, offset, 0};
    bool whole;
    int rc = coir_i_enter();
    if (rc < 0)
        return rc;
    size_t got = read_cached(&t, &whole);
    if (whole)
        return (ssize_t)got;
    t = (struct transfer){fd, (char *)buf + got, size - got,
                          offset + (off_t)got, 0};
    rc = coir_i_files_run(read_now, &t);
    if (rc >= 0 && t.result >= 0)
        return (ssize_t)got + t.result;
    if (got)
        return (ssize_t)got; /* why it was no more, the next call will say */
    return rc < 0 ? rc : t.result;
}

ssize_t coir_pwrite(int fd, const void *buf, size_t size, off_t offset)
{
    struct transfer t = {fd, (void *)(uintptr_t)buf, size, offset, 0};
    int rc = coir_i_files_run(write_now, &t);
    return rc < 0 ? rc : t.result;
}
