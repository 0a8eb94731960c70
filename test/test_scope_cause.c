/* test/test_scope_cause.c -- coir_cancel_cause: why the caller is cancelled */
#include <coir/fiber.h>
#include <coir/nursery.h>
#include <coir/run.h>
#include <coir/scope.h>
#include <coir/task.h>
#include <coir/time.h>

#include "test/harness.h"
#include "test/story.h"

#include <errno.h>
#include <string.h>

static void run_body(coir_fn *body)
{
    ck_assert_int_eq(run_story(0, body, NULL), 0);
}

static coir_failure cause_of_caller(void)
{
    coir_failure cause;
    memset(&cause, 0xa5, sizeof cause);
    ck_assert_int_eq(coir_cancel_cause(&cause), 0);
    return cause;
}

static void check_none(void)
{
    coir_failure cause;
    ck_assert_int_eq(coir_cancel_cause(&cause), -ENOENT);
}

/* ---- None ---- */

static int ask_uncancelled(void *arg)
{
    (void)arg;
    check_none();
    coir_scope outer, shield;
    coir_timeout_open(&outer, HOURS(1));
    check_none();
    coir_scope_cancel(&outer);
    coir_shield_open(&shield);
    check_none();
    ck_assert_int_eq(coir_scope_close(&shield, 0), 0);
    (void)cause_of_caller();
    ck_assert_int_eq(coir_scope_close(&outer, 0), 0);
    check_none();
    return 0;
}

START_TEST(cause_is_told_only_to_who_is_cancelled)
{
    run_body(ask_uncancelled);
}
END_TEST

/* ---- Somebody asked for it ---- */

static int ask_who_cancelled(void *arg)
{
    (void)arg;
    coir_name_set("myself");
    coir_scope scope;
    coir_scope_open(&scope);
    coir_scope_cancel(&scope);
    coir_failure cause = cause_of_caller();
    ck_assert_int_eq(cause.code, -ECANCELED);
    ck_assert_uint_eq(cause.id, coir_id());
    ck_assert_str_eq(cause.name, "myself");
    ck_assert_str_eq(cause.message, "");
    return coir_scope_close(&scope, 0);
}

START_TEST(cause_names_the_fiber_that_cancelled)
{
    run_body(ask_who_cancelled);
}
END_TEST

struct victim {
    coir_failure cause;
    int asked; /* what coir_cancel_cause returned */
};

static int sleep_and_ask(void *arg)
{
    struct victim *victim = arg;
    int rc = coir_sleep(COIR_NEVER);
    victim->asked = coir_cancel_cause(&victim->cause);
    return rc;
}

static int cancel_nursery(void *arg)
{
    (void)arg;
    struct victim victim = {.asked = 1};
    coir_nursery nursery;
    coir_nursery_open(&nursery);
    ck_assert_int_eq(coir_go(&nursery, sleep_and_ask, &victim), 0);
    ck_assert_int_eq(coir_sleep(MINUTES(1)), 0);
    coir_nursery_cancel(&nursery);
    ck_assert_int_eq(coir_nursery_close(&nursery), 0);
    ck_assert_int_eq(victim.asked, 0);
    ck_assert_int_eq(victim.cause.code, -ECANCELED);
    ck_assert_uint_eq(victim.cause.id, coir_id());
    return 0;
}

START_TEST(cause_of_a_cancelled_nursery_is_who_cancelled_it)
{
    run_body(cancel_nursery);
}
END_TEST

static int cancel_task(void *arg)
{
    (void)arg;
    struct victim victim = {.asked = 1};
    coir_nursery nursery;
    coir_task task;
    coir_nursery_open(&nursery);
    ck_assert_int_eq(coir_spawn(&nursery, &task, sleep_and_ask, &victim), 0);
    ck_assert_int_eq(coir_sleep(MINUTES(1)), 0);
    coir_task_cancel(&task);
    ck_assert_int_eq(coir_nursery_close(&nursery), 0);
    ck_assert_int_eq(victim.asked, 0);
    ck_assert_int_eq(victim.cause.code, -ECANCELED);
    ck_assert_uint_eq(victim.cause.id, coir_id());
    return 0;
}

START_TEST(cause_of_a_cancelled_task_is_who_cancelled_it)
{
    run_body(cancel_task);
}
END_TEST

/* ---- A deadline ---- */

static int ask_after_deadline(void *arg)
{
    (void)arg;
    coir_scope scope;
    coir_timeout_open(&scope, MINUTES(1));
    ck_assert_int_eq(coir_sleep(COIR_NEVER), -ECANCELED);
    coir_failure cause = cause_of_caller();
    ck_assert_int_eq(cause.code, -ETIMEDOUT);
    ck_assert_uint_eq(cause.id, 0);
    ck_assert_str_eq(cause.name, "");
    return coir_scope_close(&scope, 0);
}

START_TEST(cause_of_a_deadline_is_the_time)
{
    run_body(ask_after_deadline);
}
END_TEST

