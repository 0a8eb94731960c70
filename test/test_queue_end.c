/* test/test_queue_end.c -- coir_queue: done, join and shutdown */
#include <coir/queue.h>
#include <coir/run.h>
#include <coir/task.h>
#include <coir/time.h>

#include "test/harness.h"
#include "test/queue_script.h"

#include <errno.h>

static enum coir_order order; /* in which the tests of a loop run */

/* A test that holds in every order. */
static void play_in_all(size_t capacity, struct step *steps, int count)
{
    for (order = COIR_FIFO; order <= COIR_PRIORITY; order++) {
        make_queue(order, capacity);
        play(steps, count);
        free_queue();
    }
}

#define PLAY_IN_ALL(capacity, steps) \
    play_in_all(capacity, steps, (int)(sizeof(steps) / sizeof *(steps)))

/* ---- done ---- */

START_TEST(done_more_often_than_got_is_refused)
{
    struct step steps[] = {
        {1, done, .rc = -EINVAL}, {2, put, .item = 11},
        {3, done, .rc = -EINVAL}, /* put, but not got */
        {4, get, .gets = 11},     {5, done, .rc = 0},
        {6, done, .rc = -EINVAL},
    };
    PLAY_IN_ALL(0, steps);
}
END_TEST

START_TEST(item_handed_to_who_waits_is_got)
{
    struct step steps[] = {
        {1, get, .gets = 11, .until = 2},
        {2, put, .item = 11},
        {3, join, .until = 4},
        {4, done, .rc = 0},
        {5, done, .rc = -EINVAL},
    };
    PLAY_IN_ALL(1, steps);
}
END_TEST

/* ---- join ---- */

START_TEST(join_waits_until_each_item_is_dealt_with)
{
    struct step steps[] = {
        {1, put, .item = 11},  {2, put, .item = 12},
        {3, join, .until = 8}, {4, get, .item = 0},
        {5, get, .item = 0},   {6, join, .until = 8},
        {7, done, .rc = 0},    {8, done, .rc = 0},
        {9, join, .rc = 0}, /* there is nothing to wait for */
    };
    PLAY_IN_ALL(0, steps);
}
END_TEST

START_TEST(join_of_a_queue_never_used_returns_at_once)
{
    struct step steps[] = {{1, join, .rc = 0}};
    PLAY_IN_ALL(0, steps);
}
END_TEST

START_TEST(join_ends_though_more_is_put_at_once)
{
    struct step steps[] = {
        {1, put, .item = 11}, {2, join, .until = 4}, {3, get, .gets = 11},
        {4, done, .rc = 0},   {5, put, .item = 12},  {6, join, .until = 8},
        {7, get, .gets = 12}, {8, done, .rc = 0},
    };
    PLAY_IN_ALL(1, steps);
}
END_TEST

START_TEST(join_counts_what_waits_to_be_put)
{
    struct step steps[] = {
        {1, put, .item = 11},  {2, put, .item = 11, .until = 4},
        {3, join, .until = 7}, {4, get, .gets = 11},
        {5, done, .rc = 0},    {6, get, .gets = 11},
        {7, done, .rc = 0},
    };
    PLAY_IN_ALL(1, steps);
}
END_TEST

START_TEST(cancelled_join_stops_waiting)
{
    struct step steps[] = {
        {1, put, .item = 11},
        {2, join, .cancelled = 4, .rc = -ECANCELED, .until = 4},
        {3, join, .until = 6},
        {5, get, .gets = 11},
        {6, done, .rc = 0},
    };
    PLAY_IN_ALL(0, steps);
}
END_TEST

/* ---- shutdown ---- */

START_TEST(shutdown_lets_getters_drain_and_then_tells_them)
{
    struct step steps[] = {
        {1, put, .item = 11},
        {2, put, .item = 11},
        {3, shut, .rc = 0},
        {4, put, .item = 12, .rc = -EPIPE},
        {5, try_put, .item = 12, .rc = -EPIPE},
        {6, get, .gets = 11},
        {7, try_get, .gets = 11},
        {8, get, .rc = -EPIPE},
        {9, try_get, .rc = -EPIPE},
        {10, shut, .rc = 0},
        {11, get, .rc = -EPIPE},
    };
    PLAY_IN_ALL(0, steps);
}
END_TEST

START_TEST(shutdown_tells_all_who_wait_to_get)
{
    struct step steps[] = {
        {1, get, .rc = -EPIPE, .until = 4},
        {2, get, .rc = -EPIPE, .until = 4},
        {3, get, .rc = -EPIPE, .until = 4},
        {4, shut, .rc = 0},
    };
    PLAY_IN_ALL(0, steps);
}
END_TEST

