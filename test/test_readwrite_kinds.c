/* test/test_readwrite_kinds.c -- io/readwrite.c: flags, signals, and whatever
 * can be read */
#include "test/harness.h"
#include "test/sockets.h"

#include <pty.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/stat.h>

static int read_one(void *arg)
{
    char byte;
    return (int)coir_read(*(int *)arg, &byte, 1);
}

static int read_letter(void *arg)
{
    char letter;
    ssize_t n = coir_read(*(int *)arg, &letter, 1);
    return n == 1 ? 0 : (int)n;
}

static int fill_up(void *arg)
{
    static const char zeros[4096];
    int fd = *(int *)arg;
    for (;;) {
        ssize_t n = coir_write(fd, zeros, sizeof zeros);
        if (n < 0)
            return (int)n;
    }
}

/* ---- SIGPIPE: by default it would end the process. */

static int write_to_nobody(void *arg)
{
    int ends[2];
    (void)arg;
    for (int kind = 0; kind < 3; kind++) {
        if (kind == 0)
            make_pipe(ends);
        else if (kind == 1)
            make_pair(ends);
        else
            make_connection(ends);
        ck_assert_int_eq(coir_close(ends[0]), 0);
        ssize_t n = 1;
        for (int i = 0; i < 1000 && n > 0; i++) {
            n = coir_write(ends[1], "x", 1);
            if (kind == 2)
                let_others_park();
        }
        ck_assert(n == -EPIPE || n == -ECONNRESET);
        ck_assert_int_eq(coir_write(ends[1], "x", 1), -EPIPE);
        if (kind > 0)
            ck_assert_int_eq(coir_send(ends[1], "x", 1, 0), -EPIPE);
        ck_assert_int_eq(coir_close(ends[1]), 0);
    }
    struct sigaction action;
    ck_assert_int_eq(sigaction(SIGPIPE, NULL, &action), 0);
    ck_assert(action.sa_handler == SIG_DFL);
    return 0;
}

START_TEST(sigpipe_is_never_raised)
{
    signal(SIGPIPE, SIG_DFL);
    ck_assert_int_eq(coir_run(write_to_nobody, NULL), 0);
}
END_TEST

/* ---- Flags of recv and send. */

static int use_flags(void *arg)
{
    int ends[2];
    char text[8];
    coir_nursery n;
    (void)arg;
    make_pair(ends);
    ck_assert_int_eq(coir_recv(ends[0], text, 8, MSG_DONTWAIT), -EAGAIN);
    ck_assert_int_eq(coir_recv(ends[0], text, 8, MSG_OOB | MSG_DONTWAIT) < 0,
                     true);
    ck_assert_int_eq(coir_send(ends[1], "abcd", 4, MSG_DONTWAIT), 4);
    ck_assert_int_eq(coir_recv(ends[0], text, 2, MSG_PEEK), 2);
    ck_assert_int_eq(coir_recv(ends[0], text, 8, MSG_PEEK), 4);
    ck_assert_int_eq(coir_recv(ends[0], text, 8, 0), 4);
    /* Another one waits: it would have to wait, too. */
    coir_nursery_open(&n);
    ck_assert_int_eq(coir_go(&n, read_letter, &ends[0]), 0);
    let_others_park();
    ck_assert_int_eq(coir_recv(ends[0], text, 8, MSG_DONTWAIT), -EAGAIN);
    ck_assert_int_eq(coir_send(ends[1], "a", 1, 0), 1);
    ck_assert_int_eq(coir_nursery_close(&n), 0);
    close_both(ends);
    ck_assert_int_eq(pipe(ends), 0);
    ck_assert_int_eq(coir_recv(ends[0], text, 8, 0), -ENOTSOCK);
    ck_assert_int_eq(coir_send(ends[1], text, 8, 0), -ENOTSOCK);
    close_both(ends);
    return 0;
}

