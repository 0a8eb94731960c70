/* test/test_select_several.c -- coir_select: a channel in several cases,
 * several selects, many cases */
#include <coir/chan.h>
#include <coir/nursery.h>
#include <coir/run.h>
#include <coir/task.h>
#include <coir/time.h>

#include "test/harness.h"
#include "test/select_script.h"
#include "test/story.h"

#include <errno.h>

/* ---- One channel in several cases ---- */

static int select_twice(void *arg)
{
    (void)arg;
    int x = 0, y = 0, seen[2] = {0};
    coir_case cases[] = {{a, COIR_RECV, &x, 0}, {a, COIR_RECV, &y, 0}};
    for (int i = 1; i <= 200; i++) {
        put(a, i);
        int index = coir_select(cases, 2);
        seen[index]++;
        ck_assert_int_eq(index == 0 ? x : y, i);
        ck_assert_int_eq(take(a), -1);
    }
    ck_assert_int_gt(seen[0], 0);
    ck_assert_int_gt(seen[1], 0);
    /* And when it has to wait. */
    struct later send_a = {a, 500, 1};
    int index = select_while(cases, 2, &send_a);
    ck_assert_int_eq(index == 0 ? x : y, 500);
    ck_assert_int_eq(take(a), -1);
    return 0;
}

START_TEST(select_may_have_a_channel_twice)
{
    run_with_chans(1, select_twice);
}
END_TEST

static int select_both_ways(void *arg)
{
    (void)arg;
    int x = 0, y = 5;
    coir_case cases[] = {{a, COIR_RECV, &x, 0}, {a, COIR_SEND, &y, 0}};
    struct later send_a = {a, 10, 1}, receive_a = {a, -1, 1},
                 close_a = {a, 0, 1};
    ck_assert_int_eq(coir_try_select(cases, 2), -EAGAIN); /* not to itself */
    ck_assert_int_eq(select_while(cases, 2, &send_a), 0);
    ck_assert_int_eq(x, 10);
    ck_assert_int_eq(select_while(cases, 2, &receive_a), 1);
    ck_assert_str_eq(story(), "got 5");
    int index = select_while(cases, 2, &close_a);
    ck_assert(index == 0 || index == 1);
    ck_assert_int_eq(cases[index].rc, -EPIPE);
    return 0;
}

START_TEST(select_does_not_hand_over_to_itself)
{
    run_with_chans(0, select_both_ways);
}
END_TEST

/* ---- Select with select ---- */

static int select_to_send(void *arg)
{
    (void)arg;
    int x = 0, y = 5;
    coir_case cases[] = {{b, COIR_RECV, &x, 0}, {a, COIR_SEND, &y, 0}};
    int rc = coir_sleep(MINUTES(1));
    return rc < 0 ? rc : coir_select(cases, 2);
}

static int meet(void *arg)
{
    (void)arg;
    coir_nursery nursery;
    coir_task task;
    int x = 0, y = 6;
    coir_case cases[] = {{a, COIR_RECV, &x, 0}, {c, COIR_SEND, &y, 0}};
    for (int first = 0; first < 2; first++) {
        coir_nursery_open(&nursery);
        int rc = coir_spawn(&nursery, &task, select_to_send, NULL);
        ck_assert_int_eq(rc, 0);
        if (first == 1) /* the other one waits */
            ck_assert_int_eq(coir_sleep(MINUTES(2)), 0);
        x = 0;
        ck_assert_int_eq(coir_select(cases, 2), 0);
        ck_assert_int_eq(x, 5);
        ck_assert_int_eq(coir_nursery_close(&nursery), 0);
        ck_assert_int_eq(coir_task_result(&task), 1);
    }
    return 0;
}

START_TEST(select_meets_a_select)
{
    run_with_chans(0, meet);
}
END_TEST

enum { CROSSINGS = 20000, CROSSERS = 4 };

static _Atomic int64_t sent, received;

/* Half of them list the channels the other way round, half of them send. */
static int cross(void *arg)
{
    int self = *(const int *)arg;
    int x = self, y = self, rc = 0;
    enum coir_op op = self & 1 ? COIR_SEND : COIR_RECV;
    coir_case cases[] = {{self & 2 ? a : b, op, &x, 0},
                         {self & 2 ? b : a, op, &y, 0}};
    for (int i = 0; i < (int)test_scaled(CROSSINGS) && rc >= 0; i++) {
        x = y = i;
        rc = coir_select(cases, 2);
        if (op == COIR_SEND)
            sent += i;
        else
            received += rc == 0 ? x : y;
    }
    return rc < 0 ? rc : 0;
}

static int cross_all(void *arg)
{
    int selves[CROSSERS];
    coir_nursery nursery;
    (void)arg;
    coir_nursery_open(&nursery);
    for (int i = 0; i < CROSSERS; i++) {
        selves[i] = i;
        ck_assert_int_eq(coir_go(&nursery, cross, &selves[i]), 0);
    }
    return coir_nursery_close(&nursery);
}

START_TEST(selects_in_opposite_order_never_wait_for_each_other)
{
    for (size_t capacity = 0; capacity < 2; capacity++) {
        sent = received = 0;
        make_chans(capacity);
        ck_assert_int_eq(coir_run(cross_all, NULL), 0);
        ck_assert_int_eq(sent, received);
        free_chans();
    }
}
END_TEST

/* ---- Many cases ---- */

enum { MANY = 2000 };

static coir_chan *many[MANY];

static int select_of_many(void *arg)
{
    (void)arg;
    static coir_case cases[MANY + 10];
    static int items[MANY + 10];
    uint64_t state = test_seed(1);
    for (int i = 0; i < MANY + 10; i++)
        cases[i] = (coir_case){many[i % MANY], COIR_RECV, &items[i], 0};
    for (size_t count = 1; count < MANY; count = count * 3 + 1) {
        int i = (int)test_random_below(&state, count);
        struct later later = {cases[i].chan, 1000 + i, 1};
        ck_assert_int_eq(select_while(cases, count, &later), i);
        ck_assert_int_eq(items[i], 1000 + i);
        put(cases[i].chan, 2000 + i);
        ck_assert_int_eq(coir_try_select(cases, count), i);
        ck_assert_int_eq(items[i], 2000 + i);
        ck_assert_int_eq(coir_try_select(cases, count), -EAGAIN);
    }
    struct later later = {cases[5].chan, 77, 1}; /* it is there twice */
    int index = select_while(cases, MANY + 10, &later);
    ck_assert(index == 5 || index == MANY + 5);
    ck_assert_int_eq(items[index], 77);
    return 0;
}

START_TEST(select_has_any_number_of_cases)
{
    for (int i = 0; i < MANY; i++)
        ck_assert_int_eq(coir_chan_new(&many[i], sizeof(int), 1), 0);
    ck_assert_int_eq(run_story(0, select_of_many, NULL), 0);
    for (int i = 0; i < MANY; i++) /* none of them is waited on */
        ck_assert_int_eq(coir_chan_free(many[i]), 0);
}
END_TEST

COIR_SUITE(select_several, TEST_WORKERS | TEST_SEEDED)
{
    TCase *several = test_case(suite, "several");
    tcase_add_test(several, select_may_have_a_channel_twice);
    tcase_add_test(several, select_does_not_hand_over_to_itself);
    tcase_add_test(several, select_meets_a_select);
    tcase_add_test(several,
                   selects_in_opposite_order_never_wait_for_each_other);
    tcase_add_test(several, select_has_any_number_of_cases);
}
