/* test/test_chan.c -- coir_chan: items that go from fiber to fiber
 *
 * Closing, freeing, and what is refused are in test_chan_end.c. */
#include <coir/chan.h>
#include <coir/run.h>
#include <coir/stats.h>
#include <coir/task.h>
#include <coir/time.h>

#include "test/chan_script.h"
#include "test/harness.h"
#include "test/story.h"

#include <errno.h>

/* ---- A rendezvous ---- */

START_TEST(rendezvous_sender_waits_for_a_receiver)
{
    struct step steps[] = {{1, send_item, .item = 7, .until = 3},
                           {3, receive, .gets = 7}};
    make_chan(0);
    PLAY(steps);
    free_chan();
}
END_TEST

START_TEST(rendezvous_receiver_waits_for_a_sender)
{
    struct step steps[] = {{1, receive, .gets = 7, .until = 3},
                           {3, send_item, .item = 7}};
    make_chan(0);
    PLAY(steps);
    free_chan();
}
END_TEST

START_TEST(rendezvous_receivers_are_served_in_order)
{
    struct step steps[] = {
        {1, receive, .gets = 11, .until = 5},
        {2, receive, .gets = 12, .until = 6},
        {3, receive, .gets = 13, .until = 7},
        {5, send_item, .item = 11},
        {6, try_send, .item = 12},
        {7, send_item, .item = 13},
        {8, try_send, .rc = -EAGAIN},
    };
    make_chan(0);
    PLAY(steps);
    free_chan();
}
END_TEST

START_TEST(rendezvous_senders_are_served_in_order)
{
    struct step steps[] = {
        {1, send_item, .item = 11, .until = 5},
        {2, send_item, .item = 12, .until = 6},
        {3, send_item, .item = 13, .until = 7},
        {5, receive, .gets = 11},
        {6, try_receive, .gets = 12},
        {7, receive, .gets = 13},
        {8, try_receive, .rc = -EAGAIN},
    };
    make_chan(0);
    PLAY(steps);
    free_chan();
}
END_TEST

START_TEST(rendezvous_without_a_partner_is_not_tried)
{
    struct step steps[] = {{1, try_send, .item = 7, .rc = -EAGAIN},
                           {2, try_receive, .rc = -EAGAIN}};
    make_chan(0);
    PLAY(steps);
    free_chan();
}
END_TEST

/* ---- With room for some ---- */

START_TEST(channel_of_two_takes_two_before_a_sender_waits)
{
    struct step steps[] = {
        {1, send_item, .item = 11},
        {2, send_item, .item = 12},
        {3, try_send, .item = 99, .rc = -EAGAIN},
        {4, send_item, .item = 13, .until = 6},
        {5, send_item, .item = 14, .until = 7},
        {6, receive, .gets = 11},
        {7, receive, .gets = 12},
        {8, try_send, .item = 99, .rc = -EAGAIN}, /* both were let in */
        {9, receive, .gets = 13},
        {10, send_item, .item = 15}, /* round the end of the ring */
        {11, receive, .gets = 14},
        {12, try_receive, .gets = 15},
        {13, try_receive, .rc = -EAGAIN},
    };
    make_chan(2);
    PLAY(steps);
    free_chan();
}
END_TEST

START_TEST(channel_with_room_hands_over_to_who_waits)
{
    struct step steps[] = {
        {1, receive, .gets = 11, .until = 3},
        {2, receive, .gets = 12, .until = 4},
        {3, send_item, .item = 11},
        {4, send_item, .item = 12},
        {5, try_receive, .rc = -EAGAIN},
    };
    make_chan(3);
    PLAY(steps);
    free_chan();
}
END_TEST

