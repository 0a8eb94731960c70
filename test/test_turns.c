/* test/test_turns.c -- children that wait get their turn
 *
 * Nurseries that go on starting children until the one child has begun that
 * waits among them. Nothing but a turn ends these tests. */
#include <coir.h>

#include "fiber/atomics.h"
#include "test/harness.h"

static _Atomic(bool) begun;

static int begin(void *arg)
{
    (void)arg;
    store_relaxed(&begun, true); /* whoever looks late looks again */
    return 0;
}

static int go_on(void *nursery)
{
    return load_relaxed(&begun) ? 0 : coir_go(nursery, go_on, nursery);
}

static int start_between(coir_nursery *oldest, coir_nursery *newest)
{
    coir_nursery between;
    coir_nursery_open(&between);
    int rc = coir_go(oldest, go_on, oldest);
    if (rc == 0)
        rc = coir_go(&between, begin, NULL);
    if (rc == 0)
        rc = coir_go(newest, go_on, newest);
    while (rc == 0 && !load_relaxed(&begun))
        rc = coir_sleep(COIR_MS(1));
    return coir_nursery_close_with(&between, rc);
}

static int start_three(void *arg)
{
    coir_nursery oldest, newest;
    (void)arg;
    coir_nursery_open(&oldest);
    coir_nursery_open(&newest);
    int rc = start_between(&oldest, &newest);
    rc = coir_nursery_close_with(&newest, rc);
    return coir_nursery_close_with(&oldest, rc);
}

START_TEST(a_nursery_between_two_that_go_on_gets_its_turn)
{
    ck_assert_int_eq(coir_run(start_three, NULL), 0);
    ck_assert(load_relaxed(&begun));
}
END_TEST

static int close_while_it_goes_on(void *arg)
{
    coir_nursery nursery;
    (void)arg;
    int rc = coir_background(NULL, begin, NULL);
    coir_nursery_open(&nursery);
    if (rc == 0)
        rc = coir_go(&nursery, go_on, &nursery);
    return coir_nursery_close_with(&nursery, rc);
}

START_TEST(others_get_their_turn_while_a_close_goes_on)
{
    ck_assert_int_eq(coir_run(close_while_it_goes_on, NULL), 0);
    ck_assert(load_relaxed(&begun));
}
END_TEST

COIR_SUITE(turns, TEST_WORKERS | TEST_SEEDED)
{
    TCase *turns = test_case(suite, "turns");
    tcase_add_test(turns, a_nursery_between_two_that_go_on_gets_its_turn);
    tcase_add_test(turns, others_get_their_turn_while_a_close_goes_on);
}
