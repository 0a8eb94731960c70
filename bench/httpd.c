/* bench/httpd.c -- a small HTTP server whose answers take their time
 *
 * Does       answer "GET /NUMBER HTTP/1.x", the given number of milliseconds
 *            after the request was complete, with a body that is made from the
 *            number (bench/httpd.h), and close the connection. Plain epoll, one
 *            thread and no coir, so that who is measured against it is alone in
 *            its process.
 * Use        httpd MILLISECONDS, with a pipe for its standard input: listens on
 *            a free port of 127.0.0.1 and prints the number on a line.
 *
 * Invariants
 *   I1  a connection is READING, then DUE in the queue, then gone; the queue is
 *       in order of time, since all answers take equally long.
 *   I2  the timer is armed if and only if the queue is not empty, for its head.
 *   I3  the listener is watched unless accept had no descriptor or no memory
 *       and no connection has gone since.
 *
 * Fails      what is wrong with one connection ends that one. The server ends
 *            with its parent, when its standard input ends, or by SIGTERM.
 */
#include "bench/httpd.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

enum { REQUEST_MAX = 1024, EVENTS = 64, BACKLOG = 4096 };

/* One client: heap, from accept to the close after its answer. */
struct connection {
    struct connection *next; /* in the queue of those that are due */
    int64_t due;
    int fd;
    size_t length; /* of the request so far */
    char request[REQUEST_MAX];
};

static struct server {
    int epoll, listener, timer;
    bool listening; /* I3 */
    int64_t latency;
    struct connection *first, *last; /* the queue of those that are due */
} server = {.epoll = -1, .listener = -1, .timer = -1};

/* What epoll tells beside a connection. */
static char listener_mark, timer_mark, input_mark;

static _Noreturn void die(const char *what)
{
    perror(what);
    exit(1);
}

static int64_t now(void)
{
    struct timespec time;

    clock_gettime(CLOCK_MONOTONIC, &time);
    return (int64_t)time.tv_sec * 1000000000 + time.tv_nsec;
}

static int watch(int fd, void *data)
{
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = data};

    return epoll_ctl(server.epoll, EPOLL_CTL_ADD, fd, &event);
}

static void stop_listening(void)
{
    epoll_ctl(server.epoll, EPOLL_CTL_DEL, server.listener, NULL);
    server.listening = false;
}

static void close_connection(struct connection *connection)
{
    close(connection->fd);
    free(connection);
    if (!server.listening && watch(server.listener, &listener_mark) == 0)
        server.listening = true;
}

static void arm_timer(void)
{
    int64_t due = server.first->due;
    struct itimerspec at = {
        .it_value = {.tv_sec = due / 1000000000, .tv_nsec = due % 1000000000}};

    if (timerfd_settime(server.timer, TFD_TIMER_ABSTIME, &at, NULL) < 0)
        die("httpd: timer");
}

static void put_due(struct connection *connection)
{
    connection->due = now() + server.latency;
    connection->next = NULL;
    if (server.first == NULL) {
        server.first = connection;
        server.last = connection;
        arm_timer();
        return;
    }
    server.last->next = connection;
    server.last = connection;
}

static size_t write_answer(const char *request, char *text)
{
    static const char get[] = "GET /";
    size_t method = sizeof(get) - 1;

    if (strncmp(request, get, method) == 0)
        return httpd_answer(strtoull(request + method, NULL, 10), text);
    return (size_t)snprintf(text, HTTPD_ANSWER_MAX,
                            "HTTP/1.1 400 Bad Request\r\n\r\n");
}

/* A send of so few bytes into an empty socket is whole or has failed. */
static void answer(struct connection *connection)
{
    char text[HTTPD_ANSWER_MAX];
    size_t length = write_answer(connection->request, text);

    if (send(connection->fd, text, length, MSG_NOSIGNAL) < 0 &&
        errno != EPIPE && errno != ECONNRESET)
        perror("httpd: send");
    close_connection(connection);
}

static void answer_due(void)
{
    uint64_t expired;
    int64_t time = now();

    if (read(server.timer, &expired, sizeof(expired)) < 0)
        return;
    while (server.first != NULL && server.first->due <= time) {
        struct connection *connection = server.first;

        server.first = connection->next;
        answer(connection);
    }
    if (server.first != NULL)
        arm_timer();
}

static void accept_all(void)
{
    for (;;) {
        int fd =
            accept4(server.listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        struct connection *connection;

        if (fd < 0 && (errno == EINTR || errno == ECONNABORTED))
            continue;
        if (fd < 0) {
            if (errno != EAGAIN)
                stop_listening();
            return;
        }
        connection = malloc(sizeof(*connection));
        if (connection == NULL || watch(fd, connection) < 0) {
            free(connection);
            close(fd);
            stop_listening();
            return;
        }
        connection->fd = fd;
        connection->length = 0;
    }
}

static void read_request(struct connection *connection)
{
    size_t room = REQUEST_MAX - 1 - connection->length;
    char *end = connection->request + connection->length;
    ssize_t got = recv(connection->fd, end, room, 0);

    if (got < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (got <= 0) {
        close_connection(connection);
        return;
    }
    connection->length += (size_t)got;
    connection->request[connection->length] = '\0';
    if (strstr(connection->request, "\r\n\r\n") == NULL)
        return;
    epoll_ctl(server.epoll, EPOLL_CTL_DEL, connection->fd, NULL);
    put_due(connection);
}

/* Standard input says nothing; it only ends. */
static void read_input(void)
{
    char bytes[64];

    if (read(STDIN_FILENO, bytes, sizeof(bytes)) <= 0)
        exit(0);
}

static void serve(void)
{
    struct epoll_event events[EVENTS];

    for (;;) {
        int count = epoll_wait(server.epoll, events, EVENTS, -1);

        if (count < 0 && errno != EINTR)
            die("httpd: epoll_wait");
        for (int i = 0; i < count; i++) {
            void *data = events[i].data.ptr;

            if (data == &listener_mark)
                accept_all();
            else if (data == &timer_mark)
                answer_due();
            else if (data == &input_mark)
                read_input();
            else
                read_request(data);
        }
    }
}

static void open_listener(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t length = sizeof(address);
    struct sockaddr *name = (struct sockaddr *)&address;

    server.listener =
        socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (server.listener < 0 || bind(server.listener, name, length) < 0 ||
        listen(server.listener, BACKLOG) < 0 ||
        getsockname(server.listener, name, &length) < 0)
        die("httpd: listen");
    printf("%u\n", (unsigned)ntohs(address.sin_port));
    if (fflush(stdout) != 0)
        die("httpd: standard output");
}

int main(int argc, char **argv)
{
    struct rlimit files;

    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (argc != 2) {
        fprintf(stderr, "use: httpd MILLISECONDS\n");
        return 2;
    }
    server.latency = strtol(argv[1], NULL, 10) * 1000000;
    if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
        files.rlim_cur = files.rlim_max;
        setrlimit(RLIMIT_NOFILE, &files);
    }
    server.epoll = epoll_create1(EPOLL_CLOEXEC);
    server.timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    if (server.epoll < 0 || server.timer < 0)
        die("httpd: epoll");
    open_listener();
    if (watch(server.listener, &listener_mark) < 0 ||
        watch(server.timer, &timer_mark) < 0 ||
        watch(STDIN_FILENO, &input_mark) < 0)
        die("httpd: epoll");
    server.listening = true;
    serve();
}
