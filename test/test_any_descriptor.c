/* test/test_any_descriptor.c -- io/: whatever has a number can be used, and its
 * flags stay as they are */
#include "test/harness.h"
#include "test/sockets.h"

#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/signalfd.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/wait.h>

/* ---- What becomes readable by itself, or by somebody. */

static char directory[] = TEST_TEMPLATE;

static int make_timerfd(int flags)
{
    const struct itimerspec soon = {.it_value = {.tv_nsec = 3000000}};
    int fd = timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | flags);
    ck_assert_int_eq(timerfd_settime(fd, 0, &soon, NULL), 0);
    return fd;
}

static int make_inotify(int flags)
{
    int fd = inotify_init1(IN_CLOEXEC | flags);
    ck_assert_int_ge(inotify_add_watch(fd, directory, IN_CREATE), 0);
    return fd;
}

static int make_eventfd(int flags)
{
    return eventfd(0, EFD_CLOEXEC | flags);
}

static int make_signalfd(int flags)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    return signalfd(-1, &set, SFD_CLOEXEC | flags);
}

static int make_fifo(int flags)
{
    char path[64];
    snprintf(path, sizeof path, "%s/fifo", directory);
    ck_assert_int_eq(mkfifo(path, 0600), 0);
    int fd = open(path, O_RDWR | O_CLOEXEC | flags);
    ck_assert_int_eq(unlink(path), 0);
    return fd;
}

static int stir_inotify(int fd)
{
    char path[64];
    (void)fd;
    snprintf(path, sizeof path, "%s/file", directory);
    int file = open(path, O_CREAT | O_CLOEXEC, 0600);
    ck_assert_int_eq(close(file), 0);
    return unlink(path);
}

static int stir_eventfd(int fd)
{
    return eventfd_write(fd, 7);
}

static int stir_signalfd(int fd)
{
    (void)fd;
    return kill(getpid(), SIGUSR1);
}

static int stir_fifo(int fd)
{
    return write(fd, "x", 1) == 1 ? 0 : -1;
}

static int stir_nothing(int fd)
{
    (void)fd;
    return 0;
}

static const struct kind {
    int (*make)(int flags);
    int (*stir)(int fd);
} kinds[] = {{make_timerfd, stir_nothing},
             {make_inotify, stir_inotify},
             {make_eventfd, stir_eventfd},
             {make_signalfd, stir_signalfd},
             {make_fifo, stir_fifo}};
enum { KINDS = sizeof kinds / sizeof *kinds };

struct stirring {
    const struct kind *kind;
    int fd;
};

static int stir_late(void *arg)
{
    struct stirring *s = arg;
    let_others_park();
    ck_assert_int_eq(s->kind->stir(s->fd), 0);
    return 0;
}

static int read_kinds(void *arg)
{
    (void)arg;
    /* In pairs: one that blocks, one that does not. */
    for (int i = 0; i < 2 * KINDS; i++) {
        char bytes[1024];
        struct stirring s = {.kind = &kinds[i / 2]};
        coir_nursery n;
        s.fd = s.kind->make(i % 2 ? O_NONBLOCK : 0);
        ck_assert_int_ge(s.fd, 0);
        int flags = fcntl(s.fd, F_GETFL);
        coir_nursery_open(&n);
        ck_assert_int_eq(coir_go(&n, stir_late, &s), 0);
        ck_assert_int_gt(coir_read(s.fd, bytes, sizeof bytes), 0);
        ck_assert_int_eq(coir_nursery_close(&n), 0);
        ck_assert_int_eq(coir_try_poll(s.fd, COIR_READABLE), 0);
        ck_assert_int_eq(fcntl(s.fd, F_GETFL), flags);
        ck_assert_int_eq(coir_close(s.fd), 0);
    }
    return 0;
}

START_TEST(whatever_can_be_polled_is_waited_for)
{
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGUSR1);
    ck_assert_int_eq(sigprocmask(SIG_BLOCK, &set, NULL), 0);
    ck_assert_ptr_nonnull(mkdtemp(directory));
    ck_assert_int_eq(coir_run(read_kinds, NULL), 0);
    ck_assert_int_eq(rmdir(directory), 0);
}
END_TEST

/* ---- What is ready for ever, or for nothing. */

