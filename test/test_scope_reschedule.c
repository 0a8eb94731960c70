/* test/test_scope_reschedule.c -- coir_scope_reschedule */
#include <coir/nursery.h>
#include <coir/run.h>
#include <coir/scope.h>
#include <coir/time.h>

#include "test/harness.h"
#include "test/story.h"

#include <errno.h>
#include <pthread.h>

static void run_body(coir_fn *body)
{
    ck_assert_int_eq(run_story(0, body, NULL), 0);
}

/* ---- By the fiber itself ---- */

static int move_earlier(void *arg)
{
    (void)arg;
    coir_time now = coir_now();
    coir_scope scope;
    coir_deadline_open(&scope, now + HOURS(1));
    coir_scope_reschedule(&scope, now + MINUTES(1));
    ck_assert_int_eq(coir_scope_deadline(&scope), now + MINUTES(1));
    ck_assert_int_eq(coir_deadline(), now + MINUTES(1));
    ck_assert_int_eq(coir_sleep(MINUTES(30)), -ECANCELED);
    ck_assert_int_lt(coir_now() - now, MINUTES(30));
    return coir_scope_close(&scope, -ECANCELED) == -ETIMEDOUT ? 0 : -EDOM;
}

START_TEST(reschedule_earlier_brings_the_deadline_forward)
{
    run_body(move_earlier);
}
END_TEST

static int move_later(void *arg)
{
    (void)arg;
    coir_time now = coir_now();
    coir_scope scope;
    coir_deadline_open(&scope, now + MINUTES(1));
    coir_scope_reschedule(&scope, now + HOURS(1));
    ck_assert_int_eq(coir_deadline(), now + HOURS(1));
    ck_assert_int_eq(coir_sleep(MINUTES(30)), 0);
    ck_assert(!coir_scope_expired(&scope));
    ck_assert_int_eq(coir_sleep(COIR_NEVER), -ECANCELED);
    ck_assert_int_ge(coir_now() - now, HOURS(1));
    return coir_scope_close(&scope, -ECANCELED) == -ETIMEDOUT ? 0 : -EDOM;
}

START_TEST(reschedule_later_puts_the_deadline_off)
{
    run_body(move_later);
}
END_TEST

static int take_off(void *arg)
{
    (void)arg;
    coir_scope scope;
    coir_timeout_open(&scope, MINUTES(1));
    coir_scope_reschedule(&scope, COIR_NEVER);
    ck_assert(coir_scope_deadline(&scope) == COIR_NEVER);
    ck_assert(coir_deadline() == COIR_NEVER);
    ck_assert_int_eq(coir_sleep(HOURS(1)), 0);
    return coir_scope_close(&scope, 0);
}

START_TEST(reschedule_to_never_takes_the_deadline_off)
{
    run_body(take_off);
}
END_TEST

static int put_on(void *arg)
{
    (void)arg;
    coir_scope plain, shield;
    coir_scope_open(&plain);
    coir_scope_reschedule(&plain, coir_now() + MINUTES(1));
    ck_assert_int_eq(coir_sleep(COIR_NEVER), -ECANCELED);
    ck_assert_int_eq(coir_scope_close(&plain, -ECANCELED), -ETIMEDOUT);

    coir_shield_open(&shield);
    coir_scope_reschedule(&shield, coir_now() + MINUTES(1));
    ck_assert_int_eq(coir_sleep(COIR_NEVER), -ECANCELED);
    ck_assert_int_eq(coir_scope_close(&shield, -ECANCELED), -ETIMEDOUT);
    return coir_yield();
}

START_TEST(reschedule_gives_any_scope_a_deadline)
{
    run_body(put_on);
}
END_TEST

static int move_to_the_past(void *arg)
{
    (void)arg;
    coir_scope scope;
    coir_timeout_open(&scope, HOURS(1));
    coir_scope_reschedule(&scope, coir_now() - MINUTES(1));
    ck_assert_int_eq(coir_sleep(MINUTES(1)), -ECANCELED);
    ck_assert(coir_scope_expired(&scope));
    ck_assert_int_eq(coir_scope_close(&scope, -ECANCELED), -ETIMEDOUT);
    return coir_yield();
}

