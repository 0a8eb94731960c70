/* test/test_readwrite.c -- io/readwrite.c: reading and writing */
#include "test/harness.h"
#include "test/sockets.h"

#include <pty.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

enum { BIG = 1 << 20 };

/* ---- Both ends of a descriptor pair. */

struct both {
    int ends[2]; /* one to read, one to write */
    size_t size;
};

static int write_big(void *arg)
{
    struct both *b = arg;
    char *bytes = malloc(b->size);
    fill_bytes(bytes, b->size);
    ssize_t n = coir_write_full(b->ends[1], bytes, b->size);
    free(bytes);
    ck_assert_int_eq(n, (ssize_t)b->size);
    return 0;
}

static int read_big(void *arg)
{
    struct both *b = arg;
    char *bytes = malloc(b->size);
    ssize_t n = coir_read_full(b->ends[0], bytes, b->size);
    ck_assert_int_eq(n, (ssize_t)b->size);
    ck_assert(are_bytes(bytes, b->size));
    free(bytes);
    return 0;
}

static int move_big(struct both *b, bool reader_first)
{
    coir_nursery n;
    coir_nursery_open(&n);
    ck_assert_int_eq(coir_go(&n, reader_first ? read_big : write_big, b), 0);
    let_others_park();
    ck_assert_int_eq(coir_go(&n, reader_first ? write_big : read_big, b), 0);
    return coir_nursery_close(&n);
}

static int move_through_all(void *arg)
{
    struct both b = {.size = BIG};
    (void)arg;
    for (int first = 0; first < 2; first++) {
        make_pair(b.ends);
        ck_assert_int_eq(move_big(&b, first), 0);
        close_both(b.ends);
        make_pipe(b.ends);
        ck_assert_int_eq(move_big(&b, first), 0);
        close_both(b.ends);
        make_connection(b.ends);
        ck_assert_int_eq(move_big(&b, first), 0);
        close_both(b.ends);
    }
    return 0;
}

START_TEST(a_megabyte_goes_through_sockets_and_pipes)
{
    ck_assert_int_eq(coir_run(move_through_all, NULL), 0);
}
END_TEST

static int move_through_fifo(void *arg)
{
    char path[] = "/tmp/coir-test-XXXXXX", fifo[64];
    struct both b = {.size = BIG / 16};
    (void)arg;
    ck_assert_ptr_nonnull(mkdtemp(path));
    snprintf(fifo, sizeof fifo, "%s/fifo", path);
    ck_assert_int_eq(mkfifo(fifo, 0600), 0);
    b.ends[0] = open(fifo, O_RDWR | O_CLOEXEC);
    b.ends[1] = open(fifo, O_WRONLY | O_CLOEXEC);
    unlink(fifo);
    rmdir(path);
    int rc = move_big(&b, true);
    close_both(b.ends);
    return rc;
}

START_TEST(a_fifo_which_has_no_nowait_is_never_blocked_on)
{
    ck_assert_int_eq(coir_run(move_through_fifo, NULL), 0);
}
END_TEST

static int flags_stay(void *arg)
{
    struct both b = {.size = BIG / 8};
    (void)arg;
    for (int is_pipe = 0; is_pipe < 2; is_pipe++) {
        if (is_pipe)
            make_pipe(b.ends);
        else
            make_pair(b.ends);
        int before[2] = {fcntl(b.ends[0], F_GETFL), fcntl(b.ends[1], F_GETFL)};
        ck_assert_int_eq(before[0] & O_NONBLOCK, 0);
        ck_assert_int_eq(move_big(&b, true), 0);
        ck_assert_int_eq(fcntl(b.ends[0], F_GETFL), before[0]);
        ck_assert_int_eq(fcntl(b.ends[1], F_GETFL), before[1]);
        close_both(b.ends);
    }
    return 0;
}

START_TEST(flags_of_descriptors_stay_as_they_are)
{
    ck_assert_int_eq(coir_run(flags_stay, NULL), 0);
}
END_TEST

/* ---- Ends. */

static int read_fin_with_data(void *arg)
{
    int ends[2];
    char text[16];
    (void)arg;
    for (int i = 0; i < 20; i++) {
        make_connection(ends);
        /* Parked once, so that it is registered and DRY is believed. */
        ck_assert_int_eq(coir_write(ends[0], "first", 5), 5);
        ck_assert_int_eq(coir_read(ends[1], text, sizeof text), 5);
        ck_assert_int_eq(coir_write(ends[1], "ok", 2), 2);
        ck_assert_int_eq(coir_read(ends[0], text, sizeof text), 2);
        ck_assert_int_eq(coir_write(ends[0], "last", 4), 4);
        ck_assert_int_eq(shutdown(ends[0], SHUT_WR), 0);
        ck_assert_int_eq(coir_read(ends[1], text, sizeof text), 4);
        ck_assert_int_eq(coir_read(ends[1], text, sizeof text), 0);
        ck_assert_int_eq(coir_read(ends[1], text, sizeof text), 0);
        close_both(ends);
    }
    return 0;
}