START_TEST(flags_mean_what_they_mean_elsewhere)
{
    ck_assert_int_eq(coir_run(use_flags, NULL), 0);
}
END_TEST

static int write_slowly(void *arg)
{
    int *ends = arg;
    for (int i = 0; i < 4; i++) {
        ck_assert_int_eq(coir_write(ends[1], &"abcd"[i], 1), 1);
        let_others_park();
    }
    return 0;
}

static int wait_for_all(void *arg)
{
    int ends[2];
    char text[5] = "";
    coir_nursery n;
    (void)arg;
    make_pair(ends);
    coir_nursery_open(&n);
    ck_assert_int_eq(coir_go(&n, write_slowly, ends), 0);
    ck_assert_int_eq(coir_recv(ends[0], text, 4, MSG_WAITALL), 4);
    ck_assert_str_eq(text, "abcd");
    int rc = coir_nursery_close(&n);
    close_both(ends);
    return rc;
}

START_TEST(waitall_waits_for_all)
{
    ck_assert_int_eq(coir_run(wait_for_all, NULL), 0);
}
END_TEST

static int read_datagrams(void *arg)
{
    int ends[2];
    char text[64];
    (void)arg;
    ck_assert_int_eq(socketpair(AF_UNIX, SOCK_DGRAM, 0, ends), 0);
    ck_assert_int_eq(coir_timeout(COIR_MS(1), read_one, &ends[0]), -ETIMEDOUT);
    for (int i = 1; i <= 5; i++)
        ck_assert_int_eq(coir_write(ends[1], "12345", (size_t)i), i);
    for (int i = 1; i <= 5; i++)
        ck_assert_int_eq(coir_read(ends[0], text, sizeof text), i);
    ck_assert_int_eq(coir_timeout(COIR_MS(1), read_one, &ends[0]), -ETIMEDOUT);
    close_both(ends);
    return 0;
}

START_TEST(every_datagram_is_read)
{
    ck_assert_int_eq(coir_run(read_datagrams, NULL), 0);
}
END_TEST

static int read_past_urgent(void *arg)
{
    int ends[2];
    char text[16];
    (void)arg;
    make_connection(ends);
    ck_assert_int_eq(coir_timeout(COIR_MS(1), read_one, &ends[1]), -ETIMEDOUT);
    ck_assert_int_eq(coir_write(ends[0], "abc", 3), 3);
    ck_assert_int_eq(coir_send(ends[0], "!", 1, MSG_OOB), 1);
    ck_assert_int_eq(coir_write(ends[0], "def", 3), 3);
    let_others_park();
    /* A read stops at the mark. */
    ck_assert_int_eq(coir_read(ends[1], text, sizeof text), 3);
    ck_assert_int_eq(coir_recv(ends[1], text, 1, MSG_OOB), 1);
    ck_assert_int_eq(text[0], '!');
    ck_assert_int_eq(coir_read(ends[1], text, sizeof text), 3);
    ck_assert_int_eq(text[0], 'd');
    close_both(ends);
    return 0;
}

START_TEST(urgent_data_hold_up_nobody)
{
    ck_assert_int_eq(coir_run(read_past_urgent, NULL), 0);
}
END_TEST

/* One byte, and with it a descriptor. */
static void send_descriptor(int fd, int what)
{
    char control[CMSG_SPACE(sizeof what)] = {0};
    struct iovec piece = {.iov_base = (char[]){'a'}, .iov_len = 1};
    struct msghdr message = {.msg_iov = &piece,
                             .msg_iovlen = 1,
                             .msg_control = control,
                             .msg_controllen = sizeof control};
    struct cmsghdr *head = CMSG_FIRSTHDR(&message);
    head->cmsg_level = SOL_SOCKET;
    head->cmsg_type = SCM_RIGHTS;
    head->cmsg_len = CMSG_LEN(sizeof what);
    memcpy(CMSG_DATA(head), &what, sizeof what);
    ck_assert_int_eq(sendmsg(fd, &message, 0), 1);
}