static int count_round(void *arg)
{
    const int capacity = *(const int *)arg;
    int sent = 0, received = 0, item, rc = 0;
    for (int round = 0; round < 3 * capacity + 3; round++) {
        for (int i = 0; i < round % (capacity + 1); i++, sent++)
            rc |= coir_chan_try_send(chan, &sent);
        for (; received < sent; received++) {
            rc |= coir_chan_try_recv(chan, &item);
            ck_assert_int_eq(item, received);
        }
        ck_assert_int_eq(coir_chan_try_recv(chan, &item), -EAGAIN);
    }
    return rc;
}

START_TEST(items_come_in_order_wherever_the_ring_begins)
{
    for (int capacity = 1; capacity < 9; capacity++) {
        make_chan((size_t)capacity);
        ck_assert_int_eq(coir_run(count_round, &capacity), 0);
        free_chan();
    }
}
END_TEST

/* ---- Cancelled while they wait ---- */

START_TEST(cancelled_sender_has_not_sent)
{
    struct step steps[] = {
        {1, send_item, .item = 11, .until = 5},
        {2, send_item, .item = 12, .cancelled = 4, .rc = -ECANCELED,
         .until = 4},
        {3, send_item, .item = 13, .until = 6},
        {5, receive, .gets = 11},
        {6, receive, .gets = 13},
        {7, try_receive, .rc = -EAGAIN},
    };
    make_chan(0);
    PLAY(steps);
    free_chan();
}
END_TEST

START_TEST(cancelled_sender_leaves_no_item_in_a_channel_with_room)
{
    struct step steps[] = {
        {1, send_item, .item = 11},
        {2, send_item, .item = 12, .cancelled = 3, .rc = -ECANCELED,
         .until = 3},
        {4, receive, .gets = 11},
        {5, try_receive, .rc = -EAGAIN},
    };
    make_chan(1);
    PLAY(steps);
    free_chan();
}
END_TEST

START_TEST(cancelled_receiver_gets_nothing_and_the_next_does)
{
    struct step steps[] = {
        {1, receive, .item = 5, .gets = 5, .cancelled = 3, .rc = -ECANCELED,
         .until = 3},
        {2, receive, .gets = 11, .until = 4},
        {4, send_item, .item = 11},
        {5, try_send, .item = 12, .rc = -EAGAIN},
    };
    make_chan(0);
    PLAY(steps);
    free_chan();
}
END_TEST

static int call_cancelled(void *arg)
{
    (void)arg;
    coir_scope scope;
    int item = 7;
    coir_scope_open(&scope);
    coir_scope_cancel(&scope);
    ck_assert_int_eq(coir_chan_send(chan, &item), -ECANCELED);
    ck_assert_int_eq(coir_chan_recv(chan, &item), -ECANCELED);
    ck_assert_int_eq(coir_scope_close(&scope, 0), 0);
    ck_assert_int_eq(coir_chan_try_recv(chan, &item), -EAGAIN);
    return 0;
}

START_TEST(call_of_a_cancelled_fiber_has_no_effect)
{
    make_chan(1);
    ck_assert_int_eq(coir_run(call_cancelled, NULL), 0);
    free_chan();
}
END_TEST

/* Before the fiber that waits runs again: it is cancelled, and then somebody
 * would give it an item; or the other way round. With one worker. */

static int cancel_then_send(void *arg)
{
    (void)arg;
    coir_nursery nursery;
    coir_task tasks[2];
    int items[2], seven = 7;
    ck_assert_int_eq(start_two_receivers(&nursery, tasks, items), 0);
    coir_task_cancel(&tasks[0]);
    ck_assert_int_eq(coir_chan_try_send(chan, &seven), 0); /* to the second */
    ck_assert_int_eq(coir_nursery_close(&nursery), 0);
    ck_assert_int_eq(coir_task_result(&tasks[0]), -ECANCELED);
    ck_assert_int_eq(items[0], 0);
    ck_assert_int_eq(coir_task_result(&tasks[1]), 0);
    ck_assert_int_eq(items[1], 7);
    return 0;
}

