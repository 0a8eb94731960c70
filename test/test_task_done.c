/* test/test_task_done.c -- coir_task_on_done: callbacks at the end of a task */
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

static int return_seven_later(void *arg)
{
    (void)arg;
    int rc = coir_sleep(MINUTES(1));
    return rc < 0 ? rc : 7;
}

static void tell_result(coir_task *task, void *data)
{
    tell("%s%d%s", (const char *)data, coir_task_result(task),
         coir_task_done(task) ? "" : "?");
}

/* ---- When ---- */

static int join_after_callback(void *arg)
{
    (void)arg;
    static char word[] = "called:";
    coir_task task;
    coir_nursery nursery;
    coir_nursery_open(&nursery);
    ck_assert_int_eq(coir_spawn(&nursery, &task, return_seven_later, NULL), 0);
    coir_task_on_done(&task, tell_result, word);
    tell("join");
    ck_assert_int_eq(coir_join(&task, NULL), 0);
    tell("joined");
    return coir_nursery_close(&nursery);
}

START_TEST(on_done_is_called_before_a_join_returns)
{
    run_body(join_after_callback);
    ck_assert_str_eq(story(), "join called:7 joined");
}
END_TEST

static int close_after_callback(void *arg)
{
    (void)arg;
    static char word[] = "called:";
    coir_task task;
    coir_nursery nursery;
    coir_nursery_open(&nursery);
    ck_assert_int_eq(coir_spawn(&nursery, &task, return_seven_later, NULL), 0);
    coir_task_on_done(&task, tell_result, word);
    tell("close");
    ck_assert_int_eq(coir_nursery_close(&nursery), 0);
    tell("closed");
    return 0;
}

START_TEST(on_done_is_called_before_the_close_returns)
{
    run_body(close_after_callback);
    ck_assert_str_eq(story(), "close called:7 closed");
}
END_TEST

static int call_after_end(void *arg)
{
    (void)arg;
    static char word[] = "called:";
    coir_task task;
    coir_nursery nursery;
    coir_nursery_open(&nursery);
    ck_assert_int_eq(coir_spawn(&nursery, &task, return_seven_later, NULL), 0);
    ck_assert_int_eq(coir_nursery_close(&nursery), 0);
    tell("ended");
    coir_task_on_done(&task, tell_result, word);
    tell("returned");
    return 0;
}

START_TEST(on_done_after_the_end_is_called_at_once)
{
    run_body(call_after_end);
    ck_assert_str_eq(story(), "ended called:7 returned");
}
END_TEST

static int call_for_refused(void *arg)
{
    (void)arg;
    static char word[] = "called:";
    coir_task task;
    coir_nursery nursery;
    coir_nursery_open(&nursery);
    coir_nursery_cancel(&nursery);
    int rc = coir_spawn(&nursery, &task, return_seven_later, NULL);
    ck_assert_int_eq(rc, -ECANCELED);
    coir_task_on_done(&task, tell_result, word);
    tell("returned");
    return coir_nursery_close(&nursery);
}

START_TEST(on_done_of_a_refused_task_is_called_at_once)
{
    run_body(call_for_refused);
    char expected[64];
    snprintf(expected, sizeof expected, "called:%d returned", -ECANCELED);
    ck_assert_str_eq(story(), expected);
}
END_TEST

static int call_for_cancelled(void *arg)
{
    (void)arg;
    static char word[] = "called:";
    coir_task task;
    coir_nursery nursery;
    coir_nursery_open(&nursery);
    ck_assert_int_eq(coir_spawn(&nursery, &task, return_seven_later, NULL), 0);
    coir_task_on_done(&task, tell_result, word);
    coir_nursery_cancel(&nursery);
    return coir_nursery_close(&nursery);
}

START_TEST(on_done_is_called_for_a_cancelled_task_too)
{
    run_body(call_for_cancelled);
    char expected[64];
    snprintf(expected, sizeof expected, "called:%d", -ECANCELED);
    ck_assert_str_eq(story(), expected);
}
END_TEST

/* ---- How often ---- */

enum { CALLBACKS = 100 };