static int ask_below_deadline(void *arg)
{
    (void)arg;
    struct victim victim = {.asked = 1};
    coir_scope scope;
    coir_timeout_open(&scope, MINUTES(1));
    coir_nursery nursery;
    coir_nursery_open(&nursery);
    ck_assert_int_eq(coir_go(&nursery, sleep_and_ask, &victim), 0);
    ck_assert_int_eq(coir_nursery_close(&nursery), -ECANCELED);
    ck_assert_int_eq(victim.asked, 0);
    ck_assert_int_eq(victim.cause.code, -ETIMEDOUT);
    return coir_scope_close(&scope, 0);
}

START_TEST(cause_reaches_the_fibers_below)
{
    run_body(ask_below_deadline);
}
END_TEST

static int keep_first_cause(void *arg)
{
    (void)arg;
    coir_scope scope;
    coir_timeout_open(&scope, MINUTES(1));
    ck_assert_int_eq(coir_sleep(COIR_NEVER), -ECANCELED);
    coir_scope_cancel(&scope);
    ck_assert_int_eq(cause_of_caller().code, -ETIMEDOUT);
    return coir_scope_close(&scope, 0);
}

START_TEST(cause_stays_the_first)
{
    run_body(keep_first_cause);
}
END_TEST

/* ---- The failure of a sibling ---- */

static int fail_with_message(void *arg)
{
    *(uint64_t *)arg = coir_id();
    int rc = coir_sleep(MINUTES(1));
    return rc < 0 ? rc : coir_fail(-EIO, "disk %d is gone", 3);
}

static void check_failure(const coir_failure *cause, uint64_t id)
{
    ck_assert_int_eq(cause->code, -EIO);
    ck_assert_uint_eq(cause->id, id);
    ck_assert_str_eq(cause->name, "reader");
    ck_assert_str_eq(cause->message, "disk 3 is gone");
}

static int fail_beside(void *arg)
{
    (void)arg;
    uint64_t id = 0;
    struct victim victims[3] = {{.asked = 1}, {.asked = 1}, {.asked = 1}};
    const coir_spawn_options options = {.name = "reader"};
    coir_nursery nursery;
    coir_nursery_open(&nursery);
    for (int i = 0; i < 3; i++)
        ck_assert_int_eq(coir_go(&nursery, sleep_and_ask, &victims[i]), 0);
    int rc = coir_spawn_with(&nursery, NULL, &options, fail_with_message, &id);
    ck_assert_int_eq(rc, 0);

    /* The opener's own calls are cancelled too, and told why. */
    ck_assert_int_eq(coir_sleep(COIR_NEVER), -ECANCELED);
    coir_failure cause = cause_of_caller();
    ck_assert_int_eq(coir_nursery_close(&nursery), -EIO);
    check_failure(&cause, id);
    for (int i = 0; i < 3; i++) {
        ck_assert_int_eq(victims[i].asked, 0);
        check_failure(&victims[i].cause, id);
    }
    check_none();
    return 0;
}

START_TEST(cause_is_the_failure_of_a_sibling)
{
    run_body(fail_beside);
}
END_TEST

static int fail_as_opener(void *arg)
{
    (void)arg;
    coir_name_set("opener");
    struct victim victim = {.asked = 1};
    coir_nursery nursery;
    coir_nursery_open(&nursery);
    ck_assert_int_eq(coir_go(&nursery, sleep_and_ask, &victim), 0);
    ck_assert_int_eq(coir_sleep(MINUTES(1)), 0);
    int rc = coir_fail(-EPIPE, "enough");
    ck_assert_int_eq(coir_nursery_close_with(&nursery, rc), -EPIPE);
    ck_assert_int_eq(victim.asked, 0);
    ck_assert_int_eq(victim.cause.code, -EPIPE);
    ck_assert_uint_eq(victim.cause.id, coir_id());
    ck_assert_str_eq(victim.cause.name, "opener");
    ck_assert_str_eq(victim.cause.message, "enough");
    return 0;
}

START_TEST(cause_is_the_failure_of_the_opener)
{
    run_body(fail_as_opener);
}
END_TEST

COIR_SUITE(scope_cause, TEST_WORKERS | TEST_SEEDED)
{
    TCase *cause = test_case(suite, "cause");
    tcase_add_test(cause, cause_is_told_only_to_who_is_cancelled);
    tcase_add_test(cause, cause_names_the_fiber_that_cancelled);
    tcase_add_test(cause, cause_of_a_cancelled_nursery_is_who_cancelled_it);
    tcase_add_test(cause, cause_of_a_cancelled_task_is_who_cancelled_it);
    tcase_add_test(cause, cause_of_a_deadline_is_the_time);
    tcase_add_test(cause, cause_reaches_the_fibers_below);
    tcase_add_test(cause, cause_stays_the_first);
    tcase_add_test(cause, cause_is_the_failure_of_a_sibling);
    tcase_add_test(cause, cause_is_the_failure_of_the_opener);
}