static int read_past_descriptors(void *arg)
{
    char path[] = TEST_TEMPLATE, address[64], text[16];
    (void)arg;
    ck_assert_ptr_nonnull(mkdtemp(path));
    snprintf(address, sizeof address, "unix:%s/x", path);
    int listener = coir_listen(address, 1);
    int one = coir_dial(address);
    int other = coir_accept(listener, NULL, NULL);
    ck_assert_int_eq(coir_timeout(COIR_MS(1), read_one, &other), -ETIMEDOUT);
    send_descriptor(one, 0);
    ck_assert_int_eq(coir_write(one, "bc", 2), 2);
    let_others_park();
    ck_assert_int_eq(coir_read(other, text, sizeof text), 1);
    ck_assert_int_eq(coir_read(other, text, sizeof text), 2);
    int made[] = {listener, one, other};
    for (int i = 0; i < 3; i++)
        ck_assert_int_eq(coir_close(made[i]), 0);
    unlink(address + 5);
    return rmdir(path);
}

START_TEST(descriptors_that_were_sent_hold_up_nobody)
{
    ck_assert_int_eq(coir_run(read_past_descriptors, NULL), 0);
}
END_TEST

/* ---- Other descriptors. */

enum { BIG = 1 << 16 };

static int write_big(void *arg)
{
    static char bytes[BIG];
    fill_bytes(bytes, BIG);
    return (int)coir_write_full(*(int *)arg, bytes, BIG) - BIG;
}

static int move_through_fifo(void *arg)
{
    static char bytes[BIG];
    char path[] = TEST_TEMPLATE, fifo[64];
    int ends[2];
    coir_nursery n;
    (void)arg;
    ck_assert_ptr_nonnull(mkdtemp(path));
    snprintf(fifo, sizeof fifo, "%s/fifo", path);
    ck_assert_int_eq(mkfifo(fifo, 0600), 0);
    ends[0] = open(fifo, O_RDWR | O_CLOEXEC);
    ends[1] = open(fifo, O_WRONLY | O_CLOEXEC);
    unlink(fifo);
    rmdir(path);
    coir_nursery_open(&n);
    ck_assert_int_eq(coir_go(&n, write_big, &ends[1]), 0);
    ck_assert_int_eq(coir_read_full(ends[0], bytes, BIG), BIG);
    ck_assert(are_bytes(bytes, BIG));
    int rc = coir_nursery_close(&n);
    close_both(ends);
    return rc;
}

START_TEST(a_fifo_which_has_no_nowait_is_never_blocked_on)
{
    ck_assert_int_eq(coir_run(move_through_fifo, NULL), 0);
}
END_TEST

static int use_terminal(void *arg)
{
    int ends[2];
    char text[64] = "";
    (void)arg;
    ck_assert_int_eq(openpty(&ends[0], &ends[1], NULL, NULL, NULL), 0);
    int flags = fcntl(ends[1], F_GETFL);
    ck_assert_int_eq(coir_timeout(COIR_MS(1), read_one, &ends[1]), -ETIMEDOUT);
    ck_assert_int_eq(coir_write_full(ends[0], "one\ntwo\n", 8), 8);
    ck_assert_int_eq(coir_read(ends[1], text, sizeof text), 4);
    ck_assert_int_eq(coir_read(ends[1], text, sizeof text), 4);
    ck_assert_mem_eq(text, "two\n", 4);
    ck_assert_int_eq(fcntl(ends[1], F_GETFL), flags);
    ck_assert_int_eq(flags & O_NONBLOCK, 0);
    close_both(ends);
    return 0;
}

START_TEST(a_terminal_is_read_line_by_line)
{
    ck_assert_int_eq(coir_run(use_terminal, NULL), 0);
}
END_TEST

