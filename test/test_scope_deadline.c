/* test/test_scope_deadline.c -- coir_scope: timeouts and deadlines */
#include <coir/nursery.h>
#include <coir/run.h>
#include <coir/scope.h>
#include <coir/task.h>
#include <coir/time.h>

#include "test/harness.h"
#include "test/story.h"

#include <errno.h>

static void run_body(coir_fn *body)
{
    ck_assert_int_eq(run_story(0, body, NULL), 0);
}

/* ---- A deadline passes ---- */

static int time_out(void *arg)
{
    (void)arg;
    coir_time before = coir_now();
    coir_scope scope;
    coir_timeout_open(&scope, MINUTES(2));
    ck_assert_int_eq(coir_sleep(MINUTES(1)), 0);
    ck_assert(!coir_scope_expired(&scope));
    ck_assert_int_eq(coir_sleep(MINUTES(2)), -ECANCELED);
    ck_assert_int_ge(coir_now() - before, MINUTES(2));
    ck_assert_int_lt(coir_now() - before, MINUTES(3));
    ck_assert(coir_scope_expired(&scope));
    ck_assert(coir_scope_cancelled(&scope));
    ck_assert_int_eq(coir_yield(), -ECANCELED);
    ck_assert_int_eq(coir_sleep(0), -ECANCELED);
    ck_assert_int_eq(coir_scope_close(&scope, -ECANCELED), -ETIMEDOUT);
    ck_assert(coir_scope_expired(&scope));
    return coir_sleep(MINUTES(1));
}

START_TEST(timeout_cancels_when_its_length_has_passed)
{
    run_body(time_out);
}
END_TEST

static int reach_deadline(void *arg)
{
    (void)arg;
    coir_time at = coir_now() + MINUTES(2);
    coir_scope scope;
    coir_deadline_open(&scope, at);
    ck_assert_int_eq(coir_scope_deadline(&scope), at);
    ck_assert_int_eq(coir_sleep(COIR_NEVER), -ECANCELED);
    ck_assert_int_ge(coir_now(), at);
    ck_assert_int_eq(coir_scope_close(&scope, -ECANCELED), -ETIMEDOUT);
    return 0;
}

START_TEST(deadline_cancels_at_its_time)
{
    run_body(reach_deadline);
}
END_TEST

static int begin_too_late(void *arg)
{
    (void)arg;
    const coir_time lengths[] = {0, -1, INT64_MIN};
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        coir_scope scope;
        coir_timeout_open(&scope, lengths[i]);
        ck_assert_int_eq(coir_sleep(HOURS(1)), -ECANCELED);
        ck_assert(coir_scope_expired(&scope));
        ck_assert_int_eq(coir_scope_close(&scope, -ECANCELED), -ETIMEDOUT);
    }
    coir_scope past;
    coir_deadline_open(&past, coir_now() - MINUTES(1));
    ck_assert_int_eq(coir_yield(), -ECANCELED);
    ck_assert_int_eq(coir_scope_close(&past, -ECANCELED), -ETIMEDOUT);
    return coir_yield();
}

START_TEST(deadline_in_the_past_cancels_the_first_call)
{
    run_body(begin_too_late);
}
END_TEST

/* It never calls what could find out, but asks its scope. */
static int compute_and_ask(void *arg)
{
    coir_scope scope;
    (void)arg;
    coir_timeout_open(&scope, COIR_MS(10));
    while (!coir_scope_cancelled(&scope))
        ;
    ck_assert_int_eq(coir_yield(), -ECANCELED);
    return coir_scope_close(&scope, -ECANCELED) == -ETIMEDOUT ? 0 : -EIO;
}

START_TEST(deadline_is_seen_by_a_fiber_that_computes_and_asks)
{
    ck_assert_int_eq(coir_run(compute_and_ask, NULL), 0);
}
END_TEST

