/* test/test_io_abuse.c -- io/: descriptors, peers and limits as they should not
 * be, with every call */
#include "io/sys.h"
#include "test/harness.h"
#include "test/sockets.h"
#include "test/uses.h"

#include <arpa/inet.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>

/* ---- Bad descriptors. */

static int use_bad_ones(void *arg)
{
    const int bad[] = {-1, INT_MIN, next_number(), 1 << 20, INT_MAX};
    struct sockaddr_in at = {.sin_family = AF_INET};
    struct sockaddr *to = (struct sockaddr *)&at;
    (void)arg;
    for (int i = 0; i < 5; i++) {
        int fd = bad[i];
        for (int k = 0; k < READERS; k++)
            ck_assert_int_eq(readers[k](fd), -EBADF);
        for (int k = 0; k < WRITERS; k++) {
            if (i != 2) /* the file that it opens would be that one */
                ck_assert_int_eq(writers[k](fd), -EBADF);
        }
        ck_assert_int_eq(coir_accept(fd, NULL, NULL), -EBADF);
        ck_assert_int_eq(coir_connect(fd, to, sizeof at), -EBADF);
        ck_assert_int_eq(coir_close(fd), -EBADF);
        ck_assert_int_eq(coir_try_poll(fd, COIR_READABLE), -EBADF);
        ck_assert_int_eq(coir_local_address(fd, bytes, 8), -EBADF);
        ck_assert_int_eq(coir_peer_address(fd, bytes, 8), -EBADF);
    }
    return 0;
}

START_TEST(a_bad_number_is_ebadf_to_every_call)
{
    ck_assert_int_eq(coir_run(use_bad_ones, NULL), 0);
}
END_TEST

struct victim {
    use_fn *use;
    int fd;
    ssize_t rc;
};

static int run_victim(void *arg)
{
    struct victim *v = arg;
    do {
        v->rc = v->use(v->fd);
    } while (v->rc > 0 && v->use != use_stream); /* until there is no room */
    return 0;
}

static void close_under(use_fn *use, bool is_writer)
{
    int ends[2];
    coir_nursery n;
    if (use == use_poll_to_write)
        return; /* it would go on for ever */
    make_pair(ends);
    struct victim v = {.use = use, .fd = ends[0]};
    coir_nursery_open(&n);
    ck_assert_int_eq(coir_go(&n, run_victim, &v), 0);
    if (is_writer) /* until it is full, whoever wrote */
        while (coir_try_poll(ends[0], COIR_WRITABLE) > 0)
            let_others_park();
    let_others_park();
    ck_assert_int_eq(coir_close(ends[0]), 0);
    ck_assert_int_eq(coir_nursery_close(&n), 0);
    ck_assert_int_eq(v.rc, -EBADF);
    ck_assert_int_eq(coir_close(ends[1]), 0);
}

static int close_under_all(void *arg)
{
    (void)arg;
    for (int i = 0; i < READERS; i++)
        close_under(readers[i], false);
    for (int i = 0; i < WRITERS; i++)
        close_under(writers[i], true);
    return 0;
}

START_TEST(a_close_ends_every_call_with_ebadf)
{
    ck_assert_int_eq(coir_run(close_under_all, NULL), 0);
}
END_TEST

/* ---- Peers. */

static void reset(int fd)
{
    static const struct linger at_once = {.l_onoff = 1};
    setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
    ck_assert_int_eq(coir_close(fd), 0);
}