START_TEST(reschedule_to_the_past_cancels)
{
    run_body(move_to_the_past);
}
END_TEST

static int move_after_the_end(void *arg)
{
    (void)arg;
    coir_scope scope;
    coir_timeout_open(&scope, MINUTES(1));
    ck_assert_int_eq(coir_sleep(COIR_NEVER), -ECANCELED);
    coir_scope_reschedule(&scope, COIR_NEVER);
    ck_assert(coir_scope_cancelled(&scope));
    ck_assert_int_eq(coir_sleep(0), -ECANCELED);
    ck_assert_int_eq(coir_scope_close(&scope, -ECANCELED), -ETIMEDOUT);

    coir_scope_open(&scope);
    coir_scope_cancel(&scope);
    coir_scope_reschedule(&scope, coir_now() + HOURS(1));
    ck_assert_int_eq(coir_sleep(0), -ECANCELED);
    ck_assert_int_eq(coir_scope_close(&scope, -ECANCELED), -ECANCELED);
    return coir_yield();
}

START_TEST(reschedule_never_takes_a_cancellation_back)
{
    run_body(move_after_the_end);
}
END_TEST

static int move_the_outer(void *arg)
{
    (void)arg;
    coir_time now = coir_now();
    coir_scope outer, inner;
    coir_deadline_open(&outer, now + HOURS(1));
    coir_deadline_open(&inner, now + MINUTES(30));
    coir_scope_reschedule(&outer, now + MINUTES(10));
    ck_assert_int_eq(coir_deadline(), now + MINUTES(10));
    ck_assert_int_eq(coir_sleep(MINUTES(20)), -ECANCELED);
    ck_assert_int_eq(coir_scope_close(&inner, -ECANCELED), -ECANCELED);
    ck_assert_int_eq(coir_scope_close(&outer, -ECANCELED), -ETIMEDOUT);

    now = coir_now();
    coir_deadline_open(&outer, now + MINUTES(10));
    coir_deadline_open(&inner, now + HOURS(2));
    coir_scope_reschedule(&outer, now + HOURS(3));
    ck_assert_int_eq(coir_deadline(), now + HOURS(2));
    ck_assert_int_eq(coir_sleep(HOURS(1)), 0);
    ck_assert_int_eq(coir_sleep(HOURS(4)), -ECANCELED);
    ck_assert_int_eq(coir_scope_close(&inner, -ECANCELED), -ETIMEDOUT);
    return coir_scope_close(&outer, 0);
}

START_TEST(reschedule_of_an_outer_scope_counts_inside)
{
    run_body(move_the_outer);
}
END_TEST

static int sleep_in_nursery(void *arg)
{
    (void)arg;
    return coir_sleep(COIR_NEVER);
}

static int move_and_open_nursery(void *arg)
{
    (void)arg;
    coir_time start = coir_now();
    coir_pin(); /* so that the child does not run on our stack */
    coir_scope scope;
    coir_scope_open(&scope);
    coir_scope_reschedule(&scope, start + MINUTES(2));
    coir_nursery nursery;
    coir_nursery_open(&nursery);
    ck_assert_int_eq(coir_go(&nursery, sleep_in_nursery, NULL), 0);
    int rc = coir_nursery_close(&nursery);
    ck_assert_int_eq(rc, -ECANCELED);
    ck_assert_int_eq(coir_scope_close(&scope, rc), -ETIMEDOUT);
    ck_assert_int_eq((coir_now() - start) / MINUTES(1), 2);
    coir_unpin();
    return 0;
}

START_TEST(reschedule_before_a_nursery_counts_for_its_children)
{
    ck_assert_int_eq(run_story(1, move_and_open_nursery, NULL), 0);
    run_body(move_and_open_nursery);
}
END_TEST

/* ---- By others, while the fiber waits ---- */

struct move {
    coir_scope *scope;
    coir_time at, to; /* when it is rescheduled, and to when */
};

static int move_at(void *arg)
{
    const struct move *move = arg;
    int rc = coir_sleep_until(move->at);
    coir_scope_reschedule(move->scope, move->to);
    return rc;
}

/* Sleep under a deadline after `first`, which is moved to `then` after 10
 * minutes. How many minutes passed until the end. */