START_TEST(shutdown_refuses_who_waits_to_put_and_keeps_what_was_put)
{
    struct step steps[] = {
        {1, put, .item = 11},
        {2, put, .item = 12, .rc = -EPIPE, .until = 4},
        {3, put, .item = 13, .rc = -EPIPE, .until = 4},
        {4, shut, .rc = 0},
        {5, ask_length, .rc = 1},
        {6, get, .gets = 11},
        {7, get, .rc = -EPIPE},
    };
    PLAY_IN_ALL(1, steps);
}
END_TEST

START_TEST(join_still_waits_after_shutdown_for_what_was_taken)
{
    struct step steps[] = {
        {1, put, .item = 11}, {2, put, .item = 11},  {3, get, .gets = 11},
        {4, shut, .rc = 0},   {5, join, .until = 8}, {6, get, .gets = 11},
        {7, done, .rc = 0},   {8, done, .rc = 0},    {9, join, .rc = 0},
    };
    PLAY_IN_ALL(0, steps);
}
END_TEST

START_TEST(discard_drops_what_is_queued_as_if_dealt_with)
{
    struct step steps[] = {
        {1, put, .item = 11},   {2, put, .item = 12},
        {3, join, .until = 5},  {4, ask_length, .rc = 2},
        {5, discard, .rc = 0},  {6, ask_length, .rc = 0},
        {7, get, .rc = -EPIPE}, {8, done, .rc = -EINVAL},
        {9, join, .rc = 0},
    };
    PLAY_IN_ALL(0, steps);
}
END_TEST

START_TEST(discard_leaves_what_was_taken_to_be_dealt_with)
{
    struct step steps[] = {
        {1, put, .item = 11},     {2, put, .item = 11},  {3, get, .gets = 11},
        {4, join, .until = 7},    {5, discard, .rc = 0}, {7, done, .rc = 0},
        {8, done, .rc = -EINVAL},
    };
    PLAY_IN_ALL(0, steps);
}
END_TEST

START_TEST(discard_may_come_after_shutdown)
{
    struct step steps[] = {
        {1, put, .item = 11},  {2, put, .item = 12, .rc = -EPIPE, .until = 3},
        {3, shut, .rc = 0},    {4, join, .until = 5},
        {5, discard, .rc = 0}, {6, get, .rc = -EPIPE},
    };
    PLAY_IN_ALL(1, steps);
}
END_TEST

/* What was got may be the last: whoever learns that may free the queue. */

enum { ROUNDS = 2000 };

static int deal_with(void *arg)
{
    (void)arg;
    int item, rc;
    while ((rc = coir_queue_get(queue, &item)) == 0)
        rc = coir_queue_done(queue);
    return rc == -EPIPE ? 0 : rc;
}

static int work_and_end(void *arg)
{
    (void)arg;
    int rc = 0;
    for (uint64_t round = 0; round < test_scaled(ROUNDS) && rc == 0; round++) {
        coir_nursery nursery;
        make_queue(order, round % 3);
        coir_nursery_open(&nursery);
        for (int i = 0; i < 3 && rc == 0; i++)
            rc = coir_go(&nursery, deal_with, NULL);
        for (int i = 0; i < 10 && rc == 0; i++)
            rc = coir_queue_put(queue, &i);
        if (rc == 0)
            rc = coir_queue_join(queue);
        coir_queue_shutdown(queue, false);
        rc = coir_nursery_close_with(&nursery, rc);
        free_queue();
    }
    return rc;
}

START_TEST(queue_may_be_freed_when_its_workers_have_ended)
{
    for (order = COIR_FIFO; order <= COIR_PRIORITY; order++)
        ck_assert_int_eq(coir_run(work_and_end, NULL), 0);
}
END_TEST

COIR_SUITE(queue_end, TEST_WORKERS | TEST_SEEDED)
{
    TCase *dealt = test_case(suite, "done");
    tcase_add_test(dealt, done_more_often_than_got_is_refused);
    tcase_add_test(dealt, item_handed_to_who_waits_is_got);

    TCase *joined = test_case(suite, "join");
    tcase_add_test(joined, join_waits_until_each_item_is_dealt_with);
    tcase_add_test(joined, join_of_a_queue_never_used_returns_at_once);
    tcase_add_test(joined, join_ends_though_more_is_put_at_once);
    tcase_add_test(joined, join_counts_what_waits_to_be_put);
    tcase_add_test(joined, cancelled_join_stops_waiting);

    TCase *down = test_case(suite, "shutdown");
    tcase_add_test(down, shutdown_lets_getters_drain_and_then_tells_them);
    tcase_add_test(down, shutdown_tells_all_who_wait_to_get);
    tcase_add_test(down,
                   shutdown_refuses_who_waits_to_put_and_keeps_what_was_put);
    tcase_add_test(down, join_still_waits_after_shutdown_for_what_was_taken);
    tcase_add_test(down, discard_drops_what_is_queued_as_if_dealt_with);
    tcase_add_test(down, discard_leaves_what_was_taken_to_be_dealt_with);
    tcase_add_test(down, discard_may_come_after_shutdown);
    tcase_add_test(down, queue_may_be_freed_when_its_workers_have_ended);
}
