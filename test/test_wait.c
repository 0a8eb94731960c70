/* test/test_wait.c -- coir_wait, for several tasks at once
 *
 * coir_completions is in test_completions.c. */
#include <coir/nursery.h>
#include <coir/run.h>
#include <coir/scope.h>
#include <coir/task.h>
#include <coir/time.h>

#include "test/harness.h"
#include "test/story.h"

#include <errno.h>

enum { TASKS = 4 };

/* A group of tasks that end minutes apart, in a nursery that keeps going. */
struct group {
    coir_nursery nursery;
    coir_task task[TASKS];
    coir_task *all[TASKS];
};

struct plan {
    int minutes; /* 0: ends at once */
    int result;
};

static int follow_plan(void *arg)
{
    const struct plan *plan = arg;
    int rc = plan->minutes ? coir_sleep(MINUTES(plan->minutes)) : 0;
    return rc < 0 ? rc : plan->result;
}

static void start_group(struct group *group, const struct plan plans[TASKS])
{
    coir_nursery_open(&group->nursery);
    coir_nursery_keep_going(&group->nursery);
    for (int i = 0; i < TASKS; i++) {
        const coir_spawn_options options = {.copy = sizeof plans[i]};
        int rc = coir_spawn_with(&group->nursery, &group->task[i], &options,
                                 follow_plan, (void *)&plans[i]);
        ck_assert_int_eq(rc, 0);
        group->all[i] = &group->task[i];
    }
}

/* The first `ended` of the array are done, the others are not, and each task
 * is there once. */
static void check_group(const struct group *group, int ended)
{
    int seen[TASKS] = {0};
    for (int i = 0; i < TASKS; i++) {
        ck_assert_int_eq(coir_task_done(group->all[i]), i < ended);
        seen[group->all[i] - group->task]++;
    }
    for (int i = 0; i < TASKS; i++)
        ck_assert_int_eq(seen[i], 1);
}

static int minutes_since(coir_time start)
{
    return (int)((coir_now() - start) / MINUTES(1));
}

static void run_body(coir_fn *body)
{
    ck_assert_int_eq(run_story(0, body, NULL), 0);
}

static const struct plan four_minutes[TASKS] = {{3, 0}, {1, 5}, {4, 0}, {2, 0}};

/* ---- What is waited for ---- */

static int wait_for_all(void *arg)
{
    (void)arg;
    coir_time start = coir_now();
    struct group group;
    start_group(&group, four_minutes);
    ck_assert_int_eq(coir_wait(group.all, TASKS, COIR_ALL_DONE), TASKS);
    ck_assert_int_eq(minutes_since(start), 4);
    check_group(&group, TASKS);
    ck_assert_int_eq(coir_wait(group.all, TASKS, COIR_ALL_DONE), TASKS);
    return coir_nursery_close(&group.nursery);
}

START_TEST(wait_for_all_returns_when_the_last_has_ended)
{
    run_body(wait_for_all);
}
END_TEST

static int wait_one_by_one(void *arg)
{
    (void)arg;
    coir_time start = coir_now();
    struct group group;
    start_group(&group, four_minutes);
    for (int ended = 0; ended < TASKS; ended++) {
        /* Those that had ended before are no longer asked for. */
        int rc = coir_wait(group.all + ended, (size_t)(TASKS - ended),
                           COIR_FIRST_DONE);
        ck_assert_int_eq(rc, 1);
        ck_assert_int_eq(minutes_since(start), ended + 1);
        check_group(&group, ended + 1);
    }
    return coir_nursery_close(&group.nursery);
}

START_TEST(wait_for_the_first_returns_at_each_end)
{
    run_body(wait_one_by_one);
}
END_TEST

static int wait_for_the_ended(void *arg)
{
    (void)arg;
    coir_time start = coir_now();
    struct group group;
    start_group(&group, four_minutes);
    ck_assert_int_eq(coir_sleep(MINUTES(2.5)), 0);
    ck_assert_int_eq(coir_wait(group.all, TASKS, COIR_FIRST_DONE), 2);
    check_group(&group, 2);
    ck_assert_int_eq(minutes_since(start), 2);
    return coir_nursery_close(&group.nursery);
}