static int fill_terminal(void *arg)
{
    int ends[2];
    char text[4096];
    (void)arg;
    ck_assert_int_eq(openpty(&ends[0], &ends[1], NULL, NULL, NULL), 0);
    ck_assert_int_eq(coir_timeout(COIR_MS(20), fill_up, &ends[1]), -ETIMEDOUT);
    ck_assert_int_gt(coir_read(ends[0], text, sizeof text), 0);
    close_both(ends);
    return 0;
}

START_TEST(a_terminal_that_nobody_reads_holds_up_its_writer_alone)
{
    ck_assert_int_eq(coir_run(fill_terminal, NULL), 0);
}
END_TEST

static int use_files(void *arg)
{
    char path[] = TEST_TEMPLATE, bytes[5000], back[sizeof bytes + 1];
    (void)arg;
    int fd = mkstemp(path);
    ck_assert_int_ge(fd, 0);
    unlink(path);
    fill_bytes(bytes, sizeof bytes);
    ck_assert_int_eq(coir_write_full(fd, bytes, 1000), 1000);
    ck_assert_int_eq(coir_write(fd, bytes + 1000, 4000), 4000);
    ck_assert_int_eq(lseek(fd, 0, SEEK_CUR), 5000);
    lseek(fd, 0, SEEK_SET);
    ck_assert_int_eq(coir_read(fd, back, 10), 10);
    ck_assert_int_eq(coir_read(fd, back + 10, sizeof back - 10), 4990);
    ck_assert_mem_eq(back, bytes, sizeof bytes);
    ck_assert_int_eq(coir_read(fd, back, 1), 0);
    ck_assert_int_eq(coir_poll(fd, COIR_READABLE | COIR_WRITABLE), 3);
    ck_assert_int_eq(coir_close(fd), 0);

    fd = open("/proc/self/status", O_RDONLY | O_CLOEXEC);
    ck_assert_int_gt(coir_read(fd, back, sizeof back), 100);
    ck_assert_int_eq(coir_write(fd, back, 1), -EBADF);
    ck_assert_int_eq(coir_close(fd), 0);
    fd = open("/tmp", O_RDONLY | O_CLOEXEC);
    ck_assert_int_eq(coir_read(fd, back, 1), -EISDIR);
    ck_assert_int_eq(coir_close(fd), 0);
    return 0;
}

START_TEST(files_are_read_and_written_where_they_stand)
{
    ck_assert_int_eq(coir_run(use_files, NULL), 0);
}
END_TEST

static int read_uncached(void *arg)
{
    enum { SIZE = 1 << 19 };
    static char bytes[SIZE], back[SIZE + 1];
    char path[] = TEST_TEMPLATE;
    (void)arg;
    int fd = mkstemp(path);
    unlink(path);
    fill_bytes(bytes, SIZE);
    ck_assert_int_eq(coir_write_full(fd, bytes, SIZE), SIZE);
    ck_assert_int_eq(fsync(fd), 0);
    /* None of it is in memory; then the beginning is. */
    for (int some = 0; some < 2; some++) {
        posix_fadvise(fd, 0, 0, POSIX_FADV_DONTNEED);
        if (some)
            ck_assert_int_eq(pread(fd, back, 8192, 0), 8192);
        lseek(fd, 0, SEEK_SET);
        memset(back, 0, sizeof back);
        ck_assert_int_eq(coir_read(fd, back, sizeof back), SIZE);
        ck_assert(are_bytes(back, SIZE));
    }
    ck_assert_int_eq(coir_close(fd), 0);
    return 0;
}

START_TEST(a_file_that_is_not_cached_is_read_elsewhere)
{
    ck_assert_int_eq(coir_run(read_uncached, NULL), 0);
}
END_TEST

static int add_one(void *arg)
{
    uint64_t one = 1;
    return (int)coir_write(*(int *)arg, &one, sizeof one) - (int)sizeof one;
}

