/* test/test_message.c -- io/message.c: datagrams, addresses, descriptors */
#include "test/harness.h"
#include "test/sockets.h"

#include <arpa/inet.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/un.h>

/* ---- Datagrams. */

static struct sockaddr *any(void *address)
{
    return address;
}

/* A socket of the program's own, on a port of the loopback: it blocks. */
static int make_udp(struct sockaddr_in *ret_at)
{
    socklen_t length = sizeof *ret_at;
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    ck_assert_int_ge(fd, 0);
    *ret_at = (struct sockaddr_in){.sin_family = AF_INET,
                                   .sin_addr = {htonl(INADDR_LOOPBACK)}};
    ck_assert_int_eq(bind(fd, any(ret_at), sizeof *ret_at), 0);
    ck_assert_int_eq(getsockname(fd, any(ret_at), &length), 0);
    return fd;
}

struct party {
    int fd;
    struct sockaddr_in at;
};

static int answer_three(void *arg)
{
    struct party *p = arg;
    for (int i = 0; i < 3; i++) {
        char text[32];
        struct sockaddr_in from;
        socklen_t length = sizeof from;
        ssize_t n =
            coir_recvfrom(p->fd, text, sizeof text, 0, any(&from), &length);
        ck_assert_int_ge(n, 0);
        ck_assert_uint_eq(length, sizeof from);
        ck_assert_int_eq(
            coir_sendto(p->fd, text, (size_t)n, 0, any(&from), length), n);
    }
    return 0;
}

static int ask_three(void *arg)
{
    struct party server, client;
    coir_nursery n;
    (void)arg;
    server.fd = make_udp(&server.at);
    client.fd = make_udp(&client.at);
    coir_nursery_open(&n);
    ck_assert_int_eq(coir_go(&n, answer_three, &server), 0);
    let_others_park();
    for (int i = 0; i < 3; i++) { /* the first of them is empty */
        static const char words[] = "abcdef";
        char text[32];
        struct sockaddr_in from;
        socklen_t length = sizeof from;
        ck_assert_int_eq(coir_sendto(client.fd, words, (size_t)i, 0,
                                     any(&server.at), sizeof server.at),
                         i);
        ck_assert_int_eq(
            coir_recvfrom(client.fd, text, sizeof text, 0, any(&from), &length),
            i);
        ck_assert_int_eq(memcmp(text, words, (size_t)i), 0);
        ck_assert_int_eq(from.sin_port, server.at.sin_port);
    }
    int rc = coir_nursery_close(&n);
    ck_assert_int_eq(fcntl(client.fd, F_GETFL) & O_NONBLOCK, 0);
    ck_assert_int_eq(coir_close(server.fd), 0);
    ck_assert_int_eq(coir_close(client.fd), 0);
    return rc;
}

START_TEST(datagrams_come_with_the_address_of_the_sender)
{
    ck_assert_int_eq(coir_run(ask_three, NULL), 0);
}
END_TEST

static int receive_one(void *arg)
{
    struct sockaddr_in from;
    socklen_t length = sizeof from;
    char byte;
    return (int)coir_recvfrom(*(int *)arg, &byte, 1, 0, any(&from), &length);
}

static int cancel_datagrams(void *arg)
{
    struct party p;
    char text[8];
    (void)arg;
    p.fd = make_udp(&p.at);
    for (int i = 0; i < 3; i++) {
        ck_assert_int_eq(coir_timeout(COIR_MS(1), receive_one, &p.fd),
                         -ETIMEDOUT);
        ck_assert_int_eq(
            coir_sendto(p.fd, "hello", 5, 0, any(&p.at), sizeof p.at), 5);
        /* Cut to what there is room for; the rest of it is gone. */
        ck_assert_int_eq(coir_recvfrom(p.fd, text, 2, 0, NULL, NULL), 2);
        ck_assert_int_eq(coir_recvfrom(p.fd, text, 2, MSG_DONTWAIT, NULL, NULL),
                         -EAGAIN);
        ck_assert_int_eq(
            coir_sendto(p.fd, "bye", 3, MSG_DONTWAIT, any(&p.at), sizeof p.at),
            3);
        ck_assert_int_eq(coir_recv(p.fd, text, 1, MSG_TRUNC), 3);
    }
    return coir_close(p.fd);
}

