/* test/test_net.c -- io/connection.c: accept and connect */
#include "test/harness.h"
#include "test/sockets.h"

#include <arpa/inet.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/time.h>
#include <sys/un.h>

static int read_one(void *arg)
{
    char byte;
    return (int)coir_read(*(int *)arg, &byte, 1);
}

static int accept_one(void *arg)
{
    return coir_accept(*(int *)arg, NULL, NULL);
}

/* ---- Accept and connect. */

static int accept_from(void *arg)
{
    struct sockaddr_in from;
    socklen_t length = sizeof from;
    char text[64], peer[64];
    (void)arg;
    int listener = coir_listen("127.0.0.1:0", 4);
    coir_local_address(listener, text, sizeof text);
    ck_assert_int_eq(coir_timeout(COIR_MS(1), accept_one, &listener),
                     -ETIMEDOUT);
    int one = coir_dial(text);
    int other = coir_accept(listener, (struct sockaddr *)&from, &length);
    ck_assert_int_ge(other, 0);
    ck_assert_uint_eq(length, sizeof from);
    snprintf(text, sizeof text, "127.0.0.1:%u", ntohs(from.sin_port));
    coir_peer_address(other, peer, sizeof peer);
    ck_assert_str_eq(peer, text);
    ck_assert_int_eq(coir_close(one), 0);
    ck_assert_int_eq(coir_close(other), 0);
    ck_assert_int_eq(coir_close(listener), 0);
    ck_assert_int_eq(coir_accept(listener, NULL, NULL), -EBADF);
    return 0;
}

START_TEST(accept_tells_who_came)
{
    ck_assert_int_eq(coir_run(accept_from, NULL), 0);
}
END_TEST

enum { CLIENTS = 50 };

static int serve_one(void *arg)
{
    int fd = *(int *)arg;
    char text[16];
    ssize_t n = coir_read(fd, text, sizeof text);
    ck_assert_int_gt(n, 0);
    ck_assert_int_eq(coir_write_full(fd, text, (size_t)n), n);
    return coir_close(fd);
}

static int serve_all(void *arg)
{
    int listener = *(int *)arg;
    coir_nursery n;
    coir_nursery_open(&n);
    for (int i = 0; i < CLIENTS / 2; i++) {
        int fd = coir_accept(listener, NULL, NULL);
        ck_assert_int_ge(fd, 0);
        ck_assert_int_eq(coir_go_copy(&n, serve_one, &fd, sizeof fd), 0);
    }
    return coir_nursery_close(&n);
}

static int be_client(void *arg)
{
    char sent[16], got[16] = "";
    int fd = coir_dial(arg);
    ck_assert_int_ge(fd, 0);
    int length = snprintf(sent, sizeof sent, "client %d", fd);
    ck_assert_int_eq(coir_write(fd, sent, (size_t)length), length);
    ck_assert_int_eq(coir_read_full(fd, got, sizeof got), length);
    ck_assert_str_eq(sent, got);
    return coir_close(fd);
}

static int serve_many(void *arg)
{
    char address[64];
    coir_nursery n;
    (void)arg;
    /* A listener that blocks, made by the program. */
    struct sockaddr_in to = {.sin_family = AF_INET,
                             .sin_addr = {htonl(INADDR_LOOPBACK)}};
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ck_assert_int_eq(bind(listener, (struct sockaddr *)&to, sizeof to), 0);
    ck_assert_int_eq(listen(listener, 10), 0);
    coir_local_address(listener, address, sizeof address);
    coir_nursery_open(&n);
    ck_assert_int_eq(coir_go(&n, serve_all, &listener), 0);
    ck_assert_int_eq(coir_go(&n, serve_all, &listener), 0);
    for (int i = 0; i < CLIENTS; i++)
        ck_assert_int_eq(coir_go(&n, be_client, address), 0);
    int rc = coir_nursery_close(&n);
    ck_assert_int_eq(fcntl(listener, F_GETFL) & O_NONBLOCK, 0);
    ck_assert_int_eq(coir_close(listener), 0);
    return rc;
}

