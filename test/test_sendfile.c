/* test/test_sendfile.c -- io/sendfile.c: files to sockets, pipes and files */
#include "io/sys.h"
#include "test/harness.h"
#include "test/sockets.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/sendfile.h>
#include <sys/stat.h>

enum { SIZE = 700001 }; /* more than a chunk, and no round number */

/* A file whose bytes tell where they are; it has no name. */
static int make_file(size_t size, int flags)
{
    char path[] = TEST_TEMPLATE;
    char *bytes = malloc(size + 1);
    int fd = mkostemp(path, O_CLOEXEC | flags);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(unlink(path), 0);
    fill_bytes(bytes, size);
    ck_assert_int_eq(pwrite(fd, bytes, size, 0), (ssize_t)size);
    free(bytes);
    return fd;
}

struct receiver {
    int fd;
    size_t size;
    size_t skip; /* where in the file it began */
};

static int receive_file(void *arg)
{
    struct receiver *r = arg;
    char *bytes = malloc(r->skip + r->size + 1);
    fill_bytes(bytes, r->skip);
    char *at = bytes + r->skip;
    ck_assert_int_eq(coir_read_full(r->fd, at, r->size), (ssize_t)r->size);
    ck_assert(are_bytes(bytes, r->skip + r->size));
    free(bytes);
    return 0;
}

enum kind { PAIR, PIPE, CONNECTION, KINDS };

static void make_ends(enum kind kind, int ends[2])
{
    if (kind == PAIR)
        make_pair(ends);
    else if (kind == PIPE)
        make_pipe(ends);
    else
        make_connection(ends);
}

static void set_nonblocking(int fd)
{
    ck_assert_int_eq(fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK), 0);
}

/* From `skip` on, by an offset or by the file's own position. */
static void send_through(int ends[2], int file, size_t skip, bool by_offset)
{
    struct receiver r = {.fd = ends[0], .size = SIZE - skip, .skip = skip};
    off_t offset = (off_t)skip;
    coir_nursery n;
    ck_assert_int_eq(lseek(file, by_offset ? 11 : offset, SEEK_SET),
                     by_offset ? 11 : offset);
    coir_nursery_open(&n);
    ck_assert_int_eq(coir_go(&n, receive_file, &r), 0);
    ssize_t sent =
        coir_sendfile(ends[1], file, by_offset ? &offset : NULL, SIZE * 2);
    ck_assert_int_eq(sent, (ssize_t)(SIZE - skip));
    ck_assert_int_eq(lseek(file, 0, SEEK_CUR), by_offset ? 11 : SIZE);
    if (by_offset)
        ck_assert_int_eq(offset, SIZE);
    ck_assert_int_eq(coir_nursery_close(&n), 0);
    /* The end of the file. */
    ck_assert_int_eq(
        coir_sendfile(ends[1], file, by_offset ? &offset : NULL, 9), 0);
}

static int send_to_all(void *arg)
{
    int file = make_file(SIZE, 0);
    (void)arg;
    for (int i = 0; i < KINDS * 4; i++) {
        int ends[2];
        make_ends((enum kind)(i % KINDS), ends);
        if (i / KINDS % 2)
            set_nonblocking(ends[1]);
        int flags = fcntl(ends[1], F_GETFL);
        send_through(ends, file, i / KINDS / 2 ? 4097 : 0, i / KINDS / 2);
        ck_assert_int_eq(fcntl(ends[1], F_GETFL), flags);
        close_both(ends);
    }
    return coir_close(file);
}

START_TEST(a_file_goes_to_sockets_and_pipes_that_block_or_not)
{
    ck_assert_int_eq(coir_run(send_to_all, NULL), 0);
}
END_TEST

static int send_to_file(void *arg)
{
    int from = make_file(SIZE, 0);
    const int flags[] = {0, O_NONBLOCK, O_APPEND};
    (void)arg;
    for (int i = 0; i < 3; i++) {
        int to = make_file(0, flags[i]);
        off_t offset = 0;
        ck_assert_int_eq(coir_sendfile(to, from, &offset, SIZE), SIZE);
        ck_assert_int_eq(offset, SIZE);
        struct receiver r = {.fd = to, .size = SIZE};
        ck_assert_int_eq(lseek(to, 0, SEEK_SET), 0);
        ck_assert_int_eq(receive_file(&r), 0);
        ck_assert_int_eq(coir_close(to), 0);
    }
    return coir_close(from);
}

START_TEST(a_file_goes_to_a_file)
{
    ck_assert_int_eq(coir_run(send_to_file, NULL), 0);
}
END_TEST

/* ---- What the kernel does not do. */

static int refusals;

static int refuse(const char *name)
{
    static const int errors[] = {-EINVAL, -ENOSYS, -EOPNOTSUPP};
    if (strcmp(name, "sendfile") != 0)
        return 0;
    return errors[refusals++ % 3];
}

static int nothing_cached(const char *name)
{
    return strcmp(name, "preadv2") == 0 ? -EAGAIN : 0;
}