static int send_then_cancel(void *arg)
{
    (void)arg;
    coir_nursery nursery;
    coir_task tasks[2];
    int items[2], seven = 7, eight = 8;
    ck_assert_int_eq(start_two_receivers(&nursery, tasks, items), 0);
    ck_assert_int_eq(coir_chan_try_send(chan, &seven), 0); /* to the first */
    coir_task_cancel(&tasks[0]); /* too late: success wins */
    ck_assert_int_eq(coir_chan_try_send(chan, &eight), 0);
    ck_assert_int_eq(coir_nursery_close(&nursery), 0);
    for (int i = 0; i < 2; i++) {
        ck_assert_int_eq(coir_task_result(&tasks[i]), 0);
        ck_assert_int_eq(items[i], 7 + i);
    }
    return 0;
}

START_TEST(item_passes_by_a_receiver_that_was_cancelled_first)
{
    make_chan(0);
    ck_assert_int_eq(run_story(1, cancel_then_send, NULL), 0);
    free_chan();
}
END_TEST

START_TEST(item_that_was_given_stays_given)
{
    make_chan(0);
    ck_assert_int_eq(run_story(1, send_then_cancel, NULL), 0);
    free_chan();
}
END_TEST

/* ---- Where the woken fiber goes ---- */

static int send_some(void *arg)
{
    int rc = 0;
    for (int i = 0; i < *(const int *)arg && rc == 0; i++)
        rc = coir_chan_send(chan, &i);
    coir_chan_close(chan);
    return rc;
}

static int count_switches(void *arg)
{
    int count = 10000, item, rc;
    (void)arg;
    coir_nursery nursery;
    coir_stats before, after;
    coir_nursery_open(&nursery);
    coir_stats_get(&before);
    rc = coir_go(&nursery, send_some, &count);
    while (rc == 0)
        rc = coir_chan_recv(chan, &item);
    ck_assert_int_eq(rc, -EPIPE);
    rc = coir_nursery_close(&nursery);
    coir_stats_get(&after);
    /* Two messages for each time that one waits and the other goes on. */
    ck_assert_uint_lt(after.parks - before.parks, 10100);
    ck_assert_uint_lt(after.switches - before.switches, 10300);
    return rc;
}

START_TEST(rendezvous_switches_once_a_message)
{
    make_chan(0);
    ck_assert_int_eq(run_workers(1, count_switches, NULL), 0);
    free_chan();
}
END_TEST

COIR_SUITE(chan, TEST_WORKERS | TEST_SEEDED)
{
    TCase *rendezvous = test_case(suite, "rendezvous");
    tcase_add_test(rendezvous, rendezvous_sender_waits_for_a_receiver);
    tcase_add_test(rendezvous, rendezvous_receiver_waits_for_a_sender);
    tcase_add_test(rendezvous, rendezvous_receivers_are_served_in_order);
    tcase_add_test(rendezvous, rendezvous_senders_are_served_in_order);
    tcase_add_test(rendezvous, rendezvous_without_a_partner_is_not_tried);
    tcase_add_test(rendezvous, rendezvous_switches_once_a_message);

    TCase *room = test_case(suite, "room for some");
    tcase_add_test(room, channel_of_two_takes_two_before_a_sender_waits);
    tcase_add_test(room, channel_with_room_hands_over_to_who_waits);
    tcase_add_test(room, items_come_in_order_wherever_the_ring_begins);

    TCase *cancelled = test_case(suite, "cancelled");
    tcase_add_test(cancelled, cancelled_sender_has_not_sent);
    tcase_add_test(cancelled,
                   cancelled_sender_leaves_no_item_in_a_channel_with_room);
    tcase_add_test(cancelled,
                   cancelled_receiver_gets_nothing_and_the_next_does);
    tcase_add_test(cancelled, call_of_a_cancelled_fiber_has_no_effect);
    tcase_add_test(cancelled,
                   item_passes_by_a_receiver_that_was_cancelled_first);
    tcase_add_test(cancelled, item_that_was_given_stays_given);
}