START_TEST(two_accept_from_one_listener_that_blocks)
{
    ck_assert_int_eq(coir_run(serve_many, NULL), 0);
}
END_TEST

struct target {
    int fd;
    struct sockaddr_in to;
};

static int connect_to(void *arg)
{
    struct target *t = arg;
    return coir_connect(t->fd, (struct sockaddr *)&t->to, sizeof t->to);
}

static void address_of(int fd, struct sockaddr_in *ret)
{
    socklen_t length = sizeof *ret;
    ck_assert_int_eq(getsockname(fd, (struct sockaddr *)ret, &length), 0);
}

static int connect_foreign(void *arg)
{
    struct timeval before = {.tv_sec = 7}, after = {.tv_sec = 0};
    socklen_t size = sizeof after;
    (void)arg;
    for (int flag = 0; flag <= SOCK_NONBLOCK; flag += SOCK_NONBLOCK) {
        struct target t = {.fd = socket(AF_INET, SOCK_STREAM | flag, 0)};
        int listener = coir_listen("127.0.0.1:0", 4);
        address_of(listener, &t.to);
        int flags = fcntl(t.fd, F_GETFL);
        setsockopt(t.fd, SOL_SOCKET, SO_SNDTIMEO, &before, sizeof before);
        ck_assert_int_eq(connect_to(&t), 0);
        int again = connect_to(&t); /* Linux says it once more, if it waited */
        ck_assert(again == -EISCONN || again == 0);
        ck_assert_int_eq(fcntl(t.fd, F_GETFL), flags);
        getsockopt(t.fd, SOL_SOCKET, SO_SNDTIMEO, &after, &size);
        ck_assert_int_eq(after.tv_sec, before.tv_sec);
        ck_assert_int_eq(coir_close(t.fd), 0);
        ck_assert_int_eq(coir_close(listener), 0);

        t.fd = socket(AF_INET, SOCK_STREAM | flag, 0);
        ck_assert_int_eq(connect_to(&t), -ECONNREFUSED);
        ck_assert_int_eq(coir_close(t.fd), 0);
    }
    return 0;
}

START_TEST(connect_leaves_a_socket_of_the_program_as_it_was)
{
    ck_assert_int_eq(coir_run(connect_foreign, NULL), 0);
}
END_TEST

/* With its queue full, a listener lets connections wait: without end, as far
 * as this test is concerned. */
static int connect_to_busy(void *arg)
{
    enum { MOST = 8 };
    struct target t[MOST];
    int made = 0, rc = 0;
    (void)arg;
    int listener = coir_listen("127.0.0.1:0", 1);
    address_of(listener, &t[0].to);
    while (made < MOST && rc == 0) {
        t[made].to = t[0].to;
        t[made].fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        rc = coir_timeout(COIR_MS(20), connect_to, &t[made++]);
    }
    ck_assert_int_eq(rc, -ETIMEDOUT);
    /* Room again: what was stopped goes on. */
    for (int i = 0; i < made - 1; i++) {
        int fd = coir_accept(listener, NULL, NULL);
        ck_assert_int_ge(fd, 0);
        ck_assert_int_eq(coir_close(fd), 0);
    }
    ck_assert_int_eq(connect_to(&t[made - 1]), 0);
    for (int i = 0; i < made; i++)
        ck_assert_int_eq(coir_close(t[i].fd), 0);
    ck_assert_int_eq(coir_close(listener), 0);
    return 0;
}

START_TEST(a_cancelled_connect_may_go_on)
{
    ck_assert_int_eq(coir_run(connect_to_busy, NULL), 0);
}
END_TEST

/* ---- No descriptors. */

