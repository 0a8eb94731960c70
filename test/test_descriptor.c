/* test/test_descriptor.c -- io/descriptor.c, turn.c, wait.c, table.c and
 * doubt.c: what becomes of a descriptor's number */
#include "io/descriptor.h"
#include "test/harness.h"
#include "test/sockets.h"

/* ---- Close while others wait. */

enum way { READ, WRITE, WRITE_ALL, ACCEPT, POLL_READ, POLL_WRITE };

struct waiter {
    int fd;
    enum way way;
    ssize_t rc;
};

static ssize_t wait_in(struct waiter *w)
{
    static char bytes[1 << 20];
    char byte;
    switch (w->way) {
    case READ:
        return coir_read(w->fd, &byte, 1);
    case WRITE:
        return coir_write(w->fd, bytes, sizeof bytes);
    case WRITE_ALL:
        return coir_write_full(w->fd, bytes, sizeof bytes);
    case ACCEPT:
        return coir_accept(w->fd, NULL, NULL);
    case POLL_READ:
        return coir_poll(w->fd, COIR_READABLE);
    case POLL_WRITE:
        return coir_poll(w->fd, COIR_WRITABLE);
    }
    return -ENOTSUP;
}

static int run_waiter(void *arg)
{
    struct waiter *w = arg;
    w->rc = wait_in(w);
    return 0;
}

static void fill_up(int fd)
{
    static const char zeros[4096];
    for (size_t size = sizeof zeros; size > 0; size /= 2) {
        while (send(fd, zeros, size, MSG_DONTWAIT) > 0) {
        }
    }
}

/* How many wait on it: for an edge, a turn, or watching. */
static size_t count_parked(int fd)
{
    coir_i_descriptor *slot = coir_i_slot_find(fd);
    size_t count = 0;
    if (!slot)
        return 0;
    for (int side = 0; side < 2; side++)
        count += load_relaxed(&slot->side[side]) > COIR_I_DRY;
    coir_i_spin_lock(&slot->lock);
    for (int list = 0; list < COIR_I_QUEUES; list++) {
        for (coir_i_queued *q = slot->queue[list].first; q; q = q->next)
            count++;
    }
    coir_i_spin_unlock(&slot->lock);
    return count;
}

/* Several wait on fd, some for their turn, when it is closed. */
static void close_under(int fd, const enum way *ways, size_t count)
{
    struct waiter w[8];
    coir_nursery n;
    coir_nursery_open(&n);
    for (size_t i = 0; i < count; i++) {
        w[i] = (struct waiter){.fd = fd, .way = ways[i], .rc = 1};
        ck_assert_int_eq(coir_go(&n, run_waiter, &w[i]), 0);
    }
    while (count_parked(fd) < count)
        let_others_park();
    ck_assert_int_eq(coir_close(fd), 0);
    ck_assert_int_eq(fcntl(fd, F_GETFD), -1); /* at once, for good */
    ck_assert_int_eq(coir_nursery_close(&n), 0);
    for (size_t i = 0; i < count; i++)
        ck_assert_int_eq(w[i].rc, -EBADF);
    ck_assert_int_eq(coir_close(fd), -EBADF);
}

static int close_all_kinds(void *arg)
{
    static const enum way readers[] = {READ, READ, POLL_READ, POLL_READ, READ};
    static const enum way all[] = {READ,      WRITE,     READ,       WRITE,
                                   POLL_READ, WRITE_ALL, POLL_WRITE, READ};
    static const enum way acceptors[] = {ACCEPT, ACCEPT, POLL_READ};
    int ends[2];
    (void)arg;
    for (int i = 0; i < 5; i++) {
        make_pair(ends);
        fill_up(ends[0]);
        close_under(ends[0], all, 8);
        ck_assert_int_eq(coir_close(ends[1]), 0);
        make_connection(ends);
        close_under(ends[0], readers, 5);
        ck_assert_int_eq(coir_close(ends[1]), 0);
    }
    int listener = coir_listen(":0", 5);
    ck_assert_int_ge(listener, 0);
    close_under(listener, acceptors, 3);
    make_pipe(ends);
    close_under(ends[0], readers, 5);
    ck_assert_int_eq(coir_close(ends[1]), 0);
    return 0;
}

