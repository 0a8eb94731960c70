/* test/test_sleep.c -- coir_sleep, coir_sleep_until, coir_now and the clocks */
#include <coir/nursery.h>
#include <coir/run.h>
#include <coir/scope.h>
#include <coir/time.h>

#include "test/harness.h"
#include "test/story.h"

#include <errno.h>
#include <time.h>

static coir_time system_clock(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return COIR_SECONDS(1) * t.tv_sec + t.tv_nsec;
}

/* ---- Order ---- */

static int sleep_minutes(void *arg)
{
    int minutes = *(const int *)arg;
    int rc = coir_sleep(MINUTES(minutes));
    tell("%d", minutes);
    return rc;
}

static int sleep_in_disorder(void *arg)
{
    (void)arg;
    int minutes[] = {5, 1, 4, 9, 2, 8, 600, 3, 7, 6};
    return coir_each(sleep_minutes, minutes, 10, sizeof *minutes, 0);
}

START_TEST(sleep_ends_in_order_of_time)
{
    ck_assert_int_eq(run_story(0, sleep_in_disorder, NULL), 0);
    ck_assert_str_eq(story(), "1 2 3 4 5 6 7 8 9 600");
}
END_TEST

static int sleep_until_minute(void *arg)
{
    const coir_time *at = arg;
    int rc = coir_sleep_until(*at);
    tell("%s", coir_now() >= *at ? "late" : "early");
    return rc;
}

static int sleep_until_the_same_time(void *arg)
{
    (void)arg;
    coir_time at = coir_now() + MINUTES(1);
    coir_time times[] = {at, at, at, at, at};
    return coir_each(sleep_until_minute, times, 5, sizeof *times, 0);
}

START_TEST(sleep_of_several_to_one_time_ends_for_all)
{
    ck_assert_int_eq(run_story(0, sleep_until_the_same_time, NULL), 0);
    ck_assert_str_eq(story(), "late late late late late");
}
END_TEST

enum { SLEEPERS = 5000 };

static _Atomic int early, slept;

static int sleep_for_item(void *arg)
{
    const coir_time *length = arg;
    coir_time before = coir_now();
    int rc = coir_sleep(*length);
    slept += rc == 0;
    early += coir_now() - before < *length;
    return rc;
}

static int sleep_many(void *arg)
{
    static coir_time lengths[SLEEPERS];
    int count = *(const int *)arg;
    uint64_t state = test_seed(1);
    for (int i = 0; i < count; i++) /* from one ns to two hours */
        lengths[i] = (coir_time)(test_random(&state) >>
                                 (21 + test_random_below(&state, 43)));
    return coir_each(sleep_for_item, lengths, (size_t)count, sizeof *lengths,
                     0);
}

START_TEST(sleep_is_never_cut_short)
{
    int count = (int)test_scaled(SLEEPERS);
    early = slept = 0;
    ck_assert_int_eq(run_story(0, sleep_many, &count), 0);
    ck_assert_int_eq(slept, count);
    ck_assert_int_eq(early, 0);
}
END_TEST

/* ---- Lengths ---- */

static int sleep_no_time(void *arg)
{
    (void)arg;
    coir_time before = coir_now();
    ck_assert_int_eq(coir_sleep(0), 0);
    ck_assert_int_eq(coir_sleep(-1), 0);
    ck_assert_int_eq(coir_sleep(INT64_MIN), 0);
    ck_assert_int_eq(coir_sleep_until(coir_now()), 0);
    ck_assert_int_eq(coir_sleep_until(coir_now() - HOURS(1)), 0);
    ck_assert_int_eq(coir_sleep_until(0), 0);
    ck_assert_int_eq(coir_sleep_until(INT64_MIN), 0);
    /* On the virtual clock an hour can only pass by a timer. */
    ck_assert_int_lt(coir_now() - before, HOURS(1));
    return 0;
}

START_TEST(sleep_of_no_length_ends_at_once)
{
    ck_assert_int_eq(run_story(0, sleep_no_time, NULL), 0);
}
END_TEST

static int sleep_without_end(void *arg)
{
    const coir_time *length = arg;
    coir_scope scope;
    coir_timeout_open(&scope, HOURS(24));
    coir_time before = coir_now();
    ck_assert_int_eq(coir_sleep(*length), -ECANCELED);
    ck_assert_int_ge(coir_now() - before, HOURS(24));
    return coir_scope_close(&scope, -ECANCELED);
}