static int finish_in_time(void *arg)
{
    (void)arg;
    coir_scope scope;
    coir_timeout_open(&scope, MINUTES(2));
    ck_assert_int_eq(coir_sleep(MINUTES(1)), 0);
    ck_assert_int_eq(coir_scope_close(&scope, 4), 4);
    ck_assert(!coir_scope_expired(&scope));
    return coir_sleep(HOURS(1)); /* nothing is left of the deadline */
}

START_TEST(timeout_that_is_closed_in_time_does_nothing)
{
    run_body(finish_in_time);
}
END_TEST

static int come_late(void *arg)
{
    (void)arg;
    const int results[] = {0, 5, -EIO};
    for (size_t i = 0; i < sizeof results / sizeof *results; i++) {
        coir_scope scope;
        coir_timeout_open(&scope, MINUTES(1));
        ck_assert_int_eq(coir_sleep(COIR_NEVER), -ECANCELED);
        ck_assert_int_eq(coir_scope_close(&scope, results[i]), results[i]);
    }
    return coir_yield();
}

START_TEST(timeout_passes_other_results_through_however_late)
{
    run_body(come_late);
}
END_TEST

static int sleep_until_cancelled(void *arg)
{
    return coir_sleep(*(const coir_time *)arg);
}

static int call_timeout(void *arg)
{
    (void)arg;
    coir_time length = MINUTES(2);
    int rc = coir_timeout(MINUTES(1), sleep_until_cancelled, &length);
    ck_assert_int_eq(rc, -ETIMEDOUT);
    rc = coir_timeout(MINUTES(3), sleep_until_cancelled, &length);
    ck_assert_int_eq(rc, 0);
    return rc;
}

START_TEST(timeout_around_a_call_gives_back_what_its_close_gives)
{
    run_body(call_timeout);
}
END_TEST

static int compute(void *arg)
{
    int rc = 0;
    while (rc == 0) /* never parks: it must see the time pass all the same */
        rc = coir_checkpoint();
    *(int *)arg = rc;
    return rc;
}

static int compute_too_long(void *arg)
{
    return coir_timeout(COIR_MS(2), compute, arg);
}

START_TEST(timeout_reaches_a_fiber_that_computes)
{
    int rc = 0;
    ck_assert_int_eq(coir_run(compute_too_long, &rc), -ETIMEDOUT);
    ck_assert_int_eq(rc, -ECANCELED);
}
END_TEST

/* ---- Which of several ---- */

static int nest_timeouts(coir_time outer_length, coir_time inner_length,
                         int of_inner, int of_outer)
{
    coir_scope outer, inner;
    coir_timeout_open(&outer, outer_length);
    coir_timeout_open(&inner, inner_length);
    int rc = coir_sleep(COIR_NEVER);
    ck_assert_int_eq(rc, -ECANCELED);
    rc = coir_scope_close(&inner, rc);
    ck_assert_int_eq(rc, of_inner);
    rc = coir_scope_close(&outer, rc);
    ck_assert_int_eq(rc, of_outer);
    return coir_yield();
}

static int inner_first(void *arg)
{
    (void)arg;
    return nest_timeouts(MINUTES(2), MINUTES(1), -ETIMEDOUT, -ETIMEDOUT);
}

static int outer_first(void *arg)
{
    (void)arg;
    return nest_timeouts(MINUTES(1), MINUTES(2), -ECANCELED, -ETIMEDOUT);
}

static int both_expired(void *arg)
{
    (void)arg;
    return nest_timeouts(0, 0, -ECANCELED, -ETIMEDOUT);
}

START_TEST(timeout_nested_in_a_longer_one_reports_itself)
{
    run_body(inner_first);
}
END_TEST

START_TEST(timeout_around_a_longer_one_reports_itself)
{
    run_body(outer_first);
}
END_TEST

START_TEST(timeout_around_another_reports_if_both_expired)
{
    run_body(both_expired);
}
END_TEST