START_TEST(wait_counts_all_that_have_ended)
{
    run_body(wait_for_the_ended);
}
END_TEST

static int wait_for_a_failure(void *arg)
{
    (void)arg;
    const struct plan plans[TASKS] = {{9, 0}, {1, 0}, {2, -EIO}, {3, -EIO}};
    coir_time start = coir_now();
    struct group group;
    start_group(&group, plans);
    ck_assert_int_eq(coir_wait(group.all, TASKS, COIR_FIRST_FAILED), 2);
    ck_assert_int_eq(minutes_since(start), 2);
    check_group(&group, 2);
    ck_assert_int_eq(coir_wait(group.all, TASKS, COIR_FIRST_FAILED), 2);
    ck_assert_int_eq(coir_nursery_close(&group.nursery), -EIO);
    return 0;
}

START_TEST(wait_for_the_first_failure_passes_over_successes)
{
    run_body(wait_for_a_failure);
}
END_TEST

static int wait_without_failure(void *arg)
{
    (void)arg;
    coir_time start = coir_now();
    struct group group;
    start_group(&group, four_minutes);
    ck_assert_int_eq(coir_wait(group.all, TASKS, COIR_FIRST_FAILED), TASKS);
    ck_assert_int_eq(minutes_since(start), 4);
    check_group(&group, TASKS);
    return coir_nursery_close(&group.nursery);
}

START_TEST(wait_for_a_failure_ends_with_the_last_if_none_failed)
{
    run_body(wait_without_failure);
}
END_TEST

static int wait_beside_a_cancelled_one(void *arg)
{
    (void)arg;
    const struct plan plans[TASKS] = {{1, -ECANCELED}, {2, 0}, {3, 0}, {4, 0}};
    coir_time start = coir_now();
    struct group group;
    start_group(&group, plans);
    ck_assert_int_eq(coir_wait(group.all, TASKS, COIR_FIRST_FAILED), TASKS);
    ck_assert_int_eq(minutes_since(start), 4);
    return coir_nursery_close(&group.nursery);
}

START_TEST(wait_for_a_failure_does_not_take_a_cancelled_task_for_one)
{
    run_body(wait_beside_a_cancelled_one);
}
END_TEST

static int look_without_waiting(void *arg)
{
    (void)arg;
    coir_time start = coir_now();
    struct group group;
    start_group(&group, four_minutes);
    ck_assert_int_eq(coir_wait(group.all, TASKS, COIR_NOW), 0);
    ck_assert_int_eq(minutes_since(start), 0);
    check_group(&group, 0);
    ck_assert_int_eq(coir_sleep(MINUTES(3.5)), 0);
    ck_assert_int_eq(coir_wait(group.all, TASKS, COIR_NOW), 3);
    check_group(&group, 3);
    return coir_nursery_close(&group.nursery);
}

START_TEST(wait_now_only_looks)
{
    run_body(look_without_waiting);
}
END_TEST

static int wait_for_none(void *arg)
{
    (void)arg;
    coir_task *none[1] = {NULL};
    ck_assert_int_eq(coir_wait(none, 0, COIR_ALL_DONE), 0);
    ck_assert_int_eq(coir_wait(none, 0, COIR_NOW), 0);
    return 0;
}

START_TEST(wait_for_no_task_returns_at_once)
{
    run_body(wait_for_none);
}
END_TEST

/* ---- Cancelled ---- */

static int wait_for_so_long(void *arg)
{
    (void)arg;
    coir_time start = coir_now();
    struct group group;
    start_group(&group, four_minutes);
    coir_scope scope;
    coir_timeout_open(&scope, MINUTES(2.5));
    int rc = coir_wait(group.all, TASKS, COIR_ALL_DONE);
    ck_assert_int_eq(rc, -ECANCELED);
    ck_assert_int_eq(coir_wait(group.all, TASKS, COIR_NOW), -ECANCELED);
    ck_assert_int_eq(coir_scope_close(&scope, rc), -ETIMEDOUT);
    ck_assert_int_eq(coir_wait(group.all, TASKS, COIR_NOW), 2);
    check_group(&group, 2); /* none was cancelled by it */
    ck_assert_int_eq(coir_wait(group.all, TASKS, COIR_ALL_DONE), TASKS);
    ck_assert_int_eq(minutes_since(start), 4);
    return coir_nursery_close(&group.nursery);
}