static int sleep_while_moved(int first, int then)
{
    coir_time start = coir_now();
    coir_scope scope;
    struct move move = {.scope = &scope,
                        .at = start + MINUTES(10),
                        .to = start + MINUTES(then)};
    coir_nursery nursery;
    coir_nursery_open(&nursery);
    coir_deadline_open(&scope, start + MINUTES(first));
    ck_assert_int_eq(coir_go(&nursery, move_at, &move), 0);
    int rc = coir_sleep(COIR_NEVER);
    ck_assert_int_eq(coir_scope_close(&scope, rc), -ETIMEDOUT);
    ck_assert_int_eq(coir_nursery_close(&nursery), 0);
    return (int)((coir_now() - start) / MINUTES(1));
}

static int moved_by_others(void *arg)
{
    (void)arg;
    ck_assert_int_eq(sleep_while_moved(60, 20), 20);
    ck_assert_int_eq(sleep_while_moved(20, 60), 60);
    ck_assert_int_eq(sleep_while_moved(60, 5), 10);
    return 0;
}

START_TEST(reschedule_reaches_a_fiber_that_waits)
{
    run_body(moved_by_others);
}
END_TEST

static int move_above_children(void *arg)
{
    (void)arg;
    coir_time start = coir_now();
    coir_scope scope;
    struct move move = {
        .scope = &scope, .at = start + MINUTES(10), .to = start + MINUTES(20)};
    coir_nursery mover, nursery;
    coir_nursery_open(&mover);
    coir_deadline_open(&scope, start + MINUTES(60));
    coir_nursery_open(&nursery);
    ck_assert_int_eq(coir_go(&mover, move_at, &move), 0);
    for (int i = 0; i < 5; i++)
        ck_assert_int_eq(coir_go(&nursery, sleep_in_nursery, NULL), 0);
    int rc = coir_nursery_close(&nursery);
    ck_assert_int_eq(rc, -ECANCELED);
    ck_assert_int_eq(coir_scope_close(&scope, rc), -ETIMEDOUT);
    ck_assert_int_eq((coir_now() - start) / MINUTES(1), 20);
    return coir_nursery_close(&mover);
}

START_TEST(reschedule_reaches_the_fibers_of_nurseries_inside)
{
    run_body(move_above_children);
}
END_TEST

static void *move_to_now(void *arg)
{
    coir_scope_reschedule(arg, 0);
    return NULL;
}

static int sleep_moved_by_thread(void *arg)
{
    (void)arg;
    coir_scope scope;
    coir_scope_open(&scope);
    pthread_t thread;
    int rc = pthread_create(&thread, NULL, move_to_now, &scope);
    ck_assert_int_eq(rc, 0);
    rc = coir_scope_close(&scope, coir_sleep(COIR_NEVER));
    pthread_join(thread, NULL);
    return rc;
}

START_TEST(reschedule_may_be_called_by_any_thread)
{
    ck_assert_int_eq(coir_run(sleep_moved_by_thread, NULL), -ETIMEDOUT);
}
END_TEST

COIR_SUITE(scope_reschedule, TEST_WORKERS | TEST_SEEDED)
{
    TCase *own = test_case(suite, "by the fiber itself");
    tcase_add_test(own, reschedule_earlier_brings_the_deadline_forward);
    tcase_add_test(own, reschedule_later_puts_the_deadline_off);
    tcase_add_test(own, reschedule_to_never_takes_the_deadline_off);
    tcase_add_test(own, reschedule_gives_any_scope_a_deadline);
    tcase_add_test(own, reschedule_to_the_past_cancels);
    tcase_add_test(own, reschedule_never_takes_a_cancellation_back);
    tcase_add_test(own, reschedule_of_an_outer_scope_counts_inside);
    tcase_add_test(own, reschedule_before_a_nursery_counts_for_its_children);

    TCase *others = test_case(suite, "by others");
    tcase_add_test(others, reschedule_reaches_a_fiber_that_waits);
    tcase_add_test(others, reschedule_reaches_the_fibers_of_nurseries_inside);
    tcase_add_test(others, reschedule_may_be_called_by_any_thread);
}