START_TEST(a_copy_is_sent_where_the_kernel_refuses)
{
    coir_i_sys_fault = refuse;
    ck_assert_int_eq(coir_run(send_to_all, NULL), 0);
    ck_assert_int_eq(coir_run(send_to_file, NULL), 0);
    ck_assert_int_gt(refusals, 3);
    coir_i_sys_fault = NULL;
}
END_TEST

static int send_uncached(void *arg)
{
    int file = make_file(SIZE, 0), ends[2];
    (void)arg;
    for (int blocks = 0; blocks < 2; blocks++) {
        make_pair(ends);
        if (!blocks)
            set_nonblocking(ends[1]);
        struct receiver r = {.fd = ends[0], .size = SIZE};
        off_t offset = 0;
        coir_nursery n;
        coir_nursery_open(&n);
        ck_assert_int_eq(coir_go(&n, receive_file, &r), 0);
        ck_assert_int_eq(coir_sendfile(ends[1], file, &offset, SIZE), SIZE);
        ck_assert_int_eq(coir_nursery_close(&n), 0);
        close_both(ends);
    }
    return coir_close(file);
}

/* Sockets do without preadv2. */
START_TEST(what_is_not_cached_is_sent_by_a_thread)
{
    coir_i_sys_fault = nothing_cached;
    ck_assert_int_eq(coir_run(send_uncached, NULL), 0);
    coir_i_sys_fault = NULL;
}
END_TEST

static int send_proc(void *arg)
{
    char wanted[4096], got[4096];
    int ends[2];
    (void)arg;
    int file = open("/proc/self/limits", O_RDONLY | O_CLOEXEC);
    ck_assert_int_ge(file, 0);
    ssize_t size = pread(file, wanted, sizeof wanted, 0);
    ck_assert_int_gt(size, 0);
    make_connection(ends);
    ck_assert_int_eq(coir_sendfile(ends[0], file, NULL, sizeof wanted), size);
    ck_assert_int_eq(coir_read_full(ends[1], got, (size_t)size), size);
    ck_assert_int_eq(memcmp(got, wanted, (size_t)size), 0);
    close_both(ends);
    return coir_close(file);
}

START_TEST(a_file_of_proc_is_sent)
{
    ck_assert_int_eq(coir_run(send_proc, NULL), 0);
}
END_TEST

/* ---- Stopped half-way. */

struct sender {
    int out, in;
    off_t offset;
    bool by_offset;
    ssize_t sent;
};

static int send_all(void *arg)
{
    struct sender *s = arg;
    s->sent = coir_sendfile(s->out, s->in, s->by_offset ? &s->offset : NULL,
                            (size_t)(SIZE - s->offset));
    ssize_t again = coir_sendfile(s->out, s->in, NULL, 1);
    ck_assert_int_eq(again, -ECANCELED);
    return -ECANCELED;
}

static void send_until_full(struct sender *s)
{
    coir_nursery n;
    coir_task task;
    coir_nursery_open(&n);
    ck_assert_int_eq(coir_spawn(&n, &task, send_all, s), 0);
    while (coir_try_poll(s->out, COIR_WRITABLE) > 0)
        let_others_park();
    coir_task_cancel(&task);
    ck_assert_int_eq(coir_nursery_close(&n), 0);
}

static int stop_half_way(void *arg)
{
    (void)arg;
    for (int i = 0; i < 8; i++) {
        int ends[2];
        make_ends(i % 2 ? PAIR : PIPE, ends);
        if (i / 2 % 2)
            set_nonblocking(ends[1]);
        struct sender s = {
            .out = ends[1], .in = make_file(SIZE, 0), .by_offset = i / 4};
        send_until_full(&s);
        ck_assert_int_gt(s.sent, 0);
        ck_assert_int_lt(s.sent, SIZE);
        if (!s.by_offset)
            s.offset = lseek(s.in, 0, SEEK_CUR);
        ck_assert_int_eq(s.offset, s.sent);
        /* From there on it goes to its end. */
        struct receiver r = {.fd = ends[0], .size = SIZE};
        coir_nursery n;
        coir_nursery_open(&n);
        ck_assert_int_eq(coir_go(&n, receive_file, &r), 0);
        ck_assert_int_eq(coir_sendfile(s.out, s.in, &s.offset, SIZE),
                         SIZE - s.sent);
        ck_assert_int_eq(coir_nursery_close(&n), 0);
        ck_assert_int_eq(coir_close(s.in), 0);
        close_both(ends);
    }
    return 0;
}

START_TEST(what_was_sent_before_it_was_stopped_is_told)
{
    ck_assert_int_eq(coir_run(stop_half_way, NULL), 0);
}
END_TEST

static int read_little(void *arg)
{
    char bytes[1000];
    int *ends = arg;
    ck_assert_int_eq(coir_read_full(ends[0], bytes, sizeof bytes), 1000);
    return coir_close(ends[0]);
}

