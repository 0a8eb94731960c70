/* bench/serve.c -- the frame of a server: accept, until it is told to end
 *
 * Two nurseries, one in the other: in front the fibers that accept and that
 * wait for a signal, which end together; behind it the clients, who may stay a
 * little longer. */
#include "serve.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

static const coir_time GRACE = COIR_SECONDS(1), BREATH = COIR_MS(10);

static int discard(void *arg)
{
    char bytes[4096];
    ssize_t n;
    do
        n = coir_stream_read(arg, bytes, sizeof bytes);
    while (n > 0);
    return (int)n;
}

void serve_linger(coir_stream *stream)
{
    if (coir_stream_flush(stream) < 0 ||
        shutdown(coir_stream_fd(stream), SHUT_WR) < 0)
        return;
    COIR_IGNORE(coir_timeout(GRACE, discard, stream));
}

struct server {
    const char *address;
    serve_fn *client;
    int listener;
    coir_nursery clients, front;
};

struct client {
    serve_fn *serve;
    int fd;
};

static int serve_client(void *arg)
{
    struct client *client = arg; /* the fiber's own copy */
    client->serve(client->fd);
    return 0;
}

static int accept_clients(void *arg)
{
    struct server *server = arg;
    for (;;) {
        struct client client = {server->client, -1};
        int rc = coir_accept(server->listener, NULL, NULL);
        if (rc >= 0) {
            client.fd = rc;
            rc = coir_go_copy(&server->clients, serve_client, &client,
                              sizeof client);
            if (rc < 0)
                coir_close(client.fd);
        }
        if (rc == -EMFILE || rc == -ENFILE || rc == -ENOMEM)
            rc = coir_sleep(BREATH); /* until some client has gone */
        if (rc < 0 && rc != -ECONNABORTED)
            return rc;
    }
}

static int await_signal(void *arg)
{
    struct server *server = arg;
    coir_signals *signals;
    sigset_t set;

    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigaddset(&set, SIGINT);
    int rc = coir_signals_open(&signals, &set);
    if (rc < 0)
        return rc;
    rc = coir_signals_next(signals);
    coir_signals_close(signals);
    if (rc > 0)
        coir_nursery_cancel(&server->front);
    return rc;
}

static int serve_all(struct server *server)
{
    coir_nursery_open(&server->clients);
    coir_nursery_open(&server->front);
    int rc = coir_go(&server->front, await_signal, server);
    if (rc == 0)
        rc = coir_go(&server->front, accept_clients, server);
    rc = coir_nursery_close_with(&server->front, rc);
    coir_close(server->listener);

    coir_scope_reschedule(coir_nursery_scope(&server->clients),
                          coir_now() + GRACE);
    int end = coir_nursery_close(&server->clients);
    return rc < 0 || end == -ETIMEDOUT ? rc : end;
}

static int serve(void *arg)
{
    struct server *server = arg;
    char address[128];

    server->listener = coir_listen(server->address, 1024);
    if (server->listener < 0)
        return server->listener;
    int rc = coir_local_address(server->listener, address, sizeof address);
    if (rc < 0) {
        coir_close(server->listener);
        return rc;
    }
    printf("%s\n", address);
    fflush(stdout);
    return serve_all(server);
}

int serve_main(const char *address, serve_fn *client)
{
    static struct server server;
    server = (struct server){.address = address, .client = client};
    int rc = coir_run(serve, &server);
    if (rc < 0)
        fprintf(stderr, "%s: %s\n", address, strerror(-rc));
    return rc < 0;
}