START_TEST(sleep_for_ever_ends_when_it_is_cancelled)
{
    coir_time length = COIR_NEVER;
    ck_assert_int_eq(run_story(0, sleep_without_end, &length), -ETIMEDOUT);
}
END_TEST

START_TEST(sleep_past_the_end_of_time_is_for_ever)
{
    coir_time length = COIR_NEVER - 1; /* and now makes more than all */
    ck_assert_int_eq(run_story(0, sleep_without_end, &length), -ETIMEDOUT);
}
END_TEST

static int sleep_until_the_end(void *arg)
{
    (void)arg;
    coir_scope scope;
    coir_timeout_open(&scope, HOURS(24));
    ck_assert_int_eq(coir_sleep_until(COIR_NEVER), -ECANCELED);
    ck_assert_int_eq(coir_sleep_until(COIR_NEVER - 1), -ECANCELED);
    return coir_scope_close(&scope, -ECANCELED);
}

START_TEST(sleep_until_never_ends_when_it_is_cancelled)
{
    ck_assert_int_eq(run_story(0, sleep_until_the_end, NULL), -ETIMEDOUT);
}
END_TEST

START_TEST(sleep_lengths_past_never_are_never)
{
    ck_assert(COIR_US(1) == 1000);
    ck_assert(COIR_MS(1.5) == 1500000);
    ck_assert(COIR_SECONDS(2) == 2000000000);
    ck_assert(COIR_SECONDS(1e10) == COIR_NEVER);
    ck_assert(COIR_MS(1e18) == COIR_NEVER);
    ck_assert(COIR_US(1e18) == COIR_NEVER);
}
END_TEST

static int sleep_cancelled(void *arg)
{
    (void)arg;
    coir_scope scope;
    coir_scope_open(&scope);
    coir_scope_cancel(&scope);
    coir_time before = coir_now();
    ck_assert_int_eq(coir_sleep(HOURS(1)), -ECANCELED);
    ck_assert_int_eq(coir_sleep(0), -ECANCELED);
    ck_assert_int_eq(coir_sleep_until(COIR_NEVER), -ECANCELED);
    ck_assert_int_lt(coir_now() - before, HOURS(1));
    return coir_scope_close(&scope, -ECANCELED);
}

START_TEST(sleep_in_a_cancelled_scope_does_not_begin)
{
    ck_assert_int_eq(run_story(0, sleep_cancelled, NULL), -ECANCELED);
}
END_TEST

/* ---- The virtual clock ---- */

static int sleep_by_milliseconds(void *arg)
{
    coir_time before = coir_now();
    int rc = 0;
    for (int ms = 0; ms < 60 * 60 * 1000 && rc == 0; ms += 100)
        rc = coir_sleep(COIR_MS(100));
    *(bool *)arg = coir_now() - before >= HOURS(1);
    return rc;
}

START_TEST(sleep_of_an_hour_takes_no_hour_of_virtual_time)
{
    bool passed = false;
    ck_assert_int_eq(run_story(0, sleep_by_milliseconds, &passed), 0);
    ck_assert(passed);
}
END_TEST

static int sleep_years(void *arg)
{
    (void)arg;
    coir_time before = coir_now();
    int rc = 0;
    for (int year = 0; year < 100 && rc == 0; year++)
        rc = coir_sleep(HOURS(365 * 24));
    ck_assert_int_ge(coir_now() - before, HOURS(100 * 365.0 * 24));
    return rc;
}

START_TEST(sleep_of_a_century_ends)
{
    ck_assert_int_eq(run_story(0, sleep_years, NULL), 0);
}
END_TEST

static int be_busy(void *arg)
{
    (void)arg;
    int rc = 0;
    for (int i = 0; i < 10000 && rc == 0; i++)
        rc = coir_yield();
    tell("busy");
    return rc;
}

static int sleep_beside_work(void *arg)
{
    (void)arg;
    int minutes = 60;
    coir_nursery nursery;
    coir_nursery_open(&nursery);
    int rc = coir_go(&nursery, sleep_minutes, &minutes);
    if (rc == 0)
        rc = coir_go(&nursery, be_busy, NULL);
    return coir_nursery_close_with(&nursery, rc);
}

