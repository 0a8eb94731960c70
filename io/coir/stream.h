/* Buffered streams over a descriptor, which the stream owns once new has
 * succeeded. One fiber may read while another writes. See coir_stream(3). */
#ifndef COIR_STREAM_H
#define COIR_STREAM_H

#include <coir/base.h>

#include <sys/types.h>

COIR_BEGIN

typedef struct coir_stream coir_stream;

/* buffer_size: bytes each way; 0: 16 KiB. */
int coir_stream_new(coir_stream **stream, int fd,
                    size_t buffer_size) COIR_MUST_USE;
/* [parks] Flushes unless cancelled, closes fd, frees; what was lost is
 * reported. */
int coir_stream_close(coir_stream *stream);
int coir_stream_fd(const coir_stream *stream);
/* Frees the stream and gives the descriptor back. -EBUSY: bytes in it. */
int coir_stream_detach(coir_stream *stream);

/* [parks] As coir_read. */
ssize_t coir_stream_read(coir_stream *stream, void *buf,
                         size_t size) COIR_MUST_USE;
/* [parks] Up to and with the delimiter, in place, good until the next read; a
 * last piece without it; 0 at the end. -EMSGSIZE: longer than the buffer,
 * nothing was taken. */
ssize_t coir_stream_read_until(coir_stream *stream, int delimiter,
                               char **text) COIR_MUST_USE;

/* [parks] size, or an error. printf: how many bytes. */
ssize_t coir_stream_write(coir_stream *stream, const void *buf,
                          size_t size) COIR_MUST_USE;
int coir_stream_printf(coir_stream *stream, const char *format,
                       ...) COIR_MUST_USE COIR_PRINTF(2, 3);
/* [parks] What is left after an error stays buffered. */
int coir_stream_flush(coir_stream *stream) COIR_MUST_USE;

COIR_END

#endif
