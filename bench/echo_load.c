/* bench/echo_load.c -- who asks a server of bench/
 *
 * Does       keep one message under way on every connection; compare every
 *            byte that comes back.
 * Fails      with a negated error number, everything closed. */
#include "bench/bench.h"
#include "bench/echo.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdio.h>
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

enum { LARGEST = 512 }; /* of a message, either way */

/* The message of that number. */
static size_t question(enum echo_kind kind, char *bytes, unsigned long number)
{
    if (kind == ECHO_HTTP)
        return (size_t)snprintf(bytes, LARGEST,
                                "GET /%lu HTTP/1.1\r\nHost: localhost\r\n"
                                "User-Agent: bench\r\nAccept: */*\r\n\r\n",
                                number);
    for (int i = 0; i < ECHO_SIZE; i++)
        bytes[i] = (char)(number + (unsigned long)i * 3);
    return ECHO_SIZE;
}

static int send_next(struct loader *l, struct connection *c)
{
    char bytes[LARGEST];

    c->number = l->sent++;
    c->got = 0;
    size_t size = question(l->load->kind, bytes, c->number);
    return send(c->fd, bytes, size, MSG_NOSIGNAL) == (ssize_t)size ? 0 : -EIO;
}

static int take_answer(struct loader *l, struct connection *c)
{
    char bytes[LARGEST], asked[LARGEST];
    const char *right;
    size_t size = question(l->load->kind, asked, c->number);
    size = echo_answer(l->load->kind, asked, size, &right);
    ssize_t n = recv(c->fd, bytes, size - c->got, MSG_DONTWAIT);

    if (n < 0 && errno == EAGAIN)
        return 0;
    if (n <= 0)
        return n < 0 ? -errno : -EPROTO;
    if (memcmp(bytes, right + c->got, (size_t)n) != 0)
        return -EPROTO;
    c->got += (size_t)n;
    if (c->got < size)
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
        (l->epoll >= 0 &&
         epoll_ctl(l->epoll, EPOLL_CTL_ADD, c->fd, &event) < 0))
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

/* Each message over a connection of its own, one after another. */
static int ask_anew(const struct echo_load *load)
{
    struct loader l = {.load = load, .epoll = -1};
    int rc = 0;

    while (l.answered < load->requests && rc == 0) {
        struct connection c = {.fd = -1};
        char end;
        rc = open_connection(&l, &c);
        if (rc == 0)
            rc = send_next(&l, &c);
        struct pollfd ready = {.fd = c.fd, .events = POLLIN};
        unsigned long before = l.answered;
        l.sent = load->requests; /* no next one on this connection */
        while (rc == 0 && l.answered == before) {
            if (poll(&ready, 1, (int)load->seconds * 1000) <= 0)
                rc = -ETIME;
            else
                rc = take_answer(&l, &c);
        }
        l.sent = l.answered;
        if (rc == 0 && recv(c.fd, &end, 1, 0) != 0)
            rc = -EPROTO; /* it has to hang up */
        if (c.fd >= 0)
            close(c.fd);
    }
    return rc;
}

static int ask_over_all(struct loader *l, unsigned count)
{
    int rc = 0;

    for (unsigned i = 0; i < count; i++)
        l->connections[i].fd = -1;
    for (unsigned i = 0; i < count && rc == 0; i++)
        rc = open_connection(l, &l->connections[i]);
    for (unsigned i = 0; i < count && rc == 0; i++)
        rc = send_next(l, &l->connections[i]);
    if (rc == 0)
        rc = ask(l);
    for (unsigned i = 0; i < count; i++) {
        if (l->connections[i].fd >= 0)
            close(l->connections[i].fd);
    }
    return rc;
}

int echo_load(const struct echo_load *load)
{
    struct loader l = {.load = load};

    if (load->kind == ECHO_ONCE)
        return ask_anew(load);
    l.epoll = epoll_create1(EPOLL_CLOEXEC);
    if (l.epoll < 0)
        return -errno;
    l.connections = calloc(load->connections, sizeof(*l.connections));
    int rc = l.connections ? ask_over_all(&l, load->connections) : -ENOMEM;
    free(l.connections);
    close(l.epoll);
    return rc;
}