/* Not atomic: the join that saw the end has seen the callbacks. */
static void count_call(coir_task *task, void *data)
{
    (void)task;
    ++*(int *)data;
}

static int call_many(void *arg)
{
    (void)arg;
    int calls[CALLBACKS] = {0}, total = 0;
    coir_task task;
    coir_nursery nursery;
    coir_nursery_open(&nursery);
    ck_assert_int_eq(coir_spawn(&nursery, &task, return_seven_later, NULL), 0);
    for (int i = 0; i < CALLBACKS; i++)
        coir_task_on_done(&task, count_call, &calls[i]);
    ck_assert_int_eq(calls[0], 0);
    ck_assert_int_eq(coir_join(&task, NULL), 0);
    for (int i = 0; i < CALLBACKS; i++) {
        ck_assert_int_eq(calls[i], 1);
        total += calls[i];
    }
    coir_task_on_done(&task, count_call, &total);
    ck_assert_int_eq(total, CALLBACKS + 1);
    return coir_nursery_close(&nursery);
}

START_TEST(on_done_takes_any_number_of_callbacks)
{
    run_body(call_many);
}
END_TEST

enum { REGISTRARS = 8, RACES = 500 };

static _Atomic int called;

static void count_shared(coir_task *task, void *data)
{
    (void)data;
    called += coir_task_done(task);
}

static int end_soon(void *arg)
{
    (void)arg;
    return coir_yield();
}

static int register_callback(void *arg)
{
    coir_task_on_done(arg, count_shared, NULL);
    return 0;
}

/* The task ends while others register. */
static int race_with_end(void *arg)
{
    (void)arg;
    coir_task task;
    coir_nursery nursery;
    coir_nursery_open(&nursery);
    int rc = coir_spawn(&nursery, &task, end_soon, NULL);
    for (int i = 0; i < REGISTRARS && rc == 0; i++)
        rc = coir_go(&nursery, register_callback, &task);
    return coir_nursery_close_with(&nursery, rc);
}

static int race_often(void *arg)
{
    int rc = 0;
    for (int i = 0; i < *(const int *)arg && rc == 0; i++)
        rc = race_with_end(NULL);
    return rc;
}

START_TEST(on_done_is_called_once_whenever_it_is_registered)
{
    int races = (int)test_scaled(RACES);
    called = 0;
    ck_assert_int_eq(coir_run(race_often, &races), 0);
    ck_assert_int_eq(called, races * REGISTRARS);
}
END_TEST

static void cancel_scope(coir_task *task, void *data)
{
    (void)task;
    coir_scope_cancel(data);
}

static int cancel_by_callback(void *arg)
{
    (void)arg;
    coir_task task;
    coir_nursery nursery;
    coir_nursery_open(&nursery);
    ck_assert_int_eq(coir_spawn(&nursery, &task, return_seven_later, NULL), 0);
    coir_scope scope;
    coir_scope_open(&scope);
    coir_task_on_done(&task, cancel_scope, &scope);
    ck_assert_int_eq(coir_sleep(COIR_NEVER), -ECANCELED);
    ck_assert(coir_task_done(&task));
    ck_assert_int_eq(coir_scope_close(&scope, 0), 0);
    return coir_nursery_close(&nursery);
}

START_TEST(on_done_may_cancel)
{
    run_body(cancel_by_callback);
}
END_TEST

COIR_SUITE(task_done, TEST_WORKERS | TEST_SEEDED)
{
    TCase *when = test_case(suite, "when");
    tcase_add_test(when, on_done_is_called_before_a_join_returns);
    tcase_add_test(when, on_done_is_called_before_the_close_returns);
    tcase_add_test(when, on_done_after_the_end_is_called_at_once);
    tcase_add_test(when, on_done_of_a_refused_task_is_called_at_once);
    tcase_add_test(when, on_done_is_called_for_a_cancelled_task_too);

    TCase *often = test_case(suite, "how often");
    tcase_add_test(often, on_done_takes_any_number_of_callbacks);
    tcase_add_test(often, on_done_is_called_once_whenever_it_is_registered);
    tcase_add_test(often, on_done_may_cancel);
}
