/* test/test_completions.c -- coir_completions: tasks as they end */
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

enum { TASKS = 4 };

struct group {
    coir_nursery nursery;
    coir_task task[TASKS];
    coir_task *all[TASKS];
};

static int sleep_minutes(void *arg)
{
    int minutes = *(const int *)arg;
    int rc = coir_sleep(MINUTES(minutes));
    return rc < 0 ? rc : minutes;
}

static void start_group(struct group *group, int minutes[TASKS])
{
    coir_nursery_open(&group->nursery);
    for (int i = 0; i < TASKS; i++) {
        int rc = coir_spawn(&group->nursery, &group->task[i], sleep_minutes,
                            &minutes[i]);
        ck_assert_int_eq(rc, 0);
        group->all[i] = &group->task[i];
    }
}

static void run_body(coir_fn *body)
{
    ck_assert_int_eq(run_story(0, body, NULL), 0);
}

/* ---- In order ---- */

static int take_in_order(void *arg)
{
    (void)arg;
    int minutes[TASKS] = {3, 1, 4, 2};
    struct group group;
    coir_completions c;
    coir_task *task = NULL;
    memset(&c, 0xa5, sizeof c);
    start_group(&group, minutes);
    ck_assert_int_eq(coir_completions_open(&c, group.all, TASKS), 0);
    while (coir_completions_next(&c, &task) == 0)
        tell("%d", coir_task_result(task));
    ck_assert_int_eq(coir_completions_next(&c, &task), -ENOENT);
    coir_completions_close(&c);
    return coir_nursery_close(&group.nursery);
}

START_TEST(completions_come_in_the_order_in_which_tasks_end)
{
    run_body(take_in_order);
    ck_assert_str_eq(story(), "1 2 3 4");
}
END_TEST

static int take_late(void *arg)
{
    (void)arg;
    int minutes[TASKS] = {3, 1, 4, 2};
    struct group group;
    coir_completions c;
    coir_task *task = NULL;
    start_group(&group, minutes);
    ck_assert_int_eq(coir_completions_open(&c, group.all, TASKS), 0);
    ck_assert_int_eq(coir_sleep(MINUTES(9)), 0); /* all end meanwhile */
    while (coir_completions_next(&c, &task) == 0)
        tell("%d", coir_task_result(task));
    coir_completions_close(&c);
    return coir_nursery_close(&group.nursery);
}

START_TEST(completions_keep_the_order_until_they_are_taken)
{
    run_body(take_late);
    ck_assert_str_eq(story(), "1 2 3 4");
}
END_TEST

static int open_late(void *arg)
{
    (void)arg;
    int minutes[TASKS] = {3, 1, 4, 2}, seen[TASKS + 1] = {0};
    struct group group;
    coir_completions c;
    coir_task *task = NULL;
    start_group(&group, minutes);
    ck_assert_int_eq(coir_sleep(MINUTES(2.5)), 0); /* two have ended */
    ck_assert_int_eq(coir_completions_open(&c, group.all, TASKS), 0);
    for (int i = 0; i < TASKS; i++) {
        ck_assert_int_eq(coir_completions_next(&c, &task), 0);
        seen[coir_task_result(task)]++;
        if (i >= 2) /* these end while we wait */
            ck_assert_int_eq(coir_task_result(task), i + 1);
    }
    for (int i = 1; i <= TASKS; i++)
        ck_assert_int_eq(seen[i], 1);
    ck_assert_int_eq(coir_completions_next(&c, &task), -ENOENT);
    coir_completions_close(&c);
    return coir_nursery_close(&group.nursery);
}

START_TEST(completions_hold_tasks_that_had_ended_before)
{
    run_body(open_late);
}
END_TEST

static int open_over_none(void *arg)
{
    (void)arg;
    coir_completions c;
    coir_task *none[1] = {NULL}, *task = NULL;
    ck_assert_int_eq(coir_completions_open(&c, none, 0), 0);
    ck_assert_int_eq(coir_completions_next(&c, &task), -ENOENT);
    ck_assert_int_eq(coir_completions_next(&c, &task), -ENOENT);
    coir_completions_close(&c);
    return 0;
}

