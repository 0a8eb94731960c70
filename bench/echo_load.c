/* bench/echo_load.c -- who asks an echo server
 *
 * Does       keep one message under way on every connection; compare every
 *            byte that comes back.
 * Fails      with a negated error number, everything closed. */
#include "bench/bench.h"
#include "bench/echo.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { EVENTS = 64 };

struct connection {
    int fd;
    size_t got;           /* of the answer under way */
    unsigned long number; /* of the message */
};

struct loader {
    const struct echo_load *load;
    struct connection *connections;
    int epoll;
    unsigned long sent, answered;
};

static void fill(char *message, unsigned long number)
{
    for (int i = 0; i < ECHO_SIZE; i++)
        message[i] = (char)(number + (unsigned long)i * 3);
}

static int send_next(struct loader *l, struct connection *c)
{
    char message[ECHO_SIZE];

    c->number = l->sent++;
    c->got = 0;
    fill(message, c->number);
    return send(c->fd, message, ECHO_SIZE, MSG_NOSIGNAL) == ECHO_SIZE ? 0
                                                                      : -EIO;
}

static int take_answer(struct loader *l, struct connection *c)
{
    char bytes[ECHO_SIZE], right[ECHO_SIZE];
    ssize_t n = recv(c->fd, bytes, ECHO_SIZE - c->got, MSG_DONTWAIT);

    if (n < 0 && errno == EAGAIN)
        return 0;
    if (n <= 0)
        return n < 0 ? -errno : -EPROTO;
    fill(right, c->number);
    if (memcmp(bytes, right + c->got, (size_t)n) != 0)
        return -EPROTO;
    c->got += (size_t)n;
    if (c->got < ECHO_SIZE)
        return 0;
    l->answered++;
    return l->sent < l->load->requests ? send_next(l, c) : 0;
}

static int open_connection(struct loader *l, struct connection *c)
{
    struct sockaddr_in to = {.sin_family = AF_INET,
                             .sin_port = htons(l->load->port),
                             .sin_addr = {htonl(INADDR_LOOPBACK)}};
    struct epoll_event event = {.events = EPOLLIN, .data = {.ptr = c}};

    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (c->fd < 0 ||
        connect(c->fd, (const struct sockaddr *)&to, sizeof(to)) < 0 ||
        epoll_ctl(l->epoll, EPOLL_CTL_ADD, c->fd, &event) < 0)
        return -errno;
    return 0;
}

static int ask(struct loader *l)
{
    struct epoll_event events[EVENTS];
    int64_t end = bench_now() + l->load->seconds * INT64_C(1000000000);
    int rc = 0;

    while (l->answered < l->load->requests && rc == 0) {
        int count = epoll_wait(l->epoll, events, EVENTS, 1000);

        for (int i = 0; i < count && rc == 0; i++)
            rc = take_answer(l, events[i].data.ptr);
        if (bench_now() > end && rc == 0)
            rc = -ETIME;
    }
    return rc;
}

int echo_load(const struct echo_load *load)
{
    struct loader l = {.load = load};
    int rc = -ENOMEM;

    l.epoll = epoll_create1(EPOLL_CLOEXEC);
    if (l.epoll < 0)
        return -errno;
    l.connections = calloc(load->connections, sizeof(*l.connections));
    if (l.connections) {
        rc = 0;
        for (unsigned i = 0; i < load->connections; i++)
            l.connections[i].fd = -1;
        for (unsigned i = 0; i < load->connections && rc == 0; i++)
            rc = open_connection(&l, &l.connections[i]);
        for (unsigned i = 0; i < load->connections && rc == 0; i++)
            rc = send_next(&l, &l.connections[i]);
        if (rc == 0)
            rc = ask(&l);
        for (unsigned i = 0; i < load->connections; i++) {
            if (l.connections[i].fd >= 0)
                close(l.connections[i].fd);
        }
        free(l.connections);
    }
    close(l.epoll);
    return rc;
}