START_TEST(the_end_that_comes_with_the_data_is_read)
{
    ck_assert_int_eq(coir_run(read_fin_with_data, NULL), 0);
}
END_TEST

static int answer(void *arg)
{
    int *ends = arg;
    char text[64];
    for (;;) {
        ssize_t n = coir_read(ends[1], text, sizeof text);
        if (n <= 0)
            return (int)n;
        ck_assert_int_eq(coir_write(ends[1], text, (size_t)n), n);
    }
}

static int ask_many(void *arg)
{
    int *ends = arg;
    char text[64];
    coir_nursery n;
    make_connection(ends);
    coir_nursery_open(&n);
    ck_assert_int_eq(coir_go(&n, answer, ends), 0);
    for (int i = 0; i < 2000; i++) {
        int length = snprintf(text, sizeof text, "request %d", i);
        ck_assert_int_eq(coir_write(ends[0], text, (size_t)length), length);
        char reply[64] = "";
        ck_assert_int_eq(coir_read(ends[0], reply, sizeof reply), length);
        ck_assert_str_eq(reply, text);
    }
    ck_assert_int_eq(shutdown(ends[0], SHUT_WR), 0);
    int rc = coir_nursery_close(&n);
    close_both(ends);
    return rc;
}

START_TEST(requests_and_answers_go_back_and_forth)
{
    int ends[2];
    ck_assert_int_eq(coir_run(ask_many, ends), 0);
}
END_TEST

static int ends_of_whole_transfers(void *arg)
{
    int ends[2];
    char text[8];
    (void)arg;
    make_pair(ends);
    ck_assert_int_eq(coir_write(ends[1], "abc", 3), 3);
    ck_assert_int_eq(shutdown(ends[1], SHUT_WR), 0);
    ck_assert_int_eq(coir_read_full(ends[0], text, sizeof text), 3);
    ck_assert_int_eq(coir_read_full(ends[0], text, sizeof text), 0);
    ck_assert_int_eq(coir_close(ends[0]), 0);
    ck_assert_int_eq(coir_write_full(ends[1], text, 3), -EPIPE);
    ck_assert_int_eq(coir_close(ends[1]), 0);
    return 0;
}

START_TEST(a_whole_transfer_ends_with_the_stream)
{
    ck_assert_int_eq(coir_run(ends_of_whole_transfers, NULL), 0);
}
END_TEST

static int read_until_reset(void *arg)
{
    int *ends = arg;
    char text[8];
    ck_assert_int_eq(coir_read_full(ends[1], text, sizeof text), 3);
    ck_assert_int_eq(coir_read_full(ends[1], text, sizeof text), -ECONNRESET);
    ck_assert_int_eq(coir_read_full(ends[1], text, sizeof text), 0);
    return 0;
}

