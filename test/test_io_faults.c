/* test/test_io_faults.c -- io/sys*.c: the n-th failure of every system call
 *
 * A scenario uses every call of io. It is run again and again, each time with
 * another of its system calls failing in another way, until none is left. It
 * may fail, and must end, with no descriptor open and no file left. */
#include "io/sys.h"
#include "test/harness.h"
#include "test/sockets.h"

#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>

/* ---- The calls that a scenario makes, and the one that fails. */

enum { NAMES_MAX = 64 };

static struct {
    _Atomic(const char *) names[NAMES_MAX]; /* string literals of io */
    const char *failing;
    int nth, error;
    bool is_old; /* the kernel: it cannot be asked not to wait for a read */
    _Atomic int count, hits;
} faults;

static bool is_same(const char *a, const char *b)
{
    return a && strcmp(a, b) == 0;
}

static int deny(const char *name)
{
    return faults.is_old && is_same(name, "preadv2") ? -EOPNOTSUPP : 0;
}

static int count_call(const char *name)
{
    for (int i = 0; i < NAMES_MAX; i++) {
        const char *is = NULL;
        if (!faults.names[i])
            atomic_compare_exchange_strong(&faults.names[i], &is, name);
        if (is_same(faults.names[i], name))
            return deny(name);
    }
    abort();
}

static int fail_call(const char *name)
{
    if (!is_same(faults.failing, name) || ++faults.count != faults.nth)
        return deny(name);
    faults.hits++;
    return faults.error;
}

/* ---- The scenario. Whatever fails ends its part of it. */

enum { BIG = 30000 };

static char big[BIG];

static int answer(int fd)
{
    char bytes[1000];
    struct iovec pieces[] = {{bytes, 10}, {bytes + 10, sizeof bytes - 10}};
    ssize_t n;
    while ((n = coir_readv(fd, pieces, 2)) > 0) {
        struct iovec answers[] = {{bytes, 1}, {bytes + 1, (size_t)n - 1}};
        ssize_t m = coir_writev(fd, answers, 2);
        if (m >= 0 && m < n)
            m = coir_write_full(fd, bytes + m, (size_t)(n - m));
        if (m < 0)
            return (int)m;
    }
    return (int)n;
}

/* Until it is cancelled: an attempt that failed may have been one here. */
static int serve(void *arg)
{
    int rc = 0;
    while (rc >= 0) {
        struct sockaddr_storage from;
        socklen_t length = sizeof from;
        int fd = coir_accept(*(int *)arg, (struct sockaddr *)&from, &length);
        if (fd < 0)
            return fd;
        rc = answer(fd);
        coir_close(fd);
    }
    return rc;
}

/* Cancelled by a failure of the other side, and ended by its own. */
static int write_big(void *arg)
{
    int fd = *(int *)arg;
    ssize_t n = coir_write_full(fd, big, BIG);
    return n < 0 ? (int)n : n < BIG ? -EIO : 0;
}

static int ask(void *arg)
{
    static char reply[BIG];
    int fd = *(int *)arg;
    coir_nursery n;
    coir_nursery_open(&n);
    ssize_t rc = coir_go(&n, write_big, &fd);
    if (rc == 0)
        rc = coir_poll(fd, COIR_READABLE);
    if (rc >= 0)
        rc = coir_read_full(fd, reply, BIG);
    rc = rc < 0 ? rc : rc == BIG ? 0 : -EIO;
    if (rc == 0)
        rc = coir_send(fd, "x", 1, 0);
    if (rc == 1)
        rc = coir_recv(fd, reply, 1, MSG_WAITALL);
    if (rc == 1)
        rc = coir_try_poll(fd, COIR_READABLE | COIR_WRITABLE);
    return coir_nursery_close_with(&n, rc < 0 ? (int)rc : 0);
}