static int run_out(void *arg)
{
    char address[64];
    (void)arg;
    int listener = coir_listen("127.0.0.1:0", 4);
    coir_local_address(listener, address, sizeof address);
    ck_assert_int_eq(coir_timeout(0, accept_one, &listener), -ETIMEDOUT);
    int first = coir_dial(address);
    ck_assert_int_ge(first, 0);

    struct rlimit before = limit_descriptors(0);
    for (int i = 0; i < 3; i++) {
        ck_assert_int_eq(coir_accept(listener, NULL, NULL), -EMFILE);
        ck_assert_int_eq(coir_dial(address), -EMFILE);
        ck_assert_int_eq(coir_listen(":0", 1), -EMFILE);
        ck_assert_int_eq(coir_listen("unix:nowhere", 1), -EMFILE);
    }
    unlimit_descriptors(before);
    int other = coir_accept(listener, NULL, NULL); /* it is still there */
    ck_assert_int_ge(other, 0);
    ck_assert_int_eq(coir_close(first), 0);
    ck_assert_int_eq(read_one(&other), 0);
    ck_assert_int_eq(coir_close(other), 0);
    ck_assert_int_eq(coir_close(listener), 0);
    return 0;
}

START_TEST(without_descriptors_it_is_emfile_until_there_are_some)
{
    ck_assert_int_eq(coir_run(run_out, NULL), 0);
}
END_TEST

/* ---- Unix sockets. */

static void hear(int signal)
{
    (void)signal;
}

struct unix_target {
    struct sockaddr_un to;
    socklen_t length;
    int wrong; /* said to be connected, and are not */
};

/* A socket that blocks, to a listener that is full. */
static int connect_in_vain(void *arg)
{
    struct unix_target *t = arg;
    struct sockaddr_un peer;
    socklen_t length = sizeof peer;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int rc = coir_connect(fd, (struct sockaddr *)&t->to, t->length);
    t->wrong +=
        rc == 0 && getpeername(fd, (struct sockaddr *)&peer, &length) < 0;
    ck_assert_int_eq(coir_close(fd), 0);
    return rc;
}

static int interrupt_connects(void *arg)
{
    const struct itimerval often = {{0, 300}, {0, 300}}, never = {0};
    struct unix_target t = {.to.sun_family = AF_UNIX};
    (void)arg;
    int length = snprintf(t.to.sun_path + 1, 32, "coir-%d", (int)getpid());
    t.length = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1) +
               (socklen_t)length;
    int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ck_assert_int_eq(bind(listener, (struct sockaddr *)&t.to, t.length), 0);
    ck_assert_int_eq(listen(listener, 0), 0);
    int first = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    ck_assert_int_eq(connect(first, (struct sockaddr *)&t.to, t.length), 0);
    setitimer(ITIMER_REAL, &often, NULL);
    for (int i = 0; i < 10; i++)
        ck_assert_int_eq(coir_timeout(COIR_MS(30), connect_in_vain, &t),
                         -ETIMEDOUT);
    setitimer(ITIMER_REAL, &never, NULL);
    ck_assert_int_eq(t.wrong, 0);
    close(first);
    return coir_close(listener);
}

START_TEST(an_interrupted_connect_to_a_full_backlog_goes_on_waiting)
{
    struct sigaction ours = {.sa_handler = hear, .sa_flags = SA_RESTART};
    sigaction(SIGALRM, &ours, NULL);
    ck_assert_int_eq(coir_run(interrupt_connects, NULL), 0);
}
END_TEST

COIR_SUITE(net, TEST_WORKERS)
{
    TCase *ends = test_case(suite, "connections");
    tcase_add_test(ends, accept_tells_who_came);
    tcase_add_test(ends, two_accept_from_one_listener_that_blocks);
    tcase_add_test(ends, connect_leaves_a_socket_of_the_program_as_it_was);
    tcase_add_test(ends, a_cancelled_connect_may_go_on);

    TCase *out = test_case(suite, "out of descriptors");
    tcase_set_tags(out, "limits");
    tcase_add_test(out, without_descriptors_it_is_emfile_until_there_are_some);

    TCase *unix_sockets = test_case(suite, "unix sockets");
    tcase_add_test(unix_sockets,
                   an_interrupted_connect_to_a_full_backlog_goes_on_waiting);
}
