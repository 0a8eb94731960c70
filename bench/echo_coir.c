/* bench/echo_coir.c -- servers as one writes them with coir: a fiber for each
 * connection, which reads and writes */
#include <coir.h>

#include "bench/echo.h"

struct client {
    int fd;
    enum echo_kind kind;
};

static int answer_all(void *arg)
{
    struct client client = *(struct client *)arg;
    char bytes[4096];
    size_t size = 0;
    ssize_t n;

    do {
        n = coir_read(client.fd, bytes + size, sizeof(bytes) - size);
        const char *answer;
        size_t length =
            n > 0 ? echo_answer(client.kind, bytes, size += (size_t)n, &answer)
                  : 0;
        if (length > 0) {
            n = coir_write_full(client.fd, answer, length);
            size = 0;
        }
    } while (n > 0 && client.kind != ECHO_ONCE);
    coir_close(client.fd);
    return 0;
}

struct server {
    int listener;
    enum echo_kind kind;
};

static int serve(void *arg)
{
    struct server *server = arg;
    coir_nursery nursery;
    int rc = 0;

    coir_nursery_open(&nursery);
    while (rc >= 0) {
        rc = coir_accept(server->listener, NULL, NULL);
        struct client client = {rc, server->kind};
        if (rc >= 0)
            rc = coir_go_copy(&nursery, answer_all, &client, sizeof client);
    }
    return coir_nursery_close_with(&nursery, rc);
}

int echo_serve_coir(int listener, enum echo_kind kind, unsigned workers)
{
    struct server server = {listener, kind};
    coir_config config = {.workers = workers};

    return coir_run_with(&config, serve, &server);
}