static int expire_one_after_another(void *arg)
{
    (void)arg;
    coir_scope outer, inner, shield;
    coir_timeout_open(&outer, MINUTES(2));
    coir_timeout_open(&inner, MINUTES(1));
    int rc = coir_sleep(COIR_NEVER);
    coir_shield_open(&shield);
    ck_assert_int_eq(coir_sleep(MINUTES(5)), 0);
    ck_assert_int_eq(coir_scope_close(&shield, 0), 0);
    ck_assert_int_eq(coir_scope_close(&inner, rc), -ECANCELED);
    ck_assert_int_eq(coir_scope_close(&outer, rc), -ETIMEDOUT);
    return 0;
}

START_TEST(timeout_around_another_reports_even_if_it_expired_later)
{
    run_body(expire_one_after_another);
}
END_TEST

static int cancel_then_expire(void *arg)
{
    (void)arg;
    coir_scope scope, shield;
    coir_timeout_open(&scope, MINUTES(2));
    coir_scope_cancel(&scope);
    coir_shield_open(&shield);
    ck_assert_int_eq(coir_sleep(MINUTES(5)), 0);
    ck_assert_int_eq(coir_scope_close(&shield, 0), 0);
    ck_assert_int_eq(coir_yield(), -ECANCELED);
    ck_assert_int_eq(coir_scope_close(&scope, -ECANCELED), -ECANCELED);

    coir_timeout_open(&scope, MINUTES(2));
    ck_assert_int_eq(coir_sleep(COIR_NEVER), -ECANCELED);
    coir_scope_cancel(&scope);
    ck_assert_int_eq(coir_scope_close(&scope, -ECANCELED), -ETIMEDOUT);
    return 0;
}

START_TEST(timeout_reports_what_cancelled_it_first)
{
    run_body(cancel_then_expire);
}
END_TEST

static int expire_in_shield(void *arg)
{
    (void)arg;
    coir_scope outer, shield, inner;
    coir_scope_open(&outer);
    coir_scope_cancel(&outer);
    coir_shield_open(&shield);
    coir_timeout_open(&inner, MINUTES(1));
    ck_assert_int_eq(coir_sleep(COIR_NEVER), -ECANCELED);
    /* None is cancelled around it, up to the nearest shield. */
    ck_assert_int_eq(coir_scope_close(&inner, -ECANCELED), -ETIMEDOUT);
    ck_assert_int_eq(coir_yield(), 0);
    ck_assert_int_eq(coir_scope_close(&shield, 0), 0);
    return coir_scope_close(&outer, 0);
}

START_TEST(timeout_works_inside_a_shield)
{
    run_body(expire_in_shield);
}
END_TEST

static int expire_around_shield(void *arg)
{
    (void)arg;
    coir_scope outer, shield;
    coir_timeout_open(&outer, MINUTES(1));
    coir_shield_open(&shield);
    ck_assert_int_eq(coir_sleep(MINUTES(2)), 0);
    ck_assert_int_eq(coir_scope_close(&shield, 0), 0);
    ck_assert_int_eq(coir_sleep(0), -ECANCELED);
    ck_assert_int_eq(coir_scope_close(&outer, -ECANCELED), -ETIMEDOUT);
    return 0;
}

START_TEST(timeout_waits_for_the_end_of_a_shield)
{
    run_body(expire_around_shield);
}
END_TEST

/* ---- The deadline as a number ---- */

static int ask_deadlines(void *arg)
{
    (void)arg;
    ck_assert(coir_deadline() == COIR_NEVER);
    coir_time now = coir_now();
    coir_scope outer, inner, innermost, shield;
    coir_deadline_open(&outer, now + MINUTES(2));
    ck_assert_int_eq(coir_deadline(), now + MINUTES(2));
    coir_deadline_open(&inner, now + MINUTES(1));
    ck_assert_int_eq(coir_deadline(), now + MINUTES(1));
    coir_deadline_open(&innermost, now + MINUTES(3));
    ck_assert_int_eq(coir_deadline(), now + MINUTES(1));
    ck_assert_int_eq(coir_scope_deadline(&innermost), now + MINUTES(3));

    coir_shield_open(&shield);
    ck_assert(coir_deadline() == COIR_NEVER);
    ck_assert(coir_scope_deadline(&shield) == COIR_NEVER);
    ck_assert_int_eq(coir_scope_close(&shield, 0), 0);

    ck_assert_int_eq(coir_scope_close(&innermost, 0), 0);
    ck_assert_int_eq(coir_scope_close(&inner, 0), 0);
    ck_assert_int_eq(coir_deadline(), now + MINUTES(2));
    ck_assert_int_eq(coir_scope_close(&outer, 0), 0);
    ck_assert(coir_deadline() == COIR_NEVER);
    return 0;
}