static int use_devices(void *arg)
{
    static char bytes[5000];
    (void)arg;
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    ck_assert_int_eq(coir_write_full(null, bytes, sizeof bytes), sizeof bytes);
    ck_assert_int_eq(coir_read(null, bytes, 9), 0);
    int zero = open("/dev/zero", O_RDWR | O_CLOEXEC);
    memset(bytes, 'x', sizeof bytes);
    ck_assert_int_eq(coir_read_full(zero, bytes, sizeof bytes), sizeof bytes);
    ck_assert_int_eq(bytes[sizeof bytes - 1], 0);
    int full = open("/dev/full", O_RDWR | O_CLOEXEC);
    ck_assert_int_eq(coir_write(full, bytes, 9), -ENOSPC);
    ck_assert_int_eq(coir_write_full(full, bytes, 9), -ENOSPC);
    int memory = memfd_create("test", MFD_CLOEXEC);
    ck_assert_int_eq(coir_write_full(memory, bytes, 9), 9);
    ck_assert_int_eq(lseek(memory, 0, SEEK_SET), 0);
    ck_assert_int_eq(coir_read(memory, bytes, sizeof bytes), 9);
    ck_assert_int_eq(coir_poll(memory, COIR_READABLE), COIR_READABLE);
    close_both((int[]){null, zero});
    close_both((int[]){full, memory});

    int folder = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    ck_assert_int_eq(coir_read(folder, bytes, 9), -EISDIR);
    ck_assert_int_eq(coir_write(folder, bytes, 9), -EBADF);
    int path = open("/", O_PATH | O_CLOEXEC);
    ck_assert_int_eq(coir_read(path, bytes, 9), -EBADF);
    close_both((int[]){folder, path});
    int epoll = epoll_create1(EPOLL_CLOEXEC);
    ck_assert_int_eq(coir_read(epoll, bytes, 9), -EINVAL);
    ck_assert_int_eq(coir_try_poll(epoll, COIR_READABLE), 0);
    int listener = coir_listen("127.0.0.1:0", 1);
    ck_assert_int_eq(coir_read(listener, bytes, 9), -ENOTCONN);
    ck_assert_int_eq(coir_write(listener, bytes, 9), -EPIPE);
    close_both((int[]){epoll, listener});
    return 0;
}

START_TEST(what_is_always_ready_is_never_waited_for)
{
    ck_assert_int_eq(coir_run(use_devices, NULL), 0);
}
END_TEST

/* ---- Other processes. */

static int talk_to_child(void *arg)
{
    int *ends = arg;
    char text[16];
    for (int i = 0; i < 100; i++) {
        ck_assert_int_eq(coir_write(ends[0], "ping", 4), 4);
        ck_assert_int_eq(coir_read_full(ends[0], text, 4), 4);
        ck_assert_int_eq(memcmp(text, "pong", 4), 0);
    }
    ck_assert_int_eq(shutdown(ends[0], SHUT_WR), 0);
    ck_assert_int_eq(coir_read(ends[0], text, 4), 0);
    return 0;
}

/* Which blocks in its calls, as ever. */
static _Noreturn void be_child(const int ends[2])
{
    char text[4];
    close(ends[0]);
    while (read(ends[1], text, 4) == 4) {
        if (write(ends[1], "pong", 4) != 4)
            break;
    }
    bool blocks = !(fcntl(ends[1], F_GETFL) & O_NONBLOCK);
    _exit(blocks ? 0 : 1);
}

START_TEST(a_socket_that_a_process_shares_blocks_there_as_before)
{
    int ends[2], status = -1;
    make_pair(ends);
    pid_t child = fork();
    if (child == 0)
        be_child(ends);
    int pidfd = (int)syscall(SYS_pidfd_open, child, 0);
    ck_assert_int_ge(pidfd, 0);
    ck_assert_int_eq(close(ends[1]), 0);
    ck_assert_int_eq(coir_run(talk_to_child, ends), 0);
    ck_assert_int_eq(fcntl(ends[0], F_GETFL) & O_NONBLOCK, 0);
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert_int_eq(status, 0);
    ck_assert_int_eq(coir_try_poll(pidfd, COIR_READABLE), COIR_READABLE);
    close_both((int[]){ends[0], pidfd});
}
END_TEST

static int kill_late(void *arg)
{
    let_others_park();
    return kill(*(pid_t *)arg, SIGKILL);
}

static int poll_child(void *arg)
{
    coir_nursery n;
    char byte;
    int pidfd = (int)syscall(SYS_pidfd_open, *(pid_t *)arg, 0);
    coir_nursery_open(&n);
    ck_assert_int_eq(coir_go(&n, kill_late, arg), 0);
    ck_assert_int_eq(coir_poll(pidfd, COIR_READABLE), COIR_READABLE);
    ck_assert_int_eq(coir_nursery_close(&n), 0);
    ck_assert_int_eq(coir_read(pidfd, &byte, 1), -EINVAL);
    return coir_close(pidfd);
}

START_TEST(a_pidfd_tells_of_the_end_of_its_process)
{
    pid_t child = fork();
    if (child == 0) {
        for (;;)
            pause();
    }
    ck_assert_int_eq(coir_run(poll_child, &child), 0);
    ck_assert_int_eq(waitpid(child, NULL, 0), child);
}
END_TEST

COIR_SUITE(any_descriptor, TEST_WORKERS)
{
    TCase *kinds_of = test_case(suite, "kinds");
    tcase_add_test(kinds_of, whatever_can_be_polled_is_waited_for);
    tcase_add_test(kinds_of, what_is_always_ready_is_never_waited_for);

    TCase *processes = test_case(suite, "processes");
    tcase_add_test(processes,
                   a_socket_that_a_process_shares_blocks_there_as_before);
    tcase_add_test(processes, a_pidfd_tells_of_the_end_of_its_process);
}