START_TEST(a_cancelled_receive_takes_no_datagram)
{
    ck_assert_int_eq(coir_run(cancel_datagrams, NULL), 0);
}
END_TEST

/* ---- A full queue at the other side. */

static bool is_connected; /* then the kernel tells */

static int send_many(void *arg)
{
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    int fd = *(int *)arg;
    socklen_t length = sizeof to;
    ck_assert_int_eq(getsockname(fd, any(&to), &length), 0);
    int from = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    if (is_connected)
        ck_assert_int_eq(coir_connect(from, any(&to), length), 0);
    for (int i = 0; i < 100; i++) {
        const struct sockaddr *name = is_connected ? NULL : any(&to);
        ck_assert_int_eq(coir_sendto(from, &i, sizeof i, 0, name, length),
                         sizeof i);
    }
    return coir_close(from);
}

static int receive_many(void *arg)
{
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    coir_nursery n;
    (void)arg;
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    /* A name that the system chooses. */
    ck_assert_int_eq(bind(fd, any(&at), sizeof(sa_family_t)), 0);
    coir_nursery_open(&n);
    ck_assert_int_eq(coir_go(&n, send_many, &fd), 0);
    let_others_park();
    for (int i = 0; i < 100; i++) {
        int got = -1;
        ck_assert_int_eq(coir_recv(fd, &got, sizeof got, 0), sizeof got);
        ck_assert_int_eq(got, i);
    }
    ck_assert_int_eq(coir_nursery_close(&n), 0);
    return coir_close(fd);
}

static int send_until_cancelled(void *arg)
{
    struct sockaddr_un to = {.sun_family = AF_UNIX};
    socklen_t length = sizeof to;
    int *fds = arg;
    ssize_t n;
    ck_assert_int_eq(getsockname(fds[0], any(&to), &length), 0);
    do {
        n = coir_sendto(fds[1], "x", 1, 0, any(&to), length);
    } while (n == 1);
    return (int)n;
}

static int stop_sender(void *arg)
{
    struct sockaddr_un at = {.sun_family = AF_UNIX};
    coir_nursery n;
    coir_task task;
    int fds[2], result;
    (void)arg;
    fds[0] = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    fds[1] = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    ck_assert_int_eq(bind(fds[0], any(&at), sizeof(sa_family_t)), 0);
    ck_assert_int_eq(coir_timeout(COIR_MS(20), send_until_cancelled, fds),
                     -ETIMEDOUT);
    coir_nursery_open(&n);
    coir_nursery_keep_going(&n);
    ck_assert_int_eq(coir_spawn(&n, &task, send_until_cancelled, fds), 0);
    let_others_park();
    ck_assert_int_eq(coir_close(fds[1]), 0);
    ck_assert_int_eq(coir_join(&task, &result), 0);
    ck_assert_int_eq(result, -EBADF);
    ck_assert_int_eq(coir_nursery_close(&n), -EBADF);
    return coir_close(fds[0]);
}

START_TEST(a_sender_waits_for_room_in_the_queue_of_another)
{
    for (int i = 0; i < 2; i++) {
        is_connected = i;
        ck_assert_int_eq(coir_run(receive_many, NULL), 0);
    }
}
END_TEST

START_TEST(who_waits_for_such_room_can_be_stopped)
{
    ck_assert_int_eq(coir_run(stop_sender, NULL), 0);
}
END_TEST

/* ---- Descriptors that are sent along. */

union control {
    struct cmsghdr align;
    char bytes[CMSG_SPACE(sizeof(int))];
};

static int send_pipe(void *arg)
{
    int *ends = arg, pipes[2];
    union control control = {.bytes = ""};
    char text[] = "with it";
    struct iovec piece = {text, 7};
    const struct msghdr message = {.msg_iov = &piece,
                                   .msg_iovlen = 1,
                                   .msg_control = control.bytes,
                                   .msg_controllen = sizeof control.bytes};
    make_pipe(pipes);
    control.align.cmsg_level = SOL_SOCKET;
    control.align.cmsg_type = SCM_RIGHTS;
    control.align.cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(&control.align), &pipes[0], sizeof(int));
    ck_assert_int_eq(coir_sendmsg(ends[1], &message, 0), 7);
    ck_assert_int_eq(coir_write(pipes[1], "through", 7), 7);
    close_both(pipes);
    ck_assert_int_eq(coir_send(ends[1], " and more", 9, 0), 9);
    return 0;
}