START_TEST(completions_of_no_task_end_at_once)
{
    run_body(open_over_none);
}
END_TEST

/* ---- Cancelled, and closed early ---- */

static int be_cancelled(void *arg)
{
    (void)arg;
    int minutes[TASKS] = {3, 1, 4, 2};
    struct group group;
    coir_completions c;
    coir_task *task = NULL;
    start_group(&group, minutes);
    ck_assert_int_eq(coir_completions_open(&c, group.all, TASKS), 0);
    coir_scope scope;
    coir_timeout_open(&scope, COIR_SECONDS(30));
    ck_assert_int_eq(coir_completions_next(&c, &task), -ECANCELED);
    ck_assert_int_eq(coir_completions_next(&c, &task), -ECANCELED);
    ck_assert_int_eq(coir_scope_close(&scope, -ECANCELED), -ETIMEDOUT);
    while (coir_completions_next(&c, &task) == 0)
        tell("%d", coir_task_result(task));
    coir_completions_close(&c);
    return coir_nursery_close(&group.nursery);
}

START_TEST(completions_lose_nothing_by_a_cancelled_call)
{
    run_body(be_cancelled);
    ck_assert_str_eq(story(), "1 2 3 4");
}
END_TEST

static int close_early(void *arg)
{
    (void)arg;
    int minutes[TASKS] = {3, 1, 4, 2};
    struct group group;
    coir_completions *c = malloc(sizeof *c);
    coir_task *task = NULL;
    start_group(&group, minutes);
    ck_assert_int_eq(coir_completions_open(c, group.all, TASKS), 0);
    ck_assert_int_eq(coir_completions_next(c, &task), 0);
    ck_assert_int_eq(coir_task_result(task), 1);
    ck_assert_int_eq(coir_sleep(MINUTES(1.5)), 0); /* one is not taken */
    coir_completions_close(c);
    memset(c, 0xa5, sizeof *c); /* nobody looks at it any more */
    free(c);
    return coir_nursery_close(&group.nursery);
}

START_TEST(completions_may_be_closed_before_the_tasks_end)
{
    run_body(close_early);
}
END_TEST

static int close_in_cancelled_scope(void *arg)
{
    (void)arg;
    int minutes[TASKS] = {3, 1, 4, 2};
    struct group group;
    coir_completions c;
    start_group(&group, minutes);
    coir_scope scope;
    coir_scope_open(&scope);
    coir_scope_cancel(&scope);
    ck_assert_int_eq(coir_completions_open(&c, group.all, TASKS), 0);
    coir_completions_close(&c);
    ck_assert_int_eq(coir_scope_close(&scope, 0), 0);
    return coir_nursery_close(&group.nursery);
}

START_TEST(completions_open_and_close_though_cancelled)
{
    run_body(close_in_cancelled_scope);
}
END_TEST

/* ---- Several listeners ---- */

static void count_end(coir_task *task, void *data)
{
    (void)task;
    ++*(int *)data;
}

static int listen_together(void *arg)
{
    (void)arg;
    int minutes[TASKS] = {3, 1, 4, 2}, calls[TASKS] = {0};
    struct group group;
    coir_completions first, second;
    coir_task *a = NULL, *b = NULL;
    start_group(&group, minutes);
    for (int i = 0; i < TASKS; i++)
        coir_task_on_done(&group.task[i], count_end, &calls[i]);
    ck_assert_int_eq(coir_completions_open(&first, group.all, TASKS), 0);
    ck_assert_int_eq(coir_completions_open(&second, group.all, TASKS), 0);
    for (int i = 0; i < TASKS; i++) {
        ck_assert_int_eq(coir_completions_next(&first, &a), 0);
        ck_assert_int_eq(coir_completions_next(&second, &b), 0);
        ck_assert_ptr_eq(a, b);
        ck_assert_int_eq(coir_task_result(a), i + 1);
        ck_assert_int_eq(coir_wait(group.all, TASKS, COIR_NOW), i + 1);
        ck_assert_int_eq(coir_join(a, NULL), 0);
        ck_assert_int_eq(calls[a - group.task], 1);
    }
    coir_completions_close(&first);
    coir_completions_close(&second);
    return coir_nursery_close(&group.nursery);
}

