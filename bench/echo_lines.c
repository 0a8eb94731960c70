/* bench/echo_lines.c -- an echo server, line by line
 *
 *     echo_lines [ADDRESS]         ":7007", "[::1]:7007", "unix:/tmp/echo"
 *
 * Each client is a fiber that reads as if it were alone. SIGTERM and SIGINT
 * end it: no new clients, and those there are have a second to finish.
 * `nc localhost 7007` is a client. */
#include "serve.h"

#include <errno.h>

static const coir_time IDLE = COIR_SECONDS(60);

/* One line, there and back; 0: the client has said all. */
static int echo_line(void *arg)
{
    coir_stream *stream = arg;
    char *line;
    ssize_t size = coir_stream_read_until(stream, '\n', &line);

    if (size > 0)
        size = coir_stream_write(stream, line, (size_t)size);
    if (size > 0 && coir_stream_flush(stream) < 0)
        size = -EPIPE;
    return (int)size;
}

static void serve_client(int fd)
{
    coir_stream *stream;
    if (coir_stream_new(&stream, fd, 0) < 0) {
        coir_close(fd);
        return;
    }
    int rc;
    do
        rc = coir_timeout(IDLE, echo_line, stream);
    while (rc > 0);
    if (rc == -EMSGSIZE &&
        coir_stream_printf(stream, "That line is too long.\n") >= 0)
        serve_linger(stream);
    COIR_IGNORE(coir_stream_close(stream));
}

int main(int argc, char **argv)
{
    return serve_main(argc > 1 ? argv[1] : ":7007", serve_client);
}
