/* test/test_stats.c -- coir_stats: what the counters count */
#include <coir/nursery.h>
#include <coir/run.h>
#include <coir/stats.h>
#include <coir/time.h>

#include "test/harness.h"

#include <pthread.h>

enum { CHILDREN = 20 };

static coir_stats stats_now(void)
{
    coir_stats stats;
    coir_stats_get(&stats);
    return stats;
}

static _Atomic int waiting;

static int sleep_long(void *arg)
{
    (void)arg;
    waiting++;
    return coir_sleep(COIR_NEVER);
}

static int start_sleepers(coir_nursery *nursery)
{
    waiting = 0;
    coir_nursery_open(nursery);
    int rc = 0;
    for (int i = 0; i < CHILDREN && rc == 0; i++)
        rc = coir_go(nursery, sleep_long, NULL);
    while (waiting < CHILDREN && rc == 0)
        rc = coir_yield();
    return rc;
}

static int count_sleepers(void *arg)
{
    (void)arg;
    coir_nursery nursery;
    coir_stats before = stats_now();
    ck_assert_uint_ge(before.fibers, 1); /* the first fiber */
    ck_assert_int_eq(start_sleepers(&nursery), 0);
    coir_stats during = stats_now();
    ck_assert_uint_ge(during.fibers, before.fibers + CHILDREN);
    ck_assert_uint_ge(during.fibers_peak, during.fibers);
    ck_assert_uint_eq(during.spawned - before.spawned, CHILDREN);
    ck_assert_uint_ge(during.stacks, CHILDREN);
    ck_assert_uint_ge(during.stack_bytes, during.stacks * 16384);

    coir_nursery_cancel(&nursery);
    ck_assert_int_eq(coir_nursery_close(&nursery), 0);
    coir_stats after = stats_now();
    ck_assert_uint_eq(after.fibers, before.fibers);
    ck_assert_uint_ge(after.fibers_peak, during.fibers);
    ck_assert_uint_eq(after.spawned - before.spawned, CHILDREN);
    return 0;
}

START_TEST(stats_count_the_fibers_that_live)
{
    ck_assert_int_eq(coir_run(count_sleepers, NULL), 0);
}
END_TEST

static int count_waits(void *arg)
{
    (void)arg;
    coir_nursery nursery;
    coir_stats before = stats_now();
    ck_assert_int_eq(start_sleepers(&nursery), 0);
    coir_nursery_cancel(&nursery);
    ck_assert_int_eq(coir_nursery_close(&nursery), 0);
    coir_stats after = stats_now();
    ck_assert_uint_ge(after.parks - before.parks, CHILDREN);
    ck_assert_uint_ge(after.wakes - before.wakes, CHILDREN);
    ck_assert_uint_ge(after.switches - before.switches, CHILDREN);
    return 0;
}

START_TEST(stats_count_parks_and_wakes)
{
    ck_assert_int_eq(run_workers(1, count_waits, NULL), 0);
}
END_TEST

static int count_timers(void *arg)
{
    (void)arg;
    coir_stats before = stats_now();
    for (int i = 0; i < CHILDREN; i++)
        ck_assert_int_eq(coir_sleep(COIR_MS(10)), 0);
    ck_assert_uint_ge(stats_now().timers - before.timers, CHILDREN);
    return 0;
}

START_TEST(stats_count_timers)
{
    ck_assert_int_eq(coir_run(count_timers, NULL), 0);
}
END_TEST

static int yield_some(void *arg)
{
    int rc = 0;
    for (int i = 0; i < *(const int *)arg && rc == 0; i++)
        rc = coir_yield();
    return rc;
}

static int yield_in_pairs(void *arg)
{
    coir_nursery nursery;
    coir_nursery_open(&nursery);
    int rc = coir_go(&nursery, yield_some, arg);
    if (rc == 0)
        rc = coir_go(&nursery, yield_some, arg);
    return coir_nursery_close_with(&nursery, rc);
}

static int count_switches(void *arg)
{
    int times = 1000;
    coir_stats before = stats_now();
    ck_assert_int_eq(yield_in_pairs(&times), 0);
    coir_stats after = stats_now();
    ck_assert_uint_ge(after.switches - before.switches, 1000);
    ck_assert_uint_eq(after.steals, 0); /* there is nobody to steal */
    *(bool *)arg = true;
    return 0;
}

START_TEST(stats_count_switches)
{
    bool done = false;
    ck_assert_int_eq(run_workers(1, count_switches, &done), 0);
    ck_assert(done);
}
END_TEST

static void *look_from_thread(void *arg)
{
    *(coir_stats *)arg = stats_now();
    return NULL;
}

static int look_from_outside(void *arg)
{
    pthread_t thread;
    if (pthread_create(&thread, NULL, look_from_thread, arg) != 0)
        return -1;
    pthread_join(thread, NULL);
    return 0;
}

START_TEST(stats_may_be_asked_from_any_thread)
{
    coir_stats seen = {.fibers = 0};
    ck_assert_int_eq(coir_run(look_from_outside, &seen), 0);
    ck_assert_uint_ge(seen.fibers, 1);
    ck_assert_uint_ge(seen.stacks, 1);
}
END_TEST

START_TEST(stats_after_a_run_show_nothing_that_lives)
{
    int times = 10;
    ck_assert_int_eq(coir_run(yield_in_pairs, &times), 0);
    coir_stats stats = stats_now();
    ck_assert_uint_eq(stats.fibers, 0);
    ck_assert_uint_eq(stats.stacks, 0);
    ck_assert_uint_eq(stats.stack_bytes, 0);
}
END_TEST

COIR_SUITE(stats, TEST_WORKERS)
{
    TCase *counted = test_case(suite, "counted");
    tcase_add_test(counted, stats_count_the_fibers_that_live);
    tcase_add_test(counted, stats_count_parks_and_wakes);
    tcase_add_test(counted, stats_count_timers);
    tcase_add_test(counted, stats_count_switches);

    TCase *outside = test_case(suite, "outside");
    tcase_add_test(outside, stats_may_be_asked_from_any_thread);
    tcase_add_test(outside, stats_after_a_run_show_nothing_that_lives);
}