static int reset_a_reader(void *arg)
{
    static const struct linger at_once = {.l_onoff = 1};
    int ends[2];
    coir_nursery n;
    (void)arg;
    make_connection(ends);
    coir_nursery_open(&n);
    ck_assert_int_eq(coir_go(&n, read_until_reset, ends), 0);
    ck_assert_int_eq(coir_write(ends[0], "abc", 3), 3);
    int left = 1; /* until it has read them */
    while (left > 0) {
        let_others_park();
        ck_assert_int_eq(ioctl(ends[1], FIONREAD, &left), 0);
    }
    setsockopt(ends[0], SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
    ck_assert_int_eq(coir_close(ends[0]), 0);
    int rc = coir_nursery_close(&n);
    ck_assert_int_eq(coir_close(ends[1]), 0);
    return rc;
}

START_TEST(why_a_whole_transfer_stopped_is_told_by_the_next_call)
{
    ck_assert_int_eq(coir_run(reset_a_reader, NULL), 0);
}
END_TEST

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

/* ---- Cancelling. */

static int read_one(void *arg)
{
    char byte;
    return (int)coir_read(*(int *)arg, &byte, 1);
}

static int read_some(void *arg)
{
    char text[64];
    ssize_t n = coir_read_full(*(int *)arg, text, sizeof text);
    return n == 3 ? -ECANCELED : (int)n;
}

static int cancel_reads(void *arg)
{
    int ends[2];
    char text[16];
    (void)arg;
    for (int kind = 0; kind < 3; kind++) {
        if (kind == 0)
            make_pair(ends);
        else if (kind == 1)
            make_pipe(ends);
        else
            make_connection(ends);
        int *from = &ends[kind == 1 ? 0 : 1], *to = &ends[kind == 1 ? 1 : 0];
        for (int i = 0; i < 3; i++) {
            ck_assert_int_eq(coir_timeout(COIR_MS(1), read_one, from),
                             -ETIMEDOUT);
            ck_assert_int_eq(coir_write(*to, "hello", 5), 5);
            ck_assert_int_eq(coir_read(*from, text, sizeof text), 5);
        }
        /* A whole transfer that is stopped gives what it has. */
        ck_assert_int_eq(coir_write(*to, "abc", 3), 3);
        ck_assert_int_eq(coir_timeout(COIR_MS(5), read_some, from), -ETIMEDOUT);
        ck_assert_int_eq(coir_write(*to, "d", 1), 1);
        ck_assert_int_eq(coir_read(*from, text, sizeof text), 1);
        close_both(ends);
    }
    return 0;
}

START_TEST(a_cancelled_read_leaves_the_connection_as_it_was)
{
    ck_assert_int_eq(coir_run(cancel_reads, NULL), 0);
}
END_TEST

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

static int cancel_writes(void *arg)
{
    int ends[2], empty = 0;
    (void)arg;
    for (int kind = 0; kind < 3; kind++) {
        if (kind == 0)
            make_pair(ends);
        else if (kind == 1)
            make_pipe(ends);
        else
            make_connection(ends);
        ck_assert_int_eq(coir_timeout(COIR_MS(5), fill_up, &ends[1]),
                         -ETIMEDOUT);
        ck_assert_int_eq(coir_close(ends[1]), 0);
        char bytes[4096];
        ssize_t n;
        while ((n = coir_read(ends[0], bytes, sizeof bytes)) > 0)
            empty |= bytes[0];
        ck_assert_int_eq(n, 0);
        ck_assert_int_eq(coir_close(ends[0]), 0);
    }
    return empty;
}

START_TEST(a_write_parks_where_there_is_no_room)
{
    ck_assert_int_eq(coir_run(cancel_writes, NULL), 0);
}
END_TEST

static int read_cancelled(void *arg)
{
    int *ends = arg;
    char byte;
    ck_assert_int_eq(coir_write(ends[1], "x", 1), -ECANCELED);
    ck_assert_int_eq(coir_read(ends[0], &byte, 1), -ECANCELED);
    ck_assert_int_eq(coir_poll(ends[0], COIR_READABLE), -ECANCELED);
    return -ECANCELED;
}

static int start_cancelled(void *arg)
{
    int ends[2];
    char text[8];
    (void)arg;
    make_pair(ends);
    ck_assert_int_eq(coir_write(ends[1], "abc", 3), 3);
    ck_assert_int_eq(coir_timeout(0, read_cancelled, ends), -ETIMEDOUT);
    ck_assert_int_eq(coir_read(ends[0], text, sizeof text), 3);
    close_both(ends);
    return 0;
}

START_TEST(a_cancelled_caller_moves_nothing)
{
    ck_assert_int_eq(coir_run(start_cancelled, NULL), 0);
}
END_TEST

/* ---- Turns. */

enum { WRITERS = 4, PIECE = 200000 };

struct writers {
    int fd;
    int letter;
};

static int write_letters(void *arg)
{
    struct writers *w = arg;
    char *bytes = malloc(PIECE);
    memset(bytes, w->letter, PIECE);
    ssize_t n = coir_write_full(w->fd, bytes, PIECE);
    free(bytes);
    return n == PIECE ? 0 : -EIO;
}

static int write_in_turns(void *arg)
{
    int ends[2];
    struct writers w[WRITERS];
    coir_nursery n;
    (void)arg;
    make_pair(ends);
    coir_nursery_open(&n);
    for (int i = 0; i < WRITERS; i++) {
        w[i] = (struct writers){.fd = ends[1], .letter = 'a' + i};
        ck_assert_int_eq(coir_go(&n, write_letters, &w[i]), 0);
    }
    char *bytes = malloc(PIECE);
    unsigned seen = 0;
    for (int i = 0; i < WRITERS; i++) {
        ck_assert_int_eq(coir_read_full(ends[0], bytes, PIECE), PIECE);
        for (int at = 1; at < PIECE; at++)
            if (bytes[at] != bytes[0])
                ck_abort_msg("two writers have mixed");
        seen |= 1U << (bytes[0] - 'a');
    }
    free(bytes);
    ck_assert_uint_eq(seen, (1U << WRITERS) - 1);
    int rc = coir_nursery_close(&n);
    close_both(ends);
    return rc;
}

START_TEST(writers_of_whole_messages_take_turns)
{
    ck_assert_int_eq(coir_run(write_in_turns, NULL), 0);
}
END_TEST

enum { READERS = 5 };

static _Atomic(unsigned) letters_read;

static int read_letter(void *arg)
{
    char letter;
    ssize_t n = coir_read(*(int *)arg, &letter, 1);
    if (n == 1)
        letters_read |= 1U << (letter - 'a');
    return n == 1 ? 0 : (int)n;
}

static int read_in_turns(void *arg)
{
    int ends[2];
    coir_nursery n;
    (void)arg;
    make_pair(ends);
    letters_read = 0;
    coir_nursery_open(&n);
    for (int i = 0; i < READERS; i++)
        ck_assert_int_eq(coir_go(&n, read_letter, &ends[0]), 0);
    let_others_park();
    for (int i = 0; i < READERS; i++) {
        char letter = (char)('a' + i);
        ck_assert_int_eq(coir_write(ends[1], &letter, 1), 1);
    }
    ck_assert_int_eq(coir_nursery_close(&n), 0);
    ck_assert_uint_eq(letters_read, (1U << READERS) - 1);
    /* One that waits for its turn may be cancelled. */
    coir_nursery_open(&n);
    ck_assert_int_eq(coir_go(&n, read_letter, &ends[0]), 0);
    let_others_park();
    ck_assert_int_eq(coir_timeout(COIR_MS(1), read_one, &ends[0]), -ETIMEDOUT);
    ck_assert_int_eq(coir_write(ends[1], "a", 1), 1);
    int rc = coir_nursery_close(&n);
    close_both(ends);
    return rc;
}

START_TEST(readers_take_turns)
{
    ck_assert_int_eq(coir_run(read_in_turns, NULL), 0);
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
        ck_assert_int_eq(coir_write(ends[1], "abcd" + i, 1), 1);
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

/* ---- Other descriptors. */

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
    char path[] = "/tmp/coir-test-XXXXXX", bytes[5000], back[sizeof bytes + 1];
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

COIR_SUITE(readwrite, TEST_WORKERS)
{
    TCase *moves = test_case(suite, "moves");
    tcase_add_test(moves, a_megabyte_goes_through_sockets_and_pipes);
    tcase_add_test(moves, a_fifo_which_has_no_nowait_is_never_blocked_on);
    tcase_add_test(moves, requests_and_answers_go_back_and_forth);
    tcase_add_test(moves, flags_of_descriptors_stay_as_they_are);
    tcase_add_test(moves, nothing_is_moved_at_once);

    TCase *ends = test_case(suite, "ends");
    tcase_add_test(ends, the_end_that_comes_with_the_data_is_read);
    tcase_add_test(ends, a_whole_transfer_ends_with_the_stream);
    tcase_add_test(ends, why_a_whole_transfer_stopped_is_told_by_the_next_call);
    tcase_add_test(ends, sigpipe_is_never_raised);

    TCase *cancelled = test_case(suite, "cancelled");
    tcase_add_test(cancelled, a_cancelled_read_leaves_the_connection_as_it_was);
    tcase_add_test(cancelled, a_write_parks_where_there_is_no_room);
    tcase_add_test(cancelled, a_cancelled_caller_moves_nothing);

    TCase *turns = test_case(suite, "turns");
    tcase_add_test(turns, writers_of_whole_messages_take_turns);
    tcase_add_test(turns, readers_take_turns);

    TCase *flags = test_case(suite, "flags");
    tcase_add_test(flags, flags_mean_what_they_mean_elsewhere);
    tcase_add_test(flags, waitall_waits_for_all);
    tcase_add_test(flags, every_datagram_is_read);

    TCase *others = test_case(suite, "other descriptors");
    tcase_add_test(others, a_terminal_is_read_line_by_line);
    tcase_add_test(others,
                   a_terminal_that_nobody_reads_holds_up_its_writer_alone);
    tcase_add_test(others, files_are_read_and_written_where_they_stand);
    tcase_add_test(others, an_eventfd_wakes_its_reader);
    tcase_add_test(others, bad_numbers_are_refused);
}
