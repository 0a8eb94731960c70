/* test/test_descriptor_end.c -- io/descriptor.h, io/transfer.c: what is left of
 * a call, and of a file, to those that come after */
#include "io/descriptor.h"
#include "test/harness.h"
#include "test/sockets.h"

#include <sys/eventfd.h>
#include <sys/ioctl.h>

/* ---- Calls inside. */

/* The call before took the READY of a close, and left DRY to one which had the
 * turn from it before the closer had woken those who wait for turns. */
START_TEST(a_call_whose_turn_came_with_a_close_does_not_wait)
{
    const uint64_t granted = COIR_I_REGISTERED | COIR_I_MADE;
    coir_i_descriptor slot = {.side = {COIR_I_DRY, COIR_I_DRY}};
    coir_i_call call = {.slot = &slot, .fd = 5, .side = COIR_I_READER};
    store_relaxed(&slot.state, granted + COIR_I_CALL);
    ck_assert_int_eq(coir_i_call_try(&call), 0);
    store_relaxed(&slot.state, (granted | COIR_I_CLOSING) + COIR_I_CALL);
    ck_assert_int_eq(coir_i_call_try(&call), -EBADF);
}
END_TEST

static int enter_often(void *arg)
{
    enum { CALLS = 200000 };
    coir_i_descriptor *slot;
    int ends[2], refused = 0;
    (void)arg;
    make_pipe(ends);
    ck_assert_int_eq(coir_i_slot_get(ends[0], &slot), 0);
    for (int i = 0; i < CALLS; i++)
        refused += coir_i_slot_enter(slot) != 0;
    ck_assert_int_eq(refused, 0);
    ck_assert_int_eq(coir_try_poll(ends[0], COIR_READABLE), 0);
    for (int i = 0; i < CALLS; i++)
        refused += coir_i_slot_leave(slot, ends[0]) != 0;
    ck_assert_int_eq(refused, 0);
    ck_assert_uint_eq(load_relaxed(&slot->state) & COIR_I_CALLS, 0);
    close_both(ends);
    return 0;
}

START_TEST(any_number_of_calls_may_be_inside)
{
    ck_assert_int_eq(coir_run(enter_often, NULL), 0);
}
END_TEST

/* ---- What stopped a whole transfer half-way. */

static int read_until_reset(void *arg)
{
    const int *ends = arg;
    char text[8];
    ck_assert_int_eq(coir_read_full(ends[1], text, sizeof text), 3);
    return 0;
}

/* ends[1] was read, and reset, and nobody was told why. */
static void reset_connection(int ends[2])
{
    static const struct linger at_once = {.l_onoff = 1};
    int left = 1; /* until it has read them */
    coir_nursery n;
    make_connection(ends);
    coir_nursery_open(&n);
    ck_assert_int_eq(coir_go(&n, read_until_reset, ends), 0);
    ck_assert_int_eq(coir_write(ends[0], "abc", 3), 3);
    while (left > 0) {
        let_others_park();
        ck_assert_int_eq(ioctl(ends[1], FIONREAD, &left), 0);
    }
    setsockopt(ends[0], SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
    ck_assert_int_eq(coir_close(ends[0]), 0);
    ck_assert_int_eq(coir_nursery_close(&n), 0);
}

/* dup2 and close(2) tell coir of nothing. */
static int replace_a_reset_one(void *arg)
{
    int ends[2];
    char byte;
    (void)arg;
    reset_connection(ends);
    ck_assert_int_eq(coir_read(ends[1], &byte, 1), -ECONNRESET);
    ck_assert_int_eq(coir_close(ends[1]), 0);

    reset_connection(ends);
    int nothing = open("/dev/null", O_RDONLY | O_CLOEXEC);
    ck_assert_int_eq(dup2(nothing, ends[1]), ends[1]);
    ck_assert_int_eq(coir_read(ends[1], &byte, 1), 0);
    close(nothing);
    return coir_close(ends[1]);
}

START_TEST(why_it_stopped_is_not_told_of_another_file)
{
    ck_assert_int_eq(coir_run(replace_a_reset_one, NULL), 0);
}
END_TEST

/* ---- Ends of messages. */

/* Each read of these takes one message, or one of a number. */
static int read_messages(void *arg)
{
    char bytes[64];
    int ends[2];
    (void)arg;
    ck_assert_int_eq(pipe2(ends, O_DIRECT | O_CLOEXEC), 0);
    ck_assert_int_eq(write(ends[1], "one", 3), 3);
    ck_assert_int_eq(write(ends[1], "two", 3), 3);
    ck_assert_int_eq(coir_read(ends[0], bytes, sizeof bytes), 3);
    ck_assert_int_eq(coir_read(ends[0], bytes, sizeof bytes), 3);
    close_both(ends);
    int fd = eventfd(3, EFD_SEMAPHORE | EFD_NONBLOCK | EFD_CLOEXEC);
    ck_assert_int_ge(fd, 0);
    for (int i = 0; i < 3; i++)
        ck_assert_int_eq(coir_read(fd, bytes, sizeof bytes), 8);
    ck_assert_int_eq(read(fd, bytes, sizeof bytes), -1);
    return coir_close(fd);
}

START_TEST(messages_are_read_one_by_one)
{
    ck_assert_int_eq(coir_run(read_messages, NULL), 0);
}
END_TEST

COIR_SUITE(descriptor_end, TEST_WORKERS)
{
    TCase *inside = test_case(suite, "inside");
    tcase_add_test(inside, a_call_whose_turn_came_with_a_close_does_not_wait);
    tcase_add_test(inside, any_number_of_calls_may_be_inside);

    TCase *file = test_case(suite, "another file");
    tcase_add_test(file, why_it_stopped_is_not_told_of_another_file);

    TCase *messages = test_case(suite, "messages");
    tcase_add_test(messages, messages_are_read_one_by_one);
}