START_TEST(wait_that_timed_out_can_be_asked_again)
{
    run_body(wait_for_so_long);
}
END_TEST

static int sleep_minute_and_fail(void *arg)
{
    (void)arg;
    int rc = coir_sleep(MINUTES(1));
    return rc < 0 ? rc : -EIO;
}

static int wait_for_own_cancelling(void *arg)
{
    (void)arg;
    coir_task task;
    coir_task *all[] = {&task};
    coir_nursery nursery;
    coir_nursery_open(&nursery);
    int rc = coir_spawn(&nursery, &task, sleep_minute_and_fail, NULL);
    ck_assert_int_eq(rc, 0);
    /* Its failure cancels us; the wait for it had begun. */
    ck_assert_int_eq(coir_wait(all, 1, COIR_ALL_DONE), 1);
    ck_assert_int_eq(coir_yield(), -ECANCELED);
    ck_assert_int_eq(coir_nursery_close(&nursery), -EIO);
    return 0;
}

START_TEST(wait_gets_the_end_by_which_the_caller_is_cancelled)
{
    run_body(wait_for_own_cancelling);
}
END_TEST

/* ---- Many ---- */

enum { MANY = 500, WAITERS = 4 };

static coir_task many[MANY];

static int end_sometime(void *arg)
{
    uint64_t state = test_seed((uint64_t)(uintptr_t)arg);
    int rc = 0;
    for (uint64_t i = test_random_below(&state, 4); i > 0 && rc == 0; i--)
        rc = coir_yield();
    return rc;
}

/* One after another until all have ended; each time the ended stand first. */
static int wait_in_turns(void *arg)
{
    int *wrong = arg;
    coir_task *all[MANY];
    for (int i = 0; i < MANY; i++)
        all[i] = &many[i];
    size_t ended = 0;
    while (ended < MANY) {
        int rc = coir_wait(all + ended, MANY - ended, COIR_FIRST_DONE);
        if (rc < 1)
            return rc < 0 ? rc : -EDOM;
        for (int i = 0; i < rc; i++)
            *wrong += !coir_task_done(all[ended++]);
    }
    return 0;
}

static int wait_for_many(void *arg)
{
    coir_nursery nursery;
    coir_nursery_open(&nursery);
    int rc = 0;
    for (int i = 0; i < MANY && rc == 0; i++)
        rc = coir_spawn(&nursery, &many[i], end_sometime, &many[i]);
    int *wrong = arg;
    for (int i = 0; i < WAITERS && rc == 0; i++)
        rc = coir_go(&nursery, wait_in_turns, &wrong[i]);
    return coir_nursery_close_with(&nursery, rc);
}

START_TEST(wait_by_several_fibers_misses_no_end)
{
    int wrong[WAITERS] = {0};
    ck_assert_int_eq(coir_run(wait_for_many, wrong), 0);
    for (int i = 0; i < WAITERS; i++)
        ck_assert_int_eq(wrong[i], 0);
}
END_TEST

COIR_SUITE(wait, TEST_WORKERS | TEST_SEEDED)
{
    TCase *what = test_case(suite, "what is waited for");
    tcase_add_test(what, wait_for_all_returns_when_the_last_has_ended);
    tcase_add_test(what, wait_for_the_first_returns_at_each_end);
    tcase_add_test(what, wait_counts_all_that_have_ended);
    tcase_add_test(what, wait_for_the_first_failure_passes_over_successes);
    tcase_add_test(what, wait_for_a_failure_ends_with_the_last_if_none_failed);
    tcase_add_test(what,
                   wait_for_a_failure_does_not_take_a_cancelled_task_for_one);
    tcase_add_test(what, wait_now_only_looks);
    tcase_add_test(what, wait_for_no_task_returns_at_once);

    TCase *cancelled = test_case(suite, "cancelled");
    tcase_add_test(cancelled, wait_that_timed_out_can_be_asked_again);
    tcase_add_test(cancelled,
                   wait_gets_the_end_by_which_the_caller_is_cancelled);

    TCase *crowd = test_case(suite, "many");
    tcase_add_test(crowd, wait_by_several_fibers_misses_no_end);
}