static int use_after_reset(void *arg)
{
    (void)arg;
    for (int i = 0; i < READERS + WRITERS; i++) {
        int ends[2];
        bool is_reader = i < READERS;
        use_fn *use = is_reader ? readers[i] : writers[i - READERS];
        make_connection(ends);
        int fd = ends[0];
        reset(ends[1]);
        ssize_t rc = coir_poll(fd, COIR_READABLE); /* until it is here */
        ck_assert_int_eq(rc, COIR_READABLE);
        rc = use(fd);
        if (use == use_poll || use == use_poll_to_write)
            ck_assert_int_gt(rc, 0);
        else if (is_reader)
            ck_assert_int_eq(rc, -ECONNRESET);
        else /* the kernel tells the reset but once, as one or the other */
            ck_assert(rc == -ECONNRESET || rc == -EPIPE);
        if (use != use_stream)
            ck_assert_int_eq(coir_close(fd), 0);
    }
    return 0;
}

START_TEST(a_peer_that_resets_is_told_without_sigpipe)
{
    ck_assert_int_eq(coir_run(use_after_reset, NULL), 0);
}
END_TEST

static int use_half_closed(void *arg)
{
    (void)arg;
    for (int i = 0; i < READERS; i++) {
        int ends[2];
        make_connection(ends);
        ck_assert_int_eq(shutdown(ends[1], SHUT_WR), 0);
        ssize_t rc = readers[i](ends[0]);
        ck_assert_int_eq(rc, readers[i] == use_poll ? COIR_READABLE : 0);
        if (readers[i] == use_stream) { /* which has closed it */
            ck_assert_int_eq(coir_close(ends[1]), 0);
            continue;
        }
        /* The other way it goes on. */
        for (int k = 0; k < WRITERS; k++)
            ck_assert_int_gt(writers[k](ends[0]), 0);
        ck_assert_int_eq(coir_read_full(ends[1], bytes, 8), 8);
        /* One's own half. */
        ck_assert_int_eq(shutdown(ends[0], SHUT_WR), 0);
        ck_assert_int_eq(coir_write(ends[0], bytes, 1), -EPIPE);
        close_both(ends);
    }
    return 0;
}

START_TEST(a_half_closed_connection_goes_on_the_other_way)
{
    ck_assert_int_eq(coir_run(use_half_closed, NULL), 0);
}
END_TEST

static int dial_nowhere(void *arg)
{
    struct sockaddr_in at = {.sin_family = AF_INET, .sin_port = htons(9)};
    (void)arg;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    inet_pton(AF_INET, "255.255.255.255", &at.sin_addr);
    int rc = coir_connect(fd, (struct sockaddr *)&at, sizeof at);
    ck_assert_int_eq(rc, -ENETUNREACH);
    ck_assert_int_eq(coir_dial("255.255.255.255:9"), -ENETUNREACH);
    ck_assert_int_eq(coir_connect(fd, NULL, 0), -EINVAL);
    ck_assert_int_eq(coir_connect(fd, (struct sockaddr *)&at, 3), -EINVAL);
    ck_assert_int_eq(coir_read(fd, bytes, 1), -ENOTCONN);
    ck_assert_int_eq(coir_write(fd, bytes, 1), -EPIPE);
    ck_assert_int_eq(coir_accept(fd, NULL, NULL), -EINVAL);
    /* Nobody's address, and one of another machine. */
    ck_assert_int_eq(coir_listen("192.0.2.1:0", 1), -EADDRNOTAVAIL);
    return coir_close(fd);
}

START_TEST(what_cannot_be_reached_is_told)
{
    ck_assert_int_eq(coir_run(dial_nowhere, NULL), 0);
}
END_TEST

/* ---- Limits. */

static const char *failing;
static int failure;

static int fail_one(const char *name)
{
    return failing && strcmp(name, failing) == 0 ? failure : 0;
}