static int use_eventfd(void *arg)
{
    uint64_t count = 0;
    coir_nursery n;
    (void)arg;
    int fd = eventfd(0, EFD_CLOEXEC);
    coir_nursery_open(&n);
    ck_assert_int_eq(coir_go(&n, add_one, &fd), 0);
    ck_assert_int_eq(coir_read(fd, &count, sizeof count), 8);
    ck_assert_uint_eq(count, 1);
    ck_assert_int_eq(coir_nursery_close(&n), 0);
    ck_assert_int_eq(coir_close(fd), 0);
    return 0;
}

START_TEST(an_eventfd_wakes_its_reader)
{
    ck_assert_int_eq(coir_run(use_eventfd, NULL), 0);
}
END_TEST

static int move_nothing(void *arg)
{
    int ends[2];
    (void)arg;
    make_pair(ends);
    ck_assert_int_eq(coir_read(ends[0], NULL, 0), 0);
    ck_assert_int_eq(coir_write(ends[0], NULL, 0), 0);
    ck_assert_int_eq(coir_read_full(ends[0], NULL, 0), 0);
    close_both(ends);
    make_pipe(ends);
    ck_assert_int_eq(coir_read(ends[0], NULL, 0), 0);
    ck_assert_int_eq(coir_write(ends[1], NULL, 0), 0);
    ck_assert_int_eq(coir_write_full(ends[1], NULL, 0), 0);
    close_both(ends);
    return 0;
}

START_TEST(nothing_is_moved_at_once)
{
    ck_assert_int_eq(coir_run(move_nothing, NULL), 0);
}
END_TEST

static int use_bad(void *arg)
{
    char byte = 0;
    int free_number = next_number();
    (void)arg;
    ck_assert_int_eq(coir_read(-1, &byte, 1), -EBADF);
    ck_assert_int_eq(coir_write(free_number, &byte, 1), -EBADF);
    ck_assert_int_eq(coir_recv(free_number, &byte, 1, 0), -EBADF);
    ck_assert_int_eq(coir_poll(free_number, COIR_READABLE), -EBADF);
    ck_assert_int_eq(coir_poll(0, 0), -EINVAL);
    ck_assert_int_eq(coir_poll(0, 8), -EINVAL);
    return 0;
}

START_TEST(bad_numbers_are_refused)
{
    char byte = 0;
    ck_assert_int_eq(coir_read(0, &byte, 1), -EPERM);
    ck_assert_int_eq(coir_poll(0, COIR_READABLE), -EPERM);
    ck_assert_int_eq(coir_run(use_bad, NULL), 0);
}
END_TEST

COIR_SUITE(readwrite_kinds, TEST_WORKERS)
{
    TCase *nobody = test_case(suite, "nobody reads");
    tcase_add_test(nobody, sigpipe_is_never_raised);

    TCase *flags = test_case(suite, "flags");
    tcase_add_test(flags, flags_mean_what_they_mean_elsewhere);
    tcase_add_test(flags, waitall_waits_for_all);
    tcase_add_test(flags, every_datagram_is_read);
    tcase_add_test(flags, urgent_data_hold_up_nobody);
    tcase_add_test(flags, descriptors_that_were_sent_hold_up_nobody);

    TCase *others = test_case(suite, "other descriptors");
    tcase_add_test(others, a_fifo_which_has_no_nowait_is_never_blocked_on);
    tcase_add_test(others, a_terminal_is_read_line_by_line);
    tcase_add_test(others,
                   a_terminal_that_nobody_reads_holds_up_its_writer_alone);
    tcase_add_test(others, files_are_read_and_written_where_they_stand);
    tcase_add_test(others, a_file_that_is_not_cached_is_read_elsewhere);
    tcase_add_test(others, an_eventfd_wakes_its_reader);
    tcase_add_test(others, nothing_is_moved_at_once);
    tcase_add_test(others, bad_numbers_are_refused);
}
