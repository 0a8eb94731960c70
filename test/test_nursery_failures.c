/* test/test_nursery_failures.c -- coir_nursery: failures, and cancelling
 *
 * Which code a close gives back is in test_nursery_close.c. */
#include <coir/fiber.h>
#include <coir/nursery.h>
#include <coir/run.h>
#include <coir/scope.h>
#include <coir/task.h>
#include <coir/time.h>

#include "test/harness.h"
#include "test/story.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static void run_body(coir_fn *body)
{
    ck_assert_int_eq(run_story(0, body, NULL), 0);
}

/* Fails after as many minutes as its code says; tells if it is cancelled. */
static int fail_later(void *arg)
{
    int code = *(const int *)arg;
    int rc = coir_sleep(MINUTES(-code));
    if (rc < 0)
        tell("cancelled");
    return rc < 0 ? rc : code;
}

static int sleep_ten_minutes(void *arg)
{
    (void)arg;
    int rc = coir_sleep(MINUTES(10));
    tell("%s", rc == -ECANCELED ? "cancelled" : "slept");
    return rc;
}

/* ---- Cancelling siblings and the opener ---- */

static int fail_one(void *arg)
{
    (void)arg;
    int code = -2;
    coir_nursery nursery;
    coir_nursery_open(&nursery);
    ck_assert_int_eq(coir_go(&nursery, sleep_ten_minutes, NULL), 0);
    ck_assert_int_eq(coir_go(&nursery, fail_later, &code), 0);
    ck_assert_int_eq(coir_sleep(MINUTES(1)), 0);
    tell("opener");
    ck_assert_int_eq(coir_sleep(MINUTES(5)), -ECANCELED);
    ck_assert_int_eq(coir_yield(), -ECANCELED);
    tell("opener");
    ck_assert_int_eq(coir_nursery_close(&nursery), -2);
    return coir_yield(); /* and outside, all is well again */
}

START_TEST(failure_cancels_siblings_and_the_openers_own_calls)
{
    run_body(fail_one);
    /* The two are woken at the same time. */
    ck_assert(strcmp(story(), "opener opener cancelled") == 0 ||
              strcmp(story(), "opener cancelled opener") == 0);
}
END_TEST

static int keep_going(void *arg)
{
    (void)arg;
    int code = -2;
    coir_nursery nursery;
    coir_nursery_open(&nursery);
    coir_nursery_keep_going(&nursery);
    ck_assert_int_eq(coir_go(&nursery, sleep_ten_minutes, NULL), 0);
    ck_assert_int_eq(coir_go(&nursery, fail_later, &code), 0);
    ck_assert_int_eq(coir_sleep(MINUTES(5)), 0);
    ck_assert_uint_eq(coir_nursery_failed(&nursery), 1);
    ck_assert_int_eq(coir_go(&nursery, sleep_ten_minutes, NULL), 0);
    ck_assert_int_eq(coir_nursery_close(&nursery), -2);
    return 0;
}

START_TEST(failure_cancels_nobody_in_a_nursery_that_keeps_going)
{
    run_body(keep_going);
    ck_assert_str_eq(story(), "slept slept");
}
END_TEST

static int fail_inside(void *arg)
{
    coir_nursery nursery;
    coir_nursery_open(&nursery);
    int rc = coir_go(&nursery, fail_later, arg);
    return coir_nursery_close_with(&nursery, rc);
}

static int fail_two_levels_below(void *arg)
{
    (void)arg;
    int code = -3;
    coir_nursery nursery;
    coir_nursery_open(&nursery);
    ck_assert_int_eq(coir_go(&nursery, fail_inside, &code), 0);
    ck_assert_int_eq(coir_go(&nursery, sleep_ten_minutes, NULL), 0);
    return coir_nursery_close(&nursery);
}

START_TEST(failure_climbs_from_nursery_to_nursery)
{
    ck_assert_int_eq(run_story(0, fail_two_levels_below, NULL), -3);
    ck_assert_str_eq(story(), "cancelled");
}
END_TEST