START_TEST(whoever_waits_gets_ebadf)
{
    ck_assert_int_eq(coir_run(close_all_kinds, NULL), 0);
}
END_TEST

static int close_and_listen_again(void *arg)
{
    static const enum way acceptors[] = {ACCEPT};
    char address[64];
    (void)arg;
    int listener = coir_listen("127.0.0.1:0", 5);
    coir_local_address(listener, address, sizeof address);
    for (int i = 0; i < 20; i++) {
        close_under(listener, acceptors, 1);
        listener = coir_listen(address, 5);
        ck_assert_int_ge(listener, 0);
    }
    ck_assert_int_eq(coir_close(listener), 0);
    return 0;
}

START_TEST(a_close_is_done_when_it_returns)
{
    ck_assert_int_eq(coir_run(close_and_listen_again, NULL), 0);
}
END_TEST

static int close_nothing(void *arg)
{
    (void)arg;
    ck_assert_int_eq(coir_close(-1), -EBADF);
    ck_assert_int_eq(coir_close(next_number()), -EBADF);
    ck_assert_int_eq(coir_close(1 << 30), -EBADF);
    return 0;
}

START_TEST(closing_what_is_not_open_says_so)
{
    close_nothing(NULL); /* close does not park: anyone may call it */
    ck_assert_int_eq(coir_run(close_nothing, NULL), 0);
    int ends[2];
    make_pipe(ends);
    close_both(ends);
}
END_TEST

static int close_cancelled(void *arg)
{
    COIR_IGNORE(coir_sleep(COIR_NEVER));
    return coir_close(*(int *)arg) == 0 ? -ECANCELED : -EIO;
}

static int close_in_timeout(void *arg)
{
    int ends[2];
    (void)arg;
    make_pair(ends);
    ck_assert_int_eq(coir_timeout(COIR_MS(1), close_cancelled, &ends[0]),
                     -ETIMEDOUT);
    ck_assert_int_eq(fcntl(ends[0], F_GETFD), -1);
    ck_assert_int_eq(coir_close(ends[1]), 0);
    return 0;
}

START_TEST(a_cancelled_fiber_can_close)
{
    ck_assert_int_eq(coir_run(close_in_timeout, NULL), 0);
}
END_TEST

/* ---- Numbers that come back. */

static int read_one(void *arg)
{
    char byte;
    return (int)coir_read(*(int *)arg, &byte, 1);
}

static int write_later(void *arg)
{
    let_others_park();
    return (int)coir_write(*(int *)arg, "x", 1) - 1;
}

/* A fiber waits at one end and is woken by the other. */
static void pass_a_byte(const int ends[2])
{
    int to = ends[1], from = ends[0];
    coir_nursery n;
    coir_nursery_open(&n);
    ck_assert_int_eq(coir_go(&n, write_later, &to), 0);
    ck_assert_int_eq(read_one(&from), 1);
    ck_assert_int_eq(coir_nursery_close(&n), 0);
    /* And there is no second one. */
    ck_assert_int_eq(coir_timeout(COIR_MS(1), read_one, &from), -ETIMEDOUT);
}

typedef void maker(int ends[2]);

static int reuse_numbers(void *arg)
{
    static maker *const makers[] = {make_pipe, make_pair, make_connection};
    bool behind = *(bool *)arg;
    int ends[2], first[2];
    for (int i = 0; i < 18; i++) {
        makers[i % 3](first);
        pass_a_byte(first);
        if (behind) {
            close(first[0]);
            close(first[1]);
        } else {
            close_both(first);
        }
        makers[(i / 3 + i) % 3](ends);
        pass_a_byte(ends);
        close_both(ends);
    }
    return 0;
}

START_TEST(a_number_that_is_reused_begins_anew)
{
    bool behind = false;
    ck_assert_int_eq(coir_run(reuse_numbers, &behind), 0);
}
END_TEST