static int lack_descriptors(void *arg)
{
    const int lacks[] = {-EMFILE, -ENFILE, -ENOBUFS, -ENOMEM};
    char to[64];
    (void)arg;
    int listener = coir_listen("127.0.0.1:0", 4);
    ck_assert_int_gt(coir_local_address(listener, to, sizeof to), 0);
    for (int i = 0; i < 4; i++) {
        int one = coir_dial(to);
        ck_assert_int_ge(one, 0);
        failure = lacks[i];
        failing = "accept4";
        for (int k = 0; k < 3; k++)
            ck_assert_int_eq(coir_accept(listener, NULL, NULL), failure);
        failing = "socket";
        ck_assert_int_eq(coir_dial(to), failure);
        ck_assert_int_eq(coir_listen("127.0.0.1:0", 1), failure);
        ck_assert_int_eq(coir_listen("unix:no-path", 1), failure);
        failing = NULL;
        /* The connection has waited. */
        int other = coir_accept(listener, NULL, NULL);
        ck_assert_int_ge(other, 0);
        ck_assert_int_eq(coir_close(one), 0);
        ck_assert_int_eq(coir_close(other), 0);
    }
    return coir_close(listener);
}

START_TEST(what_the_system_lacks_is_told_and_nothing_is_lost)
{
    coir_i_sys_fault = fail_one;
    ck_assert_int_eq(coir_run(lack_descriptors, NULL), 0);
    coir_i_sys_fault = NULL;
}
END_TEST

static int write_late(void *arg)
{
    let_others_park();
    return coir_write(*(int *)arg, "late", 4) == 4 ? 0 : -EIO;
}

/* Descriptors that there are go on, whatever the limit is now. */
static void use_under_limit(int ends[2], int listener)
{
    coir_nursery n;
    for (int i = 0; i < READERS; i++) {
        if (readers[i] == use_stream)
            continue;
        coir_nursery_open(&n);
        ck_assert_int_eq(coir_go(&n, write_late, &ends[1]), 0);
        ck_assert_int_eq(coir_go(&n, write_late, &ends[1]), 0);
        ck_assert_int_gt(readers[i](ends[0]), 0);
        ck_assert_int_eq(coir_nursery_close(&n), 0);
        while (coir_recv(ends[0], bytes, 8, MSG_DONTWAIT) > 0) {
        }
    }
    ck_assert_int_eq(coir_try_poll(ends[0], COIR_READABLE), 0);
    ck_assert_int_eq(coir_try_poll(ends[0], COIR_WRITABLE), COIR_WRITABLE);
    ck_assert_int_eq(coir_accept(listener, NULL, NULL), -EMFILE);
    ck_assert_int_eq(coir_dial("127.0.0.1:9"), -EMFILE);
    ck_assert_int_eq(coir_listen("127.0.0.1:0", 1), -EMFILE);
    /* Not even the poller's own can be made again, nor need they. */
    ck_assert_int_eq(coir_poll(ends[0], COIR_WRITABLE), COIR_WRITABLE);
}

static int lower_limit(void *arg)
{
    char to[64];
    struct rlimit before, now;
    (void)arg;
    int listener = coir_listen("127.0.0.1:0", 4), ends[2], pair[2];
    coir_local_address(listener, to, sizeof to);
    make_connection(ends);
    make_pair(pair);
    int one = coir_dial(to);
    ck_assert_int_ge(one, 0);
    /* There is a poller: whoever needs the first would get -EMFILE. */
    ck_assert_int_eq(coir_recv(pair[0], bytes, 1, MSG_DONTWAIT), -EAGAIN);
    ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &before), 0);
    const rlim_t limits[] = {3, 1, 0};
    for (int i = 0; i < 3; i++) {
        coir_nursery n;
        coir_nursery_open(&n);
        ck_assert_int_eq(coir_go(&n, write_late, &pair[1]), 0);
        ck_assert_int_eq(coir_read(pair[0], bytes, 8), 4);
        ck_assert_int_eq(coir_nursery_close(&n), 0);
        now = before;
        now.rlim_cur = limits[i];
        ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &now), 0);
        use_under_limit(ends, listener);
        use_under_limit(pair, listener);
        ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &before), 0);
    }
    int other = coir_accept(listener, NULL, NULL);
    ck_assert_int_ge(other, 0);
    ck_assert_int_eq(coir_close(one) | coir_close(other), 0);
    close_both(ends);
    close_both(pair);
    return coir_close(listener);
}