/* flags: with MSG_WAITALL, too, it ends behind what was sent along. */
static void receive_pipe(int ends[2], int flags)
{
    union control control;
    char a[4], b[60];
    int fd = -1;
    struct iovec pieces[] = {{a, sizeof a}, {b, sizeof b}};
    struct msghdr message = {.msg_iov = pieces,
                             .msg_iovlen = 2,
                             .msg_control = control.bytes,
                             .msg_controllen = sizeof control.bytes};
    coir_nursery n;
    coir_nursery_open(&n);
    ck_assert_int_eq(coir_go(&n, send_pipe, ends), 0);
    ssize_t got = coir_recvmsg(ends[0], &message, flags | MSG_CMSG_CLOEXEC);
    ck_assert_int_eq(got, 7);
    ck_assert_int_eq(memcmp(a, "with", 4) | memcmp(b, " it", 3), 0);
    ck_assert_uint_eq(message.msg_controllen, CMSG_SPACE(sizeof(int)));
    ck_assert_int_eq(control.align.cmsg_type, SCM_RIGHTS);
    memcpy(&fd, CMSG_DATA(&control.align), sizeof fd);
    ck_assert_int_eq(coir_nursery_close(&n), 0);
    ck_assert_int_eq(coir_read_full(fd, b, sizeof b), 7);
    ck_assert_int_eq(memcmp(b, "through", 7), 0);
    ck_assert_int_eq(coir_close(fd), 0);
    ck_assert_int_eq(coir_recv(ends[0], b, 9, MSG_WAITALL), 9);
}

static int pass_pipes(void *arg)
{
    int ends[2];
    (void)arg;
    make_pair(ends);
    receive_pipe(ends, 0);
    receive_pipe(ends, MSG_WAITALL);
    close_both(ends);
    return 0;
}

START_TEST(descriptors_are_sent_along)
{
    ck_assert_int_eq(coir_run(pass_pipes, NULL), 0);
}
END_TEST

/* ---- All of it. */

static int send_slowly(void *arg)
{
    for (int i = 0; i < 10; i++) {
        char byte = (char)('0' + i);
        ck_assert_int_eq(coir_send(*(int *)arg, &byte, 1, 0), 1);
        let_others_park();
    }
    return 0;
}

static int receive_all(void *arg)
{
    (void)arg;
    for (int kind = 0; kind < 2; kind++) {
        char a[3], b[1], c[6];
        struct iovec pieces[] = {{a, 3}, {b, 0}, {b, 1}, {c, 6}};
        struct msghdr message = {.msg_iov = pieces, .msg_iovlen = 4};
        int ends[2];
        coir_nursery n;
        if (kind)
            make_pair(ends);
        else
            make_connection(ends);
        coir_nursery_open(&n);
        ck_assert_int_eq(coir_go(&n, send_slowly, &ends[1]), 0);
        ck_assert_int_eq(coir_recvmsg(ends[0], &message, MSG_WAITALL), 10);
        ck_assert_int_eq(memcmp(a, "012", 3) | memcmp(b, "3", 1) |
                             memcmp(c, "456789", 6),
                         0);
        ck_assert_int_eq(coir_nursery_close(&n), 0);
        close_both(ends);
    }
    return 0;
}

START_TEST(a_message_that_waits_for_all_fills_every_piece)
{
    ck_assert_int_eq(coir_run(receive_all, NULL), 0);
}
END_TEST

/* ---- Abuse. */

