/* bench/echo_coir.c -- an echo server as one writes it with coir: a fiber for
 * each connection, which reads and writes */
#include <coir.h>

#include "bench/echo.h"

#include <stdint.h>

static int answer(void *arg)
{
    char bytes[4096];
    int fd = (int)(intptr_t)arg;
    ssize_t n;

    do {
        n = coir_read(fd, bytes, sizeof(bytes));
        if (n > 0)
            n = coir_write_full(fd, bytes, (size_t)n);
    } while (n > 0);
    coir_close(fd);
    return 0;
}

static int serve(void *arg)
{
    coir_nursery nursery;
    int rc = 0;

    coir_nursery_open(&nursery);
    while (rc >= 0) {
        rc = coir_accept(*(int *)arg, NULL, NULL);
        if (rc >= 0)
            rc = coir_go(&nursery, answer, (void *)(intptr_t)rc);
    }
    return coir_nursery_close_with(&nursery, rc);
}

int echo_serve_coir(int listener, unsigned workers)
{
    coir_config config = {.workers = workers};

    return coir_run_with(&config, serve, &listener);
}