static int fail_in_one_of_two(void *arg)
{
    (void)arg;
    int code = -3;
    coir_nursery whole, other;
    coir_nursery_open(&whole);
    ck_assert_int_eq(coir_go(&whole, sleep_ten_minutes, NULL), 0);
    coir_nursery_open(&other);
    ck_assert_int_eq(coir_go(&other, fail_later, &code), 0);
    ck_assert_int_eq(coir_nursery_close(&other), -3);
    return coir_nursery_close(&whole);
}

START_TEST(failure_stays_inside_its_nursery)
{
    run_body(fail_in_one_of_two);
    ck_assert_str_eq(story(), "slept");
}
END_TEST

/* ---- Collecting ---- */

static int fail_at_once(void *arg)
{
    int code = *(const int *)arg;
    return coir_fail(code, "failure %d", -code);
}

static int fail_with_message(void *arg)
{
    int rc = fail_later(arg);
    return rc < 0 && rc != -ECANCELED ? fail_at_once(arg) : rc;
}

enum { FAILURES = 5, KEPT = 3 };

static int collect(void *arg)
{
    (void)arg;
    const int codes[FAILURES] = {-4, -2, -5, -1, -3};
    coir_failure kept[KEPT + 1];
    memset(kept, 0, sizeof kept);
    coir_nursery nursery;
    coir_nursery_open(&nursery);
    coir_nursery_keep_going(&nursery);
    coir_nursery_collect(&nursery, kept, KEPT);
    for (int i = 0; i < FAILURES; i++) {
        char name[] = "child .";
        name[6] = (char)('0' - codes[i]);
        const coir_spawn_options options = {.name = name,
                                            .copy = sizeof codes[i]};
        int rc = coir_spawn_with(&nursery, NULL, &options, fail_with_message,
                                 (void *)&codes[i]);
        ck_assert_int_eq(rc, 0);
    }
    ck_assert_int_eq(coir_nursery_close(&nursery), -1);
    ck_assert_uint_eq(coir_nursery_failed(&nursery), FAILURES);
    for (int i = 0; i < KEPT; i++) {
        tell("%d '%s' '%s';", kept[i].code, kept[i].name, kept[i].message);
        ck_assert_uint_ne(kept[i].id, 0);
        ck_assert_uint_ne(kept[i].id, coir_id());
    }
    ck_assert_int_eq(kept[KEPT].code, 0); /* past the end */
    ck_assert_uint_eq(kept[KEPT].id, 0);
    return 0;
}

START_TEST(failures_are_collected_in_order_up_to_the_capacity)
{
    run_body(collect);
    ck_assert_str_eq(story(), "-1 'child 1' 'failure 1'; "
                              "-2 'child 2' 'failure 2'; "
                              "-3 'child 3' 'failure 3';");
}
END_TEST

static int fail_cleaning_up(void *arg)
{
    int rc = coir_sleep(COIR_NEVER);
    return rc == -ECANCELED ? fail_at_once(arg) : 0;
}

static int collect_cleaning_up(void *arg)
{
    (void)arg;
    int first = -9, second = -1;
    coir_failure kept[4];
    coir_nursery nursery;
    coir_nursery_open(&nursery);
    coir_nursery_collect(&nursery, kept, 4);
    ck_assert_int_eq(coir_go(&nursery, fail_cleaning_up, &first), 0);
    ck_assert_int_eq(coir_go(&nursery, fail_with_message, &second), 0);
    ck_assert_int_eq(coir_go(&nursery, sleep_ten_minutes, NULL), 0);
    ck_assert_int_eq(coir_nursery_close(&nursery), -1);
    ck_assert_uint_eq(coir_nursery_failed(&nursery), 2);
    for (int i = 0; i < 2; i++)
        tell("%d", kept[i].code);
    return 0;
}

START_TEST(failures_of_children_that_clean_up_count_too)
{
    run_body(collect_cleaning_up);
    ck_assert_str_eq(story(), "cancelled -1 -9");
}
END_TEST