START_TEST(a_number_that_was_closed_behind_our_back_begins_anew)
{
    bool behind = true;
    ck_assert_int_eq(coir_run(reuse_numbers, &behind), 0);
}
END_TEST

static int leave_ready(void *arg)
{
    int ends[2], others[2];
    (void)arg;
    /* Readable when it was closed: the next of that number is not. */
    for (int i = 0; i < 6; i++) {
        if (i % 2)
            make_connection(ends);
        else
            make_pair(ends);
        ck_assert_int_eq(coir_timeout(0, read_one, &ends[0]), -ETIMEDOUT);
        ck_assert_int_eq(coir_write(ends[1], "x", 1), 1);
        if (i < 3) {
            close_both(ends);
        } else {
            close(ends[0]);
            close(ends[1]);
        }
        make_pair(others);
        ck_assert_int_eq(coir_timeout(COIR_MS(1), read_one, &others[0]),
                         -ETIMEDOUT);
        close_both(others);
    }
    return 0;
}

START_TEST(what_was_ready_is_not_ready_under_a_new_file)
{
    ck_assert_int_eq(coir_run(leave_ready, NULL), 0);
}
END_TEST

static int close_a_copy(void *arg)
{
    int ends[2];
    (void)arg;
    for (int i = 0; i < 3; i++) {
        make_pair(ends);
        int copy = dup(ends[0]);
        int both[2] = {ends[0], ends[1]};
        pass_a_byte(both);
        both[0] = copy;
        pass_a_byte(both);
        ck_assert_int_eq(coir_close(ends[0]), 0);
        pass_a_byte(both);
        /* The old number is another file now, while the first lives on. */
        int others[2];
        make_pipe(others);
        ck_assert_int_eq(others[0], ends[0]);
        pass_a_byte(others);
        pass_a_byte(both);
        close_both(others);
        ck_assert_int_eq(coir_close(copy), 0);
        ck_assert_int_eq(coir_close(ends[1]), 0);
    }
    return 0;
}

START_TEST(copies_of_a_descriptor_live_on_their_own)
{
    ck_assert_int_eq(coir_run(close_a_copy, NULL), 0);
}
END_TEST

static int replace_by_dup2(void *arg)
{
    int ends[2], others[2];
    (void)arg;
    make_connection(ends);
    pass_a_byte(ends);
    make_pair(others);
    ck_assert_int_eq(dup2(others[0], ends[0]), ends[0]);
    int mixed[2] = {ends[0], others[1]};
    pass_a_byte(mixed);
    ck_assert_int_eq(coir_close(ends[1]), 0);
    pass_a_byte(mixed);
    ck_assert_int_eq(coir_close(ends[0]), 0);
    close_both(others);
    return 0;
}

START_TEST(a_number_that_dup2_has_replaced_is_the_new_file)
{
    ck_assert_int_eq(coir_run(replace_by_dup2, NULL), 0);
}
END_TEST

static int use_high_numbers(void *arg)
{
    int ends[2];
    (void)arg;
    make_pair(ends);
    for (int number = 60; number < 900; number += 131) {
        ck_assert_int_eq(dup2(ends[0], number), number);
        int both[2] = {number, ends[1]};
        pass_a_byte(both);
        ck_assert_int_eq(coir_close(number), 0);
    }
    close_both(ends);
    return 0;
}

START_TEST(any_number_will_do)
{
    ck_assert_int_eq(coir_run(use_high_numbers, NULL), 0);
}
END_TEST

/* ---- Poll. */

static int poll_both(void *arg)
{
    int ends[2];
    (void)arg;
    make_pair(ends);
    enum { BOTH = COIR_READABLE | COIR_WRITABLE };
    ck_assert_int_eq(coir_poll(ends[0], BOTH), COIR_WRITABLE);
    ck_assert_int_eq(coir_write(ends[1], "x", 1), 1);
    ck_assert_int_eq(coir_poll(ends[0], BOTH), BOTH);
    ck_assert_int_eq(coir_poll(ends[0], COIR_READABLE), COIR_READABLE);
    ck_assert_int_eq(read_one(&ends[0]), 1);
    ck_assert_int_eq(coir_close(ends[1]), 0);
    ck_assert_int_eq(coir_poll(ends[0], COIR_READABLE), COIR_READABLE);
    ck_assert_int_eq(coir_close(ends[0]), 0);
    make_pipe(ends);
    ck_assert_int_eq(coir_close(ends[0]), 0);
    ck_assert_int_eq(coir_poll(ends[1], COIR_WRITABLE), COIR_WRITABLE);
    ck_assert_int_eq(coir_close(ends[1]), 0);
    return 0;
}

