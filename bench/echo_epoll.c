/* bench/echo_epoll.c -- servers on epoll and nothing else
 *
 * What coir's are measured against: one thread, each connection registered once
 * and edge-triggered, one read for each event (less than asked for was all
 * there is), one write. */
#include "bench/echo.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { EVENTS = 256 };

static int add(int epoll, int fd, unsigned events)
{
    struct epoll_event event = {.events = events, .data = {.fd = fd}};

    return epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event);
}

static void accept_all(int epoll, int listener)
{
    for (;;) {
        int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

        if (fd < 0)
            return;
        if (add(epoll, fd, EPOLLIN | EPOLLRDHUP | EPOLLET) < 0)
            close(fd);
    }
}

/* Heads of a kilobyte and less come in one piece here: nothing is kept from
 * one event to the next. */
static void answer(int fd, enum echo_kind kind, unsigned events)
{
    char bytes[4096];

    for (;;) {
        ssize_t n = read(fd, bytes, sizeof(bytes));
        const char *text;

        if (n < 0 && errno == EAGAIN)
            return;
        size_t size = n > 0 ? echo_answer(kind, bytes, (size_t)n, &text) : 0;
        if (size == 0 || write(fd, text, size) != (ssize_t)size ||
            kind == ECHO_ONCE) {
            close(fd);
            return;
        }
        if ((size_t)n < sizeof(bytes) && !(events & EPOLLRDHUP))
            return;
    }
}

int echo_serve_epoll(int listener, enum echo_kind kind)
{
    struct epoll_event events[EVENTS];
    int epoll = epoll_create1(EPOLL_CLOEXEC);

    if (epoll < 0 || fcntl(listener, F_SETFL, O_NONBLOCK) < 0 ||
        add(epoll, listener, EPOLLIN) < 0)
        return -errno;
    for (;;) {
        int count = epoll_wait(epoll, events, EVENTS, -1);

        for (int i = 0; i < count; i++) {
            if (events[i].data.fd == listener)
                accept_all(epoll, listener);
            else
                answer(events[i].data.fd, kind, events[i].events);
        }
    }
}