static int collect_the_openers(void *arg)
{
    (void)arg;
    int code = -7;
    coir_name_set("opener");
    coir_failure kept[2];
    coir_nursery nursery;
    coir_nursery_open(&nursery);
    coir_nursery_collect(&nursery, kept, 2);
    ck_assert_int_eq(coir_go(&nursery, fail_cleaning_up, &code), 0);
    ck_assert_int_eq(coir_sleep(MINUTES(1)), 0);
    int rc = coir_fail(-EIO, "mine");
    ck_assert_int_eq(coir_nursery_close_with(&nursery, rc), -7);
    ck_assert_uint_eq(coir_nursery_failed(&nursery), 2);
    ck_assert_uint_eq(kept[0].id, coir_id());
    for (int i = 0; i < 2; i++)
        tell("%d %s %s;", kept[i].code, kept[i].name, kept[i].message);
    return 0;
}

START_TEST(failures_of_the_opener_are_collected_when_they_come)
{
    run_body(collect_the_openers);
    ck_assert_str_eq(story(), "-5 opener mine; -7  failure 7;");
}
END_TEST

enum { CROWD = 2000 };

static int fail_crowd(void *arg)
{
    coir_failure *kept = arg;
    int code = -EIO, rc = 0;
    coir_nursery nursery;
    coir_nursery_open(&nursery);
    coir_nursery_keep_going(&nursery);
    coir_nursery_collect(&nursery, kept, CROWD);
    for (int i = 0; i < CROWD + 10 && rc == 0; i++)
        rc = coir_go_copy(&nursery, fail_at_once, &code, sizeof code);
    rc = coir_nursery_close_with(&nursery, rc);
    return rc == -EIO ? (int)coir_nursery_failed(&nursery) : rc;
}

static int compare_failures(const void *a, const void *b)
{
    uint64_t x = ((const coir_failure *)a)->id;
    uint64_t y = ((const coir_failure *)b)->id;
    return (x > y) - (x < y);
}

START_TEST(failures_of_many_at_once_are_all_kept)
{
    static coir_failure kept[CROWD];
    ck_assert_int_eq(coir_run(fail_crowd, kept), CROWD + 10);
    qsort(kept, CROWD, sizeof *kept, compare_failures);
    int wrong = 0;
    for (int i = 0; i < CROWD; i++) {
        wrong += kept[i].code != -EIO;
        wrong += strcmp(kept[i].message, "failure 5") != 0;
        wrong += i > 0 && kept[i].id == kept[i - 1].id;
    }
    ck_assert_int_eq(wrong, 0);
}
END_TEST

/* ---- Messages ---- */

static int fail_and_return_another(void *arg)
{
    (void)arg;
    COIR_IGNORE(coir_fail(-EIO, "of something else"));
    return -EPIPE;
}

static int close_over(coir_fn *child, void *arg)
{
    coir_nursery nursery;
    coir_nursery_open(&nursery);
    int rc = coir_go(&nursery, child, arg);
    return coir_nursery_close_with(&nursery, rc);
}

static int add_to_message(void *arg)
{
    int rc = close_over(fail_at_once, arg);
    return coir_fail(rc, "below: %s", coir_message());
}

static int pass_message(void *arg)
{
    return close_over(add_to_message, arg);
}

static int follow_messages(void *arg)
{
    (void)arg;
    int code = -EIO;
    ck_assert_str_eq(coir_message(), "");
    ck_assert_int_eq(close_over(pass_message, &code), -EIO);
    ck_assert_str_eq(coir_message(), "below: failure 5");
    return 0;
}

START_TEST(message_travels_with_its_failure)
{
    run_body(follow_messages);
}
END_TEST

static int lose_message(void *arg)
{
    (void)arg;
    ck_assert_int_eq(close_over(fail_and_return_another, NULL), -EPIPE);
    ck_assert_str_eq(coir_message(), "");
    return 0;
}

START_TEST(message_does_not_travel_with_another_failure)
{
    run_body(lose_message);
}
END_TEST

static int keep_message_of_first(void *arg)
{
    (void)arg;
    int first = -1, second = -9;
    coir_nursery nursery;
    coir_nursery_open(&nursery);
    ck_assert_int_eq(coir_go(&nursery, fail_cleaning_up, &second), 0);
    ck_assert_int_eq(coir_go(&nursery, fail_with_message, &first), 0);
    ck_assert_int_eq(coir_nursery_close(&nursery), -1);
    ck_assert_str_eq(coir_message(), "failure 1");
    return 0;
}

