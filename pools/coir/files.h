/* Files, which cannot be polled. See coir_open(3). */
#ifndef COIR_FILES_H
#define COIR_FILES_H

#include <coir/base.h>

#include <sys/types.h>

COIR_BEGIN

/* [parks] As the calls of the same name. open and fsync return at once when
 * they are cancelled, pread and pwrite when the call has ended. */
int coir_open(const char *path, int flags, mode_t mode) COIR_MUST_USE;
ssize_t coir_pread(int fd, void *buf, size_t size, off_t offset) COIR_MUST_USE;
ssize_t coir_pwrite(int fd, const void *buf, size_t size,
                    off_t offset) COIR_MUST_USE;
int coir_fsync(int fd) COIR_MUST_USE;

COIR_END

#endif