START_TEST(sleep_in_virtual_time_waits_for_those_who_run)
{
    ck_assert_int_eq(run_story(0, sleep_beside_work, NULL), 0);
    ck_assert_str_eq(story(), "busy 60");
}
END_TEST

/* ---- The real clock ---- */

static int sleep_really(void *arg)
{
    (void)arg;
    coir_time before = system_clock();
    ck_assert_int_eq(coir_sleep(COIR_MS(3)), 0);
    ck_assert_int_ge(system_clock() - before, COIR_MS(3));

    coir_time at = coir_now() + COIR_MS(3);
    ck_assert_int_eq(coir_sleep_until(at), 0);
    ck_assert_int_ge(coir_now(), at);
    return 0;
}

START_TEST(sleep_lasts_at_least_its_length)
{
    ck_assert_int_eq(coir_run(sleep_really, NULL), 0);
}
END_TEST

static int sleep_cut_short(void *arg)
{
    (void)arg;
    coir_scope scope;
    coir_timeout_open(&scope, COIR_MS(2));
    return coir_scope_close(&scope, coir_sleep(COIR_NEVER));
}

START_TEST(sleep_in_real_time_ends_at_a_deadline)
{
    ck_assert_int_eq(coir_run(sleep_cut_short, NULL), -ETIMEDOUT);
}
END_TEST

START_TEST(now_outside_a_runtime_is_the_systems_monotonic_clock)
{
    coir_time before = system_clock();
    coir_time now = coir_now();
    ck_assert_int_ge(now, before);
    ck_assert_int_le(now, system_clock());
}
END_TEST

static int watch_clock(void *arg)
{
    int *backward = arg;
    coir_time last = coir_now();
    int rc = 0;
    for (int i = 0; i < 1000 && rc == 0; i++) {
        rc = i % 100 == 0 ? coir_sleep(COIR_US(20)) : coir_yield();
        coir_time now = coir_now();
        *backward += now < last;
        last = now;
    }
    return rc;
}

static int watch_clocks(void *arg)
{
    return coir_each(watch_clock, arg, 4, sizeof(int), 0);
}

START_TEST(now_never_goes_back_for_a_fiber)
{
    int backward[4] = {0};
    ck_assert_int_eq(coir_run(watch_clocks, backward), 0);
    ck_assert_int_eq(run_story(0, watch_clocks, backward), 0);
    for (int i = 0; i < 4; i++)
        ck_assert_int_eq(backward[i], 0);
}
END_TEST

COIR_SUITE(sleep, TEST_WORKERS | TEST_SEEDED)
{
    TCase *order = test_case(suite, "order");
    tcase_add_test(order, sleep_ends_in_order_of_time);
    tcase_add_test(order, sleep_of_several_to_one_time_ends_for_all);
    tcase_add_test(order, sleep_is_never_cut_short);

    TCase *lengths = test_case(suite, "lengths");
    tcase_add_test(lengths, sleep_of_no_length_ends_at_once);
    tcase_add_test(lengths, sleep_for_ever_ends_when_it_is_cancelled);
    tcase_add_test(lengths, sleep_past_the_end_of_time_is_for_ever);
    tcase_add_test(lengths, sleep_until_never_ends_when_it_is_cancelled);
    tcase_add_test(lengths, sleep_lengths_past_never_are_never);
    tcase_add_test(lengths, sleep_in_a_cancelled_scope_does_not_begin);

    TCase *virtual = test_case(suite, "virtual clock");
    tcase_add_test(virtual, sleep_of_an_hour_takes_no_hour_of_virtual_time);
    tcase_add_test(virtual, sleep_of_a_century_ends);
    tcase_add_test(virtual, sleep_in_virtual_time_waits_for_those_who_run);

    TCase *real = test_case(suite, "real clock");
    tcase_add_test(real, sleep_lasts_at_least_its_length);
    tcase_add_test(real, sleep_in_real_time_ends_at_a_deadline);
    tcase_add_test(real, now_outside_a_runtime_is_the_systems_monotonic_clock);
    tcase_add_test(real, now_never_goes_back_for_a_fiber);
}