START_TEST(a_limit_that_is_lowered_takes_nothing_away)
{
    ck_assert_int_eq(coir_run(lower_limit, NULL), 0);
}
END_TEST

/* ---- Asking. */

static int ask_about(void *arg)
{
    enum { BOTH = COIR_READABLE | COIR_WRITABLE };
    int ends[2];
    (void)arg;
    for (int kind = 0; kind < 3; kind++) {
        if (kind == 0)
            make_pair(ends);
        else if (kind == 1)
            make_pipe(ends);
        else
            make_connection(ends);
        for (int i = 0; i < 2; i++) { /* before and after it is registered */
            ck_assert_int_eq(coir_try_poll(ends[0], COIR_READABLE), 0);
            ck_assert_int_eq(coir_try_poll(ends[1], COIR_WRITABLE),
                             COIR_WRITABLE);
            coir_nursery n;
            coir_nursery_open(&n);
            ck_assert_int_eq(coir_go(&n, write_late, &ends[1]), 0);
            ck_assert_int_eq(use_poll(ends[0]), COIR_READABLE);
            ck_assert_int_eq(coir_nursery_close(&n), 0);
            int rc = coir_try_poll(ends[0], BOTH);
            ck_assert_int_eq(rc, kind == 1 ? COIR_READABLE : BOTH);
            ck_assert_int_eq(coir_read(ends[0], bytes, 8), 4);
        }
        ck_assert_int_eq(coir_try_poll(ends[0], 0), -EINVAL);
        ck_assert_int_eq(coir_try_poll(ends[0], 4), -EINVAL);
        ck_assert_int_eq(coir_close(ends[1]), 0);
        ck_assert_int_eq(coir_poll(ends[0], COIR_READABLE), COIR_READABLE);
        ck_assert_int_eq(coir_try_poll(ends[0], COIR_READABLE), COIR_READABLE);
        ck_assert_int_eq(coir_close(ends[0]), 0);
    }
    return 0;
}

static int ask_cancelled(void *arg)
{
    ck_assert_int_eq(coir_checkpoint(), -ECANCELED);
    ck_assert_int_eq(coir_try_poll(*(int *)arg, COIR_READABLE), 0);
    return -ECANCELED;
}

static int ask_under_timeout(void *arg)
{
    return coir_timeout(0, ask_cancelled, arg);
}

START_TEST(try_poll_tells_and_never_parks)
{
    int ends[2];
    ck_assert_int_eq(coir_run(ask_about, NULL), 0);
    make_pair(ends); /* outside a fiber, too, and in one that is cancelled */
    ck_assert_int_eq(coir_try_poll(ends[0], COIR_READABLE), 0);
    ck_assert_int_eq(coir_run(ask_under_timeout, ends), -ETIMEDOUT);
    close_both(ends);
    ck_assert_int_eq(coir_try_poll(ends[0], COIR_READABLE), -EBADF);
}
END_TEST

COIR_SUITE(io_abuse, TEST_WORKERS)
{
    TCase *numbers = test_case(suite, "descriptors");
    tcase_add_test(numbers, a_bad_number_is_ebadf_to_every_call);
    tcase_add_test(numbers, a_close_ends_every_call_with_ebadf);
    tcase_add_test(numbers, try_poll_tells_and_never_parks);

    TCase *peers = test_case(suite, "peers");
    tcase_add_test(peers, a_peer_that_resets_is_told_without_sigpipe);
    tcase_add_test(peers, a_half_closed_connection_goes_on_the_other_way);
    tcase_add_test(peers, what_cannot_be_reached_is_told);

    TCase *limits = test_case(suite, "limits");
    tcase_set_tags(limits, "limits");
    tcase_add_test(limits, what_the_system_lacks_is_told_and_nothing_is_lost);
    tcase_add_test(limits, a_limit_that_is_lowered_takes_nothing_away);
}