START_TEST(deadline_of_the_caller_is_the_nearest)
{
    run_body(ask_deadlines);
}
END_TEST

static int tell_deadline(void *arg)
{
    return coir_deadline() == *(const coir_time *)arg ? 0 : -EDOM;
}

static int inherit_deadline(void *arg)
{
    (void)arg;
    coir_time at = coir_now() + MINUTES(7);
    coir_scope scope;
    coir_deadline_open(&scope, at);
    coir_nursery nursery;
    coir_nursery_open(&nursery);
    ck_assert_int_eq(coir_go(&nursery, tell_deadline, &at), 0);
    int rc = coir_nursery_close(&nursery);
    return coir_scope_close(&scope, rc);
}

START_TEST(deadline_around_a_nursery_is_its_childrens_too)
{
    run_body(inherit_deadline);
}
END_TEST

static int open_without_end(void *arg)
{
    (void)arg;
    const coir_time lengths[] = {COIR_NEVER, COIR_NEVER - 1};
    ck_assert_int_eq(coir_sleep(COIR_MS(1)), 0); /* now is more than 1 */
    for (size_t i = 0; i < 2; i++) {
        coir_scope scope;
        coir_timeout_open(&scope, lengths[i]);
        ck_assert(coir_scope_deadline(&scope) == COIR_NEVER);
        ck_assert(coir_deadline() == COIR_NEVER);
        ck_assert_int_eq(coir_sleep(HOURS(1)), 0);
        ck_assert_int_eq(coir_scope_close(&scope, 0), 0);
        ck_assert(!coir_scope_expired(&scope));
    }
    coir_scope plain;
    coir_scope_open(&plain);
    ck_assert(coir_scope_deadline(&plain) == COIR_NEVER);
    return coir_scope_close(&plain, 0);
}

START_TEST(timeout_past_the_end_of_time_is_none)
{
    run_body(open_without_end);
}
END_TEST

COIR_SUITE(scope_deadline, TEST_WORKERS | TEST_SEEDED)
{
    TCase *passes = test_case(suite, "a deadline passes");
    tcase_add_test(passes, timeout_cancels_when_its_length_has_passed);
    tcase_add_test(passes, deadline_cancels_at_its_time);
    tcase_add_test(passes, deadline_in_the_past_cancels_the_first_call);
    tcase_add_test(passes, deadline_is_seen_by_a_fiber_that_computes_and_asks);
    tcase_add_test(passes, timeout_that_is_closed_in_time_does_nothing);
    tcase_add_test(passes, timeout_passes_other_results_through_however_late);
    tcase_add_test(passes,
                   timeout_around_a_call_gives_back_what_its_close_gives);
    tcase_add_test(passes, timeout_reaches_a_fiber_that_computes);

    TCase *several = test_case(suite, "several");
    tcase_add_test(several, timeout_nested_in_a_longer_one_reports_itself);
    tcase_add_test(several, timeout_around_a_longer_one_reports_itself);
    tcase_add_test(several, timeout_around_another_reports_if_both_expired);
    tcase_add_test(several,
                   timeout_around_another_reports_even_if_it_expired_later);
    tcase_add_test(several, timeout_reports_what_cancelled_it_first);
    tcase_add_test(several, timeout_works_inside_a_shield);
    tcase_add_test(several, timeout_waits_for_the_end_of_a_shield);

    TCase *number = test_case(suite, "as a number");
    tcase_add_test(number, deadline_of_the_caller_is_the_nearest);
    tcase_add_test(number, deadline_around_a_nursery_is_its_childrens_too);
    tcase_add_test(number, timeout_past_the_end_of_time_is_none);
}