static int abuse_messages(void *arg)
{
    struct sockaddr_in to = {.sin_family = AF_INET};
    struct iovec *many = calloc(IOV_MAX + 1, sizeof *many);
    struct msghdr message = {.msg_iov = many, .msg_iovlen = IOV_MAX + 1};
    struct msghdr nothing = {.msg_iov = NULL};
    char byte = 'x';
    int ends[2];
    (void)arg;
    make_pair(ends);
    ck_assert_int_eq(coir_recvmsg(ends[0], NULL, 0), -EFAULT);
    ck_assert_int_eq(coir_sendmsg(ends[0], NULL, 0), -EFAULT);
    ck_assert_int_eq(coir_recvmsg(ends[0], &message, 0), -EMSGSIZE);
    ck_assert_int_eq(coir_sendmsg(ends[0], &message, 0), -EMSGSIZE);
    ck_assert_int_eq(coir_sendmsg(ends[0], &nothing, 0), 0);
    ck_assert_int_eq(coir_recvmsg(ends[0], &nothing, MSG_DONTWAIT), -EAGAIN);
    ck_assert_int_eq(coir_recvfrom(ends[0], &byte, 1, 0, any(&to), NULL),
                     -EFAULT);
    ck_assert_int_eq(coir_recvfrom(ends[0], NULL, 0, MSG_DONTWAIT, NULL, NULL),
                     -EAGAIN);
    ck_assert_int_eq(coir_close(ends[0]), 0);
    ck_assert_int_eq(coir_sendto(ends[1], &byte, 1, 0, NULL, 0), -EPIPE);
    many[0] = (struct iovec){&byte, 1};
    message.msg_iovlen = 1;
    ck_assert_int_eq(coir_sendmsg(ends[1], &message, 0), -EPIPE);
    ck_assert_int_eq(coir_recvmsg(ends[1], &message, 0), 0);
    ck_assert_int_eq(coir_close(ends[1]), 0);
    free(many);

    const int bad[] = {-1, ends[0], 1 << 20};
    for (int i = 0; i < 3; i++) {
        ck_assert_int_eq(
            coir_recvfrom(bad[i], &byte, 1, 0, any(&to), &(socklen_t){16}),
            -EBADF);
        ck_assert_int_eq(coir_sendto(bad[i], &byte, 1, 0, any(&to), sizeof to),
                         -EBADF);
        ck_assert_int_eq(coir_recv(bad[i], &byte, 1, MSG_OOB), -EBADF);
    }
    make_pipe(ends);
    ck_assert_int_eq(coir_recvmsg(ends[0], &nothing, 0), -ENOTSOCK);
    ck_assert_int_eq(coir_sendto(ends[1], &byte, 1, 0, any(&to), sizeof to),
                     -ENOTSOCK);
    close_both(ends);
    return 0;
}

static int send_wrongly(void *arg)
{
    static char big[70000];
    struct party p;
    (void)arg;
    p.fd = make_udp(&p.at);
    struct sockaddr *to = any(&p.at);
    ck_assert_int_eq(coir_sendto(p.fd, big, sizeof big, 0, to, sizeof p.at),
                     -EMSGSIZE);
    ck_assert_int_eq(coir_sendto(p.fd, big, 1, 0, to, 3), -EINVAL);
    ck_assert_int_eq(coir_send(p.fd, big, 1, 0), -EDESTADDRREQ);
    ck_assert_int_eq(coir_close(p.fd), 0);
    /* Nobody there: the answer comes with the next call. */
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    ck_assert_int_eq(coir_connect(fd, to, sizeof p.at), 0);
    ck_assert_int_eq(coir_send(fd, big, 1, 0), 1);
    ck_assert_int_eq(coir_recv(fd, big, 1, 0), -ECONNREFUSED);
    return coir_close(fd);
}

START_TEST(what_cannot_be_sent_is_refused_without_sigpipe)
{
    struct msghdr nothing = {.msg_iov = NULL};
    ck_assert_int_eq(coir_recvmsg(0, &nothing, 0), -EPERM);
    ck_assert_int_eq(coir_recv(0, NULL, 0, MSG_OOB), -EPERM);
    ck_assert_int_eq(coir_run(abuse_messages, NULL), 0);
    ck_assert_int_eq(coir_run(send_wrongly, NULL), 0);
}
END_TEST

COIR_SUITE(message, TEST_WORKERS)
{
    TCase *datagrams = test_case(suite, "datagrams");
    tcase_add_test(datagrams, datagrams_come_with_the_address_of_the_sender);
    tcase_add_test(datagrams, a_cancelled_receive_takes_no_datagram);
    tcase_add_test(datagrams, a_sender_waits_for_room_in_the_queue_of_another);
    tcase_add_test(datagrams, who_waits_for_such_room_can_be_stopped);

    TCase *streams = test_case(suite, "streams");
    tcase_add_test(streams, descriptors_are_sent_along);
    tcase_add_test(streams, a_message_that_waits_for_all_fills_every_piece);

    TCase *abuse = test_case(suite, "abuse");
    tcase_add_test(abuse, what_cannot_be_sent_is_refused_without_sigpipe);
}