START_TEST(message_after_close_is_that_of_the_first_failure)
{
    run_body(keep_message_of_first);
}
END_TEST

/* ---- Refused, and accepted ---- */

static _Atomic int ran, cancelled;

static int own_argument(void *arg)
{
    free(arg);
    ran++;
    cancelled += coir_yield() == -ECANCELED;
    return 0;
}

static int start_in_cancelled(void *arg)
{
    (void)arg;
    coir_nursery nursery;
    coir_nursery_open(&nursery);
    coir_nursery_cancel(&nursery);
    void *mine = malloc(8);
    ck_assert_int_eq(coir_go(&nursery, own_argument, mine), -ECANCELED);
    ck_assert_int_eq(coir_go_copy(&nursery, own_argument, mine, 8), -ECANCELED);
    free(mine);
    coir_task task;
    int rc = coir_spawn(&nursery, &task, own_argument, NULL);
    ck_assert_int_eq(rc, -ECANCELED);
    ck_assert(coir_task_done(&task));
    ck_assert_int_eq(coir_task_result(&task), -ECANCELED);
    ck_assert_int_eq(coir_nursery_close(&nursery), 0);

    coir_scope around;
    coir_scope_open(&around);
    coir_scope_cancel(&around);
    coir_nursery_open(&nursery);
    ck_assert_int_eq(coir_go(&nursery, own_argument, NULL), -ECANCELED);
    ck_assert_int_eq(coir_nursery_close(&nursery), -ECANCELED);
    return coir_scope_close(&around, 0);
}

START_TEST(child_is_refused_by_a_cancelled_nursery)
{
    ran = 0;
    run_body(start_in_cancelled);
    ck_assert_int_eq(ran, 0);
}
END_TEST

enum { ACCEPTED = 500 };

static int start_and_cancel(void *arg)
{
    (void)arg;
    int accepted = 0;
    coir_nursery nursery;
    coir_nursery_open(&nursery);
    for (int i = 0; i < ACCEPTED; i++) {
        void *theirs = malloc(16);
        int rc = coir_go(&nursery, own_argument, theirs);
        accepted += rc == 0;
        if (rc < 0)
            free(theirs);
    }
    coir_nursery_cancel(&nursery);
    int rc = coir_nursery_close(&nursery);
    return rc < 0 ? rc : accepted;
}

START_TEST(child_that_was_accepted_runs_though_cancelled)
{
    ran = cancelled = 0;
    ck_assert_int_eq(run_workers(1, start_and_cancel, NULL), ACCEPTED);
    ck_assert_int_eq(ran, ACCEPTED);
    ck_assert_int_eq(cancelled, ACCEPTED); /* none ran before the cancel */

    ran = 0;
    ck_assert_int_eq(coir_run(start_and_cancel, NULL), ACCEPTED);
    ck_assert_int_eq(ran, ACCEPTED);
}
END_TEST

COIR_SUITE(nursery_failures, TEST_WORKERS | TEST_SEEDED)
{
    TCase *failure = test_case(suite, "failure");
    tcase_add_test(failure, failure_cancels_siblings_and_the_openers_own_calls);
    tcase_add_test(failure,
                   failure_cancels_nobody_in_a_nursery_that_keeps_going);
    tcase_add_test(failure, failure_climbs_from_nursery_to_nursery);
    tcase_add_test(failure, failure_stays_inside_its_nursery);

    TCase *collected = test_case(suite, "collected");
    tcase_add_test(collected,
                   failures_are_collected_in_order_up_to_the_capacity);
    tcase_add_test(collected, failures_of_children_that_clean_up_count_too);
    tcase_add_test(collected,
                   failures_of_the_opener_are_collected_when_they_come);
    tcase_add_test(collected, failures_of_many_at_once_are_all_kept);

    TCase *message = test_case(suite, "message");
    tcase_add_test(message, message_travels_with_its_failure);
    tcase_add_test(message, message_does_not_travel_with_another_failure);
    tcase_add_test(message, message_after_close_is_that_of_the_first_failure);

    TCase *children = test_case(suite, "refused and accepted");
    tcase_add_test(children, child_is_refused_by_a_cancelled_nursery);
    tcase_add_test(children, child_that_was_accepted_runs_though_cancelled);
}