static int talk_in_lines(int fd)
{
    coir_stream *s;
    char *line;
    int rc = coir_stream_new(&s, fd, 64);
    if (rc < 0) {
        coir_close(fd);
        return rc;
    }
    ssize_t n = coir_stream_printf(s, "%0100d\n%s\n", 1, "short");
    if (n >= 0)
        n = coir_stream_write(s, "more\n", 5);
    if (n >= 0)
        n = coir_stream_flush(s);
    if (n >= 0)
        n = coir_stream_read(s, big, 101);
    while (n > 0 && n != 5)
        n = coir_stream_read_until(s, '\n', &line);
    rc = coir_stream_close(s);
    return n < 0 ? (int)n : rc;
}

static int talk(const char *where, const char *to)
{
    char address[128];
    coir_nursery n;
    int listener = coir_listen(where, 4);
    if (listener < 0)
        return listener;
    int rc = coir_local_address(listener, address, sizeof address);
    if (rc > 0 && to)
        memmove(address + strlen(to), strrchr(address, ':'), 8);
    if (rc > 0 && to)
        memcpy(address, to, strlen(to));
    for (int i = 0; i < 2 && rc >= 0; i++) {
        coir_nursery_open(&n);
        rc = coir_go(&n, serve, &listener);
        int fd = rc < 0 ? rc : coir_dial(address);
        rc = fd < 0 ? fd : coir_peer_address(fd, address, sizeof address);
        if (rc >= 0)
            rc = i ? talk_in_lines(fd) : ask(&fd);
        if (fd >= 0 && (rc < 0 || !i))
            coir_close(fd); /* once more does no harm */
        coir_nursery_cancel(&n);
        rc = coir_nursery_close_with(&n, rc < 0 ? rc : 0);
    }
    coir_close(listener);
    return rc;
}

static int send_datagrams(void)
{
    struct sockaddr_in at = {.sin_family = AF_INET,
                             .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t length = sizeof at;
    struct sockaddr *to = (struct sockaddr *)&at;
    char bytes[8];
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    ck_assert_int_eq(bind(fd, to, length), 0);
    ck_assert_int_eq(getsockname(fd, to, &length), 0);
    ssize_t rc = coir_sendto(fd, "hello", 5, 0, to, length);
    if (rc >= 0)
        rc = coir_recvfrom(fd, bytes, sizeof bytes, 0, to, &length);
    if (rc >= 0)
        rc = coir_connect(fd, to, length);
    coir_close(fd);
    return (int)rc;
}

static int send_file(void)
{
    char path[] = TEST_TEMPLATE;
    int ends[2], file = mkostemp(path, O_CLOEXEC);
    ck_assert_int_ge(file, 0);
    ck_assert_int_eq(unlink(path), 0);
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, ends),
                     0);
    ssize_t rc = coir_write_full(file, big, BIG / 2);
    off_t offset = 0;
    if (rc >= 0)
        rc = coir_sendfile(ends[0], file, &offset, BIG / 4);
    if (rc >= 0)
        rc = lseek(file, 0, SEEK_SET);
    if (rc >= 0)
        rc = coir_sendfile(ends[0], file, NULL, BIG / 4);
    ck_assert_int_eq(fcntl(ends[0], F_SETFL, 0), 0);
    offset = 0;
    if (rc >= 0)
        rc = coir_sendfile(ends[0], file, &offset, 100);
    if (rc >= 0)
        rc = coir_read(ends[1], big, BIG);
    coir_close(ends[0]);
    coir_close(ends[1]);
    coir_close(file);
    return (int)rc;
}

static int write_late(void *arg)
{
    let_others_park();
    ssize_t n = coir_write(*(int *)arg, "late", 4);
    return n < 0 ? (int)n : 0;
}

/* What has neither MSG_DONTWAIT nor RWF_NOWAIT: a terminal, a FIFO. */
static int use_slowly(int from, int to)
{
    char bytes[8];
    coir_nursery n;
    coir_nursery_open(&n);
    ssize_t rc = coir_go(&n, write_late, &to);
    if (rc == 0)
        rc = coir_read(from, bytes, sizeof bytes);
    return coir_nursery_close_with(&n, rc < 0 ? (int)rc : 0);
}