static int send_to_leaver(void *arg)
{
    int file = make_file(SIZE, 0);
    (void)arg;
    for (int i = 0; i < 4; i++) {
        int ends[2];
        coir_nursery n;
        make_ends(i % 2 ? PAIR : PIPE, ends);
        if (i / 2)
            set_nonblocking(ends[1]);
        off_t offset = 0;
        coir_nursery_open(&n);
        ck_assert_int_eq(coir_go(&n, read_little, ends), 0);
        ssize_t sent = coir_sendfile(ends[1], file, &offset, SIZE);
        ck_assert_int_ge(sent, 1000);
        ck_assert_int_lt(sent, SIZE);
        ck_assert_int_eq(offset, sent);
        ck_assert_int_eq(coir_sendfile(ends[1], file, &offset, 9), -EPIPE);
        ck_assert_int_eq(offset, sent);
        ck_assert_int_eq(coir_nursery_close(&n), 0);
        ck_assert_int_eq(coir_close(ends[1]), 0);
    }
    return coir_close(file);
}

START_TEST(a_reader_that_leaves_is_told_without_sigpipe)
{
    ck_assert_int_eq(coir_run(send_to_leaver, NULL), 0);
}
END_TEST

/* ---- Abuse. */

static int abuse_sendfile(void *arg)
{
    int ends[2], pipes[2], file = make_file(100, 0);
    off_t offset = -1;
    (void)arg;
    make_pair(ends);
    make_pipe(pipes);
    for (int i = 0; i < 2; i++) {
        offset = -1;
        ck_assert_int_eq(coir_sendfile(ends[1], file, &offset, 1), -EINVAL);
        ck_assert_int_eq(offset, -1);
        offset = 0;
        ck_assert_int_eq(coir_sendfile(ends[1], file, &offset, 0), 0);
        ck_assert_int_eq(coir_sendfile(ends[1], -1, &offset, 1), -EBADF);
        ck_assert_int_eq(coir_sendfile(ends[1], -1, NULL, 1), -EBADF);
        ck_assert_int_eq(coir_sendfile(-1, file, NULL, 1), -EBADF);
        ck_assert_int_eq(coir_sendfile(1 << 20, file, NULL, 1), -EBADF);
        /* Only a file has places in it. */
        ck_assert_int_eq(coir_sendfile(ends[1], pipes[0], NULL, 1), -EINVAL);
        ck_assert_int_eq(coir_sendfile(ends[1], pipes[0], &offset, 1), -ESPIPE);
        /* An end that is for reading alone. */
        ck_assert_int_eq(coir_sendfile(pipes[0], file, NULL, 1), -EBADF);
        ck_assert_int_eq(lseek(file, 0, SEEK_CUR), 0);
        set_nonblocking(ends[1]);
        set_nonblocking(pipes[0]);
    }
    close_both(ends);
    close_both(pipes);
    return coir_close(file);
}

/* As sendfile(2) says, and no number overflows. */
static int send_the_last_byte(void *arg)
{
    int ends[2], file = make_file(1, 0);
    (void)arg;
    make_pair(ends);
    for (int i = 0; i < 2; i++) {
        off_t offset = INT64_MAX - 9, same = offset;
        ssize_t n = coir_sendfile(ends[1], file, &offset, 100000);
        ssize_t expected = sendfile(ends[1], file, &same, 100000);
        ck_assert_int_eq(n, expected < 0 ? -errno : expected);
        ck_assert_int_eq(offset, same);
        set_nonblocking(ends[1]);
    }
    close_both(ends);
    return coir_close(file);
}

START_TEST(behind_the_last_byte_of_all_nothing_is_sent)
{
    ck_assert_int_eq(coir_run(send_the_last_byte, NULL), 0);
}
END_TEST

START_TEST(what_cannot_be_sent_is_refused)
{
    ck_assert_int_eq(coir_sendfile(1, 0, NULL, 1), -EPERM);
    ck_assert_int_eq(coir_run(abuse_sendfile, NULL), 0);
}
END_TEST

COIR_SUITE(sendfile, TEST_WORKERS)
{
    TCase *sends = test_case(suite, "sends");
    tcase_add_test(sends, a_file_goes_to_sockets_and_pipes_that_block_or_not);
    tcase_add_test(sends, a_file_goes_to_a_file);
    tcase_add_test(sends, a_file_of_proc_is_sent);

    TCase *refused = test_case(suite, "what the kernel does not do");
    tcase_add_test(refused, a_copy_is_sent_where_the_kernel_refuses);
    tcase_add_test(refused, what_is_not_cached_is_sent_by_a_thread);

    TCase *stopped = test_case(suite, "stopped");
    tcase_add_test(stopped, what_was_sent_before_it_was_stopped_is_told);
    tcase_add_test(stopped, a_reader_that_leaves_is_told_without_sigpipe);

    TCase *abuse = test_case(suite, "abuse");
    tcase_add_test(abuse, what_cannot_be_sent_is_refused);
    tcase_add_test(abuse, behind_the_last_byte_of_all_nothing_is_sent);
}