START_TEST(poll_tells_what_would_not_park)
{
    ck_assert_int_eq(coir_run(poll_both, NULL), 0);
}
END_TEST

static int poll_to_the_end(void *arg)
{
    struct waiter *w = arg;
    for (;;) {
        w->rc = coir_poll(w->fd, COIR_READABLE);
        if (w->rc != 0)
            return 0;
    }
}

static int poll_beside_readers(void *arg)
{
    int ends[2];
    struct waiter w[3];
    coir_nursery n;
    (void)arg;
    for (int kind = 0; kind < 2; kind++) {
        if (kind == 0)
            make_pair(ends);
        else
            make_connection(ends);
        coir_nursery_open(&n);
        for (int i = 0; i < 3; i++) {
            w[i] = (struct waiter){.fd = ends[0]};
            ck_assert_int_eq(coir_go(&n, poll_to_the_end, &w[i]), 0);
        }
        let_others_park();
        ck_assert_int_eq(coir_write(ends[1], "x", 1), 1);
        ck_assert_int_eq(coir_nursery_close(&n), 0);
        for (int i = 0; i < 3; i++)
            ck_assert_int_eq(w[i].rc, COIR_READABLE);
        ck_assert_int_eq(read_one(&ends[0]), 1);
        close_both(ends);
    }
    return 0;
}

START_TEST(an_event_wakes_all_who_poll)
{
    ck_assert_int_eq(coir_run(poll_beside_readers, NULL), 0);
}
END_TEST

static int poll_one(void *arg)
{
    return coir_poll(*(int *)arg, COIR_READABLE);
}

static int poll_and_cancel(void *arg)
{
    int ends[2];
    (void)arg;
    make_pair(ends);
    for (int i = 0; i < 3; i++)
        ck_assert_int_eq(coir_timeout(COIR_MS(1), poll_one, &ends[0]),
                         -ETIMEDOUT);
    ck_assert_int_eq(coir_write(ends[1], "x", 1), 1);
    ck_assert_int_eq(poll_one(&ends[0]), COIR_READABLE);
    close_both(ends);
    return 0;
}

START_TEST(a_cancelled_poll_leaves_nothing_behind)
{
    ck_assert_int_eq(coir_run(poll_and_cancel, NULL), 0);
}
END_TEST

COIR_SUITE(descriptor, TEST_WORKERS)
{
    TCase *closed = test_case(suite, "closed");
    tcase_add_test(closed, whoever_waits_gets_ebadf);
    tcase_add_test(closed, a_close_is_done_when_it_returns);
    tcase_add_test(closed, closing_what_is_not_open_says_so);
    tcase_add_test(closed, a_cancelled_fiber_can_close);

    TCase *numbers = test_case(suite, "numbers");
    tcase_add_test(numbers, a_number_that_is_reused_begins_anew);
    tcase_add_test(numbers,
                   a_number_that_was_closed_behind_our_back_begins_anew);
    tcase_add_test(numbers, what_was_ready_is_not_ready_under_a_new_file);
    tcase_add_test(numbers, copies_of_a_descriptor_live_on_their_own);
    tcase_add_test(numbers, a_number_that_dup2_has_replaced_is_the_new_file);
    tcase_add_test(numbers, any_number_will_do);

    TCase *polled = test_case(suite, "polled");
    tcase_add_test(polled, poll_tells_what_would_not_park);
    tcase_add_test(polled, an_event_wakes_all_who_poll);
    tcase_add_test(polled, a_cancelled_poll_leaves_nothing_behind);
}