static int use_the_rest(void)
{
    int ends[2];
    make_pipe(ends);
    int rc = use_slowly(ends[0], ends[1]);
    coir_close(ends[0]);
    coir_close(ends[1]);
    int master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
    ck_assert_int_ge(master, 0);
    ck_assert_int_eq(grantpt(master) | unlockpt(master), 0);
    int slave = open(ptsname(master), O_RDWR | O_NOCTTY | O_CLOEXEC);
    ck_assert_int_ge(slave, 0);
    if (rc >= 0)
        rc = use_slowly(master, slave);
    coir_close(slave);
    coir_close(master);
    return rc;
}

static int run_scenario(void *arg)
{
    (void)arg;
    int rc = talk("localhost:0", "localhost");
    if (rc >= 0)
        rc = talk(":0", "");
    if (rc >= 0)
        rc = talk("unix:path", NULL); /* the file of the last run is there */
    if (rc >= 0)
        rc = send_datagrams();
    if (rc >= 0)
        rc = send_file();
    return rc < 0 ? rc : use_the_rest();
}

/* ---- All failures, one by one. */

static const int errors[] = {-EIO, -ENOMEM, -EMFILE};
enum { ERRORS = sizeof errors / sizeof *errors };

static char directory[] = TEST_TEMPLATE;

static void enter_directory(int run)
{
    faults.is_old = run / ERRORS;
    ck_assert_ptr_nonnull(mkdtemp(directory));
    ck_assert_int_eq(chdir(directory), 0);
    coir_i_sys_fault = count_call;
    for (int i = 0; i < 2; i++) /* so that there is a path to be replaced */
        ck_assert_int_eq(coir_run(run_scenario, NULL), 0);
}

static void leave_directory(void)
{
    coir_i_sys_fault = NULL;
    COIR_IGNORE(unlink("path"));
    ck_assert_int_eq(chdir("/"), 0);
    ck_assert_int_eq(rmdir(directory), 0);
}

/* Until the call is made less often than that. How often it was. */
static int fail_each(const char *name, int error)
{
    int number = next_number();
    faults.failing = name;
    faults.error = error;
    for (faults.nth = 1;; faults.nth++) {
        faults.count = faults.hits = 0;
        coir_i_sys_fault = fail_call;
        int rc = coir_run(run_scenario, NULL);
        coir_i_sys_fault = NULL;
        ck_assert_msg(next_number() == number, "%s: the %d. leaves %d more",
                      name, faults.nth, next_number() - number);
        if (faults.hits == 0) {
            ck_assert_msg(rc == 0, "%s: %d with no failure", name, rc);
            return faults.nth - 1;
        }
    }
}

START_TEST(no_failure_of_a_system_call_leaves_anything_open_or_waiting)
{
    int sum = 0;
    enter_directory(_i);
    for (int i = 0; i < NAMES_MAX && faults.names[i]; i++)
        sum += fail_each(faults.names[i], errors[_i % ERRORS]);
    ck_assert_int_gt(sum, 100);
    leave_directory();
}
END_TEST

START_TEST(the_scenario_makes_every_system_call)
{
    static const char *const names[] = {
        "recv",         "send",       "recvmsg",   "sendmsg",     "preadv2",
        "pwritev2",     "readv",      "pread",     "malloc",      "lseek",
        "sendfile",     "poll",       "close",     "fcntl",       "fstat",
        "socket",       "accept4",    "connect",   "bind",        "listen",
        "getsockopt",   "setsockopt", "lstat",     "getsockname", "getpeername",
        "getaddrinfo",  "unlink",     "epoll_ctl", "eventfd",     "epoll_wait",
        "epoll_create1"};
    enter_directory(ERRORS);
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        bool is_made = false;
        for (int k = 0; k < NAMES_MAX; k++)
            is_made |= is_same(faults.names[k], names[i]);
        ck_assert_msg(is_made, "%s", names[i]);
    }
    leave_directory();
}
END_TEST

COIR_SUITE(io_faults, TEST_WORKERS)
{
    TCase *all = test_case(suite, "all");
    tcase_add_test(all, the_scenario_makes_every_system_call);
    tcase_add_loop_test(
        all, no_failure_of_a_system_call_leaves_anything_open_or_waiting, 0,
        2 * ERRORS);
}