START_TEST(completions_share_tasks_with_every_other_wait)
{
    run_body(listen_together);
}
END_TEST

/* ---- Many ---- */

enum { MANY = 2000 };

static int end_at_once(void *arg)
{
    (void)arg;
    return 0;
}

static int take_many(void *arg)
{
    (void)arg;
    static coir_task tasks[MANY];
    static coir_task *all[MANY];
    static int taken[MANY];
    coir_nursery nursery;
    coir_completions c;
    coir_nursery_open(&nursery);
    int rc = 0, wrong = 0, count = 0;
    for (int i = 0; i < MANY && rc == 0; i++) {
        all[i] = &tasks[i];
        rc = coir_spawn(&nursery, &tasks[i], end_at_once, NULL);
    }
    ck_assert_int_eq(rc, 0);
    ck_assert_int_eq(coir_completions_open(&c, all, MANY), 0);
    coir_task *task = NULL;
    while (coir_completions_next(&c, &task) == 0) {
        wrong += !coir_task_done(task);
        taken[task - tasks]++;
        count++;
    }
    coir_completions_close(&c);
    for (int i = 0; i < MANY; i++)
        wrong += taken[i] != 1;
    ck_assert_int_eq(count, MANY);
    ck_assert_int_eq(wrong, 0);
    return coir_nursery_close(&nursery);
}

START_TEST(completions_of_many_tasks_come_once_each)
{
    ck_assert_int_eq(coir_run(take_many, NULL), 0);
}
END_TEST

static int return_at_once(void *arg)
{
    (void)arg;
    return 0;
}

/* The handle is given to another use as soon as its task was handed out. */
static int use_again(void *arg)
{
    coir_nursery nursery;
    coir_completions completions;
    coir_task tasks[2], *all[2] = {&tasks[0], &tasks[1]}, *task;
    (void)arg;
    coir_nursery_open(&nursery);
    for (int i = 0; i < 2; i++)
        ck_assert_int_eq(coir_spawn(&nursery, &tasks[i], return_at_once, NULL),
                         0);
    ck_assert_int_eq(coir_completions_open(&completions, all, 2), 0);
    ck_assert_int_eq(coir_completions_next(&completions, &task), 0);
    memset(task, 0xff, sizeof *task);
    coir_completions_close(&completions);
    const unsigned char *byte = (const unsigned char *)task;
    int changed = 0;
    for (size_t i = 0; i < sizeof *task; i++)
        changed += byte[i] != 0xff;
    ck_assert_int_eq(changed, 0);
    return coir_nursery_close(&nursery);
}

START_TEST(completions_leave_alone_what_they_have_handed_out)
{
    ck_assert_int_eq(coir_run(use_again, NULL), 0);
}
END_TEST

COIR_SUITE(completions, TEST_WORKERS | TEST_SEEDED)
{
    TCase *order = test_case(suite, "order");
    tcase_add_test(order, completions_come_in_the_order_in_which_tasks_end);
    tcase_add_test(order, completions_keep_the_order_until_they_are_taken);
    tcase_add_test(order, completions_hold_tasks_that_had_ended_before);
    tcase_add_test(order, completions_of_no_task_end_at_once);

    TCase *cancelled = test_case(suite, "cancelled and closed");
    tcase_add_test(cancelled, completions_lose_nothing_by_a_cancelled_call);
    tcase_add_test(cancelled, completions_may_be_closed_before_the_tasks_end);
    tcase_add_test(cancelled, completions_open_and_close_though_cancelled);
    tcase_add_test(cancelled,
                   completions_leave_alone_what_they_have_handed_out);

    TCase *shared = test_case(suite, "shared");
    tcase_add_test(shared, completions_share_tasks_with_every_other_wait);
    tcase_add_test(shared, completions_of_many_tasks_come_once_each);
}
